"""How well does a sentence answer the question that was asked? Not whether it stands there: it does."""

from lctx.core.answering.inputs import Inputs
from lctx.core.chunking.fields import label_and_value
from lctx.core.citing.citation import Support
from lctx.core.retrieval.focus import Sentence
from lctx.core.retrieval.terms import terms

_SUPPORTED, _WEAK = 0.5, 0.22
"""Shares of the question's terms, by rarity, that a sentence must hold (docs/benchmarks/abstention.md)."""
_MOST_SAID = 0.5
"""Share of a field's label that the question must say to ask for it."""


def backing_of(sentence: Sentence, inputs: Inputs) -> Support:
    """Whether `sentence` speaks of what is asked: the field that is asked for, or enough of its words."""
    if is_field_asked_for(sentence, inputs):
        return Support.SUPPORTED
    held = {*terms(sentence.text), *terms(" ".join(sentence.chunk.heading))}
    share = inputs.ranking.covered(held)
    if share >= _SUPPORTED:
        return Support.SUPPORTED
    return Support.WEAK if share >= _WEAK else Support.NONE


def is_field_asked_for(sentence: Sentence, inputs: Inputs) -> bool:
    """Whether a sentence is a field with a value, and the question says most of its label."""
    field = label_and_value(sentence.text)
    label = set(terms(field[0])) if field and field[1] else set()
    return bool(label) and len(label & inputs.ranking.query.weights.keys()) >= _MOST_SAID * len(label)
