"""Tests of reports: aligned text, Markdown that renders, a bar to scale, and nothing that is taken as markup."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lctx.cli.report import Bar, Table, bar_cells, fits, markdown_report, text_report

TABLE = Table(("tokens", "source"), [("7", "[bold]x.py"), ("12,345", "a|b.md")], frozenset({0}))


def test_text_is_aligned_and_apart():
    """This test ensures that numbers stand at the right, a table between empty lines, and a bar nowhere."""
    assert text_report(["first", Bar((("free", 3),)), "second", TABLE, "last"]) == (
        "first\nsecond\n\ntokens  source\n     7  [bold]x.py\n12,345  a|b.md\n\nlast\n"
    )


def test_markdown_escapes_what_documents_say():
    """This test ensures that a name with a bar or with markup is shown and breaks no table."""
    told = markdown_report(["* one", TABLE])
    rows = [line for line in told.splitlines() if line.startswith("|")]
    assert rows[1] == "|---:|---|"
    assert {row.replace("\\|", "").count("|") for row in rows} == {3}
    assert "\\[bold" in told
    assert told.startswith("- \\* one")


@pytest.mark.parametrize("show", [text_report, markdown_report])
def test_no_name_reaches_the_terminal_raw(show):
    """This test ensures that escapes and line ends in a name cannot draw on the screen or forge a row."""
    told = show([Table(("source",), [("\x1b[31mred\x1b[0m\nforged | row\u202e",)]), "\x1b]0;title\x07line"])
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert "red forged" in told


@given(st.lists(st.integers(0, 10**9), max_size=8), st.integers(1, 120))
def test_a_bar_is_to_scale(sizes, columns):
    """This test ensures that cells add up to the width, that nothing is nothing, and something at least one."""
    cells = bar_cells(sizes, columns)
    assert len(cells) == len(sizes)
    assert all((cell > 0) == (size > 0) for cell, size in zip(cells, sizes, strict=True))
    some = sum(size > 0 for size in sizes)
    assert sum(cells) == (max(columns, some) if some else 0)


def test_a_table_fits_where_no_word_is_broken():
    """This test ensures that sentences may wrap, while numbers and words stay whole, wide characters counted."""
    table = Table(("tokens", "why"), [("1,234", "a few short words")], frozenset({0}))
    assert fits(table, 6 + 2 + 17)
    assert fits(table, 6 + 2 + 5)
    assert not fits(table, 6 + 2 + 4)
    assert not fits(Table(("source",), [("文書文書",)]), 7)
    assert fits(Table(("source",), [("文書文書",)]), 8)
