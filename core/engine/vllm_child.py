"""The process that keeps a vLLM server: starts it, follows it while it loads, ends it when nobody needs it.

    LCTX_SERVER_KEY=… python -P -m lctx.core.engine.vllm_child --lock-fd N -- FOLDER ID ORDER

It is started by `core/engine/vllm.py` in a session of its own, with the lock of its id already held on
descriptor N. vLLM's processes form a group that dies with this one, and this one ends when vLLM does: as long
as any of them lives, and not a moment longer, the id is taken.
"""

import argparse
import os
import re
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lctx.core.engine.address import parse_address
from lctx.core.engine.connection import Connection, fetch_json
from lctx.core.engine.lifetime import POLL_S, begin, stay
from lctx.core.engine.process_group import ProcessGroup
from lctx.core.engine.processes import KEY_VARIABLE
from lctx.core.engine.server_log import ServerLog
from lctx.core.engine.state import Phase, ServerFiles, ServerState, process_start, write_state
from lctx.core.engine.vllm import NO_ROOM_STATUS, VllmOrder
from lctx.core.engine.vllm_failures import explain_failure
from lctx.core.engine.vllm_flags import vllm_environment
from lctx.core.errors import EngineCrashedError, LctxError

_LOOK_S = 0.2
_STALL_S = 2.0
_END_S = 4.0
_LAST_WORDS_S = 1.0

# The last that matches a line holds. Source: what vLLM 0.32 logs, in the order in which it does.
_ACTIVITIES = (
    (re.compile(r"Initializing a V1 LLM engine"), "starting its processes"),
    (re.compile(r"Starting to load model"), "loading weights"),
    (re.compile(r"Loading \w+ checkpoint shards:\s+(\d+)%"), "loading weights"),
    (re.compile(r"Loading weights took|Model loading took"), "measuring its memory"),
    (re.compile(r"Compiling a graph|torch\.compile took|Dynamo bytecode transform"), "compiling"),
    (re.compile(r"KV cache size: [\d,]+ tokens"), "setting the KV cache aside"),
    (re.compile(r"Capturing CUDA graph|Profiling CUDA graph"), "capturing CUDA graphs"),
    (re.compile(r"[Ww]arming up"), "warming up"),
    (re.compile(r"Starting vLLM server|Started server process"), "opening its address"),
)
_KV_TOKENS = re.compile(r"KV cache size: ([\d,]+) tokens")


class VllmServer:
    """One vLLM server, from its start to its end."""

    def __init__(self, files: ServerFiles, order: VllmOrder, state: ServerState, lock: int) -> None:
        self._files = files
        self._order = order
        self._state = state
        self._stopping = threading.Event()
        self._group = ProcessGroup(lock, f"guard of {files.folder / files.id}")
        self._log: ServerLog | None = None
        signal.signal(signal.SIGTERM, lambda *_: self._stopping.set())

    def serve(self) -> int:
        """The exit status, once vLLM failed to load, died or was stopped, or nobody needed it."""
        try:
            return self._serve()
        except OSError:
            return NO_ROOM_STATUS
        finally:
            # Whoever looks from here on finds nobody; the lock is held until all processes are gone.
            if self._state.phase is not Phase.FAILED:
                self._files.remove()
            self._group.end(_END_S)

    def _serve(self) -> int:
        write_state(self._files, self._state)
        environment = vllm_environment(self._order.environment, self._state.api_key, os.environ)
        try:
            source = self._group.start(self._order.command, environment)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            self._fail(EngineCrashedError(f"vLLM cannot be started: {why}", "check the interpreter"))
            return 1
        self._log = ServerLog(self._files, source, self._read)
        if not self._load(self._log):
            return 1
        self._log.forget()
        write_state(self._files, self._state)
        stay(self._files, self._state, self._stopping, self._follow, poll_s=0)
        return 0

    def _load(self, log: ServerLog) -> bool:
        """Whether vLLM became ready; False where it failed, or was stopped before."""
        looked = time.monotonic()
        while not self._stopping.is_set():
            is_open = log.pump(POLL_S)
            if not is_open and self._group.is_running:
                self._stopping.wait(POLL_S)
            if not self._group.is_running:
                deadline = time.monotonic() + _LAST_WORDS_S
                while time.monotonic() < deadline and log.pump(POLL_S):
                    pass
                self._fail(explain_failure(self._order.name, log.said, self._group.status))
                return False
            if time.monotonic() - looked >= _LOOK_S:
                looked = time.monotonic()
                if self._is_ready():
                    return True
        return False

    def _read(self, line: str) -> None:
        """Take from a line of the log what later commands want to know."""
        activity = self._state.activity
        for pattern, what in _ACTIVITIES:
            if match := pattern.search(line):
                activity = f"{what}: {match[1]} %" if match.groups() else what
        kv_tokens = self._state.kv_tokens
        if match := _KV_TOKENS.search(line):
            kv_tokens = int(match[1].replace(",", ""))
        if (activity, kv_tokens) != (self._state.activity, self._state.kv_tokens):
            self._state = replace(self._state, activity=activity, kv_tokens=kv_tokens)
            with suppress(OSError):  # a full disk must not end a server that loads
                write_state(self._files, self._state)

    def _is_ready(self) -> bool:
        """Whether vLLM answers, and nobody else at its address; then the state says what it serves."""
        address, key = parse_address(self._order.address), self._state.api_key
        connection = Connection(address, key, _STALL_S)
        try:
            connection.send("GET", "/health")
            told = fetch_json(address, "GET", "/v1/models", api_key=key, stall_s=_STALL_S)
        except LctxError:
            return False
        finally:
            connection.close()
        served = _served(told, self._order)
        if served is None:
            return False
        window = served.get("max_model_len")
        self._state = replace(
            self._state,
            phase=Phase.READY,
            address=self._order.address,
            window=window if isinstance(window, int) and window > 0 else self._order.window,
            activity="ready",
        )
        return True

    def _follow(self) -> bool:
        """Write the log on for a moment: a full pipe would hold vLLM up. Whether vLLM still runs."""
        assert self._log is not None  # noqa: S101 - it was ready
        deadline = time.monotonic() + POLL_S
        while (left := deadline - time.monotonic()) > 0 and not self._stopping.is_set():
            if not self._log.pump(left):
                self._stopping.wait(left)
        return self._group.is_running

    def _fail(self, error: LctxError) -> None:
        self._state = replace(
            self._state,
            phase=Phase.FAILED,
            error=error.message,
            error_code=error.code,
            hint=error.hint,
        )
        write_state(self._files, self._state)


def _served(told: Any, order: VllmOrder) -> dict[str, Any] | None:
    """The entry of our model in the list of models: named as we named it, from our directory."""
    listed = told.get("data") if isinstance(told, dict) else None
    for model in listed if isinstance(listed, list) else ():
        if isinstance(model, dict) and model.get("id") == order.name:
            return model if model.get("root") in {None, order.model} else None
    return None


def main() -> int:
    """The process's exit status."""
    parser = argparse.ArgumentParser(prog="lctx.core.engine.vllm_child")
    parser.add_argument("folder", type=Path)
    parser.add_argument("id")
    parser.add_argument("order", type=VllmOrder.from_json)
    parser.add_argument("--lock-fd", type=int, required=True)
    arguments = parser.parse_args()
    begin(arguments.lock_fd)
    files = ServerFiles(arguments.folder, arguments.id)
    order: VllmOrder = arguments.order
    pid = os.getpid()
    state = ServerState(
        id=arguments.id,
        kind="vllm",
        name=order.name,
        model=order.model,
        asked_window=order.window,
        window=order.window,
        pid=pid,
        pid_started=process_start(pid),
        address="",
        api_key=os.environ.pop(KEY_VARIABLE),
        version=order.version,
        started_at=time.time(),
        phase=Phase.LOADING,
        rope=order.rope,
        rope_fingerprint=order.rope_fingerprint,
        activity="starting",
        traits=order.traits,
        is_served=order.is_served,
        device=order.device,
    )
    return VllmServer(files, order, state, arguments.lock_fd).serve()


if __name__ == "__main__":
    sys.exit(main())
