"""Tokens -> bytes of KV cache."""

from lctx.core.models.profile import AttentionShape

_BYTES_PER_VALUE = 2
"""fp16 or bf16, what every engine keeps unless it is told otherwise."""


def kv_cache_bytes(shape: AttentionShape, num_tokens: int, bytes_per_value: int = _BYTES_PER_VALUE) -> int:
    """Bytes that `num_tokens` tokens of prompt and answer fill.

    K and V of a layer are each (num_tokens, num_kv_heads, head_dim); a sliding layer keeps its window only.

    Source:
        Grouped-query attention, arXiv:2305.13245; sliding windows, arXiv:2310.06825.
    """
    if num_tokens < 0:
        raise ValueError(f"num_tokens must be >= 0, got {num_tokens}")
    per_token = 2 * shape.num_kv_heads * shape.head_dim * bytes_per_value
    full = (shape.num_layers - shape.num_sliding_layers) * num_tokens
    sliding = shape.num_sliding_layers * min(num_tokens, shape.sliding_window or num_tokens)
    return per_token * (full + sliding)
