"""Where on a page stretches of its text are printed. Runs in the child process, beside pdfium."""

import ctypes
import math
from collections.abc import Iterator, Sequence
from typing import Any

from lctx.formats.pdf_chars import text_and_chars
from lctx.formats.pdf_digest import digest_of
from lctx.formats.pdf_functions import Box, floats, functions
from lctx.formats.pdf_reopened import page_at, reopened

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
        with page_at(document, index) as (page, textpage):
            text, chars = text_and_chars(textpage) if textpage else ("", None)
            record["digest"] = digest_of(text)
            if chars is not None:
                found = [_box(textpage, text[start:end], chars[start:end]) for start, end in ranges]
                record["boxes"] = [_as_shown(page, box) if box else None for box in found]
        yield record


def _box(textpage: Any, text: str, chars: Sequence[int]) -> Box | None:
    """What holds the boxes of all that is printed of `text`; None where nothing is."""
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
    return x0, y0, x1, y1


def _as_shown(page: int, box: Box) -> Box:
    """`box` from the lower left corner of what is shown of the page, turned as it is; rounded away from it.

    pdfium tells places before the page is cut to its crop box and turned (PDF 2.0, 14.11.2 and table 31).
    """
    pdfium = functions()
    edges = floats(4)
    pdfium.FPDF_GetPageBoundingBox(page, edges)
    left, top, right, bottom = edges
    x0, y0, x1, y1 = box[0] - left, box[1] - bottom, box[2] - left, box[3] - bottom
    width, height = right - left, top - bottom
    turned = (
        (x0, y0, x1, y1),
        (y0, width - x1, y1, width - x0),
        (width - x1, height - y1, width - x0, height - y0),
        (height - y1, x0, height - y0, x1),
    )[pdfium.FPDFPage_GetRotation(page) % 4]
    return _down(turned[0]), _down(turned[1]), -_down(-turned[2]), -_down(-turned[3])


def _down(points: float) -> float:
    return math.floor(points * _PARTS) / _PARTS
