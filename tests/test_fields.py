"""Tests of forms: a label keeps the cells behind it, and a blank field is known as blank."""

import pytest
from answering_parts import document
from hypothesis import given, settings
from hypothesis import strategies as st

from lctx.core.chunking.chunk import Chunk
from lctx.core.chunking.fields import label_and_value, split_fields
from lctx.core.retrieval.focus import sentences_of

LINE = "Age: 42 Certificate: Airline Transport Instrument Rating:"
CELLS = tuple(LINE.index(cell) for cell in ("42", "Certificate", "Airline", "Instrument"))


def fields(source):
    whole = Chunk(source, 0, len(source.text))
    return [sentence.text for sentence in sentences_of(whole)]


def test_a_line_parts_before_each_label():
    """This test ensures that two fields of one line are two, each with its own value."""
    source = document(LINE, cells=CELLS)
    assert fields(source) == ["Age: 42", "Certificate: Airline Transport", "Instrument Rating:"]


def test_fields_part_within_their_own_line():
    """This test ensures that cells of the second line are cut in the second line, not in the first."""
    text = f"{LINE}\n{LINE}\n"
    cells = (*CELLS, *(len(LINE) + 1 + cell for cell in (0, *CELLS)))
    assert fields(document(text, cells=cells)) == fields(document(LINE, cells=CELLS)) * 2


def test_cells_without_labels_stay_together():
    """This test ensures that the row of a table is one quote: its cells say nothing apart."""
    text = "Revenue 1,200 1,350"
    source = document(text, cells=(text.index("1,200"), text.index("1,350")))
    assert fields(source) == [text]


def test_without_cells_nothing_parts():
    """This test ensures that prose with colons is left whole."""
    source = document(LINE)
    assert split_fields(source, 0, len(LINE)) == [(0, len(LINE))]


@given(st.text("Ab: \n", min_size=1, max_size=80), st.data())
@settings(max_examples=150, deadline=None)
def test_fields_tile_any_range(text, data):
    """This test ensures that no character of a line is lost between its fields, wherever a chunk begins."""
    cells = tuple(sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8))))
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    found = split_fields(document(text, cells=cells), start, end)
    assert [first for first, _ in found] == [start, *(last for _, last in found)][: len(found)]
    assert found[-1][1] == end
    assert all(first < last for first, last in found)
    assert all(first == start or first in cells for first, _ in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Age: 42", ("Age", "42")),
        ("Age:", ("Age", "")),
        ("Age:   \t", ("Age", "")),
        ("  Registration Number: N1\r\n23", ("Registration Number", "N1\r\n23")),
        ("Time: 10:30", ("Time", "10:30")),
        ("at 10:30 it rained", None),
        ("https://example.org/a", None),
        ("no label here", None),
        (": 42", None),
        ("x" * 81 + ": 42", None),
        ("", None),
    ],
)
def test_a_field_is_told_from_prose(text, expected):
    """This test ensures that a colon makes a field only behind a short label and before a blank."""
    assert label_and_value(text) == expected
