"""One file out of a PDF that it is attached to. Runs in a child process: it may swell beyond all memory."""

import base64
import ctypes
from collections.abc import Iterator
from typing import Any

from lctx.core.errors import DamagedSourceError
from lctx.formats.pdf_functions import functions
from lctx.formats.pdf_reopened import reopened


def prepare() -> None:
    """Have pdfium loaded before a child is forked for a file."""
    functions()


def file_of(
    content: bytes, number: int, page: int | None = None, most: int = 0, password: str | None = None
) -> Iterator[dict[str, Any]]:
    """One record with the bytes of an attached file, or its size alone where it has more than `most`.

    Args:
        content: The PDF.
        number: Of the attachment, or of the annotation that it hangs on.
        page: The index of the page that it hangs on; None for one of the document's own.
        most: Bytes.
        password: Opens the PDF, where it needs one.

    Raises:
        SourceError: pdfium cannot open the PDF.
    """
    pdfium = functions()
    document = reopened(content, password)
    if page is None:
        attachment = pdfium.FPDFDoc_GetAttachment(document, number)
    else:
        opened_page = pdfium.FPDF_LoadPage(document, page)
        annotation = pdfium.FPDFPage_GetAnnot(opened_page, number) if opened_page else None
        attachment = pdfium.FPDFAnnot_GetFileAttachment(annotation) if annotation else None
    size = ctypes.c_ulong()
    if not attachment or not pdfium.FPDFAttachment_GetFile(attachment, None, 0, ctypes.byref(size)):
        raise DamagedSourceError("", "the file does not hold it")
    buffer = ctypes.create_string_buffer(size.value if size.value <= most else 0)
    if len(buffer):
        pdfium.FPDFAttachment_GetFile(attachment, buffer, len(buffer), ctypes.byref(size))
    yield {"type": "file", "size": size.value, "content": base64.b64encode(buffer.raw).decode("ascii")}
