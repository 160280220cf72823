"""A small model's answer: a few words that must stand in what it read, or the passage itself.

A model of this size copies well and invents easily. What it says is shown only where its words stand in a
sentence that answers to the question; otherwise lctx quotes the best sentence and says so.
"""

import re
from collections.abc import Iterator, Sequence

from lctx.core.answering.answer import Answer, AnswerDelta, AnswerEvent, AnswerReady
from lctx.core.answering.asking import CUT, Asked
from lctx.core.answering.backing import backing_of
from lctx.core.answering.citations import numbered, quote_of
from lctx.core.answering.coverage import coverage_of
from lctx.core.answering.inputs import Inputs
from lctx.core.answering.plan_answer import Planned
from lctx.core.answering.pool import sentences_read
from lctx.core.answering.select import announces
from lctx.core.answering.thinking import with_reasoning
from lctx.core.chunking.fields import label_and_value
from lctx.core.citing.attribute import Evidence, find_evidence
from lctx.core.citing.citation import Attribution, Citation, Support
from lctx.core.engine.events import FinishReason, TextDelta
from lctx.core.engine.protocol import Engine, Sampling
from lctx.core.errors import EngineError
from lctx.core.models.profile import PromptStyle
from lctx.core.retrieval.focus import Sentence
from lctx.core.retrieval.terms import terms

NOT_FOUND = "Not found in the sources."
_LEAST_SHARE = 0.75
"""A sentence that answers less well than this share of the best one is not where the answer stands."""
_PART_END = re.compile(r"[,;]\s+|\s[/|]\s")
_MOST_WORDS = 100
_MOST_VALUE_WORDS = 12
_QUOTED = "the model's own words stand in no source: the passage that answers best is quoted instead"


def answer_lookup(inputs: Inputs, planned: Planned, engine: Engine) -> Iterator[AnswerEvent]:
    """Ask the model, and hold its answer to what it read.

    Raises:
        EngineError: See `Asked.stream`.
    """
    asked = Asked()
    text = ""
    sampling = with_reasoning(_sampling(inputs, planned), planned, engine.window)
    for event in asked.stream(engine, planned, sampling):
        if isinstance(event, TextDelta):
            text += event.text
        else:
            yield event
    if asked.usage is None:
        raise EngineError("the engine's answer has no end: the stream was closed", "ask again")
    pool = sentences_read(inputs, planned)
    answer, citations, warnings = _held_to(_tidy(text), pool, inputs)
    if asked.reason is FinishReason.LENGTH and inputs.settings.max_tokens:
        warnings = (*warnings, CUT)
    if answer.text:
        yield AnswerDelta(answer.text)
    coverage = coverage_of(planned.plan)
    yield AnswerReady(answer, citations, coverage, asked.usage, asked.first_token_s, warnings, asked.decode_s)


def _sampling(inputs: Inputs, planned: Planned) -> Sampling:
    stop = ("\n",) if inputs.profile.style is PromptStyle.COMPLETION else ("\n\n",)
    return Sampling(planned.plan.budget.answer, seed=inputs.settings.seed, stop=stop)


def _tidy(text: str) -> str:
    """One line, without the marks that a chat model puts around a short answer."""
    return " ".join(text.split()).strip(" *`\"'")


def _held_to(
    text: str, pool: Sequence[Sentence], inputs: Inputs
) -> tuple[Answer, tuple[Citation, ...], tuple[str, ...]]:
    if text.upper().rstrip(".").startswith("NOT FOUND"):
        return Answer(NOT_FOUND, found=False, reason="the model did not find it in what it read"), (), ()
    best = _best_sentence(pool, inputs)
    evidence = find_evidence(text, pool, inputs.ranking.query.weights) if text else None
    if evidence is not None and _is_the_place(evidence, best) and _adds_something(text, inputs):
        text = _whole_value(text, evidence.sentence, inputs.question or "")
        support = backing_of(evidence.sentence, inputs)
        if support is not Support.NONE:
            citation = quote_of(evidence.sentence, (0, len(text)), support, Attribution.LCTX)
            return Answer(text, found=True), tuple(numbered([citation])), ()
    if best is None or (support := backing_of(best, inputs)) is Support.NONE:
        return Answer(NOT_FOUND, found=False, reason="no sentence that was read answers the question"), (), ()
    best = _introduced(best, pool)
    quoted = _quotable(best)
    citation = quote_of(best, (0, len(quoted)), support, Attribution.LCTX)
    return Answer(quoted, found=True), tuple(numbered([citation])), (_QUOTED,)


def _is_the_place(evidence: Evidence, best: Sentence | None) -> bool:
    """Whether the evidence is sound, and stands where the question points."""
    if evidence.support is not Support.SUPPORTED or not evidence.is_verbatim:
        return False
    if best is None:
        return True
    if label_and_value(best.text):
        # A form says one thing a field: words from any other field answer another question.
        is_same = evidence.sentence.chunk is best.chunk
        return is_same and evidence.sentence.start <= best.start < evidence.sentence.end
    return evidence.sentence.score >= _LEAST_SHARE * best.score


def _adds_something(text: str, inputs: Inputs) -> bool:
    """Whether the answer says more than the question did."""
    return not set(terms(text)) <= set(terms(inputs.question or "")) or not terms(text)


def _whole_value(text: str, sentence: Sentence, question: str) -> str:
    """The whole value of a field, where the model gave a fragment of it or one thing of the two asked for."""
    field = label_and_value(sentence.text)
    if field is None or len(field[1].split()) > _MOST_VALUE_WORDS:
        return text
    value = " ".join(field[1].split())
    is_whole_part = text in _PART_END.split(value) and " and " not in question
    return value if text in value and not is_whole_part else text


def _best_sentence(pool: Sequence[Sentence], inputs: Inputs) -> Sentence | None:
    """The sentence that answers best, passing over blank fields and headings that repeat the question."""
    ranked = sorted(pool, key=lambda sentence: -sentence.score)
    return next((one for one in ranked if one.score > 0 and _says_something(one.text, inputs)), None)


def _says_something(text: str, inputs: Inputs) -> bool:
    field = label_and_value(text)
    return bool(field[1]) if field else _adds_something(text, inputs)


def _introduced(sentence: Sentence, pool: Sequence[Sentence]) -> Sentence:
    """A sentence that ends in a colon with what it announces, where that was read; else it alone."""
    if not announces(sentence):
        return sentence
    behind = (one for one in pool if one.chunk is sentence.chunk and one.start >= sentence.end)
    following = min(behind, key=lambda one: one.start, default=sentence)
    if sentence.chunk.document.text[sentence.end : following.start].strip():
        return sentence
    return Sentence(sentence.chunk, sentence.start, following.end, sentence.score)


def _quotable(sentence: Sentence) -> str:
    """The sentence in one line; of a long one its beginning."""
    words = sentence.text.replace("\ufffe", "").split()
    return " ".join(words[:_MOST_WORDS]) + (" …" if len(words) > _MOST_WORDS else "")
