"""A model's profile: what must be known of it before a single token is planned."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from lctx.core.models.compute import ComputeShape
from lctx.core.models.layers import LayerGroup, LayerKind
from lctx.core.models.reasoning import ReasoningMarkers
from lctx.core.models.rope import RopeConfig
from lctx.core.models.widths import ActivationWidths

UNMEASURED = "a cautious default: nobody measured it"
"""Where an effective window comes from that nobody measured or published."""


class Capability(Enum):
    """A kind of question that a model was measured to answer."""

    LOOKUP = "lookup"
    LIST = "list"
    SUMMARY = "summary"
    COMPARE = "compare"
    REVIEW = "review"


class PromptStyle(Enum):
    """How a model wants to be asked."""

    CHAT = "chat"
    """Messages through the model's own chat template."""
    COMPLETION = "completion"
    """Worked examples and an open line to complete: a base model."""


@dataclass(frozen=True, slots=True)
class AttentionShape:
    """What decides how many bytes a token costs in the KV cache.

    Attributes:
        layers: Every layer that keeps something, those that keep the same together.
    """

    layers: tuple[LayerGroup, ...]

    @classmethod
    def uniform(
        cls,
        num_layers: int,
        num_kv_heads: int,
        head_dim: int,
        sliding_window: int | None = None,
        num_sliding_layers: int = 0,
    ) -> "AttentionShape":
        """The shape of layers that have the same heads, `num_sliding_layers` of them with a window."""
        heads = (num_kv_heads, head_dim, head_dim)
        num_sliding = num_sliding_layers if sliding_window else 0
        groups = (
            LayerGroup(LayerKind.FULL, num_layers - num_sliding, *heads),
            LayerGroup(LayerKind.SLIDING, num_sliding, *heads, reach=sliding_window),
        )
        return cls(tuple(group for group in groups if group.num_layers))


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """What a model is.

    Attributes:
        name: What the user calls it, and what answers report.
        path: The GGUF file or Hugging Face directory, or None for a model that lives behind an address.
        origin: Where the weights come from, one line.
        licence: The terms of the weights.
        native_window: Tokens that the model was trained to attend over.
        effective_window: Tokens up to which it was measured to answer; the planner's ceiling for `full`.
        style: How it wants to be asked.
        capabilities: Kinds of question it was measured to answer.
        shape: For KV-cache bytes, or None where it is not known.
        add_bos: Whether its tokenizer puts a begin-of-sequence id first.
        cites: Whether it was measured to cite the ids that it is given.
        effective_source: Where the effective window comes from, one clause.
        rope: What its files say of its positions, or None where they are not at hand.
        compute: For the FLOPs of prefill and decode, or None where it is not known.
        widths: For what a step computes with, or None where they are not known.
        weight_bytes: Bytes of the weights as stored, or as they would be; None where that is not known.
        active_bytes: Of these, what is read to write one token, or None.
        quantization: What the weights are kept as, as vLLM and GGUF name it, or None.
        source: Where its numbers were read: "its own files", or a card's source.
        aliases: Other names of the same weights, under which somebody may have measured them.
        reasoning: How it marks what it says to itself before it answers; None where it does not.
        fingerprint: Of its weights and the rope that they are served with; None where that is not known.
    """

    name: str
    path: Path | None
    origin: str
    licence: str
    native_window: int
    effective_window: int
    style: PromptStyle
    capabilities: frozenset[Capability]
    shape: AttentionShape | None = None
    add_bos: bool = False
    cites: bool = False
    effective_source: str = UNMEASURED
    rope: RopeConfig | None = None
    compute: ComputeShape | None = None
    widths: ActivationWidths | None = None
    weight_bytes: int | None = None
    active_bytes: int | None = None
    quantization: str | None = None
    source: str = "its own files"
    aliases: tuple[str, ...] = ()
    fingerprint: str | None = None
    reasoning: ReasoningMarkers | None = None
