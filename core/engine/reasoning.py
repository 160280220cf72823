"""What a model says to itself, told apart from its answer while the text arrives."""

import re
from collections.abc import Iterator
from enum import Enum

from lctx.core.engine.events import ReasoningDelta, TextDelta
from lctx.core.models.reasoning import THINK, ReasoningMarkers

Said = ReasoningDelta | TextDelta

_LONGEST_HEADER = 200
"""Characters of a channel's header; what is longer is text that looks like one."""
_HEADER = re.compile(
    r"\s*(?:<\|start\|>assistant[^<]*)?<\|channel\|>([^<]*)(?:<\|constrain\|>[^<]*)?<\|message\|>"
)
_NEXT_MESSAGE = re.compile(
    r"(?:<\|(?:end|call|return)\|>)?\s*"
    r"<\|start\|>assistant[^<]*<\|channel\|>([^<]*)(?:<\|constrain\|>[^<]*)?<\|message\|>"
)


class _State(Enum):
    START = "nothing but white space has come"
    UNDECIDED = "kept back until it is known what it is"
    REASONING = "inside the reasoning"
    GAP = "between reasoning and answer"
    ANSWER = "in the answer: markers mean nothing any more"


class ReasoningSplitter:
    """One answer's text in, its parts out. Only the first reasoning counts: an answer may quote a marker."""

    def __init__(
        self, markers: ReasoningMarkers | None = None, *, is_open: bool = False, is_certain: bool = True
    ) -> None:
        """Begin before the first character.

        Args:
            markers: The model's; None recognises <think> where an answer begins with it.
            is_open: The prompt left the model inside its reasoning.
            is_certain: False where an open reasoning may be skipped: it is one only if it ends.
        """
        self._markers = markers or THINK
        self._state = _State.START
        if is_open:
            self._state = _State.REASONING if is_certain else _State.UNDECIDED
        self._may_repeat_start = is_open
        self._held = ""

    def feed(self, text: str) -> Iterator[Said]:
        """What is known of the text so far; a marker may be cut anywhere, so its beginning waits."""
        self._held += text
        before = None
        while before != (self._state, self._held):
            before = (self._state, self._held)
            if self._state is _State.START:
                self._begin()
            elif self._state in {_State.REASONING, _State.UNDECIDED}:
                yield from self._reasoning()
            elif self._state is _State.GAP:
                self._gap()
            elif self._state is _State.ANSWER:
                yield from self._answer()

    def skip(self) -> None:
        """Take all that comes as the answer: the engine tells its reasoning apart by itself."""
        self._state = _State.ANSWER

    def finish(self) -> Iterator[Said]:
        """What was still held back."""
        held, self._held = self._held, ""
        if (begun := self._end_mark(held)) is not None:
            held = held[:begun]
        if held and self._state is not _State.GAP:
            yield ReasoningDelta(held) if self._state is _State.REASONING else TextDelta(held)

    def _begin(self) -> None:
        """Reasoning, or at once the answer."""
        begun = self._held.lstrip()
        if self._markers.in_channels:
            self._begin_channel()
        elif begun.startswith(self._markers.start):
            self._held = begun.removeprefix(self._markers.start)
            self._state = _State.REASONING
        elif self._markers.answer_start and begun.startswith(self._markers.answer_start):
            self._state = _State.GAP
        elif not any(mark.startswith(begun) for mark in (self._markers.start, self._markers.answer_start)):
            self._state = _State.ANSWER

    def _gap(self) -> None:
        """Pass over what stands between reasoning and answer."""
        self._held = self._held.lstrip()
        start = self._markers.answer_start
        if start and self._held.startswith(start):
            self._held = self._held.removeprefix(start)
            self._state = _State.ANSWER
        elif self._held and not start.startswith(self._held):
            self._state = _State.ANSWER

    def _begin_channel(self) -> None:
        if header := _HEADER.match(self._held):
            self._enter(header)
        elif not _may_become_header(self._held):
            self._state = _State.ANSWER

    def _enter(self, header: re.Match[str]) -> None:
        self._held = self._held[header.end() :]
        is_final = header[1].split()[:1] == ["final"]
        self._state = _State.ANSWER if is_final else _State.REASONING

    def _reasoning(self) -> Iterator[Said]:
        if self._markers.in_channels:
            yield from self._channel()
            return
        if self._may_repeat_start:  # some models open it again
            begun = self._held.lstrip()
            if len(begun) < len(self._markers.start) and self._markers.start.startswith(begun):
                return
            self._may_repeat_start = False
            if begun.startswith(self._markers.start):
                self._held = begun.removeprefix(self._markers.start)
        said, end, rest = self._held.partition(self._markers.end)
        if end:
            self._held = rest
            self._state = _State.GAP
            if said:
                yield ReasoningDelta(said)
        elif self._state is _State.REASONING:
            yield from self._released(len(said) - beginning_of(said, self._markers.end), ReasoningDelta)

    def _channel(self) -> Iterator[Said]:
        header = _NEXT_MESSAGE.search(self._held)
        if header is not None:
            if said := self._held[: header.start()]:
                yield ReasoningDelta(said)
            self._enter(header)
            return
        if self._state is _State.UNDECIDED:
            return
        recent = max(len(self._held) - _LONGEST_HEADER, 0)
        mark = self._held.find("<", recent)
        yield from self._released(mark if mark >= 0 else len(self._held), ReasoningDelta)

    def _answer(self) -> Iterator[Said]:
        end = len(self._held)
        if ends := self._markers.answer_ends:
            # The mark that ends the message is none of its text; anywhere else it is a quotation.
            begun = self._end_mark(self._held)
            end = end - max(beginning_of(self._held, mark) for mark in ends) if begun is None else begun
        yield from self._released(end, TextDelta)

    def _end_mark(self, text: str) -> int | None:
        """Where the mark that ends the text begins; None where there is none."""
        shorn = text.rstrip()
        mark = next((mark for mark in self._markers.answer_ends if shorn.endswith(mark)), None)
        return None if mark is None else len(shorn) - len(mark)

    def _released(self, until: int, kind: type[ReasoningDelta] | type[TextDelta]) -> Iterator[Said]:
        said, self._held = self._held[:until], self._held[until:]
        if said:
            yield kind(said)


def beginning_of(text: str, marker: str) -> int:
    """How many characters at the end of `text` may be the beginning of `marker`."""
    longest = min(len(text), len(marker) - 1)
    return next((length for length in range(longest, 0, -1) if marker.startswith(text[-length:])), 0)


def _may_become_header(text: str) -> bool:
    begun = text.lstrip()
    is_begun = any(
        begun.startswith(mark) or mark.startswith(begun) for mark in ("<|channel|>", "<|start|>assistant")
    )
    return is_begun and len(begun) <= _LONGEST_HEADER
