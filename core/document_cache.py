"""Documents that were read before, by the hash of their bytes: a second question need not read them again.

A document is kept as a short head, its text as UTF-8, and its numbers as arrays: blocks come by the hundred
thousand, and arrays are both the smallest form and the one that is read fastest.
"""

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import chain, repeat
from operator import gt

import msgspec

from lctx.core.document import Block, Document, Link, Location, Span, with_blocks_later
from lctx.core.storage import ByteCache

# The nouns' own fields name the layout: what was kept before a field was added is never found again.
_NOUNS = (Document, Span, Location, Block, Link)
_LAYOUT = f"4 {sys.byteorder} " + ",".join(part.name for noun in _NOUNS for part in fields(noun))
_HEAD_SIZE = struct.Struct("<Q")
_ITEM = "I"  # of array: four bytes, and a text of more characters than they count is read anew each time
_COLUMNS = 9
_NOWHERE = 0xFFFF_FFFF
_MANY = 256
_ANYWHERE = Location()


class _Head(msgspec.Struct, array_like=True):
    """All of a document but its text and its numbers; `paths` are the headings and symbols of its blocks."""

    kind: str
    reader: str
    sha256: str
    warnings: tuple[str, ...]
    offset: int
    spans: tuple[Span, ...] | None  # None: one from line 1
    links: tuple[Link, ...]
    kinds: list[str]
    paths: list[tuple[str, ...]]
    num_blocks: int
    num_cells: int
    num_hidden: int


_HEADS = msgspec.msgpack.Decoder(_Head)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A document that may be kept.

    Attributes:
        sha256: Of the source's bytes, in hexadecimal.
        reader: The reader and its version: "pdf/1".
        path: The name to show; the same bytes may have had another when they were read.
    """

    sha256: str
    reader: str
    path: str


class DocumentCache:
    """Documents under their bytes' sha256 and their reader's version; losing one costs only time."""

    def __init__(self, cache: ByteCache) -> None:
        """Keep documents in `cache`."""
        self.values = cache

    def get(self, sha256: str, reader: str, path: str) -> Document | None:
        """The document that `reader` made of the bytes with this hash; None where none is kept whole.

        Args:
            sha256: Of the source's bytes, in hexadecimal.
            reader: The reader and its version: "pdf/1".
            path: The name to show; the same bytes may have had another when they were read.
        """
        return next(self.get_many([Wanted(sha256, reader, path)]))

    def get_many(self, wanted: Sequence[Wanted]) -> Iterator[Document | None]:
        """The documents kept for `wanted`, in their order; None where there is none, or it is damaged."""
        for start in range(0, len(wanted), _MANY):
            part = wanted[start : start + _MANY]
            found = self.values.get_many([key_of(one.sha256, one.reader) for one in part])
            for one, kept in zip(part, found, strict=True):
                yield None if kept is None else decode_document(kept, one)

    def put(self, document: Document) -> None:
        """Keep `document`; where that fails it is not kept, and the cache's `broken` says why."""
        kept = encode_document(document) if self.values.is_kept else None
        if kept is not None:
            self.values.put(key_of(document.sha256, document.reader), kept)


def key_of(sha256: str, reader: str) -> str:
    """The key under which a `ByteCache` keeps the document that `reader` made of the bytes with this hash."""
    return f"document {_LAYOUT} {reader} {sha256}"


def encode_document(document: Document) -> bytes | None:
    """`document` but for its path, as bytes; None for one that has none: a lone surrogate somewhere in it."""
    kinds: dict[str, int] = {}
    paths: dict[tuple[str, ...], int] = {}
    try:
        numbers = array(_ITEM)
        for column in _columns_of(document, kinds, paths):
            numbers += array(_ITEM, column)
        head = _Head(
            kind=document.kind,
            reader=document.reader,
            sha256=document.sha256,
            warnings=document.warnings,
            offset=document.offset,
            spans=None if document.spans == _one_span(document.text) else document.spans,
            links=document.links,
            kinds=list(kinds),
            paths=list(paths),
            num_blocks=len(document.blocks),
            num_cells=len(document.cells),
            num_hidden=len(document.hidden),
        )
        packed = msgspec.msgpack.encode(head)
        return b"".join((_HEAD_SIZE.pack(len(packed)), packed, numbers.tobytes(), document.text.encode()))
    except (UnicodeEncodeError, OverflowError):
        return None


def _columns_of(
    document: Document, kinds: dict[str, int], paths: dict[tuple[str, ...], int]
) -> Iterator[Sequence[int]]:
    """All numbers of `document`: of its blocks by column; kinds and paths get theirs here."""
    blocks = document.blocks
    yield [kinds.setdefault(block.kind, len(kinds)) for block in blocks]
    yield [block.start for block in blocks]
    yield [block.end for block in blocks]
    yield [paths.setdefault(block.heading, len(paths)) for block in blocks]
    yield [paths.setdefault(block.symbol, len(paths)) for block in blocks]
    for ranges in ([block.signature for block in blocks], [block.doc for block in blocks]):
        yield [one[0] if one else _NOWHERE for one in ranges]
        yield [one[1] if one else _NOWHERE for one in ranges]
    yield document.cells
    yield list(chain.from_iterable(document.hidden))


def decode_document(kept: bytes, wanted: Wanted) -> Document | None:
    """The document that was kept as `kept`; None where that is another's, or none at all."""
    try:
        (size,) = _HEAD_SIZE.unpack_from(kept)
        head = _HEADS.decode(memoryview(kept)[_HEAD_SIZE.size : _HEAD_SIZE.size + size])
        if (head.sha256, head.reader) != (wanted.sha256, wanted.reader):
            return None
        return _decoded(kept, _HEAD_SIZE.size + size, head, wanted.path)
    except (struct.error, msgspec.MsgspecError, ValueError, IndexError):
        return None


def _decoded(kept: bytes, start: int, head: _Head, path: str) -> Document:
    numbers = array(_ITEM)
    num_blocks = head.num_blocks * _COLUMNS
    num_all = num_blocks + head.num_cells + 2 * head.num_hidden
    end = start + num_all * numbers.itemsize
    if end > len(kept) or min(head.num_blocks, head.num_cells, head.num_hidden) < 0:
        raise ValueError("cut short")
    numbers.frombytes(memoryview(kept)[start:end])
    text = str(memoryview(kept)[end:], "utf-8")
    hidden = numbers[num_blocks + head.num_cells :]
    document = Document(
        path=path,
        kind=head.kind,
        reader=head.reader,
        sha256=head.sha256,
        text=text,
        spans=_one_span(text) if head.spans is None else head.spans,
        warnings=head.warnings,
        cells=tuple(numbers[num_blocks : num_blocks + head.num_cells]),
        links=head.links,
        hidden=tuple(zip(hidden[::2], hidden[1::2], strict=True)),
        offset=head.offset,
    )
    if not num_blocks:
        return document
    _check_blocks(numbers, head)
    return with_blocks_later(document, partial(_blocks, numbers, head))


def _check_blocks(numbers: "array[int]", head: _Head) -> None:
    """Raise ValueError for what would be no blocks, without making any."""
    size = head.num_blocks
    if any(map(gt, numbers[2 * size : 3 * size], numbers[size + 1 : 2 * size])):
        raise ValueError("blocks overlap")
    if max(numbers[:size]) >= len(head.kinds) or max(numbers[3 * size : 5 * size]) >= len(head.paths):
        raise ValueError("names are missing")


def _blocks(numbers: "array[int]", head: _Head) -> tuple[Block, ...]:
    size = head.num_blocks
    columns = [numbers[place : place + size].tolist() for place in range(0, size * _COLUMNS, size)]
    kinds, starts, ends, headings, symbols, *inner = columns
    return tuple(
        map(
            Block,
            map(head.kinds.__getitem__, kinds),
            starts,
            ends,
            map(head.paths.__getitem__, headings),
            map(head.paths.__getitem__, symbols),
            _ranges(inner[0], inner[1]),
            _ranges(inner[2], inner[3]),
        )
    )


def _ranges(starts: Sequence[int], ends: Sequence[int]) -> Iterable[tuple[int, int] | None]:
    if starts.count(_NOWHERE) == len(starts):  # only definitions have them
        return repeat(None)
    return (None if start == _NOWHERE else (start, end) for start, end in zip(starts, ends, strict=True))


def _one_span(text: str) -> tuple[Span, ...]:
    return (Span(0, len(text), _ANYWHERE, first_line=1),) if text else ()
