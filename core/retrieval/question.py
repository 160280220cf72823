"""A question -> what to look for, and what only says where to look.

In "For the accident at Tallahassee, FL: how old was the pilot?" the first clause addresses a file and the
second asks something of it. Ranked alike, the address would pull up the page that carries the file's name.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from lctx.core.retrieval.terms import terms

_CLAUSE = re.compile(r"(?<=[:;,?])\s+")
_ADDRESS_WEIGHT = 0.15

_IMPLIED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bhow old\b", re.IGNORECASE), "age"),
    (re.compile(r"\bwhen\b|\bwhat day\b", re.IGNORECASE), "date"),
    (re.compile(r"\bwhere\b", re.IGNORECASE), "location place"),
    (re.compile(r"\bhow (?:long|far|deep|wide|tall|high)\b", re.IGNORECASE), "length distance height"),
    (re.compile(r"\bhow (?:much|expensive)\b", re.IGNORECASE), "amount price cost"),
)
"""What English asks for without naming it. The implied word weighs as much as one that was said."""
_IMPLIED_WEIGHT = 1.0


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for.

    Attributes:
        weights: How much each term counts inside a document.
        implied: Those of its terms that the text need not hold: "how old" asks for an age, and neither word
            must stand there.
        identity: Terms that name a document rather than its content.
        asked: The question without its address, as the model should see it.
    """

    weights: dict[str, float]
    identity: frozenset[str]
    asked: str
    implied: frozenset[str] = frozenset()


def understand(question: str, identity: Collection[str] = ()) -> Query:
    """Weigh the terms of `question`.

    Args:
        question: As the user wrote it.
        identity: Those of its terms that were found to name a document (see `identity.py`).
    """
    named = frozenset(identity)
    clauses = [clause for clause in _CLAUSE.split(question.strip()) if clause]
    addressed = [any(term in named for term in terms(clause)) for clause in clauses]
    only_address = all(addressed)
    weights: dict[str, float] = {}
    for clause, is_address in zip(clauses, addressed, strict=True):
        weight = _ADDRESS_WEIGHT if is_address and not only_address else 1.0
        for term in terms(clause):
            weights[term] = max(weights.get(term, 0.0), weight)
    asking: set[str] = set()  # "how long" is no word of the text that says "for five years"
    for pattern, implied in _IMPLIED:
        if found := pattern.search(question):
            asking.update(terms(found[0]))
            for term in terms(implied):
                weights.setdefault(term, _IMPLIED_WEIGHT)
    if not named.issuperset(terms(question)):  # a question of names alone asks for what it names
        for term in named:
            weights.pop(term, None)
    implied_only = frozenset(weights).difference(terms(question)) | asking
    return Query(weights, named, _without_address(question, clauses, addressed), implied_only)


def _without_address(question: str, clauses: list[str], addressed: list[bool]) -> str:
    """The clauses after the last leading address; the whole question where nothing else remains."""
    leading = 0
    for index, is_address in enumerate(addressed[:-1]):
        if is_address:
            leading = index + 1
    rest = " ".join(clauses[leading:])
    if not leading or not rest or not terms(rest):
        return question.strip()
    return rest[0].upper() + rest[1:]
