"""The sentences of an answer -> its citations, numbered in order of appearance."""

from collections.abc import Iterable
from dataclasses import replace

from lctx.core.citing.attribute import Evidence
from lctx.core.citing.citation import Attribution, Citation, Status, Support
from lctx.core.retrieval.focus import Sentence


def citation_of(
    chars: tuple[int, int], evidence: Evidence, by: Attribution, status: Status = Status.VERIFIED
) -> Citation:
    """The citation that ties a sentence of the answer to its evidence; not numbered yet."""
    return quote_of(evidence.sentence, chars, evidence.support, by, status)


def quote_of(
    sentence: Sentence,
    chars: tuple[int, int],
    support: Support,
    by: Attribution,
    status: Status = Status.VERIFIED,
) -> Citation:
    """A citation that quotes `sentence` as it stands: verbatim by construction.

    Args:
        sentence: What is quoted.
        chars: The sentence of the answer, half-open.
        support: Whether the quote backs it.
        by: Who named the place.
        status: `MISATTRIBUTED` where the place was re-pointed.
    """
    document = sentence.chunk.document
    return Citation(
        marker=0,
        document=document,
        quote=sentence.text,
        status=status,
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
        result.append(replace(one, marker=markers.setdefault(key, len(markers) + 1)))
    return result
