"""Attention shapes and sizes: from a GGUF header's keys or a config.json, to what planning needs."""

from collections.abc import Mapping
from typing import Any

from lctx.core.models.gguf import GgufHeader
from lctx.core.models.profile import AttentionShape

# Architectures whose files give a window but not which layers slide: every n-th layer is full.
# Source: llama.cpp, `hparams.set_swa_pattern(n)` in src/llama-model.cpp.
_SLIDING_PATTERN = {
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "gpt-oss": 2,
    "cohere2": 4,
    "olmo2": 4,
    "exaone4": 4,
}
_NOT_JUST_KV_HEADS = ("ssm.", "attention.kv_lora_rank", "wkv.", "shortconv.", "attention.chunk_size")


def shape_from_gguf(header: GgufHeader) -> AttentionShape | None:
    """What the header says of K and V, or None where a token's cost is not layers x heads x values.

    Where there is a sliding window but nothing tells which layers slide, all count as full: an upper bound.
    """
    prefix = f"{header.architecture}."
    names = [key.removeprefix(prefix) for key in header.metadata if key.startswith(prefix)]
    if any(name.startswith(_NOT_JUST_KV_HEADS) for name in names):
        return None
    num_layers = header.integer(prefix + "block_count")
    heads = header.integers(prefix + "attention.head_count")
    kv_heads = header.integers(prefix + "attention.head_count_kv") or heads
    embedding = header.integer(prefix + "embedding_length")
    if not num_layers or not heads or not kv_heads or len(set(kv_heads)) != 1 or not all((*heads, *kv_heads)):
        return None
    head_dim = header.integer(prefix + "attention.key_length") or (embedding or 0) // heads[0]
    if not head_dim or (header.integer(prefix + "attention.value_length") or head_dim) != head_dim:
        return None
    window = header.integer(prefix + "attention.sliding_window") or None
    pattern = header.integers(prefix + "attention.sliding_window_pattern")
    num_sliding = 0
    if window and pattern and len(pattern) >= num_layers:
        num_sliding = sum(map(bool, pattern[:num_layers]))
    elif window:
        every = pattern[0] if pattern else _SLIDING_PATTERN.get(header.architecture, 1)
        num_sliding = num_layers - num_layers // every if every else 0
    return _shape(num_layers, kv_heads[0], head_dim, window, num_sliding)


def shape_from_config(config: Mapping[str, Any]) -> AttentionShape | None:
    """What a config.json says of K and V, or None where a token's cost is not layers x heads x values."""
    unlike = ("kv_lora_rank", "linear_num_key_heads", "ssm_cfg", "mamba_d_state", "attention_chunk_size")
    num_layers, heads = whole(config, "num_hidden_layers"), whole(config, "num_attention_heads")
    if any(config.get(key) for key in unlike) or not num_layers or not heads:
        return None
    kv_heads = whole(config, "num_key_value_heads") or heads
    head_dim = whole(config, "head_dim") or (whole(config, "hidden_size") or 0) // heads
    if not head_dim:
        return None
    window = whole(config, "sliding_window")
    if config.get("use_sliding_window") is False:
        window = None
    kinds = config.get("layer_types")
    if isinstance(kinds, list) and len(kinds) == num_layers:
        if not set(kinds) <= {"full_attention", "sliding_attention"}:
            return None
        num_sliding = kinds.count("sliding_attention")
    elif every := whole(config, "sliding_window_pattern"):
        num_sliding = num_layers - num_layers // every
    else:
        # Mistral 7B v0.1: a window and nothing else means every layer.
        num_sliding = num_layers if config.get("model_type") == "mistral" else 0
    return _shape(num_layers, kv_heads, head_dim, window, num_sliding)


def parameters_from_config(config: Mapping[str, Any]) -> int:
    """About how many parameters a decoder of this config.json has; 0 where it does not say enough."""
    num_layers, hidden = whole(config, "num_hidden_layers") or 0, whole(config, "hidden_size") or 0
    heads = whole(config, "num_attention_heads") or 1
    kv_heads = whole(config, "num_key_value_heads") or heads
    head_dim = whole(config, "head_dim") or hidden // heads
    experts = whole(config, "num_local_experts") or whole(config, "num_experts") or 1
    inner = (whole(config, "moe_intermediate_size") if experts > 1 else None) or whole(
        config, "intermediate_size"
    )
    attention = 2 * hidden * head_dim * (heads + kv_heads)
    feed_forward = 3 * hidden * (inner or 4 * hidden) * experts
    tables = 1 if config.get("tie_word_embeddings") else 2
    return num_layers * (attention + feed_forward) + tables * hidden * (whole(config, "vocab_size") or 0)


def whole(config: Mapping[str, Any], key: str) -> int | None:
    """The positive whole number under `key`, or None."""
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _shape(num_layers: int, kv_heads: int, head_dim: int, window: int | None, sliding: int) -> AttentionShape:
    if not window or not sliding:
        return AttentionShape(num_layers, kv_heads, head_dim)
    return AttentionShape(num_layers, kv_heads, head_dim, window, sliding)
