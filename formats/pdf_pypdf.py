"""Pages of a PDF through pypdf: slower than pdfium, but it reads some files that pdfium refuses.

Runs in a child process and yields the records that `pdf_pdfium.py` yields.
"""

import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from lctx.core.errors import DamagedSourceError
from lctx.formats.pdf_library import locked
from lctx.formats.pdf_pdfium import MAX_OUTLINE, check_ceilings

_MAX_LEVEL = 15


def prepare() -> None:
    """Have pypdf loaded before a child is forked for a file."""
    import pypdf  # noqa: F401


def read_pages(content: bytes, password: str | None = None) -> Iterator[dict[str, Any]]:
    """One record a page in order, with pypdf's text of it; then one for each entry of the outline.

    Args:
        content: The PDF.
        password: Opens it, where it needs one.

    Raises:
        SourceError: pypdf cannot open it (the path is empty: the parent knows it).
    """
    import io
    import logging

    import pypdf

    logging.disable(logging.CRITICAL)  # what it says of each oddity has no reader here
    warnings.simplefilter("ignore")
    try:
        pdf = pypdf.PdfReader(io.BytesIO(content), strict=False)
        is_locked = pdf.is_encrypted and not (pdf.decrypt("") or pdf.decrypt(password or ""))
        num_pages = 0 if is_locked else len(pdf.pages)
    except MemoryError:
        raise
    except Exception as error:
        why = "it is damaged, or not a PDF"
        raise DamagedSourceError("", why, "open it in a PDF viewer and save it anew") from error
    if is_locked:
        raise locked(password)
    check_ceilings(num_pages, 0)
    labels = _labels(pdf, num_pages)
    num_chars = 0
    for index in range(num_pages):
        page = _read_page(pdf, index, labels[index])
        num_chars += len(page["text"])
        check_ceilings(0, num_chars)
        yield page
    yield from _outline(pdf)


def _read_page(pdf: Any, index: int, label: str) -> dict[str, Any]:
    try:
        text = pdf.pages[index].extract_text()
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  # pypdf raises whatever broken bytes lead it to
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return {"type": "page", "text": "", "label": label, "failed": why}
    # Broken fonts give lone surrogates, which no encoding carries.
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return {"type": "page", "text": text, "label": label, "failed": None}


def _labels(pdf: Any, num_pages: int) -> list[str]:
    with suppress(Exception):
        labels = [str(label) for label in pdf.page_labels]
        if len(labels) == num_pages:
            return labels
    return [""] * num_pages


def _outline(pdf: Any) -> Iterator[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    with suppress(Exception):
        _collect(pdf, pdf.outline, 0, entries)
    yield from entries


def _collect(pdf: Any, outline: Any, level: int, entries: list[dict[str, Any]]) -> None:
    """Append the entries of `outline`, where a nested list holds the children of the entry before it."""
    for entry in outline:
        if len(entries) >= MAX_OUTLINE or level > _MAX_LEVEL:
            return
        if isinstance(entry, list):
            _collect(pdf, entry, level + 1, entries)
            continue
        page = None
        with suppress(Exception):
            page = pdf.get_destination_page_number(entry)
        entries.append({"type": "entry", "level": level, "title": str(entry.title), "page": page})
