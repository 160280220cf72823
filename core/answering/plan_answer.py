"""From a question and its sources to a plan and a prompt; nothing has been sent when they stand."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from lctx.core.answering.inputs import Inputs
from lctx.core.answering.layout import ChatLayout, CompletionLayout, LaidOut, Layout, Passage
from lctx.core.answering.select import (
    CHUNK_TOKENS,
    SENTENCE_TOKENS,
    Selection,
    chunk_label,
    select_all,
    select_best,
    select_nothing,
)
from lctx.core.errors import DoesNotFitError, UsageError
from lctx.core.models.profile import PromptStyle
from lctx.core.planning.kv_cache import kv_cache_bytes
from lctx.core.planning.plan import ContextBudget, ContextPlan, StrategyEstimate
from lctx.core.storage import directories, local_secret
from lctx.core.tokens.template import load_chat_template

STRATEGIES = ("full", "retrieve")
_LOOKUP_ANSWER, _CITED_ANSWER = 48, 768
"""Tokens kept for an answer of a few words, and for cited sentences."""
_BOS = ("<bos>", "<s>")
_DEAR = 2
"""How many times the prompt of the best sentences a small model may be given to read all: more of it makes no
better answer (docs/benchmarks/ntsb.md)."""
_NO_QUESTION = "which passages enter depends on the question"


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with the prompt that it is the plan of.

    Attributes:
        plan: To the token.
        laid_out: The prompt; without passages where there is no question to choose them by.
        passages: What the model reads, in prompt order.
    """

    plan: ContextPlan
    laid_out: LaidOut
    passages: tuple[Passage, ...]


def layout_of(inputs: Inputs) -> Layout:
    """The layout that the model was made for."""
    profile, tokenizer = inputs.profile, inputs.tokenizer
    if profile.style is PromptStyle.COMPLETION:
        known = (tokenizer.special(name) for name in _BOS) if profile.add_bos else ()
        return CompletionLayout(tokenizer, next((one for one in known if one is not None), None))
    template = load_chat_template(profile, directories().cache) if profile.path else None
    named = "".join(document.sha256 for document in inputs.documents).encode()
    fence = hashlib.blake2b(named, key=local_secret(), digest_size=6).hexdigest()
    return ChatLayout(tokenizer, template, profile.add_bos, fence, brief=inputs.is_lookup_only)


def plan_answer(inputs: Inputs) -> Planned:
    """Choose a strategy, select what it reads, and lay out the prompt.

    Raises:
        DoesNotFitError: The question, or `full` where the user asked for it, does not fit the window; or not
            one of the passages that match does.
        UsageError: A strategy that does not exist.
    """
    layout = layout_of(inputs)
    bare = layout.lay_out((), inputs.question or "")
    answer = inputs.settings.max_tokens or (_LOOKUP_ANSWER if inputs.is_lookup_only else _CITED_ANSWER)
    empty = ContextBudget(inputs.window, bare.instructions, bare.question, answer)
    empty.require_room()
    estimates = _estimates(inputs, layout, bare, empty)
    strategy, why = _choose(inputs, estimates, empty.sources)
    selection = _select(inputs, layout, strategy, empty.sources)
    if not selection.passages and inputs.question is not None and inputs.focused:
        raise _too_narrow(inputs, empty.sources)
    laid_out = layout.lay_out(selection.passages, inputs.question or "")
    budget = _budget(inputs, laid_out, answer)
    shape = inputs.profile.shape
    plan = ContextPlan(
        strategy=strategy,
        why=why,
        budget=budget,
        included=tuple(passage.piece for passage in selection.passages),
        omitted=selection.omitted,
        prompt_tokens=laid_out.num_tokens,
        exact=laid_out.exact,
        kv_cache_bytes=kv_cache_bytes(shape, laid_out.num_tokens + answer) if shape else None,
        estimates=estimates,
    )
    return Planned(plan, laid_out, selection.passages)


def _budget(inputs: Inputs, laid_out: LaidOut, answer: int) -> ContextBudget:
    """The window as it is divided; what `--budget` leaves unused is its margin."""
    open_ended = ContextBudget(inputs.window, laid_out.instructions, laid_out.question, answer)
    if open_ended.sources < laid_out.sources:
        raise _too_long(inputs, laid_out.sources, open_ended.sources)
    budget = inputs.settings.budget
    margin = max(open_ended.sources - budget, 0) if budget is not None else 0
    return ContextBudget(inputs.window, laid_out.instructions, laid_out.question, answer, margin)


def _select(inputs: Inputs, layout: Layout, strategy: str, room: int) -> Selection:
    if strategy == "full":
        return select_all(inputs)
    if inputs.question is None:
        return select_nothing(inputs, _NO_QUESTION)
    return select_best(inputs, layout, room)


def _estimates(
    inputs: Inputs, layout: Layout, bare: LaidOut, empty: ContextBudget
) -> tuple[StrategyEstimate, ...]:
    """What each strategy would make the model read."""
    room = min(empty.sources, inputs.settings.budget or empty.sources)
    labels = sum(_label_costs(inputs, layout)) if inputs.num_tokens <= room else 0
    all_tokens = inputs.num_tokens + labels
    fits = all_tokens <= room
    full = StrategyEstimate(
        "full",
        fits,
        bare.num_tokens + all_tokens,
        f"all {inputs.num_tokens:,} tokens fit"
        if fits
        else f"{inputs.num_tokens:,} tokens, room for {room:,}",
    )
    most = SENTENCE_TOKENS if inputs.is_lookup_only else CHUNK_TOKENS
    reads = min(room, inputs.settings.budget or most, inputs.num_tokens)
    some = StrategyEstimate(
        "retrieve", True, bare.num_tokens + reads, f"the best {reads:,} of {inputs.num_tokens:,} tokens"
    )
    return full, some


def _label_costs(inputs: Inputs, layout: Layout) -> Sequence[int]:
    if inputs.is_lookup_only:
        return [layout.label_tokens("")] * len(inputs.chunks)
    return [layout.label_tokens(chunk_label(number, chunk)) for number, chunk in enumerate(inputs.chunks)]


def _choose(inputs: Inputs, estimates: Sequence[StrategyEstimate], room: int) -> tuple[str, str]:
    """The strategy and one line of why."""
    full, some = estimates
    wanted = inputs.settings.strategy
    if wanted is not None and wanted not in STRATEGIES:
        known = ", ".join(STRATEGIES)
        raise UsageError(f"--strategy {wanted}: there is no such strategy", f"take one of {known}")
    if wanted == "full" and not full.fits:
        raise _too_long(inputs, inputs.num_tokens, min(room, inputs.settings.budget or room))
    if wanted is not None:
        return wanted, f"asked for; {full.why if wanted == 'full' else some.why}"
    if full.fits and inputs.is_lookup_only and full.prompt_tokens > _DEAR * some.prompt_tokens:
        return (
            "retrieve",
            f"reads {some.why}: a look-up needs no more, and all would cost {_times(full, some)}",
        )
    if full.fits:
        return "full", f"{full.why} what {inputs.profile.name} was measured to answer over"
    return "retrieve", f"{full.why}: reads {some.why}"


def _times(one: StrategyEstimate, other: StrategyEstimate) -> str:
    return f"{one.prompt_tokens / other.prompt_tokens:.0f} times the prompt"


def _too_long(inputs: Inputs, needed: int, room: int) -> DoesNotFitError:
    per_document: dict[str, int] = {}
    for chunk, count in zip(inputs.chunks, inputs.counts, strict=True):
        per_document[chunk.document.path] = per_document.get(chunk.document.path, 0) + count
    small = [path for path, count in sorted(per_document.items(), key=lambda row: row[1]) if count <= room]
    remedy = "--strategy retrieve reads the passages that match the question"
    if inputs.settings.budget == room:
        remedy = f"raise --budget; {remedy}"
    if small and len(per_document) > 1:
        remedy += f"; {small[-1]} alone would fit"
    what = f"the sources do not fit: {needed:,} tokens, room for {room:,} in a window of {inputs.window:,}"
    return DoesNotFitError(what, remedy)


def _tokens(count: int) -> str:
    return f"{count:,} token" + ("" if count == 1 else "s")


def _too_narrow(inputs: Inputs, room: int) -> DoesNotFitError:
    """A model that reads nothing of the sources would answer from what it was trained on."""
    budget = inputs.settings.budget
    if budget is not None and budget < room:
        return DoesNotFitError(
            f"no passage that matches the question fits: --budget leaves {_tokens(budget)}",
            "raise --budget, or leave it out",
        )
    return DoesNotFitError(
        f"no passage that matches the question fits: {room:,} tokens are left for sources in a window of "
        f"{inputs.window:,}",
        "lower --max-tokens, leave out --budget, or choose a model with a larger window",
    )
