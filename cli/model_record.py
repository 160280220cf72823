"""What `lctx models ls` and `show` print with `--format json`: a public contract."""

from typing import TYPE_CHECKING

import msgspec

from lctx.cli.compare_record import CompareRow
from lctx.core.answering.wire import ErrorPart
from lctx.core.answering.wire_plan import utf8
from lctx.core.models import embedded
from lctx.core.models.layers import LayerGroup
from lctx.core.models.profile import UNMEASURED, Capability, ModelProfile
from lctx.core.planning.kv_cache import KvDtype, growth_bytes, kv_cache_bytes, state_bytes

if TYPE_CHECKING:
    from lctx.core.models.cards import ModelCard

SHOWN_WINDOWS = (131_072, 1_048_576)
"""Tokens for which the bytes of the KV cache are shown: 128K and 1M."""

# What the sources of measured windows begin with: of the user's own, and of the embedded model's.
_MEASURED = ("measured on this machine", embedded.EMBEDDED_EFFECTIVE_SOURCE)


class LayerRow(msgspec.Struct, frozen=True):
    """Layers that keep the same; `state_bytes` of one layer in bf16, null where it keeps tokens."""

    kind: str
    num_layers: int
    num_kv_heads: int
    key_dim: int
    value_dim: int
    reach: int | None
    rope_dim: int
    index_bytes: int
    state_bytes: int | None


class ParametersRow(msgspec.Struct, frozen=True):
    """Weights in numbers: counted from the files or the config.json, and as the maker states them."""

    total: int | None
    active: int | None
    published_total: int | None
    published_active: int | None


class EffectiveRow(msgspec.Struct, frozen=True):
    """Tokens up to which a model answers; `kind` is measured, published or default."""

    tokens: int
    kind: str
    source: str


class ModelRow(msgspec.Struct, frozen=True):
    """One model; `place` is embedded, file or card."""

    name: str
    place: str
    running: bool
    path: str | None
    origin: str
    licence: str
    source: str
    layers: list[LayerRow]
    parameters: ParametersRow
    native_window: int
    effective_window: EffectiveRow
    kv_bytes_per_token: int | None
    weight_bytes: int | None
    quantization: str | None


class ModelsRecord(msgspec.Struct, frozen=True):
    """What `lctx models ls` prints; `problems` are files that could not be read."""

    schema_version: int
    models: list[ModelRow]
    problems: list[ErrorPart]
    exit_code: int


class RopeRow(msgspec.Struct, frozen=True):
    """What the files say of the positions; `obstacle` is why nothing may stretch them, or null."""

    kind: str
    trained: int
    reach: int
    factor: float
    theta: float | None
    obstacle: str | None


class KvRow(msgspec.Struct, frozen=True):
    """Bytes of KV cache, over all cards together."""

    tokens: int
    dtype: str
    bytes: int


class ShowRecord(msgspec.Struct, frozen=True):
    """What `lctx models show` prints."""

    schema_version: int
    model: ModelRow
    capabilities: list[str]
    capabilities_from: str
    style: str
    rope: RopeRow | None
    kv: list[KvRow]
    devices: list[CompareRow]
    warnings: list[str]
    exit_code: int


def model_row(
    profile: ModelProfile, *, card: "ModelCard | None" = None, place: str, running: bool = False
) -> ModelRow:
    """One model as the contract has it.

    Args:
        profile: The model's.
        card: The card that the profile was made from, or None.
        place: "embedded", "file" or "card".
        running: Whether lctx keeps an engine with it warm.
    """
    count, shape = profile.compute.parameters if profile.compute else None, profile.shape
    return ModelRow(
        name=utf8(profile.name),
        place=place,
        running=running,
        path=utf8(str(profile.path)) if profile.path else None,
        origin=utf8(profile.origin),
        licence=utf8(profile.licence),
        source=utf8(profile.source),
        layers=[layer_row(group) for group in shape.layers] if shape else [],
        parameters=ParametersRow(
            total=count.total if count else None,
            active=count.active + (count.head or count.embedding) if count else None,
            published_total=card.parameters_published if card else None,
            published_active=card.active_published if card else None,
        ),
        native_window=profile.native_window,
        effective_window=effective_row(profile),
        kv_bytes_per_token=growth_bytes(shape) if shape else None,
        weight_bytes=profile.weight_bytes,
        quantization=profile.quantization,
    )


def effective_row(profile: ModelProfile) -> EffectiveRow:
    """The length up to which the model answers, and who says so."""
    source = profile.effective_source
    kind = "default" if source == UNMEASURED else "measured" if source.startswith(_MEASURED) else "published"
    return EffectiveRow(profile.effective_window, kind, utf8(source))


def layer_row(group: LayerGroup) -> LayerRow:
    """A group of layers as the contract has it."""
    return LayerRow(
        kind=group.kind.value,
        num_layers=group.num_layers,
        num_kv_heads=group.num_kv_heads,
        key_dim=group.key_dim,
        value_dim=group.value_dim,
        reach=group.reach,
        rope_dim=group.rope_dim,
        index_bytes=group.index_bytes,
        state_bytes=state_bytes(group.state, KvDtype.BF16) if group.state else None,
    )


def rope_row(profile: ModelProfile) -> RopeRow | None:
    """The rope as the contract has it, or None where it is not known."""
    rope = profile.rope
    if rope is None:
        return None
    return RopeRow(rope.kind.value, rope.trained, rope.window, rope.factor, rope.theta, rope.obstacle)


def kv_rows(profile: ModelProfile) -> list[KvRow]:
    """Bytes of KV cache at each shown window, in bf16 and in fp8."""
    shape = profile.shape
    if shape is None:
        return []
    return [
        KvRow(tokens, dtype.value, kv_cache_bytes(shape, tokens, dtype))
        for tokens in SHOWN_WINDOWS
        for dtype in (KvDtype.BF16, KvDtype.FP8)
    ]


def capabilities_from(profile: ModelProfile) -> str:
    """Where it comes from what the model may be asked."""
    if profile.name == embedded.EMBEDDED_NAME:
        return "measured: docs/benchmarks/ntsb.md"
    if profile.capabilities == frozenset(Capability):
        return "by family: what its makers say, not measured"
    return "a cautious default: nobody measured it"
