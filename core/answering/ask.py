"""The story of one question: plan, ask, check, account for what was read."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from lctx.core.answering.absence import why_absent
from lctx.core.answering.answer import Answer, AnswerEvent, AnswerReady, PlanReady
from lctx.core.answering.cited import answer_with_citations
from lctx.core.answering.coverage import coverage_of_nothing
from lctx.core.answering.inputs import AskSettings, Inputs, Unseen
from lctx.core.answering.intent import capability_needed
from lctx.core.answering.lookup import NOT_FOUND, answer_lookup
from lctx.core.answering.other_windows import other_windows
from lctx.core.answering.passages import show_passages
from lctx.core.answering.plan_answer import plan_answer
from lctx.core.answering.strategies import Costing
from lctx.core.document import Document
from lctx.core.engine.protocol import Engine
from lctx.core.errors import UsageError
from lctx.core.models.profile import ModelProfile
from lctx.core.planning.kv_cache import KvDtype
from lctx.core.planning.plan import ContextPlan
from lctx.core.storage import ByteCache
from lctx.core.tokens.tokenizer import Tokenizer

__all__ = ["AskSettings", "answer_question", "plan_inputs", "plan_question"]


def plan_question(
    question: str | None,
    documents: Sequence[Document],
    *,
    profile: ModelProfile,
    tokenizer: Tokenizer,
    cache: ByteCache,
    settings: AskSettings,
    costing: Costing | None = None,
    kv_dtype: KvDtype = KvDtype.BF16,
) -> ContextPlan:
    """What would enter the window, what would stay out and why; no engine is needed.

    Args:
        question: As the user wrote it, or None.
        documents: The sources, in order.
        profile: The model's.
        tokenizer: That model's.
        cache: Where counts are kept.
        settings: What the user decided.
        costing: For seconds, energy and price, or None where the device is not known.
        kv_dtype: What the engine keeps the KV cache as.

    Raises:
        DoesNotFitError: The question, or `full` where it was asked for, does not fit.
    """
    return plan_inputs(Inputs(question, documents, profile, tokenizer, cache, settings), costing, kv_dtype)


def plan_inputs(
    inputs: Inputs, costing: Costing | None = None, kv_dtype: KvDtype = KvDtype.BF16
) -> ContextPlan:
    """The same for inputs that are there already; see `plan_question`."""
    planned = plan_answer(inputs, costing, kv_dtype)
    return replace(planned.plan, other_windows=other_windows(planned))


def answer_question(
    question: str,
    documents: Sequence[Document],
    *,
    profile: ModelProfile,
    tokenizer: Tokenizer,
    cache: ByteCache,
    settings: AskSettings,
    engine: Callable[[], Engine],
    unseen: Unseen | None = None,
) -> Iterator[AnswerEvent]:
    """Answer `question` from `documents`, as a stream of events; the last is an `AnswerReady`.

    Nothing reaches the engine before the plan stands, and nothing at all where the sources plainly hold no
    answer, or where the model was not measured to answer such a question. Closing the iterator aborts the
    request.

    Args:
        question: As the user wrote it.
        documents: The sources, in order.
        profile: Of the model that the engine serves.
        tokenizer: That model's.
        cache: Where counts are kept.
        settings: What the user decided.
        engine: Gives the engine, waiting for it where it still loads.
        unseen: Asked of the pages that would enter the prompt, or None where nothing has to be looked at.

    Raises:
        UsageError: An empty question.
        DoesNotFitError: See `plan_question`.
        EngineError: The engine failed.
    """
    if not question.strip():
        raise UsageError("the question is empty: there is nothing to look for", "ask something")
    inputs = Inputs(question, documents, profile, tokenizer, cache, settings, unseen)
    planned = plan_answer(inputs)
    inputs = planned.situation.inputs  # without what turned out to be hidden
    yield PlanReady(planned.plan)
    needed = capability_needed(question)
    if needed not in profile.capabilities:
        yield show_passages(inputs, planned, needed)
    elif planned.passages and not inputs.is_lookup_only:
        yield from answer_with_citations(inputs, planned, engine())
    elif (why := why_absent(inputs)) is not None:
        coverage = coverage_of_nothing(planned.plan, inputs.documents, f"no model was asked: {why}")
        yield AnswerReady(Answer(NOT_FOUND, found=False, reason=why), (), coverage, None, None)
    else:
        yield from answer_lookup(inputs, planned, engine())
