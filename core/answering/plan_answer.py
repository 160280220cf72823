"""From a question and its sources to a plan and a prompt; nothing has been sent when they stand."""

import hashlib
from dataclasses import dataclass, replace

from lctx.core.answering.inputs import Inputs
from lctx.core.answering.layout import ChatLayout, CompletionLayout, LaidOut, Layout, Passage
from lctx.core.answering.remedy import label_of
from lctx.core.answering.select import require_pins_fit
from lctx.core.answering.strategies import (
    STRATEGIES,
    Costing,
    Situation,
    Strategy,
    estimates_of,
    strategy_called,
)
from lctx.core.answering.unseen import hidden_warnings, without_unseen
from lctx.core.errors import DoesNotFitError, UsageError
from lctx.core.models.profile import PromptStyle
from lctx.core.planning.kv_cache import KvDtype, kv_cache_bytes
from lctx.core.planning.plan import ContextBudget, ContextPlan
from lctx.core.planning.strategy import StrategyEstimate, choose_strategy
from lctx.core.planning.window import Window, choose_window
from lctx.core.storage import directories, local_secret
from lctx.core.tokens.template import load_chat_template

_LOOKUP_ANSWER, _CITED_ANSWER = 48, 768
"""Tokens kept for an answer of a few words, and for cited sentences."""
_BOS = ("<bos>", "<s>")


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with the prompt that it is the plan of.

    Attributes:
        plan: To the token.
        laid_out: The prompt; without passages where there is no question to choose them by.
        passages: What the model reads, in prompt order.
        situation: What it was planned in.
    """

    plan: ContextPlan
    laid_out: LaidOut
    passages: tuple[Passage, ...]
    situation: Situation


def layout_of(inputs: Inputs) -> Layout:
    """The layout that the model was made for."""
    profile, tokenizer = inputs.profile, inputs.tokenizer
    if profile.style is PromptStyle.COMPLETION and tokenizer.exact:
        known = (tokenizer.special(name) for name in _BOS) if profile.add_bos else ()
        return CompletionLayout(tokenizer, next((one for one in known if one is not None), None))
    # An estimate has no ids to put a template's tokens between: its layout is that of a served model.
    is_rendered = profile.path is not None and tokenizer.exact
    template = load_chat_template(profile, directories().cache) if is_rendered else None
    named = "".join(document.sha256 for document in inputs.documents).encode()
    fence = hashlib.blake2b(named, key=local_secret(), digest_size=6).hexdigest()
    return ChatLayout(tokenizer, template, profile.add_bos, fence, brief=inputs.is_lookup_only)


def plan_answer(inputs: Inputs, costing: Costing | None = None, kv_dtype: KvDtype = KvDtype.BF16) -> Planned:
    """Choose a window and a strategy, select what it reads, and lay out the prompt.

    The pages that enter it are looked at before it stands: what cannot be seen on them is left out, and
    another plan is made without it.

    Args:
        inputs: The question, its sources and the model.
        costing: For seconds and price, or None where nobody looks at them.
        kv_dtype: What the engine keeps the KV cache as.

    Raises:
        DoesNotFitError: The question, or `full` where the user asked for it, does not fit the window; or not
            one of the passages that match does; or the window is out of the model's reach.
        UsageError: A strategy that does not exist.
    """
    looked_at: list[set[int]] = [set() for _ in inputs.documents]
    while True:
        planned = _plan_as_known(inputs, costing, kv_dtype)
        screened = without_unseen(inputs, planned.plan.included, looked_at)
        if screened is inputs:
            return planned
        inputs = screened


def _plan_as_known(inputs: Inputs, costing: Costing | None, kv_dtype: KvDtype) -> Planned:
    """A plan by what is known to be hidden by now."""
    inputs.preferences  # noqa: B018 - a misspelt pin is told before anything else
    layout = layout_of(inputs)
    bare = layout.lay_out((), inputs.question or "")
    answer = inputs.settings.max_tokens or (_LOOKUP_ANSWER if inputs.is_lookup_only else _CITED_ANSWER)
    window, out_of_reach = _window(inputs, layout, bare, answer)
    empty = ContextBudget(window.tokens, bare.instructions, bare.question, answer)
    empty.require_room()
    require_pins_fit(inputs, layout, empty.sources)
    situation = Situation(inputs, layout, bare, empty, costing, kv_dtype)
    estimates = estimates_of(situation)
    strategy, why = _choose(situation, estimates, out_of_reach)
    selection = strategy.select(situation)
    if not selection.passages and inputs.question is not None and inputs.focused:
        raise _too_narrow(situation)
    laid_out = layout.lay_out(selection.passages, inputs.question or "")
    shape = inputs.profile.shape
    plan = ContextPlan(
        strategy=strategy.name,
        why=why,
        budget=_budget(situation, laid_out),
        included=tuple(passage.piece for passage in selection.passages),
        omitted=selection.omitted,
        prompt_tokens=laid_out.num_tokens,
        exact=laid_out.exact,
        kv_cache_bytes=kv_cache_bytes(shape, laid_out.num_tokens + answer, kv_dtype) if shape else None,
        estimates=estimates,
        window=window,
        warnings=_warnings(inputs, window, laid_out.num_tokens + answer),
    )
    return Planned(plan, laid_out, selection.passages, situation)


def _window(
    inputs: Inputs, layout: Layout, bare: LaidOut, answer: int
) -> tuple[Window, DoesNotFitError | None]:
    """The window, and why it is not as long as everything needs where it should be."""
    settings, profile = inputs.settings, inputs.profile
    if settings.window is not None or settings.strategy != "full":
        return choose_window(profile, asked=settings.window), None
    native = choose_window(profile, asked=profile.native_window)
    widest = ContextBudget(native.tokens, bare.instructions, bare.question, answer)
    needed = bare.num_tokens + answer + Situation(inputs, layout, bare, widest).everything
    try:
        return choose_window(profile, needed=needed), None
    except DoesNotFitError as error:
        return native, error


def _warnings(inputs: Inputs, window: Window, used: int) -> tuple[str, ...]:
    profile = inputs.profile
    warnings = (*window.warnings, *hidden_warnings(inputs.documents))
    if used <= profile.effective_window:
        return warnings
    told = (
        f"{profile.name} is trusted with {profile.effective_window:,} tokens ({profile.effective_source}): "
        f"over {used:,} it may miss what stands in the middle"
    )
    return (*warnings, told)


def _budget(situation: Situation, laid_out: LaidOut) -> ContextBudget:
    """The window as it is divided; what `--budget` leaves unused is its margin."""
    empty = situation.budget
    open_ended = replace(empty, instructions=laid_out.instructions, question=laid_out.question)
    if open_ended.sources < laid_out.sources:
        raise _too_long(situation, laid_out.sources, open_ended.sources)
    budget = situation.inputs.settings.budget
    margin = max(open_ended.sources - budget, 0) if budget is not None else 0
    return replace(open_ended, margin=margin)


def _choose(
    situation: Situation, estimates: tuple[StrategyEstimate, ...], out_of_reach: DoesNotFitError | None
) -> tuple[Strategy, str]:
    """The strategy and one line of why."""
    wanted = situation.inputs.settings.strategy
    if wanted is None:
        chosen, why = choose_strategy(estimates)
    else:
        named = next((one for one in estimates if one.strategy == wanted), None)
        if named is None:
            known = ", ".join(one.name for one in STRATEGIES)
            raise UsageError(f"--strategy {wanted}: there is no such strategy", f"take one of {known}")
        if not named.fits:
            raise _too_long(situation, situation.inputs.readable_tokens, situation.room, out_of_reach)
        chosen, why = named, f"asked for; {named.why}"
    strategy = strategy_called(chosen.strategy)
    assert strategy is not None  # noqa: S101 - the estimates are those of the strategies
    return strategy, why


def _too_long(
    situation: Situation, needed: int, room: int, out_of_reach: DoesNotFitError | None = None
) -> DoesNotFitError:
    inputs, layout = situation.inputs, situation.layout
    per_document: dict[str, int] = {}
    for number, (chunk, count) in enumerate(zip(inputs.chunks, inputs.counts, strict=True)):
        cost = count + layout.label_tokens(label_of(inputs, number))
        per_document[chunk.document.path] = per_document.get(chunk.document.path, 0) + cost
    small = [path for path, count in sorted(per_document.items(), key=lambda row: row[1]) if count <= room]
    remedies = ["--strategy retrieve reads the passages that match the question"]
    if situation.everything <= situation.budget.sources:
        remedies.insert(0, f"raise --budget to {situation.everything:,}, or leave it out")
    elif inputs.settings.window is not None and _is_in_reach(inputs, situation.needed):
        remedies.insert(0, f"a --window of {situation.needed:,} holds them")
    if small and len(per_document) > 1:
        remedies.append(f"{small[-1]} alone would fit")
    why = f"{needed:,} tokens, room for {room:,} in a window of {situation.budget.window:,}"
    if out_of_reach is not None:
        why += f"; {out_of_reach.message}"
    return DoesNotFitError(f"the sources do not fit: {why}", "; ".join(remedies))


def _is_in_reach(inputs: Inputs, window: int) -> bool:
    """Whether the model's rope reaches that far."""
    try:
        choose_window(inputs.profile, asked=window)
    except DoesNotFitError:
        return False
    return True


def _tokens(count: int) -> str:
    return f"{count:,} token" + ("" if count == 1 else "s")


def _too_narrow(situation: Situation) -> DoesNotFitError:
    """A model that reads nothing of the sources would answer from what it was trained on."""
    budget, room = situation.inputs.settings.budget, situation.budget.sources
    if budget is not None and budget < room:
        return DoesNotFitError(
            f"no passage that matches the question fits: --budget leaves {_tokens(budget)}",
            "raise --budget, or leave it out",
        )
    return DoesNotFitError(
        f"no passage that matches the question fits: {room:,} tokens are left for sources in a window of "
        f"{situation.budget.window:,}",
        "plan for a larger --window, or lower --max-tokens",
    )
