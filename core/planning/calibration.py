"""What real runs reached on this machine, so that the next plan predicts with it."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from lctx.core.models.measurements import positive, read_rows, write_rows

MAX_RUNS = 32
"""Runs that are kept of one engine, model and device."""

MAX_KEYS = 32
"""Engines, models and devices that are kept; the one that ran longest ago gives way."""

MIN_PREFILL_TOKENS = 256
"""Tokens that a run must have read for its rate to say anything: below, starting the request dominates."""

MIN_DECODE_STEPS = 16
"""Tokens that a run must have written."""

_FILE = "calibration.json"
_MAX_NAME = 200
_SPREAD = 1.5  # steps over contexts that differ less tell bytes and overhead not apart
_IDENTITY = ("engine", "model", "device")


@dataclass(frozen=True, slots=True)
class Observation:
    """What one request took, in numbers alone: nothing of what was asked or read.

    Attributes:
        engine: "vllm" or "llama".
        model: The model's name or fingerprint.
        device: The device's label.
        prefill_tokens: Tokens that were read, without those that were cached.
        cached_tokens: Tokens that were cached.
        prefill_flops: FLOPs of reading them, attention to the cached ones included.
        prefill_s: From the request to the first token.
        decode_steps: Tokens that were written after the first.
        decode_bytes: Bytes of weights and KV cache that all these steps read together.
        decode_s: From the first token to the last.
    """

    engine: str
    model: str
    device: str
    prefill_tokens: int = 0
    cached_tokens: int = 0
    prefill_flops: float = 0.0
    prefill_s: float = 0.0
    decode_steps: int = 0
    decode_bytes: float = 0.0
    decode_s: float = 0.0

    @property
    def tells_prefill(self) -> bool:
        """Whether enough was read, and most of it not from the cache."""
        return (
            self.prefill_tokens >= max(MIN_PREFILL_TOKENS, self.cached_tokens)
            and self.prefill_flops > 0
            and self.prefill_s > 0
        )

    @property
    def tells_decode(self) -> bool:
        """Whether enough was written."""
        return self.decode_steps >= MIN_DECODE_STEPS and self.decode_bytes > 0 and self.decode_s > 0


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the device reached, over all its cards together.

    Attributes:
        flops: FLOP per second while reading, or None where no run tells.
        bandwidth: Bytes per second while writing, or None where no run tells.
        overhead_s: Seconds of a written token that do not depend on bytes.
        num_prefills: Runs behind `flops`.
        num_decodes: Runs behind `bandwidth`.
        is_same_model: Whether the runs were of the model in question; otherwise of others on this device.
    """

    flops: float | None
    bandwidth: float | None
    overhead_s: float
    num_prefills: int
    num_decodes: int
    is_same_model: bool


def record(observation: Observation, state: Path) -> bool:
    """Keep `observation` for later plans; whether it said anything and could be kept.

    Args:
        observation: Of a request that ended well.
        state: The state directory.
    """
    if not (observation.tells_prefill or observation.tells_decode):
        return False
    row = _row(observation)
    key = _key(row)
    by_key: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for kept in [*read_rows(state / _FILE), row]:
        if _is_sound(kept):
            by_key.setdefault(_key(kept), []).append(kept)
    by_key[key] = by_key.pop(key)  # the latest key last
    latest = list(by_key.values())[-MAX_KEYS:]
    return write_rows(state / _FILE, (one for rows in latest for one in rows[-MAX_RUNS:]))


def calibration_for(engine: str, model: str, device: str, state: Path) -> Calibration | None:
    """What runs of this model reached here, else those of others on this engine and device; None of none."""
    wanted = (engine[:_MAX_NAME], model[:_MAX_NAME], device[:_MAX_NAME])
    rows = [row for row in read_rows(state / _FILE) if _is_sound(row)]
    own = [row for row in rows if _key(row) == wanted]
    if own:
        return _calibration(own, is_same_model=True)
    others = [row for row in rows if (row["engine"], row["device"]) == wanted[::2]]
    return _calibration(others, is_same_model=False) if others else None


def kept_runs(state: Path) -> tuple[Path, int]:
    """The file that runs are kept in, and how many of them it holds that a plan can use."""
    path = state / _FILE
    return path, sum(_is_sound(row) for row in read_rows(path))


def _calibration(rows: Sequence[dict[str, Any]], is_same_model: bool) -> Calibration:
    prefills = [rate for row in rows if (rate := _ratio(row, "prefill_flops", "prefill_s"))]
    steps = [
        (size, seconds)
        for row in rows
        if (size := _ratio(row, "decode_bytes", "decode_steps"))
        and (seconds := _ratio(row, "decode_s", "decode_steps"))
    ]
    bandwidth, overhead_s = _line(steps) if steps else (None, 0.0)
    return Calibration(
        _undisturbed(prefills) if prefills else None,
        bandwidth,
        overhead_s,
        len(prefills),
        len(steps),
        is_same_model,
    )


def _undisturbed(rates: Sequence[float]) -> float:
    """The median of the faster half: whatever else a machine does slows a run, and nothing speeds one up."""
    from statistics import median

    return median(sorted(rates)[len(rates) // 2 :])


def _line(steps: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Bytes per second and seconds of overhead that explain how long steps of so many bytes took.

    The slope is the median over all pairs of runs that differ enough, so that single runs that were disturbed
    do not count. Where there are none the overhead is part of the rate.

    Source:
        The Theil-Sen estimator: Sen, Journal of the American Statistical Association 63 (1968), 1379-1389.
    """
    from statistics import median

    rate = _undisturbed([size / seconds for size, seconds in steps])
    slopes = [
        (more[1] - less[1]) / (more[0] - less[0])
        for one, other in combinations(steps, 2)
        for less, more in (sorted((one, other)),)
        if more[0] >= _SPREAD * less[0]
    ]
    slope = median(slopes) if slopes else 0.0
    overhead_s = median(seconds - slope * size for size, seconds in steps)
    if slope <= 0 or overhead_s < 0:  # noise, or a rate that falls with the length: the plain rate is sounder
        return rate, 0.0
    return 1 / slope, overhead_s


def _ratio(row: dict[str, Any], above: str, below: str) -> float | None:
    numerator, denominator = positive(row, above), positive(row, below)
    return numerator / denominator if numerator and denominator else None


def _row(observation: Observation) -> dict[str, Any]:
    """What is written down of it: names, and the half or the two halves that tell something."""
    halves = {"prefill": observation.tells_prefill, "decode": observation.tells_decode}
    row: dict[str, Any] = {"at": int(time.time())}
    for name, value in asdict(observation).items():
        if name in _IDENTITY:
            row[name] = str(value)[:_MAX_NAME]
        elif halves.get(name.partition("_")[0]):
            row[name] = value
    return row


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _IDENTITY)


def _is_sound(row: dict[str, Any]) -> bool:
    """Whether a row of the file can be used: another program or another version may have written it."""
    return all(isinstance(row.get(name), str) for name in _IDENTITY) and bool(
        _ratio(row, "prefill_flops", "prefill_s") or _ratio(row, "decode_bytes", "decode_s")
    )
