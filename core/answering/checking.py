"""A finished answer with the ids and quotes in it -> citations, each checked against what was read."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lctx.core.answering.citations import citation_of
from lctx.core.answering.inputs import Inputs
from lctx.core.answering.markers import MarkerFilter
from lctx.core.answering.plan_answer import Planned
from lctx.core.answering.pool import sentences_read
from lctx.core.chunking.chunk import Chunk
from lctx.core.chunking.sentences import sentences
from lctx.core.citing.attribute import find_evidence
from lctx.core.citing.citation import Attribution, Citation, Status, Support
from lctx.core.citing.verify import MIN_QUOTE_CHARS, Verdict, verify_quote
from lctx.core.retrieval.focus import Sentence

_QUOTE = re.compile(rf"[\"“«]([^\"“”«»]{{{MIN_QUOTE_CHARS},600}})[\"”»]")


@dataclass(frozen=True, slots=True)
class _Claim:
    """One sentence of the answer, where it stands, and the chunks that the model cited for it."""

    text: str
    chars: tuple[int, int]
    cited: tuple[Chunk, ...]


def check_answer(
    inputs: Inputs, planned: Planned, text: str, markers: MarkerFilter
) -> tuple[list[Citation], list[str]]:
    """The citations of an answer, not numbered yet, and the ids in it that no passage has.

    A quote in the answer is looked up word for word. A sentence is tied to what backs it: in the chunks that
    it cites, else in all that was read; where the cited chunk does not hold it and another does, the citation
    is re-pointed and called misattributed.
    """
    pool = sentences_read(inputs, planned)
    read = tuple({id(piece.chunk): piece.chunk for piece in planned.plan.included}.values())
    query = inputs.ranking.query
    asked = query.identity.union(query.weights)
    claims, unknown = _claims(inputs, read, text, markers)
    citations = [
        citation
        for claim in claims
        for citation in (*_quotes_of(claim, read), *_evidence_for(claim, pool, asked))
    ]
    return _each_place_once(citations), unknown


def _claims(
    inputs: Inputs, read: Sequence[Chunk], text: str, markers: MarkerFilter
) -> tuple[list[_Claim], list[str]]:
    known = {id(chunk) for chunk in read}
    claims: list[_Claim] = []
    unknown: list[str] = []
    spans = sentences(text)
    for position, (start, end) in enumerate(spans):
        until = spans[position + 1][0] if position + 1 < len(spans) else len(text) + 1
        cited: list[Chunk] = []
        # An id in front of everything belongs to the first sentence.
        for number in markers.between(start if position else -1, until):
            if 0 < number <= len(inputs.chunks) and id(inputs.chunks[number - 1]) in known:
                cited.append(inputs.chunks[number - 1])
            else:
                unknown.append(f"S{number}")
        claims.append(_Claim(text[start:end], (start, end), tuple(cited)))
    return claims, unknown


def _quotes_of(claim: _Claim, read: Sequence[Chunk]) -> list[Citation]:
    """What the model put in quotation marks, looked up where it says, then in all that was read."""
    found = []
    for match in _QUOTE.finditer(claim.text):
        at = claim.cited[0] if claim.cited else read[0]
        others = [(chunk.document, chunk.start, chunk.end) for chunk in (*claim.cited[1:], *read)]
        verdict = verify_quote(match[1], at.document, at.start, at.end, others)
        status = verdict.status
        if status is Status.MISATTRIBUTED and (not claim.cited or _is_cited(verdict, claim.cited)):
            status = Status.VERIFIED  # nothing else was cited: it stands where it was found
        stands = status is not Status.UNVERIFIED
        document = verdict.document
        found.append(
            Citation(
                marker=0,
                document=document,
                quote=document.text[verdict.start : verdict.end] if stands else match[1],
                status=status,
                by=Attribution.MODEL,
                support=Support.SUPPORTED if stands else Support.NONE,
                answer_chars=claim.chars,
                location=document.locate(verdict.start, verdict.end),
            )
        )
    return found


def _is_cited(verdict: Verdict, cited: Sequence[Chunk]) -> bool:
    return any(
        chunk.document is verdict.document and chunk.start <= verdict.start < chunk.end for chunk in cited
    )


def _evidence_for(claim: _Claim, pool: Sequence[Sentence], asked: Collection[str]) -> list[Citation]:
    """The best evidence in each cited chunk; where none of it supports the claim, the best of all."""
    found = []
    for chunk in claim.cited:
        own = [sentence for sentence in pool if sentence.chunk is chunk]
        if (evidence := find_evidence(claim.text, own, asked)) is not None:
            found.append(citation_of(claim.chars, evidence, Attribution.MODEL))
    if any(citation.support is Support.SUPPORTED for citation in found):
        return found
    evidence = find_evidence(claim.text, pool, asked)
    if evidence is None or evidence.support is Support.NONE:
        return found
    if claim.cited and evidence.support is Support.SUPPORTED:
        # It stands elsewhere than the model said: re-pointed, and said so.
        return [citation_of(claim.chars, evidence, Attribution.MODEL, Status.MISATTRIBUTED)]
    return [*found, citation_of(claim.chars, evidence, Attribution.LCTX)]


def _each_place_once(citations: Sequence[Citation]) -> list[Citation]:
    """Without the second citation of one place for one sentence."""
    kept: dict[tuple[str, object, object, str], Citation] = {}
    for one in citations:
        key = (one.document.path, one.location.chars, one.answer_chars, one.quote)
        kept.setdefault(key, one)
    return list(kept.values())
