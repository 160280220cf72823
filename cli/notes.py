"""What goes to standard error: one plan line, progress, warnings, errors, one usage line."""

import os
import sys
from collections.abc import Iterable
from time import monotonic
from unicodedata import east_asian_width

from lctx.cli.clean import displayable, one_line
from lctx.core.errors import LctxError

_INTERVAL_S = 0.1
_MIN_COLUMNS = 10
_MAX_WARNINGS = 10


class Notes:
    """Standard error for people; nothing here is ever part of the answer.

    Args:
        quiet: Leave out all but warnings and errors.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._stream = sys.stderr
        self.is_terminal = bool(self._stream and self._stream.isatty()) and os.environ.get("TERM") != "dumb"
        self._quiet = quiet
        self._shown = False
        self._last = 0.0
        self._warned: set[str] = set()
        self._num_withheld = 0

    def line(self, text: str) -> None:
        """One line of what is going on."""
        if not self._quiet:
            self._put(one_line(text))

    def warning(self, text: str) -> None:
        """One warning, the first time that it is given; a tree of odd files does not fill the screen."""
        if text in self._warned:
            return
        self._warned.add(text)
        if len(self._warned) <= _MAX_WARNINGS:
            self._put(f"warning: {one_line(text)}")
        else:
            self._num_withheld += 1

    def withheld(self) -> None:
        """Say how many warnings were not shown."""
        if self._num_withheld:
            self._put(f"warning: {self._num_withheld} more; --format json lists all of them")
            self._num_withheld = 0

    def error(self, error: LctxError) -> None:
        """The two lines of an error."""
        self._put(f"error: {one_line(error.message)}")
        if error.hint:
            self._put(f"hint: {one_line(error.hint)}")

    def command(self, text: str) -> None:
        """One command that would fit, never broken into lines, so that it can be pasted."""
        self.clear()
        self._write(f"fits: {text}\n")

    def reasoning(self, text: str) -> None:
        """More of what the model thinks, as it arrives; never part of the answer."""
        self.clear()
        self._write(displayable(text))

    def progress(self, text: str, *, now: bool = False) -> None:
        """Show `text` in place of the last progress, on a terminal only."""
        if self._quiet or not self.is_terminal:
            return
        if not now and self._shown and monotonic() - self._last < _INTERVAL_S:
            return
        self._last = monotonic()
        self._shown = True
        self._write("\r\x1b[K" + fit(one_line(text), max(_columns() - 1, _MIN_COLUMNS)))

    def clear(self) -> None:
        """Take the progress line away."""
        if self._shown:
            self._shown = False
            self._write("\r\x1b[K")

    def _put(self, text: str) -> None:
        self.clear()
        if self.is_terminal:
            from textwrap import fill

            text = fill(text, max(_columns() - 1, _MIN_COLUMNS), break_on_hyphens=False)
        self._write(text + "\n")

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.buffer.write(text.encode("utf-8", "backslashreplace"))
            self._stream.buffer.flush()
        except (OSError, ValueError):  # nobody can be told that nobody can be told
            self._stream = None


def bar(done: int, total: int, width: int = 20) -> str:
    """A bar in plain characters: `#####...............`."""
    filled = width if total <= 0 else min(width, done * width // total)
    return "#" * filled + "." * (width - filled)


def join_few(names: Iterable[str], most: int = 3) -> str:
    """A few names, and how many more there are."""
    listed = list(names)
    more = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {more} more" if more > 0 else "")


def fit(text: str, columns: int) -> str:
    """The beginning of `text` that fills at most `columns` cells; East Asian characters fill two."""
    if text.isascii():
        return text[:columns]
    width = 0
    for index, char in enumerate(text):
        width += 2 if east_asian_width(char) in "WF" else 1
        if width > columns:
            return text[:index]
    return text


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        return 80
