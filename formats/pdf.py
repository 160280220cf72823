"""PDF -> Document: the text of each page exactly as pdfium gives it, so that anyone can check a quote.

pdfium reads in a child process (`child.py`); pypdf tries again, in another, where pdfium finds nothing.
"""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from lctx.core.document import Document, Location, Span
from lctx.core.errors import (
    DamagedSourceError,
    EmptySourceError,
    LimitError,
    ScannedSourceError,
    SourceError,
)
from lctx.formats.child import Ceilings
from lctx.formats.children import run_in_children
from lctx.formats.pdf_attachments import ReadAttachment, attached_files, with_attachments
from lctx.formats.pdf_extras import with_extras
from lctx.formats.pdf_pdfium import MAX_CHARS, SHARE_PAGES, SMALLER
from lctx.formats.pdf_structure import blocks_of
from lctx.formats.pdf_wire import Attachment, Entry, Extras, Page, XfaForm
from lctx.formats.reader import DEFAULTS, ReadOptions

READER = "pdf/3"

_PDFIUM = "lctx.formats.pdf_pdfium:read_pages"
_CUT_OFF = (
    "lctx.formats.pdf_pdfium:read_cut_off",
    "the file is damaged, its end may be missing: only what could be found in it was read",
)
_PYPDF = (
    "lctx.formats.pdf_pypdf:read_pages",
    "read by pypdf, as pdfium could not: spaces and line breaks may differ from those of the page",
)
_CEILINGS = Ceilings(seconds=300, step_s=20)
_FALLBACK_CEILINGS = Ceilings(seconds=120, step_s=20)
_SCAN_CEILINGS = Ceilings(seconds=20, step_s=10)
"""Where pdfium opened the file and saw no text, there is little hope: a long scan must not wait for it."""

_Beside = Extras | Attachment | XfaForm
_RECORDS: msgspec.json.Decoder[Page | Entry | _Beside] = msgspec.json.Decoder(Page | Entry | _Beside)
_SHARE_BYTES = 100_000
"""A file must be so large for each further process that reads it: it opens the file anew."""
_HEADER = b"%PDF-"
_PDFIUM_JUNK = 1024
"""Bytes before the header that pdfium skips by itself."""
_MAX_LABEL_CHARS = 40
_OCR = "run OCR over it first, for example: ocrmypdf scan.pdf readable.pdf"
_NOT_PDF = "name a PDF, or give the file the suffix that fits what it holds"
_SIGNATURES = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"II*\x00": "a TIFF image",
    b"MM\x00*": "a TIFF image",
    b"RIFF": "an image or a recording",
    b"PK\x03\x04": "a ZIP archive or an office document",
    b"\xd0\xcf\x11\xe0": "an old office document",
    b"\x1f\x8b": "a gzip archive",
    b"<": "HTML or XML",
}


def read_pdf(
    path: str, content: bytes, options: ReadOptions = DEFAULTS, read_attachment: ReadAttachment | None = None
) -> Document:
    """The document of a PDF: one span a page, blocks from its outline and its lines.

    Args:
        path: The name to show.
        content: The file's bytes.
        options: The password is used where one is needed.
        read_attachment: Reads what is attached to it; without, that is named in a warning only.

    Raises:
        EmptySourceError: No bytes.
        EncryptedSourceError: It needs a password, or another one.
        ScannedSourceError: No page holds text.
        DamagedSourceError: Neither library can make sense of it, or it is something else than a PDF.
        LimitError: It reaches one of the ceilings.
    """
    if not content:
        raise EmptySourceError(path, "the file is empty", "name a file that holds something")
    header = content.find(_HEADER)
    other = _other_kind(content)
    # An archive may hold a PDF: that is not what the user named.
    if header < 0 or (other and header > _PDFIUM_JUNK):
        raise DamagedSourceError(path, f"it is {other or 'something else'}, not a PDF", _NOT_PDF)
    # Offsets inside a PDF count from its header, wherever a mail gateway or a printer has put that.
    body = content[header:] if header > _PDFIUM_JUNK else content
    pages, outline, beside, warnings = _read(path, body, options)
    document = with_extras(_document(path, content, pages, outline, warnings), beside)
    return with_attachments(document, content, attached_files(beside), read_attachment, options)


def _read(
    path: str, body: bytes, options: ReadOptions
) -> tuple[list[Page], list[Entry], list[_Beside], list[str]]:
    """Pages, the outline, what is beside the text, and warnings: from the first reader that sees text."""
    try:
        return *_read_with(_PDFIUM, path, body, _CEILINGS, options), []
    except (DamagedSourceError, ScannedSourceError) as error:
        refusal = error
    is_scan = isinstance(refusal, ScannedSourceError)
    for reader, warning in (_PYPDF,) if is_scan else (_CUT_OFF, _PYPDF):
        try:
            ceilings = _SCAN_CEILINGS if is_scan else _FALLBACK_CEILINGS
            return *_read_with(reader, path, body, ceilings, options), [warning]
        except SourceError as error:
            if not is_scan and not isinstance(error, DamagedSourceError):
                raise  # it could be opened: what it says of the file is worth more
    raise refusal


def _read_with(
    reader: str, path: str, body: bytes, ceilings: Ceilings, options: ReadOptions
) -> tuple[list[Page], list[Entry], list[_Beside]]:
    shares = run_in_children(reader, path, body, _RECORDS, ceilings, _arguments(reader, body, options))
    pages = _in_turns([[record for record in share if isinstance(record, Page)] for share in shares])
    if sum(len(page.text) for page in pages) > MAX_CHARS:
        raise LimitError(path, f"more than {MAX_CHARS:,} characters of text", SMALLER)
    records = [record for share in shares for record in share]
    beside = [record for record in records if isinstance(record, Extras | Attachment | XfaForm)]
    beside.sort(key=lambda one: one.page if isinstance(one, Extras) else len(pages))
    # A form may be a picture that was filled in: what stands in its fields is text.
    is_filled_in = any(isinstance(record, Extras) and (record.fields or record.notes) for record in beside)
    if is_filled_in or any(page.text.strip() for page in pages):
        return pages, [record for record in records if isinstance(record, Entry)], beside
    if not pages:
        raise DamagedSourceError(path, "it holds no pages", "open it in a PDF viewer and save it anew")
    failed = [page.failed for page in pages if page.failed]
    if failed:
        why = f"none of its pages can be read ({failed[0]})"
        raise DamagedSourceError(path, why, "open it in a PDF viewer and save it anew")
    what = "its only page holds" if len(pages) == 1 else f"its {len(pages):,} pages hold"
    raise ScannedSourceError(path, f"{what} no text, only pictures or nothing", _OCR)


def _arguments(reader: str, body: bytes, options: ReadOptions) -> list[dict[str, Any]]:
    """What each child is told: one, or as many as may read a file of this size side by side."""
    # The other readers are for damaged files, and slow beside their start.
    num_shares = min(options.processes, 1 + len(body) // _SHARE_BYTES) if reader == _PDFIUM else 1
    if num_shares <= 1:
        return [{"password": options.password}]
    return [
        {"password": options.password, "share": share, "num_shares": num_shares}
        for share in range(num_shares)
    ]


def _in_turns(shares: Sequence[Sequence[Page]]) -> list[Page]:
    """The pages that several children read, in the order of the document."""
    if len(shares) == 1:
        return list(shares[0])
    longest = max(map(len, shares))
    return [
        page
        for first in range(0, longest, SHARE_PAGES)
        for share in shares
        for page in share[first : first + SHARE_PAGES]
    ]


def _document(
    path: str, content: bytes, pages: Sequence[Page], outline: Sequence[Entry], warnings: Sequence[str]
) -> Document:
    # A page without text keeps its span, and each page its own last line.
    texts = [page.text if page.text.endswith("\n") else page.text + "\n" for page in pages]
    starts = [0]
    for text in texts:
        starts.append(starts[-1] + len(text))
    whole = "".join(texts)
    return Document(
        path=path,
        kind="pdf",
        reader=READER,
        sha256=hashlib.sha256(content).hexdigest(),
        text=whole,
        spans=tuple(
            Span(start, end, _location(number, page.label), first_line=1)
            for number, (page, (start, end)) in enumerate(zip(pages, pairwise(starts), strict=True), start=1)
        ),
        blocks=blocks_of(whole, starts, outline),
        cells=tuple(start + cell for start, page in zip(starts, pages, strict=False) for cell in page.cells),
        warnings=(*warnings, *_page_warnings(pages)),
    )


def _location(number: int, label: str) -> Location:
    shown = "".join(filter(str.isprintable, label)).strip()[:_MAX_LABEL_CHARS]
    return Location(
        pages=(number, number),
        page_labels=(shown, shown) if shown and shown != str(number) else None,
    )


def _page_warnings(pages: Sequence[Page]) -> list[str]:
    """What could not be read, so that nobody takes silence for an empty page."""
    numbered = list(enumerate(pages, start=1))
    failed = [number for number, page in numbered if page.failed]
    empty = [(number, page.shows) for number, page in numbered if not page.failed and not page.text.strip()]
    scanned = [number for number, shows in empty if shows == "scan"]
    drawn = [number for number, shows in empty if shows == "pictures"]
    blank = [number for number, shows in empty if not shows]
    found = []
    if failed:
        found.append(f"{_named(failed)}: could not be read ({pages[failed[0] - 1].failed})")
    if scanned:
        is_one = len(scanned) == 1
        are, them = ("is", "it") if is_one else ("are", "them")
        found.append(f"{_named(scanned)} {are} scanned: no text; OCR {them} first")
    if drawn:
        found.append(f"{_named(drawn)}: pictures or drawings, but no text that can be read")
    if blank:
        found.append(f"{_named(blank)}: blank")
    return found


def _named(numbers: Iterable[int]) -> str:
    """Page numbers as a person writes them: "page 3", "pages 3, 7-9"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    names = [str(first) if first == last else f"{first}-{last}" for first, last in runs]
    return f"page{'s' if len(runs) > 1 or runs[0][0] != runs[0][1] else ''} {', '.join(names)}"


def _other_kind(content: bytes) -> str | None:
    """What the first bytes say that it is, where that is something else than a PDF."""
    head = content[:16].lstrip()
    return next((kind for magic, kind in _SIGNATURES.items() if head.startswith(magic)), None)
