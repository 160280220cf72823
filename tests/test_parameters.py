"""Tests of parameter counts: published totals, real GGUF files, and the classes that transformers builds."""

import json
import struct
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_configs import CONFIGS
from token_texts import gguf

from lctx.core.models.compute import compute_from_config
from lctx.core.models.gguf import GgufHeader, read_header
from lctx.core.models.parameters import ParameterCount, count_parameters, parameters_from_gguf
from lctx.core.models.weights import Quantization, active_weight_bytes, weight_bytes, weight_format_of

# Billions as their makers print them: all weights, and those that a token meets (None where nobody says).
PUBLISHED = [
    ("SmolLM2-135M", 0.135, None),
    ("Llama-3.1-8B", 8.03, None),
    ("Llama-3.1-405B", 405.9, None),
    ("Mistral-7B-v0.1", 7.24, None),
    ("Mixtral-8x7B", 46.7, 12.9),
    ("Qwen2.5-7B", 7.62, None),
    ("Qwen3-8B", 8.19, None),
    ("Qwen3-30B-A3B", 30.5, 3.3),
    ("Gemma-3-270M", 0.268, None),
    ("gpt-oss-20b", 20.9, 3.6),
    ("gpt-oss-120b", 116.8, 5.1),
    ("Llama-4-Scout", 107.8, 17.2),
    ("Llama-4-Maverick", 400.7, 17.2),
    ("DeepSeek-V2", 235.7, 21.4),
    ("DeepSeek-V2-Lite", 15.7, 2.7),
    ("DeepSeek-V3", 671.0, 37.5),
    ("Kimi-K2", 1026.4, 32.9),
    ("Nemotron-3-Nano-30B-A3B", 31.6, 3.6),
    ("Jamba-v0.1", 51.6, 12.1),
]
BUILD = """
import json, sys, torch, transformers
from transformers import AutoConfig, AutoModelForCausalLM

counted = {}
for name, config in json.load(sys.stdin).items():
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    tables = [table and table.weight.numel() for table in (model.get_input_embeddings(), model.get_output_embeddings())]
    experts = sum(p.numel() for n, p in model.named_parameters() if ".experts." in n)
    counted[name] = [sum(p.numel() for p in model.parameters()), *tables, experts]
print(json.dumps(counted))
"""


@pytest.mark.parametrize(("name", "total", "active"), PUBLISHED)
def test_counts_are_what_makers_publish(name, total, active):
    """This test ensures that totals agree within 0.4 %, and active weights, with the tables that they count, within 3 %."""
    count = count_parameters(CONFIGS[name])
    assert count.total / 1e9 == pytest.approx(total, rel=0.004)
    if active is not None:
        spread = [count.active, count.active + count.embedding, count.active + count.embedding + count.head]
        assert min(abs(one / 1e9 / active - 1) for one in spread) < 0.03


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_the_parts_add_up(name):
    """This test ensures that active weights are all but the tables and the experts that a token does not meet."""
    count, config = count_parameters(CONFIGS[name]), CONFIGS[name]
    layers = count.total - count.embedding - count.head
    assert 0 < count.active <= layers
    assert layers - count.routed <= count.active
    assert (count.active == layers) == (count.routed == 0)
    assert bool(count.head) != config["tie_word_embeddings"]
    assert 0 < count.kept < 0.02 * count.total


@pytest.mark.vllm
def test_counts_are_those_of_the_classes_themselves(vllm_python):
    """This test ensures that every family has, to the weight, the parameters of the model that transformers builds."""
    done = subprocess.run(
        [vllm_python, "-W", "ignore", "-c", BUILD],
        input=json.dumps(CONFIGS),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for name, (total, embedding, head, experts) in json.loads(done.stdout.splitlines()[-1]).items():
        count = count_parameters(CONFIGS[name])
        tied = CONFIGS[name]["tie_word_embeddings"]
        assert [count.total, count.embedding, count.head, count.routed] == [
            total,
            embedding,
            0 if tied else head,
            experts,
        ], name


def test_layers_without_experts_are_told_in_every_way():
    """This test ensures that each key for dense layers among sparse ones gives the same count."""
    plain = CONFIGS["Qwen3-30B-A3B"] | {"num_hidden_layers": 4}
    half = count_parameters(plain | {"decoder_sparse_step": 2})
    ways = [
        {"mlp_only_layers": [0, 2]},
        {"mlp_layer_types": ["dense", "sparse"] * 2},
        {"first_k_dense_replace": 2},
        {"moe_layer_freq": [0, 1, 0, 1]},
        {"moe_layer_freq": 2},
        {"moe_layers": [1, 3]},
        {"expert_layer_period": 2, "expert_layer_offset": 1},
    ]
    assert [count_parameters(plain | one) for one in ways] == [half] * len(ways)
    assert half.total < count_parameters(plain).total


def test_biases_and_norms_are_counted_where_they_are():
    """This test ensures that what a config.json switches on is there, and nothing else changes."""
    plain = CONFIGS["Llama-3.1-8B"]
    base = count_parameters(plain)
    attention = count_parameters(plain | {"attention_bias": True})
    assert attention.total - base.total == attention.kept - base.kept == 32 * (4096 + 2 * 1024 + 4096)
    feed_forward = count_parameters(plain | {"mlp_bias": True})
    assert feed_forward.total - base.total == 32 * (2 * 14336 + 4096)


def test_a_table_that_is_shared_is_counted_once():
    """This test ensures that Gemma's table is one without a word of the config.json, and Llama's are two."""
    for name, head in (("Gemma-3-27B", 0), ("Llama-3.1-8B", 128256 * 4096)):
        said = {key: value for key, value in CONFIGS[name].items() if key != "tie_word_embeddings"}
        assert count_parameters(said).head == head


@pytest.mark.parametrize(
    "changed",
    [
        {"hidden_size": None},
        {"vocab_size": "many"},
        {"intermediate_size": None},
        {"num_experts": 8},
        {"num_experts": 8, "num_experts_per_tok": 0},
        {"kv_lora_rank": 512, "qk_rope_head_dim": 64},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": 10**9},
        {"routed_expert_hidden_size": 64},
        {"num_kv_shared_layers": 4},
        {"layer_types": ["unheard_of"] * 32},
    ],
)
def test_what_is_not_said_is_not_counted(changed):
    """This test ensures that a config.json with a size missing, or of layers unlike others, gives no figure."""
    assert count_parameters(CONFIGS["Llama-3.1-8B"] | changed) is None


KEYS = sorted({key for config in CONFIGS.values() for key in config})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(sorted(CONFIGS)),
    st.dictionaries(st.sampled_from([*KEYS, "quantization_config", "dtype"]), JSON),
)
def test_a_hostile_config_is_counted_or_not_but_never_fails(name, changed):
    """This test ensures that whatever stands in a config.json, there is no exception and no negative figure."""
    config = CONFIGS[name] | changed
    count, compute = count_parameters(config), compute_from_config(config)
    assert (count is None) == (compute is None)
    if count and compute:
        assert 0 < count.active <= count.total - count.embedding - count.head
        assert compute.prefill_flops(1000) >= 2 * count.active * 1000
        for kind in (weight_format_of(config), Quantization.INT4):
            assert kind is None or 0 < active_weight_bytes(count, kind) <= weight_bytes(count, kind)


def test_a_gguf_file_counts_as_its_config_does(smollm2_gguf, gemma_gguf):
    """This test ensures that the tensors of real files add up to the count from the same model's config.json."""
    for path, name in ((smollm2_gguf, "SmolLM2-135M"), (gemma_gguf, "Gemma-3-270M")):
        header = read_header(path)
        count = parameters_from_gguf(header)
        assert count == count_parameters(CONFIGS[name])
        assert count.total == header.num_parameters


def test_a_gguf_file_s_experts_are_met_in_part():
    """This test ensures that of the experts' tensors a token meets the share that the header states."""
    metadata = {
        "general.architecture": "qwen3moe",
        "qwen3moe.expert_count": 8,
        "qwen3moe.expert_used_count": 2,
    }
    header = GgufHeader(3, metadata, 1000, num_embedding=100, num_head=100, num_routed=400, num_vectors=10)
    count = parameters_from_gguf(header)
    assert (count.total, count.active, count.routed, count.kept) == (1000, 500, 400, 10)
    for wrong in ({"qwen3moe.expert_count": 1}, {"qwen3moe.expert_used_count": 0}):
        assert parameters_from_gguf(GgufHeader(3, metadata | wrong, 1000, 100, 100, 400)) is None


def test_a_gguf_header_tells_its_tensors_apart(tmp_path):
    """This test ensures that the tables, the experts and the vectors are found by name and shape."""
    names = {"token_embd.weight": (4, 8), "output.weight": (4, 9), "blk.0.attn_norm.weight": (4,),
             "blk.0.ffn_up_exps.weight": (4, 5, 6), "blk.0.ffn_up_exps.bias": (5, 6), "blk.0.attn_q.weight": (4, 3)}  # fmt: skip
    content = gguf({"general.architecture": "x", "x.expert_count": 6, "x.expert_used_count": 2},
                   tensors=tuple(names.values()))  # fmt: skip
    for number, name in enumerate(names):
        short = f"tensor{number}".encode()
        content = content.replace(
            struct.pack("<Q", len(short)) + short, struct.pack("<Q", len(name)) + name.encode()
        )
    path = tmp_path / "parts.gguf"
    path.write_bytes(content + bytes(256))
    header = read_header(path)
    assert (header.num_parameters, header.num_embedding, header.num_head) == (234, 32, 36)
    assert (header.num_routed, header.num_vectors) == (150, 4)
    assert parameters_from_gguf(header) == ParameterCount(234, 16 + 50, 32, 36, 150, 4)
    assert parameters_from_gguf(GgufHeader(3, {}, 0)) is None
