"""The fields of a form: `Label: value` pairs, several to a line, parted where a new cell begins."""

import re
from bisect import bisect_left, bisect_right
from itertools import pairwise

from lctx.core.document import Document

_LABEL_CELL = re.compile(r"[^:\r\n]{1,80}:\s*$")
_LABEL = re.compile(r"\s*([^:\r\n]{1,80}?):(?:\s|$)")


def split_fields(document: Document, start: int, end: int) -> list[tuple[int, int]]:
    """`text[start:end]` cut before each cell that is a label, so that a label keeps the cells behind it.

    Args:
        document: Its cells say where a line parts; a document without cells is not cut.
        start: Code points into the text, half-open with `end`.
        end: See `start`.

    Returns:
        (start, end) pairs that tile the range; one where nothing parts.
    """
    cells = document.cells
    inside = cells[bisect_right(cells, start) : bisect_left(cells, end)]
    cuts = [
        cell
        for cell, stop in pairwise([*inside, end])
        if _LABEL_CELL.match(document.text[cell:stop].partition("\n")[0])
    ]
    return list(pairwise([start, *cuts, end]))


def label_and_value(text: str) -> tuple[str, str] | None:
    """A field's label and its value, which is empty in a blank field; None where `text` is no field.

    The row of a table is one too: its first cell names the others.
    """
    label, bar, value = text.partition(" | ")
    if bar and label.strip():
        return label.strip(), value.strip()
    found = _LABEL.match(text)
    return (found[1].strip(), text[found.end() :].strip()) if found else None
