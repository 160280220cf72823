"""Counts of chunks: kept by content, equal for equal text, counted again when damaged."""

import time

import pytest

from lctx.core.chunking.chunk import Chunk
from lctx.core.document import Document, Location, Span
from lctx.core.storage import ByteCache
from lctx.core.tokens.counts import count_chunks


class CountingTokenizer:
    """Counts words, and remembers what it was asked."""

    exact = True

    def __init__(self, name="words"):
        self.hash = name
        self.asked = []

    def count_batch(self, texts):
        """How many words each text has."""
        self.asked.extend(texts)
        return [len(text.split()) for text in texts]


def document(text, path="a.txt"):
    return Document(path, "text", "text/1", "0" * 64, text, (Span(0, len(text), Location()),) if text else ())


def chunks_of(text, size=10, path="a.txt"):
    whole = document(text, path)
    return [Chunk(whole, start, min(start + size, len(text))) for start in range(0, len(text), size)]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "counts"


def test_counts_are_kept_by_content(folder):
    """This test ensures that the same text is never counted twice, whatever it is called and in whatever process."""
    tokenizer = CountingTokenizer()
    chunks = chunks_of("one two three four five six")
    counts = count_chunks(tokenizer, chunks, ByteCache(folder))
    assert counts == [len(chunk.text.split()) for chunk in chunks]
    asked = len(tokenizer.asked)
    again = chunks_of("one two three four five six", path="elsewhere.txt")
    assert count_chunks(tokenizer, again, ByteCache(folder)) == counts
    assert len(tokenizer.asked) == asked


def test_another_vocabulary_or_another_cut_is_counted(folder):
    """This test ensures that counts hold for one vocabulary and one way of cutting."""
    text = "one two three four five six"
    count_chunks(CountingTokenizer(), chunks_of(text), ByteCache(folder))
    for tokenizer, chunks in [
        (CountingTokenizer("other"), chunks_of(text)),
        (CountingTokenizer(), chunks_of(text, size=9)),
    ]:
        counts = count_chunks(tokenizer, chunks, ByteCache(folder))
        assert counts == [len(chunk.text.split()) for chunk in chunks]
        assert tokenizer.asked


def test_one_value_is_kept_for_each_document(folder):
    """This test ensures that a document of thousands of chunks costs one file, and the order of chunks is kept."""
    chunks = [
        *chunks_of("a b " * 3000),
        *chunks_of("c d e\n" * 2000, path="b.txt"),
        *chunks_of("x", path="c.txt"),
    ]
    kept = ByteCache(folder)
    counts = count_chunks(CountingTokenizer(), chunks, kept)
    assert counts == [len(chunk.text.split()) for chunk in chunks]
    assert kept.usage().kinds["counts"][0] == 3


def test_equal_text_is_counted_once(folder):
    """This test ensures that repeated pages cost one count."""
    tokenizer = CountingTokenizer()
    counts = count_chunks(tokenizer, chunks_of("same text " * 500), ByteCache(folder))
    assert counts == [2] * 500
    assert tokenizer.asked == ["same text "]


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\0" * 28])
def test_a_damaged_count_is_counted_again(content, folder):
    """This test ensures that a value that is cut, changed or of another length is never believed."""
    chunks = chunks_of("one two three four five six")
    expected = count_chunks(CountingTokenizer(), chunks, ByteCache(folder))
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(content)
    tokenizer = CountingTokenizer()
    assert count_chunks(tokenizer, chunks, ByteCache(folder)) == expected
    assert tokenizer.asked


def test_a_value_of_another_length_is_counted_again(folder):
    """This test ensures that a sound value that cannot be these chunks' is not spread over them."""
    chunks = chunks_of("one two three four five six")
    expected = count_chunks(CountingTokenizer(), chunks, ByteCache(folder))

    class Lying(ByteCache):
        def get_many(self, keys):
            return [value[:-8] for value in super().get_many(keys)]

    assert count_chunks(CountingTokenizer(), chunks, Lying(folder)) == expected


def test_nothing_is_counted_as_nothing(folder):
    """This test ensures that no chunks need no tokenizer."""
    tokenizer = CountingTokenizer()
    assert count_chunks(tokenizer, [], ByteCache(folder)) == []
    assert count_chunks(tokenizer, [Chunk(document(""), 0, 0)], ByteCache(None)) == [0]


def test_a_library_of_documents_is_quick(folder):
    """This test ensures that two thousand documents whose counts are kept take seconds, not minutes."""
    chunks = [
        chunk for number in range(2000) for chunk in chunks_of(f"text {number} and more", path=f"{number}")
    ]
    expected = count_chunks(CountingTokenizer(), chunks, ByteCache(folder))
    start = time.perf_counter()
    assert count_chunks(CountingTokenizer(), chunks, ByteCache(folder)) == expected
    assert time.perf_counter() - start < 2
