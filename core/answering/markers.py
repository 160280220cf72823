"""The ids that a model writes into its answer, taken out of the stream while it runs."""

import re

# As much as is held back of a bracket that is still open: a longer one is no list of ids, streamed or whole.
_INSIDE = r"[\sS\d,;]{0,400}"
_MARKER = re.compile(rf"[ \t]*\[(?={_INSIDE}\])\s*S\d{{1,7}}(?:\s*[,;]?\s*S\d{{1,7}})*\s*\]")
_NUMBER = re.compile(r"S(\d{1,7})")
_OPEN = re.compile(rf"[ \t]*(?:\[{_INSIDE})?$")


class MarkerFilter:
    """Splits a streamed answer into its text and the ids in it; an id never shows, not even in part.

    Attributes:
        passed_on: How much of the text the caller has passed on: the caller's own count.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.passed_on = 0
        self._held = ""
        self._length = 0
        self._found: list[tuple[int, int]] = []

    def feed(self, delta: str) -> str:
        """The text that `delta` completes, without ids; what may still become an id is held back."""
        self._held += delta
        return self._release(keep_open=True)

    def finish(self) -> str:
        """The text that is still held back."""
        return self._release(keep_open=False)

    def between(self, start: int, end: int) -> list[int]:
        """The numbers of the ids that stood in or behind `text[start:end]`, each once."""
        inside = (number for position, number in self._found if start < position <= end)
        return list(dict.fromkeys(inside))

    def _release(self, *, keep_open: bool) -> str:
        parts: list[str] = []
        position = 0
        for found in _MARKER.finditer(self._held):
            parts.append(self._held[position : found.start()])
            self._length += len(parts[-1])
            self._found += [(self._length, int(number)) for number in _NUMBER.findall(found[0])]
            position = found.end()
        rest = self._held[position:]
        open_at = _OPEN.search(rest) if keep_open else None
        cut = open_at.start() if open_at else len(rest)
        parts.append(rest[:cut])
        self._length += cut
        self._held = rest[cut:]
        return "".join(parts)
