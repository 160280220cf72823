"""Tests of cutting documents into chunks: they tile the text and keep to their page."""

import time

import pytest
from answering_parts import EXAMPLES, document, paged
from hypothesis import given, settings
from hypothesis import strategies as st

from lctx.core.chunking.split import TARGET_CHARS, split_document
from lctx.core.document import Block, Document, line_ends
from lctx.formats.pdf import read_pdf
from lctx.formats.word import read_word

LARGEST = TARGET_CHARS * 3 // 2
LINES = st.lists(st.text("ab.é \t\u2028\x0c𝄞", max_size=300).map(lambda line: line + "\n"), max_size=40)
ANY_TEXT = st.one_of(st.text(max_size=3000), LINES.map("".join), st.text("x \r\n", max_size=3000))


def assert_tiled(source: Document) -> None:
    chunks = split_document(source)
    assert "".join(chunk.text for chunk in chunks) == source.text
    assert [chunk.start for chunk in chunks] == [0, *(chunk.end for chunk in chunks)][: len(chunks)]
    assert all(0 < chunk.end - chunk.start <= LARGEST for chunk in chunks)


@given(ANY_TEXT)
@settings(max_examples=80, deadline=None)
def test_chunks_tile_any_text(text):
    """This test ensures that no character is lost, read twice, or in a chunk larger than the ceiling."""
    assert_tiled(document(text))


@given(st.lists(ANY_TEXT, max_size=6))
@settings(max_examples=50, deadline=None)
def test_no_chunk_crosses_a_page(pages):
    """This test ensures that a chunk has one page, empty pages among them included."""
    source = paged(*pages)
    assert_tiled(source)
    for chunk in split_document(source):
        first, last = chunk.location.pages
        assert first == last


@given(LINES)
@settings(max_examples=50, deadline=None)
def test_chunks_end_at_line_ends(lines):
    """This test ensures that ids can be joined chunk by chunk: only a line that is too long is cut inside."""
    source = document("".join(lines))
    ends = {0, *line_ends(source.text)}
    for chunk in split_document(source):
        if chunk.end not in ends:  # then no line ended where this one might have
            assert not ends & set(range(chunk.start + TARGET_CHARS // 2, chunk.start + LARGEST + 1))


@given(st.lists(st.tuples(st.integers(0, 500), st.sampled_from(["\n", "\r\n", "\r"])), max_size=40))
@settings(max_examples=150, deadline=None)
def test_lines_are_those_of_the_document(lines):
    """This test ensures that a cut stands at the line end nearest to the target, as editors see lines."""
    source = document("".join("x" * length + newline for length, newline in lines))
    ends = line_ends(source.text)
    for chunk in split_document(source)[:-1]:
        low, high = chunk.start + TARGET_CHARS // 2, chunk.start + LARGEST
        near = [end for end in ends if low <= end <= high]
        target = chunk.start + TARGET_CHARS
        assert chunk.end == (min(near, key=lambda end: abs(end - target)) if near else high)


def test_half_of_a_windows_line_end_is_none():
    """This test ensures that a line that ends one character too late is cut at a space, not inside its end."""
    before = "x" * 600 + " " + "x" * (LARGEST - 602)
    source = document(f"{before}\r\n{'y' * 2000}")
    assert split_document(source)[0].end == 601


@given(st.lists(st.tuples(st.sampled_from(["heading", "paragraph"]), st.integers(1, 900)), max_size=12))
@settings(max_examples=50, deadline=None)
def test_any_structure_is_tiled(parts):
    """This test ensures that blocks of every size and order guide the cuts and lose nothing."""
    blocks, text = [], ""
    for kind, size in parts:
        blocks.append(Block(kind, len(text), len(text) + size, ("A",)))
        text += "w" * (size - 1) + "\n"
    plain = document(text)
    source = Document("a.md", "markdown", "markdown/1", plain.sha256, text, plain.spans, tuple(blocks))
    assert_tiled(source)


def test_a_chunk_begins_at_a_heading_where_it_can():
    """This test ensures that a heading stays with what it stands over, though a block is nearer the target."""
    body = "".join(f"Sentence number {number:03} of a section.\n" for number in range(20))
    text = f"First\n{body}Second\n{body}Third\n{body}"
    source = document(text, headings=("First", "Second", "Third"))
    starts = [chunk.start for chunk in split_document(source)]
    assert starts == [text.index(title) for title in ("First", "Second", "Third")]


def test_a_long_line_is_cut_between_words():
    """This test ensures that a line without end does not cut through a word where it has white space."""
    chunks = split_document(document("word " * 2000))
    assert len(chunks) > 5
    assert all(chunk.text.startswith("word") and chunk.text.endswith(" ") for chunk in chunks)


def test_an_empty_document_has_no_chunks():
    """This test ensures that nothing is planned where nothing stands."""
    assert split_document(document("")) == ()


def test_a_large_line_is_cut_in_linear_time():
    """This test ensures that ten million characters without a line end are cut within seconds."""
    begun = time.monotonic()
    chunks = split_document(document("x" * 10_000_000))
    assert sum(chunk.end - chunk.start for chunk in chunks) == 10_000_000
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("name", ["constitution.pdf", "services-agreement.docx"])
def test_the_samples_are_tiled(name):
    """This test ensures that real documents are cut near the target, each chunk under its own heading."""
    content = (EXAMPLES / name).read_bytes()
    source = read_pdf(name, content) if name.endswith(".pdf") else read_word(name, content)
    assert_tiled(source)
    chunks = split_document(source)
    assert 300 < len(source.text) / len(chunks) <= LARGEST
    assert sum(bool(chunk.heading) for chunk in chunks) > 0.9 * len(chunks)
    assert chunks == split_document(source)


def code(*functions: int) -> Document:
    """A source file of functions of these sizes in characters, each a block."""
    text, blocks = "", []
    for number, size in enumerate(functions):
        blocks.append(Block("code", len(text), len(text) + size, symbol=(f"f{number}",)))
        head = f"def f{number}():\n"
        lines = (size - len(head) - 1) // 40
        body = "    value = value + 1  # a line of code\n" * lines
        text += head + body + "#" * (size - len(head) - len(body) - 1) + "\n"
    return Document("a.py", "code", "code/1", "0" * 64, text, document(text).spans, tuple(blocks))


@given(st.lists(st.integers(30, 1600), min_size=1, max_size=15))
@settings(max_examples=100, deadline=None)
def test_a_short_function_stays_whole(sizes):
    """This test ensures that a function that fits into a chunk is never cut, whatever stands around it."""
    source = code(*sizes)
    assert_tiled(source)
    edges = {chunk.start for chunk in split_document(source)}
    for block in source.blocks:
        if block.end - block.start <= LARGEST:
            assert not edges & set(range(block.start + 1, block.end))


def test_a_chunk_of_code_says_where_it_stands():
    """This test ensures that each chunk carries the symbol path of the definition that it begins with."""
    chunks = split_document(code(700, 900, 1100))
    assert [chunk.heading for chunk in chunks] == [("f0",), ("f1",), ("f2",)]
