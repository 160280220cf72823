"""Models beside devices: the largest window that each pair holds, what it takes, and what limits it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from lctx.core.errors import DoesNotFitError, UsageError
from lctx.core.models.profile import ModelProfile
from lctx.core.planning.devices import DeviceKind
from lctx.core.planning.hardware import Fit, Hardware, costing_of, fit_of
from lctx.core.planning.kv_cache import KvDtype
from lctx.core.planning.memory import does_not_fit, format_bytes
from lctx.core.planning.rope import rope_label
from lctx.core.planning.window import WINDOW_STEP, Window, choose_window

MILLION = 1_048_576
"""The window of a comparison where nobody named one: 2^20 tokens."""

_COUNTS = (1, 2, 4, 8, 16)
"""Of cards: what heads are usually divided over."""
_NOT_FP8 = frozenset({None, *KvDtype} - {KvDtype.FP8})


class Limit(StrEnum):
    """What keeps the largest window from being longer."""

    MODEL = "model"
    """The model itself: as far as it may be planned for, all of it fits."""
    ROPE = "rope"
    """The window is out of its rope's reach."""
    MEMORY = "memory"
    """The KV cache."""
    WEIGHTS = "weights"
    """The model does not fit at all."""
    REFUSED = "refused"
    """Engines do not run it so: heads that cannot be divided, a cache that cannot be kept in that dtype."""
    UNKNOWN = "unknown"
    """Its sizes are not known."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One pair to look at.

    Attributes:
        profile: The model's.
        hardware: The device, the engine, and what the KV cache is kept as.
        window: Tokens that are wanted, prompt and answer together.
        exact: Whether these were counted with the model's own tokenizer, or are no count at all.
    """

    profile: ModelProfile
    hardware: Hardware
    window: int
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a pair would do; bytes are those of one card.

    Attributes:
        candidate: The pair.
        fits: Whether the wanted window does.
        window: Tokens that the figures are of: those wanted, or the most that fit; 0 where none do.
        largest_window: Up to the wanted window or the model's native one, whichever is longer.
        limit: What keeps the largest window from being longer.
        why: That in words, with numbers.
        rope: The scaling in a few words, or None where the model's own rope serves or does not reach.
        kv_dtype: What the KV cache is kept as, or None where that was not worked out.
        weight_bytes: Of the weights, or None where they are not known.
        kv_bytes: Of the KV cache at `window`, or None where nothing fits.
        first_token_s: Seconds to the first token of a prompt as long as `window`, or None where not known.
        tokens_per_s: Tokens of one answer written in a second behind it, or None where not known.
        price: Of reading that prompt, where a price per hour was named.
        basis: Where the rates behind the times come from, one line.
        is_in_reach: Whether a rope reaches the wanted window.
        warnings: Where quality is known to fall, one line each.
    """

    candidate: Candidate
    fits: bool
    window: int
    largest_window: int
    limit: Limit
    why: str
    rope: str | None = None
    kv_dtype: KvDtype | None = None
    weight_bytes: int | None = None
    kv_bytes: int | None = None
    first_token_s: float | None = None
    tokens_per_s: float | None = None
    price: float | None = None
    basis: str | None = None
    is_in_reach: bool = True
    warnings: tuple[str, ...] = ()


def compare(candidate: Candidate) -> Comparison:
    """Whether the wanted window fits, else the largest that does, what it takes and what limits it.

    Where the window is out of the model's reach, its native one is looked at instead.
    """
    profile, hardware = candidate.profile, candidate.hardware
    out_of_reach: str | None = None
    try:
        window = choose_window(profile, asked=candidate.window)
    except DoesNotFitError as error:
        out_of_reach = _why(error)
        window = choose_window(profile, asked=profile.native_window)
    try:
        fit = fit_of(profile, window, hardware)
    except UsageError as error:
        return Comparison(
            candidate, fits=False, window=0, largest_window=0, limit=Limit.REFUSED, why=error.message
        )
    if fit is None:
        why = "its files do not tell its sizes"
        return Comparison(candidate, fits=False, window=0, largest_window=0, limit=Limit.UNKNOWN, why=why)
    limit, why = _limit(fit, profile, out_of_reach)
    if not fit.fits and fit.largest_window:
        window, planned = _largest(profile, hardware, fit)
        fit = replace(fit, largest_window=planned.window)
    else:
        planned = fit
    return _figures(candidate, window, planned, fit, (limit, why), is_in_reach=out_of_reach is None)


def _largest(profile: ModelProfile, hardware: Hardware, fit: Fit) -> tuple[Window, Fit]:
    """The largest window that fits with the rope that it needs itself, and how it does.

    A shorter window needs a smaller factor, or none, and so a shorter rope table: a little more may fit than
    beside the table of the window that was wanted.
    """

    def at(tokens: int) -> tuple[Window, Fit]:
        window = choose_window(profile, asked=tokens)
        return window, fit_of(profile, window, hardware) or fit

    fitting, too_many = fit.largest_window, fit.window
    found = at(fitting)
    while steps := (too_many - fitting - 1) // WINDOW_STEP:
        middle = (fitting // WINDOW_STEP + -(-steps // 2)) * WINDOW_STEP
        tried = at(middle)
        if tried[1].fits:
            fitting, found = middle, tried
        else:
            too_many = middle
    return found


def _figures(
    candidate: Candidate,
    window: Window,
    planned: Fit,
    fit: Fit,
    limited: tuple[Limit, str],
    *,
    is_in_reach: bool,
) -> Comparison:
    """The comparison of what was planned: at the wanted window, or at the largest that fits."""
    tokens = window.tokens if planned.fits else 0
    costing = costing_of(candidate.profile, candidate.hardware) if tokens else None
    read = costing(tokens, 1) if costing else None
    # The first token comes with the prompt, so two take one step.
    written = costing(tokens, 2) if costing else None
    step_s = written.decode_s if written else 0.0
    return Comparison(
        candidate,
        fits=fit.fits and is_in_reach,
        window=tokens,
        largest_window=fit.largest_window,
        limit=limited[0],
        why=limited[1],
        rope=rope_label(window.rope) if window.rope and tokens else None,
        kv_dtype=planned.kv_dtype,
        weight_bytes=planned.memory.term("weights").bytes,
        kv_bytes=planned.kv_bytes if tokens else None,
        first_token_s=read.prefill_s if read else None,
        tokens_per_s=1 / step_s if step_s else None,
        price=read.price if read else None,
        basis=read.basis if read else None,
        is_in_reach=is_in_reach,
        warnings=window.warnings if tokens else (),
    )


def _limit(fit: Fit, profile: ModelProfile, out_of_reach: str | None) -> tuple[Limit, str]:
    """What limits the largest window, and that in words."""
    if not fit.largest_window:
        return Limit.WEIGHTS, _why(does_not_fit(fit.window, fit.kv_bytes, fit.memory, 0))
    if fit.largest_window < max(fit.window, profile.native_window):
        left, total = format_bytes(fit.memory.kv_bytes), format_bytes(fit.memory.total_bytes)
        told = f"memory: {left} of {total} are left for the KV cache"
        if not fit.fits:
            told += f", {fit.window:,} tokens take {format_bytes(fit.kv_bytes)}"
        return Limit.MEMORY, told if out_of_reach is None else f"{told}; besides, {out_of_reach}"
    if out_of_reach is not None:
        return Limit.ROPE, out_of_reach
    if fit.window > profile.native_window:
        return Limit.MODEL, f"its own window is {profile.native_window:,}; no longer one was asked for"
    return Limit.MODEL, "the model's own window"


def _why(error: DoesNotFitError) -> str:
    return error.message.partition(": ")[2] or error.message


def compare_at_largest(candidate: Candidate) -> Comparison:
    """The comparison at the largest window that fits, up to the candidate's."""
    found = compare(candidate)
    if found.fits or not found.window:
        return found
    return compare(replace(candidate, window=found.window))


def smallest_change(candidates: Sequence[Candidate]) -> str | None:
    """What would let one of the candidates hold its window, the smallest step first, or None.

    A KV cache in fp8 before another number of cards, and that before a shorter window.
    """
    for changed, told in _changes(candidates):
        if compare(changed).fits:
            return told
    best = max(map(compare, candidates), key=lambda one: one.largest_window, default=None)
    if best is None or not best.largest_window:
        return None
    device = best.candidate.hardware.device.label
    return f"{best.candidate.profile.name} on {device} holds --window {best.largest_window}"


def _changes(candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, str]]:
    """Candidates with one thing changed, and which, the smallest change first."""
    on_gpus = [one for one in candidates if one.hardware.device.kind is DeviceKind.GPU]
    narrowed = [
        replace(one, hardware=replace(one.hardware, kv_dtype=KvDtype.FP8))
        for one in on_gpus
        if one.hardware.kv_dtype in _NOT_FP8
    ]
    for one in narrowed:
        yield one, f"--kv-dtype fp8 lets {one.profile.name} hold it on {one.hardware.device.label}"
    for count in _COUNTS:
        for pairs, how in ((on_gpus, ""), (narrowed, " --kv-dtype fp8")):
            for one in pairs:
                if count != one.hardware.device.count:
                    device = replace(one.hardware.device, count=count)
                    changed = replace(one, hardware=replace(one.hardware, device=device))
                    yield changed, f"{one.profile.name} holds it with --gpu '{device.label}'{how}"
