"""The files that are attached to a PDF: read as what they are, after all that the PDF itself holds.

Each is taken out in a child process of its own, so that one that was written to fill the memory costs itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from lctx.core.document import Block, Document, Link, Location, Span
from lctx.core.errors import SourceError
from lctx.formats.child import Ceilings, run_in_child
from lctx.formats.pdf_extras import shown_name
from lctx.formats.pdf_hidden import hidden_in
from lctx.formats.pdf_wire import Attachment, Extras, File
from lctx.formats.reader import DEFAULTS, ReadOptions

MAX_ATTACHMENTS = 100
"""Files after this one are named and not read."""
MAX_BYTES = 16 << 20
"""A file with more bytes than this is not read."""
MAX_ALL_BYTES = 64 << 20
"""Once the files that were read hold more than this, the others are not."""

ReadAttachment = Callable[[str, bytes], Document]
"""Reads an attached file by its name and its bytes; raises `SourceError` where nothing can be read."""

_KILO = 1000
_FILE = "lctx.formats.pdf_attached_child:file_of"
_RECORDS: msgspec.json.Decoder[File] = msgspec.json.Decoder(File)
_CEILINGS = Ceilings(seconds=30, step_s=10, memory_bytes=256 << 20)


@dataclass(frozen=True, slots=True)
class Attached:
    """A file that is attached to a PDF.

    Attributes:
        name: As the PDF has it.
        number: Among the attachments of the document, or among the annotations of its page.
        page: The index of the page that it hangs on, or None.
    """

    name: str
    number: int
    page: int | None = None


def attached_files(records: Sequence[object]) -> list[Attached]:
    """The attached files among the records of a reading: the document's own, then those of its pages."""
    own = [Attached(record.name, record.number) for record in records if isinstance(record, Attachment)]
    pages = sorted(
        (record for record in records if isinstance(record, Extras)), key=lambda record: record.page
    )
    return own + [Attached(file.name, file.number, record.page) for record in pages for file in record.files]


def with_attachments(
    document: Document,
    content: bytes,
    files: Sequence[Attached],
    read: ReadAttachment | None,
    options: ReadOptions = DEFAULTS,
) -> Document:
    """`document` with the text of the attached files after its own; a warning for each that was not read.

    Args:
        document: What the PDF itself holds.
        content: The PDF.
        files: What is attached to it.
        read: Reads one of them; None where attachments are not read.
        options: The password, where the PDF needs one.
    """
    room = MAX_ALL_BYTES
    for number, file in enumerate(files):
        name = shown_name(file.name) or "without a name"
        if read is None or number >= MAX_ATTACHMENTS or room <= 0:
            return _with_warning(document, _left(files[number:], is_deep=read is None))
        size = None
        try:
            taken = _taken_out(document.path, content, file, options)
            size = taken.size
            if size > MAX_BYTES:
                why = f"it is larger than the {_shown_size(MAX_BYTES)} that are read"
                document = _with_warning(document, _not_read(name, size, why))
                continue
            room -= size
            attachment = _without_unseen(read(file.name or "attachment", taken.content), taken.content)
        except SourceError as error:
            document = _with_warning(document, _not_read(name, size, error.why))
            continue
        document = _joined(document, attachment, name)
    return document


def _taken_out(path: str, content: bytes, file: Attached, options: ReadOptions) -> File:
    arguments = {"number": file.number, "page": file.page, "most": MAX_BYTES, "password": options.password}
    (taken,) = run_in_child(_FILE, path, content, _RECORDS, _CEILINGS, arguments)
    return taken


def _without_unseen(attachment: Document, content: bytes) -> Document:
    """The attachment, with what nobody can see on its pages marked: once joined they are no pages."""
    pages = [span.location.pages[0] for span in attachment.spans if span.location.pages]
    found = hidden_in(attachment, content, pages) if attachment.kind == "pdf" else []
    return replace(attachment, hidden=tuple(sorted({*attachment.hidden, *found}))) if found else attachment


def _joined(document: Document, attachment: Document, name: str) -> Document:
    """`document`, and after it `attachment` under its name."""
    offset = len(document.text)
    text = attachment.text if attachment.text.endswith("\n") else attachment.text + "\n"
    spans = [
        Span(
            offset + span.start,
            offset + (span.end if span.end < len(attachment.text) else len(text)),
            _placed(span, name),
            _first_line(span),
        )
        for span in attachment.spans
    ]
    return replace(
        document,
        text=document.text + text,
        spans=(*document.spans, *spans),
        blocks=(*document.blocks, *(_under(block, name, offset) for block in attachment.blocks)),
        cells=(*document.cells, *(offset + cell for cell in attachment.cells)),
        # A page that an attachment leads to is one of its own.
        links=(
            *document.links,
            *(
                Link(offset + link.start, offset + link.end, link.target)
                for link in attachment.links
                if not link.target.startswith("#")
            ),
        ),
        hidden=(*document.hidden, *((offset + start, offset + end) for start, end in attachment.hidden)),
        warnings=(*document.warnings, *(f"attachment {name}: {warning}" for warning in attachment.warnings)),
    )


def _placed(span: Span, name: str) -> Location:
    """Where a span of an attachment stands: in a part of the whole, in which lines are counted anew."""
    return replace(
        span.location,
        pages=None,
        page_labels=None,
        lines=None,
        box=None,
        part=_part(name, span),
        lines_of_part=_first_line(span) is not None,
    )


def _first_line(span: Span) -> int | None:
    """Of the part; the hunk of a diff names the lines of another file."""
    return None if span.sides else span.first_line


def _part(name: str, span: Span) -> str:
    """Where in the whole a span of an attachment stands."""
    parts = [f"attachment {name}"]
    if span.location.pages:
        parts.append(f"page {span.location.pages[0]}")
    if span.location.part:
        parts.append(span.location.part)
    return ", ".join(parts)


def _under(block: Block, name: str, offset: int) -> Block:
    def moved(stretch: tuple[int, int] | None) -> tuple[int, int] | None:
        return (offset + stretch[0], offset + stretch[1]) if stretch else None

    return replace(
        block,
        start=offset + block.start,
        end=offset + block.end,
        heading=(name, *block.heading),
        signature=moved(block.signature),
        doc=moved(block.doc),
    )


def _with_warning(document: Document, warning: str) -> Document:
    return replace(document, warnings=(*document.warnings, warning))


def _not_read(name: str, size: int | None, why: str) -> str:
    shown = f" ({_shown_size(size)})" if size is not None else ""
    return f"attachment {name}{shown} was not read: {why}"


def _left(files: Sequence[Attached], *, is_deep: bool) -> str:
    """What is said of files that were not even looked at."""
    names = [shown_name(file.name) or "without a name" for file in files[:3]]
    more = f" and {len(files) - len(names):,} more" if len(files) > len(names) else ""
    why = "it is attached to an attachment" if is_deep else "too much is attached"
    if len(files) > 1:
        why = "they are attached to an attachment" if is_deep else why
        return f"attachments {', '.join(names)}{more} were not read: {why}"
    return f"attachment {names[0]} was not read: {why}"


def _shown_size(size: int) -> str:
    if size < _KILO:
        return f"{size} bytes"
    return f"{size / _KILO:.0f} kB" if size < _KILO**2 else f"{size / _KILO**2:.1f} MB"
