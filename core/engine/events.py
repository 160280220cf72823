"""What an engine sends while it answers: the one event stream behind every engine."""

from dataclasses import dataclass
from enum import Enum


class FinishReason(Enum):
    """Why the engine stopped."""

    STOP = "stop"
    LENGTH = "length"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class PrefillProgress:
    """How much of the prompt the engine has read.

    Attributes:
        done: Prompt tokens processed so far, cached ones included.
        total: Prompt tokens in all.
        cached: Prompt tokens that were already in the KV cache.
    """

    done: int
    total: int
    cached: int = 0


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of the answer's text; never half a character."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More of what the model says to itself before it answers: never part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """The engine's own count of one request, in tokens.

    Attributes:
        prompt_tokens: Of the whole prompt, cached ones included.
        cached_tokens: Of the prompt, those that were already in the KV cache.
        completion_tokens: Of the answer.
        known: False where the engine did not tell; all counts are 0 then.
        cached_known: False where it did not tell how many were cached; they count as none then.
    """

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    known: bool = True
    cached_known: bool = True


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a stream that ended well: always the last event, exactly once."""

    reason: FinishReason
    usage: Usage


EngineEvent = PrefillProgress | ReasoningDelta | TextDelta | Finished
