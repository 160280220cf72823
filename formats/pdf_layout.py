"""A page's text in the order in which it is read, and where its lines' cells begin.

pdfium gives text in the order in which it was drawn. That is the order of reading on almost every page, and
there its text is left exactly as it is. Runs in the child process.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, NamedTuple

from lctx.formats.pdf_columns import column_order
from lctx.formats.pdf_library import handle_of, pdfium, text_of
from lctx.formats.pdf_pieces import Line, Pieces
from lctx.formats.pdf_tables import may_hold_table, table_rows

_JOINED = "\ufffe"
"""Where pdfium joined the halves of a hyphenated word: no line end stands there."""


class PageText(NamedTuple):
    """The text of a page.

    Attributes:
        text: As it is read.
        origins: Where each character of it stands in pdfium's own text of the page, -1 for those that were
            added; None where it is pdfium's own text.
        cells: Where a line's next cell begins, in order.
    """

    text: str
    origins: Sequence[int] | None
    cells: list[int]


def page_text(textpage: Any, num_chars: int | None = None) -> PageText:
    """The text of a page.

    Args:
        textpage: pdfium's, or pypdfium2's.
        num_chars: How many characters pdfium counts on it, where that is known.
    """
    count = pdfium().FPDFText_CountChars(textpage) if num_chars is None else num_chars
    text = text_of(textpage, count)
    pieces = Pieces(handle_of(textpage), text, count)
    pieces.measure()
    cells = sorted(start for starts in pieces.gaps.values() for start in starts)
    may_be_table = pieces.can_measure and may_hold_table(text, pieces.lines)
    if pieces.is_suspect or may_be_table:
        lines = pieces.pieces()
        moved = column_order(text, lines) if pieces.is_suspect else []
        if not moved and may_be_table:
            moved = table_rows(text, lines)
        if moved:
            return _rearranged(text, cells, lines, moved)
    return PageText(text, None, cells)


class _Building:
    """A text that is put together from stretches of another one."""

    def __init__(self, text: str, cells: Sequence[int]) -> None:
        self.parts: list[str] = []
        self.origins: list[int] = []
        self.cells: list[int] = []
        self._text = text
        self._cells = cells

    def keep(self, start: int, end: int) -> None:
        """Go on with `text[start:end]` and its cells."""
        first, last = bisect_left(self._cells, start), bisect_left(self._cells, end)
        self.cells += [len(self.origins) + cell - start for cell in self._cells[first:last]]
        self.parts.append(self._text[start:end])
        self.origins += range(start, end)

    def add(self, text: str) -> None:
        """Go on with characters that stand nowhere on the page."""
        self.parts.append(text)
        self.origins += [-1] * len(text)

    def keep_line(self, line: Line) -> None:
        """Go on with the pieces of a line, and its end."""
        end = line[0].start
        for piece in line:
            if piece is not line[0] and (piece.start < end or self._text[end : piece.start].strip()):
                self.add(" ")
                self.cells.append(len(self.origins))
                end = piece.start
            self.keep(end, piece.end)
            end = piece.end
        if self._text.startswith(_JOINED, end):
            self.keep(end, end + 1)
        else:
            self.add("\r\n")


def _rearranged(
    text: str, cells: Sequence[int], lines: Sequence[Line], moved: Sequence[tuple[int, int, list[Line]]]
) -> PageText:
    """The text with some stretches of its lines replaced by others that are made of the same pieces."""
    found = _Building(text, cells)
    position = 0
    for first, last, instead in moved:
        found.keep(position, lines[first][0].start)
        for line in instead:
            found.keep_line(line)
        position = lines[last][0].start if last < len(lines) else len(text)
    found.keep(position, len(text))
    return PageText("".join(found.parts), found.origins, found.cells)
