"""The rows of a table in HTML: each on a line of its own, its cells in their columns.

A cell that goes on to the right or downwards is said in each column and row that it fills, so that every row
says by itself what its values are.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lctx.formats.html_tags import number_of

MAX_COLUMNS = 100
"""The most columns that one cell fills; HTML allows ten times as many."""
MAX_REPEATED_CHARS = 1_000_000
"""As much of a page as may be said again for cells that go on."""
ROW_GROUPS = frozenset({"thead", "tbody", "tfoot"})
"""No cell goes on from one of these to the next."""

_MAX_CELL_CHARS = 2_000  # of a table that shows values; larger cells are columns of a layout
_MAX_LABEL_CHARS = 200  # what is longer is no label, and said once
_BETWEEN = " | "


@dataclass(slots=True)
class Paragraph:
    """One paragraph, heading, item of a list, row of a table, or stretch of preformatted text.

    Attributes:
        kind: As in `Block`.
        text: Without white space around it; line ends are those that the page shows.
        links: (start, end, address) within `text`.
        level: Of a heading, from 1.
        table: Which table a row belongs to.
    """

    kind: str
    text: str
    links: list[tuple[int, int, str]] = field(default_factory=list)
    level: int = 0
    table: int = 0


@dataclass(slots=True)
class Cell:
    """One cell: what stands in it, how many columns it fills, and how many more rows below its own."""

    paragraphs: list[Paragraph]
    columns: int
    rows_below: int

    @property
    def is_layout(self) -> bool:
        """Whether it is a part of the page rather than a value."""
        return (
            any(paragraph.kind in {"heading", "table", "code"} for paragraph in self.paragraphs)
            or sum(len(paragraph.text) for paragraph in self.paragraphs) > _MAX_CELL_CHARS
        )


class Repeats:
    """How much may still be said again in one page."""

    def __init__(self) -> None:
        self._left = MAX_REPEATED_CHARS

    def take(self, text: str) -> str | None:
        """`text` where it is a label, nothing where it is longer, None where no more may be said again."""
        text = text if len(text) <= _MAX_LABEL_CHARS else ""
        self._left -= len(text) + len(_BETWEEN)
        return text if self._left >= 0 else None


class Table:
    """A table that is being read.

    Attributes:
        number: Which of the page's tables it is.
        has_open_cell: Whether what comes next stands in a cell.
    """

    def __init__(self, number: int, repeats: Repeats) -> None:
        self.number = number
        self.has_open_cell = False
        self._repeats = repeats
        self._row: list[Cell] = []
        self._going_on: dict[int, Cell] = {}  # by their first column

    def begin_group(self) -> None:
        """Begin a group of rows, unless a cell holds it."""
        if not self.has_open_cell:
            self._going_on = {}

    def open_cell(self, attributes: Mapping[str, str]) -> list[Paragraph]:
        """Begin a cell: where its paragraphs go."""
        columns = min(max(number_of(attributes.get("colspan"), 1), 1), MAX_COLUMNS)
        rows = number_of(attributes.get("rowspan"), 1)
        # 0 is all that are left.
        self._row.append(Cell([], columns, max(rows - 1, 0) if rows else MAX_REPEATED_CHARS))
        self.has_open_cell = True
        return self._row[-1].paragraphs

    def end_row(self) -> list[Paragraph]:
        """The row on one line; what is a layout, or stands alone, paragraph by paragraph."""
        row, self._row = self._row, []
        own = [paragraph for cell in row for paragraph in cell.paragraphs]
        if not row:
            return []
        if any(cell.is_layout for cell in row):
            self._going_on = {}
            return own
        placed = list(self._in_columns(row))
        if not own or (len(row) == 1 and len(placed) == 1):
            return own
        return [self._joined(placed)]

    def _in_columns(self, row: list[Cell]) -> Iterator[tuple[Cell, bool]]:
        """The cells of a row from left to right, and whether each goes on from the row above."""
        earlier, self._going_on = self._going_on, {}
        column = 0

        def those_above() -> Iterator[tuple[Cell, bool]]:
            nonlocal column
            while cell := earlier.pop(column, None):
                yield self._placed(cell, column), True
                column += cell.columns

        for cell in row:
            yield from those_above()
            yield self._placed(cell, column), False
            column += cell.columns
        for last in sorted(one for one in earlier if one >= column):
            column = max(column, last)
            yield from those_above()

    def _placed(self, cell: Cell, column: int) -> Cell:
        if cell.rows_below > 0:
            self._going_on[column] = Cell(cell.paragraphs, cell.columns, cell.rows_below - 1)
        return cell

    def _joined(self, placed: list[tuple[Cell, bool]]) -> Paragraph:
        pieces: list[str] = []
        links: list[tuple[int, int, str]] = []
        length = 0
        for cell, is_above in placed:
            text, own_links = _on_one_line(cell.paragraphs)
            texts = [] if is_above else [text]
            # A row of one cell is a caption over the whole table: to say it once is enough.
            for _ in range(cell.columns - len(texts) if len(placed) > 1 else 0):
                again = self._repeats.take(text)
                if again is None:
                    break
                texts.append(again)
            for index, one in enumerate(texts):
                length += len(_BETWEEN) if pieces else 0
                if not is_above and index == 0:
                    links += [(length + start, length + end, target) for start, end, target in own_links]
                pieces.append(one)
                length += len(one)
        return Paragraph("table", _BETWEEN.join(pieces), links, table=self.number)


def _on_one_line(paragraphs: list[Paragraph]) -> tuple[str, list[tuple[int, int, str]]]:
    pieces: list[str] = []
    links: list[tuple[int, int, str]] = []
    length = 0
    for paragraph in paragraphs:
        links += [(length + start, length + end, target) for start, end, target in paragraph.links]
        pieces.append(paragraph.text.replace("\n", " "))
        length += len(paragraph.text) + 1
    return " ".join(pieces), links
