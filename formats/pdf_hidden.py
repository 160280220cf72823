"""What stands in a PDF's text and cannot be seen on its pages: looked for on those that are asked for.

pdfium opens the file again, in child processes, and draws the pages where something may be hidden.
"""

from collections.abc import Collection, Sequence

import msgspec

from lctx.core.document import Document
from lctx.formats.child import Ceilings
from lctx.formats.children import run_in_children
from lctx.formats.pdf_digest import digest_of
from lctx.formats.pdf_wire import Hidden
from lctx.formats.reader import DEFAULTS, ReadOptions

_HIDDEN = "lctx.formats.pdf_hidden_child:hidden"
_CEILINGS = Ceilings(seconds=300, step_s=20)
_RECORDS: msgspec.json.Decoder[Hidden] = msgspec.json.Decoder(Hidden)
_MIN_PAGES = 32
"""A second process for fewer pages than this would take longer to start than it saves."""


def hidden_in(
    document: Document, content: bytes, pages: Collection[int], options: ReadOptions = DEFAULTS
) -> list[tuple[int, int]]:
    """The ranges of `document.text` on `pages` that cannot be seen on the page; sorted and apart.

    Unseen is text that is not drawn, has the colour of what lies beneath it, is covered or clipped away,
    stands outside the page, in a layer that is turned off, or in type under 1 point. The words of a scan that
    lie over its picture can be seen there and are not hidden; nor is anything that leaves a doubt. Nothing is
    told of pages that pypdf read, or of a file that is no longer what it was when `document` was read.

    Args:
        document: What a reader made of `content`, or a part of it.
        content: The file's bytes.
        pages: One-based.
        options: The password, where the source needs one, and how many processes may look.

    Raises:
        SourceError: It cannot be opened any more, or looking at it reached a ceiling.
    """
    if document.kind != "pdf":
        return []
    spans = {
        span.location.pages[0]: span
        for span in document.spans
        if span.location.pages
        and span.location.part is None
        and not _is_blank(document, span.start, span.end)
    }
    wanted = sorted(spans.keys() & set(pages))
    found = []
    for record in _looked_for(document, content, wanted, options):
        span = spans.get(record.page + 1)
        if span and record.ranges and record.digest == digest_of(document.text[span.start : span.end]):
            found += [(span.start + start, min(span.start + end, span.end)) for start, end in record.ranges]
    return sorted(found)


def _looked_for(
    document: Document, content: bytes, pages: Sequence[int], options: ReadOptions
) -> list[Hidden]:
    """A record for each page, by however many processes."""
    num_parts = max(min(options.processes, len(pages) // _MIN_PAGES), 1)
    # Neighbours cost alike: dealt out in turn, no process waits long for another.
    parts = [part for number in range(num_parts) if (part := [page - 1 for page in pages[number::num_parts]])]
    if not parts:
        return []
    arguments = [{"pages": part, "password": options.password} for part in parts]
    found = run_in_children(_HIDDEN, document.path, content, _RECORDS, _CEILINGS, arguments)
    return [record for records in found for record in records]


def _is_blank(document: Document, start: int, end: int) -> bool:
    return not document.text[start:end].strip()
