"""The sentences of an answer -> its citations, numbered in order of appearance."""

from collections.abc import Iterable

from lctx.core.citing.attribute import Evidence
from lctx.core.citing.citation import Attribution, Citation, Status, Support
from lctx.core.retrieval.focus import Sentence


def citation_of(chars: tuple[int, int], evidence: Evidence, by: Attribution) -> Citation:
    """The citation that ties a sentence of the answer to its evidence; not numbered yet."""
    return quote_of(evidence.sentence, chars, evidence.support, by)


def quote_of(sentence: Sentence, chars: tuple[int, int], support: Support, by: Attribution) -> Citation:
    """A citation that quotes `sentence` as it stands: verbatim by construction."""
    document = sentence.chunk.document
    return Citation(
        marker=0,
        document=document,
        quote=sentence.text,
        status=Status.VERIFIED,
        by=by,
        support=support,
        answer_chars=chars,
        location=document.locate(sentence.start, sentence.end),
    )


def numbered(citations: Iterable[Citation]) -> list[Citation]:
    """`citations` with their markers: from 1, the same quote under the same number."""
    markers: dict[tuple[str, tuple[int, int] | None, str], int] = {}
    result = []
    for one in citations:
        key = one.document.path, one.location.chars, one.quote
        marker = markers.setdefault(key, len(markers) + 1)
        result.append(
            Citation(
                marker,
                one.document,
                one.quote,
                one.status,
                one.by,
                one.support,
                one.answer_chars,
                one.location,
            )
        )
    return result
