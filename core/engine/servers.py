"""The servers that lctx started and that still run: for `lctx ps` and `lctx stop`."""

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lctx.core.engine.processes import clean_up, end_servers
from lctx.core.engine.state import (
    Phase,
    ServerFiles,
    ServerState,
    keep_alive,
    read_state,
    usable_runtime,
)
from lctx.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A running server.

    Attributes:
        id: What `lctx stop` takes; the model's name works as well.
        kind: The engine: "llama" or "vllm".
        name: The model as the user calls it.
        model: The model's file or directory.
        window: Tokens that one request may hold.
        pid: Its process.
        address: Where it listens; empty while it loads.
        started_at: Seconds since the epoch.
        busy: Whether a command is using it.
        keep_alive_s: Seconds that it stays when idle, or None for forever.
        expires_at: Seconds since the epoch when it ends by itself; None while it is used, or where it stays.
        rss_bytes: Resident memory of all its processes; 0 where the system does not tell.
        version: The engine's package and its version.
        loading: Whether it is not ready yet.
        rope: The scaling that stretches its window, in a few words; None where it is the model's own.
        activity: What it is doing while it loads, in a few words.
        kv_tokens: Tokens that its KV cache holds; None where the engine does not tell.
        traits: What it computes in and keeps its KV cache as, in a few words; None where nobody chose.
        log: Where what it said is written.
        device: What computes, in a few words; None where that is not known.
        kv_used: Tokens in its KV cache now; None where nobody asked it, or it does not tell.
    """

    id: str
    kind: str
    name: str
    model: str
    window: int
    pid: int
    address: str
    started_at: float
    busy: bool
    keep_alive_s: float | None
    expires_at: float | None
    rss_bytes: int
    version: str
    loading: bool
    rope: str | None = None
    activity: str = ""
    kv_tokens: int | None = None
    traits: str | None = None
    log: Path | None = None
    device: str | None = None
    kv_used: int | None = None


def list_servers(runtime: Path, *, ask: bool = False) -> list[ServerInfo]:
    """The servers that run, oldest first. What dead ones left is removed on the way.

    Args:
        runtime: Where their files are.
        ask: Also ask each of them what its KV cache holds.
    """
    running = _running(runtime)
    if not ask:
        return [_describe(files, state) for files, state in running]
    from lctx.core.engine.kv_use import kv_used

    return [replace(_describe(files, state), kv_used=kv_used(state)) for files, state in running]


def stop_servers(runtime: Path, name: str | None = None) -> list[ServerInfo]:
    """The servers that were stopped: all, or those whose id, model or process id is `name`.

    Raises:
        UsageError: None is called `name`.
    """
    running = _running(runtime)
    chosen = [
        (files, state)
        for files, state in running
        if name is None or name in {state.id, state.name, str(state.pid)}
    ]
    if name is not None and not chosen:
        names = ", ".join(state.id for _, state in running)
        raise UsageError(
            f"{name}: no such engine", f"running: {names}" if names else "no engine is running: see lctx ps"
        )
    stopped = [_describe(files, state) for files, state in chosen]
    end_servers(chosen)
    return stopped


def _running(runtime: Path) -> list[tuple[ServerFiles, ServerState]]:
    if not runtime.exists() and _can_be_made(runtime):
        return []  # nothing was ever started here: leave no directory behind
    folder, _ = usable_runtime(runtime)
    running = []
    for path in folder.glob("*.lock"):
        files = ServerFiles(folder, path.stem)
        if not clean_up(files) and (state := read_state(files)) is not None:
            running.append((files, state))
    return sorted(running, key=lambda server: server[1].started_at)


def _can_be_made(folder: Path) -> bool:
    parent = next(parent for parent in folder.absolute().parents if parent.exists())
    return parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)


def _describe(files: ServerFiles, state: ServerState) -> ServerInfo:
    stays = keep_alive(files)
    forever = stays == float("inf")
    expires = None if forever or state.idle_since is None else state.idle_since + stays
    return ServerInfo(
        id=state.id,
        kind=state.kind,
        name=state.name,
        model=state.model,
        window=state.window,
        pid=state.pid,
        address=state.address,
        started_at=state.started_at,
        busy=state.idle_since is None and state.phase is Phase.READY,
        keep_alive_s=None if forever else stays,
        expires_at=expires,
        rss_bytes=_resident_bytes(state.pid),
        version=state.version,
        loading=state.phase is Phase.LOADING,
        rope=state.rope,
        activity=state.activity,
        kv_tokens=state.kv_tokens,
        traits=state.traits,
        log=files.log,
        device=state.device,
    )


def _resident_bytes(session: int) -> int:
    """Of the server and all that it started: they share its session."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            # The name before the last parenthesis may hold anything.
            told = path.read_bytes().rpartition(b")")[2].split()
            total += int(told[21]) * page if int(told[3]) == session else 0
    if total:
        return total
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        command = ["ps", "-A", "-o", "sess=,pid=,rss="]
        listed = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout
        rows = [line.split() for line in listed.splitlines()]
        return sum(int(rss) * 1024 for leader, pid, rss in rows if str(session) in {leader, pid})
    return 0
