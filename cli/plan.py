"""`lctx plan`: what a question would read, leave out and cost, before anything runs."""

from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from lctx.cli.ask import read_all, require_one, told_error
from lctx.cli.exit import exit_code_of
from lctx.cli.failure import internal_error
from lctx.cli.notes import Notes
from lctx.cli.output import Sink, open_sink
from lctx.cli.plan_record import Planning, record_of_plan
from lctx.cli.request import Request, ask_settings, invocation_of, settings_of
from lctx.cli.settings import Settings
from lctx.cli.signals import interruptible
from lctx.core.answering.wire import encode
from lctx.core.errors import DoesNotFitError, ExitCode, InterruptError, LctxError, ModelFileError

if TYPE_CHECKING:
    from lctx.cli.attachment import Attachment
    from lctx.cli.narrower import Trial
    from lctx.core.tokens.tokenizer import Tokenizer

_VOCABULARIES = ("tokenizer.json", "tiktoken.model")


def run_plan(request: Request, started: float) -> ExitCode:
    """Plan a request, show the plan, and return what the process returns.

    Args:
        request: The command line.
        started: `time.monotonic()` when the process began.

    Raises:
        LctxError: Before it is known how the plan is to be shown; after that errors are shown with it.
    """
    if request.compare:
        from lctx.cli.compare import run_compare

        return run_compare(request, started)
    settings, warnings = settings_of(request)
    notes = Notes(quiet=settings.quiet)
    sink = open_sink(request.output)
    told: list[str] = []

    def warn(text: str) -> None:
        if text not in told:
            told.append(text)
            notes.warning(text)

    for text in warnings:
        warn(text)
    planning = Planning(warnings=told)
    from lctx.cli.sources import collecting_rarely

    with interruptible(), collecting_rarely():
        try:
            _make(planning, request, settings, notes, warn, started=started)
        except LctxError as error:
            planning.error = error
        except KeyboardInterrupt:
            planning.error = InterruptError("interrupted: no plan was made")
        except Exception as error:  # noqa: BLE001 - told, with a code of its own
            planning.error = internal_error(error)
    notes.clear()
    notes.withheld()
    code = exit_code_of(
        planning.error, num_unreadable=len(planning.reading.unreadable) if planning.reading else 0
    )
    _show(planning, sink, settings.format, code, raw=request.raw, total_s=monotonic() - started)
    if planning.error:
        notes.error(planning.error)
    for command in planning.commands:
        notes.command(command)
    return code


def _make(
    planning: Planning,
    request: Request,
    settings: Settings,
    notes: Notes,
    warn: Callable[[str], None],
    *,
    started: float,
) -> None:
    from lctx.cli.attachment import Attachment
    from lctx.cli.folders import content_cache, usable_directories
    from lctx.cli.launching import hardware_for
    from lctx.cli.looking import Looking
    from lctx.cli.narrower import Trial
    from lctx.cli.passwords import Passwords
    from lctx.core.answering.inputs import Inputs

    invocation = invocation_of(request, needs_question=False)
    asked = ask_settings(request, settings)  # a misspelt weight is told before anything is read
    planning.question = invocation.question
    for text in invocation.warnings:
        warn(text)
    require_one(invocation)
    if settings.endpoints:
        from lctx.cli.endpoints import with_endpoint

        settings = with_endpoint(settings, invocation.sources, warn)
    folders = usable_directories(warn)
    cache = content_cache(folders, settings)
    # A window that is out of reach is told when the sources are read, with commands that fit.
    attachment = Attachment(replace(settings, window=None), folders, notes.progress, warn, start=False)
    passwords = Passwords(request.password, notes)
    planning.reading = reading = read_all(request, invocation, cache, notes, passwords)
    planning.read_s = monotonic() - started
    for text in (*(told_error(error) for error in reading.unreadable), *reading.warnings):
        warn(text)
    notes.progress("counting tokens", now=True)
    begun = monotonic()
    profile = attachment.profile
    planning.model = profile.name
    hardware = hardware_for(profile, settings, folders) if profile.shape else None
    inputs = Inputs(
        invocation.question,
        reading.documents,
        profile,
        tokenizer_for(attachment, warn),
        cache,
        asked,
        Looking(cache, reading.files, passwords.options_for, reading.contents, warn).unseen,
    )
    _plan_trial(planning, Trial(request, inputs, hardware), warn)
    planning.plan_s = monotonic() - begun
    attachment.close()
    if cache.broken:
        warn(f"the cache cannot be written, nothing was kept: {cache.broken}")


def tokenizer_for(attachment: "Attachment", warn: Callable[[str], None]) -> "Tokenizer":
    """The model's own tokenizer; an estimate for a directory that holds none, which a plan does not need.

    Raises:
        ModelFileError: The tokenizer that is there cannot be used.
    """
    from lctx.core.tokens.estimate import EstimatingTokenizer

    folder = attachment.profile.path
    try:
        return attachment.tokenizer
    except ModelFileError as error:
        if folder is None or not folder.is_dir() or any((folder / name).exists() for name in _VOCABULARIES):
            raise
        warn(f"{error.message}: tokens are estimated")
        return EstimatingTokenizer()


def _plan_trial(planning: Planning, trial: "Trial", warn: Callable[[str], None]) -> None:
    """The plan and its fit; where they cannot be had, an error and the commands that would."""
    from lctx.cli.narrower import fitting_commands

    try:
        plan = trial.plan()
        planning.fit = fit = trial.fit(plan)
        planning.plan = plan
        if fit and fit.hardware.kv_dtype and fit.hardware.kv_dtype is not fit.kv_dtype:
            asked, kept = fit.hardware.kv_dtype.value, fit.kv_dtype.value
            warn(f"--kv-dtype {asked}: {fit.hardware.engine} keeps the KV cache in {kept}")
        if fit and fit.hardware.engine == "vllm" and trial.is_gguf:
            warn("vLLM reads a GGUF file through a plug-in only: plan for a directory of the same model")
        for text in plan.warnings:
            warn(text)
        if planning.fit is not None:
            planning.fit.require()
    except DoesNotFitError as error:
        planning.error = error
        planning.total_tokens = trial.inputs.num_tokens
        planning.commands = fitting_commands(trial, planning.fit)


def _show(planning: Planning, sink: Sink, wanted: str, code: ExitCode, *, raw: bool, total_s: float) -> None:
    plan, reading = planning.plan, planning.reading
    if raw and plan:
        sink.write(f"{plan.total_tokens}\n")
    elif wanted in {"json", "ndjson"}:
        record = record_of_plan(planning, code, total_s)
        if wanted == "ndjson":
            sink.write(encode({"event": "result", "result": record}).decode() + "\n")
        else:
            sink.write(encode(record, indent=2).decode() + "\n")
    elif plan and reading:
        from lctx.cli.plan_report import plan_report
        from lctx.cli.report import show_report

        show_report(plan_report(plan, reading, planning.fit), sink, markdown=wanted == "md")
        return
    else:
        return
    sink.close()
