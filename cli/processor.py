"""This machine's processor as a device: its name, the memory that it may use, how fast it can be at most."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lctx.core.engine.cores import usable_cores
from lctx.core.planning.devices import Device, DeviceKind

_ROOT = Path("/")
_KIB = 1 << 10
_CPUINFO_BYTES = 1 << 14  # the first processor is enough, and the kernel samples each clock that is read
_SYSCTL_S = 2.0

# FLOP of one core in one cycle, at most: two fused multiply-adds (four on ARM) as wide as its vectors; one
# multiplication and one addition where it has none fused.
_FP32 = (("avx512f", 64), ("avx2", 32), ("avx", 16), ("sve", 32), ("asimd", 32), ("sse", 8))
# The same in bfloat16, where the processor has it; elsewhere an engine computes in fp32.
_BF16 = (("amx_bf16", 2048), ("avx512_bf16", 128), ("svebf16", 64), ("bf16", 64))


@dataclass(frozen=True, slots=True)
class Memory:
    """The RAM that this process may use: a container's limit where that is less than the machine's."""

    total_bytes: int
    available_bytes: int | None


@dataclass(frozen=True, slots=True)
class _Limit:
    """One control group: the most that it may use, and what it uses that cannot be dropped."""

    most_bytes: int
    used_bytes: int


def processor(root: Path = _ROOT) -> Device:
    """This machine's processor; its rate is an upper bound, and its memory's bandwidth is not known.

    Source:
        Intel 64 and IA-32 Architectures Optimization Reference Manual (two 512-bit FMA units a core; AMX:
        1024 bf16 multiply-adds a cycle); Arm Neoverse V2 Software Optimization Guide (four 128-bit pipes).
    """
    memory = usable_memory(root)
    told = _cpuinfo(root)
    flags = frozenset(told.get("flags", told.get("Features", "")).split())
    cores = usable_cores(root / "sys/devices/system/cpu", root / "sys/fs/cgroup")
    hertz = _clock(root, told)
    unit, per_cycle = next((one for one in (*_BF16, *_FP32) if one[0] in flags), ("", 0))
    flops = cores * hertz * per_cycle if hertz and per_cycle else None
    source = "no rate: its clock or its vector unit is not told"
    if flops is not None and hertz is not None:
        source = f"at most, estimated: {cores} cores x {hertz / 1e9:.2f} GHz x {per_cycle} FLOP ({unit})"
    return Device(
        name=processor_name(told),
        kind=DeviceKind.CPU,
        memory_bytes=memory.total_bytes,
        bf16_flops=flops,
        source=source,
        available_bytes=memory.available_bytes,
    )


def processor_name(told: dict[str, str] | None = None) -> str:
    """What its maker calls it, or its architecture where nothing tells."""
    if sys.platform == "darwin":
        return _sysctl("machdep.cpu.brand_string") or os.uname().machine
    kept = _cpuinfo(_ROOT) if told is None else told
    return " ".join(kept.get("model name", "").split()) or f"{os.uname().machine} processor"


def usable_memory(root: Path = _ROOT) -> Memory:
    """The RAM of this machine, or of the container that this process lives in."""
    told = _fields(root / "proc/meminfo")
    total, available = _kibibytes(told.get("MemTotal")), _kibibytes(told.get("MemAvailable"))
    if total is None:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # Every group counts: one that holds this one's may be larger, and yet have less that is free.
    limits = [limit for limit in _limits(root) if limit.most_bytes < total]
    free = [max(0, limit.most_bytes - limit.used_bytes) for limit in limits]
    most = min([total, *(limit.most_bytes for limit in limits)])
    return Memory(most, min([available, most, *free]) if available is not None else min(free, default=None))


def _limits(root: Path) -> Iterator[_Limit]:
    """The control groups that hold this process, in versions 1 and 2, each with all that hold it."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return
    mounted = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        # In a container the path may be the host's: what is mounted there is then the container's own group.
        parts = [part for part in path.split("/") if part not in {"", ".", ".."}]
        if not controllers:
            names = ("memory.max", "memory.current", "inactive_file")
            bases = [mounted, mounted / "unified"]
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            bases = [mounted / "memory"]
        else:
            continue
        for base in bases:
            own = base.joinpath(*parts)
            for group in [own, *own.parents][: len(parts) + 1]:
                if limit := _limit(group, *names):
                    yield limit


def _limit(group: Path, most: str, used: str, droppable: str) -> _Limit | None:
    """What `group` may use, or None where it is not limited or not told."""
    try:
        most_bytes = int((group / most).read_text("ascii"))  # "max" is no number: no limit
        used_bytes = int((group / used).read_text("ascii"))
    except (OSError, ValueError):
        return None
    inactive = _fields(group / "memory.stat", " ").get(droppable, "0")
    dropped = int(inactive) if inactive.isdecimal() else 0
    return _Limit(most_bytes, max(0, used_bytes - dropped)) if most_bytes > 0 else None


def _cpuinfo(root: Path) -> dict[str, str]:
    return _fields(root / "proc/cpuinfo")


def _fields(path: Path, separator: str = ":") -> dict[str, str]:
    """The first value under each name of a file of `name: value` lines; empty where it cannot be read."""
    try:
        with path.open("r", encoding="utf-8", errors="replace") as file:
            content = file.read(_CPUINFO_BYTES)
    except OSError:
        return {}
    found: dict[str, str] = {}
    for line in content.splitlines():
        name, _, value = line.partition(separator)
        found.setdefault(name.strip(), value.strip())
    return found


def _kibibytes(told: str | None) -> int | None:
    number = (told or "").split(" ")[0]
    return int(number) * _KIB if number.isdecimal() and int(number) else None


def _clock(root: Path, told: dict[str, str]) -> float | None:
    """The highest clock of a core in hertz, or the present one where only that is told, or None."""
    try:
        highest = root / "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq"
        return float(int(highest.read_text("ascii"))) * 1e3
    except (OSError, ValueError):
        pass
    try:
        return float(told["cpu MHz"]) * 1e6 or None
    except (KeyError, ValueError):
        return None


def _sysctl(name: str) -> str:
    """What macOS says of itself, or an empty text."""
    import subprocess

    try:
        done = subprocess.run(
            ["/usr/sbin/sysctl", "-n", name], capture_output=True, check=False, timeout=_SYSCTL_S
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", errors="replace").strip()
