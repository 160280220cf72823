"""Jupyter notebooks: cell by cell, each line where its cell shows it, the outputs in words after their cell.

Cells are numbered from the top, blank ones too; markdown cells give the headings. What a cell printed is its
own part, "cell 3, output". Pictures are left out.

Source:
    The notebook format, nbformat.readthedocs.io: versions 3 and 4.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from lctx.core.document import Block, Document, Location, Span
from lctx.core.errors import DamagedSourceError, EmptySourceError, LimitError
from lctx.formats.decoding import decode
from lctx.formats.markdown import MAX_HEADING_CHARS, outline_of
from lctx.formats.reader import DEFAULTS, ReadOptions, sha256_of

READER = "notebook/2"

_OPEN_IT = "open it in Jupyter and save it anew"
_COLOURS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_CONSTANT = re.compile(r"[:\[,]\s*-?(?:NaN|Infinity)\b")
# How Python names an object that is shown as a picture, a page or a widget instead.
_STANDS_FOR_ANOTHER = re.compile(r"<[^\n]*>$|\w+\([^\n]*\)$")
_MARKUP = ("text/markdown", "text/latex")
_OLD_KEYS = {"text": "text/plain", "html": "text/html", "latex": "text/latex"}  # of nbformat 3


def read_notebook(path: str, content: bytes, _options: ReadOptions = DEFAULTS) -> Document:
    """The document of a notebook: a span for each cell and for each cell's output.

    Raises:
        DamagedSourceError: It is no JSON, or no notebook.
        EmptySourceError: Its cells hold nothing.
    """
    decoded = decode(path, content)
    reading = _Reading()
    for number, cell in enumerate(_cells_of(path, decoded.text), start=1):
        reading.take(cell, number)
    text = "".join(reading.pieces)
    if not text:
        raise EmptySourceError(path, "its cells hold nothing", "name a notebook that holds something")
    return Document(
        path=path,
        kind="notebook",
        reader=READER,
        sha256=sha256_of(content),
        text=text,
        spans=tuple(reading.spans),
        blocks=tuple(reading.blocks),
        warnings=(*decoded.warnings, *reading.warnings()),
    )


def _cells_of(path: str, text: str) -> list[Mapping[str, Any]]:
    """The cells in order; those of nbformat 3 stand in worksheets."""
    import msgspec

    try:
        notebook = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        notebook = _with_constants(text)
        if notebook is None:
            raise DamagedSourceError(path, f"it is no valid JSON ({error})", _OPEN_IT) from error
    sheets = notebook.get("worksheets") if isinstance(notebook, dict) else None
    found = [notebook, *sheets] if isinstance(sheets, list) else [notebook]
    cells = [sheet["cells"] for sheet in found if isinstance(sheet, dict) and "cells" in sheet]
    if not cells or not all(isinstance(listed, list) for listed in cells):
        raise DamagedSourceError(path, "it is no Jupyter notebook: it has no cells", _OPEN_IT)
    return [cell if isinstance(cell, dict) else {} for listed in cells for cell in listed]


def _with_constants(text: str) -> object:
    """JSON but for NaN in it, which Python writes into plots; None where it is broken otherwise."""
    if not _CONSTANT.search(text):
        return None
    try:
        notebook = json.loads(text, parse_constant=lambda _: None)
        json.dumps(notebook, ensure_ascii=False).encode()  # half a character can be written, and is no text
    except (ValueError, RecursionError):
        return None
    return cast("object", notebook)


class _Reading:
    """One pass over the cells; `pieces`, `spans` and `blocks` grow together."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.spans: list[Span] = []
        self.blocks: list[Block] = []
        self._length = 0
        self._headings: list[tuple[int, str]] = []
        self._num_pictures = 0
        self._unread: list[int] = []

    def warnings(self) -> Iterator[str]:
        if self._num_pictures:
            are = "picture is" if self._num_pictures == 1 else "pictures are"
            yield f"{self._num_pictures} {are} in its outputs, which were not read."
        if self._unread:
            yield f"Cell {', '.join(map(str, self._unread[:5]))}: of no kind that is known, not read."

    def take(self, cell: Mapping[str, Any], number: int) -> None:
        kind = cell.get("cell_type")
        source = _joined(cell.get("source", cell.get("input")))
        part = f"cell {number}"
        if kind == "markdown":
            self._add_markdown(source, part)
        elif kind == "heading":
            self._add_heading(source, cell.get("level"), part)
        elif kind in {"code", "raw"}:
            self._add(source, part, "code" if kind == "code" else "paragraph")
        else:
            self._unread.append(number)
        outputs = cell.get("outputs")
        if kind == "code" and isinstance(outputs, list):
            shown = [self._shown(output) for output in outputs if isinstance(output, dict)]
            whole = "".join(text if text.endswith("\n") else f"{text}\n" for text in shown if text.strip())
            self._add(whole, f"{part}, output", "code")

    def _add_markdown(self, source: str, part: str) -> None:
        start = self._length
        if not self._add_span(source, part):
            return
        blocks, self._headings = outline_of(self.pieces[-1], 0, self._headings)
        self.blocks += [
            Block(one.kind, start + one.start, start + one.end, heading=one.heading) for one in blocks
        ]

    def _add_heading(self, source: str, level: object, part: str) -> None:
        title = " ".join(source.split())
        if title and len(title) <= MAX_HEADING_CHARS:
            level = level if isinstance(level, int) else 1
            self._headings = [one for one in self._headings if one[0] < level]
            self._headings.append((level, title))
            self._add(source, part, "heading")
        else:
            self._add(source, part, "paragraph")

    def _add(self, text: str, part: str, kind: str) -> None:
        start = self._length
        if self._add_span(text, part):
            heading = tuple(title for _, title in self._headings)
            self.blocks.append(Block(kind, start, self._length, heading=heading))

    def _add_span(self, text: str, part: str) -> bool:
        """Whether there was anything to add; lines count from 1 in every cell."""
        if not text.strip():
            return False
        whole = text if text.endswith("\n") else f"{text}\n"
        start = self._length
        self._length += len(whole)
        self.pieces.append(whole)
        location = Location(part=part, lines_of_part=True)
        self.spans.append(Span(start, self._length, location, first_line=1))
        return True

    def _shown(self, output: Mapping[str, Any]) -> str:
        """An output as text: what was printed, what an expression gave, why it failed."""
        kind = output.get("output_type")
        if kind == "stream":
            return _printed(_joined(output.get("text")))
        if kind in {"error", "pyerr"}:
            traceback = output.get("traceback")
            lines = traceback if isinstance(traceback, list) and traceback else []
            named = ": ".join(filter(None, (_joined(output.get("ename")), _joined(output.get("evalue")))))
            return _printed("\n".join(map(_joined, lines)) or named)
        listed = output.get("data")
        shown = (
            listed if isinstance(listed, dict) else {_OLD_KEYS.get(key, key): output[key] for key in output}
        )
        return self._displayed(shown)

    def _displayed(self, shown: Mapping[str, Any]) -> str:
        """Of one result in several forms, the one that Jupyter shows, as far as it is text."""
        if markup := next((text for form in _MARKUP if (text := _joined(shown.get(form)).strip())), ""):
            return markup
        plain = _printed(_joined(shown.get("text/plain")))
        has_picture = any(form in {"png", "jpeg", "svg"} or form.startswith("image/") for form in shown)
        self._num_pictures += has_picture
        if not plain.strip() or _STANDS_FOR_ANOTHER.match(plain.strip()):
            if page := _of_html(_joined(shown.get("text/html"))):
                return page
            return "" if has_picture else plain
        return plain


def _of_html(page: str) -> str:
    """What a result in HTML shows; nothing where it is too deep or too long, for the cell is worth more."""
    from lctx.formats.html import visible_text

    try:
        return visible_text("-", page) if page else ""
    except LimitError:
        return ""


def _joined(lines: object) -> str:
    """Text that may be stored as one string or as its lines."""
    if isinstance(lines, str):
        return lines
    if isinstance(lines, Sequence):
        return "".join(line for line in lines if isinstance(line, str))
    return ""


def _printed(text: str) -> str:
    """What a terminal would show of it: no colours, and of a line that was written over the last state."""
    if "\r" in text:
        lines = text.replace("\r\n", "\n").split("\n")
        text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
    return _COLOURS.sub("", text)
