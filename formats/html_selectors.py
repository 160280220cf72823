"""Selectors of style sheets, tried on an element of a page and the elements around it.

cssselect2 reads them. It is not asked to match them: that would take a tree of the whole page, of which only
the way down from the root is at hand here. So what looks at siblings may match, and nobody can tell.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

NO, MAYBE, YES = 0, 1, 2
"""Whether something holds: the least of several is all of them, the greatest any of them."""

_MAX_STEPS = 12  # longer ones may match
# How a page is while nobody points at it, types in it or follows its links.
_NOT_AT_FIRST = frozenset(
    {"hover", "focus", "focus-within", "focus-visible", "active", "target", "target-within", "visited"}
    | {"fullscreen", "popover-open", "modal", "picture-in-picture", "-webkit-full-screen", "-moz-full-screen"}
)


class Element(NamedTuple):
    """A start tag: as much of an element as selectors ask for."""

    tag: str
    id: str
    classes: frozenset[str]
    attributes: Mapping[str, str]


_Test = Callable[[Element], int]


class _Step(NamedTuple):
    """The tests of one element, and how it stands to the one on its left: " ", ">", "+" or "~"."""

    tests: tuple[_Test, ...]
    combinator: str

    def matches(self, element: Element) -> int:
        return min((test(element) for test in self.tests), default=YES)


@dataclass(frozen=True, slots=True)
class Selector:
    """One selector of a rule.

    Attributes:
        key: The id, class or tag that an element must have to match: "#a", ".b", "p"; or "*".
        specificity: Which rule wins: selectors 4, 15.
        steps: From left to right.
        num_tests: What they ask for, all together.
    """

    key: str
    specificity: tuple[int, int, int]
    steps: tuple[_Step, ...]
    num_tests: int

    def cost(self, num_elements: int) -> int:
        """How many tests it may take to try it on the last of so many elements."""
        return self.num_tests if len(self.steps) == 1 else self.num_tests * num_elements

    def matches(self, path: Sequence[Element]) -> int:
        """Whether it selects the last element of `path`, which begins at the root: YES, MAYBE or NO."""
        found = self.steps[-1].matches(path[-1])
        if found == NO or len(self.steps) == 1:
            return found
        left = self.steps[-2]
        if self.steps[-1].combinator == ">" and (len(path) == 1 or left.matches(path[-2]) == NO):
            return NO  # as nearly always: no need to look at all that is around it
        at_last = [NO] * len(self.steps)  # whether the steps up to each one end at the element looked at last
        anywhere = at_last  # ... or at any before
        for element in path:
            at_this = [
                min(step.matches(element), _before(step.combinator, at_last[left], anywhere[left]))
                for left, step in enumerate(self.steps, start=-1)
            ]
            anywhere = list(map(max, anywhere, at_this))
            at_last = at_this
        return at_last[-1]


def _before(combinator: str, at_parent: int, anywhere: int) -> int:
    """Whether what stands to the left of a step holds; the first one has no combinator."""
    if combinator == "":
        return YES
    if combinator == ">":
        return at_parent
    return anywhere if combinator == " " else MAYBE


def selectors_of(prelude: Sequence[Any]) -> list[Selector]:
    """The selectors before a rule's block; none where one of them cannot be read, as browsers do."""
    from cssselect2.parser import SelectorError, parse

    try:
        parsed = list(parse(prelude))
    except SelectorError:
        return []
    return [_selector_of(one.parsed_tree, one.specificity) for one in parsed if one.pseudo_element is None]


def _selector_of(tree: Any, specificity: tuple[int, int, int]) -> Selector:
    from cssselect2.parser import CombinedSelector

    compounds = []
    while isinstance(tree, CombinedSelector):
        compounds.append((tree.right, tree.combinator))
        tree = tree.left
    compounds.append((tree, ""))
    steps = [_Step(tuple(map(_test_of, one.simple_selectors)), sign) for one, sign in compounds[:_MAX_STEPS]]
    if len(compounds) > _MAX_STEPS:
        steps.append(_Step((lambda _: MAYBE,), ""))
    num_tests = sum(_size_of(one) for compound, _ in compounds for one in compound.simple_selectors)
    key = _key_of(compounds[0][0].simple_selectors)
    return Selector(key, specificity, tuple(reversed(steps)), num_tests + len(steps))


def _size_of(simple: Any) -> int:
    """How many tests a part of a compound selector takes: :is() and :not() hold others."""
    inner = getattr(simple, "selector_list", ())
    trees = [one.parsed_tree for one in inner if hasattr(one, "parsed_tree")]
    return 1 + sum(_size_of(part) for tree in trees for part in getattr(tree, "simple_selectors", ()))


def _key_of(simple_selectors: Sequence[Any]) -> str:
    from cssselect2 import parser

    keys = {"": "*"}
    for one in simple_selectors:
        if isinstance(one, parser.IDSelector):
            keys["id"] = f"#{one.ident}"
        elif isinstance(one, parser.ClassSelector):
            keys["class"] = f".{one.class_name}"
        elif isinstance(one, parser.LocalNameSelector):
            keys["tag"] = one.lower_local_name
    return next(keys[kind] for kind in ("id", "class", "tag", "") if kind in keys)


def _test_of(simple: Any) -> _Test:
    """A test for one part of a compound selector."""
    from cssselect2 import parser

    if isinstance(simple, parser.IDSelector):
        return lambda element: YES if element.id == simple.ident else NO
    if isinstance(simple, parser.ClassSelector):
        return lambda element: YES if simple.class_name in element.classes else NO
    if isinstance(simple, parser.LocalNameSelector):
        return lambda element: YES if element.tag == simple.lower_local_name else NO
    if isinstance(simple, parser.AttributeSelector):
        return lambda element: _attribute_matches(simple, element.attributes)
    if isinstance(simple, parser.PseudoClassSelector):
        return _state_test(simple.name)
    if isinstance(simple, parser.MatchesAnySelector | parser.SpecificityAdjustmentSelector):
        inner = _tests_of(simple.selector_list)
        return lambda element: max((test(element) for test in inner), default=NO)
    if isinstance(simple, parser.NegationSelector):
        inner = _tests_of(simple.selector_list)
        return lambda element: YES - max((test(element) for test in inner), default=NO)
    return lambda _: MAYBE


def _tests_of(selectors: Sequence[Any]) -> list[_Test]:
    """A test for each selector within :is() or :not(); those of several elements may match."""
    return [
        _Step(tuple(map(_test_of, one.parsed_tree.simple_selectors)), "").matches
        if hasattr(one.parsed_tree, "simple_selectors")
        else (lambda _: MAYBE)
        for one in selectors
    ]


def _state_test(name: str) -> _Test:
    if name == "root":
        return lambda element: YES if element.tag == "html" else NO
    return lambda _: NO if name in _NOT_AT_FIRST else MAYBE


def _attribute_matches(simple: Any, attributes: Mapping[str, str]) -> int:
    """Whether the attribute is there and its value as asked for: selectors 4, 6."""
    value = attributes.get(simple.lower_name)
    if value is None:
        return NO
    asked = simple.value
    if simple.operator is None or asked is None:
        return YES
    if simple.case_sensitive is False:
        value, asked = value.lower(), asked.lower()
    holds = {
        "=": value == asked,
        "~=": asked in value.split() and bool(asked),
        "|=": value == asked or value.startswith(f"{asked}-"),
        "^=": bool(asked) and value.startswith(asked),
        "$=": bool(asked) and value.endswith(asked),
        "*=": bool(asked) and asked in value,
    }
    return YES if holds[simple.operator] else NO
