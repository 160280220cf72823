"""What a PDF holds beside the text of its pages, made a part of its document: links, form fields, notes.

Fields and notes come after all pages, each with a place of its own: they stand on a page, not in its text.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from lctx.core.document import Block, Document, Link, Location, Span
from lctx.formats.pdf_wire import Attachment, Extras, XfaForm

MAX_EXTRAS = 50_000
"""Fields and notes of a document after this one are left out."""
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
    added = _beside(extras)
    warnings = (*document.warnings, *_warnings(records, extras, len(added)))
    texts, spans, blocks = [document.text], list(document.spans), list(document.blocks)
    hidden = list(document.hidden)
    position = len(document.text)
    for part, text, is_hidden in added[:MAX_EXTRAS]:
        end = position + len(text)
        spans.append(Span(position, end, Location(part=part)))
        blocks.append(Block("paragraph", position, end))
        if is_hidden:
            hidden.append((position, end))
        texts.append(text)
        position = end
    links = [link for record in extras for link in _links(record, document.spans)]
    return replace(
        document,
        text="".join(texts),
        spans=tuple(spans),
        blocks=tuple(blocks),
        links=tuple(sorted(links, key=lambda link: (link.start, link.end))),
        hidden=tuple(hidden),
        warnings=warnings,
    )


def _warnings(
    records: Sequence[Extras | XfaForm | Attachment], extras: Sequence[Extras], num_added: int
) -> Iterator[str]:
    """What was found and is not in the document."""
    is_xfa = any(isinstance(record, XfaForm) for record in records)
    if is_xfa and not any(record.fields for record in extras):
        yield _XFA
    if cut := [str(record.page + 1) for record in extras if record.is_cut]:
        yield f"page{'s' * (len(cut) > 1)} {', '.join(cut)}: too many links or notes to read them all"
    if num_added > MAX_EXTRAS:
        left = num_added - MAX_EXTRAS
        yield f"{left:,} form fields and notes were not read: there are more than {MAX_EXTRAS:,}"


def _links(record: Extras, spans: Sequence[Span]) -> Iterable[Link]:
    if record.page >= len(spans):
        return
    page = spans[record.page]
    for start, end, target in record.links:
        if start < end <= page.end - page.start:
            yield Link(page.start + start, page.start + end, target)


def _beside(extras: Iterable[Extras]) -> list[tuple[str, str, bool]]:
    """The place, the text and whether nobody sees it of each field and note, in the order of the pages."""
    found: list[tuple[str, str, bool]] = []
    known: set[tuple[str, str]] = set()
    for record in extras:
        page = f"page {record.page + 1}"
        for field in record.fields:
            # A name or a date that stands on every page is one field, shown many times.
            if (field.name, field.value) in known:
                continue
            known.add((field.name, field.value))
            name = shown_name(field.name) or "without a name"
            found.append((f"{page}, form field {name}", _line(name, field.value), field.is_hidden))
        for note in record.notes:
            author = shown_name(note.author)
            by = f" by {author}" if author else ""
            found.append(
                (f"{page}, {note.kind.lower()}{by}", _line(note.kind + by, note.text), note.is_hidden)
            )
    return found


def _line(name: str, value: str) -> str:
    value = value.replace("\r\n", "\n").replace("\r", "\n").strip()
    return f"{name}: {value}\n"


def shown_name(name: str) -> str:
    """A name from a file as it may stand in a line: printable, and not too long."""
    shown = " ".join("".join(char if char.isprintable() else " " for char in name).split())
    return shown if len(shown) <= _MAX_NAME_CHARS else shown[: _MAX_NAME_CHARS - 1] + "…"
