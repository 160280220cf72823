"""How a child process starts: forked from the zygote where that can be, else an interpreter of its own."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from lctx.formats.interpreter import interpreter
from lctx.formats.zygote import ForkedChild, forked

# The order brings the paths that `site` would find.
_START = """
import json, sys
order = json.loads(sys.argv[1])
sys.path += order["path"]
from lctx.formats.child_main import main
main(order)
"""
_MORE = 1.1
"""How much more than its parent a child must have held for its peak to be its own."""


class SpawnedChild(subprocess.Popen[bytes]):
    """A process whose own peak of memory is known: the system's sum over all children hides which it was.

    Attributes:
        peak_bytes: The most memory that it held, once it has ended; 0 where the system does not say. A child
            begins with its parent's peak, so nothing is said of one that held less than its parent.
        is_lost: Whether nobody can tell how it ended: never.
    """

    peak_bytes = 0
    is_lost = False

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        """Popen's own way to wait, with `wait4` for `waitpid`."""
        try:
            pid, status, usage = os.wait4(self.pid, wait_flags)
        except ChildProcessError:
            return self.pid, 0
        if pid and usage.ru_maxrss > _MORE * _own_peak():
            self.peak_bytes = usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss << 10
        return pid, status


def _own_peak() -> int:
    """The most memory that this process held, in the system's unit: what a child of it begins with."""
    import resource

    with suppress(OSError, StopIteration, ValueError), Path("/proc/self/status").open() as status:
        # Its own, where the system keeps it: what it began with itself is passed on to no child.
        return int(next(line for line in status if line.startswith("VmHWM:")).split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


RunningChild: TypeAlias = SpawnedChild | ForkedChild


def start_child(order: str) -> RunningChild:
    """A child that runs `order`, as `child_main` takes it; it need not be running yet."""
    if child := forked(order):
        return child
    pipe = subprocess.PIPE
    command = [*interpreter(), _START, order]
    return SpawnedChild(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
