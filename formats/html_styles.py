"""What the style sheets in a page say about whether its elements are seen: `display` and `visibility` only.

tinycss2 reads the sheets, cssselect2 their selectors. What leaves a doubt is taken for visible: a rule that
hides counts only where it surely holds, one that shows also where it may.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from lctx.formats.html_selectors import MAYBE, NO, YES, Element, Selector, selectors_of

MAX_STYLE_CHARS = 1024 * 1024
"""Longer sheets are not applied: a second goes by for each million of characters."""
MAX_RULES = 10_000
"""The most rules about what is seen that are applied."""
MAX_TESTS = 3_000_000
"""How often the parts of selectors are tried on the elements of one page."""

_MAX_NESTING = 8  # of @media in @supports in @layer
_HIDING = {"display": frozenset({"none"}), "visibility": frozenset({"hidden", "collapse"})}
_ON_SCREENS = frozenset({"", "all", "screen", "only screen", "only all"})
_ELSEWHERE = frozenset(
    {"print", "speech", "aural", "braille", "embossed", "handheld", "projection", "tty", "tv"}
)
# What holds for some browsers, or for a part of the page that only they know.
_CONDITIONS = frozenset({"supports", "container"})


class Stated(NamedTuple):
    """What was said last about one property: whether it hides, and whether it insists (`!important`)."""

    hides: bool
    is_important: bool


@dataclass(frozen=True, slots=True)
class _Rule:
    stated: Stated
    selector: Selector
    rank: tuple[bool, bool, tuple[int, int, int], int]


_Rules = dict[tuple[str, str], list[_Rule]]
"""By a property and the key of the selector, the strongest first."""


class _Sheet(NamedTuple):
    """The rules of a sheet, or those within a condition."""

    rules: Sequence[Any]
    holds: int
    is_layered: bool = False
    depth: int = 0


class Styles:
    """The rules of a page's own style sheets.

    Attributes:
        is_cut: Whether there are more of them than the ceilings allow; then none is applied.
    """

    def __init__(self, sheets: Sequence[tuple[str, str]]) -> None:
        """Read `sheets`: each the media that it is for, as written, and its text."""
        self.is_cut = sum(len(text) for _, text in sheets) > MAX_STYLE_CHARS
        self._hiding: _Rules = {}
        self._showing: _Rules = {}
        self._num_rules = 0
        self._num_tests = 0
        try:
            for media, text in [] if self.is_cut else sheets:
                if (holds := holds_on_screens(media)) != NO:
                    self._read(_Sheet(_rules_of(text), holds))
        except RecursionError:
            self.is_cut = True
        for rules in (*self._hiding.values(), *self._showing.values()):
            rules.sort(key=lambda rule: rule.rank, reverse=True)

    @property
    def is_applied(self) -> bool:
        """Whether they say anything of what is seen."""
        return self._num_rules > 0 and not self.is_cut

    def stated(self, name: str, path: Sequence[Element], *, is_hidden: bool) -> Stated | None:
        """What they say of the property `name` for the last element of `path`; None where they are silent.

        Args:
            name: "display" or "visibility".
            path: The element, after all that are around it, the root first.
            is_hidden: Whether it is hidden without them. Where it is not, and no rule hides it, nobody asks
                for those that show it: nearly all rules do, of nearly all elements.
        """
        if self.is_cut:
            return None
        element = path[-1]
        keys = [(name, element.tag), (name, "*"), *((name, f".{one}") for one in element.classes)]
        if element.id:
            keys.append((name, f"#{element.id}"))
        hiding = self._strongest(self._hiding, keys, path, YES)
        if hiding is None and not is_hidden:
            return None
        best = self._strongest(self._showing, keys, path, MAYBE, hiding)
        return best.stated if best and not self.is_cut else None

    def _strongest(
        self,
        rules: _Rules,
        keys: list[tuple[str, str]],
        path: Sequence[Element],
        least: int,
        best: _Rule | None = None,
    ) -> _Rule | None:
        """The rule with the highest rank, `best` among them, that matches at least so surely."""
        for key in keys:
            for rule in rules.get(key, ()):
                if best and rule.rank < best.rank:
                    break
                self._num_tests += rule.selector.cost(len(path))
                if self._num_tests > MAX_TESTS:
                    self.is_cut = True
                    return None
                if rule.selector.matches(path) >= least:
                    best = rule
                    break
        return best

    def _read(self, sheet: _Sheet) -> None:
        """Take the rules of a sheet in their order: of two that say the same the later one wins."""
        import tinycss2

        for rule in sheet.rules:
            if rule.type == "qualified-rule":
                self._take(rule, sheet)
            elif rule.type == "at-rule" and rule.content is not None and sheet.depth < _MAX_NESTING:
                inner = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
                within = _within(rule, inner, sheet)
                if within.holds != NO:
                    self._read(within)

    def _take(self, rule: Any, sheet: _Sheet) -> None:
        stated, is_sure = _statements_of(rule.content)
        if not stated:
            return
        for selector in selectors_of(rule.prelude):
            for name, one in stated.items():
                # A rule that hides and may not hold is no reason to leave anything out.
                if one.hides and not (is_sure and sheet.holds == YES):
                    continue
                self._num_rules += 1
                rank = (one.is_important, not sheet.is_layered, selector.specificity, self._num_rules)
                rules = self._hiding if one.hides else self._showing
                rules.setdefault((name, selector.key), []).append(_Rule(one, selector, rank))
        self.is_cut |= self._num_rules > MAX_RULES


def _rules_of(text: str) -> Sequence[Any]:
    import tinycss2

    rules: Sequence[Any] = tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True)
    return rules


def _within(rule: Any, inner: Sequence[Any], sheet: _Sheet) -> _Sheet:
    """The rules of an at-rule with a block, as far as they hold where the page is first shown on a screen."""
    import tinycss2

    name = rule.lower_at_keyword
    if name == "media":
        holds = holds_on_screens(tinycss2.serialize(rule.prelude))
    elif name in _CONDITIONS:
        holds = MAYBE
    else:
        holds = YES if name == "layer" else NO
    return _Sheet(inner, min(holds, sheet.holds), sheet.is_layered or name == "layer", sheet.depth + 1)


def holds_on_screens(media: str) -> int:
    """Whether a list of media queries holds on every screen, on no screen, or on some."""
    found = NO
    for query in media.lower().split(","):
        words = query.split()
        if " ".join(words) in _ON_SCREENS:
            return YES
        kind = words[1] if words[0] == "only" and len(words) > 1 else words[0]
        found = max(found, NO if kind in _ELSEWHERE else MAYBE)
    return found


def _statements_of(content: Sequence[Any]) -> tuple[dict[str, Stated], bool]:
    """What a block says of each property, and whether nothing nested in it may say otherwise."""
    if not any(token.type == "ident" and token.lower_value in _HIDING for token in content):
        return {}, True
    import tinycss2

    parts = tinycss2.parse_blocks_contents(content, skip_comments=True, skip_whitespace=True)
    is_sure = all(part.type in {"declaration", "error"} for part in parts)
    return _last_of(part for part in parts if part.type == "declaration"), is_sure


def _last_of(declarations: Iterable[Any]) -> dict[str, Stated]:
    found: dict[str, Stated] = {}
    for one in declarations:
        name = one.lower_name
        values = _words(one.value)
        earlier = found.get(name)
        if name in _HIDING and (one.important or not (earlier and earlier.is_important)):
            found[name] = Stated(next(values, "") in _HIDING[name], one.important)
    return found


def _words(tokens: Iterable[Any]) -> Iterator[str]:
    return (token.lower_value for token in tokens if token.type == "ident")


@lru_cache(maxsize=1024)
def stated_inline(style: str) -> dict[str, Stated]:
    """What an element's own `style` says of each property."""
    import tinycss2

    return _last_of(
        part
        for part in tinycss2.parse_blocks_contents(style, skip_comments=True, skip_whitespace=True)
        if part.type == "declaration"
    )
