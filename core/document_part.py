"""A part of a document, by its pages: what "a.pdf#10-40" means."""

from collections.abc import Iterator
from dataclasses import replace

from lctx.core.document import Block, Document, Link
from lctx.core.errors import EmptySourceError, UsageError


def part_of(document: Document, first: int, last: int | None) -> Document:
    """The pages `first` to `last` of `document`, whose characters keep their numbers through `offset`.

    Args:
        document: As its reader read it.
        first: One-based.
        last: Inclusive; None is the last that there is.

    Raises:
        UsageError: It has no pages.
        EmptySourceError: It has none of these pages, or they hold no text.
    """
    named = f"{document.path}#{first}" + ("" if last == first else f"-{last or ''}")
    ends = [span.location.pages[1] for span in document.spans if span.location.pages]
    if not ends:
        why = f"a source of the kind {document.kind} has no pages"
        raise UsageError(f"{named}: {why}", f"name it whole: {document.path}")
    if first > max(ends):
        count = f"{max(ends)} page" + "s" * (max(ends) > 1)
        raise EmptySourceError(named, f"it has {count}", "name pages that it has")
    wanted = [
        span
        for span in document.spans
        if (pages := span.location.pages) and pages[1] >= first and (last is None or pages[0] <= last)
    ]
    if not wanted or not document.text[wanted[0].start : wanted[-1].end].strip():
        raise EmptySourceError(named, "these pages hold no text", "name others, or the whole file")
    warnings = document.warnings
    if last is not None and last > max(ends):
        warnings = (*warnings, f"it ends with page {max(ends)}, so pages {first}-{last} are not all there")
    return _cut(document, wanted[0].start, wanted[-1].end, warnings)


def _cut(document: Document, start: int, end: int, warnings: tuple[str, ...]) -> Document:
    return replace(
        document,
        text=document.text[start:end],
        spans=tuple(
            replace(span, start=span.start - start, end=span.end - start)
            for span in document.spans
            if start <= span.start and span.end <= end
        ),
        blocks=tuple(_blocks_of(document, start, end)),
        warnings=warnings,
        cells=tuple(cell - start for cell in document.cells if start <= cell < end),
        links=tuple(
            Link(max(link.start, start) - start, min(link.end, end) - start, link.target)
            for link in document.links
            if link.start < end and link.end > start
        ),
        hidden=tuple(
            (max(first, start) - start, min(last, end) - start)
            for first, last in document.hidden
            if first < end and last > start
        ),
        offset=document.offset + start,
    )


def _blocks_of(document: Document, start: int, end: int) -> Iterator[Block]:
    """The blocks within, cut at the edges; what comes before the first stands under the headings above it."""
    inside = document.blocks_of(start, end)
    begin = min(inside[0].start if inside else end, end)
    above = document.block_at(start)
    if above and begin > start and (above.heading or above.symbol):
        yield Block("paragraph", 0, begin - start, above.heading, above.symbol)
    for block in inside:
        yield replace(
            block,
            start=max(block.start, start) - start,
            end=min(block.end, end) - start,
            signature=_shifted(block.signature, start, end),
            doc=_shifted(block.doc, start, end),
        )


def _shifted(stretch: tuple[int, int] | None, start: int, end: int) -> tuple[int, int] | None:
    """Where `stretch` stands in the part; None for one that is not wholly in it."""
    if stretch is None or stretch[0] < start or stretch[1] > end:
        return None
    return stretch[0] - start, stretch[1] - start
