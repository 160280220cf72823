"""The text of one Word paragraph: runs, breaks, fields, links, equations, tracked changes as if accepted."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lctx.formats.word_charts import DGM, C, R
from lctx.formats.word_styles import W, attribute, find, number

if TYPE_CHECKING:
    from lxml.etree import _Element

M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"

TEXT_BOX = f"{W}txbxContent"
_T, _R = f"{W}t", f"{W}r"
_NOTES = {f"{W}footnoteReference": "footnote", f"{W}endnoteReference": "endnote"}
_GRAPHICS = {f"{C}chart": f"{R}id", f"{DGM}relIds": f"{R}dm"}
"""The element that stands for a chart or a diagram, and its attribute that names the part."""
_CHARACTERS = {
    f"{W}tab": "\t",
    f"{W}ptab": "\t",
    f"{W}br": "\n",
    f"{W}cr": "\n",
    f"{W}noBreakHyphen": "-",
}
_NOT_READ_NAMES = (
    "pPr rPr del moveFrom delText instrText delInstrText rt rubyPr sdtPr sdtEndPr fldChar object"
)
_NOT_READ = frozenset([f"{W}{name}" for name in _NOT_READ_NAMES.split()] + [f"{M}rPr", f"{M}ctrlPr"])
_TRACKED = frozenset(f"{W}{name}" for name in ("ins", "del", "moveFrom", "moveTo"))
# Symbol fonts keep their signs in a private area; these carry meaning in forms and lists.
_SYMBOLS = {
    0xA8: "☐",
    0x6F: "☐",
    0xFE: "☒",
    0xFD: "☒",
    0x78: "☒",
    0x52: "☒",
    0xFC: "✓",
    0xB7: "•",
    0xA7: "•",
    0xE0: "→",
}
_PRIVATE_AREA = range(0xE000, 0xF900)
_OFF = frozenset({"0", "false", "off"})


@dataclass(frozen=True, slots=True)
class RunLink:
    """A hyperlink in a paragraph: how many characters stand before it and in it, white space not counted.

    White space changes when a paragraph becomes a line. `target` is a relationship's id or "#bookmark".
    """

    num_before: int
    num_chars: int
    target: str

    def span_in(self, text: str) -> tuple[int, int]:
        """Where it stands in its paragraph's `text`."""
        places = [place for place, character in enumerate(text) if not character.isspace()]
        return places[self.num_before], places[self.num_before + self.num_chars - 1] + 1


class Runs:
    """Collects the text below an element, what hangs on it, and what was met and left out.

    Attributes:
        boxes: The text boxes beside it.
        graphics: Relationship ids of charts and diagrams.
        links: The hyperlinks of what was read last, in order.
        notes: (kind, id) of each note that is referred to, in order, over all that was read.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self.boxes: list[_Element] = []
        self.graphics: list[str] = []
        self.links: list[RunLink] = []
        self.notes: list[tuple[str, str]] = []
        self.has_tracked = False
        self.has_hidden = False
        self.has_drawing = False
        self._pieces: list[str] = []
        self._equation_end = 0

    def text_of(self, element: "_Element") -> str:
        """The text below `element`; what hangs on it is added to `boxes`, `graphics` and `links`."""
        self._pieces, self._equation_end, self.links = [], 0, []
        self._walk(element)
        return "".join(self._pieces)

    def _walk(self, element: "_Element") -> None:
        for child in element:
            tag = child.tag
            if tag == _T:
                self._pieces.append(child.text or "")
            elif tag == _R:
                self._take_run(child)
            elif tag in _CHARACTERS:
                self._pieces.append(_CHARACTERS[tag])
            elif tag in _NOT_READ:
                self.has_tracked |= tag in _TRACKED
            else:
                self._take_other(child, tag)

    def _take_run(self, run: "_Element") -> None:
        if _is_unseen(run):
            self.has_hidden |= any(text.text for text in run.iterfind(f"{W}t"))
            return
        self._walk(run)

    def _take_other(self, element: "_Element", tag: str) -> None:
        if tag == TEXT_BOX:
            self.boxes.append(element)
        elif tag == f"{MC}AlternateContent":
            self._take_alternate(element)
        elif tag == f"{W}sym":
            self._pieces.append(_symbol(attribute(element, "char")))
        elif tag == f"{M}oMath":
            written = equation(element)
            # Two equations side by side are two, not one.
            self._pieces.append(f" {written}" if self._ends_in_equation else written)
            self._equation_end = len(self._pieces)
        elif tag == f"{W}hyperlink":
            self._take_link(element)
        elif tag in _NOTES:
            self.notes.append((_NOTES[tag], attribute(element, "id") or ""))
        elif (graphic := element.get(_GRAPHICS[tag]) if tag in _GRAPHICS else None) is not None:
            self.graphics.append(graphic)
        elif isinstance(tag, str):  # entities that were not resolved have no name
            self.has_tracked |= tag in _TRACKED
            self.has_drawing |= tag in {f"{W}drawing", f"{W}pict"}
            self._walk(element)

    @property
    def _ends_in_equation(self) -> bool:
        return self._equation_end == len(self._pieces) > 0

    def _take_link(self, element: "_Element") -> None:
        first = len(self._pieces)
        self._walk(element)
        target = element.get(f"{R}id") or f"#{attribute(element, 'anchor') or ''}"
        before, words = "".join(self._pieces[:first]), "".join(self._pieces[first:])
        self.links.append(RunLink(len("".join(before.split())), len("".join(words.split())), target))

    def _take_alternate(self, element: "_Element") -> None:
        """The same thing said twice, for newer and for older versions of Word: the first is taken."""
        choice = element.find(f"{MC}Choice")
        chosen = choice if choice is not None else element.find(f"{MC}Fallback")
        if chosen is not None:
            self._walk(chosen)


def _is_unseen(run: "_Element") -> bool:
    """Whether nobody who looks at the page sees a run: marked as hidden, under 1 point, white on white."""
    properties = find(run, "rPr")
    if properties is None:
        return False
    hidden = find(properties, "vanish")
    if hidden is not None and attribute(hidden) not in _OFF:
        return True
    half_points = number(attribute(find(properties, "sz")))
    if half_points is not None and half_points <= 1:
        return True
    is_white = (attribute(find(properties, "color")) or "").upper() == "FFFFFF"
    return is_white and not _may_lie_on_colour(run)


def _may_lie_on_colour(run: "_Element") -> bool:
    """Whether anything around a run may colour the ground under it: a doubt makes it visible."""
    if any(find(run, "rPr", name) is not None for name in ("shd", "highlight", "rStyle")):
        return True
    for around in run.iterancestors():
        if around.tag in {f"{W}tbl", TEXT_BOX}:
            return True
        if any(find(around, "pPr", name) is not None for name in ("shd", "pStyle", "framePr")):
            return True
    background = run.getroottree().getroot().find(f"{W}background")
    return background is not None


def _symbol(code: str | None) -> str:
    try:
        value = int(code or "", 16)
    except ValueError:
        return ""
    if value in _PRIVATE_AREA:
        return _SYMBOLS.get(value & 0xFF, "")
    return chr(value) if 0x20 <= value < 0xD800 else ""  # noqa: PLR2004 - a character that stands for itself


def equation(element: "_Element") -> str:
    """An equation on one line, in the notation of Word's own linear format: x^2, a_1, (a+b)/c, √(x)."""
    return "".join(_math(child) for child in element)


def _math(element: "_Element") -> str:
    tag = element.tag
    if not isinstance(tag, str) or tag in _NOT_READ or tag.endswith("Pr"):
        return ""
    if tag in {f"{M}t", f"{W}t"}:
        return element.text or ""
    name = tag.removeprefix(M)
    if name == "f":
        return f"{_grouped(element, 'num')}/{_grouped(element, 'den')}"
    if name in {"sSup", "sSub", "sSubSup"}:
        return _part(element, "e") + _scripts(element)
    if name == "nary":
        return f"{_sign(element, 'naryPr', 'chr', '∫')}{_scripts(element)} {_part(element, 'e')}"
    if name == "rad":
        return f"{_part(element, 'deg')}√{_grouped(element, 'e', always=True)}"
    if name == "d":
        return _delimited(element)
    if name == "m":
        rows = (
            " & ".join(equation(cell) for cell in row.iterfind(f"{M}e")) for row in element.iterfind(f"{M}mr")
        )
        return f"[{'; '.join(rows)}]"
    if name == "func":
        return f"{_part(element, 'fName')} {_part(element, 'e')}"
    return equation(element)


def _part(element: "_Element", name: str) -> str:
    part = element.find(M + name)
    return equation(part) if part is not None else ""


def _grouped(element: "_Element", name: str, *, always: bool = False) -> str:
    text = _part(element, name)
    return f"({text})" if always or len(text) > 1 else text


def _scripts(element: "_Element") -> str:
    written = ""
    for name, sign in (("sub", "_"), ("sup", "^")):
        if _part(element, name):
            written += sign + _grouped(element, name)
    return written


def _delimited(element: "_Element") -> str:
    inner = _sign(element, "dPr", "sepChr", "|").join(equation(part) for part in element.iterfind(f"{M}e"))
    return f"{_sign(element, 'dPr', 'begChr', '(')}{inner}{_sign(element, 'dPr', 'endChr', ')')}"


def _sign(element: "_Element", properties: str, name: str, default: str) -> str:
    """A sign that an equation's properties state; one that is stated empty is none."""
    found = element.find(f"{M}{properties}/{M}{name}")
    return default if found is None else str(found.get(f"{M}val") or "")


def numbering_of(properties: "_Element | None") -> tuple[str | None, int | None]:
    """The list and the level that a paragraph itself states; None for what it leaves to its style."""
    stated = find(properties, "numPr")
    return attribute(find(stated, "numId")), number(attribute(find(stated, "ilvl")))
