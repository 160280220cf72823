"""What a smaller or a larger window would change: the least for this plan, the least for everything."""

from lctx.core.answering.plan_answer import Planned
from lctx.core.errors import DoesNotFitError
from lctx.core.planning.kv_cache import kv_cache_bytes
from lctx.core.planning.plan import WindowChange
from lctx.core.planning.rope import rope_label
from lctx.core.planning.window import choose_window


def other_windows(planned: Planned) -> tuple[WindowChange, ...]:
    """The smaller window that would hold the same prompt, and the larger one that would hold all sources."""
    plan, situation = planned.plan, planned.situation
    used = plan.prompt_tokens + plan.budget.answer
    found = []
    if plan.included and used < plan.budget.window:
        found.append(_change(planned, used, "the least that holds this plan"))
    if plan.omitted and situation.needed != used:
        more = situation.needed > plan.budget.window
        what = "holds everything, with --strategy full" if more else "is enough for everything"
        found.append(_change(planned, situation.needed, what))
    return tuple(found)


def _change(planned: Planned, num_tokens: int, change: str) -> WindowChange:
    situation = planned.situation
    profile = situation.inputs.profile
    size = kv_cache_bytes(profile.shape, num_tokens, situation.kv_dtype) if profile.shape else None
    try:
        window = choose_window(profile, asked=num_tokens)
    except DoesNotFitError as error:
        return WindowChange(num_tokens, f"would be needed for everything, but {error.message}", None, size)
    return WindowChange(num_tokens, change, rope_label(window.rope) if window.rope else None, size)
