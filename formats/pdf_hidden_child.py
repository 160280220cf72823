"""What stands in a page's text and cannot be seen on the page. Runs in the child process, beside pdfium.

What a page draws is walked through for text that may be unseen; such a page is drawn twice, with that text
and without it: what makes no difference to the picture cannot be seen, whatever the trick.
"""

import ctypes
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

from lctx.formats.pdf_chars import text_and_chars
from lctx.formats.pdf_digest import digest_of
from lctx.formats.pdf_doubt import Doubt, Layers, doubts_about
from lctx.formats.pdf_drawn import TEXT, Drawn, address_of, area_of, drawn_on, shared
from lctx.formats.pdf_functions import Box, functions
from lctx.formats.pdf_picture import Picture
from lctx.formats.pdf_reopened import reopened

_SEEN = 12
"""A difference of one colour channel, of 255, from which an eye sees it."""
_INK = 24
"""The same between the words of a scan and its paper."""
_INVISIBLE = 3  # FPDF_TEXTRENDERMODE_INVISIBLE
_MIN_PIXELS = 0.5
"""Type that is drawn smaller than this leaves nothing to judge."""
_OVERLAP = 0.2
"""Text that shares this part of its box with other doubtful text is looked at alone."""
_MAX_ALONE = 24
"""Texts of a page that are looked at alone; it takes one more picture each."""
_SAME = 0.8
"""Two texts that share this part of their boxes are one and its shadow."""


def prepare() -> None:
    """Have pdfium loaded before a child is forked for a file."""
    import pypdfium2  # noqa: F401

    functions()


def hidden(content: bytes, pages: Sequence[int], password: str | None = None) -> Iterator[dict[str, Any]]:
    """One record for each page: its text's digest, and the ranges of that text that cannot be seen.

    Args:
        content: The PDF.
        pages: By index.
        password: Opens it, where it needs one.

    Raises:
        SourceError: pdfium cannot open it.
    """
    import pypdfium2
    import pypdfium2.raw

    pdf = pypdfium2.PdfDocument(ctypes.cast(reopened(content, password), pypdfium2.raw.FPDF_DOCUMENT))
    for index in pages:
        record: dict[str, Any] = {"type": "hidden", "page": index, "digest": "", "ranges": []}
        with suppress(pypdfium2.PdfiumError, IndexError), closing(pdf[index]) as page:
            if unseen := {one.address for one in unseen_on(page)}:
                with closing(page.get_textpage()) as textpage:
                    handle = address_of(textpage.raw)
                    text, chars = text_and_chars(handle)
                    record["digest"] = digest_of(text)
                    record["ranges"] = [] if chars is None else _ranges(handle, text, chars, unseen)
        yield record


def unseen_on(page: Any) -> list[Drawn]:
    """The text objects of a page that cannot be seen on it."""
    import pypdfium2.raw as pdfium

    drawn = list(drawn_on(page))
    texts = [one for one in drawn if one.kind == TEXT]
    if not texts:
        return []
    edges = pdfium.FS_RECTF()
    pdfium.FPDF_GetPageBoundingBox(page, edges)
    layers = Layers(drawn, (edges.left, edges.bottom, edges.right, edges.top))
    doubts = {one: doubt for one in texts if (doubt := doubts_about(one, layers))}
    unseen = [one for one, doubt in doubts.items() if doubt is Doubt.NONE_SEES_IT]
    scanned = [one for one, doubt in doubts.items() if doubt is Doubt.OVER_A_PICTURE]
    drawn_text = {one: doubt for one, doubt in doubts.items() if doubt in {Doubt.WEAK, Doubt.STRONG}}
    if scanned or drawn_text:
        picture = Picture(page)
        if picture:
            unseen += [one for one in scanned if not picture.has_contrast(_around(one.box), _INK)]
            unseen += _without_difference(page, picture, drawn_text)
    return _without_shadows(unseen, texts)


def _without_difference(page: Any, picture: Picture, doubts: Mapping[Drawn, Doubt]) -> list[Drawn]:
    """Those of the doubtful texts without which the page looks the same."""
    judged = [one for one in doubts if one.height * picture.scale >= _MIN_PIXELS]
    if not judged:
        return []
    bare = _picture_without(page, judged)
    unseen = [one for one in judged if picture.difference(bare, one.box, _SEEN) < _SEEN]
    # Other text that is in doubt may have made the difference.
    left = [one for one in judged if one not in unseen]
    strong = [one for one in left if doubts[one] is Doubt.STRONG]
    crowded = [one for one in strong if _is_crowded(one, left)][:_MAX_ALONE]
    return unseen + [
        one for one in crowded if picture.difference(_picture_without(page, [one]), one.box, _SEEN) < _SEEN
    ]


def _picture_without(page: Any, texts: Sequence[Drawn]) -> Picture:
    import pypdfium2.raw as pdfium

    modes = [pdfium.FPDFTextObj_GetTextRenderMode(one.handle) for one in texts]
    for one in texts:
        pdfium.FPDFTextObj_SetTextRenderMode(one.handle, _INVISIBLE)
    try:
        return Picture(page)
    finally:
        for one, mode in zip(texts, modes, strict=True):
            pdfium.FPDFTextObj_SetTextRenderMode(one.handle, mode)


def _is_crowded(one: Drawn, others: Sequence[Drawn]) -> bool:
    return any(
        area_of(shared(one.box, other.box)) > _OVERLAP * one.area for other in others if other is not one
    )


def _around(box: Box) -> Box:
    """A box and its surroundings: what was recognised in a scan may miss its words by a little."""
    margin = min(max((box[3] - box[1]) / 2, 2.0), 12.0)
    return box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin


def _without_shadows(unseen: list[Drawn], texts: Sequence[Drawn]) -> list[Drawn]:
    """`unseen` but for what lies under the same text once more: pdfium keeps the first of the two only."""
    hidden_ones = {one.order for one in unseen}
    seen = [one for one in texts if one.order not in hidden_ones] if unseen else []
    return [
        one
        for one in unseen
        if not any(
            area_of(shared(one.box, other.box)) > _SAME * max(one.area, other.area) > 0 for other in seen
        )
    ]


def _ranges(textpage: int, text: str, chars: Sequence[int], unseen: Collection[int]) -> list[tuple[int, int]]:
    """The ranges of `text` that come of the objects at the addresses in `unseen`."""
    pdfium = functions()
    found: list[tuple[int, int]] = []
    is_open = False  # white space between two stretches belongs to them
    for offset, (char, index) in enumerate(zip(text, chars, strict=True)):
        if char.isspace() or index < 0 or pdfium.FPDFText_IsGenerated(textpage, index) == 1:
            continue
        address = pdfium.FPDFText_GetTextObject(textpage, index)
        if address in unseen and is_open:
            found[-1] = (found[-1][0], offset + 1)
        elif address in unseen:
            found.append((offset, offset + 1))
        is_open = address in unseen
    return found
