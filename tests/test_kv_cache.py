"""Tests of the KV cache's size: bytes a token, for full and for sliding layers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lctx.core.models.profile import AttentionShape
from lctx.core.planning.kv_cache import kv_cache_bytes

GEMMA = AttentionShape(num_layers=18, num_kv_heads=1, head_dim=256, sliding_window=512, num_sliding_layers=15)
SMOLLM2 = AttentionShape(num_layers=30, num_kv_heads=3, head_dim=64)


def test_bytes_agree_with_what_an_engine_prints():
    """This test ensures that 2 GiB hold as many tokens of SmolLM2-135M as vLLM says: 93,184 in blocks of 128."""
    per_block = kv_cache_bytes(SMOLLM2, 128)
    assert (2 << 30) // per_block * 128 == 93_184


def test_a_sliding_layer_keeps_its_window_only():
    """This test ensures that beyond the window only the full layers grow."""
    per_token = 2 * 1 * 256 * 2
    assert kv_cache_bytes(GEMMA, 512) == per_token * 18 * 512
    assert kv_cache_bytes(GEMMA, 4096) == per_token * (3 * 4096 + 15 * 512)


@given(st.integers(0, 1_000_000), st.integers(0, 1_000_000), st.sampled_from([GEMMA, SMOLLM2]))
def test_more_tokens_never_cost_less(one, other, shape):
    """This test ensures that the size grows with the length, and half-size values cost half."""
    few, many = sorted((one, other))
    assert kv_cache_bytes(shape, few) <= kv_cache_bytes(shape, many)
    assert 2 * kv_cache_bytes(shape, many, 1) == kv_cache_bytes(shape, many)


def test_no_tokens_cost_nothing():
    """This test ensures that an empty prompt is free, and a negative one our mistake."""
    assert kv_cache_bytes(SMOLLM2, 0) == 0
    with pytest.raises(ValueError, match="num_tokens"):
        kv_cache_bytes(SMOLLM2, -1)
