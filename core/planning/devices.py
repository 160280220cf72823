"""What a model may run on: known accelerators, and `--gpu 2xh100:80gb` read into one of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from lctx.core.errors import UsageError

UNVERIFIED = "unverified"
"""What a row's source says of numbers that were not seen where they are published."""

NAMED_BY_SIZE = "named by size"
"""The source of a device of which nothing but its memory was said."""

_MIB = 1 << 20
_GIB = 1 << 30
_MOST_DEVICES = 1024
_MOST_GIGABYTES = 4096
_CLOSE = 0.1  # a card's usable memory differs by less from what is printed on its box
_SAME = 0.2  # ECC and firmware take less of it
_SHOWN = 40
_NONE = frozenset({"none", "cpu"})
_MAKERS = re.compile(r"^(?:nvidia|amd|intel|apple|geforce|instinct|tesla|quadro)+")
_ANY_GPU = frozenset({"", "gpu", "cuda", "rocm", "vram"})
_TIMES = "[x*×]"
_COUNT_FIRST = re.compile(rf"(?P<count>\d+)\s*{_TIMES}\s*(?P<rest>.+)")
_COUNT_LAST = re.compile(rf"(?P<rest>.+?)(?:\s+{_TIMES}|(?<=b|g){_TIMES}|[*×])\s*(?P<count>\d+)")
_COUNT_GLUED = re.compile(r"(?P<rest>.+)x(?P<count>\d+)")
_MEMORY = re.compile(r"(?P<rest>.*?)(?:^|[:\s])\s*(?P<size>\d+(?:\.\d+)?)\s*(?P<unit>gib|gb|g)?")


class DeviceKind(StrEnum):
    """What computes."""

    GPU = "gpu"
    CPU = "cpu"


@dataclass(frozen=True, slots=True)
class Device:
    """One or more equal cards, or this machine's processor.

    Attributes:
        name: Its usual name, without its maker.
        kind: Whether it is a GPU.
        memory_bytes: What one card holds, as its driver reports it; a CPU's is the RAM that may be used. CUDA
            programs see up to 2% less.
        count: How many of them there are.
        bandwidth: Bytes per second of one card's memory, or None where nothing tells.
        bf16_flops: FLOP per second of one, dense, or None; a CPU's is an upper bound.
        fp8_flops: FLOP per second of one, dense, or None where it has no such arithmetic.
        watts: The power limit of one that it is sold with, or None.
        source: Where the numbers were read, or how they were estimated.
        available_bytes: What is free of one card's memory at the moment, or None where it was not looked at.
    """

    name: str
    kind: DeviceKind
    memory_bytes: int
    count: int = 1
    bandwidth: float | None = None
    bf16_flops: float | None = None
    fp8_flops: float | None = None
    watts: float | None = None
    source: str = ""
    available_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.memory_bytes <= 0 or self.count <= 0:
            raise ValueError(f"{self.name}: a device has memory and is there at least once")

    @property
    def label(self) -> str:
        """Its name, and how many of it where there are several: `2 x H200`."""
        return self.name if self.count == 1 else f"{self.count} x {self.name}"

    @property
    def total_memory_bytes(self) -> int:
        """The memory of all of them together."""
        return self.count * self.memory_bytes


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of the table: a device for each memory size that it is sold with, the usual one first."""

    aliases: frozenset[str]
    reports: frozenset[str]
    sizes: Mapping[int, Device]


def known_devices() -> tuple[Device, ...]:
    """Every accelerator of the table, in its order, a device for each memory size that differs."""
    return tuple(device for row in _rows() for device in dict.fromkeys(row.sizes.values()))


def known_names() -> tuple[str, ...]:
    """What `parse_device` understands, one name a card, in the order of the table."""
    return tuple(dict.fromkeys(alias for alias, _ in _named()))


def reported_device(product: str, memory_bytes: int) -> Device | None:
    """The accelerator whose driver calls it `product`, with the memory that it reports, or None.

    Some cards share a product name and not a memory, nor its speed: with another memory it is not that one.
    """
    wanted = _plain(product)
    for row in _rows():
        if wanted in row.reports:
            near = min(row.sizes.values(), key=lambda one: _gap(one, memory_bytes))
            return replace(near, memory_bytes=memory_bytes) if _gap(near, memory_bytes) <= _SAME else None
    return None


def parse_device(text: str) -> Device | None:
    """The device that `text` names, or None for `none`: no GPU, so this machine's processor.

    A name of the table (`h100`, `RTX-4090`, `nvidia-l40s`), its memory where it is sold with several
    (`a100:40gb`), how many (`2xh200`, `4*a100:40gb`, `h100:80gb x2`); or a size alone (`24gb`,
    `2xcuda:24gb`): a GPU of which nothing but its memory is known.

    Raises:
        UsageError: No such card, or not with that memory; the hint names what comes near.
    """
    wanted = " ".join(text.casefold().split())
    if wanted in _NONE:
        return None
    for pattern in (_COUNT_FIRST, _COUNT_LAST):
        if found := pattern.fullmatch(wanted):
            return _several(_one(found["rest"], text), found["count"], text)
    found = _COUNT_GLUED.fullmatch(wanted)
    if found and not _called(wanted) and _called(found["rest"]):  # h100x2, but not rtx4090
        return _several(_one(found["rest"], text), found["count"], text)
    return _one(wanted, text)


def _several(device: Device, count: str, text: str) -> Device:
    if len(count) > _SHOWN or not 1 <= int(count) <= _MOST_DEVICES:
        raise UsageError(
            f"GPU {_shown(text)}: there can be 1 to {_MOST_DEVICES} of them", "name a count, as in 2xh100"
        )
    return replace(device, count=int(count))


def _one(wanted: str, text: str) -> Device:
    """The single device that `wanted` names; `text` is what the user wrote."""
    if rows := _called(wanted):
        return next(iter(rows[0].sizes.values()))
    found = _MEMORY.fullmatch(wanted)
    if found is None:
        raise _unknown(wanted, text)
    name, gigabytes = _plain(found["rest"]), float(found["size"])
    if name in _ANY_GPU and (found["unit"] or ":" in wanted):
        return _sized(gigabytes, text)
    rows = _called(found["rest"])
    if not rows:
        raise _unknown(found["rest"], text)
    for row in rows:
        if gigabytes in row.sizes:
            return row.sizes[int(gigabytes)]
    memory_bytes = gigabytes * _GIB
    devices = [device for row in rows for device in row.sizes.values()]
    near = min(devices, key=lambda one: _gap(one, memory_bytes))
    if _gap(near, memory_bytes) > _CLOSE:
        known = ", ".join(f"{size} GB" for size in sorted({size for row in rows for size in row.sizes}))
        hint = f"name one of those, or the size alone: --gpu {found['size']}gb"
        raise UsageError(f"GPU {_shown(text)}: it is sold with {known}", hint)
    return replace(near, memory_bytes=int(memory_bytes))


def _gap(device: Device, memory_bytes: float) -> float:
    """How far `memory_bytes` is from what the device holds, as a share of that."""
    return abs(memory_bytes / device.memory_bytes - 1)


def _sized(gigabytes: float, text: str) -> Device:
    if not 1 <= gigabytes <= _MOST_GIGABYTES:
        hint = "name its memory in gigabytes, as in 24gb"
        raise UsageError(f"GPU {_shown(text)}: a GPU holds 1 to {_MOST_GIGABYTES} GB", hint)
    name = f"GPU with {gigabytes:g} GB"
    return Device(name, DeviceKind.GPU, int(gigabytes * _GIB), source=NAMED_BY_SIZE)


def _unknown(wanted: str, text: str) -> UsageError:
    from difflib import get_close_matches

    names = known_names()
    plain = {_plain(alias): name for name, row in _named() for alias in row.aliases}
    near = get_close_matches(_plain(wanted)[:_SHOWN], plain, n=3, cutoff=0.5)
    told = f"did you mean {' or '.join(dict.fromkeys(plain[one] for one in near))}? " if near else ""
    hint = f"{told}lctx knows {', '.join(names)}; a size alone (24gb) plans by memory, none for no GPU"
    return UsageError(f"GPU {_shown(text)}: lctx knows none of that name", hint)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _plain(name: str) -> str:
    """`name` as it is compared: in lower case, without spaces, dashes and its maker."""
    return _MAKERS.sub("", re.sub(r"[\s_\-]", "", name.casefold()))


def _called(name: str) -> list[_Row]:
    """The rows that `name` may mean, the usual one first."""
    wanted = _plain(name)
    return [row for row in _rows() if wanted in row.aliases]


@cache
def _named() -> tuple[tuple[str, _Row], ...]:
    """Each row with the name that a user would write for it."""
    return tuple((str(kept["aliases"][0]), row) for kept, row in zip(_table(), _rows(), strict=True))


@cache
def _rows() -> tuple[_Row, ...]:
    return tuple(map(_row, _table()))


@cache
def _table() -> tuple[Mapping[str, Any], ...]:
    import tomllib

    content = tomllib.loads((Path(__file__).parent / "devices.toml").read_text("utf-8"))
    return tuple(content["device"])


def _row(kept: Mapping[str, Any]) -> _Row:
    sizes = {
        int(gigabytes): Device(
            name=kept["name"],
            kind=DeviceKind.GPU,
            memory_bytes=mebibytes * _MIB,
            bandwidth=kept["bandwidth"],
            bf16_flops=kept["bf16"],
            fp8_flops=kept.get("fp8"),
            watts=float(kept["watts"]),
            source=kept["source"],
        )
        for gigabytes, mebibytes in kept["memory"].items()
    }
    aliases = frozenset(map(_plain, (kept["name"], *kept["aliases"])))
    return _Row(aliases, frozenset(map(_plain, kept.get("reports", ()))), sizes)
