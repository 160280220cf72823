"""Tables that stay whole on a narrow terminal: the first arrangement that fits, else names and values."""

import os
import shutil
from collections.abc import Iterator, Sequence

from lctx.cli.clean import one_line
from lctx.cli.output import Sink
from lctx.cli.report import Piece, Table

_GAP = 2


def arrange(sink: Sink, *arrangements: Sequence[Piece]) -> list[Piece]:
    """The first of `arrangements` whose tables fit where `sink` goes, or the last one taken apart.

    A file and a pipe are as wide as they need to be.
    """
    if not sink.is_terminal or os.environ.get("TERM", "dumb") == "dumb":
        return list(arrangements[0])
    columns = shutil.get_terminal_size().columns
    for pieces in arrangements:
        if all(fits_in(piece, columns) for piece in pieces if isinstance(piece, Table)):
            return list(pieces)
    return [part for piece in arrangements[-1] for part in _apart(piece)]


def fits_in(table: Table, columns: int) -> bool:
    """Whether no number of `table` and no word is broken on so many columns; sentences may wrap."""
    rows = [tuple(map(one_line, row)) for row in (table.head, *table.rows)]
    numbers = range(len(table.head))
    widths = [max(len(row[number]) for row in rows) for number in numbers]
    words = [max(len(word) for row in rows for word in (row[number].split() or [""])) for number in numbers]
    left = [number for number in numbers if number not in table.right]
    room = columns - _GAP * (len(widths) - 1) - sum(widths[number] for number in table.right)
    # The widest columns give way first, down to what they have in common.
    cap = max((widths[number] for number in left), default=0)
    while cap > 0 and sum(min(widths[number], cap) for number in left) > room:
        cap -= 1
    return room >= 0 and all(words[number] <= cap for number in left)


def _apart(piece: Piece) -> Iterator[Piece]:
    """A table as a paragraph a row: what the row is called, then a line for each further cell."""
    if not isinstance(piece, Table):
        yield piece
        return
    for row in piece.rows:
        yield ""
        yield row[0]
        yield from (f"{name}: {cell}" for name, cell in zip(piece.head[1:], row[1:], strict=True) if cell)
    yield ""
