"""What a plan is made for: a device and the engine on it, and how long a window the two can hold."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from lctx.core.errors import UsageError
from lctx.core.models.layers import LayerKind
from lctx.core.models.profile import ModelProfile
from lctx.core.planning.calibration import Calibration
from lctx.core.planning.cost import Cost, estimate_cost, rates_for
from lctx.core.planning.devices import Device, DeviceKind
from lctx.core.planning.kv_blocks import BlockPool, KvSettings, plan_blocks
from lctx.core.planning.kv_cache import KvDtype, kv_cache_bytes
from lctx.core.planning.llama_memory import llama_kv_bytes, plan_memory_llama
from lctx.core.planning.memory import MemoryPlan, does_not_fit, largest_window
from lctx.core.planning.rope import RopeChoice
from lctx.core.planning.vllm_memory import CPU_SETTINGS, VllmSettings, plan_memory_cpu, plan_memory_vllm
from lctx.core.planning.window import WINDOW_STEP, Window

_GPU_BLOCK, _CPU_BLOCK, _CPU_LATENT_BLOCK = 16, 128, 16
"""Tokens of a block. Source: vLLM 0.32, config/cache.py and platforms/cpu.py."""

_BATCHES_IN_FLIGHT = 2
"""Of a GPU: asynchronous scheduling prepares one while another runs. Source: vLLM 0.32, config/vllm.py."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a plan is made for.

    Attributes:
        device: Where the model would run.
        engine: "llama" or "vllm".
        kv_dtype: What the KV cache is kept as, or None for what the engine takes by itself.
        price_per_hour: Of the whole device, in any currency, or None.
        calibration: What real runs reached of the device's rates, or None.
    """

    device: Device
    engine: str
    kv_dtype: KvDtype | None = None
    price_per_hour: float | None = None
    calibration: Calibration | None = None


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a model and a window fit a device.

    Attributes:
        hardware: The device and the engine.
        window: Tokens that were planned for.
        kv_dtype: What the KV cache is kept as.
        kv_bytes: What the window takes of it on each device.
        memory: What else is taken, and what remains.
        largest_window: The longest window that fits, up to what the model's rope reaches; 0 where none does.
    """

    hardware: Hardware
    window: int
    kv_dtype: KvDtype
    kv_bytes: int
    memory: MemoryPlan
    largest_window: int

    @property
    def fits(self) -> bool:
        """Whether the window does."""
        return self.kv_bytes <= self.memory.kv_bytes and self.memory.taken_bytes <= self.memory.total_bytes

    def require(self) -> None:
        """Raise a `DoesNotFitError` that names the largest window where the planned one does not fit."""
        if not self.fits:
            raise does_not_fit(self.window, self.kv_bytes, self.memory, self.largest_window)


def engine_for(profile: ModelProfile, device: Device) -> str:
    """The engine that would serve the model there: vLLM on GPUs and for directories, llama.cpp otherwise."""
    is_directory = profile.path is not None and profile.path.suffix != ".gguf"
    return "vllm" if device.kind is DeviceKind.GPU or is_directory else "llama"


def kv_dtype_kept(hardware: Hardware) -> KvDtype:
    """What the engine there keeps the KV cache as; llama.cpp, as lctx starts it, has one width."""
    if hardware.engine == "llama":
        return KvDtype.FP16
    model_dtype = KvDtype.BF16 if hardware.device.kind is DeviceKind.GPU else KvDtype.FP32
    return hardware.kv_dtype or model_dtype


def fit_of(profile: ModelProfile, window: Window, hardware: Hardware) -> Fit | None:
    """Whether the model fits with that window, or None where its sizes are not known.

    Raises:
        UsageError: Its heads cannot be divided over that many devices.
    """
    if profile.shape is None or profile.widths is None or profile.weight_bytes is None:
        return None
    sizes = _llama(profile, hardware) if hardware.engine == "llama" else _vllm(profile, window, hardware)
    kv_dtype, kv_at, memory_at = sizes
    ceiling = max(window.tokens, profile.native_window)
    return Fit(
        hardware,
        window.tokens,
        kv_dtype,
        kv_at(window.tokens),
        memory_at(window.tokens),
        largest_window(memory_at, kv_at, ceiling, WINDOW_STEP),
    )


_Sizes = tuple[KvDtype, Callable[[int], int], Callable[[int], MemoryPlan]]
"""What the cache is kept as; tokens of a window -> its bytes on each device, and the memory beside it."""


def _llama(profile: ModelProfile, hardware: Hardware) -> _Sizes:
    shape, widths, weight_bytes = profile.shape, profile.widths, profile.weight_bytes
    assert shape is not None  # noqa: S101 - fit_of has looked
    assert widths is not None  # noqa: S101
    assert weight_bytes is not None  # noqa: S101
    available = hardware.device.available_bytes or hardware.device.memory_bytes

    def memory_at(tokens: int) -> MemoryPlan:
        return plan_memory_llama(available, weight_bytes, shape, widths, window=tokens)

    return kv_dtype_kept(hardware), lambda tokens: llama_kv_bytes(shape, tokens), memory_at


def _vllm(profile: ModelProfile, window: Window, hardware: Hardware) -> _Sizes:
    device, widths = hardware.device, profile.widths
    assert widths is not None  # noqa: S101 - fit_of has looked
    pool = block_pool(profile, hardware)
    weight_bytes = loaded_bytes(profile, pool.settings.model_dtype)
    on_gpu = device.kind is DeviceKind.GPU
    rope = window.rope

    def memory_at(tokens: int) -> MemoryPlan:
        choice = _rope_at(rope, tokens)
        if on_gpu:
            return plan_memory_vllm(
                device.memory_bytes, weight_bytes, pool, widths, rope=choice, window=tokens
            )
        available = device.available_bytes or device.memory_bytes
        return plan_memory_cpu(available, weight_bytes, pool, widths, rope=choice, window=tokens)

    return pool.settings.dtype, pool.bytes_for, memory_at


def _rope_at(rope: RopeChoice | None, tokens: int) -> RopeChoice | None:
    return None if rope is None else replace(rope, window=tokens)


def loaded_bytes(profile: ModelProfile, model_dtype: KvDtype) -> int:
    """Bytes of the weights once they are loaded: plain ones become as wide as what is computed in."""
    assert profile.weight_bytes is not None  # noqa: S101 - callers have looked
    if profile.quantization not in {"bfloat16", "float16", "float32"}:
        return profile.weight_bytes
    return profile.weight_bytes * model_dtype.num_bytes // KvDtype(profile.quantization).num_bytes


def block_pool(profile: ModelProfile, hardware: Hardware) -> BlockPool:
    """The blocks of vLLM's KV cache on that device.

    Raises:
        UsageError: The heads cannot be divided over that many devices, or the cache cannot be kept so.
    """
    shape = profile.shape
    assert shape is not None  # noqa: S101 - callers have looked
    on_gpu = hardware.device.kind is DeviceKind.GPU
    has_latents = any(group.kind is LayerKind.LATENT for group in shape.layers)
    if hardware.kv_dtype is KvDtype.FP8_DS_MLA and not has_latents:
        raise UsageError(
            f"--kv-dtype {hardware.kv_dtype.value}: {profile.name} keeps keys and values, no latents",
            "fp8 keeps those in one byte each",
        )
    settings = VllmSettings() if on_gpu else CPU_SETTINGS
    model_dtype = KvDtype.BF16 if on_gpu else KvDtype.FP32
    block = _GPU_BLOCK if on_gpu else _CPU_LATENT_BLOCK if has_latents else _CPU_BLOCK
    return plan_blocks(
        shape,
        KvSettings(
            block_size=block,
            dtype=kv_dtype_kept(hardware),
            model_dtype=model_dtype,
            tensor_parallel=hardware.device.count,
            max_in_flight_tokens=settings.max_num_batched_tokens * (_BATCHES_IN_FLIGHT if on_gpu else 1),
        ),
    )


def costing_of(profile: ModelProfile, hardware: Hardware) -> Callable[[int, int], Cost | None] | None:
    """Tokens of prompt and answer -> what they cost there, or None where the model's sizes are not known."""
    compute, shape, active = profile.compute, profile.shape, profile.active_bytes
    if compute is None or shape is None or active is None:
        return None
    rates = rates_for(hardware.device, profile.quantization, hardware.calibration)
    kv_dtype = kv_dtype_kept(hardware)

    def cost(prompt_tokens: int, answer_tokens: int) -> Cost | None:
        return estimate_cost(
            compute,
            hardware.device,
            rates,
            prompt_tokens=prompt_tokens,
            answer_tokens=answer_tokens,
            weight_bytes=active,
            kv_bytes=kv_cache_bytes(shape, prompt_tokens, kv_dtype),
            price_per_hour=hardware.price_per_hour,
        )

    return cost
