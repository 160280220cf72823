"""The start of an engine that lctx manages: found warm, or launched while the caller reads and plans.

One life for every engine: what a kind of server needs of its own stands in its `ServerSpec`.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

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
    EngineRefusedError,
    LctxError,
)

if TYPE_CHECKING:
    from subprocess import Popen

    from lctx.core.engine.dialects import Dialect

AGAIN = "run the same command again: it is started anew"
_POLL_S = 0.01
_HEALTH_S = 15.0
_STOP_S = 6.0


class ServerSpec(Protocol):
    """What differs between the servers that lctx starts.

    Attributes:
        engine: Its name in messages: "llama.cpp".
        name: The model, as the user calls it.
        window: Tokens that one request must be able to hold.
        api_key: What requests must carry, or None for a random one.
        listen: The host and the port that are to be open to other programs; None for a place of our own.
        dying_s: How long its processes may take to notice that one of them died.
        last_words: What its server answers once the process that computes has died; None where it dies too.
    """

    engine: str
    name: str
    window: int
    api_key: str | None
    listen: tuple[str, int] | None
    dying_s: float
    last_words: str | None

    def prepare(self) -> str:
        """The server's id; two commands that mean the same server get the same one."""
        ...

    def serves(self, state: ServerState) -> bool:
        """Whether a running server will do."""
        ...

    def describe(self, state: ServerState) -> str:
        """What a running server has that this one must not have: "a window of 4096"."""
        ...

    def check(self) -> None:
        """Raise where it is plain that nothing can be started."""
        ...

    def child(self, files: ServerFiles) -> tuple[str, list[str]]:
        """The module of the server's process, and its arguments."""
        ...

    def failed(self, state: ServerState, files: ServerFiles) -> LctxError:
        """The error of a server that wrote down why it cannot be."""
        ...

    def ended(self, status: int, files: ServerFiles) -> LctxError:
        """The error of a server that ended while it loaded and wrote nothing down."""
        ...

    def dialect(self) -> "Dialect":
        """How it is talked to."""
        ...

    def label(self, state: ServerState) -> str:
        """The engine and its version, as answers report it."""
        ...


class ManagedStart:
    """One command's way to a managed server: each step looks once and does what can be done now.

    Every server has an id made from its model, so that two commands mean the same server; the kernel's lock
    on that id decides which of them starts it.
    """

    def __init__(
        self,
        spec: ServerSpec,
        runtime: Path,
        *,
        keep_alive_s: float | None,
        on_status: Callable[[str], None],
    ) -> None:
        """Look for the server and start it where there is none; nothing here waits."""
        self.warm = False
        self.failure: LctxError | None = None
        self._spec = spec
        self._keep_alive_s = keep_alive_s
        self._on_status = on_status
        self._lease: int | None = None
        self._child: Popen[bytes] | None = None
        self._state: ServerState | None = None
        self._stop_at: float | None = None
        self._waiting_for = ""
        try:
            self._files = ServerFiles(self._folder(runtime), spec.prepare())
        except LctxError as error:
            self.failure = error
        except OSError as error:
            self.failure = EngineCrashedError(
                f"{spec.engine} cannot be started: no directory for its files: {error.strerror or error}",
                "make room, or set LCTX_HOME to a folder that can be written",
            )
        else:
            self._advance()
            self.warm = self._state is not None

    @property
    def state(self) -> ServerState | None:
        """What the server says of itself, once it was found ready."""
        return self._state

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
                        f"{self._spec.name}: still {self._waiting_for} after {wait_s:.0f} s",
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
                f"{self._spec.engine} cannot be started: {(error.strerror or str(error)).lower()}",
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
        status = child.poll()
        state = read_state(self._files)
        self._wait_for(state.activity if state is not None else "loading")
        if status is None:
            if state is not None and state.phase is Phase.READY and state.pid == child.pid:
                self._state = state
            return
        if state is not None and state.phase is Phase.FAILED:
            raise self._spec.failed(state, self._files)
        raise self._spec.ended(status, self._files)

    def _join(self) -> None:
        """Take up the server of another command, unless it was started for something else.

        Scaling is paid by every prompt: what fits natively does not run on a stretched server.
        """
        state = read_state(self._files)
        if state is None or state.phase is not Phase.READY:
            self._wait_for(state.activity if state is not None else "loading")
            return
        if not self._spec.serves(state):
            has = self._spec.describe(state)
            if state.is_served and self._spec.listen is None:
                raise EngineRefusedError(
                    f"{self._spec.name}: lctx serve opened it with {has}, which this command cannot use",
                    f"serve it anew with what is needed, or end it: lctx stop {state.id}",
                )
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
        self._spec.check()
        self._lease = try_lock(self._files.lease, shared=True)
        if self._lease is None:
            self._wait_for("ending")
            return
        raise_keep_alive(self._files, self._keep_alive_s)
        self._on_status(f"starting {self._spec.engine} with {self._spec.name}")
        from lctx.core.engine.processes import launch

        module, arguments = self._spec.child(self._files)
        self._child = launch(self._files, lock, module, arguments, self._spec.api_key)

    def _wait_for(self, what: str) -> None:
        if what != self._waiting_for:
            self._waiting_for = what
            self._on_status(f"{self._spec.name}: {what}")

    def _engine(self) -> Engine:
        from lctx.core.engine.address import parse_address
        from lctx.core.engine.client import ServedEngine

        state = self._state
        assert state is not None  # noqa: S101  (ready() comes here with a state only)
        return ServedEngine(
            self._spec.dialect(),
            parse_address(state.address),
            model=state.name,
            window=state.window,
            label=self._spec.label(state),
            api_key=state.api_key,
            is_healthy=self._is_healthy,
            on_failure=self._explain,
            on_close=self.close,
        )

    def _is_healthy(self) -> bool:
        """Whether the server answers at all. Its HTTP threads do, however busy its model is."""
        from lctx.core.engine.address import parse_address
        from lctx.core.engine.connection import Connection

        state = self._state
        if state is None:
            return False
        connection = Connection(parse_address(state.address), state.api_key, _HEALTH_S)
        try:
            connection.send("GET", "/health")
        except LctxError:
            return False
        finally:
            connection.close()
        return True

    def _explain(self, error: EngineError) -> EngineError:
        """What a failed request means for a server that is ours: it died, or it hangs and is ended."""
        state = self._state
        if state is None or self._is_refusal(error):
            return error
        engine = self._spec.engine
        if isinstance(error.__cause__, TimeoutError):
            send_signal(state, signal.SIGKILL)
            return EngineCrashedError(f"{engine} stopped answering and was ended: {error.message}", AGAIN)
        deadline = time.monotonic() + self._spec.dying_s
        while self._files.alive and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        if self._files.alive:
            return error
        return EngineCrashedError(f"{engine} died while it served {self._spec.name}", AGAIN)

    def _is_refusal(self, error: EngineError) -> bool:
        """Whether the server answered, and not that its engine died."""
        last_words = self._spec.last_words
        is_dead = last_words is not None and last_words in error.message
        answered = isinstance(error, EngineRefusedError) and not isinstance(error.__cause__, OSError)
        return answered and not is_dead


def ending(status: int) -> str:
    """How a process ended, in a few words."""
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
