"""Question x chunks -> the chunks worth reading, best first."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from lctx.core.chunking.chunk import Chunk
from lctx.core.document import Document
from lctx.core.retrieval.identity import FIRST_CHARS, Identity, identify
from lctx.core.retrieval.index import ChunkIndex
from lctx.core.retrieval.question import Query, understand
from lctx.core.retrieval.terms import terms
from lctx.core.storage import ByteCache

_IDENTITY_WEIGHT = 3.0
"""What one unit of identity is worth in BM25: enough to choose among files of one form, little beside a
question's own words where the files differ anyway. Measured in docs/benchmarks/retrieval.md."""
_DECISIVE = 1.3
"""How much better than any other a document must answer to the question's names to be the one meant."""
_UNHEARD_SHARE = 0.6
"""What a word that stands in no source weighs: it may be the questioner's own for what is said otherwise."""
_DEPTH = 400


@dataclass(frozen=True, slots=True)
class Scored:
    """A chunk and how well it answers to the question; higher is better."""

    chunk: Chunk
    score: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """The chunks that hold any of the question's terms, best first, and the question as it was understood.

    Attributes:
        query: The question, understood.
        best: Best first.
        rarity: For each term of the query the inverse frequency of the chunks that hold it.
        unheard: The terms that stand in no chunk.
        named: The one document that the question names, or None where it names none or several alike.
    """

    query: Query
    best: tuple[Scored, ...]
    rarity: dict[str, float]
    unheard: frozenset[str] = frozenset()
    named: Document | None = None

    def covered(self, held: Collection[str]) -> float:
        """The share of what is asked, 0 to 1, that stands among the terms `held`; rare ones weigh more."""
        parts = {
            term: weight * self.rarity[term]
            for term, weight in self.query.weights.items()
            if term in held or term not in self.query.implied  # what was not said need not stand there
        }
        total = sum(parts.values())
        return sum(part for term, part in parts.items() if term in held) / total if total else 0.0


class Retriever:
    """Chunks that can be asked more than once: the index is made at the first question."""

    def __init__(self, chunks: Sequence[Chunk], cache: ByteCache | None = None) -> None:
        """Hold `chunks`, the chunks of one document after those of another; `cache` keeps their terms."""
        self._chunks = tuple(chunks)
        self._documents: list[Document] = []
        self._position: list[int] = []
        for chunk in self._chunks:
            if not self._documents or self._documents[-1] is not chunk.document:
                self._documents.append(chunk.document)
            self._position.append(len(self._documents) - 1)
        self._index = ChunkIndex(self._chunks, cache or ByteCache(None))

    def rank(self, question: str, weight: Callable[[Document], float] | None = None) -> Ranking:
        """Rank the chunks for `question`: BM25 of what is asked, plus how well its document is named.

        Args:
            question: As the user wrote it.
            weight: The factor on the scores of a document's chunks, or None for 1.
        """
        holders: dict[str, set[int]] = {}
        if len(self._documents) > 1:
            for term in set(terms(question)):
                holders[term] = {self._position[number] for number in self._index.holding(term)}
        identity = identify(question, self._documents, holders)
        query = understand(question, self._address(identity))
        hits = dict(self._index.search(query.weights, _DEPTH))
        if identity.terms:  # the named document takes part even where it ranks below the first hits
            named = max(range(len(self._documents)), key=identity.scores.__getitem__)
            for number, position in enumerate(self._position):
                if position == named:
                    hits.setdefault(number, 0.0)
        factors = [weight(document) if weight else 1.0 for document in self._documents]
        scored = [
            Scored(
                self._chunks[number],
                factors[self._position[number]]
                * (score + _IDENTITY_WEIGHT * identity.scores[self._position[number]]),
            )
            for number, score in hits.items()
        ]
        scored.sort(key=lambda one: (-one.score, one.chunk.document.path, one.chunk.start))
        total = len(self._chunks)
        frequency = {term: self._index.num_holding(term) for term in query.weights}
        rarity = {
            term: math.log(1 + (total - held + 0.5) / (held + 0.5)) * (1.0 if held else _UNHEARD_SHARE)
            for term, held in frequency.items()
        }
        unheard = frozenset(term for term, held in frequency.items() if not held)
        return Ranking(query, tuple(scored), rarity, unheard, self._named(identity))

    def _address(self, identity: Identity) -> frozenset[str]:
        """The terms that only say where to look; of a source of one page they ask as well."""
        if not identity.terms:
            return frozenset()
        best = self._documents[identity.scores.index(max(identity.scores))]
        is_alone = len(self._documents) == 1  # its names were taken from an address that ends in a colon
        return identity.terms if is_alone or len(best.text) > FIRST_CHARS else frozenset()

    def _named(self, identity: Identity) -> Document | None:
        if not identity.terms or len(self._documents) == 1:
            return None
        first, second = sorted(identity.scores, reverse=True)[:2]
        if first < _DECISIVE * second:
            return None
        return self._documents[identity.scores.index(first)]
