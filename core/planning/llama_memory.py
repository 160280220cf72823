"""What llama.cpp takes of main memory: a KV cache of the whole window, and what it computes with."""

from dataclasses import dataclass

from lctx.core.models.layers import LayerKind
from lctx.core.models.profile import AttentionShape
from lctx.core.models.widths import ActivationWidths
from lctx.core.planning.kv_cache import KvDtype, state_bytes, token_bytes
from lctx.core.planning.memory import MemoryPlan, MemoryTerm

_MIB = 2**20

WINDOW_STEP = 256
"""llama.cpp rounds a window up to a multiple of this."""

_FLOAT32 = 4
_MASK_BYTES = 2
_INDEX_BYTES = 64
_PROCESS_BYTES = 64 * _MIB
_VOCABULARY_BYTES = 160
_FREE_SHARE = 20


@dataclass(frozen=True, slots=True)
class LlamaSettings:
    """How the embedded engine is started.

    Attributes:
        batch: Tokens of a step.
        prompt_cache_bytes: The most that the KV of other prompts may take.
    """

    batch: int = 512
    prompt_cache_bytes: int = 512 * _MIB


def llama_kv_bytes(shape: AttentionShape, window: int) -> int:
    """Bytes of KV cache that llama.cpp sets aside at its start for a window of that many tokens.

    In float16, for every token in every layer: with `swa_full` sliding layers keep all of it too, or no part
    of a prefix could be used again. Constant states are kept in float32.

    Source:
        llama.cpp, src/llama-kv-cache.cpp and src/llama-kv-cache-iswa.cpp ("using full-size SWA cache");
        src/llama-memory-recurrent.cpp. Checked against what its log says ("llama_kv_cache: size = …").
    """
    cells = -(-window // WINDOW_STEP) * WINDOW_STEP
    total = 0
    for group in shape.layers:
        if group.state is not None:
            each = state_bytes(group.state, KvDtype.FP32)
        else:
            each = cells * token_bytes(group, KvDtype.FP16)
        total += group.num_layers * each
    return total


def llama_compute_bytes(
    shape: AttentionShape, widths: ActivationWidths, window: int, batch: int = 512
) -> int:
    """Bytes of the buffer that one step computes in: float32 values of a block, and a mask for each cache.

    Of a dense block the gate, its product and the branch beside live with five vectors of the stream; of
    attention the queries, their rotated copy and the result.

    Source:
        llama.cpp, ggml-alloc over the graphs of src/llama-graph.cpp (`build_ffn`, `build_attn_inp_kv`: masks
        in float16 under flash attention). Equal within 0.2 % to its log ("CPU compute buffer size") for
        Gemma 3 270M and SmolLM2-135M, 128 to 512 tokens a step, windows of 512 to 32,768; a bound for
        experts and latents, where no model was at hand.
    """
    cells = -(-window // WINDOW_STEP) * WINDOW_STEP
    experts = widths.experts_per_token * (3 * widths.expert_feed_forward + widths.hidden) + widths.num_experts
    feed_forward = max(3 * widths.feed_forward, 3 * widths.shared_feed_forward + experts)
    attention = 3 * widths.query + 2 * widths.key_value + 2 * widths.num_heads * widths.latent
    values = 5 * widths.hidden + max(feed_forward, attention + 4 * widths.state)
    kinds = {group.kind is LayerKind.SLIDING for group in shape.layers if group.state is None}
    masks = len(kinds) * batch * (cells * _MASK_BYTES + _INDEX_BYTES)
    return batch * values * _FLOAT32 + masks


def plan_memory_llama(
    available_bytes: int,
    weight_bytes: int,
    shape: AttentionShape,
    widths: ActivationWidths,
    *,
    window: int,
    settings: LlamaSettings = LlamaSettings(),
) -> MemoryPlan:
    """What llama.cpp takes of main memory beside the KV cache, and what remains for that.

    Args:
        available_bytes: Main memory that is free or can be freed.
        weight_bytes: The size of the GGUF file.
        shape: The model's layers.
        widths: The model's.
        window: Tokens of `n_ctx`.
        settings: Tokens of a step, and the cache of other prompts.

    Source:
        As `llama_compute_bytes`; the process was measured: 14 MiB and 150 bytes for each entry of the
        vocabulary, rounded up for what it imports.
    """
    compute = llama_compute_bytes(shape, widths, window, settings.batch)
    process = _PROCESS_BYTES + widths.vocabulary * _VOCABULARY_BYTES
    return MemoryPlan(
        available_bytes,
        (
            MemoryTerm(
                "kept free", available_bytes // _FREE_SHARE, "a twentieth: a full machine ends processes"
            ),
            MemoryTerm("weights", weight_bytes, "the file, mapped: slow where it is not in memory"),
            MemoryTerm("compute buffer", compute, f"{settings.batch} tokens of a step, masks of the window"),
            MemoryTerm("output buffer", widths.vocabulary * _FLOAT32, "the logits of one token"),
            MemoryTerm("prompt cache", settings.prompt_cache_bytes, "KV of other prompts: at most"),
            MemoryTerm("process", process, "the program and its vocabulary: as measured"),
        ),
    )
