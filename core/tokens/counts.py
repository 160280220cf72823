"""Documents cut into chunks, and these counted: kept by content, so that it is done once."""

from array import array
from collections.abc import Sequence
from itertools import chain, pairwise

from lctx.core.chunking.chunk import Chunk
from lctx.core.chunking.split import chunks_between, cut_name, split_document
from lctx.core.document import Document
from lctx.core.storage import ByteCache
from lctx.core.tokens.tokenizer import Tokenizer

_ITEM = "Q"  # of array: eight bytes on every platform


def cut_and_count(
    tokenizer: Tokenizer, documents: Sequence[Document], cache: ByteCache
) -> tuple[tuple[Chunk, ...], tuple[int, ...]]:
    """The chunks of all documents, in order, and how many tokens each has.

    Args:
        tokenizer: Its hash is part of the key: another vocabulary, another count.
        documents: In any order; those with the same bytes, read alike, are kept as one, whatever their path.
        cache: A value that is missing or damaged is made anew.
    """
    keys = [f"counts {tokenizer.hash} {cut_name(document)}" for document in documents]
    chunks: list[tuple[Chunk, ...]] = []
    counts: list[Sequence[int]] = []
    missing: dict[int, list[str]] = {}
    for number, (document, value) in enumerate(zip(documents, cache.get_many(keys), strict=True)):
        kept = _unpacked(value, document)
        if kept is None:
            chunks.append(split_document(document))
            counts.append(())
            missing[number] = [chunk.text for chunk in chunks[number]]
        else:
            chunks.append(chunks_between(document, kept[0]))
            counts.append(kept[1])
    # Counted together, so that a library with threads has enough to do; equal text is counted once.
    texts = list(dict.fromkeys(chain.from_iterable(missing.values())))
    counted = dict(zip(texts, tokenizer.count_batch(texts), strict=True)) if texts else {}
    values: dict[str, bytes] = {}
    for number, own in missing.items():
        counts[number] = found = [counted[text] for text in own]
        values[keys[number]] = array(_ITEM, [chunk.end for chunk in chunks[number]] + found).tobytes()
    cache.put_many(values)
    return tuple(chain.from_iterable(chunks)), tuple(chain.from_iterable(counts))


def _unpacked(value: bytes | None, document: Document) -> tuple[list[int], list[int]] | None:
    """Where the chunks of `document` begin and end, and their counts; None for what is something else."""
    numbers = array(_ITEM)
    if value is None or len(value) % (2 * numbers.itemsize):
        return None
    numbers.frombytes(value)
    half = len(numbers) // 2
    edges = [0, *numbers[:half]] if half else [0]
    if edges[-1] != len(document.text) or any(start >= end for start, end in pairwise(edges)):
        return None
    return edges, numbers[half:].tolist()
