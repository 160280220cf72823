"""Where on a page stretches of its text are printed. Runs in the child process, beside pdfium."""

import ctypes
import math
from collections.abc import Iterator, Sequence
from typing import Any

from lctx.formats.pdf_chars import text_and_chars
from lctx.formats.pdf_digest import digest_of
from lctx.formats.pdf_functions import functions
from lctx.formats.pdf_reopened import reopened, textpage_at

_PARTS = 100
"""Boxes are told to this part of a point."""


def prepare() -> None:
    """Have pdfium loaded before a child is forked for a file."""
    functions()


def boxes(
    content: bytes, wanted: Sequence[tuple[int, Sequence[tuple[int, int]]]], password: str | None = None
) -> Iterator[dict[str, Any]]:
    """One record for each page in `wanted`: a digest of its text, and the box of each range of it.

    Args:
        content: The PDF.
        wanted: Pages by index, each with half-open ranges into its text.
        password: Opens it, where it needs one.

    Raises:
        SourceError: pdfium cannot open it.
    """
    document = reopened(content, password)
    for index, ranges in wanted:
        record = {"type": "boxes", "page": index, "digest": "", "boxes": [None] * len(ranges)}
        with textpage_at(document, index) as textpage:
            text, chars = text_and_chars(textpage) if textpage else ("", None)
            record["digest"] = digest_of(text)
            if chars is not None:
                record["boxes"] = [_box(textpage, text[start:end], chars[start:end]) for start, end in ranges]
        yield record


def _box(textpage: Any, text: str, chars: Sequence[int]) -> tuple[float, float, float, float] | None:
    """What holds the boxes of all that is printed of `text`, rounded away from it; None where nothing is."""
    pdfium = functions()
    x0, y0, x1, y1 = math.inf, math.inf, -math.inf, -math.inf
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    for char, index in zip(text, chars, strict=True):
        if char.isspace() or index < 0 or pdfium.FPDFText_IsGenerated(textpage, index) == 1:
            continue
        if pdfium.FPDFText_GetCharBox(textpage, index, left, right, bottom, top):
            x0, x1 = min(x0, left.value, right.value), max(x1, left.value, right.value)
            y0, y1 = min(y0, bottom.value, top.value), max(y1, bottom.value, top.value)
    if not (math.isfinite(x0 + y0 + x1 + y1) and x1 > x0):
        return None
    return _down(x0), _down(y0), -_down(-x1), -_down(-y1)


def _down(points: float) -> float:
    return math.floor(points * _PARTS) / _PARTS
