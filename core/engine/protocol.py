"""What an engine is to the rest of lctx: a model that turns token ids or messages into events."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from lctx.core.engine.events import EngineEvent
from lctx.core.engine.structured import StructuredOutput
from lctx.core.models.reasoning import ReasoningMarkers


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat prompt."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the answer is drawn.

    Attributes:
        max_tokens: At most this many tokens of answer.
        temperature: 0 is greedy.
        seed: Same seed, same prompt, same engine: same answer.
        stop: The text ends before the first of these.
        structured: The form that the answer is held to, where given.
        reasoning: How the model marks its reasoning; None takes for it what the engine calls so, or what
            <think> encloses at the very beginning.
        reasoning_open: The prompt's template left the model inside its reasoning.
        reasoning_tokens: Tokens of reasoning beside those of the answer; None leaves both to `max_tokens`.
    """

    max_tokens: int
    temperature: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    structured: StructuredOutput | None = None
    reasoning: ReasoningMarkers | None = None
    reasoning_open: bool = False
    reasoning_tokens: int | None = None

    @property
    def total_tokens(self) -> int:
        """Tokens of reasoning and answer together."""
        return self.max_tokens + (self.reasoning_tokens or 0)


Prompt = Sequence[int] | Sequence[Message]
"""Token ids where the tokenizer is at hand (exact to the token), messages for hosted endpoints."""


class Engine(Protocol):
    """A model that is being served, wherever it runs.

    `generate` is lazy and abortable: closing the iterator closes the connection, and the engine drops the
    request at its next step. Exactly one `Finished` comes last; an iterator that ends otherwise raises an
    `EngineError`.
    """

    @property
    def label(self) -> str:
        """The engine and its version or address, as answers report it: "llama xllamacpp/2026.10"."""
        ...

    @property
    def window(self) -> int:
        """Tokens of prompt and answer together that one request may hold."""
        ...

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        """Stream the answer to `prompt`."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """The engine's own ids of `text`, special tokens as ordinary text, no begin-of-sequence id."""
        ...

    def close(self) -> None:
        """Let go of the connection. A server that lctx manages stays warm."""
        ...
