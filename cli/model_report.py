"""Models for people: a row each, or everything about one."""

from collections.abc import Iterator, Sequence

from lctx.cli.compare_report import comparison_report
from lctx.cli.model_record import LayerRow, ModelRow, ShowRecord
from lctx.cli.output import Sink
from lctx.cli.report import Piece, Table, first_that_fits
from lctx.core.planning.comparison import Comparison
from lctx.core.planning.memory import format_bytes

_BILLION, _MILLION = 1e9, 1e6
_WHOLE = 0.9995  # what three digits would round up to a thousand millions
_LEGEND = "weights in all (and met by one token); KV: bytes that one more token takes in bf16"


def models_report(rows: Sequence[ModelRow], sink: Sink) -> list[Piece]:
    """The list, as wide as `sink` is."""
    whole = Table(
        ("model", "where", "layers", "weights", "native", "effective", "by", "KV", "licence"),
        [
            (
                row.name,
                _place(row),
                layers_of(row),
                _weights(row),
                f"{row.native_window:,}",
                f"{row.effective_window.tokens:,}",
                row.effective_window.kind,
                _number(row.kv_bytes_per_token),
                row.licence,
            )
            for row in rows
        ],
        frozenset({3, 4, 5, 7}),
    )
    short = Table(
        ("model", "weights", "native", "effective", "KV"),
        [
            (
                row.name,
                _weights(row),
                f"{row.native_window:,}",
                f"{row.effective_window.tokens:,}",
                _number(row.kv_bytes_per_token),
            )
            for row in rows
        ],
        frozenset({1, 2, 3, 4}),
    )
    return list(first_that_fits(sink, [whole, _LEGEND], [short, _LEGEND]))


def model_report(record: ShowRecord, rows: Sequence[Comparison], sink: Sink) -> list[Piece]:
    """Everything about one model."""
    layers = Table(
        ("layers", "number", "KV heads", "K", "V", "reach", "state"),
        [_layer_cells(row) for row in record.model.layers],
        frozenset({1, 2, 3, 4, 5, 6}),
    )
    cache = Table(
        ("tokens", "dtype", "KV cache"),
        [(f"{row.tokens:,}", row.dtype, format_bytes(row.bytes)) for row in record.kv],
        frozenset({0, 2}),
    )
    pieces: list[Piece] = [*_lines(record)]
    if record.model.layers:
        pieces += [layers, cache]
    title = "on a device: the largest window that fits, up to the model's own"
    return [*pieces, *comparison_report(title, rows, sink)]


def layers_of(row: ModelRow) -> str:
    """The kinds of layers in a few words: "12 full, 36 state"."""
    kinds: dict[str, int] = {}
    for layer in row.layers:
        kinds[layer.kind] = kinds.get(layer.kind, 0) + layer.num_layers
    return ", ".join(f"{number} {kind}" for kind, number in kinds.items()) or "not known"


def _lines(record: ShowRecord) -> Iterator[str]:
    model = record.model
    yield f"{model.name}: {_place(model)}"
    yield f"origin: {model.origin}"
    yield f"licence: {model.licence}"
    if model.path:
        yield f"path: {model.path}"
    yield f"numbers from: {model.source}"
    yield f"weights: {_weights_in_words(model)}"
    if model.weight_bytes is not None:
        kept = f" in {model.quantization}" if model.quantization else ""
        yield f"bytes of weights: {format_bytes(model.weight_bytes)}{kept}"
    yield f"layers: {layers_of(model)}"
    yield f"rope: {_rope(record)}"
    yield f"native window: {model.native_window:,}"
    effective = model.effective_window
    yield f"effective window: {effective.tokens:,}, {effective.kind} ({effective.source})"
    yield f"may be asked: {', '.join(record.capabilities)} ({record.capabilities_from})"
    yield f"prompt: {record.style}"
    if model.kv_bytes_per_token is not None:
        yield f"KV cache: {model.kv_bytes_per_token:,} bytes that one more token takes in bf16"


def _rope(record: ShowRecord) -> str:
    rope = record.rope
    if rope is None:
        return "not known"
    scaled = "" if rope.factor == 1 else f" x{rope.factor:g}"
    told = f"{rope.kind}{scaled}, trained for {rope.trained:,}, reaches {rope.reach:,}"
    return f"{told}; not to be stretched: {rope.obstacle}" if rope.obstacle else told


def _place(row: ModelRow) -> str:
    return f"{row.place}, running" if row.running else row.place


def _weights(row: ModelRow) -> str:
    total = row.parameters.published_total or row.parameters.total
    active = row.parameters.published_active
    if total is None:
        return "?"
    return _short(total) if active is None else f"{_short(total)} ({_short(active)})"


def _weights_in_words(row: ModelRow) -> str:
    count = row.parameters
    if count.total is None:
        return f"{_short(count.published_total)} as published" if count.published_total else "not known"
    told = f"{count.total:,}"
    if count.active is not None and count.active != count.total:
        told += f", of which one token meets {count.active:,}"
    if count.published_total is not None:
        met = f" ({_short(count.published_active)} met)" if count.published_active else ""
        told += f"; published as {_short(count.published_total)}{met}"
    return told


def _short(number: int) -> str:
    billions = number / _BILLION
    return f"{billions:.4g}B" if billions >= _WHOLE else f"{number / _MILLION:.3g}M"


def _number(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _layer_cells(row: LayerRow) -> tuple[str, ...]:
    return (
        row.kind,
        f"{row.num_layers:,}",
        _or_dash(row.num_kv_heads),
        _or_dash(row.key_dim),
        _or_dash(row.value_dim),
        _or_dash(row.reach),
        format_bytes(row.state_bytes) if row.state_bytes is not None else "-",
    )


def _or_dash(number: int | None) -> str:
    return f"{number:,}" if number else "-"
