"""`lctx plan`: what a question would read, leave out and cost, before anything runs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic

import msgspec

from lctx.cli.ask import plan_line, read_all, require_one, told_error
from lctx.cli.clean import one_line
from lctx.cli.exit import exit_code_of
from lctx.cli.failure import internal_error
from lctx.cli.notes import Notes
from lctx.cli.output import Sink, open_sink
from lctx.cli.plain import escaped
from lctx.cli.request import Request, invocation_of, settings_of
from lctx.cli.settings import Settings
from lctx.cli.signals import interruptible
from lctx.cli.sources import Reading
from lctx.core.answering.wire import (
    SCHEMA_VERSION,
    ErrorPart,
    PlanPart,
    TimingsPart,
    UnreadableRow,
    encode,
    plan_part,
    utf8,
)
from lctx.core.errors import ExitCode, InterruptError, LctxError
from lctx.core.planning.plan import ContextPlan, Piece

_SHOWN_REASONS = 3


class SourceRow(msgspec.Struct, frozen=True):
    """One source: how many tokens it has, how many would be read, and why the others would not."""

    path: str
    kind: str
    tokens: int
    read_tokens: int
    reasons: list[str]


class SkippedRow(msgspec.Struct, frozen=True):
    """A path below a named directory that is no source, by rule."""

    path: str
    reason: str


class PlanRecord(msgspec.Struct, frozen=True):
    """What `lctx plan --format json` prints; `plan` is null exactly where `error` is not."""

    schema_version: int
    question: str | None
    plan: PlanPart | None
    error: ErrorPart | None
    total_tokens: int
    read_tokens: int
    counts: str | None
    sources: list[SourceRow]
    skipped: list[SkippedRow]
    unreadable: list[UnreadableRow]
    model: str | None
    timings: TimingsPart
    warnings: list[str]
    exit_code: int


@dataclass(slots=True)
class _Planning:
    """What is known of a plan while it is made."""

    question: str | None = None
    plan: ContextPlan | None = None
    reading: Reading | None = None
    model: str | None = None
    error: LctxError | None = None
    warnings: Sequence[str] = ()
    read_s: float | None = None
    plan_s: float | None = None


def run_plan(request: Request, started: float) -> ExitCode:
    """Plan a request, show the plan, and return what the process returns.

    Args:
        request: The command line.
        started: `time.monotonic()` when the process began.

    Raises:
        LctxError: Before it is known how the plan is to be shown; after that errors are shown with it.
    """
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
    planning = _Planning(warnings=told)
    with interruptible():
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
    return code


def _make(
    planning: _Planning,
    request: Request,
    settings: Settings,
    notes: Notes,
    warn: Callable[[str], None],
    *,
    started: float,
) -> None:
    from lctx.cli.folders import usable_directories
    from lctx.cli.models import Attachment
    from lctx.core.answering.ask import AskSettings, plan_question
    from lctx.core.storage import ByteCache

    invocation = invocation_of(request, needs_question=False)
    planning.question = invocation.question
    for text in invocation.warnings:
        warn(text)
    require_one(invocation)
    folders = usable_directories(warn)
    cache = ByteCache(folders.cache / "content" if settings.cache else None)
    attachment = Attachment(settings, folders, notes.progress, warn, start=False)
    planning.reading = reading = read_all(request, invocation, cache, notes)
    planning.read_s = monotonic() - started
    for text in (*(told_error(error) for error in reading.unreadable), *reading.warnings):
        warn(text)
    notes.progress("counting tokens", now=True)
    begun = monotonic()
    planning.model = attachment.profile.name
    planning.plan = plan_question(
        invocation.question,
        reading.documents,
        profile=attachment.profile,
        tokenizer=attachment.tokenizer,
        cache=cache,
        settings=AskSettings(settings.strategy, settings.budget, settings.max_tokens, settings.seed),
    )
    planning.plan_s = monotonic() - begun
    attachment.close()
    if cache.broken:
        warn(f"the cache cannot be written, nothing was kept: {cache.broken}")


def _show(planning: _Planning, sink: Sink, wanted: str, code: ExitCode, *, raw: bool, total_s: float) -> None:
    plan, reading = planning.plan, planning.reading
    if raw and plan:
        sink.write(f"{plan.total_tokens}\n")
    elif wanted in {"json", "ndjson"}:
        record = _record(planning, code, total_s)
        if wanted == "ndjson":
            sink.write(encode({"event": "result", "result": record}).decode() + "\n")
        else:
            sink.write(encode(record, indent=2).decode() + "\n")
    elif plan and reading:
        rows = source_rows(plan, reading)
        sink.write(_markdown(plan, rows, reading) if wanted == "md" else _text(plan, rows, reading))
    else:
        return
    sink.close()


def source_rows(plan: ContextPlan, reading: Reading) -> list[SourceRow]:
    """One row a source, in the order in which they were named; their tokens add up to the plan's."""
    read, left = _by_path(plan.included), _by_path(omission.piece for omission in plan.omitted)
    reasons: dict[str, dict[str, int]] = {}
    for omission in plan.omitted:
        counted = reasons.setdefault(omission.piece.chunk.document.path, {})
        counted[omission.reason] = counted.get(omission.reason, 0) + omission.piece.num_tokens
    return [
        SourceRow(
            path=utf8(document.path),
            kind=document.kind,
            tokens=read.get(document.path, 0) + left.get(document.path, 0),
            read_tokens=read.get(document.path, 0),
            reasons=sorted(counted, key=lambda reason: -counted[reason]),
        )
        for document in reading.documents
        for counted in [reasons.get(document.path, {})]
    ]


def _by_path(pieces: Iterable[Piece]) -> dict[str, int]:
    tokens: dict[str, int] = {}
    for piece in pieces:
        path = piece.chunk.document.path
        tokens[path] = tokens.get(path, 0) + piece.num_tokens
    return tokens


def _record(planning: _Planning, code: ExitCode, total_s: float) -> PlanRecord:
    plan, reading, error = planning.plan, planning.reading, planning.error
    return PlanRecord(
        schema_version=SCHEMA_VERSION,
        question=utf8(planning.question) if planning.question is not None else None,
        plan=plan_part(plan) if plan else None,
        error=ErrorPart(error.code, utf8(error.message), error.hint and utf8(error.hint)) if error else None,
        total_tokens=plan.total_tokens if plan else 0,
        read_tokens=plan.read_tokens if plan else 0,
        counts=("exact" if plan.exact else "estimated") if plan else None,
        sources=source_rows(plan, reading) if plan and reading else [],
        skipped=[SkippedRow(utf8(path), reason) for path, reason in reading.skipped] if reading else [],
        unreadable=[
            UnreadableRow(utf8(one.path), one.code, utf8(one.why))
            for one in (reading.unreadable if reading else ())
        ],
        model=planning.model,
        timings=TimingsPart(
            read_s=_rounded(planning.read_s), plan_s=_rounded(planning.plan_s), total_s=_rounded(total_s)
        ),
        warnings=[utf8(text) for text in planning.warnings],
        exit_code=int(code),
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _lines(plan: ContextPlan) -> list[str]:
    """The arithmetic in words, one part a line."""
    budget, about = plan.budget, "" if plan.exact else "~"
    lines = [
        plan_line(plan).removeprefix("plan: "),
        (
            f"window {budget.window:,} = instructions {budget.instructions:,} + sources {budget.sources:,} "
            f"+ question {budget.question:,} + answer {budget.answer:,} + margin {budget.margin:,}"
        ),
        f"prompt {about}{plan.prompt_tokens:,} tokens",
    ]
    if plan.kv_cache_bytes is not None:
        lines[-1] += f", KV cache {plan.kv_cache_bytes / 2**20:,.1f} MiB"
    for one in plan.estimates:
        fits = "fits" if one.fits else "does not fit"
        lines.append(f"{one.strategy}: {fits}, {about}{one.prompt_tokens:,} tokens of prompt; {one.why}")
    return lines


def _cells(plan: ContextPlan, rows: Sequence[SourceRow]) -> list[tuple[str, str, str, str]]:
    about = "" if plan.exact else "~"
    cells = []
    for row in rows:
        share = f"{100 * row.read_tokens / row.tokens:.0f} %" if row.tokens else "0 %"
        why = "; ".join(row.reasons[:_SHOWN_REASONS])
        cells.append((f"{about}{row.tokens:,}", f"{about}{row.read_tokens:,}", share, _named(row, why)))
    return cells


def _named(row: SourceRow, why: str) -> str:
    path = "standard input" if row.path == "-" else row.path
    return one_line(f"{path}  (left out: {why})" if why else path)


def _text(plan: ContextPlan, rows: Sequence[SourceRow], reading: Reading) -> str:
    table = [("tokens", "read", "share", "source"), *_cells(plan, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=False)) + f"  {row[3]}"
        for row in table
    ]
    skipped = [one_line(f"not a source: {path} ({reason})") for path, reason in reading.skipped]
    return "\n".join([*_lines(plan), "", *lines, *skipped]) + "\n"


def _markdown(plan: ContextPlan, rows: Sequence[SourceRow], reading: Reading) -> str:
    lines = [f"- {escaped(one_line(line))}" for line in _lines(plan)]
    table = ["| tokens | read | share | source |", "|---:|---:|---:|---|"]
    table += [
        f"| {escaped(tokens)} | {escaped(read)} | {share} | {escaped(named)} |"
        for tokens, read, share, named in _cells(plan, rows)
    ]
    skipped = [f"- not a source: {escaped(one_line(f'{path} ({why})'))}" for path, why in reading.skipped]
    return "\n".join([*lines, "", *table, *([""] if skipped else []), *skipped]) + "\n"
