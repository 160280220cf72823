"""Word files: the body in reading order, then what stands around it, each paragraph with its number.

A Word file has no pages before it is laid out. Its places are the headings above, and the paragraph, counted
from 1 through the whole part: in tables cell by cell, in text boxes after the paragraph that holds them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lctx.core.document import Block, Document, Link, Location, Span
from lctx.core.errors import DamagedSourceError, EmptySourceError, LimitError, ScannedSourceError
from lctx.formats.names import printable
from lctx.formats.reader import DEFAULTS, ReadOptions, sha256_of
from lctx.formats.sniffing import is_encrypted_office
from lctx.formats.word_charts import chart_rows, diagram_rows
from lctx.formats.word_encrypted import decrypted
from lctx.formats.word_package import Package
from lctx.formats.word_styles import MAX_LEVELS, Numbering, Styles, W, attribute, find, outline_level
from lctx.formats.word_tables import GridCell, Merged, grid_row
from lctx.formats.word_text import MC, M, RunLink, Runs, equation, numbering_of

if TYPE_CHECKING:
    from lxml.etree import _Element

READER = "word/3"

MAX_HEADING_CHARS = 300
"""A longer paragraph in a heading's style is read as a paragraph."""
MAX_PARAGRAPHS = 1_000_000
"""The most paragraphs that one file may hold."""

_TRANSPARENT = frozenset(
    [
        f"{W}{name}"
        for name in ("sdt", "sdtContent", "customXml", "smartTag", "ins", "moveTo", "body", "txbxContent")
    ]
)
_REMOVED = frozenset({f"{W}del", f"{W}moveFrom"})
_GRAPHICS = {"chart": chart_rows, "diagramData": diagram_rows}
_NOT_READ = frozenset({"chartEx"})
_ASIDE = ("header", "footer", "footnotes", "endnotes", "comments")


def read_word(path: str, content: bytes, options: ReadOptions = DEFAULTS) -> Document:
    """The document of a Word file (.docx and its kin, Strict and Transitional).

    Args:
        path: The name to show.
        content: The file's bytes.
        options: The password of an encrypted file.

    Raises:
        DamagedSourceError: It is no Word file, or cannot be made sense of.
        EmptySourceError: It holds no text.
        EncryptedSourceError: It needs a password, or another one.
        LimitError: It is larger or deeper than a ceiling.
        ScannedSourceError: It holds pictures and no text.
    """
    package = decrypted(path, content, options.password) if is_encrypted_office(content) else content
    reading = _Reading(path, Package(path, package))
    try:
        reading.read()
    except RecursionError as error:
        raise LimitError(path, "its parts are nested too deeply", "save it anew from Word") from error
    text = "".join(reading.pieces)
    if not text:
        if reading.runs.has_drawing:
            raise ScannedSourceError(path, "it holds pictures and no text", "run OCR on it first")
        raise EmptySourceError(path, "it holds no text", "name a file that holds something")
    return Document(
        path=path,
        kind="docx",
        reader=READER,
        sha256=sha256_of(content),
        text=text,
        spans=tuple(reading.spans),
        blocks=tuple(reading.blocks),
        warnings=tuple(reading.warnings()),
        links=tuple(reading.links),
    )


@dataclass(slots=True)
class _Open:
    """A block that may go on: the items of a list, the rows of a table."""

    kind: str
    start: int


class _Reading:
    """One pass over a package; `pieces`, `spans` and `blocks` grow together."""

    def __init__(self, path: str, package: Package) -> None:
        self.pieces: list[str] = []
        self.spans: list[Span] = []
        self.blocks: list[Block] = []
        self.links: list[Link] = []
        self.runs = Runs()
        self._path = path
        self._package = package
        self._length = 0
        self._paragraph = 0
        self._part: str | None = None
        self._headings: list[tuple[int, str]] = []
        self._open: _Open | None = None
        self._carried = (
            "",
            0,
        )  # text that goes on in the next paragraph, and the number of the one it began in
        self._unread: list[str] = []
        self._has_foreign = False
        self._has_graphics = False
        self._targets: dict[str, tuple[str, str]] = {}
        self._addresses: dict[str, str] = {}
        self._linked: list[tuple[str, list[RunLink]]] = []
        self._styles, self._numbering = Styles(None), Numbering(None)

    def read(self) -> None:
        main = self._package.main_part()
        related = self._package.relationships(main)
        targets: dict[str, list[str]] = {}
        for kind, target, _ in related:
            targets.setdefault(kind, []).append(target)
        self._styles = Styles(self._aside_root(targets.get("styles", [])[:1]))
        self._numbering = Numbering(self._aside_root(targets.get("numbering", [])[:1]))
        root = self._package.xml(main)
        self._enter(main)
        body = find(root, "body")
        if body is None:
            raise self._package.damaged("it holds no Word document")
        self._blocks_of(body)
        self._end_carried()
        self._close()
        self._read_asides(targets)
        self._has_graphics |= not _NOT_READ.isdisjoint(targets)

    def _enter(self, part: str) -> None:
        """From here on relationship ids are those of `part`."""
        self._targets = {name: (kind, target) for kind, target, name in self._package.relationships(part)}
        self._addresses = self._package.addresses(part)

    def warnings(self) -> Iterable[str]:
        if self.runs.has_tracked:
            yield "It holds tracked changes: read as if all were accepted."
        if self.runs.has_hidden:
            yield "It holds hidden text, which was left out."
        if self._has_foreign:
            yield "It embeds another document, which was not read."
        if self._has_graphics:
            yield "It holds charts or diagrams that were not read."
        yield from self._unread

    def _aside_root(self, parts: list[str]) -> "_Element | None":
        """The root of a part that the body can be read without; what cannot be read is told as a warning."""
        for part in parts:
            try:
                return self._package.xml(part)
            except DamagedSourceError as error:
                self._unread.append(f"Not all was read: {error.why}.")
        return None

    # The body, block by block.

    def _blocks_of(self, container: "_Element") -> None:
        for child in container:
            tag = child.tag
            if tag == f"{W}p":
                self._take_paragraph(child)
            elif tag == f"{W}tbl":
                self._take_table(child)
            elif tag in _TRANSPARENT:
                self.runs.has_tracked |= tag in {f"{W}ins", f"{W}moveTo"}
                self._blocks_of(child)
            elif tag in _REMOVED:
                self.runs.has_tracked = True
            elif tag == f"{MC}AlternateContent":
                choice = child.find(f"{MC}Choice")
                self._blocks_of(choice if choice is not None else child)
            elif tag == f"{M}oMathPara":
                lines = " ".join(filter(None, (equation(one).strip() for one in child)))
                self._emit(lines, "paragraph", self._paragraph or 1)
            elif tag == f"{W}altChunk":
                self._has_foreign = True

    def _count_paragraph(self) -> int:
        self._paragraph += 1
        if self._paragraph > MAX_PARAGRAPHS:
            raise LimitError(
                self._path, f"more than {MAX_PARAGRAPHS:,} paragraphs", "save it in several files"
            )
        return self._paragraph

    def _take_paragraph(self, paragraph: "_Element") -> None:
        number = self._count_paragraph()
        raw, boxes = self._text_of(paragraph)
        properties = find(paragraph, "pPr")
        carried, begun = self._carried
        if carried:
            raw, number, self._carried = carried + raw, begun, ("", 0)
        if find(properties, "rPr", "del") is not None and not boxes:
            self.runs.has_tracked = True
            self._carried = (raw, number) if raw.strip() else ("", 0)
            return
        text = raw.strip()
        style = self._styles.style(attribute(find(properties, "pStyle")))
        label = self._label_of(properties)
        if text:
            stated = outline_level(properties)
            level = style.outline if stated is None else stated
            labelled = f"{label} {text}" if label else text
            if level is not None and level <= MAX_LEVELS and len(labelled) <= MAX_HEADING_CHARS:
                self._emit_heading(level, labelled, number)
            else:
                self._emit(labelled, "list" if label else "paragraph", number)
        for box in boxes:
            self._close()
            self._blocks_of(box)
        self._take_graphics(number)

    def _text_of(self, paragraph: "_Element") -> tuple[str, list["_Element"]]:
        """Its text, and the text boxes that hang on it."""
        self.runs.boxes = []
        text = self.runs.text_of(paragraph)
        if self.runs.links:
            self._linked.append((text.strip(), self.runs.links))
        return text, self.runs.boxes

    def _end_carried(self) -> None:
        """What would go on in the next paragraph is one of its own: there is none."""
        (text, number), self._carried = self._carried, ("", 0)
        self._emit(text.strip(), "paragraph", number)

    def _take_graphics(self, number: int) -> None:
        """The charts and diagrams that hang on what was read last, a line for each row."""
        graphics, self.runs.graphics = self.runs.graphics, []
        for name in graphics:
            kind, part = self._targets.get(name, ("", ""))
            root = self._aside_root([part]) if kind in _GRAPHICS else None
            rows = _GRAPHICS[kind](root) if root is not None else []
            self._has_graphics |= not rows
            self._close()
            for row in rows:
                self._emit(row, "table", number)
            self._close()

    def _label_of(self, properties: "_Element | None") -> str:
        if find(properties, "rPr", "del") is not None:
            return ""  # the paragraph itself is a tracked deletion, so it has no number any more
        style = self._styles.style(attribute(find(properties, "pStyle")))
        name, level = numbering_of(properties)
        name = style.numbering if name is None else name
        if name is None or name == "0":
            return ""
        return self._numbering.next_label(name, level if level is not None else style.level or 0)

    def _take_table(self, table: "_Element") -> None:
        """Each row on a line of its own; a table of one column is a frame around its paragraphs."""
        self._end_carried()
        rows = list(_unwrapped(table, f"{W}tr"))
        kept = [row for row in rows if find(row, "trPr", "del") is None]
        self.runs.has_tracked |= len(kept) < len(rows)
        grid = [grid_row(row, _unwrapped(row, f"{W}tc")) for row in kept]
        if all(len(row) <= 1 for row in grid):
            for row in grid:
                for cell in row:
                    self._blocks_of(cell.element)
            return
        merged = Merged()
        for row in grid:
            self._take_row(row, merged)

    def _take_row(self, cells: list[GridCell], merged: Merged) -> None:
        first = self._paragraph + 1
        nested: list[_Element] = []
        texts = merged.texts(cells, lambda cell: self._cell_text(cell, nested))
        if texts:
            self._emit(" | ".join(texts), "table", first)
        self._take_graphics(first)
        for container in nested:
            if container.tag == f"{W}tbl":
                self._take_table(container)
            else:
                self._blocks_of(container)

    def _cell_text(self, cell: "_Element", nested: list["_Element"]) -> str:
        """A cell's own paragraphs on one line; tables and text boxes inside it go to `nested`."""
        texts: list[str] = []
        for child in cell:
            if child.tag == f"{W}p":
                self._count_paragraph()
                label = self._label_of(find(child, "pPr"))
                raw, boxes = self._text_of(child)
                text = raw.strip()
                texts.append(f"{label} {text}" if label and text else text)
                nested += boxes
            elif child.tag == f"{W}tbl":
                nested.append(child)
            elif child.tag in _TRANSPARENT:
                texts.append(self._cell_text(child, nested))
        return " ".join(" ".join(text.split()) for text in texts if text)

    # What stands around the body.

    def _read_asides(self, targets: dict[str, list[str]]) -> None:
        told: set[str] = set()
        for kind in _ASIDE:
            for part in sorted(set(targets.get(kind, []))):
                root = self._aside_root([part])
                if root is None:
                    continue
                self._enter(part)
                if kind in {"header", "footer"}:
                    self._read_margin(kind, root, told)
                else:
                    self._read_notes(kind.removesuffix("s"), root)

    def _read_margin(self, kind: str, root: "_Element", told: set[str]) -> None:
        """A header or footer; sections repeat them, so what was read once is not read again."""
        seen = "\n".join(text for text in root.itertext(f"{W}t"))
        if kind + seen not in told:
            told.add(kind + seen)
            self._read_aside(kind, root)

    def _read_notes(self, kind: str, root: "_Element") -> None:
        """Notes under the numbers that the page shows, which count references; comments have only ids."""
        referred = list(dict.fromkeys(name for which, name in self.runs.notes if which == kind))
        shown = {name: number for number, name in enumerate(referred, start=1)}
        for note in root:
            if attribute(note, "type") in {None, "normal"}:  # separators are notes too
                author, name = attribute(note, "author"), attribute(note, "id") or ""
                told = f"{kind} {shown.get(name, name)}" + (f" by {author}" if author else "")
                self._read_aside(printable(told), note)

    def _read_aside(self, part: str, element: "_Element") -> None:
        self._part, self._paragraph, self._headings = part, 0, []
        self._blocks_of(element)
        self._end_carried()
        self._close()

    # What comes out.

    def _emit_heading(self, level: int, text: str, paragraph: int) -> None:
        self._close()
        title = " ".join(text.split())
        while self._headings and self._headings[-1][0] >= level:
            self._headings.pop()
        self._headings.append((level, title))
        self._emit(text, "heading", paragraph)
        self._close()

    def _emit(self, text: str, kind: str, paragraph: int) -> None:
        if not text:
            return
        if self._open is None or self._open.kind != kind or kind in {"heading", "paragraph"}:
            self._close()
            self._open = _Open(kind, self._length)
        start = self._length
        self._place_links(text, start)
        self._length += len(text) + 1
        self.pieces += (text, "\n")
        self.spans.append(Span(start, self._length, Location(paragraph=paragraph, part=self._part)))

    def _place_links(self, text: str, start: int) -> None:
        """The links of what was read last, each where its words stand in `text`."""
        position = 0
        linked, self._linked = self._linked, []
        for paragraph, links in linked:
            # As it stands, or on one line where it is a cell's.
            shown = next(
                (one for one in (paragraph, " ".join(paragraph.split())) if one in text[position:]), None
            )
            if shown is None:
                continue
            position = text.index(shown, position)
            for link in links:
                is_inside = link.target.startswith("#")
                address = link.target if is_inside else self._addresses.get(link.target, "")
                if link.num_chars and len(address) > 1:
                    first, last = link.span_in(shown)
                    self.links.append(Link(start + position + first, start + position + last, address))
            position += len(shown)

    def _close(self) -> None:
        if self._open is not None:
            heading = tuple(title for _, title in self._headings)
            self.blocks.append(Block(self._open.kind, self._open.start, self._length, heading=heading))
            self._open = None


def _unwrapped(element: "_Element", tag: str) -> Iterable["_Element"]:
    """The children called `tag`, seen through content controls and tracked insertions."""
    for child in element:
        if child.tag == tag:
            yield child
        elif child.tag in _TRANSPARENT:
            yield from _unwrapped(child, tag)
