"""What the styles and the numbering of a Word file say of a paragraph: heading or item, and its number."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.etree import _Element

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"

MAX_LEVELS = 9
"""Levels that a list and an outline may have (ECMA-376 part 1, 17.9.6)."""

_MAX_INHERITANCE = 20
_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
    (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_MAX_ROMAN = 4999
_LETTERS = 26


@dataclass(frozen=True, slots=True)
class Style:
    """What one paragraph style says that matters here; None where it says nothing.

    Attributes:
        outline: 0 for a title, 1 to 9 for a heading, 10 for what is expressly none.
        numbering: The list that its paragraphs belong to; "0" takes them out of one.
        level: Their level in it, from 0.
    """

    outline: int | None = None
    numbering: str | None = None
    level: int | None = None


@dataclass(frozen=True, slots=True)
class _Level:
    """How one level of a list counts: `restart` is the level, from 1, that begins it anew; 0 is none."""

    start: int
    kind: str
    template: str
    is_legal: bool = False
    restart: int | None = None

    def shown(self, kind: str) -> str:
        """The kind of number that a level of `kind` has in this one's label: legal numbers are in digits."""
        return "decimal" if self.is_legal and kind != "decimalZero" else kind


def attribute(element: "_Element | None", name: str = "val") -> str | None:
    """The value of a `w:` attribute of `element`, or None."""
    value = None if element is None else element.get(W + name)
    return value if value is None or isinstance(value, str) else value.decode()


def number(text: str | None, default: int | None = None) -> int | None:
    """The integer that `text` holds, or `default` where it holds none."""
    try:
        return int(text) if text is not None else default
    except ValueError:
        return default


def find(element: "_Element | None", *names: str) -> "_Element | None":
    """The first child called `names[0]`, its first child called `names[1]`, and so on, or None."""
    for name in names:
        if element is None:
            return None
        element = element.find(W + name)
    return element


class Styles:
    """The paragraph styles of a file, inheritance followed."""

    def __init__(self, root: "_Element | None") -> None:
        """Read styles.xml; None reads as a file without styles."""
        self._elements: dict[str, _Element] = {}
        self._known: dict[str, Style] = {}
        self._default = ""
        for style in root.iterfind(f"{W}style") if root is not None else ():
            if attribute(style, "type") in {None, "paragraph"}:
                name = attribute(style, "styleId") or ""
                self._elements.setdefault(name, style)
                if attribute(style, "default") in {"1", "true", "on"}:
                    self._default = name

    def style(self, name: str | None) -> Style:
        """The style called `name`, the default one for None; empty where the file has none such."""
        name = name if name is not None else self._default
        if name not in self._known:
            self._known[name] = self._resolved(name)
        return self._known[name]

    def _resolved(self, name: str) -> Style:
        outline = numbering = level = None
        for element in self._ancestry(name):
            properties = find(element, "pPr")
            if outline is None:
                outline = _outline_of(attribute(find(element, "name")), properties)
            if numbering is None:
                numbering = attribute(find(properties, "numPr", "numId"))
            if level is None:
                level = number(attribute(find(properties, "numPr", "ilvl")))
        return Style(outline, numbering, level)

    def _ancestry(self, name: str) -> Iterator["_Element"]:
        """The style and those that it is based on; a circle ends after `_MAX_INHERITANCE` steps."""
        for _ in range(_MAX_INHERITANCE):
            element = self._elements.get(name)
            if element is None:
                return
            yield element
            name = attribute(find(element, "basedOn")) or ""


def _outline_of(name: str | None, properties: "_Element | None") -> int | None:
    """Word names its built-in styles in English in every language; the outline level is in none."""
    words = (name or "").lower().split()
    if words == ["title"]:
        return 0
    if len(words) == 2 and words[0] == "heading" and words[1].isdecimal():  # noqa: PLR2004 - "heading 3"
        return min(int(words[1]), MAX_LEVELS)
    return outline_level(properties)


def outline_level(properties: "_Element | None") -> int | None:
    """The outline level that paragraph properties state, from 1; 10 is body text, None says nothing."""
    level = number(attribute(find(properties, "outlineLvl")))
    return None if level is None else min(max(level, 0), MAX_LEVELS) + 1


class Numbering:
    """The numbers that Word prints before paragraphs and does not store: counted as it counts them."""

    def __init__(self, root: "_Element | None") -> None:
        """Read numbering.xml; None reads as a file without lists."""
        self._abstract_of: dict[str, str] = {}
        self._levels: dict[str, dict[int, _Level]] = {}
        self._overrides: dict[str, dict[int, _Level]] = {}
        self._counts: dict[str, list[int | None]] = {}
        self._restarted: set[tuple[str, int]] = set()
        self._restarts: dict[tuple[str, int], int] = {}
        if root is None:
            return
        linked: dict[str, dict[int, _Level]] = {}
        links: dict[str, str] = {}
        for abstract in root.iterfind(f"{W}abstractNum"):
            name = attribute(abstract, "abstractNumId") or ""
            self._levels[name] = _levels_in(abstract)
            if style := attribute(find(abstract, "styleLink")):
                linked[style] = self._levels[name]
            if style := attribute(find(abstract, "numStyleLink")):
                links[name] = style
        for name, style in links.items():
            self._levels[name] = self._levels[name] or linked.get(style, {})
        for instance in root.iterfind(f"{W}num"):
            name = attribute(instance, "numId") or ""
            self._abstract_of[name] = attribute(find(instance, "abstractNumId")) or ""
            self._read_overrides(name, instance)

    def _read_overrides(self, name: str, instance: "_Element") -> None:
        for override in instance.iterfind(f"{W}lvlOverride"):
            level = number(attribute(override, "ilvl"), 0) or 0
            start = number(attribute(find(override, "startOverride")))
            if start is not None:
                self._restarts[name, level] = start
            self._overrides.setdefault(name, {}).update(_levels_in(override))

    def next_label(self, name: str, level: int) -> str:
        """What stands before the next paragraph of list `name` at `level`: "3.2", "(b)", "•", or nothing."""
        abstract = self._abstract_of.get(name)
        if abstract is None:
            return ""
        levels = {**self._levels.get(abstract, {}), **self._overrides.get(name, {})}
        level = min(max(level, 0), MAX_LEVELS - 1)
        if level not in levels:
            return ""
        counts = self._counts.setdefault(abstract, [None] * MAX_LEVELS)
        self._advance(counts, name, level, levels)
        if levels[level].kind == "bullet":
            return "•"
        label = levels[level].template
        for place in range(level + 1):
            if f"%{place + 1}" in label:
                shown = levels.get(place, _Level(1, "decimal", ""))
                count = counts[place]
                label = label.replace(
                    f"%{place + 1}",
                    formatted(shown.start if count is None else count, levels[level].shown(shown.kind)),
                )
        return label.strip()

    def _advance(self, counts: list[int | None], name: str, level: int, levels: dict[int, _Level]) -> None:
        restart = self._restarts.get((name, level))
        if restart is not None and (name, level) not in self._restarted:
            self._restarted.add((name, level))
            counts[level] = restart
        else:
            current = counts[level]
            counts[level] = levels[level].start if current is None else current + 1
        for deeper in range(level + 1, MAX_LEVELS):
            restart = levels[deeper].restart if deeper in levels else None
            if restart is None or level < restart:
                counts[deeper] = None


def _levels_in(element: "_Element") -> dict[int, _Level]:
    found = {}
    for level in element.iterfind(f"{W}lvl"):
        place = number(attribute(level, "ilvl"), 0) or 0
        start = number(attribute(find(level, "start")), 1)
        kind = attribute(find(level, "numFmt")) or "decimal"
        template = attribute(find(level, "lvlText")) or ""
        is_legal = find(level, "isLgl") is not None and attribute(find(level, "isLgl")) not in {
            "0",
            "false",
            "off",
        }
        restart = number(attribute(find(level, "lvlRestart")))
        found[place] = _Level(1 if start is None else start, kind, template, is_legal, restart)
    return found


def formatted(count: int, kind: str) -> str:
    """`count` as a list of `kind` prints it; kinds of other scripts are printed as decimals."""
    if kind == "none":
        return ""
    if kind == "decimalZero":
        return f"{count:02d}"
    if kind in {"lowerLetter", "upperLetter"} and count > 0:
        # After z comes aa, then bb: the letter is repeated (ECMA-376 part 1, 17.18.59).
        letter = chr(ord("a") + (count - 1) % _LETTERS) * min((count - 1) // _LETTERS + 1, 20)
        return letter.upper() if kind == "upperLetter" else letter
    if kind in {"lowerRoman", "upperRoman"} and 0 < count <= _MAX_ROMAN:
        roman = _roman(count)
        return roman.upper() if kind == "upperRoman" else roman
    return str(count)


def _roman(count: int) -> str:
    written = ""
    for value, letters in _ROMAN:
        written += letters * (count // value)
        count %= value
    return written
