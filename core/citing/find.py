"""A quote -> every place of a document where it stands: the search behind `lctx read --where`."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lctx.core.citing.squeeze import squeeze
from lctx.core.citing.verify import MIN_MATCH, MIN_QUOTE_CHARS, furniture_of
from lctx.core.document import Document

_WINDOW = 1 << 20
"""Characters that are squeezed at a time: the way back takes several bytes for each of them."""
_REACH = 8
"""How far a quote may spread, in its own lengths: over spaces, and over the furniture of pages."""
_LEAST_REACH = 1024
_MAX_WORD = 40
_PLAIN_RUN = re.compile(r"[A-Za-z0-9]+")
_BLANKS_AND_HYPHENS = b" \t\n\r\v\f\x1c\x1d\x1e\x1f-"
_VARIANTS = re.compile("[\u00ad\ufffe\u200b\u2060\ufeff\u2010\u2011\u2212]")

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Match:
    """A stretch of a document that a quote was taken from.

    Attributes:
        start: Code points into the document's text, half-open with `end`.
        end: See `start`.
        share: How much of the quote stands there: 1.0 where it stands word for word.
    """

    start: int
    end: int
    share: float = 1.0


def is_searchable(quote: str) -> bool:
    """Whether anything is left of `quote` without white space and typography."""
    return bool(squeeze(quote).text)


def matches_of(quote: str, document: Document) -> list[Match]:
    """Where `quote` stands word for word, in order.

    White space, hyphenation, ligatures and the shape of quote marks make no difference, and a quote may run
    over a page's end: running headers and footers are passed over.

    Raises:
        ValueError: Nothing is left of the quote to look for.
    """
    wanted = squeeze(quote).text
    if not wanted:
        raise ValueError("a quote without a character to look for")
    run = _plain_run(wanted)
    found: set[Range] = set()
    for low, high in _windows(document.text, wanted):
        part = document.text[low:high]
        within = furniture_of(document, low, high)
        for skipped in [[], within] if within else [[]]:
            if run in _comparable(part, skipped):
                found.update(_verbatim(wanted, part, low, skipped))
    return [Match(start, end) for start, end in sorted(found)]


def nearest_of(quote: str, document: Document) -> Match | None:
    """The one contiguous stretch that is most like `quote`, where at least 85 % of it agree."""
    from rapidfuzz import fuzz

    wanted = squeeze(quote).text
    if len(wanted) < MIN_QUOTE_CHARS:
        return None  # so short a text is like almost anything
    best: Match | None = None
    for low, high in _windows(document.text, wanted):
        source = squeeze(document.text[low:high], furniture_of(document, low, high))
        if len(source.text) < len(wanted):
            continue  # it would be aligned the other way round
        cutoff = max(MIN_MATCH, best.share * 100 if best else 0.0)
        found = fuzz.partial_ratio_alignment(wanted, source.text, score_cutoff=cutoff)
        if found is None or found.dest_end <= found.dest_start:
            continue
        share = found.score / 100
        if best is None or share > best.share:
            start, end = source.original(found.dest_start, found.dest_end)
            best = Match(*_whole_words(document.text, low + start, low + end), share)
    return best


def _whole_words(text: str, start: int, end: int) -> Range:
    """The range without a word that is cut at its edge: alignment knows none."""
    for _ in range(_MAX_WORD):
        start -= start > 0 and text[start - 1 : start + 1].isalnum()
        end += end < len(text) and text[end - 1 : end + 1].isalnum()
    return start, end


def _windows(text: str, wanted: str) -> Iterator[Range]:
    """Stretches that together hold every place, overlapping by as much as a quote may spread."""
    reach = max(_REACH * len(wanted), _LEAST_REACH)
    for low in range(0, len(text), _WINDOW):
        yield low, min(low + _WINDOW + reach, len(text))


def _verbatim(wanted: str, part: str, low: int, skipped: Sequence[Range]) -> Iterator[Range]:
    source = squeeze(part, skipped)
    at = source.text.find(wanted)
    while at >= 0:
        start, end = source.original(at, at + len(wanted))
        yield low + start, low + end
        at = source.text.find(wanted, at + len(wanted))


def _plain_run(wanted: str) -> bytes:
    """The longest letters and digits in a row that a text must hold to hold `wanted`."""
    runs = [
        # The last letter may be one with what follows it in the text: an e and its accent.
        found[0] if found.end() < len(wanted) and wanted[found.end()].isascii() else found[0][:-1]
        for found in _PLAIN_RUN.finditer(wanted)
    ]
    return max(runs, key=len, default="").encode()


def _comparable(part: str, skipped: Sequence[Range]) -> bytes:
    """`part` so that a plain run is in it wherever it is in the squeezed text: found out at a glance."""
    for start, end in reversed(skipped):
        part = part[:start] + part[end:]
    if not part.isascii():
        part = _VARIANTS.sub("", unicodedata.normalize("NFKC", part))
    return part.encode("utf-8", "surrogatepass").translate(None, _BLANKS_AND_HYPHENS)
