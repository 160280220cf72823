"""Tests of weight bytes: published checkpoints, formats as config.json files tell them, files on the disk."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_configs import CONFIGS

from lctx.core.models.parameters import ParameterCount, count_parameters
from lctx.core.models.weights import (
    Quantization,
    WeightFormat,
    active_weight_bytes,
    quantization_of,
    stored_weight_bytes,
    weight_bytes,
    weight_format_of,
)

GIB = 2**30
# Bytes of all weights as published, and how near the count comes: what is missing are a correction of the
# routing for each expert (AWQ), a scale for each row (int8), the experts' biases in 16 bits (gpt-oss).
# Source: total_size in model.safetensors.index.json of Llama-3.1-8B-Instruct, of
# kvcache-ai/sglang_awq@1e697f11a5dac8564650be2d763c77240e6812c9 (groups of 64) and of
# jeevanchaps/Meta-Llama3.1-8B-Instruct-assessment@3c36ac64c04b2d72ffb0e7d4dd3dc2ac25b6f980;
# gpt-oss: arXiv:2508.10925, table 1.
AWQ = {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 64}}
PUBLISHED = [
    ("Llama-3.1-8B", Quantization.BFLOAT16, 16_060_522_496, 0),
    ("Llama-3.1-8B", Quantization.INT8, 9_086_705_888, 0.001),
    ("DeepSeek-V3", weight_format_of(AWQ), 364_589_799_936, 1e-7),
    ("gpt-oss-20b", Quantization.MXFP4, 12.8 * GIB, 0.002),
    ("gpt-oss-120b", Quantization.MXFP4, 60.8 * GIB, 0.002),
]
INT4 = {"num_bits": 4, "type": "int", "group_size": 32, "symmetric": True}
KIMI = {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": INT4}},
        "ignore": ["lm_head", "re:.*self_attn.*"]}  # fmt: skip
FORMATS = [
    ({}, Quantization.BFLOAT16),
    ({"torch_dtype": "float16"}, Quantization.FLOAT16),
    ({"dtype": "torch.float32"}, Quantization.FLOAT32),
    ({"dtype": "bfloat16", "quantization_config": None}, Quantization.BFLOAT16),
    ({"dtype": "int3"}, None),
    ({"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}, Quantization.FP8),
    ({"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}}, Quantization.INT4),
    ({"quantization_config": {"quant_method": "gptq", "bits": 8, "group_size": 128}}, Quantization.INT8),
    ({"quantization_config": {"quant_method": "gptq", "bits": 3}}, None),
    ({"quantization_config": {"quant_method": "mxfp4"}}, Quantization.MXFP4),
    ({"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}}, Quantization.NVFP4),
    ({"quantization_config": {"quant_method": "modelopt", "quant_algo": "FP8"}}, Quantization.FP8),
    ({"quantization_config": {"quant_algo": "FP8", "config_groups": {}}}, Quantization.FP8),
    ({"quantization_config": KIMI}, Quantization.INT4),
    ({"quantization_config": {"quant_method": "unheard-of"}}, None),
    ({"quantization_config": {}}, None),
]


def compressed(**weights):
    return {
        "quantization_config": {
            "quant_method": "compressed-tensors",
            "config_groups": {"0": {"weights": weights}},
        }
    }


@pytest.mark.parametrize(("name", "kept_as", "published", "within"), PUBLISHED)
def test_bytes_are_those_of_the_published_files(name, kept_as, published, within):
    """This test ensures that the sizes of published checkpoints come out, to the byte where nothing is quantised."""
    assert weight_bytes(count_parameters(CONFIGS[name]), kept_as) == pytest.approx(published, rel=within)


def test_a_group_pays_for_its_scale():
    """This test ensures that each format costs its bits, its share of the scales, and 16 bits for what stays wide."""
    count = ParameterCount(total=16_384 + 30, active=16_384 + 10, embedding=10, head=10, kept=10)
    narrow = {
        Quantization.FLOAT16: 32_768,
        Quantization.FP8: 16_384 + 4,
        Quantization.INT8: 16_384,
        Quantization.INT4: 8192 + 128 * 2 + 128 // 2,
        Quantization.MXFP4: 8192 + 512,
        Quantization.NVFP4: 8192 + 1024,
    }
    assert {kind: weight_bytes(count, kind) - 60 for kind in narrow} == narrow
    assert {kind: active_weight_bytes(count, kind) - 40 for kind in narrow} == narrow
    assert weight_bytes(count, Quantization.FLOAT32) == 4 * count.total


@pytest.mark.parametrize(("config", "expected"), FORMATS)
def test_a_config_tells_its_quantisation(config, expected):
    """This test ensures that each way of saying it is understood, and that another gives no answer."""
    assert quantization_of(config) is expected


@pytest.mark.parametrize(
    ("weights", "expected", "bits"),
    [
        ({"num_bits": 8, "type": "float"}, Quantization.FP8, 8 + Fraction(1, 512)),
        ({"num_bits": 4, "type": "float", "group_size": 16}, Quantization.NVFP4, Fraction(9, 2)),
        ({"num_bits": 4, "type": "float", "group_size": 32}, Quantization.MXFP4, Fraction(17, 4)),
        ({"num_bits": 8, "type": "int"}, Quantization.INT8, Fraction(8)),
        (INT4, Quantization.INT4, Fraction(9, 2)),
        (INT4 | {"symmetric": False}, Quantization.INT4, 4 + Fraction(20, 32)),
    ],
)
def test_compressed_tensors_are_told_by_their_numbers(weights, expected, bits):
    """This test ensures that kind, bits and group give the format, and its bits those of the scales."""
    assert weight_format_of(compressed(**weights)) == WeightFormat(expected, bits)


@pytest.mark.parametrize(
    "groups", [{}, {"0": None}, {"0": {"weights": 4}}, {"0": {"weights": {"type": "float"}}}]
)
def test_compressed_tensors_that_say_nothing_are_not_guessed(groups):
    """This test ensures that a group without numbers gives no format."""
    told = {"quant_method": "compressed-tensors", "config_groups": groups}
    assert weight_format_of({"quantization_config": told}) is None


def test_experts_alone_are_quantised_where_attention_is_spared():
    """This test ensures that a pattern for all attention leaves everything but the experts in 16 bits."""
    count = count_parameters(CONFIGS["Kimi-K2"])
    kind = weight_format_of({"quantization_config": KIMI})
    assert kind.experts_only
    assert weight_bytes(count, kind) == count.routed * 9 // 16 + 2 * (count.total - count.routed)
    dense = count_parameters(CONFIGS["Llama-3.1-8B"])
    assert weight_bytes(dense, kind) < weight_bytes(dense, Quantization.FP8)


@given(st.sampled_from(sorted(CONFIGS)), st.sampled_from(Quantization))
def test_a_token_reads_no_more_than_there_is(name, quantization):
    """This test ensures that active bytes are part of all, and no format is wider than float32."""
    count = count_parameters(CONFIGS[name])
    read, stored = active_weight_bytes(count, quantization), weight_bytes(count, quantization)
    assert 0 < read <= stored <= 4 * count.total


def test_a_written_token_reads_the_active_weights_and_the_output_table():
    """This test ensures that a dense model in bfloat16 reads all but its input table, and gpt-oss its experts in part."""
    dense = count_parameters(CONFIGS["Llama-3.1-8B"])
    assert active_weight_bytes(dense, Quantization.BFLOAT16) == 2 * (dense.total - dense.embedding)
    tied = count_parameters(CONFIGS["Gemma-3-270M"])
    assert active_weight_bytes(tied, Quantization.BFLOAT16) == 2 * tied.total
    experts = count_parameters(CONFIGS["gpt-oss-20b"])
    met = experts.routed * 4 // 32
    others = experts.total - experts.embedding - experts.routed
    assert active_weight_bytes(experts, Quantization.MXFP4) == met * 17 // 32 + 2 * others


def write(path, num_bytes):
    path.write_bytes(bytes(num_bytes))
    return path


def test_a_directory_s_weights_are_counted_once(tmp_path):
    """This test ensures that a second copy under another name, adapters and other files do not count."""
    assert stored_weight_bytes(tmp_path) is None
    write(tmp_path / "pytorch_model.bin", 7)
    assert stored_weight_bytes(tmp_path) == 7
    write(tmp_path / "consolidated.safetensors", 50)
    assert stored_weight_bytes(tmp_path) == 50
    write(tmp_path / "model-00001-of-00002.safetensors", 30)
    write(tmp_path / "model-00002-of-00002.safetensors", 20)
    write(tmp_path / "adapter_model.safetensors", 3)
    write(tmp_path / "config.json", 9)
    assert stored_weight_bytes(tmp_path) == 50


def test_an_index_says_which_files_count(tmp_path):
    """This test ensures that the index decides, that a missing part gives no sum, and that no path leads out."""
    write(tmp_path / "model-00001-of-00002.safetensors", 30)
    write(tmp_path / "model-old.safetensors", 1000)
    index = tmp_path / "model.safetensors.index.json"
    names = {
        "a": "model-00001-of-00002.safetensors",
        "b": "model-00002-of-00002.safetensors",
        "c": "../../secret",
    }
    index.write_text(json.dumps({"weight_map": names}))
    assert stored_weight_bytes(tmp_path) is None
    write(tmp_path / "model-00002-of-00002.safetensors", 20)
    assert stored_weight_bytes(tmp_path) == 50
    for damaged in ("{", "[]", '{"weight_map": 3}'):
        index.write_text(damaged)
        assert stored_weight_bytes(tmp_path) == 1050


def test_adapters_alone_are_no_model(tmp_path):
    """This test ensures that a directory of adapters has no weights of its own, and odd names still count."""
    write(tmp_path / "adapter_model.safetensors", 3)
    assert stored_weight_bytes(tmp_path) is None
    write(tmp_path / "weights.safetensors", 5)
    assert stored_weight_bytes(tmp_path) == 5


def test_a_gguf_file_is_as_large_as_all_its_parts(tmp_path):
    """This test ensures that a split file counts whole, and not at all with a part missing."""
    single = write(tmp_path / "one.gguf", 11)
    assert stored_weight_bytes(single) == 11
    first = write(tmp_path / "big-00001-of-00002.gguf", 5)
    assert stored_weight_bytes(first) is None
    write(tmp_path / "big-00002-of-00002.gguf", 6)
    assert stored_weight_bytes(first) == 11
    assert stored_weight_bytes(write(tmp_path / "of-none-of-them.gguf", 4)) == 4
    assert stored_weight_bytes(tmp_path / "nowhere") is None
    assert stored_weight_bytes(write(tmp_path / "notes.txt", 4)) is None


def test_an_impossible_number_of_parts_is_not_waited_for(tmp_path):
    """This test ensures that a name that claims a billion parts is answered at the first that is missing."""
    assert stored_weight_bytes(write(tmp_path / "big-0000000001-of-9999999999.gguf", 5)) is None


@pytest.mark.vllm
def test_a_real_directory_is_what_its_count_says(vllm_model_dir):
    """This test ensures that the float32 weights of a real model take four bytes each, beside a small header."""
    count = count_parameters(json.loads((vllm_model_dir / "config.json").read_text("utf-8")))
    stored = stored_weight_bytes(vllm_model_dir)
    assert 0 < stored - weight_bytes(count, Quantization.FLOAT32) < 100_000
