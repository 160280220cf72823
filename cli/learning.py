"""What an answer taught of this machine: how fast it read and wrote, kept for the next plan."""

from pathlib import Path
from typing import TYPE_CHECKING

from lctx.core.answering.answer import AnswerReady
from lctx.core.models.profile import ModelProfile
from lctx.core.planning.calibration import (
    MIN_DECODE_STEPS,
    MIN_PREFILL_TOKENS,
    Observation,
    record,
)

if TYPE_CHECKING:
    from lctx.core.planning.devices import Device


def calibration_name(profile: ModelProfile) -> str:
    """The name that runs of a model are kept and looked up under: of a directory that of the directory.

    A server may call the model in it as it likes, and a plan for the directory must find its runs.
    """
    path = profile.path
    return path.name if path is not None and path.suffix != ".gguf" else profile.name


def learn_from(ready: AnswerReady, profile: ModelProfile, engine: str, state: Path) -> bool:
    """Keep what a request took, where it says anything; whether it was kept.

    Args:
        ready: The answer, with the engine's count and its times.
        profile: Of the model that answered.
        engine: "llama", or "vllm" with the model's files on this machine.
        state: The state directory.
    """
    if not _says_something(ready) or profile.compute is None or profile.shape is None:
        return False
    device = serving_device(engine)
    if device is None:
        return False
    observation = observation_of(ready, profile, engine, device)
    return observation is not None and record(observation, state)


def serving_device(engine: str) -> "Device | None":
    """What the engine computes with; None where several GPUs are there, of which it may use any number."""
    if engine == "llama":
        from lctx.cli.processor import processor

        return processor()
    from lctx.cli.devices import detect

    device = detect()
    return device if device.count == 1 else None


def observation_of(
    ready: AnswerReady, profile: ModelProfile, engine: str, device: "Device"
) -> Observation | None:
    """What a request took, in numbers alone, or None where it or the model's sizes are not known.

    A step of decoding is taken to read what `planning.cost` says it will: the weights that a token meets, and
    the KV cache of the prompt.
    """
    usage, compute, shape = ready.usage, profile.compute, profile.shape
    if usage is None or not usage.known or compute is None or shape is None:
        return None
    from lctx.core.planning.hardware import Hardware, kv_dtype_kept
    from lctx.core.planning.kv_cache import kv_cache_bytes

    steps = max(usage.completion_tokens - 1, 0)
    each = 0
    if profile.active_bytes is not None:
        kv_dtype = kv_dtype_kept(Hardware(device, engine))
        each = profile.active_bytes + kv_cache_bytes(shape, usage.prompt_tokens, kv_dtype)
    fresh = usage.prompt_tokens - usage.cached_tokens if usage.cached_known else 0
    flops = compute.prefill_flops(usage.prompt_tokens, usage.cached_tokens) if fresh > 0 else 0
    return Observation(
        engine=engine,
        model=calibration_name(profile),
        device=device.label,
        prefill_tokens=fresh,
        cached_tokens=usage.cached_tokens,
        prefill_flops=float(flops),
        prefill_s=ready.first_token_s or 0.0,
        decode_steps=steps,
        decode_bytes=float(steps * each),
        decode_s=ready.decode_s or 0.0,
    )


def _says_something(ready: AnswerReady) -> bool:
    """Whether enough was read or written: told before anything is worked out, because a prompt waits."""
    usage = ready.usage
    if usage is None or not usage.known:
        return False
    fresh = usage.prompt_tokens - usage.cached_tokens if usage.cached_known else 0
    return fresh >= max(MIN_PREFILL_TOKENS, usage.cached_tokens) or usage.completion_tokens > MIN_DECODE_STEPS
