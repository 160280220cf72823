"""The answer and its receipt: what was said, on what evidence, and what the model read to say it."""

from dataclasses import dataclass

from lctx.core.citing.citation import Citation
from lctx.core.engine.events import PrefillProgress, ReasoningDelta, Usage
from lctx.core.planning.plan import ContextPlan


@dataclass(frozen=True, slots=True)
class Answer:
    """What lctx says.

    Attributes:
        text: The answer; offsets of citations point into it.
        found: True where the sources answer the question, False where they do not, None where lctx shows
            passages instead of an answer.
        reason: Why `found` is not True, one line.
    """

    text: str
    found: bool | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """A stretch of one source that was read or left out.

    Attributes:
        path: The source.
        chars: Code points into the source's text, half-open.
        tokens: How many tokens it has.
        reason: Why it was left out; None in rows that were read.
    """

    path: str
    chars: tuple[int, int]
    tokens: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """Every token of every source, in one of two lists: the receipt of what the model read."""

    exact: bool
    read: tuple[CoverageRow, ...]
    omitted: tuple[CoverageRow, ...]

    @property
    def read_tokens(self) -> int:
        """Tokens of source text that the model read."""
        return sum(row.tokens for row in self.read)

    @property
    def total_tokens(self) -> int:
        """Tokens of all sources."""
        return self.read_tokens + sum(row.tokens for row in self.omitted)


@dataclass(frozen=True, slots=True)
class PlanReady:
    """The plan stands; nothing has been sent yet."""

    plan: ContextPlan


@dataclass(frozen=True, slots=True)
class AnswerDelta:
    """More of the answer's text. All deltas together are the final text's beginning."""

    text: str


@dataclass(frozen=True, slots=True)
class AnswerReady:
    """The answer, checked: always the last event.

    Attributes:
        answer: What is said.
        citations: In order of their markers.
        coverage: What the model read.
        usage: The engine's count, or None where no engine was asked.
        first_token_s: Seconds from the request to the first token, or None.
        warnings: What the reader of the answer must know, one sentence each.
        decode_s: Seconds from the first token to the last, or None.
    """

    answer: Answer
    citations: tuple[Citation, ...]
    coverage: Coverage
    usage: Usage | None
    first_token_s: float | None
    warnings: tuple[str, ...] = ()
    decode_s: float | None = None


AnswerEvent = PlanReady | PrefillProgress | ReasoningDelta | AnswerDelta | AnswerReady
