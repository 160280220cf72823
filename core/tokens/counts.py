"""Documents cut into chunks, and these counted: kept by content, so that it is done once."""

from array import array
from collections.abc import Iterator, Sequence
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
        cache: A value that is missing or damaged is made anew. Of what a password opened nothing is kept.
    """
    keys = [f"counts {tokenizer.hash} {cut_name(document)}" for document in documents]
    kept = [_unpacked(*one) for one in zip(cache.get_many(keys), documents, strict=True)]
    chunks = [
        chunks_between(one, found[0]) if found else () for one, found in zip(documents, kept, strict=True)
    ]
    counts: list[Sequence[int]] = [found[1] if found else () for found in kept]
    missing = [number for number, found in enumerate(kept) if not found and documents[number].text]
    places: dict[str, int] = {}

    def new_texts() -> Iterator[str]:
        for number in missing:
            chunks[number] = split_document(documents[number])
            for text in (chunk.text for chunk in chunks[number]):
                if text not in places:  # equal text is counted once
                    places[text] = len(places)
                    yield text

    # Counted together, so that a library with threads has enough to do, and does it while others are cut.
    counted = tokenizer.count_batch(new_texts()) if missing else []
    values: dict[str, bytes] = {}
    for number in missing:
        counts[number] = new = [counted[places[chunk.text]] for chunk in chunks[number]]
        if documents[number].is_protected:
            continue
        values[keys[number]] = array(_ITEM, [chunk.end for chunk in chunks[number]] + new).tobytes()
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
