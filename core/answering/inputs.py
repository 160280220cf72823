"""What a question is asked of: the sources cut, counted and ranked, beside the model that reads them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from lctx.core.answering.preferences import Preferences, resolve_preferences
from lctx.core.chunking.chunk import Chunk
from lctx.core.document import Document
from lctx.core.models.profile import Capability, ModelProfile
from lctx.core.retrieval.focus import Sentence, focus
from lctx.core.retrieval.rank import Ranking, Retriever, Scored
from lctx.core.storage import ByteCache
from lctx.core.tokens.counts import cut_and_count
from lctx.core.tokens.tokenizer import Tokenizer

_FOCUSED_CHUNKS = 8
"""Chunks whose sentences are looked at one by one (docs/benchmarks/retrieval.md: where answers stand)."""


@dataclass(frozen=True, slots=True)
class AskSettings:
    """What the user may decide about an answer.

    Attributes:
        strategy: "full" or "retrieve"; None leaves the choice to the planner.
        budget: At most this many tokens of the sources are read, or None.
        max_tokens: Of the answer; None takes what suits the model.
        seed: For sampling; answers are greedy, so it matters to engines that break ties by chance.
        window: Tokens of prompt and answer together; None takes what the model was measured to answer over.
        pins: Paths or patterns as .gitignore has them: these documents are read whole.
        weights: A pattern, and the factor on the relevance of a document's chunks; 0 leaves it out. The last
            pattern that matches decides.
        priorities: A pattern, and a rank: documents of a higher one fill the window before lower ones are
            looked at. 0 where none matches, else the last that does.
    """

    strategy: str | None = None
    budget: int | None = None
    max_tokens: int | None = None
    seed: int | None = None
    window: int | None = None
    pins: tuple[str, ...] = ()
    weights: tuple[tuple[str, float], ...] = ()
    priorities: tuple[tuple[str, int], ...] = ()


Unseen = Callable[[Document, Collection[int]], Sequence[tuple[int, int]]]
"""A document and pages of it, one-based -> the stretches of its text on them that nobody can see."""


@dataclass(frozen=True)
class Inputs:
    """One question about some documents, for one model; what is derived is worked out once, at first need.

    Attributes:
        question: As the user wrote it; None in a plan without one.
        documents: The sources, in order.
        profile: The model's.
        tokenizer: The model's.
        cache: Where counts are kept.
        settings: The user's.
        unseen: What cannot be seen on some pages of a document, asked before they enter a prompt; None where
            nothing has to be looked at.
    """

    question: str | None
    documents: Sequence[Document]
    profile: ModelProfile
    tokenizer: Tokenizer
    cache: ByteCache
    settings: AskSettings
    unseen: "Unseen | None" = None

    def with_settings(self, settings: AskSettings) -> "Inputs":
        """The same question about the same documents under other settings; nothing is counted again."""
        other = replace(self, settings=settings)
        other.__dict__["_cut"] = self._cut
        return other

    @cached_property
    def _cut(self) -> tuple[tuple[Chunk, ...], tuple[int, ...]]:
        return cut_and_count(self.tokenizer, self.documents, self.cache)

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """All documents cut, in order."""
        return self._cut[0]

    @property
    def counts(self) -> tuple[int, ...]:
        """Tokens of each chunk, in the order of `chunks`."""
        return self._cut[1]

    @cached_property
    def num_tokens(self) -> int:
        """Tokens of all documents."""
        return sum(self.counts)

    @cached_property
    def preferences(self) -> Preferences:
        """What the user said of single documents.

        Raises:
            UsageError: See `resolve_preferences`.
        """
        told = self.settings
        return resolve_preferences(self.documents, told.pins, told.weights, told.priorities)

    @cached_property
    def pinned(self) -> frozenset[int]:
        """The numbers of the chunks that every strategy reads."""
        if not self.settings.pins:
            return frozenset()
        is_pinned = self.preferences.is_pinned
        return frozenset(
            number
            for number, chunk in enumerate(self.chunks)
            if is_pinned(chunk.document) and not chunk.is_hidden
        )

    @cached_property
    def readable(self) -> tuple[int, ...]:
        """The numbers of the chunks that a strategy may read: all but hidden ones and those of weight 0."""
        is_left_out = self.preferences.is_left_out
        return tuple(
            number
            for number, chunk in enumerate(self.chunks)
            if not chunk.is_hidden and not is_left_out(chunk.document)
        )

    @cached_property
    def readable_tokens(self) -> int:
        """Tokens of all that may be read."""
        return sum(self.counts[number] for number in self.readable)

    @cached_property
    def ranking(self) -> Ranking:
        """The chunks that share a term with the question, best first; none hidden, none of weight 0."""
        chunks = self.chunks
        if not self.settings.weights and not any(document.hidden for document in self.documents):
            return Retriever(chunks, self.cache).rank(self.question or "")
        kept = [chunks[number] for number in self.readable]
        return Retriever(kept, self.cache).rank(self.question or "", self.preferences.weight)

    @cached_property
    def focused(self) -> list[Sentence]:
        """The sentences of the best chunks, best first; of the one document that is named, if one is."""
        return self._focus(self.ranking.best)

    @cached_property
    def focused_beside_pins(self) -> list[Sentence]:
        """The same without the documents that are read whole anyway."""
        if not self.pinned:
            return self.focused
        is_pinned = self.preferences.is_pinned
        return self._focus([one for one in self.ranking.best if not is_pinned(one.chunk.document)])

    def _focus(self, best: Sequence[Scored]) -> list[Sentence]:
        preferences, named = self.preferences, self.ranking.named
        best = sorted(best, key=lambda one: -preferences.priority(one.chunk.document))
        if named is not None and best:
            # What the user ranks higher is stronger than what a name in the question suggests.
            is_outranked = preferences.priority(named) < preferences.priority(best[0].chunk.document)
            best = best if is_outranked else [one for one in best if one.chunk.document is named]
        found = focus(self.ranking.query, best[:_FOCUSED_CHUNKS])
        if not (self.settings.weights or self.settings.priorities):
            return found
        weighed = [replace(one, score=one.score * preferences.weight(one.chunk.document)) for one in found]
        return sorted(
            weighed, key=lambda one: (-preferences.priority(one.chunk.document), -one.score, one.start)
        )

    @property
    def window(self) -> int:
        """Tokens of prompt and answer: as asked, or what the model was measured to answer over, or all."""
        if self.settings.window is not None:
            return self.settings.window
        if self.settings.strategy == "full":
            return self.profile.native_window
        return self.profile.effective_window

    @property
    def is_lookup_only(self) -> bool:
        """Whether the model is small: it reads single sentences and copies its answer from them."""
        return self.profile.capabilities <= {Capability.LOOKUP}
