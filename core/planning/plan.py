"""The plan: what enters the window, what stays out and why, to the token, before anything runs."""

from dataclasses import dataclass

from lctx.core.chunking.chunk import Chunk
from lctx.core.errors import DoesNotFitError
from lctx.core.planning.strategy import StrategyEstimate
from lctx.core.planning.window import Window


@dataclass(frozen=True, slots=True)
class ContextBudget:
    """How one window is divided, in tokens. The parts add up to the window.

    Attributes:
        window: Prompt and answer together, a hard ceiling.
        instructions: Everything in the prompt that is neither source text nor question: the task, worked
            examples, the template, the label of each passage.
        question: The question itself.
        answer: Kept free for the answer.
        margin: Kept free because the user asked for less (`--budget`).
    """

    window: int
    instructions: int
    question: int
    answer: int
    margin: int = 0

    @property
    def sources(self) -> int:
        """Tokens left for source text; negative where the question alone is too long."""
        return self.window - self.instructions - self.question - self.answer - self.margin

    def require_room(self) -> None:
        """Raise a `DoesNotFitError` where not one token of source would fit."""
        if self.sources <= 0:
            raise DoesNotFitError(
                f"the question does not fit: {self.question:,} tokens of question, {self.instructions:,} of "
                f"instructions and {self.answer:,} kept for the answer leave nothing of a window of "
                f"{self.window:,}",
                "shorten the question, lower --max-tokens, or choose a model with a larger window",
            )


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a chunk with its token count: what is read, or left out."""

    chunk: Chunk
    start: int
    end: int
    num_tokens: int

    @property
    def text(self) -> str:
        """The characters of the piece."""
        return self.chunk.document.text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Omission:
    """A piece that the model will not read, why, and what would have it read."""

    piece: Piece
    reason: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class WindowChange:
    """What another window would change.

    Attributes:
        window: Tokens of prompt and answer.
        change: One clause.
        rope: The scaling that it would take, or None for the model's own rope.
        kv_cache_bytes: What it would fill of the KV cache, or None where the shape is unknown.
    """

    window: int
    change: str
    rope: str | None = None
    kv_cache_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ContextPlan:
    """Every character of the sources is in exactly one of `included` and `omitted`.

    Attributes:
        strategy: "full" or "retrieve".
        why: One line: the reason for the strategy.
        budget: How the window is divided.
        included: In prompt order.
        omitted: In document order, each with its reason.
        prompt_tokens: The exact length of the prompt; the engine's own count must equal it.
        exact: Whether the counts come from the served model's own tokenizer.
        kv_cache_bytes: What prompt and answer fill of the KV cache, or None where the shape is unknown.
        estimates: What each strategy would cost.
        window: The length that an engine is started for, with its rope; None in a plan that names none.
        other_windows: What a smaller or a larger window would change.
        warnings: Where the answer is known to be worse than it looks, one line each.
    """

    strategy: str
    why: str
    budget: ContextBudget
    included: tuple[Piece, ...]
    omitted: tuple[Omission, ...]
    prompt_tokens: int
    exact: bool
    kv_cache_bytes: int | None = None
    estimates: tuple[StrategyEstimate, ...] = ()
    window: Window | None = None
    other_windows: tuple[WindowChange, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def read_tokens(self) -> int:
        """Tokens of source text that the model reads."""
        return sum(piece.num_tokens for piece in self.included)

    @property
    def total_tokens(self) -> int:
        """Tokens of all sources: read and left out."""
        return self.read_tokens + sum(omission.piece.num_tokens for omission in self.omitted)
