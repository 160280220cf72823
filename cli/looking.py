"""A source looked at again: what nobody can see on its pages, and where a quote is printed."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from lctx.core.citing.citation import Citation
from lctx.core.document import Document
from lctx.core.errors import SourceError
from lctx.core.storage import ByteCache
from lctx.formats.reader import DEFAULTS, ReadOptions, sha256_of
from lctx.formats.sources import SourceFile, read_bytes

if TYPE_CHECKING:
    from lctx.formats.pdf_boxes import Box

_Ranges = list[tuple[int, int]]


class Looking:
    """Opens PDFs again, as far as their bytes can still be had; what was seen of a page is kept."""

    def __init__(
        self,
        cache: ByteCache,
        files: Iterable[SourceFile],
        options_for: Callable[[str], ReadOptions] = lambda _: DEFAULTS,
        contents: Mapping[str, bytes] | None = None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Look as the sources were read.

        Args:
            cache: Where what was seen is kept, by the hash of the bytes; not of what needs a password.
            files: What the documents were read from.
            options_for: What the reader of a source was told, by the source's path.
            contents: The bytes of sources that cannot be opened a second time, by path: standard input.
            warn: Told where a source could not be looked at.
        """
        self._cache = cache
        self._files = {file.path: file for file in files}
        self._options_for = options_for
        self._contents = contents or {}
        self._warn = warn

    def unseen(self, document: Document, pages: Collection[int]) -> _Ranges:
        """The stretches of `document.text` on these pages, one-based, that nobody can see."""
        if document.kind != "pdf":
            return []
        starts = {
            span.location.pages[0]: span.start
            for span in reversed(document.spans)
            if span.location.pages and span.location.part is None
        }
        wanted = sorted(starts.keys() & set(pages))
        found: _Ranges = []
        unknown = []
        for page, kept in zip(wanted, self._kept(document, wanted), strict=True):
            if kept is None:
                unknown.append(page)
            else:
                found += [(starts[page] + start, starts[page] + end) for start, end in kept]
        return sorted(found + self._looked_at(document, unknown, starts))

    def _looked_at(self, document: Document, pages: Sequence[int], starts: Mapping[int, int]) -> _Ranges:
        from lctx.formats.pdf_hidden import hidden_in

        content = self._content_of(document) if pages else None
        if content is None:
            if pages:
                self._warn(
                    f"{document.path}: it changed or went away: not looked at for text that cannot be seen"
                )
            return []
        try:
            found = hidden_in(document, content, pages, self._options_for(document.path))
        except SourceError as error:
            self._warn(f"{document.path}: not looked at for text that cannot be seen: {error.why}")
            return []
        values = {}
        for page in pages:
            span = document.spans_of(starts[page], starts[page] + 1)[0]
            own = [(start, end) for start, end in found if span.start <= start < span.end]
            relative = [(start - span.start, end - span.start) for start, end in own]
            values[_key(document, page)] = msgspec.msgpack.encode(relative)
        if self._options_for(document.path).password is None:
            self._cache.put_many(values)
        return found

    def _kept(self, document: Document, pages: Sequence[int]) -> list[_Ranges | None]:
        """For each page what was seen before, from its beginning; None where it was not looked at."""
        values = self._cache.get_many([_key(document, page) for page in pages])
        return [msgspec.msgpack.decode(value, type=_Ranges) if value else None for value in values]

    def with_boxes(self, citations: Sequence[Citation]) -> list[Citation]:
        """`citations` with the place on the page where each quote is printed, where that can be told."""
        result = list(citations)
        wanted: dict[int, list[int]] = {}
        for number, one in enumerate(citations):
            if one.location.chars:
                wanted.setdefault(id(one.document), []).append(number)
        for numbers in wanted.values():
            document = citations[numbers[0]].document
            places = [result[number].location.chars or (0, 0) for number in numbers]
            ranges = [(start - document.offset, end - document.offset) for start, end in places]
            for number, box in zip(numbers, self.boxes(document, ranges), strict=True):
                result[number] = replace(result[number], location=replace(result[number].location, box=box))
        return result

    def boxes(self, document: Document, ranges: Sequence[tuple[int, int]]) -> "list[Box | None]":
        """Where each stretch of `document.text` is printed on its page; None where nobody can tell."""
        from lctx.formats.pdf_boxes import boxes_of

        content = self._content_of(document) if document.kind == "pdf" else None
        if content is None:
            return [None] * len(ranges)
        return boxes_of(document, content, ranges, self._options_for(document.path))

    def _content_of(self, document: Document) -> bytes | None:
        """The very bytes that were read, or None where they cannot be had any more."""
        content, file = self._contents.get(document.path), self._files.get(document.path)
        if content is None and file is not None:
            try:
                content = read_bytes(file)
            except SourceError:
                return None
        return content if content is not None and sha256_of(content) == document.sha256 else None


def _key(document: Document, page: int) -> str:
    return f"unseen 1 {document.reader} {document.sha256} {page}"
