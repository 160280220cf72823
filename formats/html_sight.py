"""Which elements of a page are seen, as far as its markup and its own style sheets say."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lctx.formats.html_selectors import Element
    from lctx.formats.html_styles import Stated, Styles

_SEEN, _VEILED, _GONE = range(3)  # what is veiled (`visibility`) can hold what is seen again
# Pages that fade in hide all of themselves at first.
_NEVER_HIDDEN = frozenset({"html", "body", "head", "title"})
_INERT = frozenset({"noscript", "template"})
_SHEET_TYPES = frozenset({"", "text/css"})
_NOTHING: "Mapping[str, Stated]" = {}


class Sheets:
    """A target of the parser: the style sheets in a page."""

    def __init__(self) -> None:
        self._found: list[tuple[str, list[str]]] = []
        self._tags: list[str] = []
        self._num_inert = 0  # open elements whose content is none of the page's, with scripts running
        self._is_open = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Take a start tag."""
        tag = tag.rpartition("}")[2]
        self._tags.append(tag)
        self._num_inert += tag in _INERT
        kind = attributes.get("type", "").strip().lower()
        self._is_open = tag == "style" and not self._num_inert and kind in _SHEET_TYPES
        if self._is_open:
            self._found.append((attributes.get("media", ""), []))

    def end(self, _tag: str) -> None:
        """Take an end tag."""
        if self._tags:
            self._num_inert -= self._tags.pop() in _INERT
        self._is_open = False

    def data(self, text: str) -> None:
        """Take characters."""
        if self._is_open:
            self._found[-1][1].append(text)

    def close(self) -> list[tuple[str, str]]:
        """Take the end of the page: the sheets in their order, each the media that it is for and its text."""
        return [(media, "".join(pieces)) for media, pieces in self._found]


class Sight:
    """Follows the tags of a page.

    Sizes, colours and positions are not looked at: pages that fade in, or space their columns, set them to 0
    for what is seen.

    Attributes:
        is_hidden: Whether text at this point cannot be seen.
        is_styled: Whether every tag is to be taken: without style sheets only those with attributes, and
            <dialog>, make a difference.
        changed_at: How deep the innermost element stands that changed what is seen; -1 where there is none.
    """

    def __init__(self, styles: "Styles | None" = None) -> None:
        """Begin at the top of a page that has these style sheets of its own."""
        self.is_hidden = False
        self.is_styled = styles is not None
        self.changed_at = -1
        self._styles = styles
        self._path: list[Element] = []
        # What held before each element that is not as what is around it: `changed_at` and the state.
        self._changes: list[tuple[int, int]] = []
        self._state = _SEEN

    def enter(self, tag: str, attributes: Mapping[str, str], depth: int) -> None:
        """Take the start tag of an element within `depth` others."""
        if self._styles:
            del self._path[depth:]
            self._path.append(_element(tag, attributes))
        elif not (
            "style" in attributes or "hidden" in attributes or "aria-hidden" in attributes or tag == "dialog"
        ):
            return
        if self._state == _GONE or tag in _NEVER_HIDDEN:
            return
        state = self._state_of(tag, attributes)
        if state != self._state:
            self._changes.append((self.changed_at, self._state))
            self._set(depth, state)

    def leave(self) -> None:
        """Take the end tag of the element at `changed_at`."""
        self._set(*self._changes.pop())

    def _set(self, depth: int, state: int) -> None:
        self.changed_at, self._state, self.is_hidden = depth, state, state != _SEEN

    def _state_of(self, tag: str, attributes: Mapping[str, str]) -> int:
        if "aria-hidden" in attributes and attributes["aria-hidden"].strip().lower() == "true":
            return _GONE
        style = attributes.get("style", "")
        own = _stated_inline(style) if style else _NOTHING
        by_itself = "hidden" in attributes or (tag == "dialog" and "open" not in attributes)
        if self._hides("display", own, otherwise=by_itself):
            return _GONE
        return _VEILED if self._hides("visibility", own, otherwise=self._state == _VEILED) else _SEEN

    def _hides(self, name: str, own: "Mapping[str, Stated]", *, otherwise: bool) -> bool:
        """What its own style says, unless a sheet insists; else what the sheets say; else `otherwise`."""
        inline = own.get(name)
        sheet = None
        if self._styles:
            is_hidden = inline.hides if inline else otherwise
            sheet = self._styles.stated(name, self._path, is_hidden=is_hidden)
        if inline and not (sheet and sheet.is_important and not inline.is_important):
            return inline.hides
        return sheet.hides if sheet else otherwise


def _stated_inline(style: str) -> "Mapping[str, Stated]":
    lowered = style.lower()
    if "display" not in lowered and "visibility" not in lowered and "\\" not in style:
        return _NOTHING
    from lctx.formats.html_styles import stated_inline

    return stated_inline(style)


def _element(tag: str, attributes: Mapping[str, str]) -> "Element":
    from lctx.formats.html_selectors import Element

    return Element(tag, attributes.get("id", ""), frozenset(attributes.get("class", "").split()), attributes)
