"""`lctx plan --compare` and `lctx models fit`: models beside devices in one table."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lctx.cli.arguments import STDIN, looks_like_path, path_exists
from lctx.cli.notes import Notes
from lctx.cli.options import checked_table_format
from lctx.cli.output import Sink, open_sink
from lctx.cli.request import Request, settings_of
from lctx.cli.settings import Settings
from lctx.cli.signals import interruptible
from lctx.core.errors import DoesNotFitError, ExitCode, InterruptError, LctxError, UsageError

if TYPE_CHECKING:
    from lctx.core.models.profile import ModelProfile
    from lctx.core.planning.comparison import Candidate, Comparison
    from lctx.core.planning.devices import Device
    from lctx.core.storage import Directories

NOTABLE = (
    "Qwen3-4B-2507",
    "Qwen2.5-7B-Instruct-1M",
    "gpt-oss-20b",
    "Gemma-3-27B",
    "Qwen3-30B-A3B-2507",
    "Nemotron-3-Nano-30B-A3B",
    "Kimi-Linear-48B-A3B",
    "Qwen3-Next-80B-A3B",
    "Llama-4-Scout",
    "DeepSeek-V3.2",
)
"""What is compared where no model is named: layers of every kind, from 4 to 671 billion weights."""

_SHOWN = 60

Measure = Callable[["ModelProfile"], tuple[int, bool]]
"""A model -> tokens of the window that it is wanted for, and whether they are exact."""


@dataclass(slots=True)
class Comparing:
    """What is known of a comparison while it is made.

    Attributes:
        title: How long a window, and who said so, one line.
        rows: Models in the order in which they were named, each on every device.
        warnings: What the reader must know.
        error: What went wrong, or that nothing fits.
        num_unreadable: Named sources that could not be read.
    """

    title: str = ""
    rows: list["Comparison"] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    error: LctxError | None = None
    num_unreadable: int = 0


def run_compare(request: Request, _started: float) -> ExitCode:
    """Compare models and devices for what a request would read; 3 where none holds it."""
    settings, warnings = settings_of(request)
    notes = Notes(quiet=settings.quiet)
    sink = open_sink(request.output)
    comparing = Comparing()
    for text in (*warnings, *_unused(request)):
        _warn(comparing, notes, text)

    def make() -> None:
        from lctx.cli.folders import usable_directories

        folders = usable_directories(lambda text: _warn(comparing, notes, text))
        _compare(comparing, settings, folders, _wanted(comparing, request, settings, folders, notes), notes)

    return _run(comparing, make, sink, settings.format, notes, raw=request.raw)


def _unused(request: Request) -> Iterator[str]:
    """What was asked for and decides nothing here."""
    flags = request.flags or {}
    given = {
        "--pin": request.pins,
        "--priority": request.priorities,
        "--budget": flags.get("budget"),
        "--strategy": flags.get("strategy"),
        "--endpoint": flags.get("endpoint"),
    }
    for name, value in given.items():
        if value:
            yield f"{name}: --compare plans for all that the sources hold, by cards and files, and ignores it"


def run_fit(names: Sequence[str], flags: dict[str, object], wanted: str, _started: float) -> ExitCode:
    """Say how models fit devices, at `--window` or at the largest that fits; 3 where none does."""
    checked_table_format(wanted)
    settings, warnings = settings_of(Request(flags=flags))
    notes, sink, comparing = Notes(), open_sink(None), Comparing()
    for text in warnings:
        _warn(comparing, notes, text)

    def measure(profile: "ModelProfile") -> tuple[int, bool]:
        return settings.window or profile.native_window, True

    def make() -> None:
        from lctx.cli.folders import usable_directories

        folders = usable_directories(lambda text: _warn(comparing, notes, text))
        comparing.title = "the largest window that fits, up to each model's own"
        if settings.window is not None:
            comparing.title = f"a window of {settings.window:,} tokens, as asked for"
        at_largest = settings.window is None
        _compare(
            comparing, settings, folders, measure, notes, names=tuple(names) or NOTABLE, at_largest=at_largest
        )

    return _run(comparing, make, sink, wanted, notes, raw=False)


def _run(
    comparing: Comparing, make: Callable[[], None], sink: Sink, wanted: str, notes: Notes, *, raw: bool
) -> ExitCode:
    """Make a comparison and show it, whatever became of it."""
    from lctx.cli.exit import exit_code_of
    from lctx.cli.failure import internal_error

    with interruptible():
        try:
            make()
        except LctxError as error:
            comparing.error = error
        except KeyboardInterrupt:
            comparing.error = InterruptError("interrupted: nothing was compared")
        except Exception as error:  # noqa: BLE001 - told, with a code of its own
            comparing.error = internal_error(error)
    notes.clear()
    code = exit_code_of(comparing.error, num_unreadable=comparing.num_unreadable)
    _show(comparing, sink, wanted, code, raw=raw)
    if comparing.error:
        notes.error(comparing.error)
    return code


def _show(comparing: Comparing, sink: Sink, wanted: str, code: ExitCode, *, raw: bool) -> None:
    if raw and comparing.rows:
        sink.write(f"{max(row.largest_window for row in comparing.rows)}\n")
        sink.close()
    elif wanted in {"json", "ndjson"}:
        from lctx.cli.compare_record import record_of_comparison
        from lctx.core.answering.wire import encode

        record = record_of_comparison(comparing.rows, comparing.error, comparing.warnings, code)
        if wanted == "ndjson":
            sink.write(encode({"event": "result", "result": record}).decode() + "\n")
        else:
            sink.write(encode(record, indent=2).decode() + "\n")
        sink.close()
    elif comparing.rows:
        from lctx.cli.compare_report import comparison_report
        from lctx.cli.report import show_report

        show_report(comparison_report(comparing.title, comparing.rows, sink), sink, markdown=wanted == "md")


def _compare(
    comparing: Comparing,
    settings: Settings,
    folders: "Directories",
    measure: Measure,
    notes: Notes,
    *,
    names: tuple[str, ...] | None = None,
    at_largest: bool = False,
) -> None:
    """Fill in the rows, and the error where none of them fits."""
    from lctx.core.planning.comparison import compare, compare_at_largest, smallest_change

    _devices(settings.gpu)  # a misspelt one is told before anything is read
    profiles = [
        resolved(name, folders, notes) for name in dict.fromkeys(names or _listed_models(settings.model))
    ]
    candidates = candidates_for([(one, *measure(one)) for one in profiles], settings, folders)
    comparing.rows = [(compare_at_largest if at_largest else compare)(one) for one in candidates]
    if not any(row.fits for row in comparing.rows):
        longest = max(one.window for one in candidates)
        told = f"none of {len(candidates)} pairs of model and device holds it"
        raise DoesNotFitError(
            f"a window of {longest:,} tokens: {told if len(candidates) > 1 else comparing.rows[0].why}",
            smallest_change(candidates) or "choose a smaller model, or name a larger device with --gpu",
        )


def candidates_for(
    wanted: "Sequence[tuple[ModelProfile, int, bool]]", settings: Settings, folders: "Directories"
) -> "list[Candidate]":
    """Each model on each device of `--gpu`, in this order.

    Args:
        wanted: A model, tokens of the window, and whether these are exact.
        settings: The devices, and what the KV cache is kept as.
        folders: Where measured rates are kept.

    Raises:
        UsageError: A device that lctx does not know.
    """
    from lctx.cli.launching import hardware_on
    from lctx.core.planning.comparison import Candidate

    found = []
    for device in _devices(settings.gpu):
        for number, (profile, window, exact) in enumerate(wanted):
            hardware = hardware_on(device, profile, settings, folders)
            found.append((number, Candidate(profile, hardware, window, exact)))
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def _listed_models(text: str | None) -> tuple[str, ...]:
    """The models of `--model a,b,c`; a path that holds a comma is one."""
    if text is None:
        return NOTABLE
    if path_exists(str(Path(text).expanduser())):
        return (text,)
    return _list(text, "--model")


def _list(text: str, option: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise UsageError(f"{option} {text}: no name in it", f"list them as in {option} a,b,c")
    return names


def _devices(text: str | None) -> list["Device"]:
    from lctx.cli.devices import device_for

    if text is None:
        return [device_for(None)]
    return [*dict.fromkeys(map(device_for, _list(text, "--gpu")))]


def resolved(name: str | None, folders: "Directories", notes: Notes | None = None) -> "ModelProfile":
    """The profile of the model called `name`; one that is known by its card alone will do.

    Raises:
        LctxError: It is not there, damaged, or of no known name.
    """
    from lctx.core.models.resolve import resolve_model

    def told(done: int, total: int) -> None:
        if notes is not None:
            notes.progress(f"putting the embedded model together: {100 * done // max(total, 1)} %")

    try:
        return resolve_model(name, folders.cache, told, cards=True, state=folders.state)
    except OSError as error:  # a folder that may not be looked into
        shown = (name or "the embedded model")[:_SHOWN]
        raise UsageError(
            f"{shown}: {(error.strerror or str(error)).lower()}", "lctx models ls lists what there is"
        ) from error


def _warn(comparing: Comparing, notes: Notes, text: str) -> None:
    if text not in comparing.warnings:
        comparing.warnings.append(text)
        notes.warning(text)


def _wanted(
    comparing: Comparing, request: Request, settings: Settings, folders: "Directories", notes: Notes
) -> Measure:
    """How long a window is wanted: as asked, as the sources take, or a million tokens."""
    from lctx.core.planning.comparison import MILLION

    asked = settings.window
    if not _names_sources(request):
        window = asked or MILLION
        why = "as asked for" if asked else "as nothing else was asked for: --window or sources say how long"
        comparing.title = f"a window of {window:,} tokens, {why}"
        return lambda _profile: (window, True)
    from lctx.cli.compare_sources import measure_sources

    needed, comparing.num_unreadable = measure_sources(
        request, settings, folders, notes, lambda text: _warn(comparing, notes, text)
    )
    told: dict[str, None] = {}

    def measure(profile: "ModelProfile") -> tuple[int, bool]:
        tokens, exact = needed(profile)
        about = "" if exact else "~"
        if asked is None:
            told[f"{about}{tokens:,}"] = None
            each = ", by the tokenizer of each model" if len(told) > 1 else ""
            comparing.title = f"a window of {' or '.join(told)} tokens, as the sources take{each}"
            return tokens, exact
        comparing.title = f"a window of {asked:,} tokens, as asked for"
        if tokens > asked:
            short = (
                f"the window of {asked:,} does not hold all sources: {profile.name} needs {about}{tokens:,}"
            )
            _warn(comparing, notes, short)
        return asked, True

    return measure


def _names_sources(request: Request) -> bool:
    """Whether sources are named; nothing but a question is none, and standard input is one only as `-`.

    Raises:
        UsageError: What is named is probably a path that does not exist.
    """
    arguments = request.arguments
    has_question = request.question is not None or request.question_file is not None
    if request.files_from is not None or len(arguments) > 1 or (arguments and has_question):
        return True
    if not arguments:
        return False
    if arguments[0] == STDIN or path_exists(arguments[0]):
        return True
    if looks_like_path(arguments[0]):
        raise UsageError(f"{arguments[0]}: no such file, and no other source was named", "check the path")
    return False
