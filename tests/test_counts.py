"""Chunks and their counts: kept by content, equal for equal text, made again when damaged."""

import hashlib
import time
from array import array
from dataclasses import replace

import pytest

from lctx.core.chunking import split
from lctx.core.chunking.split import split_document
from lctx.core.document import Block, Document, Location, Span, with_blocks_later
from lctx.core.storage import ByteCache
from lctx.core.tokens.counts import cut_and_count

TEXT = "one two three four five six\n" * 100


class CountingTokenizer:
    """Counts words, and remembers what it was asked."""

    exact = True

    def __init__(self, name="words"):
        self.hash = name
        self.asked = []

    def count_batch(self, texts):
        """How many words each text has."""
        texts = list(texts)
        self.asked.extend(texts)
        return [len(text.split()) for text in texts]


def document(text, path="a.txt", **more):
    spans = (Span(0, len(text), Location()),) if text else ()
    return Document(path, "text", "text/1", hashlib.sha256(text.encode()).hexdigest(), text, spans, **more)


def counted(documents, cache, tokenizer=None):
    """Chunks and counts, seen to be right; and what the tokenizer was asked."""
    tokenizer = tokenizer or CountingTokenizer()
    chunks, numbers = cut_and_count(tokenizer, documents, cache)
    assert chunks == tuple(chunk for one in documents for chunk in split_document(one))
    assert numbers == tuple(len(chunk.text.split()) for chunk in chunks)
    return tokenizer.asked


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "counts"


def test_counts_are_kept_by_content(folder):
    """This test ensures that the same text is never counted twice, whatever it is called and in whatever process."""
    assert counted([document(TEXT)], ByteCache(folder))
    assert not counted([document(TEXT, path="elsewhere.txt")], ByteCache(folder))


@pytest.mark.parametrize(
    "changed",
    [
        {"reader": "text/2"},
        {"sha256": "0" * 64},
        {"hidden": ((5, 900),)},
        {"offset": 7},
        {"text": TEXT.upper()},
    ],
)
def test_what_may_be_cut_elsewhere_is_cut(changed, folder):
    """This test ensures that chunks are kept for one text of one reader, and for what is seen of it."""
    counted([document(TEXT)], ByteCache(folder))
    assert counted([replace(document(TEXT), **changed)], ByteCache(folder))


def test_another_vocabulary_or_another_cut_is_counted(folder, monkeypatch):
    """This test ensures that counts hold for one vocabulary and one way of cutting."""
    counted([document(TEXT)], ByteCache(folder))
    assert counted([document(TEXT)], ByteCache(folder), CountingTokenizer("other"))
    monkeypatch.setattr(split, "VERSION", split.VERSION + 1)
    assert counted([document(TEXT)], ByteCache(folder))


def test_blocks_are_not_made_for_what_was_kept(folder):
    """This test ensures that a document whose chunks are kept is not taken apart again."""
    source = document(TEXT, blocks=(Block("heading", 700, 728), Block("paragraph", 728, 1400)))
    counted([source], ByteCache(folder))
    later = with_blocks_later(source, lambda: pytest.fail("its blocks were made"))
    chunks, _ = cut_and_count(CountingTokenizer(), [later], ByteCache(folder))
    assert [(one.start, one.end) for one in chunks] == [
        (one.start, one.end) for one in split_document(source)
    ]


def test_one_value_is_kept_for_each_document(folder):
    """This test ensures that a document of many chunks is one value, and the order of documents is kept."""
    sources = [document("a b " * 3000), document(""), document("c d e\n" * 2000, path="b.txt"), document("x")]
    kept = ByteCache(folder)
    counted(sources, kept)
    assert kept.usage().kinds["counts"][0] == len(sources) - 1  # an empty one has nothing to keep
    assert not counted(sources[::-1], kept)
    assert counted([sources[3], document("new"), sources[0]], kept) == ["new"]


def test_counts_of_what_a_password_opened_are_not_kept(folder):
    """This test ensures that nothing is left of a protected document, beside another that is kept."""
    sources = [document("a b " * 3000, is_protected=True), document("c d e\n" * 2000)]
    kept = ByteCache(folder)
    counted(sources, kept)
    assert kept.usage().kinds["counts"][0] == 1
    assert {text[:4] for text in counted(sources, kept)} == {"a b "}


def test_equal_text_is_counted_once(folder):
    """This test ensures that repeated pages cost one count."""
    asked = counted([document("same text " * 5000), document("same text " * 6000)], ByteCache(folder))
    assert len(asked) == len(set(asked)) < 5


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\0" * 28])
def test_a_damaged_count_is_counted_again(content, folder):
    """This test ensures that a value that is cut, changed or of another length is never believed."""
    counted([document(TEXT)], ByteCache(folder))
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(content)
    assert counted([document(TEXT)], ByteCache(folder))


@pytest.mark.parametrize(
    "numbers",
    [
        [],
        [len(TEXT)],
        [len(TEXT) - 1, 1],
        [100, 100, len(TEXT), 1, 1, 1],
        [200, 100, len(TEXT), 1, 1, 1],
        [0, len(TEXT), 1, 1],
    ],
)
def test_a_value_that_cannot_be_these_chunks_is_made_again(numbers, folder):
    """This test ensures that a sound value whose numbers do not tile the text is not believed."""

    class Lying(ByteCache):
        def get_many(self, keys):
            return [array("Q", numbers).tobytes()] * len(keys)

    assert counted([document(TEXT)], Lying(folder))


def test_nothing_is_counted_as_nothing(folder):
    """This test ensures that no chunks need no tokenizer."""
    assert not counted([], ByteCache(folder))
    assert not counted([document(""), document("")], ByteCache(None))


def test_a_library_of_documents_is_quick(folder):
    """This test ensures that two thousand documents whose counts are kept take seconds, not minutes."""
    sources = [document(f"text {number} and more", path=f"{number}") for number in range(2000)]
    counted(sources, ByteCache(folder))
    start = time.perf_counter()
    assert not counted(sources, ByteCache(folder))
    assert time.perf_counter() - start < 2
