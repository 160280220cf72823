"""The sentences inside the best chunks that matter: what a small model reads, and what a citation quotes."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lctx.core.chunking.chunk import Chunk
from lctx.core.chunking.fields import label_and_value, split_fields
from lctx.core.chunking.sentences import sentences
from lctx.core.retrieval.question import Query
from lctx.core.retrieval.rank import Scored
from lctx.core.retrieval.terms import terms

_K1 = 1.2
_B = 0.2
_CHUNK_SHARE = 1.0
"""How much of its chunk's score a sentence inherits: it names the right file among files of one form."""
_NEIGHBOUR_SHARE = 0.25
"""How much a sentence gains from the better of its two neighbours: pronouns point one sentence back."""

_LABEL_GAIN = 0.6
"""How much a field gains when the question names all of its label."""
_BLANK_SHARE = 0.4
"""What a label without a value, or a heading that repeats the question, is worth: it answers nothing."""

LINE_KINDS = frozenset({"code", "diff"})


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence or line of a chunk, and how well it answers to the question.

    Attributes:
        chunk: Where it stands.
        start: Code points into the document's text, half-open with `end`.
        end: See `start`.
        score: Higher is better; 0 where it shares no term with the question.
    """

    chunk: Chunk
    start: int
    end: int
    score: float = 0.0

    @property
    def text(self) -> str:
        """The sentence, exactly as the reader read it."""
        return self.chunk.document.text[self.start : self.end]


def sentences_of(chunk: Chunk) -> list[Sentence]:
    """The sentences of `chunk` in order; a line of a form gives one for each of its fields."""
    document = chunk.document
    pairs = sentences(chunk.text, by_line=document.kind in LINE_KINDS)
    found = []
    for first, last in pairs:
        for start, end in split_fields(document, chunk.start + first, chunk.start + last):
            stop = start + len(document.text[start:end].rstrip())
            if stop > start:
                found.append(Sentence(chunk, start, stop))
    return found


def focus(query: Query, best: Sequence[Scored]) -> list[Sentence]:
    """The sentences of `best`, best first.

    BM25 over sentences, with the term frequencies of these chunks alone, plus a share of the chunk's score.
    """
    pool = [(sentence, scored.score) for scored in best for sentence in sentences_of(scored.chunk)]
    own = _own_scores(query, [sentence for sentence, _ in pool])
    scored = []
    for position, (sentence, chunk_score) in enumerate(pool):
        beside = max(
            (
                own[other]
                for other in (position - 1, position + 1)
                if 0 <= other < len(pool) and pool[other][0].chunk is sentence.chunk
            ),
            default=0.0,
        )
        score = own[position] + _NEIGHBOUR_SHARE * beside * bool(own[position]) + _CHUNK_SHARE * chunk_score
        scored.append(Sentence(sentence.chunk, sentence.start, sentence.end, score))
    scored.sort(key=lambda one: (-one.score, one.start))
    return scored


def _own_scores(query: Query, pool: Sequence[Sentence]) -> list[float]:
    """BM25 of each sentence by itself; a field counts for more where its label is what is asked for."""
    bags = [Counter([*terms(sentence.text), *terms(_column_names(sentence))]) for sentence in pool]
    frequency = Counter(term for bag in bags for term in bag)
    average = max(sum(bag.total() for bag in bags) / max(len(bags), 1), 1.0)
    rarity = {
        term: weight * math.log(1 + (len(bags) - frequency[term] + 0.5) / (frequency[term] + 0.5))
        for term, weight in query.weights.items()
    }
    scores = []
    for sentence, bag in zip(pool, bags, strict=True):
        norm = _K1 * (1 - _B + _B * bag.total() / average)
        score = sum(rarity[term] * bag[term] * (_K1 + 1) / (bag[term] + norm) for term in rarity.keys() & bag)
        scores.append(score * _as_field(query, sentence.text))
    return scores


def _column_names(sentence: Sentence) -> str:
    """The first row of the table that a later row stands in: it says what the cells below it are."""
    document = sentence.chunk.document
    block = document.block_at(sentence.start)
    if block is None or block.kind != "table" or sentence.start >= block.end:
        return ""
    first = document.text[block.start : block.end].partition("\n")[0]
    return first if sentence.start > block.start + len(first) else ""


def _as_field(query: Query, text: str) -> float:
    """More than 1 for a field whose label is asked for, less for a label or a heading that adds nothing."""
    field = label_and_value(text)
    if field is None:
        return 1.0 if set(terms(text)) - query.weights.keys() - query.identity else _BLANK_SHARE
    label, value = field
    if not value:
        return _BLANK_SHARE
    named = set(terms(label))
    return 1.0 + _LABEL_GAIN * len(named & query.weights.keys()) / max(len(named), 1)
