"""What a page shows that holds no text: a scan, other pictures, or nothing. Runs in the child process."""

import ctypes

from lctx.formats.pdf_library import pdfium

_PATH, _IMAGE, _SHADING, _FORM = 2, 3, 4, 5  # FPDF_PAGEOBJ_…
_MAX_OBJECTS = 2_000
"""Objects looked at on one page: a scan is one picture, or some dozen strips."""
_COVERED = 0.5
"""The share of a page that its pictures take on a scan; drawings beside a text take less."""
_MAX_DEPTH = 4


def shows_of(page: int) -> str:
    """A page's "scan", where pictures cover it; "pictures", where it shows any or a drawing; else ""."""
    library = pdfium()
    size = library.FPDF_GetPageWidthF(page) * library.FPDF_GetPageHeightF(page)
    covered, is_drawn = 0.0, False
    for number in range(min(library.FPDFPage_CountObjects(page), _MAX_OBJECTS)):
        one = library.FPDFPage_GetObject(page, number)
        kind = library.FPDFPageObj_GetType(one) if one else 0
        is_drawn = is_drawn or kind in {_PATH, _IMAGE, _SHADING, _FORM}
        if kind == _IMAGE or (kind == _FORM and _holds_picture(one, 1)):
            covered += _area(one)
    if covered >= _COVERED * size > 0:
        return "scan"
    return "pictures" if is_drawn else ""


def _holds_picture(form: int, depth: int) -> bool:
    library = pdfium()
    for number in range(min(library.FPDFFormObj_CountObjects(form), _MAX_OBJECTS)):
        one = library.FPDFFormObj_GetObject(form, number)
        kind = library.FPDFPageObj_GetType(one) if one else 0
        if kind == _IMAGE or (kind == _FORM and depth < _MAX_DEPTH and _holds_picture(one, depth + 1)):
            return True
    return False


def _area(one: int) -> float:
    """How much of the page an object takes, in square points."""
    left, foot, right, top = (ctypes.c_float() for _ in range(4))
    if not pdfium().FPDFPageObj_GetBounds(one, left, foot, right, top):
        return 0.0
    return abs((right.value - left.value) * (top.value - foot.value))
