"""Processes of managed servers: launched apart from the command that needs them, and ended for certain."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from lctx.core.engine.locks import try_lock, unlock
from lctx.core.engine.state import Phase, ServerFiles, ServerState, read_state, send_signal

KEY_VARIABLE = "LCTX_SERVER_KEY"
_POLL_S = 0.02
_TERMINATE_S = 6.0
_KILL_S = 5.0
_TOLD_S = 60.0
_launched: "list[subprocess.Popen[bytes]]" = []
"""Servers outlive the command on purpose; those that ended while it still runs are reaped."""


def launch(
    files: ServerFiles, lock: int, module: str, arguments: Sequence[str], api_key: str | None = None
) -> "subprocess.Popen[bytes]":
    """The process of a server, in a session of its own, with nothing of this one but the lock on its id.

    Its output goes to the log and its input is empty, so that a caller who waits for this command's output
    does not wait for the server. Without an `api_key` the server gets a random one.
    """
    _reap()
    log = os.open(files.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    # -P and no relative path: a folder that happens to hold an lctx/ of its own must not become code.
    command = [sys.executable, "-P", "-m", module, "--lock-fd", str(lock), *arguments]
    environment = dict(os.environ) | {KEY_VARIABLE: api_key or secrets.token_urlsafe(32)}
    if paths := [entry for entry in environment.pop("PYTHONPATH", "").split(os.pathsep) if entry]:
        environment["PYTHONPATH"] = os.pathsep.join(str(Path(entry).absolute()) for entry in paths)
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environment,
            pass_fds=(lock,),
            start_new_session=True,
        )
    finally:
        os.close(log)
    _launched.append(child)
    return child


def _reap() -> None:
    _launched[:] = [child for child in _launched if child.poll() is None]


def end_servers(servers: Iterable[tuple[ServerFiles, ServerState]]) -> None:
    """End every one of `servers`, first politely, and remove what they leave."""
    left = list(servers)
    for number, patience in ((signal.SIGTERM, _TERMINATE_S), (signal.SIGKILL, _KILL_S)):
        for _, state in left:
            send_signal(state, number)
        deadline = time.monotonic() + patience
        while left and time.monotonic() < deadline:
            left = [(files, state) for files, state in left if not clean_up(files)]
            time.sleep(_POLL_S if left else 0)


def clean_up(files: ServerFiles) -> bool:
    """Whether nobody is behind `files`; what a dead server left is removed.

    One that has just failed is left a while: the command that started it has yet to read why.
    """
    _reap()
    lock = try_lock(files.lock)
    if lock is None:
        return False
    try:
        if _has_just_failed(files):
            return True
        files.remove()
        for path in (files.lease, files.log, files.old_log, files.lock):
            with suppress(OSError):
                path.unlink()
    finally:
        unlock(lock)
    return True


def _has_just_failed(files: ServerFiles) -> bool:
    state = read_state(files)
    if state is None or state.phase is not Phase.FAILED:
        return False
    with suppress(OSError):
        return time.time() - files.state.stat().st_mtime < _TOLD_S
    return False
