"""Tests of squeezing: what typesetting adds goes away, and the way back is kept."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lctx.core.citing.squeeze import squeeze

ALPHABET = "aB1-é \n\r\t\u00ad\ufffe\u200b‘’“”«»‐‑−ﬁ①Ａ㎏…𝄞\u0301\ud800"
TEXTS = st.one_of(st.text(max_size=200), st.text(ALPHABET, max_size=120))
WORDS = st.lists(st.text("abcdefgh", min_size=1, max_size=9), min_size=1, max_size=20)


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_each_character_has_its_place(text):
    """This test ensures that there is one place for each character, in order, and never white space among them."""
    squeezed = squeeze(text)
    assert len(squeezed.places) == len(squeezed.text)
    assert list(squeezed.places) == sorted(squeezed.places)
    assert all(0 <= place < len(text) for place in squeezed.places)
    assert not any(character.isspace() for character in squeezed.text)


@given(TEXTS, st.data())
@settings(max_examples=300, deadline=None)
def test_every_stretch_leads_back(text, data):
    """This test ensures that the original of any squeezed stretch says that stretch again."""
    squeezed = squeeze(text)
    if not squeezed.text:
        return
    start = data.draw(st.integers(0, len(squeezed.text) - 1))
    end = data.draw(st.integers(start + 1, len(squeezed.text)))
    first, last = squeezed.original(start, end)
    # A ligature squeezes to two characters: half of it has the whole for its original.
    assert squeezed.text[start:end] in squeeze(text[first:last]).text


@given(WORDS, st.data())
@settings(max_examples=100, deadline=None)
def test_typesetting_does_not_matter(words, data):
    """This test ensures that line ends, soft hyphens, parted words and wide spaces change nothing."""
    plain = " ".join(words)
    gap = st.sampled_from([" ", "\r\n", "\u00a0", "  \n ", "\t"])
    inside = st.sampled_from(["", "\u00ad", "\ufffe", "-\n", "-\r\n", "\u200b"])
    typeset = ""
    for word in words:
        cut = data.draw(st.integers(0, len(word)))
        joint = data.draw(inside) if 0 < cut < len(word) else ""
        typeset += word[:cut] + joint + word[cut:] + data.draw(gap)
    assert squeeze(typeset).text == squeeze(plain).text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("“It’s ‘done’”", "\"It's 'done'\""),
        ("«oui»", '"oui"'),
        ("well-known", "wellknown"),
        ("well‑known", "well-\nknown"),
        ("ofﬁce", "office"),
        ("Ａ１", "A1"),
        ("−5", "-5"),
    ],
)
def test_shapes_of_the_same_words_are_equal(one, other):
    """This test ensures that quote marks, hyphens, ligatures and full-width letters are told by what they say."""
    assert squeeze(one).text == squeeze(other).text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("-5", "5"),
        ("1-2", "12"),
        ("Age", "age"),
        ("no", "not"),
        ("a.b", "ab"),
        ("résumé", "resume"),
        ("x²y", "xy"),
    ],
)
def test_what_says_something_else_stays_apart(one, other):
    """This test ensures that signs, digits, letter case, stops and accents are never squeezed away."""
    assert squeeze(one).text != squeeze(other).text


def test_a_million_characters_are_squeezed_in_time():
    """This test ensures that hyphens before long white space do not make it quadratic."""
    assert len(squeeze("a-" + " " * 200_000 + "a- \n" * 50_000).text) >= 50_000
