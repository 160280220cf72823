"""Pages of a PDF through pdfium. Runs in a child process: pdfium is C++, and files are written to break it.

`pdf_wire.py` has the types of what is yielded; they are not imported, so that the child starts fast.
"""

import re
from collections.abc import Iterator
from typing import Any

from lctx.core.errors import LimitError
from lctx.formats.pdf_annotations import Annotations, extras_of
from lctx.formats.pdf_functions import functions
from lctx.formats.pdf_layout import page_text
from lctx.formats.pdf_library import damaged, document_of, label_of, outline_of, pdfium
from lctx.formats.pdf_pictures import shows_of

MAX_PAGES = 100_000
"""More pages than this are not read."""
MAX_CHARS = 50_000_000
"""More text than this is not read: twelve million tokens, far above any window."""
MAX_OUTLINE = 20_000
"""Outline entries after this one are left out."""
SHARE_PAGES = 4
"""Processes that read one document side by side take turns after this many pages; more share it unevenly."""

SMALLER = "split the file into smaller parts and name those instead"
_CATALOG = rb"(?s)(\d{1,10})\s+(\d{1,5})\s+obj(?:(?!endobj).){0,2000}?/Type\s*/Catalog\b"
_TRAILER = b"\nendstream\nendobj\ntrailer\n<</Root %s %s R>>\nstartxref\n0\n%%%%EOF\n"


def prepare() -> None:
    """Have pdfium loaded before a child is forked for a file."""
    functions()


def read_pages(
    content: bytes, password: str | None = None, share: int = 0, num_shares: int = 1
) -> Iterator[dict[str, Any]]:
    """One record a page in order, with its text; then one for each entry of the outline.

    Args:
        content: The PDF.
        password: Opens it, where it needs one.
        share: Which pages to read, where several processes read side by side: 0 reads the first ones, and
            the outline.
        num_shares: How many processes there are.

    Raises:
        SourceError: pdfium cannot open it (the path is empty: the parent knows it).
    """
    document = document_of(content, password)
    num_pages = pdfium().FPDF_GetPageCount(document)
    check_ceilings(num_pages, 0)
    annotations = Annotations(document)
    num_chars = 0
    for index in range(num_pages):
        if index // SHARE_PAGES % num_shares == share:
            page, extras = _read_page(document, index, MAX_CHARS - num_chars, annotations)
            num_chars += len(page["text"])
            yield page
            if extras:
                yield extras
    if share == 0:
        yield from _outline(document)
        yield from extras_of(document)


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
    roots = re.findall(_CATALOG, content)
    if not roots:
        raise damaged()
    number, generation = roots[-1]
    return content + _TRAILER % (number, generation)


def opened(content: bytes, password: str | None = None) -> Any:
    """The `PdfDocument` of a file, as the reader opens it; `content` must outlive it.

    Raises:
        SourceError: pdfium cannot open it (the path is empty: the parent knows it).
    """
    import ctypes

    import pypdfium2
    import pypdfium2.raw

    handle = document_of(content, password)
    return pypdfium2.PdfDocument(ctypes.cast(handle, pypdfium2.raw.FPDF_DOCUMENT))


def check_ceilings(num_pages: int, num_chars: int) -> None:
    """Raise a `LimitError` where a PDF holds more pages or more text than is read."""
    if num_pages > MAX_PAGES:
        raise LimitError("", f"{num_pages:,} pages, more than the {MAX_PAGES:,} that are read", SMALLER)
    if num_chars > MAX_CHARS:
        raise LimitError("", f"more than {MAX_CHARS:,} characters of text", SMALLER)


def _read_page(
    document: int, index: int, room: int, annotations: Annotations
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The record of a page, and that of what lies on it beside its text."""
    extras = None
    record: dict[str, Any] = {"type": "page", "text": "", "label": label_of(document, index), "failed": None}
    library = pdfium()
    page = library.FPDF_LoadPage(document, index)
    textpage = library.FPDFText_LoadPage(page) if page else None
    if textpage:
        num_chars = library.FPDFText_CountChars(textpage)
        # Counted first: a page may hold more text than memory.
        check_ceilings(0, num_chars + MAX_CHARS - room)
        found = page_text(textpage, num_chars)
        record |= {"text": found.text, "cells": found.cells}
        if not found.text.strip():
            record["shows"] = shows_of(page)
        extras = annotations.of_page(index, page, textpage, found.text, found.origins)
        library.FPDFText_ClosePage(textpage)
    else:
        record["failed"] = "its text cannot be loaded" if page else "it cannot be loaded"
    if page:
        library.FPDF_ClosePage(page)
    return record, extras


def _outline(document: int) -> Iterator[dict[str, Any]]:
    for number, (level, title, page) in enumerate(outline_of(document)):
        if number >= MAX_OUTLINE:
            return
        yield {"type": "entry", "level": level, "title": title, "page": page}
