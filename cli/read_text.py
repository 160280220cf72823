"""Sources as text: under a line that names each and each of its pages, or each line behind its place."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from lctx.cli.clean import one_line, visible
from lctx.cli.places import place_in, place_parts, source_name
from lctx.core.document import Document, Location, Span

if TYPE_CHECKING:
    from lctx.cli.read_outline import OutlineEntry
    from lctx.cli.where import Place, Quote

_HEAD = "==> {} <==\n"
_LIKE_A_HEAD = re.compile(r"^(?=\\*==> )", re.MULTILINE)
_INDENT = "  "
_ANYWHERE = Location()


def text_of(document: Document) -> Iterator[str]:
    """Each page, cell or section of the text under a head line that names it.

    A line of the text that looks like a head line is told from one by a backslash before it.
    """
    path = source_name(document.path)
    for start, end, place in _stretches(document) or [(0, 0, "")]:
        yield ("\n" if start else "") + _HEAD.format(f"{path} {place}" if place else path)
        shown = visible(document.text[start:end])
        yield _closed(_LIKE_A_HEAD.sub(r"\\", shown) if "==> " in shown else shown)


def numbered_text_of(document: Document) -> Iterator[str]:
    """The text, each line behind its place, as grep writes it: `report.pdf:3:14:`, page before line."""
    path = one_line(document.path)
    for span in document.spans:
        place = _numbers(path, span.location)
        text = document.text[span.start : span.end]
        for number, line in enumerate(_closed(visible(text)).splitlines(keepends=True)):
            at = "" if span.first_line is None else f"{span.first_line + number}:"
            yield f"{place}{at}{line}"


def outline_text_of(document: Document, entries: "Sequence[OutlineEntry]") -> Iterator[str]:
    """One line a heading or definition, indented as they nest, with place and explanation."""
    yield _HEAD.format(source_name(document.path))
    for entry in entries:
        place = place_parts(_without_names(document.locate(entry.start, entry.end)))
        title = one_line(entry.signature or entry.title)
        told = f"  {one_line(entry.doc)}" if entry.doc else ""
        yield f"{_INDENT * entry.level}{title}  [{', '.join(place)}]{told}\n"


def places_text_of(quotes: "Sequence[Quote]") -> Iterator[str]:
    """One line a place: where it is, how much of the quote stands there, and what does."""
    for quote in quotes:
        for place in quote.places:
            where = place_in(place.document.path, place.location)
            yield f'{where}{_share(place)}: "{one_line(place.text)}"\n'


def _share(place: "Place") -> str:
    # Rounded down: what is not whole must not look so.
    return "" if place.is_verbatim else f" (approximate, {int(place.match.share * 100)} %)"


def _stretches(document: Document) -> list[tuple[int, int, str]]:
    """Spans that a person looks up as one, half-open, and their place: of paragraphs, all below one heading.

    The place is empty where it is the whole source.
    """
    if len(document.spans) == 1 and document.spans[0].location == _ANYWHERE:
        return [(0, len(document.text), "")]  # as nearly all files of a tree; looking for a place takes long

    def kind(span: Span) -> tuple[object, ...]:
        place = span.location
        block = document.block_at(span.start) if place.paragraph is not None else None
        return place.pages, place.part, place.cells, block.heading if block else None

    stretches = []
    for _, group in groupby(document.spans, key=kind):
        spans = list(group)
        place = _place(document.locate(spans[0].start, spans[0].end), spans[-1].location.paragraph)
        stretches.append((spans[0].start, spans[-1].end, place))
    return stretches


def _place(first: Location, last_paragraph: int | None) -> str:
    parts = place_parts(_without_names(replace(first, lines=None, paragraph=None)))
    if first.paragraph is not None:
        several = last_paragraph not in {None, first.paragraph}
        many = f"paragraphs {first.paragraph}-{last_paragraph}"
        parts.append(many if several else f"paragraph {first.paragraph}")
        if first.heading:
            parts.append(f"in {' > '.join(first.heading)}")
    return one_line(", ".join(parts))


def _numbers(path: str, location: Location) -> str:
    named = [
        str(location.pages[0]) if location.pages else "",
        "" if location.paragraph is None else str(location.paragraph),
        location.part or "",
        location.cells or "",
    ]
    return "".join(f"{one_line(one)}:" for one in (path, *filter(None, named)))


def _without_names(location: Location) -> Location:
    """The place without headings and symbols: an outline tells those by itself."""
    lines = None if location.pages else location.lines
    return replace(location, heading=None, symbol=None, lines=lines)


def _closed(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"
