"""The embedded engine as a managed server: what llama.cpp needs of the life that all servers have."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lctx.core.engine.listening import listens_as_asked, require_free
from lctx.core.engine.managed import ManagedStart, ending
from lctx.core.engine.state import ServerFiles, ServerState
from lctx.core.errors import EngineCrashedError, EngineError, EngineMissingError, ModelFileError

if TYPE_CHECKING:
    from lctx.core.engine.dialects import Dialect
    from lctx.core.engine.llama_rope import LlamaRope
    from lctx.core.planning.rope import RopeChoice

_CHILD = "lctx.core.engine.llama_child"
_INSTALL = "pip install 'lctx[cpu]'"
_MODEL_HINT = "check that the file is a whole GGUF model"
_DYING_S = 1.0
_CRASHES = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL}


class LlamaStart(ManagedStart):
    """One command's way to a llama.cpp server."""

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
        listen: tuple[str, int] | None = None,
        api_key: str | None = None,
    ) -> None:
        """Look for the server and start it where there is none; nothing here waits.

        Args:
            model: The GGUF file.
            name: The model as the user calls it.
            window: Tokens of prompt and answer together.
            runtime: Where the files of running servers are.
            keep_alive_s: How long it stays when idle. None: forever.
            on_status: Told one line whenever the wait gets another reason.
            rope: The rope that it is started with; None as the file has it.
            listen: A host and a port, 0 for a free one; None for a socket that this user alone can open.
            api_key: What requests must carry; None for a random key.
        """
        spec = LlamaSpec(model, name, window, rope, listen=listen, api_key=api_key)
        super().__init__(spec, runtime, keep_alive_s=keep_alive_s, on_status=on_status)


class LlamaSpec:
    """A `ServerSpec`: llama.cpp with one GGUF file."""

    engine = "llama.cpp"
    dying_s = _DYING_S
    last_words: str | None = None

    def __init__(
        self,
        model: Path,
        name: str,
        window: int,
        rope: "RopeChoice | None" = None,
        *,
        listen: tuple[str, int] | None = None,
        api_key: str | None = None,
    ) -> None:
        self.name = name
        self.api_key = api_key
        self.listen = listen
        self.window = window if rope is None else min(window, rope.window)
        self._model = model.absolute()
        self._choice = rope
        self._rope: LlamaRope | None = None

    def prepare(self) -> str:
        """The server's id; its rope is worked out with it.

        Raises:
            DoesNotFitError: llama.cpp cannot scale that way.
            ModelFileError: There is no such file.
        """
        name = server_id(self._model)
        if self._choice is not None:
            from lctx.core.engine.llama_rope import llama_rope

            self._rope = llama_rope(self._choice, name)
        return name

    def serves(self, state: ServerState) -> bool:
        """Whether a running server has the window, the rope, and the address that was asked for."""
        wanted = self._rope.fingerprint if self._rope else None
        reaches = state.rope_fingerprint == wanted and state.asked_window >= self.window
        return reaches and listens_as_asked(state, self.listen, self.api_key)

    def describe(self, state: ServerState) -> str:
        """What a running server has that this one must not have: its rope, its window, its address."""
        wanted = self._rope.fingerprint if self._rope else None
        if state.rope_fingerprint == wanted and state.asked_window >= self.window:
            return "another address or key"
        return state.rope or f"a window of {state.window}"

    def check(self) -> None:
        """Raise where the file is no model, xllamacpp is not installed, or the port is taken."""
        check_model(self._model)
        check_installed()
        if self.listen is not None:
            require_free(*self.listen)

    def child(self, files: ServerFiles) -> tuple[str, list[str]]:
        """The module of the server's process, and its arguments."""
        arguments = [str(files.folder), files.id, str(self._model), str(self.window), self.name]
        options = ["--rope", self._rope.to_json()] if self._rope else []
        if self.listen is not None:
            options += ["--host", self.listen[0], "--port", str(self.listen[1])]
        return _CHILD, [*options, "--", *arguments]

    def failed(self, state: ServerState, files: ServerFiles) -> EngineError:
        """The error of a server that wrote down why it cannot be."""
        if state.error_code == EngineMissingError.code:
            return EngineMissingError(f"the embedded engine does not run here: {state.error}", _INSTALL)
        if state.error_code == ModelFileError.code:
            return ModelFileError(f"{self._model}: llama.cpp cannot load it: {state.error}", _MODEL_HINT)
        return EngineCrashedError(f"llama.cpp cannot serve {self.name}: {state.error}", f"see {files.log}")

    def ended(self, status: int, files: ServerFiles) -> EngineError:
        """The error of a server that ended while it loaded and wrote nothing down."""
        if status in _CRASHES:
            return ModelFileError(
                f"{self._model}: llama.cpp died while loading it: {signal.Signals(-status).name}", _MODEL_HINT
            )
        return EngineCrashedError(
            f"llama.cpp ended while loading {self.name}: {ending(status)}",
            f"see {files.log}; a model that is larger than the memory ends like this",
        )

    def dialect(self) -> "Dialect":
        """How it is talked to."""
        from lctx.core.engine.dialects import LlamaDialect

        return LlamaDialect()

    def label(self, state: ServerState) -> str:
        """The engine and its version."""
        return f"llama {state.version}"


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
