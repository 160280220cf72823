"""Tests of taking ids out of a stream: the text is the same however the stream is cut, and no id shows."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lctx.core.answering.markers import MarkerFilter

PIECES = st.sampled_from(
    ["A claim.", " ", "[S1]", "[S2, S30]", "[S4][S5]", "[", "]", "S", "7", "[S", "[s1]", "[ S8 ;S9 ]", "[note]",
     "main.py:12", "\n", "\t", ",", "[S1", "[S12345678]", "é", ";", "  [S3]"]
)  # fmt: skip
TEXTS = st.one_of(st.lists(PIECES, max_size=25).map("".join), st.text("[S1], ", max_size=60))


def filtered(*deltas: str) -> tuple[str, list[str], MarkerFilter]:
    markers = MarkerFilter()
    shown = [markers.feed(delta) for delta in deltas]
    shown.append(markers.finish())
    return "".join(shown), shown, markers


def numbers(markers: MarkerFilter) -> list[tuple[int, int]]:
    return [(end, number) for end in range(400) for number in markers.between(end - 1, end)]


@given(TEXTS, st.data())
@settings(max_examples=400, deadline=None)
def test_text_and_ids_do_not_depend_on_the_cuts(text, data):
    """This test ensures that tokens may end anywhere, even inside an id."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=12)) | {0, len(text)})
    deltas = [text[start:end] for start, end in pairwise(cuts)]
    whole, _, once = filtered(text)
    streamed, _, cut = filtered(*deltas)
    assert streamed == whole
    assert numbers(cut) == numbers(once)


@given(TEXTS)
@settings(max_examples=150, deadline=None)
def test_nothing_but_ids_is_taken_out(text):
    """This test ensures that every other character of an answer is passed on, in its order."""
    shown, _, _ = filtered(*text)
    rest = iter(text)
    assert all(character in rest for character in shown)
    removed = len(text) - len(shown)
    assert removed == sum(map(len, re.findall(r"[ \t]*\[\s*S\d{1,7}(?:\s*[,;]?\s*S\d{1,7})*\s*\]", text)))


@pytest.mark.parametrize(
    ("text", "shown", "found"),
    [
        ("It is blue [S1]. It is old [S2].", "It is blue. It is old.", [(10, 1), (21, 2)]),
        ("It is blue. [S1] It is old. [S2]", "It is blue. It is old.", [(11, 1), (22, 2)]),
        ("Both [S1, S3; S1].", "Both.", [(4, 1), (4, 3)]),
        ("Both [S1][S2]", "Both", [(4, 1), (4, 2)]),
        ("[S7] It is blue.", " It is blue.", [(0, 7)]),
        ("see main.py:[12] and [1]", "see main.py:[12] and [1]", []),
        ("an [S", "an [S", []),
        ("", "", []),
    ],
)
def test_ids_are_known_by_where_they_stood(text, shown, found):
    """This test ensures that an id is tied to the end of the text before it, and other brackets stay."""
    told, _, markers = filtered(*text)
    assert (told, numbers(markers)) == (shown, found)


def test_text_is_passed_on_as_soon_as_it_can_be():
    """This test ensures that a reader waits for nothing but what may still become an id."""
    markers = MarkerFilter()
    assert [markers.feed(part) for part in ("It is", " blue", " [", "S1", "]", ".", " [no")] == [
        "It is", " blue", "", "", "", ".", " [no",
    ]  # fmt: skip


def test_a_long_list_of_ids_is_taken_out_of_a_stream():
    """This test ensures that an answer that cites everything it was given shows none of it."""
    many = ", ".join(f"S{number}" for number in range(1, 60))
    shown, parts, markers = filtered("All of them", *f" [{many}]", ".")
    assert shown == "All of them."
    assert len(markers.between(0, 11)) == 59
    assert not any("S" in part for part in parts)


def test_an_open_bracket_does_not_hold_the_answer_for_ever():
    """This test ensures that a model that opens a bracket and goes on is shown while it goes on."""
    markers = MarkerFilter()
    markers.feed("[S1 ")
    assert any(markers.feed("S1, ") for _ in range(200))
