"""Where on its page a stretch of a PDF's text is printed: looked up when it is cited, never while reading.

pdfium opens the file again, in a child process, at the pages that are asked for.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from lctx.core.document import Document
from lctx.core.errors import SourceError
from lctx.formats.child import Ceilings, run_in_child
from lctx.formats.pdf_digest import digest_of
from lctx.formats.pdf_wire import Boxes
from lctx.formats.reader import DEFAULTS, ReadOptions

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in points, from the lower left corner of the page as it is shown: cut and turned."""

_BOXES = "lctx.formats.pdf_boxes_child:boxes"
_CEILINGS = Ceilings(seconds=60, step_s=20)
_RECORDS: msgspec.json.Decoder[Boxes] = msgspec.json.Decoder(Boxes)


def boxes_of(
    document: Document, content: bytes, ranges: Sequence[tuple[int, int]], options: ReadOptions = DEFAULTS
) -> list[Box | None]:
    """The box of each range of `document.text`, on the range's first page; None where nobody can tell.

    Nothing is told of a range without ink, of what is no page (a note, an attachment), of text that pypdf
    read, and of a file that is no longer what it was when `document` was read.

    Args:
        document: What a reader made of `content`, or a part of it.
        content: The file's bytes.
        ranges: Half-open, into `document.text`.
        options: The password, where the source needs one.
    """
    found: list[Box | None] = [None] * len(ranges)
    if document.kind != "pdf":
        return found
    pages = _by_page(document, ranges)
    if not pages:
        return found
    wanted = [(page, [(start, end) for _, start, end in asked]) for page, asked in sorted(pages.items())]
    arguments = {"wanted": wanted, "password": options.password}
    try:
        records = run_in_child(_BOXES, document.path, content, _RECORDS, _CEILINGS, arguments)
    except SourceError:
        return found  # the quote and its page hold without a box
    digests = _digests(document, pages)
    for record in records:
        asked = pages.get(record.page, [])
        if record.digest != digests.get(record.page):
            continue
        for (number, _, _), box in zip(asked, record.boxes, strict=False):
            found[number] = box if box and all(map(math.isfinite, box)) else None
    return found


def _by_page(
    document: Document, ranges: Sequence[tuple[int, int]]
) -> Mapping[int, Sequence[tuple[int, int, int]]]:
    """For each page's index the ranges that begin on it: their number, start and end on that page."""
    pages = defaultdict(list)
    for number, (start, end) in enumerate(ranges):
        for span in document.spans_of(start, end)[:1]:
            if span.location.pages and span.location.part is None and end > start:
                first = (number, start - span.start, min(end, span.end) - span.start)
                pages[span.location.pages[0] - 1].append(first)
    return pages


def _digests(document: Document, pages: Mapping[int, object]) -> dict[int, str]:
    return {
        span.location.pages[0] - 1: digest_of(document.text[span.start : span.end])
        for span in document.spans
        if span.location.pages and span.location.part is None and span.location.pages[0] - 1 in pages
    }
