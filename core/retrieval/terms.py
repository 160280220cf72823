"""Words -> the terms that retrieval compares: stems, and compounds kept whole.

"12/08/2007" and "NYC08CA055-2" are looked up whole as well as by their parts: in forms, reports and contracts
the compound is what tells one file from the next.
"""

import re
from functools import lru_cache
from itertools import chain

import Stemmer

_STOP_WORDS_TEXT = """
a an and are as at be been but by can could did do does for from had has have he her his how i if in
into is it its may me more most my no nor not of on or our out she should so such than that the
their them then there these they this those through to too under until up very was we were what when
where which while who whom whose why will with would you your
"""
VERSION = 1
"""Of these rules: terms that were kept under others are of no use."""
STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())

# Possessive: letters and joints have nothing in common, so that to step back never finds anything.
_WORD = re.compile(r"[^\W_]++(?:[-/.:,'’&_][^\W_]++)*+")
_JOINT = re.compile(r"[-/.:,'’&_]")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_stemmer = Stemmer.Stemmer("english")


@lru_cache(maxsize=200_000)
def _terms_of_word(word: str) -> tuple[str, ...]:
    """The terms of one run of letters, digits and joints, in its original case."""
    found = []
    lowered = word.lower()
    # Most words have neither joint nor capital, and a split that finds nothing costs as much as another.
    parts = [lowered] if lowered.isalnum() else _JOINT.split(lowered)
    if len(parts) > 1 and parts[-1] not in {"s", "t"}:
        found.append(lowered)
    elif word != lowered and len(pieces := _CAMEL.split(word)) > 1:
        found.append(lowered)
        parts = [piece.lower() for piece in pieces]
    for part in parts:
        if part in STOP_WORDS or (len(part) == 1 and part.isascii() and part.isalpha()):
            continue
        found.append(_stemmer.stemWord(part))
    return tuple(found)


def terms(text: str) -> list[str]:
    """The terms of `text` in order, repeats included."""
    return list(chain.from_iterable(map(_terms_of_word, _WORD.findall(text))))


def rules_name() -> str:
    """Names all that terms depend on but the text: these rules and the stemmer's own."""
    return f"{VERSION} {Stemmer.version()}"


def is_compound(term: str) -> bool:
    """Whether a term is a whole that also stands in parts: a date, a part number, a path."""
    return _JOINT.search(term) is not None
