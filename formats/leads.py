"""What leads up to a definition: the comments and decorators directly above it."""

from bisect import bisect_left, bisect_right
from typing import NamedTuple

MAX_COLUMN = 1000
"""What begins further to the right stands in minified code, where lines are no places."""
MAX_GAP = 200
_BLANK_LINE = 2  # newlines between two things


class Lead(NamedTuple):
    """A comment or a mark (`definitions.py`), in bytes of its file; `column` is where its line has it."""

    end: int
    start: int
    column: int
    is_comment: bool


class Leads:
    """The leads of a file in UTF-8."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._all: list[Lead] = []
        self._above: list[Lead] = []  # without the comments behind code, which lead up to nothing
        self._ends: list[int] = []  # of those

    def add_comment(self, start: int, end: int, column: int) -> None:
        """Take in a comment."""
        if start == 0 and self._content.startswith(b"#!"):
            return
        # Some grammars take a line's end, or half of a Windows one, into the comment.
        end = start + len(self._content[start:end].rstrip(b"\r\n"))
        lead = Lead(end, start, column, is_comment=True)
        self._all.append(lead)
        if column <= MAX_COLUMN and not self._content[start - column : start].strip():
            self._above.append(lead)
            self._ends.append(end)

    def add_mark(self, start: int, end: int, column: int) -> None:
        """Take in a mark."""
        lead = Lead(end, start, column, is_comment=False)
        self._all.append(lead)
        self._above.append(lead)
        self._ends.append(end)

    def sort(self) -> None:
        """Put them into the order of their ends, where they did not come in it."""
        self._all.sort()
        self._above.sort()
        self._ends = [lead.end for lead in self._above]

    def up_to(self, line: int, indent: int) -> tuple[int, tuple[int, int] | None]:
        """The beginning of the first line that leads up to a definition, and its comment if it has one.

        Args:
            line: Where the definition's own line begins.
            indent: Of that line, in bytes.
        """
        start = line + indent
        comment: tuple[int, int] | None = None
        index = bisect_right(self._ends, start) - 1
        while index >= 0:
            lead = self._above[index]
            if not self._is_above(lead, start, indent):
                break
            line = lead.start - lead.column
            before = self._content[line : lead.start]
            start = line + len(before) - len(before.lstrip())
            if lead.is_comment:
                comment = (lead.start, comment[1] if comment else lead.end)
            index = bisect_right(self._ends, start) - 1
        return line, comment

    def _is_above(self, lead: Lead, start: int, indent: int) -> bool:
        """Whether only white space, without an empty line, is between `lead` and what begins at `start`."""
        if lead.column > MAX_COLUMN or start - lead.end > MAX_GAP:
            return False
        gap = self._content[lead.end : start]
        if gap.strip() or (lead.is_comment and (b"\n" not in gap or gap.count(b"\n") >= _BLANK_LINE)):
            return False
        return not lead.is_comment or lead.column == indent

    def around(self, offset: int) -> Lead | None:
        """The lead that the character before `offset` stands in; of a mark, only if it ends there."""
        index = bisect_left(self._all, (offset,))
        lead = self._all[index] if index < len(self._all) else None
        return lead if lead and lead.start < offset and (lead.is_comment or lead.end == offset) else None
