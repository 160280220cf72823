"""The fast way from words to terms gives what the plain way gives."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from lctx.core.retrieval.terms import STOP_WORDS, terms

_PIECES = (
    "Pump",
    "readFile",
    "12/08/2007",
    "Brandt’s",
    "a",
    "the",
    "ß",
    "İ",
    "Ⅷ",
    "٣",
    "e\u0301",
    "_",
    "-",
    "/",
    "'s",
    " ",
    "\n",
)


def plain_terms(text: str) -> list[str]:
    """Terms by the rules alone, every word split both ways."""
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    found: list[str] = []
    for match in re.finditer(r"[^\W_]+(?:[-/.:,'’&_][^\W_]+)*", text):
        word = match.group()
        parts = re.split(r"[-/.:,'’&_]", word.lower())
        pieces = re.split(r"(?<=[a-z0-9])(?=[A-Z])", word)
        if len(parts) > 1 and parts[-1] not in {"s", "t"}:
            found.append(word.lower())
        elif len(pieces) > 1:
            found.append(word.lower())
            parts = [piece.lower() for piece in pieces]
        found += [
            stemmer.stemWord(part)
            for part in parts
            if part not in STOP_WORDS and not (len(part) == 1 and part.isascii() and part.isalpha())
        ]
    return found


@given(st.one_of(st.text(max_size=80), st.lists(st.sampled_from(_PIECES), max_size=12).map("".join)))
@settings(max_examples=400, deadline=None)
def test_terms_are_those_of_the_plain_rules(text):
    """This test ensures that neither the possessive pattern nor a split that is saved changes any term."""
    assert terms(text) == plain_terms(text)
