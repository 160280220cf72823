"""Plain text: lines as editors count them, paragraphs as people see them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lctx.formats.text import paragraphs, read_text


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_paragraphs_end_at_blank_lines(newline):
    """This test ensures that blank lines, with or without white space in them, part paragraphs in every newline."""
    text = newline.join(["", "  first", "goes on", " \t", "", "second", ""])
    found = [text[start:end] for start, end in paragraphs(text)]
    assert found == [f"  first{newline}goes on{newline}", f"second{newline}"]


def test_a_place_is_its_line():
    """This test ensures that a quote is located by the line that an editor shows, form feeds notwithstanding."""
    document = read_text("a.txt", "one\r\ntwo\x0cstill two\u2028still\r\n\r\nfour".encode())
    assert (document.kind, document.reader, document.path) == ("text", "text/1", "a.txt")
    start = document.text.index("four")
    assert document.locate(start, start + 4).lines == (4, 4)
    assert document.locate(document.text.index("still"), start).lines == (2, 3)


@given(st.text(st.sampled_from("ab \t\r\n\x0c"), max_size=60))
def test_paragraphs_hold_every_character_that_is_not_blank(text):
    """This test ensures that paragraphs are in order, apart, and leave out white space only."""
    found = paragraphs(text)
    position = 0
    for start, end in found:
        assert position <= start < end
        assert text[position:start].isspace() or position == start
        assert not text[start:end].isspace()
        position = end
    assert not text[position:].strip()


@pytest.mark.parametrize(
    "text", ["\n" + " " * 1_000_000, ("\n" + " " * 30) * 30_000, "a" * 1_000_000, "\n" * 1_000_000]
)
def test_white_space_without_end_costs_no_time(text):
    """This test ensures that a megabyte of blanks takes no more than any other megabyte."""
    started = time.process_time()
    paragraphs("x" + text + "x")
    assert time.process_time() - started < 1
