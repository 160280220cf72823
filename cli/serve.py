"""`lctx serve`: an engine of lctx's own, open to other programs on purpose, with its address and its key."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lctx.cli.durations import parse_duration
from lctx.cli.failure import checked_format
from lctx.cli.notes import Notes
from lctx.cli.output import open_sink
from lctx.cli.settings import Settings, load_settings, own_config_file
from lctx.cli.signals import interruptible
from lctx.core.errors import EngineCrashedError, ExitCode, UsageError

if TYPE_CHECKING:
    from lctx.core.engine.open import PendingEngine
    from lctx.core.engine.state import ServerState
    from lctx.core.models.profile import ModelProfile
    from lctx.core.planning.launch import VllmWishes
    from lctx.core.planning.window import Window

_POLL_S = 0.2
_SWEPT_S = 3.0
_MOST_PORT = 65_535
_TEXTS = {"dtype", "quantization", "load_format"}
_SWITCHES = {"enforce_eager", "batch_invariant"}
_OPTIONS = {
    "pipeline_parallel": "--pipeline-parallel-size",
    "context_parallel": "--decode-context-parallel-size",
}


@dataclass(frozen=True, slots=True)
class ServeRequest:
    """The command line of `serve` as typed.

    Attributes:
        flags: Everything that can also be set elsewhere, by its key; None was not given.
        host: `--host`.
        port: `--port`.
        keep_alive: `--keep-alive`; None is forever, or as long as the foreground lasts.
        foreground: `--foreground`.
        wishes: What is decided about a vLLM, by the names of `VllmWishes`.
    """

    flags: Mapping[str, object]
    host: str
    port: str
    keep_alive: str | None
    foreground: bool
    wishes: Mapping[str, object]


def run_serve(request: ServeRequest, wanted: str, _started: float) -> ExitCode:
    """Start the engine, or take up the one that runs like that, print where it is, and leave it.

    Raises:
        UsageError: An address, a key or a wish that cannot be.
        DoesNotFitError: The window does not fit this machine.
        EngineError: It cannot be started.
    """
    from lctx.cli.folders import usable_directories
    from lctx.cli.launching import start_managed
    from lctx.core.engine.state import usable_runtime

    checked_format(wanted)
    settings, warnings = _settings(request)
    notes = Notes(quiet=settings.quiet)
    listen, key = checked_listen(request.host, request.port), own_key()
    wishes = _wishes(request.wishes, settings)
    folders = usable_directories(warnings.append)
    runtime, warning = usable_runtime(folders.runtime)
    for text in (*warnings, *filter(None, [warning, _exposure(listen[0])])):
        notes.warning(text)
    profile, window = _model(settings, folders.cache, folders.state, notes)
    with interruptible():
        pending = start_managed(
            profile,
            window,
            settings,
            folders,
            notes.progress,
            runtime=runtime,
            listen=listen,
            api_key=key,
            wishes=wishes,
        )
        state = _ready(pending, runtime, profile)
        notes.clear()
        if request.foreground:
            return _stay(pending, state, runtime, wanted, notes)
        _show(state, runtime, wanted)
        pending.close()
        notes.line(f"{state.name} stays; end it with: lctx stop {state.id}")
        return ExitCode.OK


def checked_listen(host: str, port: str) -> tuple[str, int]:
    """The host and the port to listen on.

    Raises:
        UsageError: The host is no address, or the port no number of one.
    """
    host = {"localhost": "127.0.0.1"}.get(host, host)
    try:
        ip_address(host)
    except ValueError:
        raise UsageError(
            f"--host {host}: not an IP address", "name one of this machine, such as 127.0.0.1 or 0.0.0.0"
        ) from None
    if not (port.isascii() and port.isdecimal() and int(port) <= _MOST_PORT):
        raise UsageError(f"--port {port}: not a port", "name a number up to 65535; 0 takes one that is free")
    return host, int(port)


def own_key() -> str | None:
    """The key that `LCTX_API_KEY` names, or None for a random one.

    Raises:
        UsageError: It cannot be sent in a header.
    """
    key = os.environ.get("LCTX_API_KEY") or None
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise UsageError(
            "LCTX_API_KEY: a key is of visible ASCII characters, without a space", "set another one"
        )
    return key


def _settings(request: ServeRequest) -> tuple[Settings, list[str]]:
    """The settings; the keep-alive of `ask` is not meant for what is opened on purpose."""
    told = request.keep_alive if request.keep_alive is not None else "0" if request.foreground else "-1"
    try:
        parse_duration(told)
    except ValueError as error:
        raise UsageError(f"--keep-alive {told}: {error}") from error
    flags = dict(request.flags) | {"keep_alive": told}
    settings, warnings = load_settings(
        flags, environ=os.environ, directory=Path.cwd(), own_file=own_config_file()
    )
    if not settings.is_managed:
        raise UsageError(
            f"serve starts an engine of lctx's own: the {settings.engine} engine is set to run at an address",
            "add --engine llama, or leave the endpoint unset for --engine vllm",
        )
    return settings, warnings


def _wishes(given: Mapping[str, object], settings: Settings) -> "VllmWishes | None":
    if not given:
        return None
    from lctx.core.planning.launch import VllmWishes

    if settings.engine != "vllm":
        names = ", ".join(sorted(map(_option, given)))
        raise UsageError(f"{names}: only vLLM can be told", "leave it out, or serve a directory with vLLM")
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name in _TEXTS or name in _SWITCHES:
            values[name] = value
        elif isinstance(value, str) and value.isascii() and value.isdecimal() and int(value) > 0:
            values[name] = int(value)
        else:
            raise UsageError(f"{_option(name)} {value}: not a whole number of at least 1")
    return VllmWishes(**values)


def _option(wish: str) -> str:
    """The option of a wish; some are called as vLLM calls them."""
    return _OPTIONS.get(wish) or f"--{wish.replace('_', '-')}"


def _exposure(host: str) -> str | None:
    if ip_address(host).is_loopback:
        return None
    return f"{host}: other machines reach it over plain HTTP, where key and prompts can be read on the way"


def _model(settings: Settings, cache: Path, state: Path, notes: Notes) -> "tuple[ModelProfile, Window]":
    """The model's profile, and the window that `ask` would start it with."""
    from lctx.core.models.resolve import resolve_model
    from lctx.core.planning.window import choose_window

    def told(done: int, total: int) -> None:
        notes.progress(f"putting the embedded model together: {100 * done // max(total, 1)} %")

    profile = resolve_model(settings.model, cache, told, state=state)
    return profile, choose_window(profile, asked=settings.window)


def _ready(pending: "PendingEngine", runtime: Path, profile: "ModelProfile") -> "ServerState":
    """The state of the engine once it answers; Ctrl-C takes one along that was only just started."""
    try:
        pending.ready()
    except KeyboardInterrupt:
        pending.close()
        if not pending.warm:
            _stop_loading(runtime, profile.name)
        raise
    state = pending.server
    assert state is not None  # noqa: S101 - it is managed, and ready
    return state


def _stop_loading(runtime: Path, name: str) -> None:
    from lctx.core.engine.servers import list_servers, stop_servers

    for server in list_servers(runtime):
        if server.name == name and server.loading:
            stop_servers(runtime, server.id)


def _stay(
    pending: "PendingEngine", state: "ServerState", runtime: Path, wanted: str, notes: Notes
) -> ExitCode:
    """Show where it is, wait for Ctrl-C, and end the engine then; so does the lease if this is killed."""
    from lctx.core.engine.servers import stop_servers
    from lctx.core.engine.state import ServerFiles

    files = ServerFiles(runtime, state.id)
    try:
        _show(state, runtime, wanted)
        notes.line(f"{state.name} stays until Ctrl-C")
        while files.alive:
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        pending.close()
        stop_servers(runtime, state.id)
        return ExitCode.OK
    pending.close()
    # lctx stop takes the log away once the process is gone; an engine that died leaves it, or its state.
    deadline = time.monotonic() + _SWEPT_S
    while not files.state.exists() and time.monotonic() < deadline:
        if not files.log.exists():
            return ExitCode.OK
        time.sleep(_POLL_S)
    raise EngineCrashedError(f"{state.name}: its engine ended", f"see lctx logs {state.id}")


def _show(state: "ServerState", runtime: Path, wanted: str) -> None:
    from lctx.core.engine.state import ServerFiles

    sink = open_sink(None)
    address = f"{state.address}/v1"
    if wanted == "text":
        sink.write(f"address: {address}\nkey: {state.api_key}\n")
        return
    from lctx.core.answering.wire import SCHEMA_VERSION, encode

    record = {
        "schema_version": SCHEMA_VERSION,
        "address": address,
        "api_key": state.api_key,
        "model": state.name,
        "engine": f"{state.kind} {state.version.rpartition('/')[2]}",
        "window": state.window,
        "rope": state.rope,
        "kv_tokens": state.kv_tokens,
        "id": state.id,
        "pid": state.pid,
        "log": str(ServerFiles(runtime, state.id).log),
        "exit_code": 0,
    }
    sink.write(encode(record, indent=2).decode() + "\n")
