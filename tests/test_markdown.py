"""Markdown: the heading path above every block, as CommonMark sees it."""

import time

import pytest

from lctx.core.document import Document
from lctx.formats.markdown import read_markdown


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
