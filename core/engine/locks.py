"""File locks that the kernel drops when their holder dies: who is alive, and who is in use.

A process id in a file can be stale or recycled; a lock cannot. Who died or was rebooted holds nothing.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """The descriptor of a lock on `path`, or None where another process holds it.

    Raises:
        OSError: The file cannot be made, or its file system knows no locks.
    """
    while True:
        handle = os.open(path, _FLAGS, 0o600)
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except BaseException:
            os.close(handle)
            raise
        if _is_current(handle, path):
            return handle
        os.close(handle)  # it was unlinked between open and lock: that lock guards nothing


def _is_current(handle: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(handle))


def is_held(path: Path) -> bool:
    """Whether a process holds `path` for itself alone."""
    if not path.exists():
        return False
    try:
        handle = try_lock(path, shared=True)
    except OSError:
        return False
    if handle is None:
        return True
    unlock(handle)
    return False


def unlock(handle: int) -> None:
    """Let go of the lock, also where a fork still has the descriptor."""
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_UN)
    with suppress(OSError):
        os.close(handle)
