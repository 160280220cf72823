"""Which text of a PDF's page lies under an area of it. Runs in the child process, beside pdfium."""

import ctypes
from collections.abc import Iterable, Sequence
from typing import Any

from lctx.formats.pdf_chars import text_offsets
from lctx.formats.pdf_functions import Box, functions
from lctx.formats.pdf_library import text_of

_LINE = 14.0
"""Points: an area that is higher may hold more than one line."""
_INSIDE = 5.0
"""How far inside such an area its first and its last line are looked for, in points."""
_NEAR = 1.5
"""Points by which a character's middle may stand outside the area."""
_MAX_STEPS = 8
"""Characters beside the area that are stepped over to come into it."""
_MAX_CHARS = 2_000
_LOOSER = 1.2
"""A link's text may take this many times the room once its page is in order."""


def text_under(
    areas: Iterable[tuple[Box, str]], textpage: int, text: str, origins: Sequence[int] | None
) -> list[tuple[int, int, str]]:
    """The range of a page's text under each area, with what the area leads to; sorted, one link in one piece.

    Args:
        areas: In points, and where they lead.
        textpage: pdfium's handle.
        text: The page's text as it is read.
        origins: Where each of its characters stands in pdfium's own text; None where `text` is that text.
    """
    if origins is None:
        return _under(areas, textpage, text)
    own = text_of(textpage, functions().FPDFText_CountChars(textpage))
    read = {origin: offset for offset, origin in enumerate(origins) if origin >= 0}
    found = []
    for start, end, target in _under(areas, textpage, own):
        first, last = read.get(start), read.get(end - 1)
        # What a link leads from may have been parted where the page was put into order.
        if first is not None and last is not None and 0 <= last - first <= _LOOSER * (end - start):
            found.append((first, last + 1, target))
    return sorted(found)


def _under(areas: Iterable[tuple[Box, str]], textpage: int, text: str) -> list[tuple[int, int, str]]:
    """What `text_under` gives, in pdfium's own text of the page."""
    offsets = text_offsets(text)
    found: list[tuple[int, int, str]] = []
    for area, target in areas:
        place = _place(area, textpage, text, offsets)
        if place is None:
            continue
        start, end = place
        # A link that runs over a line's end has an area for each line.
        if (
            found
            and found[-1][2] == target
            and start >= found[-1][1]
            and not text[found[-1][1] : start].strip()
        ):
            start = found.pop()[0]
        found.append((start, end, target))
    return sorted(found)


def _place(area: Box, textpage: Any, text: str, offsets: Any) -> tuple[int, int] | None:
    pdfium = functions()
    x0, y0, x1, y1 = area
    inset = (y1 - y0) / 2 if y1 - y0 < _LINE else _INSIDE
    first = _char_in(area, textpage, x0 + 0.5, y1 - inset, 1)
    last = _char_in(area, textpage, x1 - 0.5, y0 + inset, -1)
    if first is None or last is None:
        return None
    first, last = min(first, last), max(first, last)  # from right to left in Hebrew
    if last - first > _MAX_CHARS:
        return None
    start = pdfium.FPDFText_GetTextIndexFromCharIndex(textpage, first)
    end = pdfium.FPDFText_GetTextIndexFromCharIndex(textpage, last)
    if not (0 <= start <= end < len(offsets)):
        return None
    under = text[offsets[start] : offsets[end] + 1]
    words = under.strip()
    if not words:
        return None
    begin = offsets[start] + under.index(words[0])
    return begin, begin + len(words)


def _char_in(area: Box, textpage: Any, x: float, y: float, step: int) -> int | None:
    """The index of the character in `area` nearest to a point of it, walking by `step` from there."""
    pdfium = functions()
    x0, y0, x1, y1 = area
    index: int = pdfium.FPDFText_GetCharIndexAtPos(textpage, x, y, 2 * (x1 - x0), y1 - y0)
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    for _ in range(_MAX_STEPS):
        if index < 0 or not pdfium.FPDFText_GetCharBox(textpage, index, left, right, bottom, top):
            return None
        across, up = (left.value + right.value) / 2, (bottom.value + top.value) / 2
        if x0 - _NEAR <= across <= x1 + _NEAR and y0 - _NEAR <= up <= y1 + _NEAR:
            return index
        index += step
    return None
