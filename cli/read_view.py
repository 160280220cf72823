"""Where the sources of `lctx read` are shown, one after the other: as text, as JSON, as NDJSON."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from lctx.cli.output import Sink
from lctx.core.document import Document

if TYPE_CHECKING:
    from lctx.cli.read_record import ReadRecord, SourcePart
    from lctx.cli.where import Quote

_SHIFT = " " * 4


class ReadView(Protocol):
    """What sources are shown by; nothing of them is kept."""

    def source(self, document: Document) -> None:
        """One more source."""
        ...

    def quotes(self, quotes: "Sequence[Quote]") -> None:
        """Where quotes stand, when all sources were looked at."""
        ...

    def warning(self, text: str) -> None:
        """Something that the reader of the text must know."""
        ...

    def finish(self, record: "Callable[[], ReadRecord]") -> None:
        """The end, good or bad; `record` makes the contract's object without its sources."""
        ...


def open_read_view(wanted: str, sink: Sink, *, outline: bool, numbered: bool, where: bool) -> ReadView:
    """The view that fits the format."""
    if wanted == "text":
        return TextView(sink, outline=outline, numbered=numbered, where=where)
    view = JsonView if wanted == "json" else NdjsonView
    return view(sink, spans=not (outline or where), outline=outline)


class TextView:
    """For people, and for grep."""

    def __init__(self, sink: Sink, *, outline: bool, numbered: bool, where: bool) -> None:
        self._sink = sink
        self._outline = outline
        self._numbered = numbered
        self._where = where
        self._is_first = True

    def source(self, document: Document) -> None:
        """Its text or its outline; nothing where only quotes are looked for."""
        if self._where:
            return
        is_apart = not self._is_first and (not self._numbered or self._outline)
        self._sink.write("".join(("\n" if is_apart else "", *self._pieces(document))))
        self._is_first = False

    def _pieces(self, document: Document) -> Iterator[str]:
        from lctx.cli import read_text

        if self._outline:
            from lctx.cli.read_outline import outline_of

            return read_text.outline_text_of(document, outline_of(document))
        return read_text.numbered_text_of(document) if self._numbered else read_text.text_of(document)

    def quotes(self, quotes: "Sequence[Quote]") -> None:
        """A line for each place."""
        from lctx.cli.read_text import places_text_of

        if text := "".join(places_text_of(quotes)):
            self._sink.write(text)
            self._is_first = False

    def warning(self, text: str) -> None:
        """Nothing: warnings are told on standard error."""

    def finish(self, record: "Callable[[], ReadRecord]") -> None:  # noqa: ARG002 - told on standard error
        """What was shown is whole; a file of `-o` stays as it was where there was nothing to show."""
        if not self._is_first:
            self._sink.close()


class JsonView:
    """One object, written as far as it is known."""

    def __init__(self, sink: Sink, *, spans: bool, outline: bool) -> None:
        self._sink = sink
        self._spans = spans
        self._outline = outline
        self._num_sources = 0

    def source(self, document: Document) -> None:
        """Its object, as the next of `sources`."""
        from lctx.core.answering.wire import encode

        before = "," if self._num_sources else '{\n  "schema_version": 1,\n  "sources": ['
        self._num_sources += 1
        # Inside a JSON string a line never ends, so that lines can be moved to the right.
        row = encode(self._part(document), indent=2).decode().replace("\n", f"\n{_SHIFT}")
        self._sink.write(f"{before}\n{_SHIFT}{row}")

    def _part(self, document: Document) -> "SourcePart":
        from lctx.cli.read_outline import outline_of
        from lctx.cli.read_record import source_part

        entries = outline_of(document) if self._outline else None
        return source_part(document, spans=self._spans, outline=entries)

    def quotes(self, quotes: "Sequence[Quote]") -> None:
        """Nothing: they are in the record."""

    def warning(self, text: str) -> None:
        """Nothing: they are in the record."""

    def finish(self, record: "Callable[[], ReadRecord]") -> None:
        """The rest of the object."""
        from lctx.cli.read_record import SOURCES
        from lctx.core.answering.wire import encode

        whole = encode(record(), indent=2).decode() + "\n"
        self._sink.write("\n  ]" + whole.partition(SOURCES)[2] if self._num_sources else whole)
        self._sink.close()


class NdjsonView(JsonView):
    """One event a line, as they happen."""

    def __init__(self, sink: Sink, *, spans: bool, outline: bool) -> None:
        super().__init__(sink, spans=spans, outline=outline)
        from lctx.core.answering.wire import SCHEMA_VERSION

        self._event({"event": "start", "schema_version": SCHEMA_VERSION})

    def source(self, document: Document) -> None:
        """Its object as an event."""
        self._event({"event": "source", "source": self._part(document)})

    def quotes(self, quotes: "Sequence[Quote]") -> None:
        """An event for each."""
        from lctx.cli.read_record import quote_part

        for quote in quotes:
            self._event({"event": "quote", "quote": quote_part(quote)})

    def warning(self, text: str) -> None:
        """An event."""
        from lctx.core.answering.wire_plan import utf8

        self._event({"event": "warning", "message": utf8(text)})

    def finish(self, record: "Callable[[], ReadRecord]") -> None:
        """The last event."""
        from msgspec.structs import replace

        self._event({"event": "result", "result": replace(record(), sources=None)})
        self._sink.close()

    def _event(self, event: dict[str, object]) -> None:
        from lctx.core.answering.wire import encode

        self._sink.write(encode(event).decode() + "\n")
