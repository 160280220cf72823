"""vLLM as a managed server: what it needs of the life that all servers have."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lctx.core.engine.listening import free_port, listens_as_asked, require_free, tcp_address
from lctx.core.engine.managed import ManagedStart, ending
from lctx.core.engine.state import MAX_SOCKET_PATH, ServerFiles, ServerState
from lctx.core.errors import (
    DoesNotFitError,
    EngineCrashedError,
    EngineMissingError,
    EngineRefusedError,
    LctxError,
    ModelFileError,
    UsageError,
)

if TYPE_CHECKING:
    from lctx.core.engine.dialects import Dialect
    from lctx.core.planning.launch import VllmLaunch

NO_ROOM_STATUS = 74
"""The exit status of a server that cannot write its state (EX_IOERR of sysexits.h)."""

_CHILD = "lctx.core.engine.vllm_child"
_DYING_S = 10.0
_ENGINE_DEAD = "EngineCore encountered an issue"
"""Source: vLLM 0.32, v1/engine/exceptions.py. The server ends itself a moment later."""

_LOOPBACK = "127.0.0.1"
_ERRORS: dict[str, type[LctxError]] = {
    error.code: error
    for error in (
        DoesNotFitError,
        EngineCrashedError,
        EngineMissingError,
        EngineRefusedError,
        ModelFileError,
        UsageError,
    )
}


@dataclass(frozen=True, slots=True)
class VllmOrder:
    """What the server's process is told. Nothing in it is secret.

    Attributes:
        command: The interpreter and what follows it.
        environment: What is set for vLLM besides what it inherits.
        address: Where it will listen.
        name: The model, as the user calls it.
        model: Its directory.
        window: Tokens that one request may hold.
        version: The package and its version.
        rope: The scaling in a few words, or None for the model's own.
        rope_fingerprint: Tells that scaling from every other.
        traits: What it is started with that another command may want otherwise.
        is_served: Whether its address is open to other programs on purpose.
        device: What computes, in a few words.
    """

    command: list[str]
    environment: dict[str, str]
    address: str
    name: str
    model: str
    window: int
    version: str
    rope: str | None
    rope_fingerprint: str | None
    traits: str
    is_served: bool = False
    device: str | None = None

    def to_json(self) -> str:
        """One argument of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "VllmOrder":
        """What `to_json` wrote."""
        return cls(**json.loads(text))


class VllmStart(ManagedStart):
    """One command's way to a vLLM server."""

    def __init__(
        self,
        launch: "VllmLaunch",
        runtime: Path,
        *,
        keep_alive_s: float | None,
        on_status: Callable[[str], None],
        python: Path | None = None,
        listen: tuple[str, int] | None = None,
        api_key: str | None = None,
    ) -> None:
        """Look for the server and start it where there is none; nothing here waits.

        Args:
            launch: What it is started with.
            runtime: Where the files of running servers are.
            keep_alive_s: How long it stays when idle. None: forever.
            on_status: Told one line whenever the wait gets another reason.
            python: The interpreter that has vLLM; without one `LCTX_VLLM_PYTHON`, then lctx's own.
            listen: A host and a port; without them it listens on a socket that this user alone can open.
            api_key: What requests must carry; a random key without one.
        """
        spec = VllmSpec(launch, python, listen, api_key, on_status)
        super().__init__(spec, runtime, keep_alive_s=keep_alive_s, on_status=on_status)


class VllmSpec:
    """A `ServerSpec`: vLLM with one Hugging Face directory."""

    engine = "vLLM"
    dying_s = _DYING_S
    last_words: str | None = _ENGINE_DEAD

    def __init__(
        self,
        launch: "VllmLaunch",
        python: Path | None,
        listen: tuple[str, int] | None,
        api_key: str | None,
        on_status: Callable[[str], None],
    ) -> None:
        self.name = launch.name
        self.window = launch.max_model_len
        self.api_key = api_key
        self._launch = launch
        self._python = python
        self.listen = listen
        self._on_status = on_status
        self._version = ""
        self._fingerprint: str | None = None

    def prepare(self) -> str:
        """The server's id.

        Raises:
            ModelFileError: There is no such directory, or it holds no model.
        """
        name = server_id(self._launch.model)
        rope = self._launch.rope
        if rope is not None and rope.method is not None:
            from lctx.core.planning.rope import rope_fingerprint

            self._fingerprint = rope_fingerprint(name, rope, self._launch.kv_cache_dtype)
        return name

    def serves(self, state: ServerState) -> bool:
        """Whether a running server has the rope, the precision, the window, and the address asked for."""
        same = (state.rope_fingerprint, state.traits) == (self._fingerprint, self._launch.traits)
        fits = state.window >= self.window
        return same and fits and listens_as_asked(state, self.listen, self.api_key)

    def describe(self, state: ServerState) -> str:
        """What a running server has that this one must not have."""
        if state.rope_fingerprint != self._fingerprint:
            return state.rope or "the model's own rope"
        if state.traits != self._launch.traits:
            return str(state.traits)
        if state.window < self.window:
            return f"a window of {state.window}"
        return "another address or key"

    def check(self) -> None:
        """Raise where the directory is plainly no model, or the interpreter has no vLLM."""
        from lctx.core.engine.vllm_flags import default_python
        from lctx.core.engine.vllm_probe import probe_vllm
        from lctx.core.storage import directories

        check_model(self._launch.model, has_weights=self._launch.load_format != "dummy")
        python = self._python or default_python() or Path(sys.executable)
        found = probe_vllm(python, directories().cache)
        if found.warning:
            self._on_status(found.warning)
        self._python, self._version = found.python, f"{found.package}/{found.version}"
        if self.listen is not None:
            require_free(*self.listen)

    def child(self, files: ServerFiles) -> tuple[str, list[str]]:
        """The module of the server's process, and its arguments."""
        from lctx.core.engine.vllm_flags import vllm_arguments, vllm_settings
        from lctx.core.planning.rope import rope_label

        launch = self._launch
        listen: Path | tuple[str, int] = self.listen or files.socket
        if isinstance(listen, Path) and len(os.fsencode(listen)) > MAX_SOCKET_PATH:
            listen = (_LOOPBACK, 0)
        environment = vllm_settings(launch)
        if isinstance(listen, Path):
            address = f"unix://{listen}"
        else:
            listen = (listen[0], listen[1] or free_port(listen[0]))
            address = tcp_address(*listen)
            environment |= {"PYTHONPATH": str(place_guard(files.folder))}
        order = VllmOrder(
            command=[str(self._python), *vllm_arguments(launch, listen)],
            environment=environment,
            address=address,
            name=launch.name,
            model=str(launch.model),
            window=launch.max_model_len,
            version=self._version,
            rope=rope_label(launch.rope) if launch.rope else None,
            rope_fingerprint=self._fingerprint,
            traits=launch.traits,
            is_served=self.listen is not None,
            device=launch.device,
        )
        return _CHILD, ["--", str(files.folder), files.id, order.to_json()]

    def failed(self, state: ServerState, files: ServerFiles) -> LctxError:
        """The error that the server wrote down."""
        error = _ERRORS.get(state.error_code or "", EngineCrashedError)
        return error(state.error or f"vLLM cannot serve {self.name}", state.hint or f"see {files.log}")

    def ended(self, status: int, files: ServerFiles) -> LctxError:
        """The error of a server that ended while it loaded and wrote nothing down."""
        if status == NO_ROOM_STATUS:
            return EngineCrashedError(
                "vLLM cannot be started: its state cannot be written",
                f"make room in {files.folder}, or set LCTX_HOME to a folder that has it",
            )
        return EngineCrashedError(
            f"vLLM ended while loading {self.name}: {ending(status)}", f"see {files.log}"
        )

    def dialect(self) -> "Dialect":
        """How it is talked to."""
        from lctx.core.engine.dialects import VllmDialect

        return VllmDialect()

    def label(self, state: ServerState) -> str:
        """The engine and its version."""
        return f"vllm {state.version.rpartition('/')[2]}"


def check_model(model: Path, *, has_weights: bool = True) -> None:
    """Raise a `ModelFileError` where `model` is plainly no directory that vLLM reads.

    Args:
        model: The directory.
        has_weights: Whether weights must be there; random ones need none.
    """
    hint = "vLLM wants a Hugging Face directory: config.json, tokenizer and weights"
    try:
        config: Any = json.loads((model / "config.json").read_bytes())
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise ModelFileError(f"{model}: its config.json cannot be read: {why}", hint) from error
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{model}: its config.json is damaged", hint) from error
    if not isinstance(config, dict):
        raise ModelFileError(f"{model}: its config.json is no model's", hint)
    if has_weights and not any(model.glob("*.safetensors")) and not any(model.glob("*.bin")):
        raise ModelFileError(f"{model}: it holds no weights", "get the model's files anew")


def server_id(model: Path) -> str:
    """The id of the server for `model`: another directory, or other content in it, is another id.

    Raises:
        ModelFileError: There is no such directory.
    """
    from hashlib import blake2b

    try:
        whole = model.resolve(strict=True)
        files = sorted((*whole.glob("*.json"), *whole.glob("*.safetensors")))
        stats = [(file.name, (found := file.stat()).st_size, found.st_mtime_ns) for file in files]
    except OSError as error:
        message = f"{model}: the model cannot be read: {(error.strerror or str(error)).lower()}"
        raise ModelFileError(message, "check the path given with --model") from error
    identity = f"{whole}\0{stats}".encode("utf-8", "surrogateescape")
    return f"vllm-{blake2b(identity, digest_size=4).hexdigest()}"


def place_guard(folder: Path) -> Path:
    """A directory in `folder` with nothing in it but a copy of the guard, for vLLM's interpreter to import.

    Raises:
        OSError: It cannot be written.
    """
    from lctx.core.engine import vllm_guard
    from lctx.core.storage import ensure_directory, write_atomically

    place = ensure_directory(folder / "guard")
    write_atomically(place / f"{vllm_guard.MODULE}.py", Path(vllm_guard.__file__).read_bytes())
    return place
