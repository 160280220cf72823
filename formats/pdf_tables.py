"""Tables that were drawn column by column, put back into rows.

Only what is certain is moved: neighbouring columns of short cells that stand on the same lines of the page,
most of them numbers. Columns of prose, lists of names and addresses side by side are read as they were drawn.
"""

import re
from collections.abc import Iterator, Sequence

from lctx.formats.pdf_pieces import Line, Piece

_MIN_ROWS = 3
_CELL_CHARS = 60
_NUMBER_CHARS = 16
_SAME_FOOT = 2.0
"""Cells of one row stand on the same line, to this many points."""
_ALIGNED, _VALUES = 0.8, 0.7
"""Shares of a column's cells: that stand beside another column's, and that are values."""
_VALUE = r"[^\w\r\n]{0,3}(?:\d[\d.,/:\s-]*[^\w\r\n]{0,3}|[-–—]|n/?a|yes|no|x)"


def may_hold_table(text: str, lines: Sequence[tuple[int, int]]) -> bool:
    """Whether some lines that follow each other are numbers alone, as they are in such a table.

    Args:
        text: The page's, as pdfium has it.
        lines: Start and end of each printed line.
    """
    num_following = 0
    for start, end in lines:
        is_number = end - start <= _NUMBER_CHARS and text[end - 2 : end].strip(")% ")[-1:].isdigit()
        num_following = num_following + 1 if is_number else 0
        if num_following == _MIN_ROWS:
            return True
    return False


def table_rows(text: str, lines: Sequence[Line]) -> list[tuple[int, int, list[Line]]]:
    """Stretches of lines to be put into rows: first line, the one after the last, and the rows.

    Args:
        text: The page's, as pdfium has it.
        lines: All printed lines of it, in pieces.
    """
    found: list[tuple[int, int, list[Line]]] = []
    group: list[list[int]] = []
    for column in [*_columns(lines), []]:
        if column and group and _stands_right(lines, group[-1], column):
            group.append(column)
            continue
        if len(group) > 1 and (stretch := _table(text, lines, group)):
            found.append(stretch)
        group = [column]
    return found


def _columns(lines: Sequence[Line]) -> Iterator[list[int]]:
    """Runs of lines of one piece each that follow each other down the page."""
    column: list[int] = []
    for number, line in enumerate(lines):
        goes_on = column and len(line) == 1 and line[0].foot < lines[column[-1]][0].foot - _SAME_FOOT
        if column and not goes_on:
            yield column
            column = []
        if len(line) == 1:
            column.append(number)
    if column:
        yield column


def _stands_right(lines: Sequence[Line], before: list[int], after: list[int]) -> bool:
    """Whether a column begins higher up than the one before it ended, to the right of it."""
    if after[0] != before[-1] + 1:
        return False
    first = lines[after[0]][0]
    beside = [lines[number][0] for number in before if lines[number][0].foot <= first.foot + _SAME_FOOT]
    return bool(beside) and first.left > max(piece.right for piece in beside)


def _table(text: str, lines: Sequence[Line], group: list[list[int]]) -> tuple[int, int, list[Line]] | None:
    columns = [[lines[number][0] for number in column] for column in group]
    # The first run begins with what stands above the table, the last one ends with what stands below it.
    inner = columns[1:-1] or columns[-1:]
    top = max(piece.foot for column in (*inner, columns[-1]) for piece in column) + _SAME_FOOT
    columns[0] = [piece for piece in columns[0] if piece.foot <= top]
    foot = min(piece.foot for column in columns[:-1] for piece in column) - _SAME_FOOT
    columns[-1] = [piece for piece in columns[-1] if piece.foot >= foot]
    if not all(columns) or not _is_table(text, columns):
        return None
    first = group[0][-1] + 1 - len(columns[0])
    last = group[-1][0] + len(columns[-1])
    return first, last, _rows(columns)


def _is_table(text: str, columns: Sequence[Sequence[Piece]]) -> bool:
    if min(map(len, columns)) < _MIN_ROWS:
        return False
    for column in columns:
        others = [piece.foot for other in columns if other is not column for piece in other]
        num_aligned = sum(any(abs(piece.foot - foot) <= _SAME_FOOT for foot in others) for piece in column)
        if num_aligned < _ALIGNED * len(column):
            return False
        if any(piece.end - piece.start > _CELL_CHARS for piece in column):
            return False
    num_values = sum(_holds_values(text, column) for column in columns[1:])
    return 2 * num_values >= len(columns) - 1


def _holds_values(text: str, column: Sequence[Piece]) -> bool:
    """Whether the cells of a column are values, all but its head."""
    cells = column[1:]
    value = re.compile(_VALUE, re.IGNORECASE)  # here: most children never come to it
    num_values = sum(value.fullmatch(text, piece.start, piece.end) is not None for piece in cells)
    return num_values >= _VALUES * len(cells)


def _rows(columns: Sequence[Sequence[Piece]]) -> list[Line]:
    """The cells by the lines on which they stand, from the top."""
    cells = sorted((piece for column in columns for piece in column), key=lambda piece: -piece.foot)
    rows: list[list[Piece]] = []
    for piece in cells:
        if rows and rows[-1][0].foot - piece.foot <= _SAME_FOOT:
            rows[-1].append(piece)
        else:
            rows.append([piece])
    return [sorted(row, key=lambda piece: piece.left) for row in rows]
