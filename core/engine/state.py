"""What is written down of a server that lctx started: its files, and the state that later commands find.

A server has one id and, in the runtime directory, these files of that name:

    ID.lock    held by the server as long as it lives
    ID.lease   shared by every command that uses it; free means idle
    ID.keep    how long it stays when idle, in seconds
    ID.json    its state, with its key; written by the server alone
    ID.sock    where it listens, unless the path is too long for a socket
    ID.log     what it said; never a prompt
    ID.log.1   what it said before, once the log has grown
"""

import fcntl
import json
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any

from lctx.core.engine.locks import is_held, try_lock, unlock
from lctx.core.storage import ensure_directory, write_atomically

MAX_SOCKET_PATH = 100
"""Bytes; the kernel's limit is 108 on Linux and 104 on macOS, terminator included."""


class Phase(Enum):
    """How far a server has come."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """The paths of one server."""

    folder: Path
    id: str

    def _path(self, suffix: str) -> Path:
        return self.folder / f"{self.id}.{suffix}"

    @property
    def lock(self) -> Path:
        """Held by the server while it lives."""
        return self._path("lock")

    @property
    def lease(self) -> Path:
        """Shared by the commands that use the server."""
        return self._path("lease")

    @property
    def keep(self) -> Path:
        """Seconds that the server stays when idle."""
        return self._path("keep")

    @property
    def state(self) -> Path:
        """The server's state."""
        return self._path("json")

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self._path("sock")

    @property
    def log(self) -> Path:
        """What it said."""
        return self._path("log")

    @property
    def old_log(self) -> Path:
        """What it said before the log was begun anew."""
        return self._path("log.1")

    @property
    def alive(self) -> bool:
        """Whether a process is behind these files, loading or ready."""
        return is_held(self.lock)

    def remove(self) -> None:
        """Remove what a dead server left; for who holds the lock. Lock, lease and log stay."""
        for path in (self.state, self.socket, self.keep):
            with suppress(OSError):
                path.unlink()


@dataclass(frozen=True, slots=True)
class ServerState:
    """What a server says of itself.

    Attributes:
        id: Names its files.
        kind: The engine: "llama" or "vllm".
        name: The model as the user calls it.
        model: The model's file or directory.
        asked_window: Tokens that were asked for.
        window: Tokens that one request may hold.
        pid: Its process.
        pid_started: When that process started, in the kernel's own unit; 0 where the kernel does not tell.
        address: `http://…` or `unix://…`, empty while it loads.
        api_key: Random, for this server alone.
        version: The engine's package and its version.
        started_at: Seconds since the epoch.
        phase: How far it has come.
        idle_since: Seconds since the epoch, or None while a command uses it.
        error: Why it failed: one line.
        error_code: The `code` of the error that this is.
        rope: The scaling that it runs with, in a few words; None where it is the file's own.
        rope_fingerprint: Tells that scaling from every other; None where it is the file's own.
        activity: What it is doing while it loads, in a few words.
        hint: What to do about the error.
        kv_tokens: Tokens that its KV cache holds, as the engine printed it; None where it does not.
        traits: What it was started with that another command may want otherwise; None for nothing such.
        is_served: Whether `lctx serve` opened its address, so that programs use it that hold no lease.
        device: What computes, in a few words; None where that is not known.
    """

    id: str
    kind: str
    name: str
    model: str
    asked_window: int
    window: int
    pid: int
    pid_started: int
    address: str
    api_key: str
    version: str
    started_at: float
    phase: Phase
    idle_since: float | None = None
    error: str | None = None
    error_code: str | None = None
    rope: str | None = None
    rope_fingerprint: str | None = None
    activity: str = "loading"
    hint: str | None = None
    kv_tokens: int | None = None
    traits: str | None = None
    is_served: bool = False
    device: str | None = None


def write_state(files: ServerFiles, state: ServerState) -> None:
    """Write `state` whole, readable by this user only."""
    write_atomically(files.state, json.dumps(asdict(state) | {"phase": state.phase.value}).encode())


def read_state(files: ServerFiles) -> ServerState | None:
    """The state on disk, or None where there is none or it is damaged. It says nothing about life."""
    try:
        values: Any = json.loads(files.state.read_bytes())
        # A server of another version of lctx may know fewer of them.
        known = {field.name: values[field.name] for field in fields(ServerState) if field.name in values}
        state = ServerState(**known)
        return replace(state, phase=Phase(state.phase), pid=int(state.pid))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def raise_keep_alive(files: ServerFiles, keep_alive_s: float | None) -> None:
    """Let the server stay at least `keep_alive_s` seconds when idle; None is forever. Never shorter."""
    handle = os.open(files.keep, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # held for microseconds by whoever has it
        longest = max(
            _seconds(os.pread(handle, 64, 0)), float("inf") if keep_alive_s is None else keep_alive_s
        )
        os.pwrite(handle, f"{longest!r:<32}".encode(), 0)
    finally:
        os.close(handle)


def keep_alive(files: ServerFiles) -> float:
    """Seconds that the server stays when idle; infinite for forever, 0 where nothing is written."""
    try:
        return _seconds(files.keep.read_bytes())
    except OSError:
        return 0.0


def _seconds(written: bytes) -> float:
    try:
        return float(written)
    except ValueError:
        return 0.0


def process_start(pid: int) -> int:
    """When `pid` started, in clock ticks since boot; 0 where there is no such process or no /proc."""
    try:
        content = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    return int(content[content.rindex(b")") + 2 :].split()[19])  # the name may hold spaces and parentheses


def send_signal(state: ServerState, number: int) -> None:
    """Signal the server, and nobody else who may have its process id by now."""
    if state.pid <= 1 or (state.pid_started and process_start(state.pid) != state.pid_started):
        return
    with suppress(ProcessLookupError, PermissionError):
        os.kill(state.pid, number)


def usable_runtime(runtime: Path) -> tuple[Path, str | None]:
    """The directory for server files, and a warning where it is not the one that was asked for."""
    try:
        return _usable(runtime), None
    except OSError as error:
        why = error.strerror or str(error)
    try:
        folder = _usable(_private(Path(tempfile.gettempdir()) / f"lctx-{os.getuid()}"))
    except OSError:
        folder = _usable(Path(tempfile.mkdtemp(prefix="lctx-")))
    return folder, f"{runtime}: {why}; engines are kept track of in {folder}"


def _usable(folder: Path) -> Path:
    ensure_directory(folder)
    handle = try_lock(folder / ".probe", shared=True)
    if handle is not None:
        unlock(handle)
    return folder


def _private(folder: Path) -> Path:
    """`folder`, made or found; in a directory that everyone can write to, only our own is trusted."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} is not a private directory")
    return folder
