"""A capable model's answer: sentences as they stream, and the ids that it cites, checked at the end."""

from collections.abc import Iterator

from lctx.core.answering.answer import Answer, AnswerDelta, AnswerEvent, AnswerReady
from lctx.core.answering.asking import CUT, Asked
from lctx.core.answering.checking import check_answer
from lctx.core.answering.citations import numbered
from lctx.core.answering.coverage import coverage_of
from lctx.core.answering.inputs import Inputs
from lctx.core.answering.markers import MarkerFilter
from lctx.core.answering.plan_answer import Planned
from lctx.core.answering.thinking import with_reasoning
from lctx.core.engine.events import FinishReason, TextDelta
from lctx.core.engine.protocol import Engine, Sampling
from lctx.core.errors import EngineError

_NOT_FOUND = "NOT FOUND"
_SOFTENED = frozenset({"not found", "not found in the sources"})


def answer_with_citations(inputs: Inputs, planned: Planned, engine: Engine) -> Iterator[AnswerEvent]:
    """Ask the model, pass its text on as it comes, then tie each sentence to what it cited.

    Raises:
        EngineError: See `Asked.stream`.
    """
    asked, markers = Asked(), MarkerFilter()
    sampling = Sampling(planned.plan.budget.answer, seed=inputs.settings.seed)
    sampling = with_reasoning(sampling, planned, engine.window)
    text = ""
    for event in asked.stream(engine, planned, sampling):
        if not isinstance(event, TextDelta):
            yield event
        elif more := markers.feed(event.text):
            text += more
            # "NOT FOUND" is a signal, not an answer: hold back what may still become it.
            if not _NOT_FOUND.startswith(text.strip()[: len(_NOT_FOUND)].upper()):
                yield AnswerDelta(text[markers.passed_on :])
                markers.passed_on = len(text)
    text += markers.finish()
    if asked.usage is None:
        raise EngineError("the engine's answer has no end: the stream was closed", "ask again")
    ready = _ready(inputs, planned, text, markers, asked)
    if ready.answer.found and len(text) > markers.passed_on:
        yield AnswerDelta(text[markers.passed_on :])
    yield ready


def _ready(inputs: Inputs, planned: Planned, text: str, markers: MarkerFilter, asked: Asked) -> AnswerReady:
    coverage = coverage_of(planned.plan)
    if _says_not_found(text):
        why = "the model did not find it in what it read"
        answer = Answer("Not found in the sources.", found=False, reason=why)
        return AnswerReady(answer, (), coverage, asked.usage, asked.first_token_s, decode_s=asked.decode_s)
    citations, unknown = check_answer(inputs, planned, text, markers)
    warnings = (
        [f"the model cited {len(unknown)} ids that it was not given: {', '.join(unknown)}"] if unknown else []
    )
    if asked.reason is FinishReason.LENGTH:
        warnings.append(CUT)
    return AnswerReady(
        Answer(text, found=True),
        tuple(numbered(citations)),
        coverage,
        asked.usage,
        asked.first_token_s,
        tuple(warnings),
        asked.decode_s,
    )


def _says_not_found(text: str) -> bool:
    """Whether an answer is the signal, as it was asked for or as models soften it; silence is one too."""
    said = text.strip()
    return not said or said.startswith(_NOT_FOUND) or said.rstrip(".").casefold() in _SOFTENED
