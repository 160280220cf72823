"""The answer as JSON: a public contract, whose schema is committed as `docs/reference/answer.schema.json`.

`--format json` prints one `AnswerRecord`; the `result` event of NDJSON carries the same object. Every field
is always there; what does not apply is null. Fields are added, never renamed, under one `schema_version`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lctx.core.answering.answer import AnswerReady, Coverage, CoverageRow
from lctx.core.answering.schema import schema_of
from lctx.core.answering.wire_plan import PlanPart, plan_part, utf8
from lctx.core.citing.citation import Citation
from lctx.core.document import Location
from lctx.core.engine.events import Usage
from lctx.core.errors import ExitCode, LctxError, SourceError
from lctx.core.planning.plan import ContextPlan

SCHEMA_VERSION = 1


class AnswerPart(msgspec.Struct, frozen=True):
    """What is said, and whether the sources say it; null where these are passages and no answer.

    `unsupported` are the characters of each sentence that no quote supports, half-open.
    """

    text: str
    found: bool | None
    reason: str | None = None
    unsupported: list[tuple[int, int]] = []


class ErrorPart(msgspec.Struct, frozen=True):
    """Why there is no answer; `code` is stable, `partial` is what had arrived of the answer by then."""

    code: str
    message: str
    hint: str | None = None
    partial: str | None = None


class LocationPart(msgspec.Struct, frozen=True):
    """Where a quote stands, one-based and inclusive; `chars` are half-open, into the reader's text."""

    pages: tuple[int, int] | None
    page_labels: tuple[str, str] | None
    lines: tuple[int, int] | None
    heading: list[str] | None
    symbol: list[str] | None
    paragraph: int | None
    part: str | None
    cells: str | None
    box: tuple[float, float, float, float] | None
    estimated: bool
    chars: tuple[int, int] | None


class CitationPart(msgspec.Struct, frozen=True):
    """One [n] of the answer; `status`, `by` and `support` as in the concepts page on citations."""

    marker: int
    path: str
    sha256: str
    reader: str
    quote: str
    status: str
    by: str
    support: str
    answer_chars: tuple[int, int]
    location: LocationPart


class ReadRow(msgspec.Struct, frozen=True):
    """A stretch of a source that the model read."""

    path: str
    chars: tuple[int, int]
    tokens: int


class OmittedRow(msgspec.Struct, frozen=True):
    """A stretch of a source that the model did not read, and why."""

    path: str
    chars: tuple[int, int]
    tokens: int
    reason: str


class UnreadableRow(msgspec.Struct, frozen=True):
    """A named source that no reader could read; it has no tokens to count."""

    path: str
    code: str
    reason: str


class CoveragePart(msgspec.Struct, frozen=True):
    """The receipt: `read` and `omitted` together make `total_tokens`."""

    total_tokens: int
    read_tokens: int
    counts: str
    read: list[ReadRow]
    omitted: list[OmittedRow]
    unreadable: list[UnreadableRow]


class UsagePart(msgspec.Struct, frozen=True):
    """The engine's own count."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


class TimingsPart(msgspec.Struct, frozen=True):
    """Seconds: reading the sources, planning, from the request to the first token, all of it."""

    read_s: float | None = None
    plan_s: float | None = None
    first_token_s: float | None = None
    total_s: float | None = None


class AnswerRecord(msgspec.Struct, frozen=True):
    """One question answered, or not: `answer` is null exactly where `error` is not."""

    schema_version: int
    question: str | None
    answer: AnswerPart | None
    error: ErrorPart | None
    citations: list[CitationPart]
    coverage: CoveragePart | None
    plan: PlanPart | None
    model: str | None
    engine: str | None
    usage: UsagePart | None
    timings: TimingsPart
    warnings: list[str]
    exit_code: int


def record_of(
    question: str,
    ready: AnswerReady,
    plan: ContextPlan | None,
    *,
    model: str,
    engine: str,
    timings: TimingsPart,
    exit_code: ExitCode,
    warnings: Sequence[str] = (),
    unreadable: Iterable[SourceError] = (),
    unsupported: Sequence[tuple[int, int]] = (),
) -> AnswerRecord:
    """The contract's object of an answer that was given.

    Args:
        question: As it was asked.
        ready: The last event of the answer's stream.
        plan: From the stream's first event.
        model: The profile's name.
        engine: The engine's label.
        timings: What the caller measured.
        exit_code: What the process is about to return.
        warnings: Those of the caller; the answer's own are added after them.
        unreadable: Named sources that could not be read.
        unsupported: The sentences that no quote supports.
    """
    return AnswerRecord(
        schema_version=SCHEMA_VERSION,
        question=utf8(question),
        answer=AnswerPart(
            utf8(ready.answer.text), ready.answer.found, _utf8(ready.answer.reason), list(unsupported)
        ),
        error=None,
        citations=[citation_part(citation) for citation in ready.citations],
        coverage=coverage_part(ready.coverage, unreadable),
        plan=plan_part(plan) if plan else None,
        model=utf8(model),
        engine=utf8(engine),
        usage=usage_part(ready.usage),
        timings=timings,
        warnings=[utf8(text) for text in dict.fromkeys((*warnings, *ready.warnings))],
        exit_code=int(exit_code),
    )


def failed_record(
    question: str | None,
    error: LctxError,
    *,
    plan: ContextPlan | None = None,
    model: str | None = None,
    engine: str | None = None,
    timings: TimingsPart | None = None,
    exit_code: ExitCode | None = None,
    warnings: Sequence[str] = (),
    partial: str = "",
) -> AnswerRecord:
    """The contract's object of a question that has no answer; what was known by then is kept."""
    return AnswerRecord(
        schema_version=SCHEMA_VERSION,
        question=_utf8(question),
        answer=None,
        error=ErrorPart(
            error.code,
            utf8(error.message),
            _utf8(error.hint),
            _utf8(partial or None),
        ),
        citations=[],
        coverage=None,
        plan=plan_part(plan) if plan else None,
        model=_utf8(model),
        engine=_utf8(engine),
        usage=None,
        timings=timings or TimingsPart(),
        warnings=[utf8(text) for text in warnings],
        exit_code=int(error.exit_code if exit_code is None else exit_code),
    )


def citation_part(citation: Citation) -> CitationPart:
    """One citation with its source's identity."""
    document = citation.document
    return CitationPart(
        marker=citation.marker,
        path=utf8(document.path),
        sha256=document.sha256,
        reader=document.reader,
        quote=utf8(citation.quote),
        status=citation.status.value,
        by=citation.by.value,
        support=citation.support.value,
        answer_chars=citation.answer_chars,
        location=location_part(citation.location),
    )


def location_part(location: Location) -> LocationPart:
    """Every field of a location, null where it does not apply; `lines` are those of a page or of the file."""
    labels = location.page_labels
    part = location.part_and_lines
    return LocationPart(
        pages=location.pages,
        page_labels=(utf8(labels[0]), utf8(labels[1])) if labels else None,
        lines=None if location.lines_of_part else location.lines,
        heading=[utf8(name) for name in location.heading] if location.heading else None,
        symbol=[utf8(name) for name in location.symbol] if location.symbol else None,
        paragraph=location.paragraph,
        part=utf8(part) if part is not None else None,
        cells=location.cells,
        box=location.box,
        estimated=location.estimated,
        chars=location.chars,
    )


def coverage_part(coverage: Coverage, unreadable: Iterable[SourceError] = ()) -> CoveragePart:
    """The receipt with its totals."""
    return CoveragePart(
        total_tokens=coverage.total_tokens,
        read_tokens=coverage.read_tokens,
        counts="exact" if coverage.exact else "estimated",
        read=[ReadRow(utf8(row.path), row.chars, row.tokens) for row in coverage.read],
        omitted=[_omitted(row) for row in coverage.omitted],
        unreadable=[UnreadableRow(utf8(one.path), one.code, utf8(one.why)) for one in unreadable],
    )


def _omitted(row: CoverageRow) -> OmittedRow:
    return OmittedRow(utf8(row.path), row.chars, row.tokens, utf8(row.reason or "not read"))


def usage_part(usage: Usage | None) -> UsagePart | None:
    """The engine's count, or None where no engine was asked or it did not tell."""
    if usage is None or not usage.known:
        return None
    return UsagePart(usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens)


def encode(record: object, *, indent: int = 0) -> bytes:
    """`record` as UTF-8 JSON, one line unless `indent` says otherwise; no newline at the end."""
    line = msgspec.json.encode(record, enc_hook=_plain)
    return msgspec.json.format(line, indent=indent) if indent else line


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of an `AnswerRecord`."""
    return schema_of(AnswerRecord, "An answer of lctx")


def _plain(value: object) -> str:
    if isinstance(value, Path):
        return utf8(str(value))
    raise TypeError(f"a {type(value).__name__} in a record")


def _utf8(text: str | None) -> str | None:
    return None if text is None else utf8(text)
