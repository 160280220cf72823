"""How long an answer takes and what it costs, before anything runs."""

from dataclasses import dataclass

from lctx.core.models.compute import ComputeShape
from lctx.core.planning.calibration import Calibration
from lctx.core.planning.devices import Device, DeviceKind

GPU_PREFILL_SHARE = 0.5
"""Share of a GPU's dense rate that reading a long prompt reaches.

Source: Llama-3-405B reads 1M tokens, 4.94e18 FLOPs, in 77 s on 128 H100s (arXiv:2411.01783): 501 TFLOP/s
each, 51 % of 989. An 8B model reads 1M tokens in 30 minutes on one A100 (arXiv:2407.02490): 49 % of 312.
"""

GPU_BANDWIDTH_SHARE = 0.9
"""Share of a GPU's memory bandwidth that writing reaches.

Source: vLLM's measurement on one H100, Llama-3.1-8B: 4.37e-5 ms a token of context. At 131,072 bytes a token
that is 3.00 TB/s, 90 % of 3.35 (blog.vllm.ai, 2026-04-22, on the FP8 KV cache).
"""

GPU_OVERHEAD_S = 1.4e-3
"""Seconds of a written token that do not depend on bytes.

Source: the same measurement, 6.44 ms without context, less 15.0 GB of weights at 3.00 TB/s.
"""

CPU_PREFILL_SHARE = 0.25
"""Share of a processor's upper bound that reading reaches in llama.cpp.

Source: measured on two cores with AVX2 (2 x 2.6 GHz x 32 FLOP): SmolLM2-135M reads 3,000 tokens at 129
tokens/s, 25 %; Gemma 3 270M at 254, 38 %. The slower of the two. Wider vectors gain less than they promise.
"""

CPU_DECODE_SHARE = 0.08
"""The same of writing; a processor's bandwidth is not known beforehand.

Source: as above, SmolLM2-135M writes 28 tokens/s, 8 %; Gemma 3 270M writes 48, 17 %.
"""

_HOUR_S = 3600.0
_TERA = 1e12


@dataclass(frozen=True, slots=True)
class Rates:
    """What a device is expected to reach, over all its cards together.

    Attributes:
        flops: FLOP per second of reading, or None where it is not known.
        bandwidth: Bytes per second of weights and KV cache while writing, or None where it is not known.
        overhead_s: Seconds of a written token that depend on neither.
        basis: One line: measured, or which share of what.
        linear_flops: FLOP per second of the weights alone where their arithmetic is faster, or None.
        decode_flops: FLOP per second of writing, or None where it is not known.
    """

    flops: float | None
    bandwidth: float | None
    overhead_s: float
    basis: str
    linear_flops: float | None = None
    decode_flops: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether anything can be predicted with them."""
        return bool(self.flops and (self.bandwidth or self.decode_flops))


@dataclass(frozen=True, slots=True)
class Cost:
    """What one request takes.

    Attributes:
        prefill_s: Seconds to the first token.
        decode_s: Seconds from the first token to the last.
        watt_hours: Energy at the device's power limit, an upper bound; None where that is not known.
        price: In the currency of the price per hour, or None where none was named.
        basis: One line: where the rates come from.
    """

    prefill_s: float
    decode_s: float
    watt_hours: float | None = None
    price: float | None = None
    basis: str = ""

    @property
    def total_s(self) -> float:
        """Seconds from the request to the last token."""
        return self.prefill_s + self.decode_s


def rates_for(
    device: Device, quantization: str | None = None, calibration: Calibration | None = None
) -> Rates:
    """What `device` is expected to reach: what was measured on it, and a usual share for the rest.

    Args:
        device: All its cards are taken to work on one request.
        quantization: Of the weights. Where the device can, fp8 is multiplied in fp8; attention never is.
        calibration: What earlier runs reached on this device, or None.
    """
    rates = _usual(device, quantization)
    if calibration is None:
        return rates
    is_read, is_written = calibration.flops is not None, calibration.bandwidth is not None
    other = "" if calibration.is_same_model else ", of other models"
    told = []
    for what, runs, is_told in (
        ("reading", calibration.num_prefills, is_read),
        ("writing", calibration.num_decodes, is_written),
    ):
        if is_told:
            number = "1 run" if runs == 1 else f"{runs} runs"
            told.append(f"{what} measured on this machine in {number}{other}")
        else:
            told.append(f"{what} not yet, it is taken from {rates.basis}")
    return Rates(
        calibration.flops if is_read else rates.flops,
        calibration.bandwidth if is_written else rates.bandwidth,
        calibration.overhead_s if is_written else rates.overhead_s,
        "; ".join(told),
        None if is_read else rates.linear_flops,
        None if is_written else rates.decode_flops,
    )


def _usual(device: Device, quantization: str | None) -> Rates:
    peak, count = device.bf16_flops, device.count
    if device.kind is DeviceKind.CPU:
        if not peak:
            return Rates(None, None, 0.0, f"not known: nothing tells the rates of {device.name}")
        bound = peak * count
        basis = (
            f"{CPU_PREFILL_SHARE:.0%} (reading) and {CPU_DECODE_SHARE:.0%} (writing) of at most "
            f"{bound / _TERA:.2f} TFLOP/s, as llama.cpp reached on two cores; rough until a run is measured"
        )
        return Rates(CPU_PREFILL_SHARE * bound, None, 0.0, basis, decode_flops=CPU_DECODE_SHARE * bound)
    if not peak or not device.bandwidth:
        return Rates(None, None, 0.0, f"not known: nothing tells the rates of {device.label}")
    linear = device.fp8_flops if quantization == "fp8" else None
    reached = f"{GPU_PREFILL_SHARE:.0%} of {peak / _TERA:.0f} TFLOP/s"
    if linear:
        reached += f" (weights {linear / _TERA:.0f})"
    basis = f"{reached} and {GPU_BANDWIDTH_SHARE:.0%} of {device.bandwidth / _TERA:.2f} TB/s"
    flops = GPU_PREFILL_SHARE * peak * count
    return Rates(
        flops,
        GPU_BANDWIDTH_SHARE * device.bandwidth * count,
        GPU_OVERHEAD_S,
        f"{basis} of each of {count} cards" if count > 1 else basis,
        GPU_PREFILL_SHARE * linear * count if linear else None,
        flops,
    )


def prefill_seconds(compute: ComputeShape, num_tokens: int, cached: int, rates: Rates) -> float | None:
    """Seconds of reading `num_tokens`, the first `cached` of which were read before; None where unknown."""
    if not rates.flops:
        return None
    flops = compute.prefill_flops(num_tokens, cached)
    linear = 2 * compute.parameters.active * (num_tokens - cached) if rates.linear_flops else 0
    return (flops - linear) / rates.flops + (linear / rates.linear_flops if rates.linear_flops else 0.0)


def decode_seconds(
    compute: ComputeShape, num_tokens: int, context: int, rates: Rates, *, weight_bytes: int, kv_bytes: int
) -> float | None:
    """Seconds of writing `num_tokens` behind `context` tokens, or None where the rates are not known.

    Each step takes what is slower, reading bytes or computing, and the overhead. The first token comes with
    the prompt's last, so there is a step less than there are tokens.

    Args:
        compute: The model's.
        num_tokens: Of the answer.
        context: Of the prompt.
        rates: The device's.
        weight_bytes: Of weights that one step reads.
        kv_bytes: Of KV cache that one step reads.

    Source:
        Pope et al., Efficiently Scaling Transformer Inference, arXiv:2211.05102, section 2.
    """
    if not rates.bandwidth and not rates.decode_flops:
        return None
    steps = max(num_tokens - 1, 0)
    moving = (weight_bytes + kv_bytes) / rates.bandwidth if rates.bandwidth else 0.0
    middle = context + num_tokens // 2
    computing = compute.decode_flops(middle) / rates.decode_flops if rates.decode_flops else 0.0
    return steps * (max(moving, computing) + rates.overhead_s)


def estimate_cost(
    compute: ComputeShape,
    device: Device,
    rates: Rates,
    *,
    prompt_tokens: int,
    answer_tokens: int,
    weight_bytes: int,
    kv_bytes: int,
    cached: int = 0,
    price_per_hour: float | None = None,
) -> Cost | None:
    """What one request takes on `device`, or None where its rates are not known.

    Args:
        compute: The model's.
        device: Its power limit is what the energy is worked out with.
        rates: The device's.
        prompt_tokens: That the model reads, cached ones included.
        answer_tokens: That it writes at most.
        weight_bytes: Of weights that one step reads: `weights.active_weight_bytes`.
        kv_bytes: Of KV cache at the prompt's length.
        cached: Of the prompt, those that were read before.
        price_per_hour: Of the whole device, in any currency, or None.
    """
    prefill_s = prefill_seconds(compute, prompt_tokens, cached, rates)
    decode_s = decode_seconds(
        compute, answer_tokens, prompt_tokens, rates, weight_bytes=weight_bytes, kv_bytes=kv_bytes
    )
    if prefill_s is None or decode_s is None:
        return None
    hours = (prefill_s + decode_s) / _HOUR_S
    watt_hours = None if device.watts is None else device.watts * device.count * hours
    price = None if price_per_hour is None else price_per_hour * hours
    return Cost(prefill_s, decode_s, watt_hours, price, rates.basis)
