"""Plan -> launch: every setting that a vLLM server is started with, computed and never guessed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from lctx.core.errors import UsageError
from lctx.core.models.profile import AttentionShape, ModelProfile
from lctx.core.planning.devices import DeviceKind
from lctx.core.planning.hardware import Hardware, block_pool, loaded_bytes
from lctx.core.planning.kv_blocks import BlockPool, plan_blocks
from lctx.core.planning.kv_cache import KvDtype
from lctx.core.planning.memory import MemoryPlan, does_not_fit, largest_window
from lctx.core.planning.rope import RopeChoice, vllm_overrides
from lctx.core.planning.vllm_memory import (
    CPU_SETTINGS,
    VllmSettings,
    fitting_utilization,
    plan_memory_cpu,
    plan_memory_vllm,
)
from lctx.core.planning.window import WINDOW_STEP, Window

LONG_WINDOW = 1_000_000
"""From here on each further request costs megabytes of tables and pinned token ids."""

MOST_LONG_REQUESTS = 8
"""Requests at once in a long window. Source: `plan_memory_vllm`, host bytes: five a token and request."""

_CPU_WINDOWS = 2
"""Whole windows of KV cache that a CPU's server sets aside: the last document stays beside the next one."""

_ELSEWHERE = "start vLLM yourself and name its address with --endpoint"


@dataclass(frozen=True, slots=True)
class VllmWishes:
    """What the user decides about a server; None leaves it to the plan.

    Attributes:
        dtype: What the model computes in, as vLLM names it.
        max_num_seqs: Requests at once.
        max_num_batched_tokens: Tokens of a step: the granularity of progress and of cancelling.
        kv_cache_memory_bytes: Bytes of KV cache on each device, in place of a share of its memory.
        pipeline_parallel: Stages that divide the layers; the rest of the devices divides the heads.
        context_parallel: Of the devices that divide the heads, those that divide the tokens instead.
        quantization: What weights are quantised to while they are loaded, as vLLM names it.
        load_format: Where weights come from: "auto", or "dummy" for random ones.
        enforce_eager: Whether nothing is compiled and no CUDA graph captured.
        prefix_caching: Whether a prefix is computed once.
        batch_invariant: Whether an answer is the same whatever runs beside it; slower.
        seed: Of everything random in the engine.
    """

    dtype: str | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    kv_cache_memory_bytes: int | None = None
    pipeline_parallel: int = 1
    context_parallel: int = 1
    quantization: str | None = None
    load_format: str = "auto"
    enforce_eager: bool | None = None
    prefix_caching: bool = True
    batch_invariant: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class VllmLaunch:
    """What a vLLM server is started with.

    Attributes:
        model: The Hugging Face directory.
        name: What the server calls the model.
        max_model_len: Tokens of prompt and answer together.
        dtype: What the model computes in, as vLLM names it.
        kv_cache_dtype: What the KV cache is kept as; "auto" is the model's own.
        max_num_seqs: Requests at once.
        max_num_batched_tokens: Tokens of a step.
        hf_overrides: What is changed of the config.json: the rope, complete.
        rope: The choice that the overrides come from, or None where the files do not say.
        kv_cache_memory_bytes: Bytes of KV cache on each device, or None for what is left of the share below.
        gpu_memory_utilization: The share of a GPU's memory that is used, or None where bytes are given.
        kv_tokens: What vLLM prints as the size of its KV cache where bytes are given; else about that.
        tensor_parallel: Devices that divide the heads.
        pipeline_parallel: Stages that divide the layers.
        context_parallel: Of the devices that divide the heads, those that divide the tokens.
        quantization: What weights are quantised to while they are loaded, or None for as they are.
        load_format: Where weights come from.
        enforce_eager: Whether nothing is compiled.
        prefix_caching: Whether a prefix is computed once.
        batch_invariant: Whether an answer is the same whatever runs beside it.
        seed: Of everything random in the engine.
        is_on_cpu: Whether a processor computes.
        device: What computes, in a few words.
    """

    model: Path
    name: str
    max_model_len: int
    dtype: str
    kv_cache_dtype: str
    max_num_seqs: int
    max_num_batched_tokens: int
    hf_overrides: Mapping[str, Any] = field(default_factory=dict)
    rope: RopeChoice | None = None
    kv_cache_memory_bytes: int | None = None
    gpu_memory_utilization: float | None = None
    kv_tokens: int = 0
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    context_parallel: int = 1
    quantization: str | None = None
    load_format: str = "auto"
    enforce_eager: bool = False
    prefix_caching: bool = True
    batch_invariant: bool = False
    seed: int = 0
    is_on_cpu: bool = False
    device: str | None = None

    @property
    def traits(self) -> str:
        """What another server must have in common with this one, besides the rope, to stand in for it."""
        kept = "as the model" if self.kv_cache_dtype == "auto" else self.kv_cache_dtype
        parts = [self.dtype, f"KV cache {kept}"]
        parts += [self.quantization] if self.quantization else []
        parts += [f"{self.load_format} weights"] if self.load_format != "auto" else []
        parts += ["batch-invariant"] if self.batch_invariant else []
        return ", ".join(parts)


def launch_of(
    profile: ModelProfile, window: Window, hardware: Hardware, wishes: VllmWishes = VllmWishes()
) -> VllmLaunch:
    """The server that holds `window` on that hardware.

    Raises:
        DoesNotFitError: The window does not fit the device; the message names the largest that does.
        UsageError: The model has no directory or its sizes are not known, or a wish cannot be granted.
    """
    path = profile.path
    if path is None or path.suffix == ".gguf":
        raise UsageError(
            f"{profile.name}: vLLM needs a Hugging Face directory", "name a directory with --model"
        )
    settings = _settings(window, hardware, wishes)
    pool = _pool(profile, hardware, wishes, settings)
    available, given = _kv_bytes(profile, window, hardware, wishes, settings=settings, pool=pool)
    on_cpu = hardware.device.kind is DeviceKind.CPU
    return VllmLaunch(
        path,
        profile.name,
        window.tokens,
        wishes.dtype or ("float32" if on_cpu else "auto"),
        _kv_flag(pool),
        settings.max_num_seqs,
        settings.max_num_batched_tokens,
        hf_overrides=vllm_overrides(window.rope) if window.rope else {},
        rope=window.rope,
        kv_cache_memory_bytes=given,
        gpu_memory_utilization=None if given is not None else settings.gpu_memory_utilization,
        kv_tokens=pool.capacity_tokens(available if given is None else given, window.tokens),
        tensor_parallel=pool.settings.tensor_parallel,
        pipeline_parallel=wishes.pipeline_parallel,
        context_parallel=wishes.context_parallel,
        quantization=wishes.quantization,
        load_format=wishes.load_format,
        enforce_eager=not settings.has_cuda_graphs,
        prefix_caching=wishes.prefix_caching,
        batch_invariant=wishes.batch_invariant,
        seed=wishes.seed,
        is_on_cpu=on_cpu,
        device=hardware.device.label,
    )


def _kv_bytes(
    profile: ModelProfile,
    window: Window,
    hardware: Hardware,
    wishes: VllmWishes,
    *,
    settings: VllmSettings,
    pool: BlockPool,
) -> tuple[int, int | None]:
    """Bytes that are there for the KV cache, and those that vLLM is given: None for a share of the GPU.

    Raises:
        DoesNotFitError: The window needs more.
    """
    memory_at: Callable[[int], MemoryPlan] = partial(
        _memory,
        profile=profile,
        rope=window.rope,
        hardware=hardware,
        stages=wishes.pipeline_parallel,
        settings=settings,
        pool=pool,
    )
    given = wishes.kv_cache_memory_bytes
    if given is not None:
        memory_at = partial(_with_kv_bytes, memory_at=memory_at, kv_bytes=given)
    memory, needed = memory_at(window.tokens), pool.bytes_for(window.tokens)
    if needed > memory.kv_bytes or memory.taken_bytes > memory.total_bytes:
        ceiling = max(window.tokens, profile.native_window)
        largest = largest_window(memory_at, pool.bytes_for, ceiling, WINDOW_STEP)
        raise does_not_fit(window.tokens, needed, memory, largest)
    available = memory.kv_bytes
    if given is None and hardware.device.kind is DeviceKind.CPU:
        given = min(available, _CPU_WINDOWS * needed) // pool.bytes_per_block * pool.bytes_per_block
    return available, given if given is None else min(given, available)


def _settings(window: Window, hardware: Hardware, wishes: VllmWishes) -> VllmSettings:
    """How the device is divided, the user's wishes first."""
    device = hardware.device
    settings = VllmSettings() if device.kind is DeviceKind.GPU else CPU_SETTINGS
    if wishes.enforce_eager is not None and device.kind is DeviceKind.GPU:
        settings = replace(settings, has_cuda_graphs=not wishes.enforce_eager)
    for name, value in (
        ("max_num_seqs", wishes.max_num_seqs),
        ("max_num_batched_tokens", wishes.max_num_batched_tokens),
    ):
        if value is not None and value < 1:
            raise UsageError(f"{name} {value}: at least 1", f"leave {name} out to have it planned")
    requests = wishes.max_num_seqs or settings.max_num_seqs
    if window.tokens >= LONG_WINDOW and requests > MOST_LONG_REQUESTS:
        raise UsageError(
            f"max_num_seqs {requests}: at most {MOST_LONG_REQUESTS} in a window of {window.tokens:,} tokens",
            "ask for fewer requests at once, or for a shorter window",
        )
    if device.kind is DeviceKind.GPU and device.available_bytes is not None:
        share = fitting_utilization(device.memory_bytes, device.available_bytes)
        settings = replace(settings, gpu_memory_utilization=share)
    tokens = wishes.max_num_batched_tokens or settings.max_num_batched_tokens
    return replace(settings, max_num_seqs=requests, max_num_batched_tokens=max(tokens, requests))


def _pool(profile: ModelProfile, hardware: Hardware, wishes: VllmWishes, settings: VllmSettings) -> BlockPool:
    """The blocks of the KV cache of one device, the stage with the most layers."""
    if profile.shape is None or profile.widths is None or profile.weight_bytes is None:
        raise UsageError(f"{profile.name}: its sizes are not known, so no server can be planned", _ELSEWHERE)
    stages, count = wishes.pipeline_parallel, hardware.device.count
    if stages < 1 or count % stages:
        raise UsageError(
            f"pipeline parallelism over {stages} stages: does not divide {count} devices",
            "choose a divisor of their number",
        )
    one = replace(hardware, device=replace(hardware.device, count=count // stages))
    planned = block_pool(profile, one)
    before = (
        VllmSettings() if hardware.device.kind is DeviceKind.GPU else CPU_SETTINGS
    ).max_num_batched_tokens
    batches = planned.settings.max_in_flight_tokens // before
    model_dtype = _model_dtype(wishes.dtype, planned.settings.model_dtype)
    stage = AttentionShape(
        tuple(replace(group, num_layers=-(-group.num_layers // stages)) for group in profile.shape.layers)
    )
    return plan_blocks(
        stage,
        replace(
            planned.settings,
            dtype=hardware.kv_dtype or model_dtype,
            model_dtype=model_dtype,
            context_parallel=wishes.context_parallel,
            max_in_flight_tokens=settings.max_num_batched_tokens * batches,
            prefix_caching=wishes.prefix_caching,
        ),
    )


def _model_dtype(asked: str | None, planned: KvDtype) -> KvDtype:
    if asked in {None, "auto"}:
        return planned
    try:
        return {"half": KvDtype.FP16, "float": KvDtype.FP32}.get(str(asked)) or KvDtype(str(asked))
    except ValueError:
        raise UsageError(f"dtype {asked}: none of vLLM's", "choose float16, bfloat16 or float32") from None


def _kv_flag(pool: BlockPool) -> str:
    same = pool.settings.dtype is pool.settings.model_dtype
    return "auto" if same else pool.settings.dtype.value


def _memory(
    tokens: int,
    *,
    profile: ModelProfile,
    rope: RopeChoice | None,
    hardware: Hardware,
    stages: int,
    settings: VllmSettings,
    pool: BlockPool,
) -> MemoryPlan:
    device, widths = hardware.device, profile.widths
    assert widths is not None  # noqa: S101 - _pool has looked
    choice = replace(rope, window=tokens) if rope else None
    weights = -(-loaded_bytes(profile, pool.settings.model_dtype) // stages)
    if device.kind is DeviceKind.GPU:
        return plan_memory_vllm(
            device.memory_bytes, weights, pool, widths, rope=choice, window=tokens, settings=settings
        )
    available = device.available_bytes or device.memory_bytes
    return plan_memory_cpu(available, weights, pool, widths, rope=choice, window=tokens, settings=settings)


def _with_kv_bytes(tokens: int, *, memory_at: Callable[[int], MemoryPlan], kv_bytes: int) -> MemoryPlan:
    """The plan with no more for the KV cache than was wished for."""
    memory = memory_at(tokens)
    spared = max(0, memory.kv_bytes - kv_bytes)
    return replace(memory, total_bytes=memory.total_bytes - spared)
