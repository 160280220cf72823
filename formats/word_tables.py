"""The grid of a Word table: which columns a cell fills, and which cells go on from the row above."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lctx.formats.word_styles import attribute, find, number

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_COLUMNS = 63
"""The most columns that Word gives a table; a cell that claims more fills no more."""


@dataclass(frozen=True, slots=True)
class GridCell:
    """One cell of a row.

    Attributes:
        element: Its `w:tc`.
        column: The first column that it fills, from 0.
        span: How many it fills.
        merge: "restart" where it goes on in the rows below, "continue" where it goes on from the row above,
            None where it stands in one row.
    """

    element: "_Element"
    column: int
    span: int
    merge: str | None


def grid_row(row: "_Element", cells: Iterable["_Element"]) -> list[GridCell]:
    """The `cells` of `row` in their columns."""
    column = min(number(attribute(find(row, "trPr", "gridBefore")), 0) or 0, MAX_COLUMNS)
    found: list[GridCell] = []
    for cell in cells:
        properties = find(cell, "tcPr")
        if attribute(find(properties, "hMerge")) == "continue" and found:
            last = found[-1]  # an older way to say that the cell before is wider
            found[-1] = GridCell(last.element, last.column, last.span + 1, last.merge)
            column += 1
            continue
        span = max(number(attribute(find(properties, "gridSpan")), 1) or 1, 1)
        span = min(span, max(MAX_COLUMNS - column, 1))
        vertical = find(properties, "vMerge")
        merge = None if vertical is None else attribute(vertical) or "continue"
        found.append(GridCell(cell, column, span, merge))
        column += span
    return found


class Merged:
    """The texts of cells that go on through several rows: each row says all that holds of it."""

    def __init__(self) -> None:
        """Begin a table."""
        self._above: dict[int, str] = {}

    def texts(self, cells: Iterable[GridCell], text_of: Callable[["_Element"], str]) -> list[str]:
        """The texts of a row by column; empty where the row says nothing that the rows above did not.

        Args:
            cells: The row's.
            text_of: A cell's own text.
        """
        row: list[str] = []
        is_new = False
        cells = list(cells)
        for cell in cells:
            own = text_of(cell.element)
            is_new |= bool(own)
            text = own or (self._above.get(cell.column, "") if cell.merge == "continue" else "")
            if cell.merge is None:
                self._above.pop(cell.column, None)
            elif own or cell.merge == "restart":
                self._above[cell.column] = own
            row += [""] * (cell.column - len(row))
            # A row of one cell is a caption over the whole table: to say it once is enough.
            row += [text] * (cell.span if len(cells) > 1 else 1)
        return row if is_new else []
