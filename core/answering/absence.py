"""Is the answer there at all? What can be seen of that before a model is asked."""

import re

from lctx.core.answering.backing import is_field_asked_for
from lctx.core.answering.inputs import Inputs
from lctx.core.chunking.fields import label_and_value
from lctx.core.retrieval.focus import LINE_KINDS, Sentence
from lctx.core.retrieval.identity import nameable
from lctx.core.retrieval.terms import terms

LEAST_COVERED = 0.36
"""Share of a question's terms, by rarity, that the best passage must hold (docs/benchmarks/abstention.md)."""
_NAME = re.compile(r"(?<=[\w,] )[A-Z][a-z]{2,}\b")
_MOST_OF = 1 / 3
"""Share of a question's terms that a name must be for its absence to decide."""
_NAMED = 0.5
"""Share of a question's terms that a label must hold to be the field that is asked for."""
_OWN = 0.6
"""Share of a label's own terms that the question must hold: "Visibility (RVR)" is not "visibility"."""
_LOOKED_AT = 6


def why_absent(inputs: Inputs) -> str | None:
    """One line that says why the sources do not answer the question, or None where they may."""
    ranking = inputs.ranking
    if not ranking.query.weights and not ranking.best:
        return "the question holds no word that could be looked up"
    if not inputs.focused or not ranking.best:
        return "no word of the question stands in the sources"
    if (name := _unheard_name(inputs)) is not None:
        return f"“{name}” stands nowhere in the sources"
    if (label := _blank_field(inputs)) is not None:
        return f"the field “{label}” is blank"
    if is_field_asked_for(inputs.focused[0], inputs):
        return None
    best = max(
        ranking.covered({*terms(scored.chunk.text), *terms(" ".join(scored.chunk.heading))})
        for scored in ranking.best[:_LOOKED_AT]
    )
    if best < LEAST_COVERED:
        return "no passage holds enough of what is asked"
    return None


def _unheard_name(inputs: Inputs) -> str | None:
    """A name in a short question, capitalised inside the sentence, that no source holds in any form.

    In a long question a name proves little: a speech does not name its speaker. Most of the
    names in the clause that says what it is about ("For the accident at Wausau, WI: …") prove it in any.
    """
    query = inputs.ranking.query
    said = query.weights.keys() - query.implied
    address = (inputs.question or "").rpartition(":")[0]
    names = nameable(address) if address else set()
    if names and 2 * len(names & inputs.ranking.unheard) > len(names):
        return address
    for found in _NAME.finditer(inputs.question or ""):
        name = set(terms(found[0]))
        if name and name <= inputs.ranking.unheard and len(name) >= _MOST_OF * len(said):
            return found[0]
    return None


def _blank_field(inputs: Inputs) -> str | None:
    """The label of the field that is asked for, where it was left blank."""
    asked = inputs.ranking.query.weights.keys()
    best: tuple[float, str, str] | None = None
    for sentence in inputs.focused[:_LOOKED_AT]:
        field = _field_of(sentence)
        if field is None:
            continue
        label = set(terms(field[0]))
        named = inputs.ranking.covered(label)
        is_asked = named >= _NAMED and len(label & asked) >= _OWN * len(label)
        if is_asked and (best is None or named > best[0]):
            best = named, *field
    return best[1] if best and not best[2] else None


def _field_of(sentence: Sentence) -> tuple[str, str] | None:
    """The field that a sentence is; a line of code is none: `class Cache:` is no label without a value."""
    return None if sentence.chunk.document.kind in LINE_KINDS else label_and_value(sentence.text)
