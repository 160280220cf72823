"""Document -> chunks: cut where the structure parts, at about one size, for every model alike."""

import hashlib
import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

from lctx.core.chunking.chunk import Chunk
from lctx.core.document import Document

TARGET_CHARS = 800
"""The size to aim at, in code points (docs/benchmarks/retrieval.md compares sizes)."""
VERSION = 1
"""Of these rules: what was kept of chunks that other rules cut is of no use."""
_LEAST = TARGET_CHARS // 2
_MOST = TARGET_CHARS + TARGET_CHARS // 2
_NEWLINE = re.compile(r"\r\n|\r|\n")


def split_document(document: Document) -> tuple[Chunk, ...]:
    """The chunks of `document`, which tile its text.

    A chunk never runs on from one page to the next, nor from what can be seen to what is hidden. It begins at
    a heading where it can, else at a block, else at a line; a definition that fits into a chunk is not cut.
    Only a line longer than a chunk may be is cut inside, at white space where there is any.
    """
    return chunks_between(document, edges_of(document))


def edges_of(document: Document) -> list[int]:
    """Where the chunks of `document` begin and end, the end of its text last; none for an empty one."""
    text = document.text
    if not text:
        return []
    walls = _walls(document)
    candidates: tuple[list[int], list[int]] | None = None
    edges = [0]
    while edges[-1] < len(text):
        start = edges[-1]
        wall = walls[bisect_right(walls, start)]
        if wall - start <= _MOST:
            edges.append(wall)
            continue
        if candidates is None:  # many documents are short, and their blocks need not be made
            headings = [block.start for block in document.blocks if block.kind == "heading"]
            candidates = headings, [block.start for block in document.blocks]
        edges.append(_cut(document, start, candidates))
    return edges


def cut_name(document: Document) -> str:
    """Names all that chunks of `document` depend on: of the same bytes a reader makes the same blocks."""
    told = json.dumps([VERSION, document.reader, document.sha256, document.offset, document.hidden])
    content = hashlib.sha256(told.encode())
    content.update(document.text.encode("utf-8", "surrogatepass"))
    return content.hexdigest()


def chunks_between(document: Document, edges: Sequence[int]) -> tuple[Chunk, ...]:
    """The chunks of `document` between its `edges_of`, which may have been kept."""
    if not document.hidden:
        return tuple(Chunk(document, start, end) for start, end in pairwise(edges))
    hidden = [start for start, _ in document.hidden]

    def is_hidden(start: int) -> bool:
        index = bisect_right(hidden, start) - 1
        return index >= 0 and start < document.hidden[index][1]

    return tuple(Chunk(document, start, end, is_hidden(start)) for start, end in pairwise(edges))


def _walls(document: Document) -> list[int]:
    """Where no chunk runs on: from page to page, at the edges of what is hidden, at the end of the text."""
    spans = document.spans
    ends = [before.end for before, after in pairwise(spans) if before.location.pages != after.location.pages]
    if document.hidden:
        ends = sorted({*ends, *(edge for stretch in document.hidden for edge in stretch)})
    return [*ends, len(document.text)]


def _cut(document: Document, start: int, candidates: tuple[list[int], ...]) -> int:
    """The best end of a chunk that begins at `start`: at the strongest kind of edge, near the target."""
    text = document.text
    low, high, target = start + _LEAST, start + _MOST, start + TARGET_CHARS
    for edges in candidates:
        inside = edges[bisect_left(edges, low) : bisect_right(edges, high)]
        if inside:
            return min(inside, key=lambda edge: abs(edge - target))
    block = document.block_at(high)
    if block and block.kind == "code" and start < block.start and block.end - block.start <= _MOST:
        return block.start  # a short function stays whole, though what stands before it is a small chunk
    if line_end := _line_end(text, low, high, target):
        return line_end
    space = max(text.rfind(" ", low, high), text.rfind("\t", low, high))
    return space + 1 if space > 0 else min(high, len(text))


def _line_end(text: str, low: int, high: int, target: int) -> int:
    """The end of a line from `low` to `high` that is nearest to `target`, of two the first; 0 if none is."""
    # One character beyond, so that half of a Windows line end is not taken for a whole one.
    if text.find("\r", low - 1, high + 1) >= 0:
        lines = [found.end() for found in _NEWLINE.finditer(text, low - 1, high + 1) if found.end() <= high]
        return min(lines, key=lambda edge: abs(edge - target), default=0)
    before = text.rfind("\n", low - 1, target) + 1
    after = text.find("\n", target, high) + 1
    return after if after and (not before or after - target < target - before) else before
