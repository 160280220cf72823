"""`lctx models ls` and `lctx models show`: what is installed and known, and everything about one model."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lctx.cli.compare import candidates_for, resolved
from lctx.cli.notes import Notes
from lctx.cli.options import checked_table_format
from lctx.cli.output import open_sink
from lctx.core.errors import ExitCode, LctxError
from lctx.core.models import embedded

if TYPE_CHECKING:
    from lctx.cli.model_record import ModelRow, ShowRecord
    from lctx.core.models.profile import ModelProfile
    from lctx.core.planning.comparison import Comparison
    from lctx.core.storage import Directories

_MOST_FILES = 100


@dataclass(frozen=True, slots=True)
class Listing:
    """What is listed.

    Attributes:
        rows: Those that are installed first, each part by name.
        problems: Files that hold no model that can be read.
    """

    rows: "list[ModelRow]"
    problems: list[LctxError]


def run_ls(part: str | None, wanted: str, _started: float) -> ExitCode:
    """List the models that are installed or known, those whose names hold `part`."""
    from lctx.cli.folders import usable_directories

    checked_table_format(wanted)
    notes, sink = Notes(), open_sink(None)
    listing = list_models(usable_directories(notes.warning))
    rows = [row for row in listing.rows if part is None or part.casefold() in row.name.casefold()]
    for problem in listing.problems:
        notes.warning(problem.message)
    if wanted == "json":
        from lctx.cli.model_record import ModelsRecord
        from lctx.core.answering.wire import SCHEMA_VERSION, ErrorPart, encode

        told = [ErrorPart(one.code, one.message, one.hint) for one in listing.problems]
        sink.write(encode(ModelsRecord(SCHEMA_VERSION, rows, told, 0), indent=2).decode() + "\n")
        sink.close()
    elif rows:
        from lctx.cli.model_report import models_report
        from lctx.cli.report import show_report

        show_report(models_report(rows, sink), sink, markdown=wanted == "md")
    if part is not None and not rows:
        from lctx.core.models.cards import near_cards

        near = " or ".join(near_cards(part))
        notes.line(f"no model is called like {part}" + (f"; did you mean {near}?" if near else ""))
    return ExitCode.OK


def run_show(name: str | None, flags: dict[str, object], wanted: str, _started: float) -> ExitCode:
    """Show everything that is known of one model.

    Raises:
        LctxError: It is not there, damaged, or of no known name.
    """
    from lctx.cli.folders import usable_directories
    from lctx.cli.request import Request, settings_of

    checked_table_format(wanted)
    notes = Notes()
    warnings: list[str] = []

    def warn(text: str) -> None:
        warnings.append(text)
        notes.warning(text)

    settings, told = settings_of(Request(flags=flags))
    for text in told:
        warn(text)
    sink = open_sink(None)
    folders = usable_directories(warn)
    profile = resolved(name, folders, notes)
    record, rows = _record(profile, settings.gpu, settings.kv_dtype, folders, warnings)
    notes.clear()
    if wanted == "json":
        from lctx.core.answering.wire import encode

        sink.write(encode(record, indent=2).decode() + "\n")
        sink.close()
        return ExitCode.OK
    from lctx.cli.model_report import model_report
    from lctx.cli.report import show_report

    show_report(model_report(record, rows, sink), sink, markdown=wanted == "md")
    return ExitCode.OK


def _record(
    profile: "ModelProfile",
    gpus: str | None,
    kv_dtype: str | None,
    folders: "Directories",
    warnings: list[str],
) -> "tuple[ShowRecord, list[Comparison]]":
    """A model as the contract has it, and how it fits each device."""
    from lctx.cli import model_record
    from lctx.cli.compare_record import compare_row
    from lctx.cli.settings import Settings
    from lctx.core.answering.wire import SCHEMA_VERSION
    from lctx.core.models.cards import find_card
    from lctx.core.planning.comparison import compare_at_largest

    settings = Settings(gpu=gpus, kv_dtype=kv_dtype)
    card = find_card(profile.name) if profile.path is None else None
    place = "embedded" if profile.name == embedded.EMBEDDED_NAME else "card" if card else "file"
    running = profile.path is not None and str(profile.path) in _running(folders)
    rows = [
        compare_at_largest(one)
        for one in candidates_for([(profile, profile.native_window, True)], settings, folders)
    ]
    record = model_record.ShowRecord(
        schema_version=SCHEMA_VERSION,
        model=model_record.model_row(profile, card=card, place=place, running=running),
        capabilities=sorted(one.value for one in profile.capabilities),
        capabilities_from=model_record.capabilities_from(profile),
        style=profile.style.value,
        rope=model_record.rope_row(profile),
        kv=model_record.kv_rows(profile),
        devices=[compare_row(row) for row in rows],
        warnings=warnings,
        exit_code=0,
    )
    return record, rows


def list_models(folders: "Directories") -> Listing:
    """Every model that is installed, lies here or is known by its card."""
    from lctx.cli.model_record import model_row
    from lctx.core.models.cards import model_cards
    from lctx.core.models.derive import card_profile
    from lctx.core.models.resolve import with_effective_window

    running = _running(folders)
    problems: list[LctxError] = []
    rows: list[ModelRow] = []
    if (found := _embedded(folders, problems)) is not None:
        is_running = found.path is not None and str(found.path) in running
        rows.append(model_row(found, place="embedded", running=is_running))
    files = []
    for path in _files(folders, running):
        try:
            profile = resolved(str(path), folders)
        except LctxError as error:
            problems.append(error)
            continue
        files.append(model_row(profile, place="file", running=str(path) in running))
    cards = [
        model_row(with_effective_window(card_profile(card), folders.state), card=card, place="card")
        for card in model_cards()
    ]
    rows += sorted(files, key=lambda row: row.name.casefold())
    return Listing([*rows, *sorted(cards, key=lambda row: row.name.casefold())], problems)


def _embedded(folders: "Directories", problems: list[LctxError]) -> "ModelProfile | None":
    """The embedded model's profile, from its card as long as it was not put together; None without it."""
    if (folders.cache / "models" / embedded.EMBEDDED_FILE).is_file():
        try:
            return resolved(None, folders)
        except LctxError as error:
            problems.append(error)
            return None
    if not embedded.is_installed():
        return None
    from lctx.core.models.cards import find_card
    from lctx.core.models.derive import card_profile
    from lctx.core.models.profile import Capability, PromptStyle

    card = find_card("Gemma-3-270M")
    if card is None:
        return None
    return replace(
        card_profile(card),
        name=embedded.EMBEDDED_NAME,
        origin=embedded.EMBEDDED_ORIGIN,
        licence=embedded.EMBEDDED_LICENCE,
        effective_window=embedded.EMBEDDED_EFFECTIVE_WINDOW,
        effective_source=embedded.EMBEDDED_EFFECTIVE_SOURCE,
        style=PromptStyle.COMPLETION,
        capabilities=frozenset({Capability.LOOKUP}),
        weight_bytes=embedded.EMBEDDED_BYTES,
        quantization="Q4_K_M",
    )


def _files(folders: "Directories", running: Sequence[str]) -> Iterator[Path]:
    """GGUF files in the cache and in this folder, and the models of running engines; each once."""
    found: dict[Path, None] = {}
    for folder in (folders.cache / "models", Path.cwd()):
        try:
            names = sorted(name for name in os.listdir(folder) if name.endswith(".gguf"))  # noqa: PTH208
        except OSError:
            continue
        found |= dict.fromkeys(folder / name for name in names[:_MOST_FILES])
    found |= dict.fromkeys(Path(model) for model in running)
    return (path for path in found if path.name != embedded.EMBEDDED_FILE)


def _running(folders: "Directories") -> tuple[str, ...]:
    """The files of the models whose engines lctx keeps warm."""
    if not folders.runtime.is_dir():
        return ()
    from lctx.core.engine.servers import list_servers

    try:
        return tuple(dict.fromkeys(server.model for server in list_servers(folders.runtime)))
    except (LctxError, OSError):
        return ()
