"""Tests of cutting text into what is worth citing: a sentence of prose, a line of a form, a line of code."""

import time
from itertools import pairwise

import pytest
from answering_parts import EXAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st

from lctx.core.chunking.sentences import sentences
from lctx.core.chunking.split import split_document
from lctx.core.retrieval.focus import sentences_of
from lctx.formats.pdf import read_pdf

LONGEST = 600
HYPHEN = "\ufffe"
WORDS = st.sampled_from(
    ["The", "court", "ruled.", "No.", "7", "U.S.", "Age:", "42", "\n", "\r\n", "\n\n", "-", "(a)", '"Yes."', "28",
     "。", "pre" + HYPHEN + "served", "e.g.", "A.", "x" * 90, "\u2028", "…"]
)  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=500), st.lists(WORDS, max_size=120).map(" ".join), st.lists(WORDS).map("".join)
)


def told(text: str, *, by_line: bool = False) -> list[str]:
    return [text[start:end] for start, end in sentences(text, by_line=by_line)]


@given(TEXTS, st.booleans())
@settings(max_examples=250, deadline=None)
def test_sentences_hold_every_character_once(text, by_line):
    """This test ensures that sentences never overlap, are never empty, and leave out nothing but white space."""
    found = sentences(text, by_line=by_line)
    assert all(before[1] <= after[0] for before, after in pairwise(found))
    for start, end in found:
        assert 0 < end - start <= LONGEST
        assert text[start:end] == text[start:end].strip()
    kept = {offset for start, end in found for offset in range(start, end)}
    assert all(character.isspace() for offset, character in enumerate(text) if offset not in kept)


@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_lines_of_code_stay_by_themselves(text):
    """This test ensures that no piece of code runs over a line end."""
    assert not [piece for piece in told(text, by_line=True) if "\n" in piece or "\r" in piece]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It rained. We stayed in.", ["It rained.", "We stayed in."]),
        ("Dr. Brandt met Mr. Vell. He left.", ["Dr. Brandt met Mr. Vell.", "He left."]),
        ("The U.S. Court ruled. No. 7 fell.", ["The U.S. Court ruled.", "No. 7 fell."]),
        ("It cost 3.5 million. Cheap!", ["It cost 3.5 million.", "Cheap!"]),
        ("He said “no.” She left.", ["He said “no.”", "She left."]),
        ("The answer is no. It sank.", ["The answer is no.", "It sank."]),
        ("See No. 7 there. It sank.", ["See No. 7 there.", "It sank."]),
        ("J. R. Smith wrote it. It sold.", ["J. R. Smith wrote it.", "It sold."]),
        ("Really? Yes! And e.g. this.", ["Really?", "Yes!", "And e.g. this."]),
        ("今日は雨。家にいた。", ["今日は雨。", "家にいた。"]),
        ("Он ушёл. Она осталась.", ["Он ушёл.", "Она осталась."]),
        ("one lonely fragment", ["one lonely fragment"]),
        ("  \n\t ", []),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text, expected):
    """This test ensures that abbreviations, initials, numbers and quotes do not end a sentence, and stops do."""
    assert told(text) == expected


def test_prose_in_narrow_lines_is_read_on():
    """This test ensures that a sentence goes on over line ends, and over words that were parted at one."""
    text = (
        "In Suits at common law, where the value in controversy shall\r\n"
        f"exceed twenty dollars, the right of trial by jury shall be pre{HYPHEN}served, and no fact tried by a jury,\r\n"
        "shall be otherwise examined than according to the rules.\r\n"
        "Amendment VIII\r\n"
        "Excessive bail shall not be required, nor excessive fines im\ufffeposed.\r\n"
    )
    found = told(text)
    assert found[0].startswith("In Suits")
    assert found[0].endswith("to the rules.")
    assert found[1:] == [
        "Amendment VIII",
        "Excessive bail shall not be required, nor excessive fines im\ufffeposed.",
    ]


def test_a_page_number_joins_nothing():
    """This test ensures that a number at the foot is a line of its own, and the text around it is not one."""
    prose = "the enumeration in the Constitution, of certain rights, shall\n"
    assert told(f"{prose}28\n{prose}") == [prose.strip(), "28", prose.strip()]


def test_lines_of_a_form_stay_apart():
    """This test ensures that `Label: value` lines do not run into each other, nor into prose around them."""
    form = "Aircraft Make: CESSNA AIRCRAFT\nRegistration Number: N1234\nPilot Age: 42, Male\n"
    assert told(form) == form.strip().split("\n")


def test_a_list_is_one_entry_each():
    """This test ensures that bullets and numbers begin a sentence though the line before is long."""
    text = "- the harbour was built in eighteen hundred and seven\n- the lighthouse was drawn by Anna Brandt herself\n"
    assert told(text) == text.strip().split("\n")
    numbered = text.replace("- the h", "1. the h").replace("- the l", "(b) the l")
    assert told(numbered) == numbered.strip().split("\n")


def test_a_sentence_without_end_is_cut_where_a_clause_ends():
    """This test ensures that a quote stays something that a person can check."""
    clause = "the Party of the first part shall not assign this agreement; "
    pieces = told(clause * 40)
    assert len(pieces) > 3
    assert all(len(piece) <= LONGEST and piece.endswith("agreement;") for piece in pieces)
    assert {len(piece) for piece in told("x" * 1500)} == {600, 300}


def test_the_seventh_amendment_is_one_sentence():
    """This test ensures that a sentence of the sample's page 28 is whole, hyphenated words and line ends included."""
    source = read_pdf("constitution.pdf", (EXAMPLES / "constitution.pdf").read_bytes())
    found = [sentence for chunk in split_document(source) for sentence in sentences_of(chunk)]
    (seventh,) = [one for one in found if "Suits at common law" in one.text]
    assert seventh.text.startswith(
        "In Suits at common law, where the value in controversy shall\r\nexceed twenty"
    )
    assert seventh.text.endswith("rules of the common law.")
    assert seventh.chunk.document.locate(seventh.start, seventh.end).pages == (28, 28)
    assert "28" in {one.text for one in found if one.chunk.location.pages == (28, 28)}


@pytest.mark.parametrize("piece", [". ", '."', "A: ", " \n", "\ufffe", ".\n", "- ", "([a-z]. "])
def test_a_hostile_chunk_is_cut_in_no_time(piece):
    """This test ensures that no pattern runs away on text that was written against it."""
    begun = time.monotonic()
    sentences(piece * (20_000 // len(piece)))
    assert time.monotonic() - begun < 5
