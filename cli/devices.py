"""What this machine computes with: its GPUs through NVML, or its processor and the reason why."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lctx.cli.processor import processor, processor_name, usable_memory
from lctx.core.planning.devices import Device, DeviceKind, parse_device, reported_device

_ROOT = Path("/")
# One of them is there where a driver is, the second under WSL. Looking costs less than asking NVML.
_DRIVER_FILES = ("dev/nvidiactl", "dev/dxg")
_AMD_FILE = "dev/kfd"
_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class Detection:
    """What was found.

    Attributes:
        device: The GPUs of one kind that CUDA would see, else the processor.
        note: Why it is the processor, or what was left out; None where there is nothing to say.
    """

    device: Device
    note: str | None = None


@dataclass(frozen=True, slots=True)
class _Card:
    """One GPU, or one MIG slice of one, as NVML describes it.

    Attributes:
        product: What its driver calls it.
        total_bytes: Its memory.
        free_bytes: What is free of it.
        profile: Of a MIG slice, `3g.40gb`; empty for a whole GPU.
        cores: The share of the GPU's cores that it has.
        whole_bytes: The memory of the whole GPU.
    """

    product: str
    total_bytes: int
    free_bytes: int
    profile: str = ""
    cores: float = 1.0
    whole_bytes: int = 0


class _NoGpuError(Exception):
    """There is no GPU to compute with; the message says why."""


def device_for(text: str | None) -> Device:
    """What `--gpu` names; this machine's processor for `none`; what this machine has where it is not given.

    Raises:
        UsageError: lctx knows no such card.
    """
    if text is None:
        return detect()
    return parse_device(text) or processor()


def detect() -> Device:
    """This machine's GPUs of one kind, or its processor."""
    return look().device


def look(environ: Mapping[str, str] = os.environ, root: Path = _ROOT) -> Detection:
    """This machine's GPUs of one kind, or its processor and the reason. It never fails."""
    if sys.platform == "darwin":
        return _apple(root)
    try:
        cards, lost = _cards(environ, root)
        return _chosen(cards, lost)
    except _NoGpuError as error:
        return Detection(processor(root), str(error))


def _apple(root: Path) -> Detection:
    """The GPU of a Mac's chip: it has the whole memory, which it shares with the processor."""
    memory = usable_memory(root)
    if device := reported_device(processor_name(), memory.total_bytes):
        return Detection(replace(device, available_bytes=memory.available_bytes))
    return Detection(processor(root), f"lctx knows no rates of {processor_name()}")


def _chosen(cards: Sequence[_Card], lost: Sequence[str]) -> Detection:
    """The GPUs of the kind with the most memory together, and which others there are."""
    first = cards[0]
    # CUDA gives a process one MIG slice at most.
    kinds = [(first,)] if first.profile else _kinds(cards)
    chosen = max(kinds, key=lambda kind: sum(card.total_bytes for card in kind))
    others = [f"{len(kind)} x {kind[0].product} left out" for kind in kinds if kind is not chosen]
    return Detection(_device(chosen), "; ".join([*others, *lost]) or None)


def _kinds(cards: Sequence[_Card]) -> list[tuple[_Card, ...]]:
    products = dict.fromkeys(card.product for card in cards)
    return [tuple(card for card in cards if card.product == product) for product in products]


def _device(cards: Sequence[_Card]) -> Device:
    """Equal cards as one device: each holds what the least of them does."""
    card = min(cards, key=lambda one: one.total_bytes)
    free = min(one.free_bytes for one in cards)
    known = reported_device(card.product, card.whole_bytes or card.total_bytes)
    if known is None:
        known = Device(
            card.product, DeviceKind.GPU, card.total_bytes, source="NVML; no rates of it are known"
        )
    found = replace(known, memory_bytes=card.total_bytes, available_bytes=free, count=len(cards))
    return _slice(found, card) if card.profile else found


def _slice(whole: Device, card: _Card) -> Device:
    """A MIG slice: its share of the memory carries the bandwidth, its share of the cores the rates."""
    memory = card.total_bytes / card.whole_bytes if card.whole_bytes else 1.0

    def share(rate: float | None, part: float) -> float | None:
        return None if rate is None else rate * part

    return replace(
        whole,
        name=f"{whole.name} MIG {card.profile}",
        bandwidth=share(whole.bandwidth, memory),
        bf16_flops=share(whole.bf16_flops, card.cores),
        fp8_flops=share(whole.fp8_flops, card.cores),
        watts=share(whole.watts, card.cores),
        source=f"{whole.source}; estimated as {card.cores:.0%} of its cores and {memory:.0%} of its memory",
    )


def _cards(environ: Mapping[str, str], root: Path) -> tuple[list[_Card], list[str]]:
    """The GPUs that a CUDA program would see, at least one, and what is wrong with others."""
    if not any((root / file).exists() for file in _DRIVER_FILES):
        if (root / _AMD_FILE).exists():
            raise _NoGpuError("AMD GPUs are not detected: name yours with --gpu, as in --gpu mi300x")
        raise _NoGpuError("no NVIDIA driver is loaded")
    try:
        import pynvml
    except ImportError:
        raise _NoGpuError("nvidia-ml-py is not installed, so that GPUs cannot be detected") from None
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError, OSError) as error:
        raise _NoGpuError(f"NVML cannot be used: {error}") from error
    try:
        return _visible_cards(pynvml, environ.get(_VISIBLE), root)
    except (pynvml.NVMLError, OSError) as error:
        raise _NoGpuError(f"NVML cannot be used: {error}") from error
    finally:
        with suppress(pynvml.NVMLError, OSError):
            pynvml.nvmlShutdown()


def _visible_cards(nvml: Any, visible: str | None, root: Path) -> tuple[list[_Card], list[str]]:
    number = nvml.nvmlDeviceGetCount()
    if not number:
        raise _NoGpuError("the NVIDIA driver sees no GPU")
    cards, lost = [], []
    for index, slice_id in _selected(nvml, visible, number):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            cards.append(_card(nvml, handle, slice_id, root))
        except (nvml.NVMLError, _NoGpuError) as error:
            lost.append(f"GPU {index} cannot be used: {error}")
    if not cards:
        raise _NoGpuError("; ".join(lost) or f"{_VISIBLE}={visible!r} shows no GPU")
    return cards, lost


def _selected(nvml: Any, visible: str | None, number: int) -> list[tuple[int, str]]:
    """The GPUs that `CUDA_VISIBLE_DEVICES` shows, by index, with the MIG slice that it names or "".

    Source:
        CUDA C++ Programming Guide, "CUDA Environment Variables": the first entry that is not valid hides
        itself and all after it; a unique beginning of a UUID is enough.
    """
    if visible is None:
        return [(index, "") for index in range(number)]
    selected: list[tuple[int, str]] = []
    for entry in (one.strip() for one in visible.split(",")):
        found = _place(nvml, entry, number)
        if found is None or found in selected:
            break
        selected.append(found)
    return selected


def _place(nvml: Any, entry: str, number: int) -> tuple[int, str] | None:
    if entry.isdecimal():
        return (int(entry), "") if len(entry) <= len(str(number)) and int(entry) < number else None
    if not entry.startswith(("GPU-", "MIG-")):
        return None
    places = []
    for index in range(number):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            if entry.startswith("GPU-"):
                ids = [_text(nvml.nvmlDeviceGetUUID(handle))]
            else:
                ids = [_text(nvml.nvmlDeviceGetUUID(one)) for one in _slices(nvml, handle) or ()]
        except nvml.NVMLError:
            continue
        places += [(index, one if entry.startswith("MIG-") else "") for one in ids if one.startswith(entry)]
    return places[0] if len(places) == 1 else None


def _card(nvml: Any, handle: Any, slice_id: str, root: Path) -> _Card:
    """The GPU behind `handle`, or the one of its MIG slices that a CUDA program would get."""
    product = _text(nvml.nvmlDeviceGetName(handle))
    slices = _slices(nvml, handle)
    if slices is None:
        total, free = _memory(nvml, handle, root)
        return _Card(product, total, free)
    chosen = next((one for one in slices if slice_id in {"", _text(nvml.nvmlDeviceGetUUID(one))}), None)
    if chosen is None:
        raise _NoGpuError("it is in MIG mode and has no slice")
    total, free = _memory(nvml, chosen, root)
    whole, _ = _memory(nvml, handle, root)
    parts = nvml.nvmlDeviceGetAttributes(chosen).gpuInstanceSliceCount
    cores = parts / max(parts, nvml.nvmlDeviceGetMaxMigDeviceCount(handle))
    profile = _text(nvml.nvmlDeviceGetName(chosen)).rpartition(" MIG ")[2]
    return _Card(product, total, free, profile, cores, whole)


def _slices(nvml: Any, handle: Any) -> list[Any] | None:
    """The MIG slices of a GPU, or None where it is whole."""
    try:
        if not nvml.nvmlDeviceGetMigMode(handle)[0]:
            return None
    except nvml.NVMLError:  # most cards know no MIG
        return None
    found = []
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            found.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index))
        except nvml.NVMLError:
            continue
    return found


def _memory(nvml: Any, handle: Any, root: Path) -> tuple[int, int]:
    """Total and free bytes; a GPU without memory of its own has the machine's."""
    try:
        told = nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError as error:
        if getattr(error, "value", None) != nvml.NVML_ERROR_NOT_SUPPORTED:
            raise
        memory = usable_memory(root)
        return memory.total_bytes, memory.available_bytes or memory.total_bytes
    return int(told.total), int(told.free)


def _text(told: str | bytes) -> str:
    """Older versions of the bindings answer in bytes."""
    return told.decode("utf-8", errors="replace") if isinstance(told, bytes) else told
