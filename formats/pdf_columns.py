"""Columns of prose that were drawn row by row, put into the order in which they are read.

Only what is certain is moved: many lines in a row that part at the same gutter, with prose that fills its
column on both sides. Forms and tables, whose rows belong together, stay as they are.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lctx.formats.pdf_pieces import MIN_COLUMN_LINES, Line, Piece, is_wordy

_BOTH = 0.6
"""The share of a stretch's lines that must have it: a column may end before its neighbour."""
_GUTTER_POINTS = 6.0
_FILLED, _FILLING = 0.75, 0.6
"""A line of prose fills this share of its column, this share of the lines at least."""
_CHARS, _WORDS = 16, 3
"""What a line of prose holds on average."""
_LETTERS, _LOWER, _LABELS = 0.8, 0.2, 0.1
"""Shares: of letters in what is printed, of lines that begin in lower case, of those that end in a colon."""
_MAX_DEPTH = 4


class _Stretch(NamedTuple):
    """Lines that part at one gutter, and their two sides; a side of a line may be empty."""

    first: int
    last: int
    sides: tuple[list[Line], list[Line]]


def column_order(text: str, lines: Sequence[Line]) -> list[tuple[int, int, list[Line]]]:
    """Stretches of lines to be put into another order: first line, the one after the last, and the new lines.

    Args:
        text: The page's, as pdfium has it.
        lines: All printed lines of it, in pieces.
    """
    return [
        (stretch.first, stretch.last, [line for side in stretch.sides for line in _parted(text, side, 1)])
        for stretch in _stretches(text, lines)
    ]


def _parted(text: str, lines: list[Line], depth: int) -> list[Line]:
    """The lines of one column, parted again where it holds columns itself."""
    if depth >= _MAX_DEPTH:
        return lines
    found: list[Line] = []
    position = 0
    for stretch in _stretches(text, lines):
        found += lines[position : stretch.first]
        for side in stretch.sides:
            found += _parted(text, side, depth + 1)
        position = stretch.last
    return found + lines[position:]


def _stretches(text: str, lines: Sequence[Line]) -> Iterator[_Stretch]:
    index = 0
    while index < len(lines):
        found = [
            stretch
            for gap in range(1, len(lines[index]))
            if _may_part(text, lines[index], gap)
            and (stretch := _grown(lines, index, gap))
            and all(_is_prose(text, side) for side in stretch.sides)
        ]
        if found:
            # Of three columns the outermost gutters run as far: the first one leaves the others to be found.
            best = max(found, key=lambda stretch: stretch.last)
            yield best
            index = best.last
        else:
            index += 1


def _may_part(text: str, line: Line, gap: int) -> bool:
    """Whether a line may be two lines of prose with a gutter before its piece of that number."""
    return is_wordy(text, line[0].start, line[gap - 1].end) and is_wordy(text, line[gap].start, line[-1].end)


def _grown(lines: Sequence[Line], first: int, gap: int) -> _Stretch | None:
    """The lines from `first` on that part at its gap of that number, or None where they are too few."""
    line = lines[first]
    low, high = line[gap - 1].right, line[gap].left
    left, right = [line[:gap]], [line[gap:]]
    num_both, foot, last = 1, line[0].foot, first + 1
    while last < len(lines) and lines[last][0].foot < foot:
        line = lines[last]
        middle = (low + high) / 2
        here = [piece for piece in line if piece.left + piece.right < 2 * middle]
        there = line[len(here) :]
        low = max([low, *(piece.right for piece in here)])
        high = min([high, *(piece.left for piece in there)])
        if high - low < _GUTTER_POINTS:
            break
        left.append(here)
        right.append(there)
        num_both += bool(here and there)
        foot, last = line[0].foot, last + 1
    if num_both < MIN_COLUMN_LINES or num_both < _BOTH * (last - first):
        return None
    return _Stretch(first, last, ([one for one in left if one], [one for one in right if one]))


def _is_prose(text: str, side: Sequence[Line]) -> bool:
    """Whether the lines of one side of a gutter are running text that fills its column."""
    texts = [text[line[0].start : line[-1].end] for line in side]
    start, end = min(line[0].left for line in side), max(line[-1].right for line in side)
    num_filled = sum(_width(line) >= _FILLED * (end - start) for line in side)
    words = " ".join(texts)
    printed = len(words) - words.count(" ")
    return (
        num_filled >= _FILLING * len(side)
        and len(words) >= _CHARS * len(side)
        and words.count(" ") + 1 >= _WORDS * len(side)
        and sum(map(str.isalpha, words)) >= _LETTERS * printed
        and sum(one[:1].islower() for one in texts) >= _LOWER * len(texts)
        and sum(one.endswith(":") for one in texts) <= _LABELS * len(texts)
    )


def _width(line: Line) -> float:
    first: Piece = line[0]
    return line[-1].right - first.left
