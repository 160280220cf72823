"""What a PDF holds beside the text of its pages, made a part of its document: links, form fields, notes.

Fields and notes come after all pages, each with a place of its own: they stand on a page, not in its text.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from lctx.core.document import Block, Document, Link, Location, Span
from lctx.formats.pdf_wire import Attachment, Extras, XfaForm

_MAX_NAME_CHARS = 80
_XFA = "its form was made for Adobe's own programs (XFA) and was not read: print it to a new PDF there"


def with_extras(document: Document, records: Iterable[Extras | XfaForm | Attachment]) -> Document:
    """`document` with what lies on its pages: links within the text, fields and notes after it.

    Args:
        document: Of the pages alone, one span a page.
        records: What was found on them, in any order; attachments are none of them.
    """
    records = list(records)
    extras = sorted(
        (record for record in records if isinstance(record, Extras)), key=lambda record: record.page
    )
    warnings = document.warnings
    is_xfa = any(isinstance(record, XfaForm) for record in records)
    if is_xfa and not any(record.fields for record in extras):
        warnings = (*warnings, _XFA)
    added = [one for record in extras for one in _beside(record)]
    links = [link for record in extras for link in _links(record, document.spans)]
    if not added and not links:
        return document if warnings == document.warnings else replace(document, warnings=warnings)
    texts, spans, blocks, hidden = (
        [document.text],
        list(document.spans),
        list(document.blocks),
        list(document.hidden),
    )
    position = len(document.text)
    for part, text, is_hidden in added:
        end = position + len(text)
        spans.append(Span(position, end, Location(part=part)))
        blocks.append(Block("paragraph", position, end))
        if is_hidden:
            hidden.append((position, end))
        texts.append(text)
        position = end
    return replace(
        document,
        text="".join(texts),
        spans=tuple(spans),
        blocks=tuple(blocks),
        links=tuple(sorted(links, key=lambda link: (link.start, link.end))),
        hidden=tuple(hidden),
        warnings=warnings,
    )


def _links(record: Extras, spans: Sequence[Span]) -> Iterable[Link]:
    if record.page >= len(spans):
        return
    page = spans[record.page]
    for start, end, target in record.links:
        if start < end <= page.end - page.start:
            yield Link(page.start + start, page.start + end, target)


def _beside(record: Extras) -> Iterable[tuple[str, str, bool]]:
    """The place, the text and whether nobody sees it of each field and note of a page."""
    page = f"page {record.page + 1}"
    for field in record.fields:
        name = shown_name(field.name) or "without a name"
        yield f"{page}, form field {name}", _line(name, field.value), field.is_hidden
    for note in record.notes:
        author = shown_name(note.author)
        by = f" by {author}" if author else ""
        yield f"{page}, {note.kind.lower()}{by}", _line(note.kind + by, note.text), note.is_hidden


def _line(name: str, value: str) -> str:
    value = value.replace("\r\n", "\n").replace("\r", "\n").strip()
    return f"{name}: {value}\n"


def shown_name(name: str) -> str:
    """A name from a file as it may stand in a line: printable, and not too long."""
    shown = " ".join("".join(char if char.isprintable() else " " for char in name).split())
    return shown if len(shown) <= _MAX_NAME_CHARS else shown[: _MAX_NAME_CHARS - 1] + "…"
