"""`--where`: the places where quotes stand in the sources that were read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from lctx.core.citing.find import Match, is_searchable, matches_of, nearest_of
from lctx.core.document import Document, Location
from lctx.core.errors import UsageError

Boxes = Callable[[Document, Sequence[tuple[int, int]]], list[tuple[float, float, float, float] | None]]
"""A document and stretches of its text -> where each is printed on its page, or None."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a quote stands.

    Attributes:
        document: In which source.
        match: In which stretch of its text.
        location: The same, for people.
    """

    document: Document
    match: Match
    location: Location

    @property
    def is_verbatim(self) -> bool:
        """Whether all of the quote stands there."""
        return self.match.share >= 1

    @property
    def text(self) -> str:
        """What stands there."""
        return self.document.text[self.match.start : self.match.end]


@dataclass(slots=True)
class Quote:
    """A quote, and where it stands: in the order of the sources, and of each source's text.

    Attributes:
        text: As it was given.
        places: Where; the nearest one alone where it stands nowhere word for word.
    """

    text: str
    places: list[Place] = field(default_factory=list)

    @property
    def is_found(self) -> bool:
        """Whether it stands anywhere word for word: sixty days are like ninety days, and no proof of them."""
        return any(place.is_verbatim for place in self.places)


class Search:
    """Looks for quotes in one document after the other."""

    def __init__(self, quotes: Sequence[str]) -> None:
        """Look for `quotes`.

        Raises:
            UsageError: One of them holds nothing to look for.
        """
        for text in quotes:
            if not is_searchable(text):
                raise UsageError("--where: the quote is empty", 'quote some words: --where "three hundred"')
        self.quotes = [Quote(text) for text in dict.fromkeys(quotes)]
        self._documents: list[Document] = []

    def look_in(self, document: Document) -> None:
        """Note every place in `document`."""
        for quote in self.quotes:
            quote.places += [
                Place(document, match, document.locate(match.start, match.end))
                for match in matches_of(quote.text, document)
            ]
        if not all(quote.places for quote in self.quotes):
            self._documents.append(document)  # perhaps it holds what comes nearest

    def finish(self, boxes: Boxes) -> None:
        """Look for what comes near, where nothing was found, and for the boxes of all places."""
        for quote in self.quotes:
            if not quote.places and (nearest := self._nearest(quote.text)):
                quote.places = [nearest]
        self._add_boxes(boxes)

    def _nearest(self, text: str) -> Place | None:
        best: Place | None = None
        for document in self._documents:
            match = nearest_of(text, document)
            if match and (best is None or match.share > best.match.share):
                best = Place(document, match, document.locate(match.start, match.end))
        return best

    def _add_boxes(self, boxes: Boxes) -> None:
        wanted: dict[int, list[tuple[Quote, int]]] = {}
        for quote in self.quotes:
            for number, place in enumerate(quote.places):
                wanted.setdefault(id(place.document), []).append((quote, number))
        for asked in wanted.values():
            places = [quote.places[number] for quote, number in asked]
            ranges = [(place.match.start, place.match.end) for place in places]
            found = boxes(places[0].document, ranges)
            for (quote, number), place, box in zip(asked, places, found, strict=True):
                quote.places[number] = replace(place, location=replace(place.location, box=box))
