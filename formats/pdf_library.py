"""pdfium's functions, bound by hand: to import all of pypdfium2 takes longer than to read ten pages.

Runs in the child process. Handles are plain addresses; objects of pypdfium2 may be passed in their place.
"""

import ctypes
import encodings.utf_16_le  # noqa: F401  # pdfium's: else each child looks for it at its first page
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from lctx.core.errors import DamagedSourceError, EncryptedSourceError, SourceError

_TELL_IT = "give its password with --password or in LCTX_PASSWORD, or save a copy without one"
_PASSWORD, _SECURITY = 4, 5  # FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY
_MAX_LEVELS = 15

_HANDLE, _INT, _SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
_FLOAT = ctypes.POINTER(ctypes.c_float)
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "FPDF_InitLibraryWithConfig": (None, (_HANDLE,)),
    "FPDF_LoadMemDocument64": (_HANDLE, (ctypes.c_char_p, _SIZE, ctypes.c_char_p)),
    "FPDF_CloseDocument": (None, (_HANDLE,)),
    "FPDF_GetLastError": (ctypes.c_ulong, ()),
    "FPDF_GetPageCount": (_INT, (_HANDLE,)),
    "FPDF_GetPageLabel": (ctypes.c_ulong, (_HANDLE, _INT, _HANDLE, ctypes.c_ulong)),
    "FPDF_LoadPage": (_HANDLE, (_HANDLE, _INT)),
    "FPDF_ClosePage": (None, (_HANDLE,)),
    "FPDF_GetPageWidthF": (ctypes.c_float, (_HANDLE,)),
    "FPDF_GetPageHeightF": (ctypes.c_float, (_HANDLE,)),
    "FPDFPage_CountObjects": (_INT, (_HANDLE,)),
    "FPDFPage_GetObject": (_HANDLE, (_HANDLE, _INT)),
    "FPDFPageObj_GetType": (_INT, (_HANDLE,)),
    "FPDFPageObj_GetBounds": (_INT, (_HANDLE, _FLOAT, _FLOAT, _FLOAT, _FLOAT)),
    "FPDFFormObj_CountObjects": (_INT, (_HANDLE,)),
    "FPDFFormObj_GetObject": (_HANDLE, (_HANDLE, ctypes.c_ulong)),
    "FPDFText_LoadPage": (_HANDLE, (_HANDLE,)),
    "FPDFText_ClosePage": (None, (_HANDLE,)),
    "FPDFText_CountChars": (_INT, (_HANDLE,)),
    "FPDFText_GetText": (_INT, (_HANDLE, _INT, _INT, _HANDLE)),
    "FPDFText_GetTextIndexFromCharIndex": (_INT, (_HANDLE, _INT)),
    "FPDFText_GetCharIndexFromTextIndex": (_INT, (_HANDLE, _INT)),
    "FPDFText_GetLooseCharBox": (_INT, (_HANDLE, _INT, _HANDLE)),
    "FPDFText_CountRects": (_INT, (_HANDLE, _INT, _INT)),
    "FPDFBookmark_GetFirstChild": (_HANDLE, (_HANDLE, _HANDLE)),
    "FPDFBookmark_GetNextSibling": (_HANDLE, (_HANDLE, _HANDLE)),
    "FPDFBookmark_GetTitle": (ctypes.c_ulong, (_HANDLE, _HANDLE, ctypes.c_ulong)),
    "FPDFBookmark_GetDest": (_HANDLE, (_HANDLE, _HANDLE)),
    "FPDFDest_GetDestPageIndex": (_INT, (_HANDLE, _HANDLE)),
}


class _Config(ctypes.Structure):
    """FPDF_LIBRARY_CONFIG of version 2, all at its defaults."""

    _fields_ = (("version", _INT), ("fonts", _HANDLE), ("isolate", _HANDLE), ("slot", ctypes.c_uint))


@cache
def pdfium() -> Any:
    """The library, ready, with the types of all functions that are used here."""
    library = ctypes.CDLL(str(found)) if (found := _file()) else _of_pypdfium2()
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.FPDF_InitLibraryWithConfig(ctypes.byref(_Config(2)))
    return library


def _file() -> Path | None:
    """The library's file in pypdfium2's wheel, or None where pypdfium2 was built to take the system's."""
    spec = PathFinder.find_spec("pypdfium2_raw")
    for place in (spec and spec.submodule_search_locations) or ():
        name = {"darwin": "libpdfium.dylib", "win32": "pdfium.dll"}.get(sys.platform, "libpdfium.so")
        if (file := Path(place) / name).is_file():
            return file
    return None


def _of_pypdfium2() -> Any:
    """The library as pypdfium2 finds it, with types of our own."""
    import pypdfium2.raw as library

    class Library:
        """Functions at pypdfium2's addresses."""

    own = Library()
    for name, (result, arguments) in _SIGNATURES.items():
        address = ctypes.cast(getattr(library, name), _HANDLE).value
        setattr(own, name, ctypes.CFUNCTYPE(result, *arguments)(address or 0))
    return own


def document_of(content: bytes, password: str | None = None) -> int:
    """The handle of an opened document; `content` must outlive it.

    Raises:
        SourceError: pdfium cannot open it (the path is empty: the parent knows it).
    """
    library = pdfium()
    # First without: pdfium refuses a file that needs none where one is given.
    for given in (None,) if password is None else (None, password):
        try:
            secret = None if given is None else given.encode()
        except UnicodeEncodeError:
            break  # bytes of a command line that are no text
        document = library.FPDF_LoadMemDocument64(content, len(content), secret)
        if document and library.FPDF_GetPageCount(document) > 0:
            return int(document)
        code = library.FPDF_GetLastError()
        if code == _SECURITY:
            raise EncryptedSourceError(
                "", "its kind of encryption is not supported", "save a copy without it"
            )
        if code != _PASSWORD:
            raise damaged()
    raise locked(password)


def handle_of(one: Any) -> int:
    """The address behind one of pypdfium2's objects; an address as it is."""
    return one if isinstance(one, int) else int(ctypes.cast(one.raw, _HANDLE).value or 0)


def locked(password: str | None) -> SourceError:
    """The error of a file that `password`, or none, does not open."""
    why = "it is protected by a password" if password is None else "the password does not open it"
    return EncryptedSourceError("", why, _TELL_IT)


def damaged() -> SourceError:
    """The error of a file that cannot be opened at all."""
    return DamagedSourceError("", "it is damaged, or not a PDF", "open it in a PDF viewer and save it anew")


def text_of(textpage: Any, num_chars: int) -> str:
    """All of a page's text, exactly as pypdfium2's `get_text_range()` gives it."""
    library = pdfium()
    first, last = 0, num_chars - 1
    # pdfium reads on beyond what is asked for where it leaves out the last characters of it.
    while first <= last and library.FPDFText_GetTextIndexFromCharIndex(textpage, first) < 0:
        first += 1
    while first <= last and library.FPDFText_GetTextIndexFromCharIndex(textpage, last) < 0:
        last -= 1
    if first > last:
        return ""
    num_bytes = 4 * (num_chars + 1)  # two units for each, and the closing zero
    buffer = _buffer(1 << num_bytes.bit_length())
    num_units = library.FPDFText_GetText(textpage, first, last + 1 - first, buffer)
    return ctypes.string_at(buffer, 2 * max(num_units - 1, 0)).decode("utf-16-le", "ignore")


@lru_cache(maxsize=4)
def _buffer(num_bytes: int) -> Any:
    """Room for so many bytes: to make a new kind of array takes longer than to fill it."""
    return ctypes.create_string_buffer(num_bytes)


def label_of(document: int, index: int) -> str:
    """The label that is printed on a page, "" where the document says none."""
    return _string(pdfium().FPDF_GetPageLabel, document, index)


def outline_of(document: int) -> Iterator[tuple[int, str, int | None]]:
    """Level, title and page index of each entry of the outline, in its order."""
    # An outline is a convenience: what is broken in it must not cost the text, nor the entries beside it.
    yield from _entries(document, None, 0, set())


def _entries(
    document: int, parent: int | None, level: int, seen: set[int]
) -> Iterator[tuple[int, str, int | None]]:
    library = pdfium()
    entry = library.FPDFBookmark_GetFirstChild(document, parent)
    while entry and entry not in seen:
        seen.add(entry)
        target = library.FPDFBookmark_GetDest(document, entry)
        page = library.FPDFDest_GetDestPageIndex(document, target) if target else -1
        yield level, _string(library.FPDFBookmark_GetTitle, entry), page if page >= 0 else None
        if level < _MAX_LEVELS - 1:
            yield from _entries(document, entry, level + 1, seen)
        entry = library.FPDFBookmark_GetNextSibling(document, entry)


def _string(function: Any, *arguments: int) -> str:
    """What pdfium writes as UTF-16 with a closing zero; "" where it is no text."""
    size = function(*arguments, None, 0)
    if size <= 2:  # noqa: PLR2004 - the zero alone
        return ""
    buffer = ctypes.create_string_buffer(size)
    function(*arguments, buffer, size)
    with suppress(UnicodeDecodeError):
        return buffer.raw[: size - 2].decode("utf-16-le")
    return ""
