"""Markdown: the heading path above every block, as CommonMark sees it."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lctx.core.document import Document
from lctx.formats.markdown import front_matter_end, read_markdown


def read(text: str) -> Document:
    return read_markdown("a.md", text.encode())


def blocks(text: str) -> list[tuple[str, str, tuple[str, ...]]]:
    document = read(text)
    return [(block.kind, document.text[block.start : block.end], block.heading) for block in document.blocks]


def heading_of(text: str, quote: str) -> tuple[str, ...] | None:
    document = read(text)
    return document.locate(document.text.index(quote), document.text.index(quote) + 1).heading


def test_headings_nest_and_close():
    """This test ensures that a heading holds until one of its level or above, in both notations."""
    text = "Top\n===\nintro\n\n## A ##\none\n\n### A1\ntwo\n\nB\n---\nthree\n\n# Other\nfour\n"
    assert heading_of(text, "intro") == ("Top",)
    assert heading_of(text, "one") == ("Top", "A")
    assert heading_of(text, "two") == ("Top", "A", "A1")
    assert heading_of(text, "three") == ("Top", "B")
    assert heading_of(text, "four") == ("Other",)
    assert heading_of(text, "A1") == ("Top", "A", "A1")


@pytest.mark.parametrize(
    "text",
    [
        "```\n# no\n```\nx\n", "~~~ sh\n# no\n```\n# no\n~~~~\nx\n", "````\n```\n# no\n````\nx\n", "    # no\nx\n",
        "#no\nx\n", "####### no\nx\n", "\\# no\nx\n", "- item\n---\nx\n", "| a |\n---\nx\n", "\n---\nx\n",
        "```\n# never closed\nx\n", "#" + " long" * 100 + "\nx\n", "#\nx\n",
    ],
)  # fmt: skip
def test_what_is_no_heading_is_none(text):
    """This test ensures that fences, indented code, rules, lists and over-long lines make no heading."""
    assert heading_of(text, "x") is None
    assert "heading" not in [block.kind for block in read(text).blocks]


@pytest.mark.parametrize(
    ("line", "heading"),
    [
        ('# Top <a id="t"></a>', "Top"), ("## [1.0.0](https://x/y_(z)) (2024)", "1.0.0 (2024)"), ("# ![logo](a.png 'x') ![b](c \"t\")N", "![logo](a.png 'x') bN"),
        ("# [`f`](x) and `a[0](b)`", "`f` and `a[0](b)`"), ("# Vec<T>, a<b> [x] [y][z]", "Vec<T>, a<b> [x] [y][z]"), ("# <a name=x></a>", "<a name=x></a>"),
    ],
)  # fmt: skip
def test_a_heading_is_called_what_its_reader_sees(line, heading):
    """This test ensures that addresses and anchors are no part of a heading's name, and that code is left alone."""
    assert heading_of(f"{line}\n\ntext\n", "text") == (heading,)


def test_blocks_have_their_kinds():
    """This test ensures that lists, tables, code and paragraphs are told apart and cut where they end."""
    assert blocks(
        "---\ntitle: x\n---\n# H\npara\ngoes on\n\n- a\n- b\n1. c\n\n| a | b |\n|---|---|\nend\n\n```py\ncode\n\nmore\n```\n"
    ) == [
        ("code", "---\ntitle: x\n---\n", ()),
        ("heading", "# H\n", ("H",)),
        ("paragraph", "para\ngoes on\n", ("H",)),
        ("list", "- a\n- b\n1. c\n", ("H",)),
        ("table", "| a | b |\n|---|---|\n", ("H",)),
        ("paragraph", "end\n", ("H",)),
        ("code", "```py\ncode\n\nmore\n```\n", ("H",)),
    ]


def test_windows_newlines_and_a_missing_last_one_change_nothing():
    """This test ensures that Windows newlines give the same headings, and that the text keeps it."""
    document = read("# A\r\n\r\ntext\r\n## B\r\nlast")
    assert [block.heading for block in document.blocks if block.kind == "heading"] == [("A",), ("A", "B")]
    assert document.text.count("\r\n") == 4
    assert document.locate(len(document.text) - 4, len(document.text)).lines == (5, 5)


@pytest.mark.parametrize(
    "line",
    [
        "#" * 20_000 + "\n",
        "- " * 300_000 + "\n",
        "a\n" * 200_000,
        "# h\n" * 100_000,
        "* " * 200_000 + "x\n",
        "`" * 300_000,
    ],
)
def test_hostile_lines_cost_no_time(line):
    """This test ensures that long lines of marks and many headings are read in linear time."""
    started = time.process_time()
    read("x\n\n" + line)
    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    "text",
    [
        "<!-- a\n# no\n\n# no\n-->\nx\n", "<!-- # no -->\nx\n", "<!--\n\n# no\n", "<script>\n# no\n\n# no\n</script>\nx\n", "<div>\n# no\n</div>\n\nx\n",
        "<table>\n<tr>\n# no\n\nx\n", "<?php\n# no\n?>\nx\n", "<pre>\n# no\n\n===\n</pre>\nx\n", "text\n<!--\n# no\n-->\nx\n",
    ],
)  # fmt: skip
def test_html_holds_no_heading(text):
    """This test ensures that what a comment or an element of HTML hides or holds is no heading of the text."""
    assert "heading" not in [block.kind for block in read(text).blocks]
    assert heading_of(text + "\n-->\n\n# yes\n\nz\n", "z") == ("yes",)


def test_headings_after_html_count():
    """This test ensures that an element ends at a blank line, and a comment at its end."""
    assert heading_of("<div>\n\n# In\n\nx\n\n</div>\n", "x") == ("In",)
    assert heading_of("<!-- a --> # no\n# Yes\nx\n", "x") == ("Yes",)
    assert heading_of("Title <b>x</b>\n===\n<b>y</b>\n", "y") == ("Title <b>x</b>",)


def test_setext_headings_may_take_several_lines():
    """This test ensures that the whole paragraph above the line is the heading, and a table's head is none."""
    assert heading_of("A long\ntitle\n---\nx\n", "x") == ("A long title",)
    assert heading_of("\n===\nx\n", "x") is None
    assert heading_of("> quote\n\nB\n===   \nx\n", "x") == ("B",)


def test_tables_without_bars_at_their_edges_are_tables():
    """This test ensures that a table is one block whether or not its rows begin with a bar, and ends where it does."""
    assert blocks("intro\na | b\n--- | :-:\n1 | 2\n3 | 4\nend\n\n:-- | --:\nno table\n\na - b\n---\n") == [
        ("paragraph", "intro\n", ()),
        ("table", "a | b\n--- | :-:\n1 | 2\n3 | 4\n", ()),
        ("paragraph", "end\n", ()),
        ("paragraph", ":-- | --:\nno table\n", ()),
        ("heading", "a - b\n---\n", ("a - b",)),
    ]


def test_the_items_of_a_list_go_on_after_a_blank_line():
    """This test ensures that indented paragraphs and code of an item are its list's, and what stands out ends it."""
    assert [kind for kind, _, _ in blocks("- a\n\n  more of a\n\n      code of a\n\n- b\n\nafter\n\n    code\n")] == [
        "list", "list", "list", "list", "paragraph", "code",
    ]  # fmt: skip
    assert [kind for kind, _, _ in blocks("1. a\n   ```\n   # no\n   ```\n2. b\n")] == [
        "list",
        "code",
        "list",
    ]


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("---\ntitle: x\n---\n# H\n", 17), ("---\r\ntitle: x\r\n---\r\nx\r\n", 20), ("+++\ntitle = 'x'\n+++\nx\n", 20), ("---\n# a comment\nt: x\n...\nx\n", 25),
        ("---\nJust a rule\n---\nx\n", 0), ("---\n\n---\n", 0), ("---\ntitle: x\n", 0), ("\n---\ntitle: x\n---\n", 0), ("----\na: b\n----\n", 0),
        ("---\rtitle: x\r---\rx", 17),
    ],
)  # fmt: skip
def test_front_matter_is_told_from_a_rule(text, end):
    """This test ensures that YAML and TOML at the very top are one block, in every line end, and a rule is none."""
    assert front_matter_end(text) == end


@given(st.lists(st.sampled_from(["# h\n", "===\n", "---\n", "- x\n", "    y\n", "| a |\n", "a | b\n", "```\n", "<!--\n", "-->\n", "<div>\n", "z\n", "\n"]), max_size=25))  # fmt: skip
def test_blocks_hold_every_line_that_is_not_blank_or_a_rule(pieces):
    """This test ensures that whatever follows what, blocks are in order, apart, and leave nothing out but rules."""
    document = read("x\n" + "".join(pieces))
    position = 0
    for block in document.blocks:
        assert not re.sub(r"---|===", "", document.text[position : block.start]).strip()
        assert position <= block.start < block.end
        position = block.end
    assert not re.sub(r"---|===", "", document.text[position:]).strip()
