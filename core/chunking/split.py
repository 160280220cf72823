"""Document -> chunks: cut where the structure parts, at about one size, for every model alike."""

import re
from bisect import bisect_left, bisect_right
from itertools import pairwise

from lctx.core.chunking.chunk import Chunk
from lctx.core.document import Document

TARGET_CHARS = 800
"""The size to aim at, in code points (docs/benchmarks/retrieval.md compares sizes)."""
_LEAST = TARGET_CHARS // 2
_MOST = TARGET_CHARS + TARGET_CHARS // 2
_NEWLINE = re.compile(r"\r\n|\r|\n")


def split_document(document: Document) -> tuple[Chunk, ...]:
    """The chunks of `document`, which tile its text.

    A chunk never runs on from one page to the next. It begins at a heading where it can, else at a block,
    else at a line; only a line longer than a chunk may be is cut inside, at white space where there is any.
    """
    text = document.text
    if not text:
        return ()
    pages = _page_ends(document)
    headings = [block.start for block in document.blocks if block.kind == "heading"]
    blocks = [block.start for block in document.blocks]
    edges = [0]
    while edges[-1] < len(text):
        start = edges[-1]
        page_end = pages[bisect_right(pages, start)]
        edges.append(page_end if page_end - start <= _MOST else _cut(text, start, (headings, blocks)))
    return tuple(Chunk(document, start, end) for start, end in pairwise(edges))


def _page_ends(document: Document) -> list[int]:
    """Where the text goes from one page to another, and its end."""
    spans = document.spans
    ends = [before.end for before, after in pairwise(spans) if before.location.pages != after.location.pages]
    return [*ends, len(document.text)]


def _cut(text: str, start: int, candidates: tuple[list[int], ...]) -> int:
    """The best end of a chunk that begins at `start`: at the strongest kind of edge, near the target."""
    low, high, target = start + _LEAST, start + _MOST, start + TARGET_CHARS
    for edges in candidates:
        inside = edges[bisect_left(edges, low) : bisect_right(edges, high)]
        if inside:
            return min(inside, key=lambda edge: abs(edge - target))
    # Lines are looked for last and nearby: most chunks end at a block, and a long text has very many lines.
    # One character beyond, so that half of a Windows line end is not taken for a whole one.
    lines = [found.end() for found in _NEWLINE.finditer(text, low - 1, high + 1) if found.end() <= high]
    if lines:
        return min(lines, key=lambda edge: abs(edge - target))
    space = max(text.rfind(" ", low, high), text.rfind("\t", low, high))
    return space + 1 if space > 0 else min(high, len(text))
