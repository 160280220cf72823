"""What of an HTML page can be seen, paragraph by paragraph, in the order of its markup.

The parser hands over one tag and one run of text after the other; no tree is built, so that a large page
takes little memory and a deep one no recursion.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lctx.core.errors import LimitError
from lctx.formats.html_sight import Sight
from lctx.formats.html_tables import ROW_GROUPS, Paragraph, Repeats, Table
from lctx.formats.html_tags import HEADING, ROLES, TYPED, address_of, number_of, ordinal

MAX_NESTING = 1_000
"""How deep elements may be nested. Browsers stop at about half of that."""
MAX_PARAGRAPHS = 1_000_000
"""The most paragraphs that one page may hold."""
_MAX_TABLES = 32  # nested deeper, a table is read as what stands in it

_BLANKS = re.compile(r"[ \t\n\f\r]+")


@dataclass(slots=True)
class _List:
    is_ordered: bool
    number: int
    step: int
    style: str


class Flow:
    """A target of the parser: `title` and `paragraphs` are complete when it is closed.

    Attributes:
        title: The page's title, or nothing.
        paragraphs: In the order of the markup.
        has_hidden: Whether text was left out that the markup or its style sheets hide.
        has_script: Whether scripts may add to what stands here.
        has_unapplied_styles: Whether style sheets may hide some of it that were too long to be applied.
    """

    def __init__(self, path: str, sight: Sight) -> None:
        self.title = ""
        self.paragraphs: list[Paragraph] = []
        self.has_hidden = False
        self.has_script = False
        self.has_unapplied_styles = False
        self._path = path
        self._sight = sight
        self._roles: list[str] = []
        self._sinks = [self.paragraphs]
        self._num_paragraphs = 0
        self._num_tables = 0
        self._tables: list[Table] = []
        self._repeats = Repeats()
        self._lists: list[_List] = []
        self._kinds: list[tuple[str, int]] = [("paragraph", 0)]
        self._label = ""
        self._base = ""
        self._muted = 0  # how many elements are open whose content is no text of the page
        self._num_foreign = 0
        self._pieces: list[str] = []
        self._length = 0
        self._last = ""
        self._links: list[tuple[int, int, str]] = []
        self._open_link: tuple[int, str] | None = None

    # What the parser calls.

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Take a start tag."""
        depth = len(self._roles)
        if depth >= MAX_NESTING:
            why = f"its elements are nested more than {MAX_NESTING:,} deep"
            raise LimitError(self._path, why, "save it as text or PDF from a browser")
        tag = tag.rpartition("}")[2]
        if attributes or self._sight.is_styled or tag == "dialog":
            self._sight.enter(tag, attributes, depth)
        role = self._role_of(tag, attributes)
        if role == "unseen" or (role == "hidden" and ROLES.get(tag) == "unseen"):
            role = "muted"
            self._muted += 1
            self.has_script |= tag == "script"
        self._roles.append(role)
        if role in {"muted", "hidden"}:
            return
        if role not in {"", "link", "foreign"}:
            self._flush()
        self._open(role, tag, attributes)

    def end(self, _tag: str) -> None:
        """Take an end tag, written or implied."""
        role = self._roles.pop() if self._roles else ""
        if self._sight.changed_at == len(self._roles):
            self._sight.leave()
        if role in {"muted", "hidden"}:
            self._muted -= role == "muted"
        elif role == "link":
            self._end_link()
        elif role == "foreign":
            self._num_foreign -= 1
        elif role == "title":
            self.title = " ".join("".join(self._pieces).split())
            self._clear()
        elif role:
            self._flush()
            self._close(role)

    def data(self, text: str) -> None:
        """Take characters."""
        if self._muted or self._sight.is_hidden:
            self.has_hidden |= not self._muted and not text.isspace()
            return
        if self._kinds[-1][0] != "code":
            text = _BLANKS.sub(" ", text)
            if text[:1] == " " and self._last in {"", " ", "\n"}:
                text = text[1:]
        self._add(text)

    def close(self) -> "Flow":
        """Take the end of the page."""
        while self._roles:
            self.end("")
        self._flush()
        return self

    # What a tag means.

    def _role_of(self, tag: str, attributes: Mapping[str, str]) -> str:
        role = ROLES.get(tag, "")
        if self._muted or self._sight.is_hidden:
            return "hidden"
        if attributes and attributes.get("role") == "heading":
            return "heading"
        if role in {"table", "row", "cell"}:
            return self._role_in_layout(role)
        if tag == "template" and "shadowrootmode" in attributes:
            return "block"  # it is shown where it stands
        if tag == "option":
            return "block" if "selected" in attributes else "unseen"
        if role == "title":
            return "unseen" if self._num_foreign or self.title else "title"
        return "block" if tag == "text" and self._num_foreign else role

    def _role_in_layout(self, role: str) -> str:
        if role == "table":
            return role if len(self._tables) < _MAX_TABLES else "block"
        return role if self._tables and not self._tables[-1].has_open_cell else "block"

    def _open(self, role: str, tag: str, attributes: Mapping[str, str]) -> None:
        if role == "link":
            self._start_link(attributes.get("href", ""))
        elif role == "foreign":
            self._num_foreign += 1
        elif role == "heading":
            level = int(tag[1]) if HEADING.fullmatch(tag) else number_of(attributes.get("aria-level"), 2)
            self._kinds.append(("heading", max(level, 1)))
        elif role == "code":
            self._kinds.append(("paragraph" if tag == "textarea" else "code", 0))
        elif role == "list":
            self._open_list(tag, attributes)
        elif role == "item":
            self._kinds.append(("list", 0))
            self._label = self._next_label(attributes) if tag == "li" else ""
        elif role == "table":
            self._num_tables += 1
            self._tables.append(Table(self._num_tables, self._repeats))
        elif role == "row":
            self._emit_row()
        elif role == "cell":
            self._sinks.append(self._tables[-1].open_cell(attributes))
            self._kinds.append(("paragraph", 0))
        elif tag == "br":
            self._break_line()
        elif tag in ROW_GROUPS and self._tables:
            self._tables[-1].begin_group()
        elif tag == "input" and attributes.get("type", "").lower() in TYPED:
            self.data(f" {attributes.get('value', '')} ")
        elif tag == "base":
            self._base = self._base or attributes.get("href", "")

    def _close(self, role: str) -> None:
        if role in {"heading", "code", "item", "cell"}:
            self._kinds.pop()
        if role == "item":
            self._label = ""
        elif role == "list":
            self._lists.pop()
        elif role == "cell":
            self._sinks.pop()
            self._tables[-1].has_open_cell = False
        elif role == "row":
            self._emit_row()
        elif role == "table":
            self._emit_row()
            self._tables.pop()

    # Running text.

    def _add(self, text: str) -> None:
        if text:
            self._pieces.append(text)
            self._length += len(text)
            self._last = text[-1]

    def _break_line(self) -> None:
        """One <br> ends a line; two end a paragraph, as they show."""
        if self._kinds[-1][0] == "heading":
            self.data(" ")
        elif self._kinds[-1][0] != "code" and self._last in {"", "\n"}:
            self._flush()
        else:
            if self._last == " ":
                self._pieces[-1] = self._pieces[-1][:-1]
                self._length -= 1
            self._add("\n")

    def _start_link(self, address: str) -> None:
        self._end_link()
        if target := address_of(address, self._base):
            self._open_link = (self._length, target)

    def _end_link(self) -> None:
        if self._open_link:
            start, address = self._open_link
            self._links.append((start, self._length, address))
            self._open_link = None

    def _flush(self) -> None:
        """What was gathered is one paragraph; a link that is still open goes on in the next."""
        link = self._open_link
        if not self._pieces:
            self._open_link = (0, link[1]) if link else None
            return
        self._end_link()
        kind, level = self._kinds[-1]
        raw = "".join(self._pieces)
        text = raw.strip("\n").rstrip() if kind == "code" else raw.strip()
        if text.strip():
            is_item = self._label and kind == "list"
            label = f"{'  ' * (len(self._lists) - 1)}{self._label} " if is_item else ""
            shift = len(label) - raw.index(text)
            ends = len(label), len(label) + len(text)
            links = _clipped(self._links, shift, *ends) if self._links else []
            self._label = ""
            self._count(Paragraph(kind, label + text, links, level))
        self._clear()
        self._open_link = (0, link[1]) if link else None

    def _clear(self) -> None:
        self._pieces, self._length, self._last = [], 0, ""
        self._links, self._open_link = [], None

    def _count(self, paragraph: Paragraph) -> None:
        self._num_paragraphs += 1
        if self._num_paragraphs > MAX_PARAGRAPHS:
            raise LimitError(
                self._path, f"more than {MAX_PARAGRAPHS:,} paragraphs", "save it in several files"
            )
        self._sinks[-1].append(paragraph)

    # Lists and tables.

    def _open_list(self, tag: str, attributes: Mapping[str, str]) -> None:
        first = number_of(attributes.get("start"), 1)
        step = -1 if "reversed" in attributes else 1
        self._lists.append(_List(tag == "ol", first, step, attributes.get("type", "1")))

    def _next_label(self, attributes: Mapping[str, str]) -> str:
        if not self._lists or not self._lists[-1].is_ordered:
            return "•"
        current = self._lists[-1]
        number = number_of(attributes.get("value"), current.number)
        current.number = number + current.step
        return f"{ordinal(number, current.style)}."

    def _emit_row(self) -> None:
        if self._tables:
            self._sinks[-1].extend(self._tables[-1].end_row())


def _clipped(
    links: list[tuple[int, int, str]], shift: int, first: int, last: int
) -> list[tuple[int, int, str]]:
    moved = [(max(start + shift, first), min(end + shift, last), address) for start, end, address in links]
    return [(start, end, address) for start, end, address in moved if start < end]
