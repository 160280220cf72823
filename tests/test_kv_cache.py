"""Tests of the KV cache's size: bytes a token for every kind of layer, and the manual's worked numbers."""

import ast
import math
import operator
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lctx.core.models.cards import find_card, model_cards
from lctx.core.models.layers import LayerGroup, LayerKind, StateSize
from lctx.core.models.profile import AttentionShape
from lctx.core.planning.kv_blocks import KvSettings, plan_blocks
from lctx.core.planning.kv_cache import KvDtype, growth_bytes, kv_cache_bytes, state_bytes, token_bytes

GEMMA = AttentionShape.uniform(
    num_layers=18, num_kv_heads=1, head_dim=256, sliding_window=512, num_sliding_layers=15
)
SMOLLM2 = AttentionShape.uniform(num_layers=30, num_kv_heads=3, head_dim=64)
PAGE = Path(__file__).resolve().parent.parent / "docs/concepts/kv-cache.md"
MILLION = 1_048_576


def test_bytes_agree_with_what_an_engine_prints():
    """This test ensures that 2 GiB hold as many tokens of SmolLM2-135M as vLLM says: 93,184 in blocks of 128."""
    per_block = kv_cache_bytes(SMOLLM2, 128)
    assert (2 << 30) // per_block * 128 == 93_184


def test_a_sliding_layer_keeps_its_window_only():
    """This test ensures that beyond the window only the full layers grow."""
    per_token = 2 * 1 * 256 * 2
    assert kv_cache_bytes(GEMMA, 512) == per_token * 18 * 512
    assert kv_cache_bytes(GEMMA, 4096) == per_token * (3 * 4096 + 15 * 512)


SHAPES = [GEMMA, *(card.shape for card in model_cards())]


@given(
    st.integers(0, 10_000_000), st.integers(0, 10_000_000), st.sampled_from(SHAPES), st.sampled_from(KvDtype)
)
def test_more_tokens_never_cost_less(one, other, shape, dtype):
    """This test ensures that the size grows with the length, whatever the layers and the dtype."""
    few, many = sorted((one, other))
    assert kv_cache_bytes(shape, few, dtype) <= kv_cache_bytes(shape, many, dtype)


@given(st.integers(0, 1_000_000), st.sampled_from([GEMMA, SMOLLM2]))
def test_narrower_values_cost_in_proportion(num_tokens, shape):
    """This test ensures that fp8 halves K and V, and float32 doubles them."""
    half, plain, double = (
        kv_cache_bytes(shape, num_tokens, d) for d in (KvDtype.FP8, KvDtype.FP16, KvDtype.FP32)
    )
    assert (2 * half, double) == (plain, 2 * plain)


def test_no_tokens_cost_nothing():
    """This test ensures that an empty prompt is free, also of states, and a negative one our mistake."""
    assert [kv_cache_bytes(shape, 0) for shape in SHAPES] == [0] * len(SHAPES)
    with pytest.raises(ValueError, match="num_tokens"):
        kv_cache_bytes(SMOLLM2, -1)


# Bytes a token in bf16 as published for each architecture, and GiB at 1,048,576 tokens.
GROWTH = [
    ("SmolLM2-135M", 23_040, 22.5),
    ("Qwen2.5-7B-Instruct-1M", 57_344, 56.0),
    ("Llama-3.1-8B", 131_072, 128.0),
    ("Qwen3-30B-A3B-2507", 98_304, 96.0),
    ("Llama-4-Scout", 49_152, 48.0),
    ("Qwen3-Next-80B-A3B", 24_576, 24.0),
    ("gpt-oss-20b", 24_576, 24.0),
    ("Kimi-Linear-48B-A3B", 8_064, 7.875),
    ("Nemotron-3-Nano-30B-A3B", 6_144, 6.0),
    ("DeepSeek-V3", 70_272, 68.625),
]


@pytest.mark.parametrize(("name", "per_token", "gib"), GROWTH)
def test_a_million_tokens_cost_what_is_published(name, per_token, gib):
    """This test ensures that the slope of a long context is right to the byte for every kind of layer."""
    shape = find_card(name).shape
    assert growth_bytes(shape) == per_token
    assert growth_bytes(shape) * MILLION == gib * 2**30
    longer = kv_cache_bytes(shape, 2 * MILLION) - kv_cache_bytes(shape, MILLION)
    assert longer == per_token * MILLION


def test_sparse_attention_keeps_its_index_beside_the_latent():
    """This test ensures that DeepSeek-V3.2 costs 656 + 132 bytes a layer in fp8_ds_mla, 46.94 GiB a million tokens."""
    shape = find_card("DeepSeek-V3.2").shape
    assert token_bytes(shape.layers[0], KvDtype.FP8_DS_MLA) == 656 + 132
    assert token_bytes(shape.layers[0], KvDtype.BF16) == 576 * 2 + 132
    assert growth_bytes(shape, KvDtype.FP8_DS_MLA) == 48_068
    assert round(48_068 * MILLION / 2**30, 2) == 46.94


def test_heads_are_divided_and_then_replicated():
    """This test ensures that eight KV heads over sixteen GPUs cost one head on each, and a latent all of it."""
    heads = find_card("Llama-3.1-8B").shape.layers[0]
    assert [token_bytes(heads, KvDtype.BF16, gpus) for gpus in (1, 2, 8, 16)] == [4096, 2048, 512, 512]
    latent = find_card("DeepSeek-V3").shape.layers[0]
    assert [token_bytes(latent, KvDtype.BF16, gpus) for gpus in (1, 8)] == [1152, 1152]


def test_states_are_constant_and_divided():
    """This test ensures that a state has the size of its parts, each in its own dtype, a group of B and C a GPU."""
    delta = find_card("Kimi-Linear-48B-A3B").shape.layers[1].state
    assert state_bytes(delta, KvDtype.BF16) == 3 * 4096 * 3 * 2 + 32 * 128 * 128 * 4
    assert state_bytes(delta, KvDtype.BF16, 8) * 8 == state_bytes(delta, KvDtype.BF16)
    mamba = find_card("Nemotron-3-Nano-30B-A3B").shape.layers[1].state
    assert state_bytes(mamba, KvDtype.BF16) == (4096 + 2 * 8 * 128) * 3 * 2 + 64 * 64 * 128 * 4
    grouped = StateSize(channels=64, kernel=4, recurrent=64, num_groups=1, group_channels=16)
    assert state_bytes(grouped, KvDtype.BF16, 4) == ((64 + 4 * 16) * 3 * 2 + 64 * 2) // 4
    with pytest.raises(ValueError, match="state"):
        token_bytes(LayerGroup(LayerKind.STATE, 1, state=delta), KvDtype.BF16)


OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
FUNCTIONS = {"ceil": math.ceil, "floor": math.floor, "min": min}


def value_of(node):
    """The number that an expression of the manual stands for."""
    match node:
        case ast.Expression(body):
            return value_of(body)
        case ast.Constant(int(value)):
            return value
        case ast.BinOp(left, op, right):
            return OPERATORS[type(op)](value_of(left), value_of(right))
        case ast.Call(ast.Name(name), arguments):
            return FUNCTIONS[name](*map(value_of, arguments))
    raise AssertionError(ast.dump(node))


def test_every_worked_line_of_the_manual_holds():
    """This test ensures that each calculation of the page gives the number behind its sign of equality."""
    lines = re.findall(r"^    ([^=\n]*\d[^=\n]*) = ([\d,]+)(?: \w+)*$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(lines) == len(re.findall(r"^    .*=", PAGE.read_text("utf-8"), re.MULTILINE)) > 12
    for worked, result in lines:
        expression = re.sub(r"(?<=\d),(?=\d{3})", "", worked).replace("×", "*")
        assert value_of(ast.parse(expression, mode="eval")) == int(result.replace(",", "")), worked


def test_the_manual_s_table_is_what_lctx_computes():
    """This test ensures that bytes a token, GiB at a million tokens and what vLLM takes come from the same cards."""
    rows = re.findall(
        r"^\| ([\w.-]+) \| ([\d,]+) \| ([\d.]+) \| ([\d.]+) \|", PAGE.read_text("utf-8"), re.MULTILINE
    )
    assert {name for name, *_ in rows} >= {name for name, *_ in GROWTH}
    for name, per_token, kept, taken in rows:
        shape = find_card(name).shape
        assert f"{growth_bytes(shape):,}" == per_token, name
        assert f"{kv_cache_bytes(shape, MILLION) / 2**30:.2f}" == kept, name
        assert f"{plan_blocks(shape, KvSettings()).bytes_for(MILLION) / 2**30:.2f}" == taken, name
