"""Pages of a PDF through pdfium. Runs in a child process: pdfium is C++, and files are written to break it.

`pdf_wire.py` has the types of what is yielded; they are not imported, so that the child starts fast.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from lctx.core.errors import DamagedSourceError, EncryptedSourceError, LimitError, SourceError
from lctx.formats.pdf_cells import cell_starts

MAX_PAGES = 20_000
"""More pages than this are not read."""
MAX_CHARS = 50_000_000
"""More text than this is not read: twelve million tokens, far above any window."""
MAX_OUTLINE = 20_000
"""Outline entries after this one are left out."""

_TELL_IT = "give its password with --password or in LCTX_PASSWORD, or save a copy without one"
_SMALLER = "split the file into smaller parts and name those instead"
_CATALOG = re.compile(rb"(\d{1,10})\s+(\d{1,5})\s+obj(?:(?!endobj).){0,2000}?/Type\s*/Catalog\b", re.DOTALL)
_TRAILER = b"\nendstream\nendobj\ntrailer\n<</Root %s %s R>>\nstartxref\n0\n%%%%EOF\n"
_PASSWORD, _SECURITY = 4, 5  # FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY


def read_pages(content: bytes, password: str | None = None) -> Iterator[dict[str, Any]]:
    """One record a page in order, with pdfium's own text of it; then one for each entry of the outline.

    Args:
        content: The PDF.
        password: Opens it, where it needs one.

    Raises:
        SourceError: pdfium cannot open it (the path is empty: the parent knows it).
    """
    pdf = opened(content, password)
    check_ceilings(len(pdf), 0)
    num_chars = 0
    for index in range(len(pdf)):
        page = _read_page(pdf, index, MAX_CHARS - num_chars)
        num_chars += len(page["text"])
        yield page
    yield from _outline(pdf)


def read_cut_off(content: bytes, password: str | None = None) -> Iterator[dict[str, Any]]:
    """What `read_pages` yields, for a file whose end is missing: pdfium finds the objects, given their root.

    Raises:
        SourceError: It names no root, or pdfium cannot open it even so.
    """
    yield from read_pages(mended(content), password)


def mended(content: bytes) -> bytes:
    """A file whose end is missing, with one that names its root.

    Raises:
        DamagedSourceError: Nothing in it says that it is the root.
    """
    roots = _CATALOG.findall(content)
    if not roots:
        raise _refusal(None)
    number, generation = roots[-1]
    return content + _TRAILER % (number, generation)


def opened(content: bytes, password: str | None = None) -> Any:
    """The `PdfDocument` of a file.

    Raises:
        SourceError: pdfium cannot open it (the path is empty: the parent knows it).
    """
    import pypdfium2

    # First without: pdfium refuses a file that needs none where one is given.
    for given in (None,) if password is None else (None, password):
        try:
            return pypdfium2.PdfDocument(content, password=given)
        except pypdfium2.PdfiumError as error:
            code = getattr(error, "err_code", None)
            if code != _PASSWORD:
                raise _refusal(code) from error
        except UnicodeEncodeError:
            break  # bytes of a command line that are no text
    raise locked(password)


def locked(password: str | None) -> EncryptedSourceError:
    """The error of a file that `password`, or none, does not open."""
    if password is None:
        return EncryptedSourceError("", "it is protected by a password", _TELL_IT)
    return EncryptedSourceError("", "the password does not open it", _TELL_IT)


def check_ceilings(num_pages: int, num_chars: int) -> None:
    """Raise a `LimitError` where a PDF holds more pages or more text than is read."""
    if num_pages > MAX_PAGES:
        raise LimitError("", f"{num_pages:,} pages, more than the {MAX_PAGES:,} that are read", _SMALLER)
    if num_chars > MAX_CHARS:
        raise LimitError("", f"more than {MAX_CHARS:,} characters of text", _SMALLER)


def _read_page(pdf: Any, index: int, room: int) -> dict[str, Any]:
    import pypdfium2

    record: dict[str, Any] = {"type": "page", "text": "", "label": "", "failed": None, "cells": []}
    try:
        page = pdf[index]
        textpage = page.get_textpage()
        # Counted first: a page may hold more text than memory.
        check_ceilings(0, textpage.count_chars() + MAX_CHARS - room)
        text = textpage.get_text_range()
        record |= {"text": text, "cells": cell_starts(textpage, text)}
        textpage.close()
        page.close()
    except pypdfium2.PdfiumError as error:
        record["failed"] = str(error).rstrip(".")
    with suppress(pypdfium2.PdfiumError, UnicodeDecodeError):
        record["label"] = pdf.get_page_label(index)
    return record


def _outline(pdf: Any) -> Iterator[dict[str, Any]]:
    import pypdfium2

    # An outline is a convenience: what is broken in it must not cost the text, nor the entries beside it.
    for number, entry in enumerate(pdf.get_toc()):
        if number >= MAX_OUTLINE:
            return
        record = {"type": "entry", "level": entry.level, "title": "", "page": None}
        with suppress(pypdfium2.PdfiumError, UnicodeDecodeError):
            record["title"] = entry.get_title()
            target = entry.get_dest()
            record["page"] = target.get_index() if target else None
        yield record


def _refusal(code: int | None) -> SourceError:
    if code == _SECURITY:
        return EncryptedSourceError("", "its kind of encryption is not supported", "save a copy without it")
    return DamagedSourceError("", "it is damaged, or not a PDF", "open it in a PDF viewer and save it anew")
