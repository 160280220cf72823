"""How many weights a model has: all of them, those that one token meets, and the tables at both ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lctx.core.models.feed_forward import feed_forward_weights
from lctx.core.models.gguf import GgufHeader
from lctx.core.models.layers_config import layers_from_config, whole, with_defaults
from lctx.core.models.mixer_weights import LayerWeights, mixer_weights

# Norms of a layer, where they are not two.
_NORMS = {"gemma2": 4, "gemma3": 4, "gemma3_text": 4, "glm4": 4, "nemotron_h": 1}
# Keys of layers with maps that are not counted here: experts in a space of their own, a gate behind latents.
_UNCOUNTED = ("routed_expert_hidden_size", "mla_use_output_gate")
# Families whose config.json says nothing of its tables where they are one.
_TIED = ("gemma", "cohere")


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """Weights of the text decoder in numbers, not bytes: no vision tower, no layers for further tokens.

    Attributes:
        total: All of them, both tables included.
        active: Weights of the layers that one token is multiplied with, without the tables; of routed
            experts those that it meets.
        embedding: The input table.
        head: The output table; 0 where the two are one.
        routed: Of `total`, the weights of all routed experts.
        kept: Of `total`, norms, biases, convolutions and routers: what a quantised checkpoint leaves wide.
    """

    total: int
    active: int
    embedding: int
    head: int
    routed: int = 0
    kept: int = 0


def count_parameters(config: Mapping[str, Any]) -> ParameterCount | None:
    """The weights of a model of this config.json, or None where it does not say enough.

    Exact for the families whose layers lctx knows by name; of others the norms and biases are those of Llama.

    Source:
        transformers 5.19, models/*/modeling_*.py.
    """
    config = with_defaults(config)
    groups = layers_from_config(config)
    num_layers, hidden, vocabulary = (
        whole(config, key) for key in ("num_hidden_layers", "hidden_size", "vocab_size")
    )
    if groups is None or not num_layers or not hidden or not vocabulary:
        return None
    if any(config.get(key) for key in _UNCOUNTED):
        return None
    layers = feed_forward_weights(config, num_layers)
    if layers is None:
        return None
    for group in groups:
        mixers = mixer_weights(config, group)
        if mixers is None:
            return None
        layers += mixers
    family = str(config.get("model_type"))
    layers += LayerWeights(kept=hidden * (num_layers * _NORMS.get(family, 2) + 1))
    is_tied = config.get("tie_word_embeddings", family.startswith(_TIED))
    return _counted(layers, vocabulary * hidden, 0 if is_tied else vocabulary * hidden)


def parameters_from_gguf(header: GgufHeader) -> ParameterCount | None:
    """The weights of a GGUF file as its tensors add up, or None where it has no input table.

    The bands of a scaled rope, which some files hold as a tensor, are counted with the layers.
    """
    total, routed = header.num_parameters, header.num_routed
    layers = total - header.num_embedding - header.num_head
    if not header.num_embedding or layers <= 0:
        return None
    num_experts = header.integer(f"{header.architecture}.expert_count") or 0
    num_met = header.integer(f"{header.architecture}.expert_used_count") or 0
    if routed and not 0 < num_met <= num_experts:
        return None
    met = routed * num_met // num_experts if routed else 0
    return ParameterCount(
        total,
        layers - routed + met,
        header.num_embedding,
        header.num_head,
        routed,
        header.num_vectors,
    )


def _counted(layers: LayerWeights, embedding: int, head: int) -> ParameterCount:
    wide = layers.matrices + layers.kept
    return ParameterCount(
        total=wide + layers.routed + embedding + head,
        active=wide + layers.met,
        embedding=embedding,
        head=head,
        routed=layers.routed,
        kept=layers.kept,
    )
