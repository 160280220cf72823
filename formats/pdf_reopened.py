"""A PDF that is opened once more, at some of its pages. Runs in the child process.

What is asked for after the reading (a box, what is hidden) must find the document that the reader found.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from lctx.core.errors import DamagedSourceError
from lctx.formats.pdf_functions import functions
from lctx.formats.pdf_library import document_of
from lctx.formats.pdf_pdfium import mended

_KEPT: list[bytes] = []
"""pdfium reads a document's bytes as long as it is open: this process ends before it closes one."""


def reopened(content: bytes, password: str | None) -> int:
    """Of the document that the reader read: from its header on, mended where its end is missing.

    Raises:
        SourceError: pdfium cannot open it.
    """
    body = content[max(content.find(b"%PDF-"), 0) :]
    for bytes_of in (bytes, mended):
        _KEPT.append(bytes_of(body))
        try:
            return document_of(_KEPT[-1], password)
        except DamagedSourceError as error:
            refusal = error
    raise refusal


@contextmanager
def page_at(document: int, index: int) -> Iterator[tuple[int, int]]:
    """The handles of a page and of its text, closed afterwards; 0 for what cannot be loaded."""
    library = functions()
    page = library.FPDF_LoadPage(document, index) or 0
    textpage = library.FPDFText_LoadPage(page) or 0 if page else 0
    try:
        yield page, textpage
    finally:
        if textpage:
            library.FPDFText_ClosePage(textpage)
        if page:
            library.FPDF_ClosePage(page)
