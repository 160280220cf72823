"""Tests of shapes: every kind of layer from a config.json and from a GGUF header, and what is none of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_texts import write_gguf

from lctx.core.models.gguf import GgufHeader, read_header
from lctx.core.models.layers import LayerGroup, LayerKind, StateSize
from lctx.core.models.shape import shape_from_config
from lctx.core.models.shape_gguf import shape_from_gguf
from lctx.core.planning.kv_blocks import KvSettings, plan_blocks
from lctx.core.planning.kv_cache import kv_cache_bytes

PLAIN = {"num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 2, "hidden_size": 256}
FULL = LayerGroup(LayerKind.FULL, 8, 2, 32, 32)
MAMBA2 = {"mamba_num_heads": 4, "mamba_head_dim": 8, "n_groups": 2, "ssm_state_size": 16, "conv_kernel": 4}
DELTA = {
    f"linear_{name}": 4
    for name in ("num_key_heads", "num_value_heads", "key_head_dim", "value_head_dim", "conv_kernel_dim")
}
LATENT = {"kv_lora_rank": 512, "qk_rope_head_dim": 64}


def group(kind, num_layers, reach=None, num_heads=2, dim=32):
    return LayerGroup(kind, num_layers, num_heads, dim, dim, reach)


KIMI = {
    "num_heads": 2,
    "head_dim": 8,
    "short_conv_kernel_size": 4,
    "full_attn_layers": [4, 8],
    "kda_layers": [1, 2, 3, 5, 6, 7],
}
CONFIGS = [
    ({}, (FULL,)),
    ({"num_key_value_heads": None}, (group(LayerKind.FULL, 8, num_heads=8),)),
    ({"num_key_value_heads": 1}, (group(LayerKind.FULL, 8, num_heads=1),)),
    ({"head_dim": 128}, (group(LayerKind.FULL, 8, dim=128),)),
    ({"sliding_window": 4096}, (FULL,)),
    ({"sliding_window": 4096, "model_type": "mistral"}, (group(LayerKind.SLIDING, 8, 4096),)),
    ({"sliding_window": None, "model_type": "mistral"}, (FULL,)),
    ({"sliding_window": 64, "sliding_window_pattern": 4}, (group(LayerKind.FULL, 2), group(LayerKind.SLIDING, 6, 64))),
    ({"model_type": "gemma3_text", "sliding_window": 64, "head_dim": 32},
     (group(LayerKind.FULL, 1), group(LayerKind.SLIDING, 7, 64))),
    ({"layer_types": ["sliding_attention"] * 3 + ["full_attention"] * 5, "sliding_window": 64},
     (group(LayerKind.FULL, 5), group(LayerKind.SLIDING, 3, 64))),
    ({"layer_types": ["sliding_attention"] * 3 + ["full_attention"] * 5}, (FULL,)),
    ({"layer_types": ["chunked_attention", "full_attention"] * 4, "attention_chunk_size": 64},
     (group(LayerKind.FULL, 4), group(LayerKind.CHUNKED, 4, 64))),
    ({"model_type": "llama4_text"}, (group(LayerKind.FULL, 2), group(LayerKind.CHUNKED, 6, 8192))),
    ({"attention_chunk_size": 64, "no_rope_layers": [1, 1, 1, 1, 1, 1, 1, 0]},
     (group(LayerKind.FULL, 1), group(LayerKind.CHUNKED, 7, 64))),
    (LATENT, (LayerGroup(LayerKind.LATENT, 8, 1, 576, rope_dim=64),)),
    (LATENT | {"index_head_dim": 128}, (LayerGroup(LayerKind.LATENT, 8, 1, 576, rope_dim=64, index_bytes=132),)),
    (LATENT | {"linear_attn_config": KIMI},
     (LayerGroup(LayerKind.LATENT, 2, 1, 576, rope_dim=64),
      LayerGroup(LayerKind.STATE, 6, state=StateSize(48, 4, 128, recurrent_bytes=4)))),
    (DELTA | {"full_attention_interval": 4},
     (group(LayerKind.FULL, 2), LayerGroup(LayerKind.STATE, 6, state=StateSize(48, 4, 64)))),
    (DELTA | {"layer_types": ["linear_attention", "full_attention"] * 4, "mamba_ssm_dtype": "float32"},
     (group(LayerKind.FULL, 4), LayerGroup(LayerKind.STATE, 4, state=StateSize(48, 4, 64, recurrent_bytes=4)))),
    (MAMBA2 | {"hybrid_override_pattern": "M-M*EMM*"},
     (group(LayerKind.FULL, 2), LayerGroup(LayerKind.STATE, 4, state=StateSize(32, 4, 512, 2, 32, recurrent_bytes=4)))),
    (MAMBA2 | {"layers_block_type": ["mamba", "moe", "attention", "mlp"] * 2, "mamba_ssm_cache_dtype": "bfloat16"},
     (group(LayerKind.FULL, 2), LayerGroup(LayerKind.STATE, 2, state=StateSize(32, 4, 512, 2, 32, recurrent_bytes=2)))),
    ({"layer_types": ["mamba", "attention"] * 4, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_n_groups": 2,
      "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2},
     (group(LayerKind.FULL, 4), LayerGroup(LayerKind.STATE, 4, state=StateSize(32, 4, 512, 2, 32)))),
    ({"attn_layer_period": 4, "attn_layer_offset": 2, "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2},
     (group(LayerKind.FULL, 2), LayerGroup(LayerKind.STATE, 6, state=StateSize(512, 4, 8192)))),
    ({"attn_type_list": [1] * 8}, (FULL,)),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "expected"), CONFIGS)
def test_a_config_becomes_layers(changed, expected):
    """This test ensures that each family's spelling of its layers is understood."""
    shape = shape_from_config(PLAIN | changed)
    assert shape is not None
    assert shape.layers == expected


UNKNOWN = [
    {"num_hidden_layers": 0}, {"num_hidden_layers": 10**12}, {"num_attention_heads": None}, {"hidden_size": None},
    {"num_key_value_heads": [2] * 8}, {"num_key_value_heads": 0}, {"layer_types": ["full_attention"] * 7},
    {"layer_types": ["conv"] * 8}, {"layer_types": [{}] * 8}, {"layer_types": ["linear_attention"] * 8},
    {"hybrid_override_pattern": "M*"}, {"hybrid_override_pattern": "????????"}, {"linear_attn_config": {}},
    {"kv_lora_rank": 512}, {"mamba_d_state": 16}, {"compress_ratios": [4]}, {"num_kv_shared_layers": 4},
    {"attn_type_list": [0, 1] * 4}, LATENT | {"sliding_window": 64, "model_type": "mistral"},
]  # fmt: skip


@pytest.mark.parametrize("changed", UNKNOWN, ids=str)
def test_what_is_not_understood_has_no_shape(changed):
    """This test ensures that a plan says nothing of memory rather than something wrong."""
    assert shape_from_config(PLAIN | changed) is None


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
KEYS = sorted({key for changed, _ in CONFIGS for key in changed} | PLAIN.keys() | KIMI.keys())


@given(
    st.sampled_from([changed for changed, _ in CONFIGS]),
    st.dictionaries(st.sampled_from(KEYS), JUNK, max_size=4),
)
def test_a_hostile_config_is_no_crash(changed, junk):
    """This test ensures that whatever a config.json holds is a shape or none."""
    shape = shape_from_config(PLAIN | changed | junk)
    if shape is not None:
        assert all(0 < one.num_layers <= 4096 for one in shape.layers)
        assert 0 < kv_cache_bytes(shape, 1) <= kv_cache_bytes(shape, 1000)
        assert plan_blocks(shape, KvSettings()).bytes_for(1000) >= kv_cache_bytes(shape, 1000)


HEADER = {
    "general.architecture": "any",
    "any.block_count": 4,
    "any.embedding_length": 256,
    "any.attention.head_count": 8,
    "any.attention.head_count_kv": 2,
}
SSM = {"any.ssm.conv_kernel": 4, "any.ssm.inner_size": 32, "any.ssm.state_size": 16, "any.ssm.group_count": 2}
STATE = StateSize(32, 4, 512, 2, 32, conv_bytes=4, recurrent_bytes=4)
MLA = {"any.attention.kv_lora_rank": 512, "any.rope.dimension_count": 64, "any.attention.key_length_mla": 192}
GGUFS = [
    ({}, (group(LayerKind.FULL, 4),)),
    ({"any.attention.key_length": 64, "any.attention.value_length": 16}, (LayerGroup(LayerKind.FULL, 4, 2, 64, 16),)),
    ({"any.attention.head_count_kv": [2, 4, 2, 2]}, (group(LayerKind.FULL, 3), group(LayerKind.FULL, 1, num_heads=4))),
    ({"any.attention.shared_kv_layers": 1}, (group(LayerKind.FULL, 3),)),
    (
        {"any.attention.sliding_window": 64, "any.attention.sliding_window_pattern": 4, "any.attention.key_length_swa": 16,
         "any.attention.value_length_swa": 16},
        (group(LayerKind.FULL, 1), group(LayerKind.SLIDING, 3, 64, dim=16)),
    ),
    (MLA, (LayerGroup(LayerKind.LATENT, 4, 1, 576, rope_dim=64),)),
    (MLA | {"any.attention.key_length_mla": 0}, None),
    (MLA | {"any.attention.indexer.top_k": 64}, None),
    (SSM, None),
    (SSM | {"any.attention.head_count_kv": [0, 2, 0, 0]}, None),
    ({"any.attention.head_count_kv": [0, 2, 0, 0]}, None),
    ({"any.block_count": 1 << 30}, None),
    ({"any.attention.shared_kv_layers": 4}, None),
    ({"any.wkv.head_size": 64}, None),
    ({"any.attention.head_count": 0}, None),
]  # fmt: skip


def named(metadata, architecture):
    """The same header for another architecture."""
    return {
        key.replace("any.", f"{architecture}."): architecture if key == "general.architecture" else value
        for key, value in metadata.items()
    }


@pytest.mark.parametrize(("changed", "expected"), GGUFS)
def test_a_header_becomes_layers(changed, expected, tmp_path):
    """This test ensures that heads, windows and latents of a header are understood, layer by layer where they differ."""
    shape = shape_from_gguf(read_header(write_gguf(tmp_path / "m.gguf", HEADER | changed)))
    assert (shape.layers if shape else None) == expected


@pytest.mark.parametrize(
    ("architecture", "changed", "expected"),
    [
        ("jamba", {}, (group(LayerKind.FULL, 1), LayerGroup(LayerKind.STATE, 3, state=STATE))),
        (
            "nemotron_h",
            {"any.feed_forward_length": [0, 0, 64, 0]},
            (group(LayerKind.FULL, 1), LayerGroup(LayerKind.STATE, 2, state=STATE)),
        ),
        ("jamba", {"any.ssm.conv_kernel": 0}, None),
    ],
)
def test_a_header_s_mamba_layers_are_states(architecture, changed, expected, tmp_path):
    """This test ensures that layers without KV heads are states, but for Nemotron-H's feed-forward layers."""
    metadata = HEADER | SSM | {"any.attention.head_count_kv": [0, 2, 0, 0]} | changed
    shape = shape_from_gguf(read_header(write_gguf(tmp_path / "m.gguf", named(metadata, architecture))))
    assert (shape.layers if shape else None) == expected


NUMBERS = st.one_of(
    st.integers(-(1 << 40), 1 << 40),
    st.integers(0, 5000),
    st.lists(st.integers(-3, 9), max_size=6),
    st.text(max_size=2),
)
NAMES = sorted({name for changed, _ in GGUFS for name in changed} | HEADER.keys() | SSM.keys())


@given(
    st.sampled_from(["any", "jamba", "nemotron_h", "gemma3"]),
    st.sampled_from([changed for changed, _ in GGUFS]),
    st.dictionaries(st.sampled_from(NAMES), NUMBERS, max_size=4),
)
def test_a_hostile_header_is_no_crash(architecture, changed, junk):
    """This test ensures that whatever a header holds is a shape that costs something, or none."""
    metadata = HEADER | changed | junk | {"general.architecture": "any"}
    shape = shape_from_gguf(GgufHeader(3, named(metadata, architecture), 0))
    if shape is not None:
        assert all(0 < one.num_layers <= 4096 for one in shape.layers)
        assert 0 < kv_cache_bytes(shape, 1) <= kv_cache_bytes(shape, 1000)
        assert plan_blocks(shape, KvSettings()).bytes_for(1000) >= kv_cache_bytes(shape, 1000)
