"""The start of the embedded engine: found warm, or launched while the caller reads and plans."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lctx.core.engine.locks import try_lock, unlock
from lctx.core.engine.protocol import Engine
from lctx.core.engine.state import (
    Phase,
    ServerFiles,
    ServerState,
    raise_keep_alive,
    read_state,
    send_signal,
    usable_runtime,
)
from lctx.core.errors import (
    EngineCrashedError,
    EngineError,
    EngineLoadingError,
    EngineMissingError,
    EngineRefusedError,
    LctxError,
    ModelFileError,
)

if TYPE_CHECKING:
    from subprocess import Popen

    from lctx.core.engine.llama_rope import LlamaRope
    from lctx.core.planning.rope import RopeChoice

_CHILD = "lctx.core.engine.llama_child"
_INSTALL = "pip install 'lctx[cpu]'"
_MODEL_HINT = "check that the file is a whole GGUF model"
_AGAIN = "run the same command again: it is started anew"
_POLL_S = 0.01
_DYING_S = 1.0
_HEALTH_S = 15.0
_STOP_S = 6.0


class LlamaStart:
    """One command's way to a llama.cpp server: each step looks once and does what can be done now.

    Every server has an id made from its model file, so that two commands mean the same server; the kernel's
    lock on that id decides which of them starts it.
    """

    def __init__(
        self,
        model: Path,
        name: str,
        window: int,
        runtime: Path,
        *,
        keep_alive_s: float | None,
        on_status: Callable[[str], None],
        rope: "RopeChoice | None" = None,
    ) -> None:
        """Look for the server and start it where there is none; nothing here waits."""
        self.warm = False
        self.failure: LctxError | None = None
        self._model = model.absolute()
        self._name = name
        self._window = window if rope is None else min(window, rope.window)
        self._keep_alive_s = keep_alive_s
        self._on_status = on_status
        self._lease: int | None = None
        self._child: Popen[bytes] | None = None
        self._state: ServerState | None = None
        self._stop_at: float | None = None
        self._waiting_for = ""
        self._rope: LlamaRope | None = None
        try:
            self._files = ServerFiles(self._folder(runtime), server_id(self._model))
            if rope is not None:
                from lctx.core.engine.llama_rope import llama_rope

                self._rope = llama_rope(rope, self._files.id)
        except LctxError as error:
            self.failure = error
        except OSError as error:
            self.failure = EngineCrashedError(
                f"llama.cpp cannot be started: no directory for its files: {error.strerror or error}",
                "make room, or set LCTX_HOME to a folder that can be written",
            )
        else:
            self._advance()
            self.warm = self._state is not None

    def _folder(self, runtime: Path) -> Path:
        folder, warning = usable_runtime(runtime)
        if warning is not None:
            self._on_status(warning)
        return folder

    def ready(self, wait_s: float) -> Engine:
        """The engine, once its server is ready.

        Raises:
            EngineLoadingError: It is still loading after `wait_s` seconds; it goes on loading.
            EngineError: It cannot be started, or died.
        """
        deadline = time.monotonic() + wait_s
        while self.failure is None and self._state is None:
            self._advance()
            if self._state is None and self.failure is None:
                if time.monotonic() >= deadline:
                    self.close()
                    raise EngineLoadingError(
                        f"{self._name}: still {self._waiting_for} after {wait_s:.0f} s",
                        "run the same command again: the engine goes on meanwhile",
                    )
                time.sleep(_POLL_S)
        if self.failure is not None:
            self.close()
            raise self.failure
        return self._engine()

    def close(self) -> None:
        """Let go of the server; it stays for its keep-alive."""
        if self._lease is not None:
            lease, self._lease = self._lease, None
            unlock(lease)

    def _advance(self) -> None:
        """Take a step; what it raises is kept for `ready`, because nobody waits for the engine before."""
        try:
            self._step()
        except LctxError as error:
            self.failure = error
        except OSError as error:
            self.failure = EngineCrashedError(
                f"llama.cpp cannot be started: {(error.strerror or str(error)).lower()}",
                f"make room in {self._files.folder}, or set LCTX_HOME to a folder that has it",
            )

    def _step(self) -> None:
        if self._child is not None:
            self._follow_child(self._child)
            return
        lock = try_lock(self._files.lock)
        if lock is None:
            self._join()
            return
        try:
            self._files.remove()
            self._launch(lock)
        finally:
            os.close(lock)  # the child holds it now; where none was started, this lets go of it

    def _follow_child(self, child: "Popen[bytes]") -> None:
        self._wait_for("loading")
        status = child.poll()
        state = read_state(self._files)
        if status is None:
            if state is not None and state.phase is Phase.READY and state.pid == child.pid:
                self._state = state
            return
        if state is not None and state.phase is Phase.FAILED:
            raise self._failed(state)
        if status in {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL}:
            raise ModelFileError(
                f"{self._model}: llama.cpp died while loading it: {signal.Signals(-status).name}", _MODEL_HINT
            )
        raise EngineCrashedError(
            f"llama.cpp ended while loading {self._name}: {_ending(status)}",
            f"see {self._files.log}; a model that is larger than the memory ends like this",
        )

    def _failed(self, state: ServerState) -> EngineError:
        if state.error_code == EngineMissingError.code:
            return EngineMissingError(f"the embedded engine does not run here: {state.error}", _INSTALL)
        if state.error_code == ModelFileError.code:
            return ModelFileError(f"{self._model}: llama.cpp cannot load it: {state.error}", _MODEL_HINT)
        return EngineCrashedError(
            f"llama.cpp cannot serve {self._name}: {state.error}", f"see {self._files.log}"
        )

    def _join(self) -> None:
        """Take up the server of another command, unless its window is too small or its rope another.

        Scaling is paid by every prompt: what fits natively does not run on a stretched server.
        """
        state = read_state(self._files)
        if state is None or state.phase is not Phase.READY:
            self._wait_for("loading")
            return
        wanted = self._rope.fingerprint if self._rope else None
        if state.rope_fingerprint != wanted or state.asked_window < self._window:
            has = state.rope or f"a window of {state.window}"
            lease = try_lock(self._files.lease)
            if lease is None:
                self._wait_for(f"used by another command with {has}")
                return
            self._wait_for(f"ending an idle one with {has}")  # nobody loses an answer
            self._replace(state)
            unlock(lease)
            return
        lease = try_lock(self._files.lease, shared=True)
        if lease is None:
            self._wait_for("ending")
            return
        self._lease = lease
        raise_keep_alive(self._files, self._keep_alive_s)
        self._state = state

    def _replace(self, state: ServerState) -> None:
        """End an idle server. It may hang: then not politely."""
        now = time.monotonic()
        if self._stop_at is None:
            self._stop_at = now
        send_signal(state, signal.SIGTERM if now - self._stop_at < _STOP_S else signal.SIGKILL)

    def _launch(self, lock: int) -> None:
        check_model(self._model)
        check_installed()
        self._lease = try_lock(self._files.lease, shared=True)
        if self._lease is None:
            self._wait_for("ending")
            return
        raise_keep_alive(self._files, self._keep_alive_s)
        self._on_status(f"starting llama.cpp with {self._name}")
        from lctx.core.engine.processes import launch

        files = self._files
        arguments = [str(files.folder), files.id, str(self._model), str(self._window), self._name]
        options = ["--rope", self._rope.to_json()] if self._rope else []
        self._child = launch(files, lock, _CHILD, [*options, "--", *arguments])

    def _wait_for(self, what: str) -> None:
        if what != self._waiting_for:
            self._waiting_for = what
            self._on_status(f"{self._name}: {what}")

    def _engine(self) -> Engine:
        from lctx.core.engine.address import parse_address
        from lctx.core.engine.client import ServedEngine
        from lctx.core.engine.dialects import LlamaDialect

        state = self._state
        assert state is not None  # noqa: S101  (ready() comes here with a state only)
        return ServedEngine(
            LlamaDialect(),
            parse_address(state.address),
            model=state.name,
            window=state.window,
            label=f"llama {state.version}",
            api_key=state.api_key,
            is_healthy=self._is_healthy,
            on_failure=self._explain,
            on_close=self.close,
        )

    def _is_healthy(self) -> bool:
        """Whether the server answers at all. Its HTTP threads do, however busy its model is."""
        from lctx.core.engine.address import parse_address
        from lctx.core.engine.connection import fetch_json

        state = self._state
        if state is None:
            return False
        try:
            fetch_json(
                parse_address(state.address), "GET", "/health", api_key=state.api_key, stall_s=_HEALTH_S
            )
        except LctxError:
            return False
        return True

    def _explain(self, error: EngineError) -> EngineError:
        """What a failed request means for a server that is ours: it died, or it hangs and is ended."""
        state = self._state
        if state is None or (
            isinstance(error, EngineRefusedError) and not isinstance(error.__cause__, OSError)
        ):
            return error
        if isinstance(error.__cause__, TimeoutError):
            send_signal(state, signal.SIGKILL)
            return EngineCrashedError(f"llama.cpp stopped answering and was ended: {error.message}", _AGAIN)
        deadline = time.monotonic() + _DYING_S
        while self._files.alive and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        if self._files.alive:
            return error
        return EngineCrashedError(f"llama.cpp died while it served {self._name}", _AGAIN)


def check_model(model: Path) -> None:
    """Raise a `ModelFileError` where `model` is plainly no GGUF file."""
    try:
        with model.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        message = f"{model}: the model cannot be read: {(error.strerror or str(error)).lower()}"
        raise ModelFileError(message, "check the path given with --model") from error
    if magic != b"GGUF":
        raise ModelFileError(f"{model}: not a GGUF model", _MODEL_HINT)


def check_installed() -> None:
    """Raise an `EngineMissingError` where xllamacpp is not installed beside lctx."""
    from importlib.util import find_spec

    if find_spec("xllamacpp") is None:
        raise EngineMissingError("the embedded engine is not installed: no module xllamacpp", _INSTALL)


def server_id(model: Path) -> str:
    """The id of the server for `model`: another file, or another content of the file, is another id.

    Raises:
        ModelFileError: There is no such file.
    """
    from hashlib import blake2b

    try:
        found = model.stat()
    except OSError as error:
        message = f"{model}: the model cannot be read: {(error.strerror or str(error)).lower()}"
        raise ModelFileError(message, "check the path given with --model") from error
    identity = f"{model.resolve()}\0{found.st_size}\0{found.st_mtime_ns}"
    return f"llama-{blake2b(identity.encode('utf-8', 'surrogateescape'), digest_size=4).hexdigest()}"


def _ending(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
