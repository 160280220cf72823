"""Lines as editors count them: whatever the text, its encoding and the span, the lines of a place hold it."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lctx.core.document import Document, line_ends
from lctx.formats.diff import read_diff
from lctx.formats.markdown import read_markdown
from lctx.formats.registry import format_of
from lctx.formats.text import read_text

# Line ends of every kind, and what Python's splitlines takes for one: NEL, LS, PS, form feeds.
SIGNS = st.sampled_from("ab#-|`> \t\n\r\x0b\x0c\x85\u2028\u2029é€😀")
TEXTS = st.one_of(
    st.text(SIGNS, max_size=60),
    st.lists(
        st.sampled_from(["\r\n", "\n", "\r", "word", "# h", "- x", "```", "| a |", "<!--", " "]), max_size=40
    ).map("".join),
)


def lines_of(text: str) -> list[tuple[int, int]]:
    """Where each line begins and ends, its line end included: counted apart from lctx."""
    edges = [0, *(found.end() for found in re.finditer(r"\r\n|\r|\n", text))]
    return list(zip(edges, [*edges[1:], len(text)], strict=True))


def assert_located(document: Document, start: int, end: int) -> None:
    lines = lines_of(document.text)
    first, last = document.locate(start, end).lines
    assert lines[first - 1][0] <= start < lines[first - 1][1]
    assert lines[last - 1][0] < end <= lines[last - 1][1]


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.sampled_from([read_text, read_markdown]), st.data())
@example("a\r\nb", read_text, None)
def test_the_lines_of_any_span_hold_it(text, read, data):
    """This test ensures that first and last line are those that the span begins and ends in, in every kind of text."""
    if text.isspace() or not text:
        return
    document = read("a.txt", text.encode())
    assert document.text == text
    if data is None:
        spans = [(start, end) for start in range(len(text)) for end in range(start + 1, len(text) + 1)]
    else:
        start = data.draw(st.integers(0, len(text) - 1))
        spans = [(start, data.draw(st.integers(start + 1, len(text))))]
    for start, end in spans:
        assert_located(document, start, end)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["\r\n", "\n", "\r", "word", "é€😀", "\u2028", "\x85", "\f"]), max_size=30).map(
        "".join
    ),
    st.sampled_from(["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]),
)
def test_an_encoding_moves_no_line(text, encoding):
    """This test ensures that a text with Unicode's marks, or in two and four bytes a character, has the same lines."""
    padded = f"{text}plain words to tell the encoding by\n"
    document = read_text("a.txt", padded.encode(encoding))
    assert document.text == padded
    start = padded.index("plain")
    assert_located(document, start, start + 5)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(
    ["--- a/x\n", "+++ b/x\n", "@@ -1,2 +3,4 @@ f\n", " same\r\n", "+new\n", "-old\n", "\\ No newline at end of file\n",
     "diff --git a/x b/y\n", "@@@ -1 -1 +1 @@@\n", "commit abcdef1\n", "\n", "index 1..2\n", "+lone\rCR\n", "Binary files a/x and b/x differ\n"]
), min_size=1, max_size=30))  # fmt: skip
def test_the_lines_of_a_diff_are_the_diffs_own(pieces):
    """This test ensures that spans of a diff, which part at hunks, count its lines without a gap."""
    text = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n" + "".join(pieces)
    document = read_diff("-", text.encode())
    for start, end in lines_of(text):
        if end > start:
            assert_located(document, start, end)


@pytest.mark.parametrize("path", ["a.txt", "a.md", "a.py", "-", "a.csv"])
def test_a_lone_carriage_return_is_a_line_and_a_next_line_is_none(path):
    """This test ensures that old Mac line ends count, and NEL, LS, PS, VT and FF do not, in every format by line."""
    content = "one\rtwo\x85two\u2028two\u2029two\x0btwo\x0ctwo\r\nthree\n\nfive".encode()
    document = format_of(path, content).read(path, content)
    for word, line in (("one", 1), ("two", 2), ("three", 3), ("five", 5)):
        for found in re.finditer(word, document.text):
            assert document.locate(found.start(), found.end()).lines == (line, line)


@given(st.text(SIGNS, max_size=60))
def test_line_ends_are_those_of_editors(text):
    """This test ensures that the ends of lines are found once each, in order, and the last line counts without one."""
    assert line_ends(text) == sorted({end for start, end in lines_of(text) if end > start} or {0})
