"""The plan as JSON: the part of the public contract that answers and `lctx plan` share."""

from typing import Any

import msgspec

from lctx.core.planning.plan import ContextPlan, WindowChange
from lctx.core.planning.rope import llama_flags, rope_label, vllm_overrides
from lctx.core.planning.strategy import StrategyEstimate
from lctx.core.planning.window import Window


class BudgetPart(msgspec.Struct, frozen=True):
    """How the window is divided, in tokens; the parts add up to it."""

    instructions: int
    sources: int
    question: int
    answer: int
    margin: int


class EstimatePart(msgspec.Struct, frozen=True):
    """What one strategy would cost; `coverage` is the share of the evidence that it is expected to read.

    `basis` says where the rates behind the seconds come from.
    """

    strategy: str
    fits: bool
    prompt_tokens: int
    why: str
    requests: int = 1
    answer_tokens: int = 0
    coverage: float | None = None
    prefill_s: float | None = None
    decode_s: float | None = None
    watt_hours: float | None = None
    price: float | None = None
    basis: str | None = None


class RopePart(msgspec.Struct, frozen=True):
    """The scaling on top of the model's own rope, and how engines are told of it."""

    label: str
    method: str
    factor: float
    trained: int
    covered: int
    vllm_hf_overrides: dict[str, Any]
    llama_flags: list[str] | None
    warnings: list[str]


class WindowPart(msgspec.Struct, frozen=True):
    """What another window would change."""

    window: int
    change: str
    rope: str | None
    kv_cache_bytes: int | None


class PlanPart(msgspec.Struct, frozen=True):
    """What was planned before anything ran; `rope` is null where the window fits natively."""

    strategy: str
    why: str
    window: int
    rope: RopePart | None
    prompt_tokens: int
    budget: BudgetPart
    kv_cache_bytes: int | None
    estimates: list[EstimatePart]
    window_why: str | None = None
    other_windows: list[WindowPart] = []


def plan_part(plan: ContextPlan) -> PlanPart:
    """The plan's arithmetic; which stretches are in and out is the coverage's business."""
    budget = plan.budget
    return PlanPart(
        strategy=plan.strategy,
        why=utf8(plan.why),
        window=budget.window,
        window_why=plan.window.why if plan.window else None,
        rope=_rope_part(plan.window) if plan.window else None,
        prompt_tokens=plan.prompt_tokens,
        budget=BudgetPart(budget.instructions, budget.sources, budget.question, budget.answer, budget.margin),
        kv_cache_bytes=plan.kv_cache_bytes,
        estimates=[_estimate_part(one) for one in plan.estimates],
        other_windows=[_window_part(one) for one in plan.other_windows],
    )


def _estimate_part(one: StrategyEstimate) -> EstimatePart:
    cost = one.cost
    return EstimatePart(
        strategy=one.strategy,
        fits=one.fits,
        prompt_tokens=one.prompt_tokens,
        why=utf8(one.why),
        requests=one.requests,
        answer_tokens=one.answer_tokens,
        coverage=_rounded(one.coverage),
        prefill_s=_rounded(cost.prefill_s) if cost else None,
        decode_s=_rounded(cost.decode_s) if cost else None,
        watt_hours=_rounded(cost.watt_hours) if cost else None,
        price=_rounded(cost.price, 6) if cost else None,
        basis=utf8(cost.basis) if cost else None,
    )


def _rope_part(window: Window) -> RopePart | None:
    choice = window.rope
    if choice is None or choice.method is None:
        return None
    return RopePart(
        label=rope_label(choice) or "",
        method=choice.method.value,
        factor=choice.factor,
        trained=choice.rope.trained,
        covered=choice.covered,
        vllm_hf_overrides=vllm_overrides(choice),
        llama_flags=llama_flags(choice) if choice.rope.architecture else None,
        warnings=list(choice.warnings),
    )


def _window_part(one: WindowChange) -> WindowPart:
    return WindowPart(one.window, utf8(one.change), one.rope, one.kv_cache_bytes)


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)


def utf8(text: str) -> str:
    """`text` with lone surrogates (undecodable names, damaged PDFs) made visible: JSON cannot hold them."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
