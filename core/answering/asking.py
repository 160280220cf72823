"""One request to the engine: its events as they come, its text and usage when it has ended."""

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import cast

from lctx.core.answering.plan_answer import Planned
from lctx.core.engine.events import (
    EngineEvent,
    Finished,
    FinishReason,
    PrefillProgress,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from lctx.core.engine.protocol import Engine, Sampling
from lctx.core.errors import DoesNotFitError, EngineError

CUT = "the answer was cut at --max-tokens"


@dataclass
class Asked:
    """What one request has given so far.

    Attributes:
        usage: The engine's own count, once it has ended.
        reason: Why it ended.
        first_token_s: Seconds from the request to the first token, or None.
        decode_s: Seconds from the first token to the end, or None.
    """

    usage: Usage | None = None
    reason: FinishReason | None = None
    first_token_s: float | None = None
    decode_s: float | None = None
    _begun: float = field(default_factory=time.monotonic)

    def stream(
        self, engine: Engine, planned: Planned, sampling: Sampling
    ) -> Iterator[PrefillProgress | ReasoningDelta | TextDelta]:
        """Send the prompt; give what comes back. Closing this aborts the request.

        Raises:
            DoesNotFitError: The engine's window is smaller than the plan's prompt and answer.
            EngineError: It failed, or counted another number of prompt tokens than was planned.
        """
        needed = planned.plan.prompt_tokens + sampling.total_tokens
        if planned.plan.exact and needed > engine.window:
            raise DoesNotFitError(
                f"the engine's window is too small: {needed:,} tokens planned, {engine.window:,} served",
                "start it with a larger window, or lower --budget",
            )
        self._begun = time.monotonic()
        events = engine.generate(planned.laid_out.prompt, sampling)
        with closing(cast("Generator[EngineEvent]", events)):
            for event in events:
                if isinstance(event, Finished):
                    self._end(event, planned)
                    return
                if isinstance(event, ReasoningDelta | TextDelta) and self.first_token_s is None:
                    self.first_token_s = time.monotonic() - self._begun
                yield event

    def _end(self, event: Finished, planned: Planned) -> None:
        self.usage, self.reason = event.usage, event.reason
        if self.first_token_s is not None:
            self.decode_s = time.monotonic() - self._begun - self.first_token_s
        counted, expected = event.usage.prompt_tokens, planned.plan.prompt_tokens
        if planned.plan.exact and event.usage.known and counted != expected:
            raise EngineError(
                f"the engine read another prompt than planned: {counted:,} tokens, not {expected:,}",
                "the model's tokenizer and the engine's differ: name the model that the engine serves",
            )
