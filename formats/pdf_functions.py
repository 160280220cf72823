"""Functions of pdfium that only some pages need, bound like those of `pdf_library.py`. Run in the child."""

import ctypes
from functools import cache
from typing import Any

from lctx.formats.pdf_library import pdfium

_HANDLE, _INT, _LONG = ctypes.c_void_p, ctypes.c_int, ctypes.c_ulong
_DOUBLE = ctypes.POINTER(ctypes.c_double)
_PUT_TEXT = (_HANDLE, _LONG)
"""Where a function writes its text, and how many bytes there are for it."""
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "FPDFPage_GetRotation": (_INT, (_HANDLE,)),
    "FPDF_GetPageBoundingBox": (_INT, (_HANDLE, _HANDLE)),
    "FPDFText_IsGenerated": (_INT, (_HANDLE, _INT)),
    "FPDFText_GetTextObject": (_HANDLE, (_HANDLE, _INT)),
    "FPDFText_GetCharBox": (_INT, (_HANDLE, _INT, _DOUBLE, _DOUBLE, _DOUBLE, _DOUBLE)),
    "FPDFText_GetCharIndexAtPos": (_INT, (_HANDLE, *[ctypes.c_double] * 4)),
    "FPDFPage_GetAnnotCount": (_INT, (_HANDLE,)),
    "FPDFPage_GetAnnot": (_HANDLE, (_HANDLE, _INT)),
    "FPDFPage_CloseAnnot": (None, (_HANDLE,)),
    "FPDFAnnot_GetSubtype": (_INT, (_HANDLE,)),
    "FPDFAnnot_GetFlags": (_INT, (_HANDLE,)),
    "FPDFAnnot_GetStringValue": (_LONG, (_HANDLE, ctypes.c_char_p, *_PUT_TEXT)),
    "FPDFAnnot_GetLink": (_HANDLE, (_HANDLE,)),
    "FPDFAnnot_GetFileAttachment": (_HANDLE, (_HANDLE,)),
    "FPDFLink_CountQuadPoints": (_INT, (_HANDLE,)),
    "FPDFLink_GetQuadPoints": (_INT, (_HANDLE, _INT, _HANDLE)),
    "FPDFLink_GetAnnotRect": (_INT, (_HANDLE, _HANDLE)),
    "FPDFLink_GetAction": (_HANDLE, (_HANDLE,)),
    "FPDFLink_GetDest": (_HANDLE, (_HANDLE, _HANDLE)),
    "FPDFAction_GetType": (_LONG, (_HANDLE,)),
    "FPDFAction_GetDest": (_HANDLE, (_HANDLE, _HANDLE)),
    "FPDFAction_GetURIPath": (_LONG, (_HANDLE, _HANDLE, *_PUT_TEXT)),
    "FPDFAction_GetFilePath": (_LONG, (_HANDLE, *_PUT_TEXT)),
    "FPDF_GetFormType": (_INT, (_HANDLE,)),
    "FPDFDOC_InitFormFillEnvironment": (_HANDLE, (_HANDLE, _HANDLE)),
    "FORM_OnAfterLoadPage": (None, (_HANDLE, _HANDLE)),
    "FORM_OnBeforeClosePage": (None, (_HANDLE, _HANDLE)),
    "FPDFAnnot_GetFormFieldType": (_INT, (_HANDLE, _HANDLE)),
    "FPDFAnnot_GetFormFieldFlags": (_INT, (_HANDLE, _HANDLE)),
    "FPDFAnnot_GetFormFieldName": (_LONG, (_HANDLE, _HANDLE, *_PUT_TEXT)),
    "FPDFAnnot_GetFormFieldAlternateName": (_LONG, (_HANDLE, _HANDLE, *_PUT_TEXT)),
    "FPDFAnnot_GetFormFieldValue": (_LONG, (_HANDLE, _HANDLE, *_PUT_TEXT)),
    "FPDFAnnot_GetFormFieldExportValue": (_LONG, (_HANDLE, _HANDLE, *_PUT_TEXT)),
    "FPDFAnnot_IsChecked": (_INT, (_HANDLE, _HANDLE)),
    "FPDFAnnot_GetOptionCount": (_INT, (_HANDLE, _HANDLE)),
    "FPDFAnnot_GetOptionLabel": (_LONG, (_HANDLE, _HANDLE, _INT, *_PUT_TEXT)),
    "FPDFAnnot_IsOptionSelected": (_INT, (_HANDLE, _HANDLE, _INT)),
    "FPDFDoc_GetAttachmentCount": (_INT, (_HANDLE,)),
    "FPDFDoc_GetAttachment": (_HANDLE, (_HANDLE, _INT)),
    "FPDFAttachment_GetName": (_LONG, (_HANDLE, *_PUT_TEXT)),
    "FPDFAttachment_GetFile": (_INT, (_HANDLE, _HANDLE, _LONG, _HANDLE)),
}


Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in points, in the coordinates of a page."""


class FormFillInfo(ctypes.Structure):
    """FPDF_FORMFILLINFO of version 2 without a single callback: nobody fills in anything."""

    _fields_ = (("version", _INT), ("callbacks", _HANDLE * 64))


@cache
def functions() -> Any:
    """The library with the types of these functions as well."""
    library = pdfium()
    for name, (result, arguments) in _SIGNATURES.items():
        if isinstance(library, ctypes.CDLL):
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        else:  # pypdfium2's own way to the system's library
            from pypdfium2 import raw

            address = ctypes.cast(getattr(raw, name), _HANDLE).value
            setattr(library, name, ctypes.CFUNCTYPE(result, *arguments)(address or 0))
    return library


def floats(count: int) -> Any:
    """Room for a structure of `count` floats, as pdfium writes rectangles and corners."""
    return (ctypes.c_float * count)()
