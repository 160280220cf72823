"""A model's profile: what must be known of it before a single token is planned."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path


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
        num_layers: Decoder layers in all.
        num_kv_heads: K and V heads of a layer.
        head_dim: Values in one head.
        sliding_window: Tokens that a sliding layer keeps, or None where every layer is full.
        num_sliding_layers: How many of the layers slide.
    """

    num_layers: int
    num_kv_heads: int
    head_dim: int
    sliding_window: int | None = None
    num_sliding_layers: int = 0


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
