"""A PDF opened anew at some of its pages, and which of pdfium's characters stand behind a page's text.

Runs in the child process. What is asked for later (a box, what is hidden) must count as the reader counted.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lctx.core.errors import DamagedSourceError
from lctx.formats.pdf_pdfium import mended, opened

_WIDE = "\uffff"
"""A character above this one is two in pdfium's list."""


@contextmanager
def page_of(pdf: Any, index: int) -> Iterator[Any]:
    """A page, closed afterwards: those of a long document must not fill the memory."""
    page = pdf[index]
    try:
        yield page
    finally:
        page.close()


@contextmanager
def textpage_of(page: Any) -> Iterator[Any]:
    """A page's text as pdfium finds it, closed afterwards."""
    textpage = page.get_textpage()
    try:
        yield textpage
    finally:
        textpage.close()


def reopened(content: bytes, password: str | None) -> Any:
    """The document that the reader read: with an end where that is missing, from its header on.

    Raises:
        SourceError: pdfium cannot open it.
    """
    body = content[max(content.find(b"%PDF-"), 0) :]
    try:
        return opened(body, password)
    except DamagedSourceError:
        return opened(mended(body), password)


def text_and_chars(textpage: Any) -> tuple[str, Sequence[int] | None]:
    """A page's text as the reader gives it, and the index of pdfium's character behind each of its own.

    The indices are None where nobody can tell, since something was lost on the way from one to the other.
    """
    text = textpage.get_text_range()
    return text, char_indices(textpage, text)


def char_indices(textpage: Any, text: str) -> Sequence[int] | None:
    """The index in pdfium's list of characters of each character of `text`; None where nobody can tell.

    Args:
        textpage: pdfium's.
        text: All of the page's text in pdfium's own order.
    """
    import pypdfium2.raw as pdfium

    num_chars = pdfium.FPDFText_CountChars(textpage)
    is_wide = max(text, default="") > _WIDE
    last = pdfium.FPDFText_GetTextIndexFromCharIndex(textpage, num_chars - 1) if num_chars > 0 else -1
    if not is_wide and len(text) == num_chars == last + 1:
        return range(num_chars)
    # pdfium leaves out characters that stand for nothing, and counts in halves of what UTF-16 needs two for.
    units = _units(text)
    if num_chars > 0 and last < 0:  # the last characters are left out
        last = max(pdfium.FPDFText_GetTextIndexFromCharIndex(textpage, index) for index in range(num_chars))
    if (units[-1] if units else -1) + (is_wide and text[-1] > _WIDE) != last:
        return None  # something was lost on the way to `text`, such as half a character
    found = [pdfium.FPDFText_GetCharIndexFromTextIndex(textpage, unit) for unit in units]
    return found if min(found, default=0) >= 0 else None


def text_offsets(text: str) -> Sequence[int]:
    """The offset in `text` of each half that UTF-16 writes it in: what pdfium counts by."""
    if max(text, default="") <= _WIDE:
        return range(len(text))
    return [offset for offset, char in enumerate(text) for _ in range(2 if char > _WIDE else 1)]


def digest_of(text: str) -> str:
    """A name for a page's text: what was found in one text says nothing of another."""
    # The document ends a page with a newline that the page does not have.
    return hashlib.sha256(text.removesuffix("\n").encode("utf-8", "replace")).hexdigest()


def _units(text: str) -> list[int]:
    """Where each character of `text` begins, counted in UTF-16."""
    units, position = [], 0
    for char in text:
        units.append(position)
        position += 2 if char > _WIDE else 1
    return units
