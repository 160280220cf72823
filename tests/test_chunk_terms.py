"""Terms of chunks: kept by content, the same from the cache as without it."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lctx.core.chunking.split import split_document
from lctx.core.document import Block, Document, Location, Span
from lctx.core.retrieval import chunk_terms as room
from lctx.core.retrieval.chunk_terms import chunk_terms
from lctx.core.retrieval.rank import Retriever
from lctx.core.retrieval.terms import terms
from lctx.core.storage import ByteCache

TEXT = "The runway is long.\nRunways are wide.\n" * 60


def document(text, path="airport report.txt", **more):
    spans = (Span(0, len(text), Location()),) if text else ()
    return Document(path, "text", "text/1", hashlib.sha256(text.encode()).hexdigest(), text, spans, **more)


def chunks_of(*documents):
    return [chunk for one in documents for chunk in split_document(one)]


@pytest.fixture
def made(monkeypatch):
    """The texts whose terms were made rather than kept."""
    asked = []
    monkeypatch.setattr(room, "terms", lambda text: asked.append(text) or terms(text))
    return asked


def test_the_terms_of_a_chunk_begin_with_what_stands_above_it(tmp_path):
    """This test ensures that file, headings and text are all found, in words that a question is made of."""
    source = document(TEXT, blocks=(Block("heading", 0, 20, ("Length of runways",)),))
    first, *_ = chunk_terms(chunks_of(source), ByteCache(tmp_path))
    expected = [*terms("airport report"), *terms("Length of runways"), *terms(TEXT)]
    assert first.split() == expected[: len(first.split())]


def test_terms_are_kept(tmp_path, made):
    """This test ensures that the terms of a text are made once, whatever it is called, and only what is new is made."""
    sources = [document(TEXT), document(""), document(TEXT.upper(), path="b.txt")]
    cold = list(chunk_terms(chunks_of(*sources), ByteCache(tmp_path)))
    assert cold == list(chunk_terms(chunks_of(*sources), ByteCache(None)))
    made.clear()
    assert list(chunk_terms(chunks_of(*sources), ByteCache(tmp_path))) == cold
    assert made == ["airport report", "b"]
    made.clear()
    renamed = replace(sources[0], path="elsewhere.txt")
    moved = list(chunk_terms(chunks_of(renamed, document("new one")), ByteCache(tmp_path)))
    assert all(one.startswith("elsewher ") for one in moved[:-1])
    assert made == ["elsewhere", "", "new one", "airport report"]


def test_terms_of_what_a_password_opened_are_not_kept(tmp_path):
    """This test ensures that no word of a protected document reaches the disk, beside another that is kept."""
    secret, other = document(TEXT.replace("runway", "verdict"), is_protected=True), document(TEXT)
    assert len(list(chunk_terms(chunks_of(secret, other), ByteCache(tmp_path)))) == len(
        chunks_of(secret, other)
    )
    kept = b"".join(one.read_bytes() for one in tmp_path.rglob("*") if one.is_file())
    assert b"runway" in kept
    assert b"verdict" not in kept


def test_some_chunks_of_a_document_are_kept_apart(tmp_path):
    """This test ensures that a choice of chunks never gets the terms of another choice."""
    chunks = chunks_of(document("".join(f"word{number} here\n" for number in range(500))))
    expected = list(chunk_terms(chunks, ByteCache(tmp_path)))
    for choice in (slice(1, None), slice(None, -1), slice(None, None, 2), slice(2, 3)):
        for _ in range(2):
            assert list(chunk_terms(chunks[choice], ByteCache(tmp_path))) == expected[choice]


@pytest.mark.parametrize("value", [b"", b"one", b"\xff", b"a\nb"])
def test_a_value_that_cannot_be_these_chunks_is_made_again(value, tmp_path):
    """This test ensures that what is kept under the right name and is something else is not believed."""

    class Lying(ByteCache):
        def get_many(self, keys):
            return [value] * len(keys)

    chunks = chunks_of(document(TEXT * 2))
    assert list(chunk_terms(chunks, Lying(tmp_path))) == list(chunk_terms(chunks, ByteCache(None)))


def test_other_rules_make_other_terms(tmp_path, made, monkeypatch):
    """This test ensures that terms of another stemmer are not compared with a question's."""
    chunks = chunks_of(document(TEXT))
    list(chunk_terms(chunks, ByteCache(tmp_path)))
    made.clear()
    monkeypatch.setattr(room, "rules_name", lambda: "another")
    list(chunk_terms(chunks, ByteCache(tmp_path)))
    assert len(made) > 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=200), min_size=1, max_size=4))
def test_any_text_has_the_same_terms_from_the_cache(tmp_path_factory, texts):
    """This test ensures that nothing in a text parts or joins chunks in what is kept."""
    chunks = chunks_of(*map(document, texts))
    kept = ByteCache(tmp_path_factory.mktemp("terms"))
    cold = list(chunk_terms(chunks, kept))
    assert [one.split() for one in cold] == [terms(f"airport report {chunk.text}") for chunk in chunks]
    assert list(chunk_terms(chunks, kept)) == cold


def test_a_ranking_does_not_depend_on_what_was_kept(tmp_path):
    """This test ensures that the second question is answered as the first one would have been."""
    chunks = chunks_of(document(TEXT), document("A short runway.\n" * 30, path="other.txt"))
    plain = Retriever(chunks).rank("How short is the runway?")
    for _ in range(2):
        assert Retriever(chunks, ByteCache(tmp_path)).rank("How short is the runway?") == plain
