"""A plan for people: the window and its parts, the device, the strategies, a row for each source."""

from collections.abc import Iterator, Sequence

from lctx.cli.ask import plan_line
from lctx.cli.durations import short_duration
from lctx.cli.plan_record import SourceRow, source_rows
from lctx.cli.report import Bar, Piece, Table
from lctx.cli.sources import Reading
from lctx.core.planning.cost import Cost
from lctx.core.planning.hardware import Fit
from lctx.core.planning.memory import format_bytes
from lctx.core.planning.plan import ContextPlan
from lctx.core.planning.strategy import StrategyEstimate
from lctx.core.tokens.estimate import ESTIMATE_ERROR

_SHOWN_REASONS = 3


def plan_report(plan: ContextPlan, reading: Reading, fit: Fit | None) -> list[Piece]:
    """Everything that a plan says, in the order in which it is read."""
    return [
        *_window_lines(plan),
        _bar(plan),
        *_device_lines(fit),
        _strategies(plan),
        *dict.fromkeys(f"times: {one.cost.basis}" for one in plan.estimates if one.cost),
        *(f"{one.strategy}: {one.why}" for one in plan.estimates),
        _sources(plan, source_rows(plan, reading)),
        *_other_windows(plan),
        *(f"not a source: {path} ({reason})" for path, reason in reading.skipped),
    ]


def _window_lines(plan: ContextPlan) -> Iterator[str]:
    budget, about = plan.budget, "" if plan.exact else "~"
    yield plan_line(plan).removeprefix("plan: ")
    if not plan.exact:
        yield f"counts with ~ are estimated: {ESTIMATE_ERROR}"
    yield (
        f"window {budget.window:,} = instructions {budget.instructions:,} + sources {budget.sources:,} "
        f"+ question {budget.question:,} + answer {budget.answer:,} + margin {budget.margin:,}"
    )
    if plan.window is not None:
        yield f"window {plan.window.tokens:,}, {plan.window.why}; rope: {_rope(plan)}"
    prompt = f"prompt {about}{plan.prompt_tokens:,} tokens"
    if plan.kv_cache_bytes is not None:
        prompt += f", KV cache {format_bytes(plan.kv_cache_bytes)}"
    yield prompt


def _rope(plan: ContextPlan) -> str:
    from lctx.core.planning.rope import rope_label

    choice = plan.window.rope if plan.window else None
    if choice is None:
        return "not known"
    return rope_label(choice) or f"the model's own reaches {choice.rope.window:,}, none is put on top"


def _bar(plan: ContextPlan) -> Bar:
    budget = plan.budget
    free = budget.sources - plan.read_tokens
    return Bar(
        (
            ("instructions", budget.instructions),
            ("sources", plan.read_tokens),
            ("question", budget.question),
            ("answer", budget.answer),
            ("free", max(free, 0) + budget.margin),
        )
    )


def _device_lines(fit: Fit | None) -> Iterator[str]:
    if fit is None:
        return
    device, memory = fit.hardware.device, fit.memory
    each = " each" if device.count > 1 else ""
    parts = ", ".join(f"{term.name} {format_bytes(term.bytes)}" for term in memory.terms)
    yield f"device: {device.label} through {fit.hardware.engine}, {format_bytes(memory.total_bytes)}{each}"
    yield f"memory: {parts}; left for the KV cache {format_bytes(memory.kv_bytes)}"
    needed = f"a window of {fit.window:,} takes {format_bytes(fit.kv_bytes)} of it in {fit.kv_dtype.value}"
    verdict = "fits" if fit.fits else "does not fit"
    largest = (
        f"the largest window that fits is {fit.largest_window:,}" if fit.largest_window else "no window fits"
    )
    yield f"{verdict}: {needed}; {largest}"


def _strategies(plan: ContextPlan) -> Table:
    about = "" if plan.exact else "~"
    costs = [one.cost for one in plan.estimates]
    head = ["strategy", "fits", "prompt", "requests", "evidence"]
    right = {2, 3, 4}
    if any(costs):
        head += ["prefill", "decode"]
        right |= {5, 6}
    if any(cost and cost.watt_hours is not None for cost in costs):
        right.add(len(head))
        head.append("energy")
    if any(cost and cost.price is not None for cost in costs):
        right.add(len(head))
        head.append("price")
    rows = [tuple(_strategy_cells(one, about, head)) for one in plan.estimates]
    return Table(tuple(head), rows, frozenset(right))


def _strategy_cells(one: StrategyEstimate, about: str, head: Sequence[str]) -> Iterator[str]:
    cost = one.cost
    yield one.strategy
    yield "yes" if one.fits else "no"
    yield f"{about}{one.prompt_tokens:,}"
    yield f"{one.requests:,}"
    yield "?" if one.coverage is None else f"{100 * one.coverage:.0f} %"
    if "prefill" in head:
        yield _seconds(cost.prefill_s if cost else None)
        yield _seconds(cost.decode_s if cost else None)
    if "energy" in head:
        yield _energy(cost)
    if "price" in head:
        yield "?" if cost is None or cost.price is None else f"{cost.price:.4f}"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    return f"{seconds:.2f} s" if seconds < 10 else short_duration(seconds)  # noqa: PLR2004 - two digits tell


def _energy(cost: Cost | None) -> str:
    return "?" if cost is None or cost.watt_hours is None else f"{cost.watt_hours:.2f} Wh"


def _sources(plan: ContextPlan, rows: Sequence[SourceRow]) -> Table:
    about = "" if plan.exact else "~"
    cells = [
        (
            f"{about}{row.tokens:,}",
            f"{about}{row.read_tokens:,}",
            f"{100 * row.read_tokens / row.tokens:.0f} %" if row.tokens else "0 %",
            "standard input" if row.path == "-" else row.path,
            "; ".join(row.reasons[:_SHOWN_REASONS]),
            "; ".join(row.remedies[:1]),
        )
        for row in rows
    ]
    return Table(("tokens", "read", "share", "source", "left out", "remedy"), cells, frozenset({0, 1, 2}))


def _other_windows(plan: ContextPlan) -> Iterator[str]:
    for one in plan.other_windows:
        more = [text for text in (one.rope, _kv(one.kv_cache_bytes)) if text]
        told = f" ({', '.join(more)})" if more else ""
        yield f"a window of {one.window:,}{told}: {one.change}"


def _kv(num_bytes: int | None) -> str | None:
    return None if num_bytes is None else f"KV cache {format_bytes(num_bytes)}"
