"""Reports: lines, tables and a bar, as plain text, as Markdown, and on a terminal as wide as it is.

What a report shows comes from documents too, so nothing in it is ever markup.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lctx.cli.clean import one_line
from lctx.cli.output import Sink
from lctx.cli.plain import escaped

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_FILLED, _EMPTY = "█", "░"
_BAR_COLUMNS = 60
_GAP = 2
_COLOURS = ("cyan", "green", "magenta", "yellow", "blue")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head.

    Attributes:
        head: The columns' names.
        rows: As many cells each.
        right: Which columns are numbers; they stand at the right.
    """

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    right: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Bar:
    """A whole and its parts, to scale; on a terminal only.

    Attributes:
        parts: Each part's name and size, in order; the last is what is free.
    """

    parts: tuple[tuple[str, int], ...]


Piece = str | Table | Bar
"""A line, a table, a bar. Between a table and what stands around it there is an empty line."""


def show_report(pieces: Sequence[Piece], sink: Sink, *, markdown: bool = False) -> None:
    """Write a report where `sink` goes, and close it."""
    import os

    if not markdown and sink.is_terminal and os.environ.get("TERM", "dumb") != "dumb":
        _print_on_terminal(pieces)
    else:
        sink.write(markdown_report(pieces) if markdown else text_report(pieces))
    sink.close()


def text_report(pieces: Sequence[Piece]) -> str:
    """The report as aligned columns; one newline at the end."""
    blocks = [
        "\n".join(_aligned(piece)) if isinstance(piece, Table) else one_line(piece)
        for piece in pieces
        if not isinstance(piece, Bar)
    ]
    return _apart([piece for piece in pieces if not isinstance(piece, Bar)], blocks)


def markdown_report(pieces: Sequence[Piece]) -> str:
    """The report as Markdown: lines as a list, tables as tables; one newline at the end."""
    told = [piece for piece in pieces if not isinstance(piece, Bar)]
    blocks = []
    for piece in told:
        if isinstance(piece, Table):
            rule = "|".join("---:" if column in piece.right else "---" for column in range(len(piece.head)))
            rows = ["| " + " | ".join(map(_escaped, row)) + " |" for row in (piece.head, *piece.rows)]
            blocks.append("\n".join([rows[0], f"|{rule}|", *rows[1:]]))
        else:
            blocks.append(f"- {_escaped(piece)}")
    return _apart(told, blocks)


def _escaped(text: str) -> str:
    return escaped(one_line(text))


def _apart(pieces: Sequence[Piece], blocks: Sequence[str]) -> str:
    lines: list[str] = []
    for number, block in enumerate(blocks):
        around = pieces[max(number - 1, 0) : number + 1]
        if number and any(isinstance(piece, Table) for piece in around):
            lines.append("")
        lines.append(block)
    return "\n".join(lines) + "\n"


def _aligned(table: Table) -> Iterator[str]:
    rows = [tuple(map(one_line, row)) for row in (table.head, *table.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.head))]
    for row in rows:
        cells = (
            cell.rjust(width) if column in table.right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def _print_on_terminal(pieces: Sequence[Piece]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(markup=False, highlight=False, emoji=False)
    for number, piece in enumerate(pieces):
        around = pieces[max(number - 1, 0) : number + 1]
        if number and any(isinstance(one, Table) for one in around):
            console.print()
        if isinstance(piece, Table):
            console.print(
                _rich_table(piece) if fits(piece, console.width) else _rich_records(piece, console.width)
            )
        elif isinstance(piece, Bar):
            console.print(_rich_bar(piece, console.width - _GAP))
        else:
            console.print(Text(one_line(piece)))


def first_that_fits(sink: Sink, *arrangements: Sequence[Piece]) -> Sequence[Piece]:
    """The first arrangement whose tables fit where `sink` goes, else the last; a pipe is wide enough."""
    import os
    import shutil

    if not sink.is_terminal or os.environ.get("TERM", "dumb") == "dumb":
        return arrangements[0]
    columns = shutil.get_terminal_size().columns
    for pieces in arrangements:
        if all(fits(piece, columns) for piece in pieces if isinstance(piece, Table)):
            return pieces
    return arrangements[-1]


def fits(table: Table, columns: int) -> bool:
    """Whether no number of `table` and no word is broken on so many columns of a terminal; sentences wrap."""
    from rich.cells import cell_len

    rows = [tuple(map(one_line, row)) for row in (table.head, *table.rows)]
    numbers = range(len(table.head))
    widths = [max(cell_len(row[number]) for row in rows) for number in numbers]
    words = [
        max(cell_len(word) for row in rows for word in row[number].split() or [""]) for number in numbers
    ]
    left = [number for number in numbers if number not in table.right]
    room = columns - _GAP * (len(widths) - 1) - sum(widths[number] for number in table.right)
    # The widest columns give way first, down to what they have in common.
    cap = max((widths[number] for number in left), default=0)
    while cap > 0 and sum(min(widths[number], cap) for number in left) > room:
        cap -= 1
    return room >= 0 and all(words[number] <= cap for number in left)


def _rich_records(table: Table, columns: int) -> "RenderableType":
    """The rows of a table that is too wide, one below the other: what each is called, then its cells."""
    from rich.text import Text

    named = next((number for number in range(len(table.head)) if number not in table.right), 0)
    shown: list[Text] = []
    for row in table.rows:
        cells = [one_line(cell) for cell in row]
        others = [number for number in range(len(row)) if number != named and cells[number]]
        shown.append(Text(cells[named], style="bold", overflow="fold"))
        numbers = [
            Text(f"{table.head[number]} {cells[number]}") for number in others if number in table.right
        ]
        shown += _packed(numbers, columns)
        shown += [
            Text(f"{table.head[number]}: {cells[number]}") for number in others if number not in table.right
        ]
    return Text("\n").join(shown)


def _rich_table(table: Table) -> "RenderableType":
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=None, pad_edge=False, header_style="bold")
    for column, name in enumerate(table.head):
        shown.add_column(
            Text(name),
            justify="right" if column in table.right else "left",
            no_wrap=column in table.right,
            overflow="fold",
        )
    for row in table.rows:
        shown.add_row(*(Text(one_line(cell)) for cell in row))
    return shown


def bar_cells(sizes: Sequence[int], columns: int) -> list[int]:
    """How many of `columns` cells each size gets: to scale, at least one for what is not nothing.

    The cells add up to `columns`, or to the number of sizes that are not nothing where those are more.
    """
    total = sum(sizes)
    cells = [max(size * columns // total, 1) if size else 0 for size in sizes] if total else [0] * len(sizes)
    while total and sum(cells) != columns:
        step = 1 if sum(cells) < columns else -1
        able = [number for number, size in enumerate(sizes) if size and (step > 0 or cells[number] > 1)]
        if not able:
            break
        # Whoever is furthest from scale gives or takes.
        farthest = max(able, key=lambda number: step * (sizes[number] * columns / total - cells[number]))
        cells[farthest] += step
    return cells


def _rich_bar(bar: Bar, columns: int) -> "RenderableType":
    from rich.text import Text

    cells = bar_cells([size for _, size in bar.parts], min(columns, _BAR_COLUMNS))
    shown = Text()
    named: list[Text] = []
    for number, ((name, size), width) in enumerate(zip(bar.parts, cells, strict=True)):
        is_free = number == len(bar.parts) - 1
        colour = "dim" if is_free else _COLOURS[number % len(_COLOURS)]
        shown.append((_EMPTY if is_free else _FILLED) * width, style=colour)
        if size:
            named.append(Text.assemble((_EMPTY if is_free else _FILLED, colour), f" {name} {size:,}"))
    return Text("\n").join([shown, *_packed(named, columns)])


def _packed(items: "Sequence[Text]", columns: int) -> "list[Text]":
    """`items` on as few lines as hold them, none of them broken."""
    lines: list[Text] = []
    for item in items:
        if lines and lines[-1].cell_len + _GAP + item.cell_len <= columns:
            lines[-1].append(" " * _GAP)
            lines[-1].append_text(item)
        else:
            lines.append(item)
    return lines
