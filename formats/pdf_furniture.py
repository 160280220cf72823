"""What the pages of a PDF repeat above and below their text: running headers, footers, page numbers."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from lctx.formats.pdf_lines import lines_of

_DEPTH = 3
"""So many lines at either end of a page may be furniture, and no more than a third of its lines."""
_MIN_PAGES = 3
_DENSITY = 0.4
"""The share of the pages between its first and its last that show it: left and right pages alternate."""
_MAX_CHARS = 200

_NUMBER = re.compile(r"\d{1,6}")
_ROMAN = re.compile(r"[^\w]*(?=[ivxlc])(c{0,3}(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3}))[^\w]*", re.IGNORECASE)
_ROMAN_VALUES = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}


def furniture_of(text: str, page_starts: Sequence[int]) -> list[tuple[int, int]]:
    """Start and end of each line that is furniture, in order.

    Args:
        text: Of the whole document.
        page_starts: Where each page begins, and the text's end.
    """
    shown: defaultdict[tuple[str, str], dict[int, tuple[int, int]]] = defaultdict(dict)
    for page, (start, end) in enumerate(pairwise(page_starts)):
        for side, line in _outer_lines(text, start, end):
            for key in _keys(" ".join(text[line[0] : line[1]].split()), page):
                shown[side, key].setdefault(page, line)
    return sorted({line for pages in shown.values() if _is_running(pages) for line in pages.values()})


def _outer_lines(text: str, start: int, end: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """The first and the last lines of a page, each with which end it stands at."""
    lines = lines_of(text[start:end])
    printed = [number for number, line in enumerate(lines) if not line.isspace()]
    depth = min(_DEPTH, len(printed) // 3)
    starts = list(accumulate(map(len, lines), initial=start))
    for side, outer in (("top", printed[:depth]), ("foot", printed[len(printed) - depth :])):
        for number in outer:
            if len(lines[number]) <= _MAX_CHARS:
                yield side, (starts[number], starts[number + 1])


def _keys(line: str, page: int) -> Iterator[str]:
    """What the same line on another page has too: itself, or itself with a number that counts the pages."""
    yield line
    for number in _NUMBER.finditer(line):
        yield f"{line[: number.start()]}\0{int(number[0]) - page}{line[number.end() :]}"
    if roman := _ROMAN.fullmatch(line):
        yield f"\0roman{_value(roman[1]) - page}"


def _value(roman: str) -> int:
    values = [_ROMAN_VALUES[letter] for letter in roman.lower()]
    return sum(
        -value if value < after else value for value, after in zip(values, [*values[1:], 0], strict=True)
    )


def _is_running(pages: dict[int, tuple[int, int]]) -> bool:
    return len(pages) >= _MIN_PAGES and len(pages) >= _DENSITY * (max(pages) - min(pages) + 1)
