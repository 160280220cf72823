"""How many cores a computing thread can really have to itself."""

import os
from pathlib import Path

_TOPOLOGY = Path("/sys/devices/system/cpu")
_CGROUP = Path("/sys/fs/cgroup")


def usable_cores(topology: Path = _TOPOLOGY, cgroup: Path = _CGROUP) -> int:
    """Physical cores that this process may use, at least 1; a container's quota counts.

    Two hardware threads of one core share its arithmetic, so that the second adds waiting and no speed.
    """
    pinned = hasattr(os, "sched_getaffinity")
    allowed = os.sched_getaffinity(0) if pinned else set(range(os.cpu_count() or 1))
    cores = {_siblings(topology, cpu) for cpu in allowed}
    return max(1, min(len(cores), _quota(cgroup)))


def _siblings(topology: Path, cpu: int) -> str:
    """The hardware threads of one core as one name; where the kernel does not tell, each stands alone."""
    try:
        return (topology / f"cpu{cpu}/topology/thread_siblings_list").read_text("ascii").strip()
    except (OSError, ValueError):
        return str(cpu)


def _quota(cgroup: Path) -> int:
    """Whole cores that the container may use; a large number where it is not limited."""
    unlimited = 1 << 20
    try:
        quota, period = (cgroup / "cpu.max").read_text("ascii").split()
        return unlimited if quota == "max" else int(quota) // int(period)
    except (OSError, ValueError, ZeroDivisionError):
        pass
    try:
        microseconds = int((cgroup / "cpu/cpu.cfs_quota_us").read_text("ascii"))
        period_microseconds = int((cgroup / "cpu/cpu.cfs_period_us").read_text("ascii"))
        return unlimited if microseconds <= 0 else microseconds // period_microseconds
    except (OSError, ValueError, ZeroDivisionError):
        return unlimited
