"""Which text of a page may be unseen, by what it is and what is drawn around it. Runs beside pdfium."""

from collections.abc import Sequence
from enum import Enum
from typing import Any

from lctx.formats.pdf_drawn import (
    IMAGE,
    PATH,
    TEXT,
    Drawn,
    area_of,
    clip_of,
    colour_of,
    shared,
    type_size,
)
from lctx.formats.pdf_functions import Box

_TINY = 1.0
"""Points: nobody reads type that is smaller."""
_ALIKE = 12
"""Two colours that differ by less than this in each channel, of 255, look the same."""
_COVERED = 0.9
"""The share of a text's box that a picture must hold to cover it."""
_THIN = 3.0
"""Points: a line that is thinner hides no text and is no ground for it."""
_LETTER = 0.3
"""A path inside a text's box may be one of its letters from this share of its height on."""
_MAX_PAIRS = 2_000_000
"""Where more texts and shapes than this meet, every text is in doubt."""
_INVISIBLE, _CLIP = 3, 7  # FPDF_TEXTRENDERMODE_…
_STROKED = (1, 2, 5, 6)


class Doubt(Enum):
    """How a text may be unseen."""

    WEAK = "something is near that may hide it"
    STRONG = "its own colour, clip, layer or transparency may hide it"
    OVER_A_PICTURE = "it is not drawn, and lies over a picture that may show its words"
    NONE_SEES_IT = "it is not drawn, outside the page, or too small to be read"


class Layers:
    """What a page draws besides text: what may hide text, or show it.

    Args:
        drawn: All that the page draws, in order.
        page_box: What is shown of it.
    """

    def __init__(self, drawn: Sequence[Drawn], page_box: Box) -> None:
        self.page_box = page_box
        self.images = [one for one in drawn if one.kind == IMAGE]
        self.shapes = [
            (one, colour_of(one.handle) if one.kind == PATH else None)
            for one in drawn
            if one.kind != TEXT and min(one.box[2] - one.box[0], one.box[3] - one.box[1]) >= _THIN
        ]
        num_texts = sum(one.kind == TEXT for one in drawn)
        self.is_crowded = num_texts * len(self.shapes) > _MAX_PAIRS


def doubts_about(text: Drawn, layers: Layers) -> Doubt | None:
    """How a text may be unseen; None where it is seen beyond doubt, or holds nothing to see."""
    import pypdfium2.raw as pdfium

    width, height = text.box[2] - text.box[0], text.box[3] - text.box[1]
    if min(width, height) < _TINY and 0 < type_size(text) < _TINY:
        return Doubt.NONE_SEES_IT
    if min(width, height) <= 0:
        return None  # spaces
    if area_of(shared(text.box, layers.page_box)) <= 0:
        return Doubt.NONE_SEES_IT
    mode = pdfium.FPDFTextObj_GetTextRenderMode(text.handle)
    if mode == _CLIP:  # what is drawn through its letters shows them
        is_painted = any(area_of(shared(text.box, shape.box)) > 0 for shape, _ in layers.shapes)
        return None if is_painted else Doubt.NONE_SEES_IT
    if mode == _INVISIBLE:
        return Doubt.OVER_A_PICTURE if _is_pictured(text, layers) else Doubt.NONE_SEES_IT
    return _painted_doubt(text, mode, layers)


def _painted_doubt(text: Drawn, mode: int, layers: Layers) -> Doubt | None:
    """What may hide a text that is drawn."""
    import pypdfium2.raw as pdfium

    colour = colour_of(text.handle)
    clip = clip_of(text)
    if (
        (colour and (colour[3] < 255 - _ALIKE or min(colour[:3]) > 255 - _ALIKE))
        or pdfium.FPDFPageObj_HasTransparency(text.handle)
        or _has_layer(text.handle)
        or (clip and area_of(shared(text.box, clip)) < text.area / 2)
    ):
        return Doubt.STRONG
    if layers.is_crowded:
        return Doubt.WEAK
    doubt = Doubt.WEAK if text.in_form or mode in _STROKED else None
    x, y = (text.box[0] + text.box[2]) / 2, (text.box[1] + text.box[3]) / 2
    for shape, fill in layers.shapes:
        x0, y0, x1, y1 = shape.box
        if not (x0 <= x <= x1 and y0 <= y <= y1):
            continue
        if fill and colour and max(abs(a - b) for a, b in zip(fill[:3], colour[:3], strict=True)) < _ALIKE:
            return Doubt.STRONG
        if shape.order > text.order and shape.kind != IMAGE:
            return Doubt.STRONG
        if not fill:
            doubt = Doubt.WEAK
    # A scan may be drawn over the words that were recognised in it: it is the scan that is seen.
    if doubt and any(image.order > text.order and _covers(image.box, text) for image in layers.images):
        return Doubt.OVER_A_PICTURE
    return doubt


def _has_layer(handle: Any) -> bool:
    """Whether an object stands in a layer that a viewer may have turned off."""
    import ctypes

    import pypdfium2.raw as pdfium

    buffer, length = (ctypes.c_ushort * 4)(), ctypes.c_ulong()
    for number in range(pdfium.FPDFPageObj_CountMarks(handle)):
        mark = pdfium.FPDFPageObj_GetMark(handle, number)
        if pdfium.FPDFPageObjMark_GetName(mark, buffer, ctypes.sizeof(buffer), length):
            name = bytes(buffer)[: max(length.value - 2, 0)].decode("utf-16-le", "ignore")
            if name == "OC":
                return True
    return False


def _is_pictured(text: Drawn, layers: Layers) -> bool:
    """Whether a picture lies where a text stands: a scan, or letters that are drawn as shapes."""
    height = text.box[3] - text.box[1]
    return any(_covers(image.box, text) for image in layers.images) or any(
        shape.kind == PATH
        and shape.box[3] - shape.box[1] >= _LETTER * height
        and area_of(shared(shape.box, text.box)) >= _COVERED * shape.area > 0
        for shape, _ in layers.shapes
    )


def _covers(box: Box, text: Drawn) -> bool:
    return area_of(shared(box, text.box)) >= _COVERED * text.area
