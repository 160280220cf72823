"""What `lctx read --format json` prints: a public contract, like the objects of `ask` and `plan`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from lctx.cli.plan_record import SkippedRow
from lctx.cli.read_outline import OutlineEntry
from lctx.cli.where import Quote
from lctx.core.answering.schema import schema_of
from lctx.core.answering.wire import (
    SCHEMA_VERSION,
    ErrorPart,
    LocationPart,
    TimingsPart,
    location_part,
)
from lctx.core.answering.wire_plan import utf8
from lctx.core.document import Document, line_ends
from lctx.core.errors import ExitCode, LctxError, SourceError

SOURCES = '"sources": []'
"""Where the sources stand in a record that is written around them."""


class SpanRow(msgspec.Struct, frozen=True):
    """A stretch of the text that shares one place: a page, a paragraph, a cell, a whole file."""

    location: LocationPart
    text: str


class LinkRow(msgspec.Struct, frozen=True):
    """A stretch of the text that leads elsewhere: an address, or `#page=N`."""

    text: str
    target: str
    location: LocationPart


class OutlineRow(msgspec.Struct, frozen=True):
    """A heading or a definition; `level` 0 is the outermost, `doc` the first sentence of what explains it."""

    kind: str
    level: int
    title: str
    signature: str | None
    doc: str | None
    location: LocationPart


class SourcePart(msgspec.Struct, frozen=True):
    """One source: the texts of `spans` together are all of its text.

    `chars` counts its code points, `lines` its lines where it has no pages. `hidden` are characters that
    nobody who looks at it can see, half-open. `spans` and `links` are null where only an outline or a quote
    was asked for, `outline` is null where none was.
    """

    path: str
    kind: str
    reader: str
    sha256: str
    chars: int
    pages: int | None
    lines: int | None
    warnings: list[str]
    hidden: list[tuple[int, int]]
    spans: list[SpanRow] | None = None
    links: list[LinkRow] | None = None
    outline: list[OutlineRow] | None = None


class PlacePart(msgspec.Struct, frozen=True):
    """A place where a quote stands: `verified` word for word, `approximate` where `share` of it does."""

    path: str
    sha256: str
    reader: str
    status: str
    share: float
    text: str
    location: LocationPart


class QuotePart(msgspec.Struct, frozen=True):
    """A quote of `--where`, whether it stands anywhere word for word, and its places, else the nearest."""

    quote: str
    found: bool
    places: list[PlacePart]


class UnreadablePart(msgspec.Struct, frozen=True):
    """A named source that could not be read."""

    path: str
    code: str
    reason: str
    hint: str | None


class ReadRecord(msgspec.Struct, frozen=True):
    """What `lctx read --format json` prints.

    `sources` is null in the `result` event of NDJSON: each has had an event of its own. `quotes` is null
    without `--where`.
    """

    schema_version: int
    sources: list[SourcePart] | None
    quotes: list[QuotePart] | None
    skipped: list[SkippedRow]
    unreadable: list[UnreadablePart]
    error: ErrorPart | None
    timings: TimingsPart
    warnings: list[str]
    exit_code: int


def source_part(
    document: Document, *, spans: bool = True, outline: Sequence[OutlineEntry] | None = None
) -> SourcePart:
    """A document as the contract has it.

    Args:
        document: What was read.
        spans: Whether its text is wanted.
        outline: Its outline, where that is wanted.
    """
    pages = {span.location.pages for span in document.spans if span.location.pages}
    has_lines = not pages and any(span.first_line is not None for span in document.spans)
    return SourcePart(
        path=utf8(document.path),
        kind=document.kind,
        reader=document.reader,
        sha256=document.sha256,
        chars=len(document.text),
        pages=len(pages) or None,
        lines=num_lines(document.text) if has_lines else None,
        warnings=[utf8(text) for text in document.warnings],
        hidden=[(document.offset + start, document.offset + end) for start, end in document.hidden],
        spans=[*_span_rows(document)] if spans else None,
        links=[*_link_rows(document)] if spans else None,
        outline=[_outline_row(document, one) for one in outline] if outline is not None else None,
    )


def num_lines(text: str) -> int:
    """How many lines `text` has, as editors count; a newline at its end begins no further one."""
    return len(line_ends(text)) if text else 0


def _span_rows(document: Document) -> Iterator[SpanRow]:
    for span in document.spans:
        place = document.locate(span.start, span.end)
        blocks = document.blocks_of(span.start, span.end)
        # Where a page or a file holds several sections, the first is not the name of all of it.
        if len({(block.heading, block.symbol) for block in blocks}) > 1:
            place = replace(place, heading=None, symbol=None)
        yield SpanRow(location_part(place), utf8(document.text[span.start : span.end]))


def _link_rows(document: Document) -> Iterator[LinkRow]:
    for link in document.links:
        place = location_part(document.locate(link.start, link.end))
        yield LinkRow(utf8(document.text[link.start : link.end]), utf8(link.target), place)


def _outline_row(document: Document, entry: OutlineEntry) -> OutlineRow:
    return OutlineRow(
        kind=entry.kind,
        level=entry.level,
        title=utf8(entry.title),
        signature=utf8(entry.signature) if entry.signature is not None else None,
        doc=utf8(entry.doc) if entry.doc is not None else None,
        location=location_part(document.locate(entry.start, entry.end)),
    )


def quote_part(quote: Quote) -> QuotePart:
    """A quote and its places as the contract has them."""
    return QuotePart(
        quote=utf8(quote.text),
        found=quote.is_found,
        places=[
            PlacePart(
                path=utf8(one.document.path),
                sha256=one.document.sha256,
                reader=one.document.reader,
                status="verified" if one.is_verbatim else "approximate",
                share=round(one.match.share, 4),
                text=utf8(one.text),
                location=location_part(one.location),
            )
            for one in quote.places
        ],
    )


def read_record(
    *,
    sources: list[SourcePart] | None,
    quotes: Sequence[Quote] | None,
    skipped: Iterable[tuple[str, str]],
    unreadable: Iterable[SourceError],
    error: LctxError | None,
    timings: TimingsPart,
    warnings: Iterable[str],
    code: ExitCode,
) -> ReadRecord:
    """The contract's object of a run, with its sources or around them."""
    return ReadRecord(
        schema_version=SCHEMA_VERSION,
        sources=sources,
        quotes=[quote_part(one) for one in quotes] if quotes is not None else None,
        skipped=[SkippedRow(utf8(path), utf8(reason)) for path, reason in skipped],
        unreadable=[
            UnreadablePart(utf8(one.path), one.code, utf8(one.why), utf8(one.hint) if one.hint else None)
            for one in unreadable
        ],
        error=ErrorPart(error.code, utf8(error.message), utf8(error.hint) if error.hint else None)
        if error
        else None,
        timings=timings,
        warnings=[utf8(text) for text in warnings],
        exit_code=int(code),
    )


def read_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a `ReadRecord`."""
    return schema_of(ReadRecord, "Sources as lctx reads them")
