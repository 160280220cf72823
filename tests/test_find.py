"""Finding a quote in a document: every place, over line ends, hyphens, ligatures and pages, and what comes near."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lctx.core.citing import find
from lctx.core.citing.find import is_searchable, matches_of, nearest_of
from lctx.core.citing.squeeze import squeeze
from lctx.core.document import Block, Document, Location, Span


def document(text: str, *blocks: Block) -> Document:
    spans = (Span(0, len(text), Location(), first_line=1),) if text else ()
    return Document("a.txt", "text", "text/1", "0" * 64, text, spans, blocks)


def found(quote: str, text: str, *blocks: Block) -> list[str]:
    return [text[one.start : one.end] for one in matches_of(quote, document(text, *blocks))]


@pytest.mark.parametrize(
    ("quote", "text", "places"),
    [
        ("three hundred", "Pay three\n  hundred, or three hundred.", ["three\n  hundred", "three hundred"]),
        ("termination", "the termi-\nnation of it", ["termi-\nnation"]),
        ("termination", "the termi\ufffenation of it", ["termi\ufffenation"]),
        ("first office", "The \ufb01rst of\ufb01ce.", ["\ufb01rst of\ufb01ce"]),
        ("the 'agreement'", "in the \u2018agreement\u2019 of", ["the \u2018agreement\u2019"]),
        ("co\u00adoperate", "they cooperate", ["cooperate"]),
        ("caf\u00e9 noir", "a caf\u00e9\nnoir", ["caf\u00e9\nnoir"]),
        ("cafe\u0301", "a cafe\u0301 here", ["cafe\u0301"]),
        ("Three", "three", []),
        ("a", "banana", ["a", "a", "a"]),
        ("-3 degrees", "at -3 degrees", ["-3 degrees"]),
        ("\u5408\u540c", "\u672c\u5408\u540c", ["\u5408\u540c"]),
        ("nowhere", "", []),
    ],
)
def test_a_quote_is_found_however_it_was_set(quote, text, places):
    """This test ensures that spaces, hyphens, ligatures and quote marks make no difference, and letters do."""
    assert found(quote, text) == places


def test_a_quote_runs_over_a_pages_end():
    """This test ensures that a running header between two halves of a sentence is passed over."""
    text = "The fee is due thirty\nAgreement  7\ndays after receipt."
    header = Block("furniture", 22, 35)
    assert found("thirty days after", text, header) == ["thirty\nAgreement  7\ndays after"]
    assert found("Agreement 7", text, header) == ["Agreement  7"]
    assert found("thirty days after", text) == []


def test_every_place_of_a_large_text_is_found_once(monkeypatch):
    """This test ensures that a place on the seam of two windows is neither lost nor told twice."""
    monkeypatch.setattr(find, "_WINDOW", 50)
    text = "".join(f"line {number} holds the needle here\n" for number in range(100))
    assert found("the needle here\nline", text) == ["the needle here\nline"] * 99
    near = nearest_of("line 42 holds the neddle here", document(text))
    assert near is not None
    assert text[near.start : near.end] == "line 42 holds the needle here"


def test_what_comes_near_has_its_share():
    """This test ensures that a near quote is told with how near it is, in whole words, and a far one not at all."""
    text = "Late payments bear interest at four per cent a year above the base rate."
    near = nearest_of("Late payment bears interest at four percent a yearr", document(text))
    assert near is not None
    assert 0.85 <= near.share < 1
    assert text[near.start : near.end].startswith("Late payments bear interest")
    assert text[near.end - 4 : near.end] == "year"
    assert nearest_of("The moon is made of green cheese, they say", document(text)) is None
    assert nearest_of("rates", document(text)) is None
    assert nearest_of(text * 2, document(text)) is None


def test_a_quote_without_a_word_is_no_quote():
    """This test ensures that white space and invisible characters are not looked for."""
    assert not is_searchable(" \n\u00ad\u200b")
    assert is_searchable("7")
    with pytest.raises(ValueError, match="without a character"):
        matches_of(" ", document("text"))


@given(
    st.text("aeo\u00e9\ufb01f -\n\u00ad\u0301\u2019'", max_size=60), st.integers(0, 60), st.integers(1, 12)
)
def test_what_the_text_holds_is_found(text, start, length):
    """This test ensures that the quick look before the search never says no where the quote stands."""
    quote = text[start : start + length]
    wanted = squeeze(quote).text
    if not wanted or wanted not in squeeze(text).text:
        return
    places = matches_of(quote, document(text))
    assert places
    assert all(wanted in squeeze(text[one.start : one.end]).text for one in places)
