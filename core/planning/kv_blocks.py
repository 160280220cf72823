"""KV cache as vLLM allocates it: whole blocks, one pool of equal blocks for all kinds of layers."""

from dataclasses import dataclass, replace

from lctx.core.errors import UsageError
from lctx.core.models.layers import LayerGroup, LayerKind, StateSize
from lctx.core.models.profile import AttentionShape
from lctx.core.planning.kv_cache import KvDtype, state_bytes, token_bytes

_LATENT_ALIGNMENT = 128
_WHOLE = frozenset((LayerKind.FULL, LayerKind.LATENT))


@dataclass(frozen=True, slots=True)
class KvSettings:
    """How vLLM is told to keep the KV cache.

    Attributes:
        block_size: Tokens of a block: 16 on GPUs, 128 on CPUs, 16 for latents on CPUs.
        dtype: What K, V and latents are kept as.
        model_dtype: What the model computes in, and constant states are kept as.
        tensor_parallel: GPUs that divide the heads.
        context_parallel: Of these, GPUs that divide the tokens (decode context parallelism).
        max_in_flight_tokens: Tokens of the batches that run at once: `max_num_batched_tokens` for each.
        prefix_caching: Whether prefixes are cached; a constant state then takes two blocks a request.
    """

    block_size: int = 16
    dtype: KvDtype = KvDtype.BF16
    model_dtype: KvDtype = KvDtype.BF16
    tensor_parallel: int = 1
    context_parallel: int = 1
    max_in_flight_tokens: int = 2048
    prefix_caching: bool = True


@dataclass(frozen=True, slots=True)
class BlockGroup:
    """Layers that share one block table.

    Attributes:
        layers: What they keep; `num_layers` is that of the widest table of this kind.
        num_tables: Block tables of this kind: each of them takes blocks from the pool.
        block_size: Tokens of a block.
        page_bytes: Bytes of a block for one layer.
    """

    layers: LayerGroup
    num_tables: int
    block_size: int
    page_bytes: int


@dataclass(frozen=True, slots=True)
class BlockPool:
    """The pool of equal blocks that requests draw from, on each GPU.

    Attributes:
        groups: The block tables.
        bytes_per_block: Bytes of a block over all layers of the widest table.
        settings: What it was planned for.
    """

    groups: tuple[BlockGroup, ...]
    bytes_per_block: int
    settings: KvSettings

    def blocks_for(self, num_tokens: int) -> int:
        """Blocks that one request of `num_tokens` tokens may hold at once."""
        if num_tokens < 0:
            raise ValueError(f"num_tokens must be >= 0, got {num_tokens}")
        return sum(group.num_tables * self._table_blocks(group, num_tokens) for group in self.groups)

    def bytes_for(self, num_tokens: int) -> int:
        """Bytes of each GPU that one request of `num_tokens` tokens may hold at once."""
        return self.blocks_for(num_tokens) * self.bytes_per_block

    def num_blocks(self, available_bytes: int) -> int:
        """Blocks that `available_bytes` of each GPU hold."""
        return max(0, available_bytes) // self.bytes_per_block

    def capacity_tokens(self, available_bytes: int, max_model_len: int) -> int:
        """What vLLM prints as the size of its KV cache: requests of `max_model_len` that fit, in tokens.

        Source:
            vLLM 0.32, v1/core/kv_cache_utils.py (get_kv_cache_capacity); in floating point as there.
        """
        return int(self.num_blocks(available_bytes) / self.blocks_for(max_model_len) * max_model_len)

    def largest_window(self, available_bytes: int, ceiling: int) -> int:
        """The longest request, up to `ceiling` tokens, that `available_bytes` of each GPU hold; 0 for none.

        Source:
            vLLM 0.32, v1/core/kv_cache_utils.py (_estimate_max_model_len_from_groups).
        """
        fits, too_many = 0, ceiling + 1
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            if self.bytes_for(middle) <= available_bytes:
                fits = middle
            else:
                too_many = middle
        return fits

    def _table_blocks(self, group: BlockGroup, num_tokens: int) -> int:
        """Source: `max_memory_usage_bytes` of each spec in vLLM 0.32, v1/kv_cache_interface.py."""
        settings, layers = self.settings, group.layers
        if not num_tokens:
            return 0
        if layers.kind is LayerKind.STATE:
            return 2 if settings.prefix_caching else 1
        if layers.reach is None:
            return _ceil(_ceil(num_tokens, settings.context_parallel), group.block_size)
        if layers.kind is LayerKind.CHUNKED:
            kept = min(layers.reach + settings.max_in_flight_tokens, num_tokens)
            return _ceil(kept, group.block_size)
        kept = min(layers.reach - 1 + settings.max_in_flight_tokens, num_tokens)
        return _ceil(kept, group.block_size) + 1  # the window may begin inside a block


def plan_blocks(shape: AttentionShape, settings: KvSettings) -> BlockPool:
    """The block tables and the pool that vLLM makes for layers of this shape.

    Raises:
        UsageError: The heads, states or tokens cannot be divided over that many GPUs.

    Source:
        vLLM 0.32, v1/core/kv_cache_utils.py (get_kv_cache_groups, get_kv_cache_config_from_groups).
    """
    _check_parallel(shape, settings)
    settings = replace(settings, block_size=_aligned_block_size(shape, settings))
    pages = tuple(_paged(layers, settings) for layers in shape.layers)
    if {layers.kind for layers in shape.layers} <= _WHOLE:
        # Layers that keep every token share one table, whatever each of them keeps of it.
        total = sum(page.layers.num_layers * page.page_bytes for page in pages)
        widest = replace(pages[0], page_bytes=total, layers=replace(pages[0].layers, num_layers=1))
        return BlockPool((widest,), total, settings)
    groups = _even(_unified(pages))
    widest_bytes = max(group.layers.num_layers * group.page_bytes for group in groups)
    return BlockPool(groups, widest_bytes, settings)


def _paged(layers: LayerGroup, settings: KvSettings) -> BlockGroup:
    if layers.state is not None:
        page = state_bytes(layers.state, settings.model_dtype, settings.tensor_parallel)
    else:
        page = settings.block_size * token_bytes(layers, settings.dtype, settings.tensor_parallel)
    return BlockGroup(layers, 1, settings.block_size, page)


def _aligned_block_size(shape: AttentionShape, settings: KvSettings) -> int:
    """Beside a constant state, blocks grow until one of them is as large as the state.

    Source:
        vLLM 0.32, platforms/interface.py (_align_hybrid_block_size).
    """
    states = [group.state for group in shape.layers if group.state is not None]
    attention = [group for group in shape.layers if group.kind in _WHOLE]
    if not states or not attention:
        return settings.block_size
    alignment = settings.block_size
    if attention[0].kind is LayerKind.LATENT:
        alignment = max(alignment, _LATENT_ALIGNMENT)
    state = max(state_bytes(one, settings.model_dtype, settings.tensor_parallel) for one in states)
    per_token = token_bytes(attention[0], settings.dtype, settings.tensor_parallel)
    return alignment * _ceil(state, alignment * per_token)


def _unified(pages: tuple[BlockGroup, ...]) -> tuple[BlockGroup, ...]:
    """Pages of one size: smaller ones hold more tokens where that divides evenly, else they are padded.

    Source:
        vLLM 0.32, v1/core/kv_cache_utils.py (unify_kv_cache_spec_page_size).
    """
    largest = max(page.page_bytes for page in pages)
    return tuple(
        replace(page, page_bytes=largest)
        if page.layers.state is not None or largest % page.page_bytes
        else replace(page, page_bytes=largest, block_size=page.block_size * (largest // page.page_bytes))
        for page in pages
    )


def _even(pages: tuple[BlockGroup, ...]) -> tuple[BlockGroup, ...]:
    """Tables of about as many layers each, so that a block of one serves any other.

    Source:
        vLLM 0.32, v1/core/kv_cache_utils.py (_get_kv_cache_groups_uniform_page_size).
    """
    fewest = min(page.layers.num_layers for page in pages)
    most = max(page.layers.num_layers for page in pages)
    size = most if most < fewest * 1.5 else fewest
    groups = []
    for page in pages:
        num_tables = _ceil(page.layers.num_layers, size)
        layers = replace(page.layers, num_layers=_ceil(page.layers.num_layers, num_tables))
        groups.append(replace(page, layers=layers, num_tables=num_tables))
    return tuple(groups)


def _check_parallel(shape: AttentionShape, settings: KvSettings) -> None:
    """Refuses what vLLM refuses.

    Source:
        vLLM 0.32, config/model.py (verify_with_parallel_config) and v1/core/single_type_kv_cache_manager.py.
    """
    num_gpus, num_parts = settings.tensor_parallel, settings.context_parallel
    for layers in shape.layers:
        if layers.state is not None and not _divides(layers.state, num_gpus):
            raise UsageError(
                f"tensor parallelism over {num_gpus} GPUs: does not divide this model's states",
                "choose a power of two",
            )
        heads = layers.num_kv_heads
        if heads and heads % num_gpus and num_gpus % heads:
            raise UsageError(
                f"tensor parallelism over {num_gpus} GPUs: does not divide {heads} KV heads",
                f"choose a divisor or a multiple of {heads}",
            )
        if num_parts > 1 and layers.kind not in _WHOLE:
            raise UsageError(
                f"context parallelism over {num_parts} GPUs: {layers.kind} layers are not divided by tokens",
                "use tensor parallelism alone",
            )
        if num_parts > 1 and num_gpus % (heads * num_parts):
            raise UsageError(
                f"context parallelism over {num_parts} GPUs: {num_gpus} GPUs hold no {num_parts} copies of "
                f"{heads} KV heads",
                f"raise tensor parallelism to {heads * num_parts}, or lower context parallelism",
            )


def _divides(state: StateSize, num_gpus: int) -> bool:
    return not (state.channels % num_gpus or state.recurrent % num_gpus)


def _ceil(value: int, unit: int) -> int:
    return -(-value // unit)
