"""A model's layers from a GGUF header's keys, as llama.cpp reads them."""

from collections import Counter

from lctx.core.models.gguf import GgufHeader
from lctx.core.models.layers import LayerGroup, LayerKind, StateSize

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
_UNLIKE = ("wkv.", "shortconv.", "attention.chunk_size", "attention.indexer.")
# Where a layer without KV heads is a Mamba layer; in Nemotron-H it may also be a feed-forward layer.
_MAMBA = frozenset(("jamba", "granitehybrid", "nemotron_h", "nemotron_h_moe"))
_MAX_LAYERS = 4096
_FLOAT32 = 4


def layers_from_gguf(header: GgufHeader) -> tuple[LayerGroup, ...] | None:
    """What the header says its layers keep, or None where that is not known.

    Where there is a sliding window but nothing tells which layers slide, all count as full: an upper bound.
    """
    prefix = f"{header.architecture}."
    names = [key.removeprefix(prefix) for key in header.metadata if key.startswith(prefix)]
    num_layers = _positive(header, prefix + "block_count") or 0
    num_layers -= _positive(header, prefix + "attention.shared_kv_layers") or 0
    if not 0 < num_layers <= _MAX_LAYERS or any(name.startswith(_UNLIKE) for name in names):
        return None
    if "attention.kv_lora_rank" in names:
        return _latent(header, prefix, num_layers)
    kv_heads = _per_layer(header, prefix + "attention.head_count_kv", num_layers)
    if kv_heads is None:
        kv_heads = _per_layer(header, prefix + "attention.head_count", num_layers)
    has_state = any(name.startswith("ssm.") for name in names)
    if not kv_heads or min(kv_heads) < 0 or (0 in kv_heads) != has_state:
        return None
    if has_state and header.architecture not in _MAMBA:
        return None
    return _by_layer(header, prefix, kv_heads)


def _positive(header: GgufHeader, key: str) -> int | None:
    value = header.integer(key)
    return value if value and value > 0 else None


def _per_layer(header: GgufHeader, key: str, num_layers: int) -> tuple[int, ...] | None:
    """The number of each layer under `key`, which may be one for all."""
    found = header.integers(key)
    if not found:
        return None
    return found * num_layers if len(found) == 1 else found[:num_layers]


def _by_layer(header: GgufHeader, prefix: str, kv_heads: tuple[int, ...]) -> tuple[LayerGroup, ...] | None:
    heads = header.integers(prefix + "attention.head_count")
    key_dim = _positive(header, prefix + "attention.key_length")
    if not key_dim and heads and max(heads) > 0:
        key_dim = (_positive(header, prefix + "embedding_length") or 0) // max(heads)
    if not key_dim or not heads or max(heads) <= 0:
        return None
    value_dim = _positive(header, prefix + "attention.value_length") or key_dim
    window = _positive(header, prefix + "attention.sliding_window")
    slides = _slides(header, prefix, len(kv_heads)) if window else (False,) * len(kv_heads)
    counted = Counter(zip(kv_heads, slides, strict=False))
    groups = []
    for (num_heads, is_sliding), num_layers in counted.items():
        if not num_heads:
            continue
        dims = (key_dim, value_dim)
        if is_sliding:
            dims = (
                _positive(header, prefix + "attention.key_length_swa") or key_dim,
                _positive(header, prefix + "attention.value_length_swa") or value_dim,
            )
        kind = LayerKind.SLIDING if is_sliding else LayerKind.FULL
        groups.append(LayerGroup(kind, num_layers, num_heads, *dims, reach=window if is_sliding else None))
    if num_states := _num_states(header, prefix, kv_heads):
        state = _mamba(header, prefix)
        if state is None:
            return None
        groups.append(LayerGroup(LayerKind.STATE, num_states, state=state))
    if not groups:
        return None
    return tuple(sorted(groups, key=lambda group: list(LayerKind).index(group.kind)))


def _slides(header: GgufHeader, prefix: str, num_layers: int) -> tuple[bool, ...]:
    pattern = header.integers(prefix + "attention.sliding_window_pattern")
    if pattern and len(pattern) >= num_layers:
        return tuple(map(bool, pattern[:num_layers]))
    every = pattern[0] if pattern else _SLIDING_PATTERN.get(header.architecture, 1)
    return tuple(every > 0 and layer % every < every - 1 for layer in range(num_layers))


def _latent(header: GgufHeader, prefix: str, num_layers: int) -> tuple[LayerGroup, ...] | None:
    """Latents, where the file was converted for them: without its own key length K and V are cached whole."""
    rank = _positive(header, prefix + "attention.kv_lora_rank")
    rope_dim = _positive(header, prefix + "rope.dimension_count")
    if not _positive(header, prefix + "attention.key_length_mla") or not rank or not rope_dim:
        return None
    return (LayerGroup(LayerKind.LATENT, num_layers, 1, rank + rope_dim, rope_dim=rope_dim),)


def _num_states(header: GgufHeader, prefix: str, kv_heads: tuple[int, ...]) -> int:
    if not header.architecture.startswith("nemotron_h"):
        return kv_heads.count(0)
    feed_forward = _per_layer(header, prefix + "feed_forward_length", len(kv_heads)) or (0,)
    return sum(not heads and not inner for heads, inner in zip(kv_heads, feed_forward, strict=False))


def _mamba(header: GgufHeader, prefix: str) -> StateSize | None:
    """A Mamba layer's state. llama.cpp keeps both of its parts in float32.

    Source:
        llama.cpp, `n_embd_r` and `n_embd_s` in src/llama-hparams.cpp.
    """
    kernel, inner, state = (
        _positive(header, f"{prefix}ssm.{name}") for name in ("conv_kernel", "inner_size", "state_size")
    )
    if not kernel or not inner or not state:
        return None
    return StateSize(
        channels=inner,
        kernel=kernel,
        recurrent=inner * state,
        num_groups=_positive(header, prefix + "ssm.group_count") or 0,
        group_channels=2 * state,
        conv_bytes=_FLOAT32,
        recurrent_bytes=_FLOAT32,
    )
