"""The door to the engine room: settings in, an engine out, while the caller reads and plans."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lctx.core.engine.protocol import Engine
from lctx.core.errors import EngineLoadingError, EngineRefusedError, UsageError

if TYPE_CHECKING:
    from lctx.core.engine.address import Address
    from lctx.core.engine.dialects import Dialect
    from lctx.core.engine.managed import ManagedStart
    from lctx.core.engine.state import ServerState
    from lctx.core.planning.launch import VllmLaunch
    from lctx.core.planning.rope import RopeChoice

_POLL_S = 0.5
_PROBE_STALL_S = 30.0
_NAMES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Which engine is wanted.

    Attributes:
        kind: "llama", "vllm" or "endpoint".
        model: The GGUF file, for llama.
        model_name: The model as the user calls it; behind an address, as the server calls it.
        address: Where a vLLM or an endpoint listens; a vLLM without one is started from `launch`.
        api_key: For an address that asks for one; for a vLLM that is started, what it is to ask for.
        window: Tokens of prompt and answer that will be needed.
        keep_alive_s: How long a server that lctx starts stays when idle. None: forever; 0: it ends after use.
        wait_s: How long to wait for a server that is loading.
        offline: Refuse every address that is not on this machine.
        rope: The rope that llama is started with; None as its file has it. It bounds the window.
        launch: What vllm is started with, where it has no address.
        vllm_python: The interpreter that has vLLM; None for `LCTX_VLLM_PYTHON`, then lctx's own.
        listen: The host and the port of a server that is started; None for a socket of this user's.
    """

    kind: str
    model: Path | None = None
    model_name: str | None = None
    address: str | None = None
    api_key: str | None = None
    window: int = 4096
    keep_alive_s: float | None = 300.0
    wait_s: float = 600.0
    offline: bool = False
    rope: "RopeChoice | None" = None
    launch: "VllmLaunch | None" = None
    vllm_python: Path | None = None
    listen: tuple[str, int] | None = None


class PendingEngine:
    """An engine on its way."""

    def __init__(self, settings: EngineSettings, start: "ManagedStart | None") -> None:
        """Hold what was started; `start` is None for an engine that runs elsewhere."""
        self._settings = settings
        self._start = start

    @property
    def warm(self) -> bool:
        """Whether a running server was found, so that no start has to be waited for."""
        return self._start is None or self._start.warm

    @property
    def server(self) -> "ServerState | None":
        """What a managed server says of itself once it is ready: its address, its key, its KV tokens."""
        return self._start.state if self._start is not None else None

    def ready(self) -> Engine:
        """The engine, once it takes requests.

        Raises:
            EngineLoadingError: It is still loading after `wait_s` seconds.
            EngineMissingError: Its package is not installed.
            ModelFileError: Its model is missing or damaged.
            EngineCrashedError: It ended while loading, or does not reach the window with its rope.
            DoesNotFitError: Its memory is too small, or it cannot scale its rope in the way that was chosen.
            EngineRefusedError: Nobody listens at its address, or its key is another.
            UsageError: The server has several models and none was named.
        """
        if self._start is not None:
            return self._start.ready(self._settings.wait_s)
        return _attach(self._settings)

    def close(self) -> None:
        """Let go of an engine that is not needed after all; a server stays for its keep-alive."""
        if self._start is not None:
            self._start.close()


def start_engine(
    settings: EngineSettings, runtime: Path, on_status: Callable[[str], None] | None = None
) -> PendingEngine:
    """The engine on its way: this returns at once, and a server that has to be started loads meanwhile.

    Args:
        settings: Which engine.
        runtime: Where the files of running servers are; see `core/storage.py`.
        on_status: Told one line whenever the wait gets another reason.

    Raises:
        UsageError: The settings contradict each other, or `offline` forbids the address.
    """
    if settings.kind == "llama":
        if settings.model is None:
            raise UsageError("no model: the llama engine needs a GGUF file", "name one with --model")
        from lctx.core.engine.llama import LlamaStart

        start = LlamaStart(
            settings.model,
            settings.model_name or settings.model.stem,
            settings.window,
            runtime,
            keep_alive_s=settings.keep_alive_s,
            on_status=on_status or (lambda _: None),
            rope=settings.rope,
            listen=settings.listen,
            api_key=settings.api_key,
        )
        return PendingEngine(settings, start)
    if settings.kind == "vllm" and settings.address is None and settings.launch is not None:
        from lctx.core.engine.vllm import VllmStart

        server = VllmStart(
            settings.launch,
            runtime,
            keep_alive_s=settings.keep_alive_s,
            on_status=on_status or (lambda _: None),
            python=settings.vllm_python,
            listen=settings.listen,
            api_key=settings.api_key,
        )
        return PendingEngine(settings, server)
    if settings.kind not in {"vllm", "endpoint"}:
        raise UsageError(f"{settings.kind}: no such engine", "lctx knows llama, vllm and endpoint")
    _checked_address(settings)
    return PendingEngine(settings, None)


def _checked_address(settings: EngineSettings) -> "Address":
    from lctx.core.engine.address import parse_address

    if settings.address is None:
        raise UsageError(
            f"no address: the {settings.kind} engine runs elsewhere", "name its address with --endpoint"
        )
    address = parse_address(settings.address)
    if settings.offline and not address.is_local:
        raise UsageError(
            f"{settings.address}: --offline forbids every address that is not on this machine",
            "leave out --offline, or name a loopback address or a Unix socket",
        )
    return address


def _attach(settings: EngineSettings) -> Engine:
    """An engine that somebody else runs, asked for its model and window."""
    from lctx.core.engine.client import ServedEngine
    from lctx.core.engine.dialects import Dialect, VllmDialect

    address = _checked_address(settings)
    dialect: Dialect = VllmDialect() if settings.kind == "vllm" else Dialect()
    if settings.kind == "endpoint" and settings.model_name is not None:
        models = [{"id": settings.model_name}]  # a hosted service need not list its models
    else:
        models = _models(settings, address)
    model = _chosen_model(settings, models)
    window = model.get("max_model_len")
    return ServedEngine(
        dialect,
        address,
        model=str(model["id"]),
        window=window if isinstance(window, int) and window > 0 else settings.window,
        label=_label(settings, address, dialect),
        api_key=settings.api_key,
        wait_s=settings.wait_s,
    )


def _models(settings: EngineSettings, address: "Address") -> list[dict[str, Any]]:
    """The models that the server offers; waits for one that says that it is loading."""
    from lctx.core.engine.connection import fetch_json

    deadline = time.monotonic() + settings.wait_s
    while True:
        try:
            told = fetch_json(
                address, "GET", f"{address.api}/models", api_key=settings.api_key, stall_s=_PROBE_STALL_S
            )
            break
        except EngineLoadingError:
            if time.monotonic() + _POLL_S >= deadline:
                raise
            time.sleep(_POLL_S)
    listed = told.get("data") if isinstance(told, dict) else None
    models = [model for model in listed if isinstance(model, dict) and model.get("id")] if listed else []
    if not models:
        raise EngineRefusedError(
            f"{address.text}: the server lists no model", "check that the address is an OpenAI-compatible API"
        )
    return models


def _chosen_model(settings: EngineSettings, models: list[dict[str, Any]]) -> dict[str, Any]:
    names = [str(model["id"]) for model in models]
    shown = ", ".join(names[:_NAMES_SHOWN]) + (", …" if len(names) > _NAMES_SHOWN else "")
    if settings.model_name is not None:
        if settings.model_name not in names:
            raise UsageError(f"{settings.model_name}: the server has no such model", f"it has {shown}")
        return models[names.index(settings.model_name)]
    if len(models) > 1:
        raise UsageError(
            f"{settings.address}: the server has several models", f"choose with --model: {shown}"
        )
    return models[0]


def _label(settings: EngineSettings, address: "Address", dialect: "Dialect") -> str:
    """The engine and its version, or its address where it has none to tell."""
    if settings.kind != "vllm":
        return f"endpoint {address.text}"
    from lctx.core.engine.connection import fetch_json

    try:
        told = fetch_json(
            address, "GET", f"{address.root}/version", api_key=settings.api_key, stall_s=_PROBE_STALL_S
        )
    except EngineRefusedError:
        told = None  # a proxy in front of it may pass /v1 only
    version = told.get("version") if isinstance(told, dict) else None
    return f"{dialect.kind} {version}" if isinstance(version, str) else f"{dialect.kind} {address.text}"
