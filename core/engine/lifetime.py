"""The life of a server's process: apart from who started it, as long as it is used, and a while after."""

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from lctx.core.engine.locks import try_lock
from lctx.core.engine.state import ServerFiles, ServerState, keep_alive, read_state, write_state

POLL_S = 0.2
_MEND_S = 1.0


def begin(lock_fd: int) -> None:
    """Live apart from the command that started this process: its own files, no signals of its terminal.

    Args:
        lock_fd: Holds the server's id; whatever this process starts must not.
    """
    os.umask(0o077)
    os.set_inheritable(lock_fd, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def stay(
    files: ServerFiles,
    state: ServerState,
    stopping: threading.Event,
    is_running: Callable[[], bool] = lambda: True,
    poll_s: float = POLL_S,
) -> None:
    """Return when stopped, when `is_running` says no, or when the server was idle for its keep-alive.

    Args:
        files: The server's.
        state: As it was written when the server became ready.
        stopping: Set to end it.
        is_running: Asked at every look; may do what has to be done as long as the server lives.
        poll_s: Seconds between two looks; 0 where `is_running` takes its time.
    """
    idle_from: float | None = None
    looked = time.monotonic()
    while is_running() and not stopping.wait(poll_s):
        now = time.monotonic()
        if now - looked >= _MEND_S:
            looked = now
            _mend(files, state, idle=idle_from is not None)
        lease = try_lock(files.lease)
        if lease is None:
            if idle_from is not None:
                idle_from = None
                _note_idle(files, state, None)
            continue
        if idle_from is None:
            idle_from = now
            _note_idle(files, state, time.time())
        # Nobody can find a server whose state is gone: it would stay for nothing.
        if now - idle_from >= keep_alive(files) or not files.state.exists():
            return  # with the lease in hand: nobody can take it up any more
        fcntl.flock(lease, fcntl.LOCK_UN)
        os.close(lease)


def _note_idle(files: ServerFiles, state: ServerState, since: float | None) -> None:
    with suppress(OSError):  # a full disk must not end a server: only `lctx ps` knows less
        if files.state.exists():
            write_state(files, replace(state, idle_since=since))


def _mend(files: ServerFiles, state: ServerState, *, idle: bool) -> None:
    """Write the state anew where it was damaged: without its key nobody could use the server."""
    if files.state.exists() and read_state(files) is None:
        _note_idle(files, state, time.time() if idle else None)
