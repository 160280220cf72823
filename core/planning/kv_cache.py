"""Tokens -> bytes of KV cache: what a model keeps, before an engine rounds it to blocks."""

from enum import StrEnum

from lctx.core.models.layers import LayerGroup, LayerKind, StateSize
from lctx.core.models.profile import AttentionShape

_LATENT_PER_SCALE = 128


class KvDtype(StrEnum):
    """What a value of the KV cache is kept as; the names are vLLM's."""

    FP16 = "float16"
    BF16 = "bfloat16"
    FP32 = "float32"
    FP8 = "fp8"
    FP8_DS_MLA = "fp8_ds_mla"
    """A latent in fp8 with a float32 scale a 128 values, its rotary part in bf16; plain fp8 elsewhere."""

    @property
    def num_bytes(self) -> int:
        """Bytes of one value."""
        return {KvDtype.FP32: 4, KvDtype.FP8: 1, KvDtype.FP8_DS_MLA: 1}.get(self, 2)


def kv_cache_bytes(
    shape: AttentionShape, num_tokens: int, dtype: KvDtype = KvDtype.BF16, model_dtype: KvDtype = KvDtype.BF16
) -> int:
    """Bytes that `num_tokens` tokens of prompt and answer fill, over all GPUs together.

    A sliding or chunked layer keeps its reach only, a state is there from the first token on.

    Args:
        shape: The model's layers.
        num_tokens: Prompt and answer.
        dtype: What K, V and latents are kept as.
        model_dtype: What the model computes in: constant states are kept as that.

    Source:
        Grouped-query attention, arXiv:2305.13245; sliding windows, arXiv:2310.06825; latents,
        arXiv:2405.04434; Mamba, arXiv:2312.00752; gated delta nets, arXiv:2412.06464; KDA, arXiv:2510.26692.
    """
    if num_tokens < 0:
        raise ValueError(f"num_tokens must be >= 0, got {num_tokens}")
    total = 0
    for group in shape.layers:
        if group.state is not None:
            total += group.num_layers * state_bytes(group.state, model_dtype) * (num_tokens > 0)
        else:
            kept = num_tokens if group.reach is None else min(num_tokens, group.reach)
            total += group.num_layers * kept * token_bytes(group, dtype)
    return total


def growth_bytes(shape: AttentionShape, dtype: KvDtype = KvDtype.BF16) -> int:
    """Bytes that one more token costs once every window is full: the slope of a long context."""
    growing = (group for group in shape.layers if group.kind in {LayerKind.FULL, LayerKind.LATENT})
    return sum(group.num_layers * token_bytes(group, dtype) for group in growing)


def token_bytes(group: LayerGroup, dtype: KvDtype, tensor_parallel: int = 1) -> int:
    """Bytes that one layer of `group` keeps of a token, on each of `tensor_parallel` GPUs.

    Heads are divided until each GPU has one, then they are replicated; a latent always is.

    Source:
        vLLM 0.32, v1/kv_cache_interface.py (AttentionSpec.state_content_size_bytes) and
        config/model.py (get_num_kv_heads); fp8_ds_mla as in its attention/backends/mla.
    """
    if group.kind is LayerKind.STATE:
        raise ValueError("a state keeps no tokens")
    if group.kind is not LayerKind.LATENT:
        heads = max(1, group.num_kv_heads // tensor_parallel)
        return heads * (group.key_dim + group.value_dim) * dtype.num_bytes
    if dtype is not KvDtype.FP8_DS_MLA:
        return group.key_dim * dtype.num_bytes + group.index_bytes
    compressed = group.key_dim - group.rope_dim
    scales = -(-compressed // _LATENT_PER_SCALE) * KvDtype.FP32.num_bytes
    return compressed + scales + group.rope_dim * KvDtype.BF16.num_bytes + group.index_bytes


def state_bytes(state: StateSize, model_dtype: KvDtype, tensor_parallel: int = 1) -> int:
    """Bytes of one layer's constant state, on each of `tensor_parallel` GPUs.

    Source:
        vLLM 0.32, model_executor/layers/mamba/mamba_utils.py (MambaStateShapeCalculator).
    """
    num_groups = state.num_groups
    if num_groups % tensor_parallel:
        num_groups = tensor_parallel
    channels = state.channels + num_groups * state.group_channels
    conv = channels * (state.kernel - 1) * (state.conv_bytes or model_dtype.num_bytes)
    recurrent = state.recurrent * (state.recurrent_bytes or model_dtype.num_bytes)
    return (conv + recurrent) // tensor_parallel
