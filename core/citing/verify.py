"""A quote -> does it stand in its source? The check behind `status`."""

from collections.abc import Sequence
from dataclasses import dataclass

from lctx.core.citing.citation import Status
from lctx.core.citing.squeeze import Squeezed, squeeze
from lctx.core.document import Document

MIN_QUOTE_CHARS = 12
"""A shorter quote stands somewhere in almost any text: it is no evidence that it was copied from there."""
_FURNITURE_CHARS = 2_000
"""More than any page carries of headers and footers between two halves of a sentence."""
MIN_MATCH = 85.0
"""Per cent of a quote that one contiguous run must match to be called approximate."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What checking a quote gave.

    Attributes:
        status: See `Status`.
        document: Where it stands; the cited document where it stands nowhere.
        start: Code points into its text, half-open with `end`; the cited stretch where unverified.
        end: See `start`.
    """

    status: Status
    document: Document
    start: int
    end: int


def verify_quote(
    quote: str, document: Document, start: int, end: int, others: Sequence[tuple[Document, int, int]] = ()
) -> Verdict:
    """Check that `quote` stands in `document.text[start:end]`, else look for it in `others`.

    A quote may run on beyond the stretch, and over a page's end: running headers are no part of it.

    Args:
        quote: What was quoted.
        document: The source that was cited.
        start: The cited stretch, half-open with `end`.
        end: See `start`.
        others: Further stretches, in the order in which they are searched.
    """
    wanted = squeeze(quote).text
    if len(wanted) >= MIN_QUOTE_CHARS:
        here = squeeze(document.text[start:end])
        if (found := _verbatim(wanted, here)) is not None:
            return Verdict(Status.VERIFIED, document, start + found[0], start + found[1])
        if (running := _running_on(wanted, document, start, end)) is not None:
            return Verdict(Status.VERIFIED, document, *running)
        for other, first, last in others:
            if (found := _verbatim(wanted, squeeze(other.text[first:last]))) is not None:
                return Verdict(Status.MISATTRIBUTED, other, first + found[0], first + found[1])
        if (found := _nearly(wanted, here)) is not None:
            return Verdict(Status.APPROXIMATE, document, start + found[0], start + found[1])
    return Verdict(Status.UNVERIFIED, document, start, end)


def furniture_of(document: Document, low: int, high: int) -> list[tuple[int, int]]:
    """What pages repeat around their text in `document.text[low:high]`, counted from `low`; sorted."""
    return [
        (max(block.start - low, 0), min(block.end, high) - low)
        for block in document.blocks_of(low, high)
        if block.kind == "furniture"
    ]


def _running_on(wanted: str, document: Document, start: int, end: int) -> tuple[int, int] | None:
    """Where `wanted` stands partly inside the stretch and partly beside it; None where it does not."""
    reach = _FURNITURE_CHARS + 2 * len(wanted)
    low, high = max(start - reach, 0), min(end + reach, len(document.text))
    found = _verbatim(wanted, squeeze(document.text[low:high], furniture_of(document, low, high)))
    if found is None:
        return None
    first, last = low + found[0], low + found[1]
    return (first, last) if first < end and last > start else None


def _verbatim(wanted: str, source: Squeezed) -> tuple[int, int] | None:
    at = source.text.find(wanted)
    return source.original(at, at + len(wanted)) if at >= 0 else None


def _nearly(wanted: str, source: Squeezed) -> tuple[int, int] | None:
    """The one contiguous run of `source` that matches best, where it matches well enough."""
    from rapidfuzz import fuzz

    best = fuzz.partial_ratio_alignment(wanted, source.text, score_cutoff=MIN_MATCH)
    # A source shorter than the quote would be aligned the other way round: it cannot hold the quote.
    if best is None or len(source.text) < len(wanted) or best.dest_end <= best.dest_start:
        return None
    return source.original(best.dest_start, best.dest_end)
