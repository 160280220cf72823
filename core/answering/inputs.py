"""What a question is asked of: the sources cut, counted and ranked, beside the model that reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lctx.core.chunking.chunk import Chunk
from lctx.core.chunking.split import split_document
from lctx.core.document import Document
from lctx.core.models.profile import Capability, ModelProfile
from lctx.core.retrieval.focus import Sentence, focus
from lctx.core.retrieval.rank import Ranking, Retriever
from lctx.core.storage import ByteCache
from lctx.core.tokens.counts import count_chunks
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
    """

    strategy: str | None = None
    budget: int | None = None
    max_tokens: int | None = None
    seed: int | None = None
    window: int | None = None


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
    """

    question: str | None
    documents: Sequence[Document]
    profile: ModelProfile
    tokenizer: Tokenizer
    cache: ByteCache
    settings: AskSettings

    @cached_property
    def chunks(self) -> tuple[Chunk, ...]:
        """All documents cut, in order."""
        return tuple(chunk for document in self.documents for chunk in split_document(document))

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Tokens of each chunk, in the order of `chunks`."""
        return tuple(count_chunks(self.tokenizer, self.chunks, self.cache))

    @cached_property
    def num_tokens(self) -> int:
        """Tokens of all documents."""
        return sum(self.counts)

    @cached_property
    def ranking(self) -> Ranking:
        """The chunks that share a term with the question, best first."""
        return Retriever(self.chunks).rank(self.question or "")

    @cached_property
    def focused(self) -> list[Sentence]:
        """The sentences of the best chunks, best first; of the one document that is named, if one is."""
        named = self.ranking.named
        best = [one for one in self.ranking.best if named is None or one.chunk.document is named]
        return focus(self.ranking.query, best[:_FOCUSED_CHUNKS])

    @property
    def window(self) -> int:
        """Tokens of prompt and answer: what the model was measured to answer over, or all that it has."""
        if self.settings.strategy == "full":
            return self.profile.native_window
        return self.profile.effective_window

    @property
    def is_lookup_only(self) -> bool:
        """Whether the model is small: it reads single sentences and copies its answer from them."""
        return self.profile.capabilities <= {Capability.LOOKUP}
