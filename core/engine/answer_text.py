"""From what arrives to what was answered: reasoning apart, stops kept, a wrapped choice unwrapped."""

import json
from collections.abc import Iterator

from lctx.core.engine.dialects import CHOICE_KEY
from lctx.core.engine.events import ReasoningDelta, TextDelta
from lctx.core.engine.protocol import Sampling
from lctx.core.engine.reasoning import ReasoningSplitter, Said, beginning_of
from lctx.core.errors import EngineRefusedError


class AnswerText:
    """The text of one answer on its way."""

    def __init__(self, sampling: Sampling, *, wraps_choice: bool) -> None:
        """Begin before the first character.

        Args:
            sampling: What was asked for.
            wraps_choice: The engine gives a choice inside a JSON object.
        """
        structured = sampling.structured
        # Where the engine knows nothing of reasoning, a form holds the first token: then there is none.
        self._splitter = ReasoningSplitter(
            sampling.reasoning, is_open=sampling.reasoning_open, is_certain=structured is None
        )
        # Where the model reasons, the engine was not told the stops: they are for the answer alone.
        self._stop = _Stop(sampling.stop if sampling.reasoning is not None else ())
        self._choice = structured.choice if structured is not None and wraps_choice else None
        self._wrapped = ""
        self._tells_apart = False
        self.has_reasoning = False
        self.has_answer = False

    @property
    def is_stopped(self) -> bool:
        """Whether the answer has ended before one of its stops."""
        return self._stop.is_hit

    def reasoning(self, text: str) -> Iterator[Said]:
        """What the engine itself calls reasoning."""
        if not self._tells_apart:
            self._tells_apart = True
            self._splitter.skip()
        if text:
            self.has_reasoning = True
            yield ReasoningDelta(text)

    def feed(self, text: str) -> Iterator[Said]:
        """What is known of the text so far."""
        for said in self._splitter.feed(text):
            yield from self._passed(said)

    def finish(self) -> Iterator[Said]:
        """What was still held back.

        Raises:
            EngineRefusedError: The answer is none of the choices.
        """
        for said in self._splitter.finish():
            yield from self._passed(said)
        if rest := self._stop.finish():
            yield from self._told(rest)
        if self._choice is not None and self._wrapped.strip():
            yield TextDelta(_unwrapped(self._wrapped, self._choice))

    def _passed(self, said: Said) -> Iterator[Said]:
        if isinstance(said, ReasoningDelta):
            self.has_reasoning = True
            yield said
        elif text := self._stop.feed(said.text):
            yield from self._told(text)

    def _told(self, text: str) -> Iterator[Said]:
        self.has_answer = self.has_answer or bool(text.strip())
        if self._choice is None:
            yield TextDelta(text)
        else:
            self._wrapped += text


class _Stop:
    """Lets text through until one of the stops."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.is_hit = False

    def feed(self, text: str) -> str:
        if not self._stops or self.is_hit:
            return "" if self.is_hit else text
        self._held += text
        places = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        self.is_hit = bool(places)
        until = min(
            places, default=len(self._held) - max(beginning_of(self._held, one) for one in self._stops)
        )
        said, self._held = self._held[:until], "" if self.is_hit else self._held[until:]
        return said

    def finish(self) -> str:
        held, self._held = self._held, ""
        return held


def _unwrapped(text: str, choice: tuple[str, ...]) -> str:
    """The choice inside of its JSON object, or as the engine gave it.

    Raises:
        EngineRefusedError: It is none of those that were offered.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text.strip()
    if isinstance(value, dict):
        value = value.get(CHOICE_KEY)
    if value not in choice:
        raise EngineRefusedError(
            "the engine's answer is none of the choices that it was given",
            "it may not know response_format: use an engine of kind vllm or llama",
        )
    return str(value)
