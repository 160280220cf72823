"""Weights of the feed-forward part of the layers: dense ones, and experts among which a router chooses.

Source of every count: transformers 5.19, models/*/modeling_*.py, the parameters of each class.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lctx.core.models.layers_config import whole
from lctx.core.models.mixer_weights import LayerWeights

# Families whose feed-forward layers have an up and a down projection, and no gate.
_UNGATED = frozenset(("nemotron", "nemotron_h"))


@dataclass(frozen=True, slots=True)
class ExpertShape:
    """What a layer of experts is made of.

    Attributes:
        num_experts: Experts among which the router chooses.
        num_met: Of these, how many a token meets.
        inner: Width inside one expert.
        shared: Width inside the expert that every token meets, 0 where there is none.
    """

    num_experts: int
    num_met: int
    inner: int
    shared: int


def feed_forward_weights(config: Mapping[str, Any], num_layers: int) -> LayerWeights | None:
    """The feed-forward weights of all layers together, or None where a size is not given."""
    hidden, experts = whole(config, "hidden_size") or 0, expert_shape(config)
    counted = _num_dense_and_sparse(config, num_layers)
    if counted is None or (counted[1] and experts is None):
        return None
    num_dense, num_sparse = counted
    inner = _dense_inner(config)
    if num_dense and not inner:
        return None
    weights = _dense(config, hidden, inner) * num_dense
    return weights + _sparse(config, hidden, experts) * num_sparse if experts else weights


def expert_shape(config: Mapping[str, Any]) -> ExpertShape | None:
    """The experts of a config.json, or None where it has none, or too little of them."""
    num_experts = _first(config, "num_experts", "num_local_experts", "n_routed_experts")
    num_met = _first(config, "num_experts_per_tok", "num_experts_per_token")
    inner = _first(config, "moe_intermediate_size", "intermediate_size")
    if not num_experts or num_experts == 1 or not num_met or not inner:
        return None
    shared = _first(
        config,
        "shared_expert_intermediate_size",
        "moe_shared_expert_intermediate_size",
        "shared_intermediate_size",
    )
    shared = shared or _first(config, "n_shared_experts", "num_shared_experts") * inner
    if str(config.get("model_type")).startswith("llama4"):
        shared = inner
    return ExpertShape(num_experts, min(num_met, num_experts), inner, shared)


def _first(config: Mapping[str, Any], *keys: str) -> int:
    return next((size for key in keys if (size := whole(config, key))), 0)


def _dense_inner(config: Mapping[str, Any]) -> int:
    family = str(config.get("model_type"))
    if family.startswith("llama4"):
        return _first(config, "intermediate_size_mlp", "intermediate_size")
    # Granite's experts have the usual name, and what stands beside them another.
    own = "shared_intermediate_size" if family == "granitemoehybrid" else "intermediate_size"
    return _first(config, own)


def _num_dense_and_sparse(config: Mapping[str, Any], num_layers: int) -> tuple[int, int] | None:
    """How many layers have a dense feed-forward part, and how many have experts."""
    pattern = config.get("hybrid_override_pattern")
    if isinstance(pattern, str):
        return pattern.count("-"), pattern.count("E")
    blocks = config.get("layers_block_type")
    if isinstance(blocks, list) and {"moe", "mlp"} & {one for one in blocks if isinstance(one, str)}:
        return blocks.count("mlp"), blocks.count("moe")
    if expert_shape(config) is None:
        # A single expert is a dense layer; experts that cannot be counted are none.
        has_experts = _first(config, "num_experts", "num_local_experts", "n_routed_experts") > 1
        return None if has_experts else (num_layers, 0)
    num_sparse = _num_sparse(config, num_layers)
    return num_layers - num_sparse, num_sparse


def _num_sparse(config: Mapping[str, Any], num_layers: int) -> int:
    named, listed, often = (config.get(key) for key in ("mlp_layer_types", "moe_layers", "moe_layer_freq"))
    if isinstance(named, list):
        return named[:num_layers].count("sparse")
    if isinstance(listed, list):
        return len({one for one in listed if isinstance(one, int) and 0 <= one < num_layers})
    if isinstance(often, list):
        return sum(map(bool, often[:num_layers]))
    dense = config.get("mlp_only_layers")
    dense = {one for one in dense if isinstance(one, int)} if isinstance(dense, list) else set()
    step = _first(config, "interleave_moe_layer_step", "decoder_sparse_step") or 1
    period, offset = whole(config, "expert_layer_period") or 1, whole(config, "expert_layer_offset") or 0
    return sum(
        layer not in dense
        and (layer + 1) % step == 0
        and layer % (whole(config, "moe_layer_freq") or 1) == 0
        and layer % period == offset % period
        for layer in range(whole(config, "first_k_dense_replace") or 0, num_layers)
    )


def _dense(config: Mapping[str, Any], hidden: int, inner: int) -> LayerWeights:
    num_up = 1 if str(config.get("model_type")) in _UNGATED else 2
    biases = num_up * inner + hidden if config.get("mlp_bias") else 0
    return LayerWeights((num_up + 1) * hidden * inner, biases)


def _sparse(config: Mapping[str, Any], hidden: int, experts: ExpertShape) -> LayerWeights:
    num_up = 1 if str(config.get("model_type")) in _UNGATED else 2
    outer = (
        whole(config, "moe_latent_size") or hidden
    )  # Nemotron 3 Super: the experts work in a narrower space
    each = (num_up + 1) * outer * experts.inner
    biases = 0
    if config.get("model_type") == "gpt_oss":
        each += num_up * experts.inner + hidden
        biases = experts.num_experts
    if "shared_expert_intermediate_size" in config and experts.shared:
        biases += hidden  # the gate in front of the shared expert
    weights = LayerWeights(
        2 * hidden * outer if outer != hidden else 0,
        experts.num_experts * hidden + biases,
        experts.num_experts * each,
        experts.num_met * each,
    )
    return weights + _dense(config, hidden, experts.shared) if experts.shared else weights
