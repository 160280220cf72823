"""A comparison for people: one table where it fits, else a table for each device or a list for each pair."""

from collections.abc import Iterator, Sequence

from lctx.cli.durations import short_duration
from lctx.cli.output import Sink
from lctx.cli.report import Piece, Table, first_that_fits
from lctx.core.planning.comparison import Comparison
from lctx.core.planning.memory import format_bytes

_FIGURES = ("fits", "largest", "weights", "KV cache", "first", "tok/s")
_RIGHT = frozenset({1, 2, 3, 4, 5})  # of the figures


def comparison_report(title: str, rows: Sequence[Comparison], sink: Sink) -> list[Piece]:
    """Everything that a comparison says, as wide as `sink` is."""
    head: list[Piece] = [title, *_legend(rows)]
    tail: list[Piece] = [*_bases(rows)]
    whole = [*head, _whole(rows), *tail, *_warnings(rows)]
    return list(first_that_fits(sink, whole, [*head, *_by_device(rows), *tail, *_warnings(rows)]))


def _legend(rows: Sequence[Comparison]) -> Iterator[str]:
    several = any(row.candidate.hardware.device.count > 1 for row in rows)
    if not all(row.fits for row in rows):
        yield "where it does not fit, KV cache and times are those of the largest window that does"
    yield "first: time to the first token of a prompt that long" + (
        "; bytes are those of one card" if several else ""
    )
    if not all(row.candidate.exact for row in rows):
        from lctx.core.tokens.estimate import ESTIMATE_ERROR

        yield f"counts with ~ are estimated: {ESTIMATE_ERROR}"


def _whole(rows: Sequence[Comparison]) -> Table:
    priced = any(row.price is not None for row in rows)
    head = ("model", "device", *_FIGURES, *(("price",) if priced else ()), "rope", "limited by")
    right = {2 + column for column in _RIGHT} | ({2 + len(_FIGURES)} if priced else set())
    cells = [
        (
            row.candidate.profile.name,
            row.candidate.hardware.device.label,
            *_figures(row),
            *((_price(row),) if priced else ()),
            _rope(row),
            row.why,
        )
        for row in rows
    ]
    return Table(head, cells, frozenset(right))


def _by_device(rows: Sequence[Comparison]) -> Iterator[Piece]:
    """For each device the figures, and beneath them what limits each model."""
    devices = dict.fromkeys(row.candidate.hardware.device.label for row in rows)
    for device in devices:
        here = [row for row in rows if row.candidate.hardware.device.label == device]
        yield ""
        yield f"on {device}"
        cells = [(row.candidate.profile.name, *_figures(row)) for row in here]
        yield Table(("model", *_FIGURES), cells, frozenset(1 + column for column in _RIGHT))
        for row in here:
            price = f", price {_price(row)}" if row.price is not None else ""
            yield f"{row.candidate.profile.name}: rope {_rope(row)}{price}; {row.why}"


def _figures(row: Comparison) -> tuple[str, ...]:
    return (
        "yes" if row.fits else "no",
        f"{row.largest_window:,}" if row.largest_window else "-",
        _bytes(row.weight_bytes),
        _bytes(row.kv_bytes),
        _seconds(row.first_token_s),
        "-" if row.tokens_per_s is None else f"{row.tokens_per_s:.{0 if row.tokens_per_s >= 10 else 1}f}",  # noqa: PLR2004
    )


def _rope(row: Comparison) -> str:
    if not row.is_in_reach or not row.window:
        return "-"
    return row.rope or "its own"


def _price(row: Comparison) -> str:
    return "-" if row.price is None else f"{row.price:.4f}"


def _bytes(num_bytes: int | None) -> str:
    return "-" if num_bytes is None else format_bytes(num_bytes)


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.2f} s" if seconds < 10 else short_duration(seconds)  # noqa: PLR2004 - two digits tell


def _bases(rows: Sequence[Comparison]) -> Iterator[str]:
    """Where the rates come from, once for each device."""
    told = {(row.candidate.hardware.device.label, row.basis): None for row in rows if row.basis}
    for device, basis in told:
        yield f"times on {device}: {basis}"


def _warnings(rows: Sequence[Comparison]) -> Iterator[str]:
    told = {(row.candidate.profile.name, text): None for row in rows for text in row.warnings}
    for name, text in told:
        yield f"{name}: {text}"
