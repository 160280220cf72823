"""Which of pdfium's characters stand behind a page's text. Runs in the child process."""

from collections.abc import Sequence

from lctx.formats.pdf_functions import functions
from lctx.formats.pdf_layout import page_text
from lctx.formats.pdf_library import text_of

_WIDE = "\uffff"
"""A character above this one is two in pdfium's list."""


def _is_narrow(text: str) -> bool:
    """Whether none is: asked of the encoder, which looks faster than `max`."""
    return text.isascii() or len(text.encode("utf-16-le", "surrogatepass")) == 2 * len(text)


def text_and_chars(textpage: int) -> tuple[str, Sequence[int] | None]:
    """A page's text as the reader gives it, and the index of pdfium's character behind each of its own.

    The index is -1 behind a character that the reader added. All are None where nobody can tell, since
    something was lost on the way from one to the other.
    """
    page = page_text(textpage)
    if page.origins is None:
        return page.text, char_indices(textpage, page.text)
    chars = char_indices(textpage, text_of(textpage, functions().FPDFText_CountChars(textpage)))
    if chars is None:
        return page.text, None
    return page.text, [chars[origin] if origin >= 0 else -1 for origin in page.origins]


def char_indices(textpage: int, text: str) -> Sequence[int] | None:
    """The index in pdfium's list of characters of each character of `text`; None where nobody can tell.

    Args:
        textpage: pdfium's.
        text: All of the page's text in pdfium's own order.
    """
    pdfium = functions()
    num_chars = pdfium.FPDFText_CountChars(textpage)
    is_wide = not _is_narrow(text)
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
    if _is_narrow(text):
        return range(len(text))
    return [offset for offset, char in enumerate(text) for _ in range(2 if char > _WIDE else 1)]


def _units(text: str) -> list[int]:
    """Where each character of `text` begins, counted in UTF-16."""
    units, position = [], 0
    for char in text:
        units.append(position)
        position += 2 if char > _WIDE else 1
    return units
