"""Token counts of chunks, kept by content: a document that was counted once is never counted again."""

import hashlib
from array import array
from collections.abc import Iterator, Sequence

from lctx.core.chunking.chunk import Chunk
from lctx.core.storage import ByteCache
from lctx.core.tokens.tokenizer import Tokenizer

_ITEM = "Q"  # of array: eight bytes on every platform


def count_chunks(tokenizer: Tokenizer, chunks: Sequence[Chunk], cache: ByteCache) -> list[int]:
    """How many tokens each chunk has, in the order of `chunks`.

    Args:
        tokenizer: Its hash is part of the key: another vocabulary, another count.
        chunks: In any order; those of one document that stand together are kept as one value.
        cache: A value that is missing or damaged is counted anew.
    """
    counts: list[int | None] = []
    missing: list[tuple[str, int, int]] = []
    runs = list(_runs(chunks))
    keys = [_key(tokenizer, chunks[start:end]) for start, end in runs]
    for key, value, (start, end) in zip(keys, cache.get_many(keys), runs, strict=True):
        kept = _unpacked(value, end - start)
        counts.extend(kept or [None] * (end - start))
        if kept is None:
            missing.append((key, start, end))
    # Counted together, so that a library with threads has enough to do; equal text is counted once.
    texts = {chunk.hash: chunk.text for _, start, end in missing for chunk in chunks[start:end]}
    counted = dict(zip(texts, tokenizer.count_batch(list(texts.values())), strict=True)) if texts else {}
    values: dict[str, bytes] = {}
    for key, start, end in missing:
        found = [counted[chunk.hash] for chunk in chunks[start:end]]
        counts[start:end] = found
        values[key] = array(_ITEM, found).tobytes()
    cache.put_many(values)
    return [count for count in counts if count is not None]


def _runs(chunks: Sequence[Chunk]) -> Iterator[tuple[int, int]]:
    start = 0
    for end in range(1, len(chunks) + 1):
        if end == len(chunks) or chunks[end].document is not chunks[start].document:
            yield start, end
            start = end


def _key(tokenizer: Tokenizer, run: Sequence[Chunk]) -> str:
    content = hashlib.blake2b("".join(chunk.hash for chunk in run).encode(), digest_size=20).hexdigest()
    return f"counts {tokenizer.hash} {content}"


def _unpacked(value: bytes | None, num_chunks: int) -> list[int] | None:
    counts = array(_ITEM)
    if value is None or len(value) != num_chunks * counts.itemsize:
        return None
    counts.frombytes(value)
    return counts.tolist()
