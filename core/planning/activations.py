"""What a step of vLLM computes with, beside weights and KV cache."""

from lctx.core.models.widths import ActivationWidths

_STREAMS = 4
"""Vectors of a token that live beside a block: the residual, its norm, the block's result, and a copy."""

_SAMPLER_BYTES = 40
"""Bytes for each entry of the logits: two float32 copies, their sort with int64 indices and its scratch,
softmax, running sum and the result."""

_CONTEXT_ROWS = 64 * 1024
_CONTEXT_REQUESTS, _CONTEXT_PAGES = 8, 4
_ROUTER_BYTES = 4
_MARGIN = 4
"""A quarter on top: kernels round shapes up and the allocator cannot cut every block to size."""


def activation_bytes(
    widths: ActivationWidths,
    num_tokens: int,
    max_num_seqs: int,
    value_bytes: int,
    *,
    tensor_parallel: int = 1,
    context_rows: int = 0,
) -> int:
    """The most bytes that one step of vLLM computes with on each GPU, a quarter on top.

    The larger of two moments: inside the widest block, with all tokens of the step, and in the sampler, with
    the logits of every request, which each GPU has whole.

    Args:
        widths: The model's.
        num_tokens: Tokens of a step: `max_num_batched_tokens`.
        max_num_seqs: Requests that are sampled at once.
        value_bytes: Bytes of a value in the dtype that the model computes in.
        tensor_parallel: GPUs that divide heads and feed-forward blocks, but not the stream between them.
        context_rows: Latents that MLA expands at once: `context_rows_of`.

    Source:
        vLLM 0.32, model_executor/models/llama.py (gate and up in one), fused_moe/experts/triton_moe.py
        (`workspace_shapes`), v1/sample/sampler.py and ops/topk_topp_sampler.py,
        model_executor/layers/attention/mla_attention.py (the profile run's empty tensor). The copies that
        live at once are bounds, set against what vLLM reports: pull 10511 (1.26 GiB for Llama-3-8B, 8,192
        tokens, 256 requests), issues 13882 (1.42 GiB for Qwen2.5-7B, 4,096, 256) and 13061 (0.19 GiB for a
        Qwen2.5-14B without sampler, 2,048, two GPUs).
    """
    attention = (2 * widths.query + widths.key_value) / tensor_parallel + 4 * widths.state / tensor_parallel
    shared = 3 * widths.shared_feed_forward / tensor_parallel
    feed_forward = max(
        3 * widths.feed_forward / tensor_parallel, shared + _expert_values(widths, tensor_parallel)
    )
    block = _STREAMS * widths.hidden + max(attention, feed_forward)
    context = context_rows * widths.context * value_bytes / tensor_parallel
    inside = num_tokens * (block * value_bytes + widths.num_experts * _ROUTER_BYTES) + context
    sampling = num_tokens * widths.hidden * value_bytes + max_num_seqs * widths.vocabulary * _SAMPLER_BYTES
    peak = int(max(inside, sampling))
    return peak + peak // _MARGIN


def _expert_values(widths: ActivationWidths, tensor_parallel: int) -> float:
    """Values of a token in the workspaces of the experts that it meets; their input is never divided."""
    inner = widths.expert_feed_forward / tensor_parallel
    wide = max(inner, widths.hidden) + max(2 * inner, widths.hidden)
    return widths.experts_per_token * wide if widths.num_experts else 0


def context_rows_of(widths: ActivationWidths, window: int, max_num_seqs: int, block_size: int) -> int:
    """Latents of earlier tokens that MLA gathers at once in a prefill by steps; 0 without MLA.

    Source:
        vLLM 0.32, model_executor/layers/attention/mla_attention.py,
        `determine_chunked_prefill_workspace_size`.
    """
    if not widths.latent:
        return 0
    wanted = max(_CONTEXT_REQUESTS * window, _CONTEXT_PAGES * max_num_seqs * block_size)
    return min(wanted, _CONTEXT_ROWS)
