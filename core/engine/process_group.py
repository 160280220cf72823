"""An engine's processes, bound to the life of the one that started them: nobody stays behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

_POLL_S = 0.02
_KILL_S = 5.0
_PR_SET_CHILD_SUBREAPER = 36
"""Source: linux/prctl.h."""

_GUARD = "read -r line; kill -KILL 0"
"""Waits for the end of its input, which comes when its parent ends, however that is; then ends the group."""


class ProcessGroup:
    """A process group whose first member is a guard: a shell that kills the group once its parent is gone.

    The guard holds the lock of the server's id too, so that the id is free when all of them are gone, and not
    before.
    """

    def __init__(self, lock: int, name: str) -> None:
        """Start the guard.

        Args:
            lock: The descriptor of the lock on the server's id.
            name: What the guard is called in a list of processes.
        """
        _adopt_orphans()
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            pass_fds=(lock,),
            process_group=0,
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """A descriptor to read what the new process says. It inherits nothing else.

        Raises:
            OSError: It cannot be started.
        """
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=dict(environment),
            process_group=self._guard.pid,
        )
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        return self._process.stdout.fileno()

    @property
    def status(self) -> int | None:
        """The exit status of the process, negative for a signal; None while it runs."""
        return self._process.poll() if self._process is not None else None

    @property
    def is_running(self) -> bool:
        """Whether both the process and its guard are there."""
        return self.status is None and self._guard.poll() is None

    def end(self, patience_s: float) -> None:
        """End all of them: the first process politely, whoever is left after `patience_s` not."""
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience_s)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._guard.pid, signal.SIGKILL)
        for one in (process, self._guard):
            if one is not None:
                with suppress(subprocess.TimeoutExpired):
                    one.wait(_KILL_S)
        deadline = time.monotonic() + _KILL_S
        while _has_members(self._guard.pid) and time.monotonic() < deadline:
            time.sleep(_POLL_S)


def _adopt_orphans() -> None:
    """Have processes whose parent died become children of this one, so that it sees them end. Linux only."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _has_members(group: int) -> bool:
    """Whether a process is left in the group; PermissionError is macOS's word for one that is just ending."""
    with suppress(ChildProcessError):
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
