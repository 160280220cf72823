"""Which document does the question name? Files of one form differ only in the few words that name them.

A question's term names a document when few of the documents hold it, and it stands where a document says what
it is: in its path or among its first lines. Such terms choose the document; inside it they would only pull up
the first page.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lctx.core.document import Document
from lctx.core.retrieval.terms import terms

_MARKED = re.compile(r"[A-Z0-9]")
FIRST_CHARS = 1_200
"""Where a document says what it is."""
_ELSEWHERE_WEIGHT = 0.6
_CODE = frozenset({"code", "diff"})


@dataclass(frozen=True, slots=True)
class Identity:
    """How well each document answers to the names in the question.

    Attributes:
        scores: One per document, 0 where nothing in the question speaks for it.
        terms: The question's terms that name the best document.
    """

    scores: tuple[float, ...]
    terms: frozenset[str]


def nameable(question: str) -> set[str]:
    """The terms that may be a name: of words with a capital or a digit, where the question has any."""
    marked = [word for word in question.split() if _MARKED.search(word)]
    return set(terms(" ".join(marked) if marked else question))


def _front_of(document: Document) -> str:
    """The text in which a document says what it is; code does not: the names at its top are its content."""
    return "" if document.kind in _CODE else document.text[:FIRST_CHARS]


def identify(question: str, documents: Sequence[Document], holders: dict[str, set[int]]) -> Identity:
    """Score `documents` by the question's rarer terms.

    Args:
        question: As the user wrote it.
        documents: The sources, in order.
        holders: For each term of the question, the positions of the documents that hold it.
    """
    total = len(documents)
    asked = set(terms(question))
    fronts = [set(terms(f"{document.path} {_front_of(document)}")) for document in documents]
    if total < 2:  # noqa: PLR2004 - one document needs no telling apart, but may be addressed all the same
        address = question.rpartition(":")[0]
        named = nameable(address).intersection(*fronts) if fronts and address else ()
        return Identity((0.0,) * total, frozenset(named))
    scores = [0.0] * total
    for term in asked:
        held = holders.get(term, set()) | {position for position, front in enumerate(fronts) if term in front}
        if not held or len(held) > total / 2:
            continue
        weight = math.log(1 + (total - len(held) + 0.5) / (len(held) + 0.5))
        for position in held:
            scores[position] += weight * (1.0 if term in fronts[position] else _ELSEWHERE_WEIGHT)
    best = max(range(total), key=scores.__getitem__)
    names = frozenset(
        term
        for term in nameable(question) & fronts[best]
        if len(holders.get(term, set()) | {p for p, front in enumerate(fronts) if term in front}) <= total / 2
    )
    return Identity(tuple(scores), names if scores[best] > 0 else frozenset())
