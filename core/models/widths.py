"""The widths of a model: how many values a token takes in each part of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lctx.core.models.gguf import GgufHeader
from lctx.core.models.layers_config import whole
from lctx.core.models.states import state_from_config

_MAX_WIDTH = 1 << 40


@dataclass(frozen=True, slots=True)
class ActivationWidths:
    """How many values a token takes in each part of a model.

    Attributes:
        hidden: In the stream between blocks.
        vocabulary: In the logits.
        feed_forward: In the widest dense feed-forward block.
        query: In the queries of all heads.
        key_value: In the keys and values of all heads.
        num_heads: Query heads.
        num_experts: Experts that the router chooses among; 0 for a dense model.
        experts_per_token: Experts that a token meets.
        expert_feed_forward: In one expert.
        shared_feed_forward: In the experts that every token meets besides.
        latent: In the latent that MLA keeps of a token; 0 without MLA.
        context: In the keys and values of all heads that a latent is expanded to; 0 without MLA.
        state: In the convolution of linear-attention or Mamba layers; 0 without them.
        replicated: Weights of all layers that every GPU holds whole: norms, routers, MLA's projections down.
    """

    hidden: int
    vocabulary: int
    feed_forward: int
    query: int
    key_value: int
    num_heads: int
    num_experts: int = 0
    experts_per_token: int = 0
    expert_feed_forward: int = 0
    shared_feed_forward: int = 0
    latent: int = 0
    context: int = 0
    state: int = 0
    replicated: int = 0


def widths_from_config(config: Mapping[str, Any]) -> ActivationWidths | None:
    """The widths that a config.json's text model has, or None where it does not say enough."""
    hidden, vocabulary = whole(config, "hidden_size"), whole(config, "vocab_size")
    heads, layers = whole(config, "num_attention_heads"), whole(config, "num_hidden_layers")
    per_token = _first(config, "num_experts_per_tok", "num_experts_per_token", "moe_top_k", "moe_topk")
    experts = _first(config, "num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
    inner = _first(config, "intermediate_size", "ffn_hidden_size") or 0
    if not hidden or not vocabulary or not heads or not layers or not (inner or experts):
        return None
    if not per_token:
        experts = 0  # a dense model may name its only expert
    expert_inner = (_first(config, "moe_intermediate_size", "expert_ffn_hidden_size") or inner) * bool(
        experts
    )
    shared = _first(config, "shared_expert_intermediate_size") or expert_inner * (
        _first(config, "n_shared_experts", "num_shared_experts") or 0
    )
    head_dim = whole(config, "head_dim") or hidden // heads
    query, key_value = heads * head_dim, 2 * (whole(config, "num_key_value_heads") or heads) * head_dim
    latent = context = down = 0
    if rank := whole(config, "kv_lora_rank"):
        nope, rotary = whole(config, "qk_nope_head_dim") or head_dim, whole(config, "qk_rope_head_dim") or 0
        value = whole(config, "v_head_dim") or nope
        latent, context = rank + rotary, heads * (nope + value)
        query, key_value = heads * (nope + rotary), heads * (nope + rotary + value)
        down = latent + (whole(config, "q_lora_rank") or 0)
    state = state_from_config(config)
    return _sane(
        hidden,
        vocabulary,
        max(inner, whole(config, "intermediate_size_mlp") or 0),
        query,
        key_value,
        heads,
        num_experts=experts or 0,
        experts_per_token=per_token or 0,
        expert_feed_forward=expert_inner,
        shared_feed_forward=shared,
        latent=latent,
        context=context,
        state=state.channels + state.num_groups * state.group_channels if state else 0,
        replicated=layers * hidden * (2 + (experts or 0) + down),
    )


def widths_from_gguf(header: GgufHeader) -> ActivationWidths | None:
    """The widths that a GGUF header gives, or None where it does not say enough."""
    prefix = f"{header.architecture}."

    def most(key: str) -> int:
        return max(0, *(header.integers(prefix + key) or ()), 0)

    tokens = header.strings("tokenizer.ggml.tokens")
    hidden, heads, inner = most("embedding_length"), most("attention.head_count"), most("feed_forward_length")
    vocabulary = most("vocab_size") or (len(tokens) if tokens else 0)
    experts = most("expert_count")
    if min(hidden, heads, vocabulary) < 1 or not (inner or experts):
        return None
    key = most("attention.key_length") or hidden // heads
    value = most("attention.value_length") or key
    rank = most("attention.kv_lora_rank")
    kv_heads = most("attention.head_count_kv") or heads
    expert_inner = (most("expert_feed_forward_length") or inner) if experts else 0
    shared = most("expert_shared_feed_forward_length") or expert_inner * most("expert_shared_count")
    latent = rank + most("rope.dimension_count") if rank else 0
    return _sane(
        hidden,
        vocabulary,
        inner,
        heads * (most("attention.key_length_mla") or key),
        kv_heads * (key + value),
        heads,
        num_experts=experts,
        experts_per_token=most("expert_used_count"),
        expert_feed_forward=expert_inner,
        shared_feed_forward=shared,
        latent=latent,
        context=heads * (most("attention.key_length_mla") + most("attention.value_length_mla"))
        if rank
        else 0,
        state=most("ssm.inner_size"),
    )


def _sane(*widths: int, **more: int) -> ActivationWidths | None:
    """The widths, or None where one of them is beyond any model: damaged or hostile files."""
    if max(*widths, *more.values()) > _MAX_WIDTH:
        return None
    return ActivationWidths(*widths, **more)


def _first(config: Mapping[str, Any], *keys: str) -> int | None:
    """The first of the positive whole numbers under `keys`, or None."""
    return next((value for key in keys if (value := whole(config, key))), None)
