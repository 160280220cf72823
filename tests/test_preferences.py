"""Tests of what the user says of single sources: which patterns mean which, and what is refused."""

import pytest
from answering_parts import document, inputs
from hypothesis import given, settings
from hypothesis import strategies as st

from lctx.core.answering.preferences import Preferences, resolve_preferences
from lctx.core.errors import UsageError

PATHS = [
    "contract.pdf",
    "repo/src/app.py",
    "repo/src/util/app.py",
    "repo/docs/guide.md",
    "../old/terms.txt",
    "-",
]
SOURCES = [document(f"Text of {path}.\n", path) for path in PATHS]


def pinned(*patterns):
    return sorted(resolve_preferences(SOURCES, patterns).pinned)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("contract.pdf", ["contract.pdf"]),
        ("./contract.pdf", ["contract.pdf"]),
        ("repo//src/app.py", ["repo/src/app.py"]),
        ("app.py", ["repo/src/app.py", "repo/src/util/app.py"]),
        ("src/app.py", ["repo/src/app.py"]),
        ("*.py", ["repo/src/app.py", "repo/src/util/app.py"]),
        ("docs/", ["repo/docs/guide.md"]),
        ("repo/**/app.py", ["repo/src/app.py", "repo/src/util/app.py"]),
        ("repo", ["repo/docs/guide.md", "repo/src/app.py", "repo/src/util/app.py"]),
        ("../old/terms.txt", ["../old/terms.txt"]),
        ("../old/*.txt", ["../old/terms.txt"]),
        ("/contract.pdf", ["contract.pdf"]),
        ("-", ["-"]),
        ("*", sorted(PATHS)),
    ],
)
def test_a_pattern_is_a_path_or_what_gitignore_would_match(pattern, expected):
    """This test ensures that a source is found by its path, by part of it, or by a pattern."""
    assert pinned(pattern) == expected


def test_a_path_is_stronger_than_what_it_means_as_a_pattern():
    """This test ensures that a file with odd characters in its name can be named."""
    odd = [document("a\n", path) for path in ("[draft].txt", "d.txt", "#1", "!not")]
    for path in ("[draft].txt", "#1", "!not"):
        assert resolve_preferences(odd, (path,)).pinned == {path}


def test_no_preferences_leave_every_source_alike():
    """This test ensures that nothing is pinned, weighed or ranked unless told."""
    none = resolve_preferences(SOURCES)
    assert none == Preferences()
    for source in SOURCES:
        assert (none.is_pinned(source), none.is_left_out(source)) == (False, False)
        assert (none.weight(source), none.priority(source)) == (1.0, 0)


def test_the_last_pattern_that_matches_decides():
    """This test ensures that a rule for all can be followed by exceptions."""
    told = resolve_preferences(
        SOURCES,
        weights=(("*", 0.0), ("*.py", 2.0), ("util/", 0.5)),
        priorities=(("*", 1), ("docs/", -2)),
    )
    by_path = {source.path: source for source in SOURCES}
    assert told.is_left_out(by_path["contract.pdf"])
    assert told.weight(by_path["repo/src/app.py"]) == 2
    assert told.weight(by_path["repo/src/util/app.py"]) == 0.5
    assert told.priority(by_path["contract.pdf"]) == 1
    assert told.priority(by_path["repo/docs/guide.md"]) == -2


def test_a_pin_is_stronger_than_weight_0():
    """This test ensures that a source is not pinned and left out at once."""
    told = resolve_preferences(SOURCES, ("contract.pdf",), (("*", 0.0),))
    assert [source.path for source in SOURCES if not told.is_left_out(source)] == ["contract.pdf"]


@pytest.mark.parametrize("option", ["--pin", "--weight", "--priority"])
@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("contrcat.pdf", "did you mean contract.pdf?"),
        ("src/ap.py", "did you mean repo/src/app.py?"),
        ("zzz", "the sources are contract.pdf, repo/src/app.py, repo/src/util/app.py and 3 more"),
    ],
)
def test_a_pattern_that_matches_nothing_is_refused_with_what_is_near(option, pattern, hint):
    """This test ensures that a misspelt name is never passed over in silence."""
    given_so = {
        "--pin": {"pins": (pattern,)},
        "--weight": {"weights": ((pattern, 2.0),)},
        "--priority": {"priorities": ((pattern, 1),)},
    }[option]
    with pytest.raises(UsageError) as raised:
        resolve_preferences(SOURCES, **given_so)
    assert raised.value.message == f"{option} {pattern}: no source is called that"
    assert raised.value.hint.startswith(hint.removesuffix("?"))
    with pytest.raises(UsageError):
        _ = inputs("what?", SOURCES, **given_so).preferences


@pytest.mark.parametrize("pattern", ["", " ", "!contract.pdf", "# note", "a*a*a*a*b", "/"])
def test_what_is_no_pattern_is_refused(pattern):
    """This test ensures that negations, comments, blanks and patterns that take for ever are usage errors."""
    with pytest.raises(UsageError, match="--pin"):
        pinned(pattern)


@pytest.mark.parametrize("factor", [-1.0, float("nan"), float("inf")])
def test_a_weight_is_a_number_from_0_up(factor):
    """This test ensures that a weight that would make nonsense of a ranking is refused."""
    with pytest.raises(UsageError, match=r"--weight contract.pdf=\S+: a weight is a number from 0 up"):
        resolve_preferences(SOURCES, weights=(("contract.pdf", factor),))


def test_without_sources_every_pattern_is_refused():
    """This test ensures that a pin for nothing is told as such."""
    with pytest.raises(UsageError) as raised:
        resolve_preferences((), ("a.txt",))
    assert raised.value.hint == "there are no sources"


@given(st.text(max_size=30), st.lists(st.text(min_size=1, max_size=20), max_size=4))
@settings(max_examples=200, deadline=None)
def test_any_text_matches_or_is_refused(pattern, paths):
    """This test ensures that a pattern and names of any characters give a match or a usage error, no crash."""
    sources = [document("a\n", path) for path in paths]
    try:
        told = resolve_preferences(sources, (pattern,))
    except UsageError as error:
        assert pattern not in paths
        assert error.hint  # noqa: PT017 - a pattern may match as well
    else:
        assert told.pinned <= set(paths)
        assert told.pinned
