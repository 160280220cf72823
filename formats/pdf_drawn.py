"""What a page of a PDF draws, in the order in which it is drawn. Runs in the child process, beside pdfium."""

import ctypes
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lctx.formats.pdf_functions import Box

Matrix = tuple[float, float, float, float, float, float]

TEXT, PATH, IMAGE, SHADING, FORM = 1, 2, 3, 4, 5  # FPDF_PAGEOBJ_…
MAX_OBJECTS = 100_000
"""Objects of one page that are looked at; what is drawn after them counts as seen."""
_MAX_DEPTH = 12
"""Forms may hold forms."""
_MAX_CLIPS = 8
_IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
_NOTHING: Box = (math.inf, math.inf, -math.inf, -math.inf)


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """One object of a page.

    Attributes:
        handle: pdfium's.
        kind: TEXT, PATH, IMAGE or SHADING.
        order: Its number in the order of drawing.
        box: What it fills at most, its clipping aside.
        matrix: From the form that holds it to the page.
        in_form: Whether it stands in a form.
    """

    handle: Any
    kind: int
    order: int
    box: Box
    matrix: Matrix
    in_form: bool

    @property
    def address(self) -> int:
        """What tells this object from all others while the page is open."""
        return address_of(self.handle)

    @property
    def height(self) -> float:
        """The smaller side of its box, in points: its letters are no higher, whichever way they run."""
        return min(self.box[2] - self.box[0], self.box[3] - self.box[1])

    @property
    def area(self) -> float:
        """Of its box, in square points."""
        return area_of(self.box)


def drawn_on(page: Any) -> Iterator[Drawn]:
    """The objects of a page, those of its forms in their place."""
    import pypdfium2.raw as pdfium

    count = pdfium.FPDFPage_CountObjects(page)
    for order, (handle, matrix, depth) in enumerate(
        _walk(lambda index: pdfium.FPDFPage_GetObject(page, index), count, _IDENTITY, 0)
    ):
        if order >= MAX_OBJECTS:
            return
        kind = pdfium.FPDFPageObj_GetType(handle)
        if kind in {TEXT, PATH, IMAGE, SHADING} and (box := _box(handle, matrix)):
            yield Drawn(handle, kind, order, box, matrix, depth > 0)


def _walk(
    object_at: Callable[[int], Any], count: int, matrix: Matrix, depth: int
) -> Iterator[tuple[Any, Matrix, int]]:
    import pypdfium2.raw as pdfium

    for index in range(count):
        handle = object_at(index)
        if not handle:
            continue
        if pdfium.FPDFPageObj_GetType(handle) != FORM:
            yield handle, matrix, depth
        elif depth < _MAX_DEPTH:
            yield from _walk(
                lambda inner, form=handle: pdfium.FPDFFormObj_GetObject(form, inner),  # type: ignore[misc]
                pdfium.FPDFFormObj_CountObjects(handle),
                product(own_matrix(handle), matrix),
                depth + 1,
            )


def address_of(handle: Any) -> int:
    """The number behind one of pdfium's handles; 0 for none."""
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


def colour_of(handle: Any) -> tuple[int, int, int, int] | None:
    """Red, green, blue and alpha that an object is filled with, 0 to 255; None for patterns and the like."""
    import pypdfium2.raw as pdfium

    parts = [ctypes.c_uint() for _ in range(4)]
    if not pdfium.FPDFPageObj_GetFillColor(handle, *parts):
        return None
    return tuple(part.value for part in parts)  # type: ignore[return-value]


def own_matrix(handle: Any) -> Matrix:
    """The matrix of an object, to the form or page that holds it."""
    import pypdfium2.raw as pdfium

    matrix = pdfium.FS_MATRIX()
    if not pdfium.FPDFPageObj_GetMatrix(handle, matrix):
        return _IDENTITY
    return matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f


def type_size(text: Drawn) -> float:
    """The size in points that a text object's type has on the page."""
    import pypdfium2.raw as pdfium

    size = ctypes.c_float()
    pdfium.FPDFTextObj_GetFontSize(text.handle, size)
    matrix = product(own_matrix(text.handle), text.matrix)
    return abs(size.value) * math.hypot(matrix[2], matrix[3])


def clip_of(text: Drawn) -> Box | None:
    """What an object's clipping leaves of the page, as a box; None where nothing is clipped."""
    import pypdfium2.raw as pdfium

    clip = pdfium.FPDFPageObj_GetClipPath(text.handle)
    count = pdfium.FPDFClipPath_CountPaths(clip) if clip else 0
    if count <= 0:
        return None
    box: Box = (-math.inf, -math.inf, math.inf, math.inf)
    x, y = ctypes.c_float(), ctypes.c_float()
    for path in range(min(count, _MAX_CLIPS)):
        points = []
        for number in range(min(pdfium.FPDFClipPath_CountPathSegments(clip, path), 64)):
            segment = pdfium.FPDFClipPath_GetPathSegment(clip, path, number)
            if segment and pdfium.FPDFPathSegment_GetPoint(segment, x, y):
                points.append((x.value, y.value))
        box = shared(box, _mapped(points, text.matrix) if points else _NOTHING)
    return box


def area_of(box: Box) -> float:
    """In square points; 0 for a box without an inside."""
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def shared(one: Box, other: Box) -> Box:
    """What two boxes share; without an inside where they share nothing."""
    return max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])


def product(first: Matrix, then: Matrix) -> Matrix:
    """The matrix that does what `first` does, and after it what `then` does."""
    a, b, c, d, e, f = first
    g, h, i, j, k, m = then
    return (
        a * g + b * i, a * h + b * j, c * g + d * i, c * h + d * j, e * g + f * i + k, e * h + f * j + m,
    )  # fmt: skip


def _box(handle: Any, matrix: Matrix) -> Box | None:
    import pypdfium2.raw as pdfium

    edges = [ctypes.c_float() for _ in range(4)]
    if not pdfium.FPDFPageObj_GetBounds(handle, *edges):
        return None
    x0, y0, x1, y1 = (edge.value for edge in edges)
    if not math.isfinite(x0 + y0 + x1 + y1):
        return None
    return _mapped([(x0, y0), (x0, y1), (x1, y0), (x1, y1)], matrix)


def _mapped(points: list[tuple[float, float]], matrix: Matrix) -> Box:
    """The box of points that `matrix` brings onto the page."""
    a, b, c, d, e, f = matrix
    across = [a * x + c * y + e for x, y in points]
    up = [b * x + d * y + f for x, y in points]
    return min(across), min(up), max(across), max(up)
