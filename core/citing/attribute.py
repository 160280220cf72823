"""A sentence of an answer -> the sentence of a source that backs it best: the check behind `support`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lctx.core.citing.citation import Support
from lctx.core.citing.squeeze import squeeze
from lctx.core.retrieval.focus import Sentence
from lctx.core.retrieval.terms import is_compound, terms

_SUPPORTED, _WEAK = 0.75, 0.45
"""Shares of a claim's terms that its quote must hold."""
_VERBATIM_GAIN = 0.5
_QUESTION_SHARE = 0.3
_MOST_JOINED = 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """The stretch of a source that backs a claim best.

    Attributes:
        sentence: Where it stands: one sentence, or a few that follow each other.
        support: Whether it backs the claim.
        is_verbatim: Whether the claim's words stand in it, in their order.
    """

    sentence: Sentence
    support: Support
    is_verbatim: bool


def find_evidence(claim: str, pool: Sequence[Sentence], asked: Collection[str]) -> Evidence | None:
    """The best evidence for `claim`, or None where no sentence shares a term with it.

    Args:
        claim: A sentence of the answer.
        pool: Sentences that the model read, those of one chunk in order; their scores say how well they
            answer the question.
        asked: The question's terms: a short answer ("42") says little by itself, and is
            backed only where the question's words stand beside it.
    """
    wanted = set(terms(claim))
    squeezed = squeeze(claim).text.casefold().strip(".,;:!?\"'")
    if not wanted and not squeezed:
        return None
    top = max((sentence.score for sentence in pool), default=0.0) or 1.0
    best: tuple[float, Evidence] | None = None
    shares: dict[tuple[int, int], float] = {}
    for parts in _candidates(pool):
        sentence = parts[0] if len(parts) == 1 else _joined(parts)
        held = set(terms(sentence.text))
        is_verbatim = bool(squeezed) and _stands_in(squeezed, sentence.text)
        share = 1.0 if is_verbatim else len(wanted & held) / max(len(wanted), 1)
        shares[id(parts[0]), id(parts[-1])] = share
        # Sentences are joined only where together they hold more: a neighbour is no evidence.
        fewer = (parts[1:], parts[:-1]) if len(parts) > 1 else ()
        if share <= max((shares[id(part[0]), id(part[-1])] for part in fewer), default=0.0):
            continue
        length = len(sentence.text)
        score = share + _VERBATIM_GAIN * is_verbatim + _QUESTION_SHARE * sentence.score / top - length / 4_000
        if best is None or score > best[0]:
            support = _support(share, wanted, held, is_verbatim=is_verbatim)
            best = score, Evidence(sentence, support, is_verbatim)
    if best is None:
        return None
    evidence = best[1]
    if evidence.support is Support.SUPPORTED and asked and not _is_asked(evidence.sentence, wanted, asked):
        return Evidence(evidence.sentence, Support.WEAK, evidence.is_verbatim)
    return evidence


def _candidates(pool: Sequence[Sentence]) -> list[Sequence[Sentence]]:
    """Each sentence by itself, then each short run of sentences that follow each other in one chunk."""
    found: list[Sequence[Sentence]] = [(sentence,) for sentence in pool]
    run: list[Sentence] = []
    for before, after in pairwise([*pool, *pool[:1]]):
        run.append(before)
        between = before.chunk.document.text[before.end : after.start]  # what was not read is not quoted
        if before.chunk is not after.chunk or after.start < before.end or between.strip():
            found += _runs(run)
            run = []
    return found + _runs(run)


def _runs(row: Sequence[Sentence]) -> list[Sequence[Sentence]]:
    return [
        row[first : first + size]
        for size in range(2, _MOST_JOINED + 1)
        for first in range(len(row) - size + 1)
    ]


def _joined(parts: Sequence[Sentence]) -> Sentence:
    return Sentence(parts[0].chunk, parts[0].start, parts[-1].end, max(one.score for one in parts))


def _stands_in(squeezed: str, text: str) -> bool:
    """Whether a squeezed, casefolded claim stands in `text` with nothing but its own words at its edges."""
    within = squeeze(text)
    folded = within.text.casefold()
    owners: Sequence[int] = range(len(folded))
    if len(folded) != len(within.text):  # "ß" folds to two letters
        owners = [index for index, letter in enumerate(within.text) for _ in letter.casefold()]
    at = folded.find(squeezed)
    while at >= 0:
        start, end = within.original(owners[at], owners[at + len(squeezed) - 1] + 1)
        edges = (text[max(start - 1, 0) : start + 1], text[end - 1 : end + 1])
        if not any(len(edge) > 1 and edge.isalnum() for edge in edges):
            return True
        at = folded.find(squeezed, at + 1)
    return False


def _support(share: float, wanted: set[str], held: set[str], *, is_verbatim: bool) -> Support:
    exact = {term for term in wanted if is_compound(term) or any(letter.isdigit() for letter in term)}
    if is_verbatim or (share >= _SUPPORTED and exact <= held):
        return Support.SUPPORTED
    return Support.WEAK if share >= _WEAK else Support.NONE


def _is_asked(sentence: Sentence, claimed: set[str], asked: Collection[str]) -> bool:
    """Whether the chunk around the evidence speaks of what was asked, or the claim itself does."""
    around = set(terms(sentence.chunk.text)) | set(terms(" ".join(sentence.chunk.heading))) | claimed
    return any(term in around for term in asked)
