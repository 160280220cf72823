"""A model's layers from its config.json: which kinds, how many of each, and what one keeps."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from lctx.core.models.layers import LayerGroup, LayerKind
from lctx.core.models.states import state_from_config

_MAX_LAYERS = 4096
# What a config.json of these families leaves out, because the class behind it knows.
# Source: transformers, models/gemma3/configuration_gemma3.py, models/llama4/configuration_llama4.py.
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "gemma3": {"sliding_window_pattern": 6, "head_dim": 256},
    "gemma3_text": {
        "sliding_window_pattern": 6,
        "head_dim": 256,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
    },
    "llama4_text": {"no_rope_layer_interval": 4, "attention_chunk_size": 8192},
}
_KINDS = {
    "full_attention": LayerKind.FULL,
    "attention": LayerKind.FULL,
    "deepseek_sparse_attention": LayerKind.FULL,
    "sliding_attention": LayerKind.SLIDING,
    "chunked_attention": LayerKind.CHUNKED,
    "linear_attention": LayerKind.STATE,
    "mamba": LayerKind.STATE,
    "moe": None,
    "mlp": None,
}
# Nemotron-H spells its layers as letters: Mamba, attention, a dense and an expert feed-forward layer.
_LETTERS = {"*": LayerKind.FULL, "M": LayerKind.STATE, "-": None, "E": None}
# Keys of layers that keep something of another kind: compressed or shared keys, several sizes in one model.
_UNLIKE = (
    "attn_layer_indices",
    "block_configs",
    "compress_ratios",
    "global_head_dim",
    "hybrid_layer_pattern",
    "index_kpool",
    "mamba_d_ssm",
    "num_kv_shared_layers",
    "sparse_attention_config",
    "ssm_cfg",
    "swa_head_dim",
)
_INDEX_BLOCK = 128  # values of the indexer's key that share a float32 scale

Kinds = Counter[LayerKind | None]


def layers_from_config(config: Mapping[str, Any]) -> tuple[LayerGroup, ...] | None:
    """What a config.json says its layers keep, or None where that is not known."""
    config = with_defaults(config)
    num_layers = whole(config, "num_hidden_layers")
    if not num_layers or num_layers > _MAX_LAYERS or any(config.get(key) for key in _UNLIKE):
        return None
    kinds = _kinds(config, num_layers)
    if kinds is None or kinds.total() != num_layers:
        return None
    groups = []
    for kind in LayerKind:
        if not kinds[kind]:
            continue
        group = _group(config, kind, kinds[kind])
        if group is None:
            return None
        groups.append(group)
    return tuple(groups) or None


def _kinds(config: Mapping[str, Any], num_layers: int) -> Kinds | None:
    """How many layers are of which kind, or None where a layer is of none that is known."""
    layers = range(num_layers)
    pattern, linear = config.get("hybrid_override_pattern"), config.get("linear_attn_config")
    named = config.get("layer_types") or config.get("layers_block_type")
    if isinstance(pattern, str):
        return Counter(map(_LETTERS.__getitem__, pattern)) if set(pattern) <= _LETTERS.keys() else None
    if isinstance(linear, Mapping):
        full, states = linear.get("full_attn_layers"), linear.get("kda_layers")
        if not isinstance(full, list) or not isinstance(states, list):
            return None
        return Counter({LayerKind.FULL: len(full), LayerKind.STATE: len(states)})
    if isinstance(named, list):
        known = all(isinstance(one, str) and one in _KINDS for one in named)
        return _windowed(config, Counter(map(_KINDS.__getitem__, named))) if known else None
    if every := whole(config, "full_attention_interval"):
        return Counter(LayerKind.STATE if (layer + 1) % every else LayerKind.FULL for layer in layers)
    if every := whole(config, "attn_layer_period"):
        offset = whole(config, "attn_layer_offset") or 0
        return Counter(LayerKind.FULL if layer % every == offset else LayerKind.STATE for layer in layers)
    if isinstance(types := config.get("attn_type_list"), list) and set(types) != {1}:
        return None  # lightning attention, which vLLM no longer has
    if any(key.startswith(("linear_num", "mamba_", "ssm_")) for key in config if config[key]):
        return None
    if config.get("attention_chunk_size"):
        return _chunked(config, num_layers)
    return _windowed(config, Counter({LayerKind.SLIDING: _num_sliding(config, num_layers)}), num_layers)


def _chunked(config: Mapping[str, Any], num_layers: int) -> Kinds:
    """Llama 4: layers without rotary positions see everything, the others their chunk.

    Source:
        vLLM 0.32, model_executor/models/llama4.py, `use_chunked_local_attn`.
    """
    uses_rope = config.get("no_rope_layers")
    if isinstance(uses_rope, list) and len(uses_rope) == num_layers:
        num_chunked = sum(map(bool, uses_rope))
    else:
        num_chunked = num_layers - num_layers // (whole(config, "no_rope_layer_interval") or 4)
    return Counter({LayerKind.FULL: num_layers - num_chunked, LayerKind.CHUNKED: num_chunked})


def _num_sliding(config: Mapping[str, Any], num_layers: int) -> int:
    if every := whole(config, "sliding_window_pattern"):
        return num_layers - num_layers // every
    # Mistral 7B v0.1: a window and nothing else means every layer.
    return num_layers if config.get("model_type") == "mistral" else 0


def _windowed(config: Mapping[str, Any], kinds: Kinds, num_layers: int = 0) -> Kinds:
    """The kinds, `num_layers` in all, with layers that could slide but have no window among the full ones."""
    kinds[LayerKind.FULL] += max(0, num_layers - kinds.total())
    if config.get("use_sliding_window") is False or not whole(config, "sliding_window"):
        kinds[LayerKind.FULL] += kinds.pop(LayerKind.SLIDING, 0)
    return kinds


def _group(config: Mapping[str, Any], kind: LayerKind, num_layers: int) -> LayerGroup | None:
    if kind is LayerKind.STATE:
        state = state_from_config(config)
        return LayerGroup(kind, num_layers, state=state) if state else None
    if config.get("kv_lora_rank"):
        return _latent(config, num_layers) if kind is LayerKind.FULL else None
    heads = whole(config, "num_attention_heads")
    kv_heads = heads if config.get("num_key_value_heads") is None else whole(config, "num_key_value_heads")
    if not heads or not kv_heads:
        return None
    head_dim = whole(config, "head_dim") or (whole(config, "hidden_size") or 0) // heads
    reaches = {LayerKind.SLIDING: "sliding_window", LayerKind.CHUNKED: "attention_chunk_size"}
    reach = whole(config, reaches[kind]) if kind in reaches else None
    if not head_dim or (kind in reaches and not reach):
        return None
    return LayerGroup(kind, num_layers, kv_heads, head_dim, whole(config, "v_head_dim") or head_dim, reach)


def _latent(config: Mapping[str, Any], num_layers: int) -> LayerGroup | None:
    """Multi-head latent attention, with the indexer's key beside it where attention is sparse (DSA).

    Source:
        vLLM 0.32, model_executor/layers/attention/mla_attention.py (get_kv_cache_spec); for the indexer
        model_executor/models/deepseek_v2.py, which keeps its key in fp8 with float32 scales.
    """
    rank, rope_dim = whole(config, "kv_lora_rank"), whole(config, "qk_rope_head_dim")
    if not rank or not rope_dim:
        return None
    index = whole(config, "index_head_dim") or 0
    index_bytes = index + index // _INDEX_BLOCK * 4
    return LayerGroup(
        LayerKind.LATENT, num_layers, 1, rank + rope_dim, rope_dim=rope_dim, index_bytes=index_bytes
    )


def with_defaults(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config.json with what its family leaves out of it."""
    config = {**_DEFAULTS.get(str(config.get("model_type")), {}), **config}
    blocks = config.get("layers_block_type")
    if "num_hidden_layers" not in config and isinstance(blocks, list):
        config["num_hidden_layers"] = len(blocks)
    return config


def whole(config: Mapping[str, Any], key: str) -> int | None:
    """The positive whole number under `key`, or None."""
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
