"""A command's wall time, processor time and peak memory, whatever it starts beside itself."""

import os
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

SAMPLE_S = 0.02


@dataclass(frozen=True)
class Cost:
    """What one run of a command took.

    Attributes:
        wall_s: By the clock.
        cpu_s: User and system time of all its processes.
        peak_mb: The most memory that any one of them held, in MiB.
        sum_mb: The most that all of them held at one time; what they share counts for each. 0 where unknown.
        output: Its standard output, where that was asked for.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    sum_mb: float
    output: bytes


def run(command, environment=None, *, keep=False, folder=None):
    """The cost of `command`, which must end well."""
    out = subprocess.PIPE if keep else subprocess.DEVNULL
    begun = time.monotonic()
    child = subprocess.Popen(
        list(map(str, command)), stdout=out, stderr=subprocess.PIPE, env=environment, cwd=folder
    )
    watch = Watch(child.pid)
    said = []
    reader = threading.Thread(target=lambda: said.append(child.stderr.read()), daemon=True)
    reader.start()
    output = child.stdout.read() if keep else b""
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    watch.stop()
    reader.join()
    # 5: some sources could not be read, which is so in any large tree.
    if child.returncode not in {0, 5}:
        told = b"".join(said)[-600:].decode(errors="replace")
        raise SystemExit(f"{command[0]} ended with {child.returncode}: {told}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, watch.peak / 1024, output)


def middle(costs):
    """The run of median wall time, with the highest memory of all."""
    wall = sorted(costs, key=lambda cost: cost.wall_s)[len(costs) // 2]
    return Cost(
        statistics.median(cost.wall_s for cost in costs),
        statistics.median(cost.cpu_s for cost in costs),
        max(cost.peak_mb for cost in costs),
        max(cost.sum_mb for cost in costs),
        wall.output,
    )


class Watch:
    """Samples the memory of a process and all below it, in KiB, until it is stopped."""

    def __init__(self, pid):
        self.peak = 0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self):
        self._ended.set()
        self._thread.join()

    def _sample(self):
        while not self._ended.wait(SAMPLE_S):
            self.peak = max(self.peak, sum(map(resident_kb, family(self._pid))))


def family(pid):
    """A process and all below it; nothing where the system does not say."""
    found = [pid]
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += family(int(child))
    except OSError:
        pass
    return found


def resident_kb(pid):
    """What a process holds in memory; 0 once it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)
