"""The terms of chunks, kept by content: a second question does not take the documents apart again."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import PurePath

from lctx.core.chunking.chunk import Chunk
from lctx.core.chunking.split import cut_name
from lctx.core.retrieval.terms import rules_name, terms
from lctx.core.storage import ByteCache

_BETWEEN = "\n"  # stands in no term, as little as a space does


def chunk_terms(chunks: Sequence[Chunk], cache: ByteCache) -> Iterator[str]:
    """The terms of each chunk with spaces between them, in order, repeats included.

    First those of what stands above it and is not in it, its file's name and its heading path.

    Args:
        chunks: Those of one document stand together.
        cache: A value that is missing or damaged is made anew. Of what a password opened nothing is kept.
    """
    runs = [list(run) for _, run in groupby(chunks, lambda chunk: id(chunk.document))]
    keys = list(map(_key, runs))
    values: dict[str, bytes] = {}
    for key, value, run in zip(keys, cache.get_many(keys), runs, strict=True):
        kept = _unpacked(value, len(run))
        if kept is None:
            kept = _terms_below(run)
            if not run[0].document.is_protected:
                values[key] = _BETWEEN.join(kept).encode()
        name = " ".join(terms(PurePath(run[0].document.path).stem))
        yield from (f"{name} {below}" for below in kept)
    cache.put_many(values)


def _key(run: Sequence[Chunk]) -> str:
    """Not all chunks of a document need take part."""
    starts = hashlib.sha256(repr([chunk.start for chunk in run]).encode()).hexdigest()
    return f"terms {rules_name()} {cut_name(run[0].document)} {starts}"


def _unpacked(value: bytes | None, num_chunks: int) -> list[str] | None:
    with suppress(UnicodeDecodeError):
        kept = value.decode().split(_BETWEEN) if value is not None else []
        return kept if len(kept) == num_chunks else None
    return None


def _terms_below(run: Sequence[Chunk]) -> list[str]:
    """The terms of each chunk but for its file's name."""
    above: dict[tuple[str, ...], str] = {}
    found = []
    for chunk in run:
        heading = chunk.heading
        if heading not in above:  # chunks of one section share it
            above[heading] = " ".join(terms(" ".join(heading)))
        found.append(f"{above[heading]} {' '.join(terms(chunk.text))}")
    return found
