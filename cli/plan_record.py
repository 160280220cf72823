"""What `lctx plan --format json` prints: a public contract, like the answer's object."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from lctx.cli.sources import Reading
from lctx.core.answering.schema import schema_of
from lctx.core.answering.wire import SCHEMA_VERSION, ErrorPart, TimingsPart, UnreadableRow
from lctx.core.answering.wire_plan import PlanPart, plan_part, utf8
from lctx.core.errors import ExitCode, LctxError
from lctx.core.planning.hardware import Fit
from lctx.core.planning.plan import ContextPlan, Piece


class SourceRow(msgspec.Struct, frozen=True):
    """One source: how many tokens it has, how many would be read, why the others would not, what to do."""

    path: str
    kind: str
    tokens: int
    read_tokens: int
    reasons: list[str]
    remedies: list[str] = []


class SkippedRow(msgspec.Struct, frozen=True):
    """A path below a named directory that is no source, by rule."""

    path: str
    reason: str


class MemoryRow(msgspec.Struct, frozen=True):
    """A part of a device's memory that is not KV cache."""

    name: str
    bytes: int
    why: str


class FitPart(msgspec.Struct, frozen=True):
    """Whether the model and the window fit the device; bytes are those of one card."""

    device: str
    device_source: str
    engine: str
    fits: bool
    memory_bytes: int
    taken: list[MemoryRow]
    kv_dtype: str
    kv_available_bytes: int
    kv_needed_bytes: int
    largest_window: int


class PlanRecord(msgspec.Struct, frozen=True):
    """What `lctx plan --format json` prints.

    `plan` is null where none could be made. Where one was made that does not fit the device it stands beside
    the error. `commands` are complete commands that would fit, each of them tried.
    """

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
    fit: FitPart | None
    timings: TimingsPart
    warnings: list[str]
    exit_code: int
    commands: list[str] = []


@dataclass(slots=True)
class Planning:
    """What is known of a plan while it is made.

    Attributes:
        question: As it was asked, or None.
        plan: Once it stands.
        reading: What was read, and what was not.
        model: The model's name.
        fit: Whether it fits the device, where its sizes are known.
        error: What went wrong.
        warnings: What the reader must know.
        commands: Complete commands that would fit, where this one does not.
        total_tokens: Of all sources, where they were counted for a plan that cannot be had.
        read_s: Seconds until all sources were read.
        plan_s: Seconds that planning took.
    """

    question: str | None = None
    plan: ContextPlan | None = None
    reading: Reading | None = None
    model: str | None = None
    fit: Fit | None = None
    error: LctxError | None = None
    warnings: Sequence[str] = ()
    commands: Sequence[str] = ()
    total_tokens: int = 0
    read_s: float | None = None
    plan_s: float | None = None


def source_rows(plan: ContextPlan, reading: Reading) -> list[SourceRow]:
    """One row a source, in the order in which they were named; their tokens add up to the plan's."""
    read, left = _by_path(plan.included), _by_path(omission.piece for omission in plan.omitted)
    reasons: dict[str, dict[str, int]] = {}
    remedies: dict[str, dict[str, None]] = {}
    for omission in plan.omitted:
        path = omission.piece.chunk.document.path
        counted = reasons.setdefault(path, {})
        counted[omission.reason] = counted.get(omission.reason, 0) + omission.piece.num_tokens
        if omission.remedy:
            remedies.setdefault(path, {})[omission.remedy] = None
    return [
        SourceRow(
            path=utf8(document.path),
            kind=document.kind,
            tokens=read.get(document.path, 0) + left.get(document.path, 0),
            read_tokens=read.get(document.path, 0),
            reasons=sorted(counted, key=lambda reason: -counted[reason]),
            remedies=list(remedies.get(document.path, ())),
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


def record_of_plan(planning: Planning, code: ExitCode, total_s: float) -> PlanRecord:
    """The contract's object of a plan, made or not."""
    plan, reading, error = planning.plan, planning.reading, planning.error
    return PlanRecord(
        schema_version=SCHEMA_VERSION,
        question=utf8(planning.question) if planning.question is not None else None,
        plan=plan_part(plan) if plan else None,
        error=ErrorPart(error.code, utf8(error.message), error.hint and utf8(error.hint)) if error else None,
        total_tokens=plan.total_tokens if plan else planning.total_tokens,
        read_tokens=plan.read_tokens if plan else 0,
        counts=("exact" if plan.exact else "estimated") if plan else None,
        sources=source_rows(plan, reading) if plan and reading else [],
        skipped=[SkippedRow(utf8(path), reason) for path, reason in reading.skipped] if reading else [],
        unreadable=[
            UnreadableRow(utf8(one.path), one.code, utf8(one.why))
            for one in (reading.unreadable if reading else ())
        ],
        model=planning.model,
        fit=fit_part(planning.fit) if planning.fit else None,
        timings=TimingsPart(
            read_s=_rounded(planning.read_s), plan_s=_rounded(planning.plan_s), total_s=_rounded(total_s)
        ),
        warnings=[utf8(text) for text in planning.warnings],
        exit_code=int(code),
        commands=[utf8(command) for command in planning.commands],
    )


def plan_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a `PlanRecord`."""
    return schema_of(PlanRecord, "A plan of lctx")


def fit_part(fit: Fit) -> FitPart:
    """Device, memory and window as the contract has them."""
    device = fit.hardware.device
    return FitPart(
        device=device.label,
        device_source=device.source,
        engine=fit.hardware.engine,
        fits=fit.fits,
        memory_bytes=fit.memory.total_bytes,
        taken=[MemoryRow(term.name, term.bytes, term.why) for term in fit.memory.terms],
        kv_dtype=fit.kv_dtype.value,
        kv_available_bytes=fit.memory.kv_bytes,
        kv_needed_bytes=fit.kv_bytes,
        largest_window=fit.largest_window,
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
