"""Jupyter notebooks: cell and line, what was shown beneath each cell, damage told."""

import json

import pytest

from lctx.cli.places import place_parts
from lctx.core.answering.wire import location_part
from lctx.core.document import Document
from lctx.core.errors import DamagedSourceError, EmptySourceError, SourceError
from lctx.formats.notebook import read_notebook
from lctx.formats.registry import format_of

OUTPUTS = [
    {"output_type": "stream", "name": "stdout", "text": ["epoch 1\r", "epoch 2\n", "\x1b[31mdone\x1b[0m\n"]},
    {"output_type": "execute_result", "data": {"text/plain": ["42"], "text/html": "<b>42</b>"}},
    {"output_type": "display_data", "data": {"image/png": "AAAA", "text/plain": "<Figure size 640x480>"}},
    {"output_type": "display_data", "data": {"text/html": "<table><tr><td>a<td>1</table>", "text/plain": "<IPython.core.display.HTML object>"}},
    {"output_type": "display_data", "data": {"text/markdown": "**bold**", "text/plain": "<IPython.core.display.Markdown object>"}},
    {"output_type": "error", "ename": "KeyError", "evalue": "'x'", "traceback": ["\x1b[0;31mKeyError\x1b[0m: 'x'", "line 3"]},
]  # fmt: skip
CELLS = [
    {"cell_type": "markdown", "source": ["# Study\n", "\n", "Intro text."]},
    {"cell_type": "code", "source": ["import numpy\n", "\n", "x = numpy.ones(3)"], "outputs": OUTPUTS},
    {"cell_type": "markdown", "source": "## Methods\nWe measured."},
    {"cell_type": "code", "source": "  \n", "outputs": []},
    {"cell_type": "code", "source": "y = 2\nz = 3\n", "outputs": []},
    {"cell_type": "raw", "source": "as it stands"},
]


def notebook(cells: list[dict], **more: object) -> bytes:
    return json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5, "metadata": {}, **more}).encode()


def read(cells: list[dict]) -> Document:
    return read_notebook("a.ipynb", notebook(cells))


def place(
    document: Document, quote: str
) -> tuple[str | None, tuple[int, int] | None, tuple[str, ...] | None]:
    start = document.text.index(quote)
    found = document.locate(start, start + len(quote))
    return found.part, found.lines, found.heading


def test_a_quote_is_found_by_cell_and_line():
    """This test ensures that cells count from the top, blank ones too, lines within the cell, headings across cells."""
    document = read(CELLS)
    assert (document.kind, document.reader) == ("notebook", "notebook/2")
    assert place(document, "Intro text.") == ("cell 1", (3, 3), ("Study",))
    assert place(document, "numpy.ones") == ("cell 2", (3, 3), ("Study",))
    assert place(document, "We measured") == ("cell 3", (2, 2), ("Study", "Methods"))
    assert place(document, "z = 3") == ("cell 5", (2, 2), ("Study", "Methods"))
    assert place(document, "as it stands") == ("cell 6", (1, 1), ("Study", "Methods"))


def test_a_quote_over_two_cells_keeps_to_the_first_ones_lines():
    """This test ensures that lines of the next cell, which count anew, are not taken for the first one's."""
    document = read(CELLS)
    start, end = document.text.index("y = 2"), document.text.index("as it") + 5
    found = document.locate(start, end)
    assert (found.part, found.lines) == ("cell 5 – cell 6", (1, 2))
    start = document.text.index("z = 3")
    assert document.locate(start, end).lines == (2, 2)


def test_lines_are_told_with_their_cell():
    """This test ensures that people and programs are given the cell and its line, and no line of the file."""
    document = read(CELLS)

    def told(first: str, last: str) -> str | None:
        start = document.text.index(first)
        location = document.locate(start, document.text.index(last) + len(last))
        assert location_part(location).lines is None
        assert location_part(location).part == location.part_and_lines
        assert place_parts(location)[0] == location.part_and_lines
        return location.part_and_lines

    assert told("We measured", "measured") == "cell 3, line 2"
    assert told("import", "numpy.ones") == "cell 2, lines 1-3"
    assert told("KeyError", "KeyError") == "cell 2, output, line 6"
    assert told("z = 3", "as it") == "cell 5, line 2 – cell 6"


def test_what_a_cell_printed_is_a_part_of_its_own():
    """This test ensures that text, tables and errors are read as Jupyter shows them, and pictures are only counted."""
    document = read(CELLS)
    outputs = [
        document.text[span.start : span.end]
        for span in document.spans
        if span.location.part == "cell 2, output"
    ]
    assert outputs == ["epoch 2\ndone\n42\na | 1\n**bold**\nKeyError: 'x'\nline 3\n"]
    assert place(document, "KeyError") == ("cell 2, output", (6, 6), ("Study",))
    assert document.warnings == ("1 picture is in its outputs, which were not read.",)


def test_blocks_follow_the_cells():
    """This test ensures that code is code, Markdown has its headings and paragraphs, and nothing runs into the next cell."""
    document = read(CELLS)
    found = [(block.kind, document.text[block.start : block.end]) for block in document.blocks]
    assert found[:3] == [
        ("heading", "# Study\n"), ("paragraph", "Intro text.\n"), ("code", "import numpy\n\nx = numpy.ones(3)\n"),
    ]  # fmt: skip
    assert found[-2:] == [("code", "y = 2\nz = 3\n"), ("paragraph", "as it stands\n")]


def test_the_older_format_is_read():
    """This test ensures that worksheets, heading cells, `input` and the old names of outputs mean the same."""
    cells = [
        {"cell_type": "heading", "level": 2, "source": ["Old times"]},
        {"cell_type": "code", "input": ["1 + 1\n", "2"], "outputs": [{"output_type": "pyout", "text": ["4"], "prompt_number": 1}, {"output_type": "pyerr", "ename": "E", "evalue": "v"}]},
    ]  # fmt: skip
    content = json.dumps({"nbformat": 3, "worksheets": [{"cells": cells[:1]}, {"cells": cells[1:]}]}).encode()
    document = read_notebook("a.ipynb", content)
    assert document.text == "Old times\n1 + 1\n2\n4\nE: v\n"
    assert place(document, "2\n") == ("cell 2", (2, 2), ("Old times",))


@pytest.mark.parametrize("cut", [1, 30, 200, 700])
def test_a_truncated_notebook_is_damaged(cut):
    """This test ensures that broken JSON is said to be that, with what to do."""
    content = notebook(CELLS)[:-cut]
    assert format_of("a.ipynb", content).name == "notebook"
    with pytest.raises(DamagedSourceError, match="no valid JSON") as caught:
        read_notebook("a.ipynb", content)
    assert caught.value.hint == "open it in Jupyter and save it anew"


@pytest.mark.parametrize(
    ("path", "content", "name"),
    [
        ("a.ipynb", notebook(CELLS), "notebook"), ("-", notebook(CELLS), "notebook"), ("a.json", notebook(CELLS), "code"),
        ("a.ipynb", b"# just notes", "code"), ("a.ipynb", b'{"a": 1}', "code"), ("-", b'{"a": 1}', "text"),
        ("a.ipynb", b"\xef\xbb\xbf" + notebook(CELLS), "notebook"), ("-", b'["nbformat"]', "text"),
    ],
)  # fmt: skip
def test_a_suffix_that_lies_is_seen_through(path, content, name):
    """This test ensures that what is no notebook is read line by line, and a notebook is known on standard input."""
    assert format_of(path, content).name == name


@pytest.mark.parametrize(
    "content",
    [
        b'{"nbformat": 4}', b'{"nbformat": 4, "cells": 3}', b'{"worksheets": [], "nbformat": 3}', b'["cells"]', b"3",
        b'{"cells": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"nbformat": 4, "cells": NaN}', b'{"nbformat": 4, "cells": [NaN}',
    ],
)  # fmt: skip
def test_json_that_is_no_notebook_is_damaged(content):
    """This test ensures that other JSON, and lists nested without end, are errors of the source."""
    with pytest.raises(DamagedSourceError):
        read_notebook("a.ipynb", content)


@pytest.mark.parametrize(
    "cells",
    [
        [3, None, "x", [], {"cell_type": 7}, {"cell_type": "code", "source": {"a": 1}, "outputs": 4}],
        [{"cell_type": "code", "source": [1, None], "outputs": [None, 3, {"output_type": "stream", "text": 3}, {"output_type": "error", "traceback": 5}]}],
        [{"cell_type": "code", "source": "", "outputs": [{"output_type": "display_data", "data": {"text/html": "<div>" * 2000}}]}],
        [{"cell_type": "heading", "level": "x", "source": ""}, {"cell_type": "markdown"}],
    ],
)  # fmt: skip
def test_cells_of_the_wrong_shape_do_no_harm(cells):
    """This test ensures that no value in the place of another escapes as anything but an error of the source."""
    with pytest.raises(SourceError):
        read(cells)
    document = read([*cells, {"cell_type": "raw", "source": "fine"}])
    assert place(document, "fine")[0] == f"cell {len(cells) + 1}"


def test_a_notebook_without_a_word_says_so():
    """This test ensures that blank cells are an empty source, not an empty document."""
    with pytest.raises(EmptySourceError, match="cells hold nothing"):
        read([{"cell_type": "code", "source": "\n", "outputs": []}])


def test_numbers_that_are_none_do_no_harm():
    """This test ensures that NaN and Infinity, which Python writes into plots, keep nobody from reading the cells."""
    plot = {
        "output_type": "display_data",
        "data": {"plot": {"y": [float("nan"), float("-inf"), 1]}, "text/plain": "Figure"},
    }
    content = notebook([*CELLS, {"cell_type": "code", "source": "plot()", "outputs": [plot]}])
    assert b"NaN" in content
    document = read_notebook("a.ipynb", content)
    assert place(document, "plot()")[0] == "cell 7"
    assert "\U0001f600" in read_notebook("a.ipynb", content.replace(b"plot()", b"\\ud83d\\ude00")).text
    with pytest.raises(DamagedSourceError, match="no valid JSON"):
        read_notebook("a.ipynb", content.replace(b"plot()", b"\\ud800"))


def test_an_escaped_half_of_a_character_is_no_crash():
    """This test ensures that a lone surrogate, which JSON can write, is damage, not a text that nobody can keep."""
    content = b'{"nbformat": 4, "cells": [{"cell_type": "raw", "source": "a\\ud800b"}]}'
    with pytest.raises(DamagedSourceError, match="no valid JSON"):
        read_notebook("a.ipynb", content)
