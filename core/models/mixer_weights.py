"""Weights of the part of a layer that mixes tokens: attention, latents with their indexer, recurrent states.

Source of every count: transformers 5.19, models/*/modeling_*.py, the parameters of each class.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lctx.core.models.layers import LayerGroup, LayerKind
from lctx.core.models.layers_config import whole

# Families with a norm over each head's query and key, in every layer that attends.
_HEAD_NORMS = frozenset(
    (
        "gemma3",
        "gemma3_text",
        "qwen3",
        "qwen3_moe",
        "qwen3_next",
        "qwen3_5_text",
        "qwen3_5_moe_text",
        "qwen3_vl_text",
        "qwen3_vl_moe_text",
    )
)
# Families whose norms are as wide as all heads together.
_WIDE_NORMS = frozenset(("minimax_m2", "olmo2", "olmo3"))
# Families whose queries come with a gate of their own size.
_GATED = frozenset(("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"))
# Families with a bias on Q, K and V whatever the config.json says, and those without one on the output.
_BIASED = frozenset(("qwen2", "qwen2_moe", "qwen2_vl", "qwen2_vl_text", "qwen2_5_vl", "qwen2_5_vl_text"))
_PLAIN_OUTPUT = _BIASED | {"glm", "glm4", "glm4_moe"}


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """So many weights, by what becomes of them.

    Attributes:
        matrices: Of linear maps that every token is multiplied with.
        kept: Norms, biases, convolutions, routers: what a quantised checkpoint leaves wide.
        routed: Of all experts among which a router chooses.
        met: Of `routed`, those of the experts that one token meets.
    """

    matrices: int = 0
    kept: int = 0
    routed: int = 0
    met: int = 0

    def __add__(self, other: "LayerWeights") -> "LayerWeights":
        return LayerWeights(
            self.matrices + other.matrices,
            self.kept + other.kept,
            self.routed + other.routed,
            self.met + other.met,
        )

    def __mul__(self, times: int) -> "LayerWeights":
        return LayerWeights(self.matrices * times, self.kept * times, self.routed * times, self.met * times)


def mixer_weights(config: Mapping[str, Any], group: LayerGroup) -> LayerWeights | None:
    """The weights of all layers of `group`, norms around them apart, or None where a size is not given."""
    if group.kind is LayerKind.STATE:
        one = _state(config)
        return one * group.num_layers if one else None
    if group.kind is LayerKind.LATENT:
        return _latents(config, group)
    return _attention(config, group)


def num_indexers(config: Mapping[str, Any], num_layers: int) -> int:
    """How many of `num_layers` choose their own tokens; the others take over what the one before chose.

    Source:
        transformers 5.19, models/glm_moe_dsa/configuration_glm_moe_dsa.py, `indexer_types`.
    """
    named = config.get("indexer_types") or config.get("index_topk_pattern")
    if isinstance(named, str | list):
        return [one in ("F", "full") for one in named[:num_layers]].count(True)
    every = whole(config, "index_topk_freq") or 1
    offset = config.get("index_skip_topk_offset", 2)
    offset = offset if isinstance(offset, int) else 2
    return sum(max(layer - offset + 1, 0) % every == 0 for layer in range(num_layers))


def _sizes(config: Mapping[str, Any], *keys: str) -> tuple[int, ...] | None:
    found = tuple(size for key in keys if (size := whole(config, key)))
    return found if len(found) == len(keys) else None


def _attention(config: Mapping[str, Any], group: LayerGroup) -> LayerWeights | None:
    sizes = _sizes(config, "hidden_size", "num_attention_heads")
    if sizes is None:
        return None
    hidden, heads = sizes
    family = str(config.get("model_type"))
    query, key = heads * group.key_dim, group.num_kv_heads * group.key_dim
    value, mixed = group.num_kv_heads * group.value_dim, heads * group.value_dim
    asked = 2 * query if family in _GATED and config.get("attn_output_gate") is not False else query
    kept = 0
    if _has_bias(config, family):
        kept += asked + key + value + (0 if family in _PLAIN_OUTPUT else hidden)
    if family in _HEAD_NORMS or (family == "glm4_moe" and config.get("use_qk_norm")):
        kept += 2 * group.key_dim
    if family in _WIDE_NORMS and config.get("use_qk_norm") is not False:
        kept += query + key
    if family == "gpt_oss":  # a sink in each head
        kept += heads
    return LayerWeights(hidden * (asked + key + value + mixed), kept) * group.num_layers


def _has_bias(config: Mapping[str, Any], family: str) -> bool:
    if family in _BIASED:
        return family != "qwen2_moe" or config.get("qkv_bias") is not False
    return bool(config.get("attention_bias", family == "gpt_oss"))


def _latents(config: Mapping[str, Any], group: LayerGroup) -> LayerWeights | None:
    """Multi-head latent attention: Q through its own rank or whole, K and V through theirs."""
    sizes = _sizes(config, "hidden_size", "num_attention_heads", "kv_lora_rank", "v_head_dim")
    if sizes is None or not whole(config, "qk_nope_head_dim"):
        return None
    hidden, heads, rank, value_dim = sizes
    plain_dim, rope_dim = whole(config, "qk_nope_head_dim") or 0, group.rope_dim
    query_dim, query_rank = heads * (plain_dim + rope_dim), whole(config, "q_lora_rank") or 0
    matrices = query_rank * (hidden + query_dim) if query_rank else hidden * query_dim
    matrices += hidden * (rank + rope_dim) + rank * heads * (plain_dim + value_dim)
    matrices += heads * value_dim * hidden
    kept = query_rank + rank
    if config.get("attention_bias"):
        kept += query_rank + rank + rope_dim + hidden
    return LayerWeights(matrices, kept) * group.num_layers + _indexers(config, group.num_layers)


def _indexers(config: Mapping[str, Any], num_layers: int) -> LayerWeights:
    """What chooses the tokens of sparse attention (DSA): queries, a key with its norm, a weight a head."""
    sizes = _sizes(config, "hidden_size", "q_lora_rank", "index_n_heads", "index_head_dim")
    if sizes is None:
        return LayerWeights()
    hidden, query_rank, heads, head_dim = sizes
    matrices = query_rank * heads * head_dim + hidden * head_dim
    return LayerWeights(matrices, hidden * heads + 2 * head_dim) * num_indexers(config, num_layers)


def _state(config: Mapping[str, Any]) -> LayerWeights | None:
    hidden = whole(config, "hidden_size")
    if not hidden:
        return None
    linear = config.get("linear_attn_config")
    if isinstance(linear, Mapping):
        return _kda(hidden, linear)
    if config.get("linear_num_value_heads"):
        return _gated_delta_net(hidden, config)
    if config.get("mamba_d_state") and not config.get("mamba_n_heads"):
        return _mamba(hidden, config)
    return _mamba2(hidden, config)


def _kda(hidden: int, linear: Mapping[str, Any]) -> LayerWeights | None:
    sizes = _sizes(linear, "num_heads", "head_dim", "short_conv_kernel_size")
    if sizes is None:
        return None
    heads, head_dim, kernel = sizes
    inner = heads * head_dim
    # Q, K, V and the output; the decay and the output's gate, each through one head's width; beta.
    matrices = 4 * hidden * inner + 2 * head_dim * (hidden + inner) + hidden * heads
    return LayerWeights(matrices, 3 * inner * kernel + inner + heads + head_dim)


def _gated_delta_net(hidden: int, config: Mapping[str, Any]) -> LayerWeights | None:
    names = ("num_key_heads", "num_value_heads", "key_head_dim", "value_head_dim", "conv_kernel_dim")
    sizes = _sizes(config, *(f"linear_{name}" for name in names))
    if sizes is None:
        return None
    key_heads, value_heads, key_dim, value_dim, kernel = sizes
    keys, values = key_heads * key_dim, value_heads * value_dim
    matrices = hidden * (2 * keys + 2 * values + 2 * value_heads) + values * hidden
    return LayerWeights(matrices, (2 * keys + values) * kernel + 2 * value_heads + value_dim)


def _mamba(hidden: int, config: Mapping[str, Any]) -> LayerWeights | None:
    """Mamba 1 as Jamba has it, with norms over the step, B and C."""
    sizes = _sizes(config, "mamba_expand", "mamba_d_state", "mamba_d_conv")
    if sizes is None:
        return None
    expand, state, kernel = sizes
    inner, step = expand * hidden, whole(config, "mamba_dt_rank") or -(-hidden // 16)
    matrices = 3 * hidden * inner + inner * (step + 2 * state) + step * inner
    kept = inner * kernel + inner * state + 2 * inner + step + 2 * state
    if config.get("mamba_conv_bias", True):
        kept += inner
    if config.get("mamba_proj_bias"):
        kept += 2 * inner + hidden
    return LayerWeights(matrices, kept)


def _mamba2(hidden: int, config: Mapping[str, Any]) -> LayerWeights | None:
    """Mamba 2 as Nemotron-H names it, or as Granite does."""
    sizes = _sizes(
        config, "mamba_num_heads", "mamba_head_dim", "n_groups", "ssm_state_size", "conv_kernel"
    ) or _sizes(config, "mamba_n_heads", "mamba_d_head", "mamba_n_groups", "mamba_d_state", "mamba_d_conv")
    if sizes is None:
        return None
    heads, head_dim, groups, state, kernel = sizes
    inner = heads * head_dim
    channels = inner + 2 * groups * state
    kept = channels * kernel + 3 * heads + inner
    if config.get("use_conv_bias", config.get("mamba_conv_bias", True)):
        kept += channels
    if config.get("use_bias") or config.get("mamba_proj_bias"):
        kept += inner + channels + heads + hidden
    return LayerWeights(hidden * (2 * inner + 2 * groups * state + heads) + inner * hidden, kept)
