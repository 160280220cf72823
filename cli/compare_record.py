"""What `lctx plan --compare` and `lctx models fit` print with `--format json`: a public contract."""

import msgspec

from lctx.core.answering.wire import SCHEMA_VERSION, ErrorPart
from lctx.core.answering.wire_plan import utf8
from lctx.core.errors import ExitCode, LctxError
from lctx.core.planning.comparison import Comparison


class CompareRow(msgspec.Struct, frozen=True):
    """A model on a device; bytes are those of one card, figures those of `window`."""

    model: str
    device: str
    device_source: str
    engine: str
    wanted_window: int
    counts: str
    fits: bool
    window: int
    largest_window: int
    limit: str
    why: str
    rope: str | None
    is_in_reach: bool
    kv_dtype: str | None
    weight_bytes: int | None
    kv_bytes: int | None
    first_token_s: float | None
    tokens_per_s: float | None
    price: float | None
    basis: str | None
    warnings: list[str]


class CompareRecord(msgspec.Struct, frozen=True):
    """All pairs, models in the order in which they were named, each on every device."""

    schema_version: int
    rows: list[CompareRow]
    error: ErrorPart | None
    warnings: list[str]
    exit_code: int


def record_of_comparison(
    rows: list[Comparison], error: LctxError | None, warnings: list[str], code: ExitCode
) -> CompareRecord:
    """The contract's object of a comparison."""
    return CompareRecord(
        schema_version=SCHEMA_VERSION,
        rows=[compare_row(row) for row in rows],
        error=ErrorPart(error.code, utf8(error.message), error.hint and utf8(error.hint)) if error else None,
        warnings=[utf8(text) for text in warnings],
        exit_code=int(code),
    )


def compare_row(row: Comparison) -> CompareRow:
    """One pair as the contract has it."""
    candidate = row.candidate
    return CompareRow(
        model=utf8(candidate.profile.name),
        device=candidate.hardware.device.label,
        device_source=candidate.hardware.device.source,
        engine=candidate.hardware.engine,
        wanted_window=candidate.window,
        counts="exact" if candidate.exact else "estimated",
        fits=row.fits,
        window=row.window,
        largest_window=row.largest_window,
        limit=row.limit.value,
        why=utf8(row.why),
        rope=row.rope,
        is_in_reach=row.is_in_reach,
        kv_dtype=row.kv_dtype.value if row.kv_dtype else None,
        weight_bytes=row.weight_bytes,
        kv_bytes=row.kv_bytes,
        first_token_s=_rounded(row.first_token_s),
        tokens_per_s=_rounded(row.tokens_per_s),
        price=None if row.price is None else round(row.price, 6),
        basis=row.basis,
        warnings=list(row.warnings),
    )


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 3)
