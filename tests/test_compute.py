"""Tests of what a model computes: pairs of each kind of layer, and prompts of a million tokens."""

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_configs import CONFIGS

from lctx.core.models.compute import AttentionCost, ComputeShape, compute_from_config, compute_from_gguf
from lctx.core.models.feed_forward import expert_shape
from lctx.core.models.gguf import GgufHeader, read_header

MILLION = 1_000_000
# FLOPs of a million tokens: 2 for each weight and token, 4·H·d for each pair of half a square.
PUBLISHED = [
    ("Llama-3.1-8B", 2.77e17),
    ("Qwen2.5-7B", 2.14e17),
    ("Qwen3-30B-A3B", 3.99e17),
    ("Llama-3.1-405B", 4.94e18),
]
KINDS = [
    AttentionCost(1, 1),
    AttentionCost(1, 1, reach=7),
    AttentionCost(1, 1, reach=7, is_chunked=True),
    AttentionCost(1, 0, token_flops=3),
]


@pytest.mark.parametrize(("name", "flops"), PUBLISHED)
def test_a_million_tokens_cost_what_the_formula_says(name, flops):
    """This test ensures that dense and expert models agree with the worked figures within 1 %."""
    assert compute_from_config(CONFIGS[name]).prefill_flops(MILLION) == pytest.approx(flops, rel=0.01)


def met(cost, token):
    """How many keys the query of `token` meets, itself among them, counted one by one."""
    if cost.reach is None:
        return token + 1
    return token % cost.reach + 1 if cost.is_chunked else min(token + 1, cost.reach)


@given(st.integers(0, 60), st.sampled_from(KINDS))
def test_pairs_are_what_counting_gives(num_tokens, cost):
    """This test ensures that each closed form is the sum over all queries of the keys that they meet."""
    assert cost.pairs(num_tokens) == sum(met(cost, token) for token in range(num_tokens))


@given(
    st.sampled_from(sorted(CONFIGS)),
    st.lists(st.integers(0, 200_000), min_size=3, max_size=3).map(sorted),
)
def test_a_prompt_costs_the_same_in_one_go_and_in_two(name, cuts):
    """This test ensures that a cached prefix saves just what it cost, but for the head of its last token."""
    first, cached, whole = cuts
    shape = compute_from_config(CONFIGS[name])
    head = 2 * (shape.parameters.head or shape.parameters.embedding)
    body = [
        shape.prefill_flops(end, start) - (head if end > start else 0)
        for start, end in ((first, cached), (cached, whole), (first, whole))
    ]
    assert body[0] + body[1] == body[2]


@pytest.mark.parametrize(
    "name", ["Llama-3.1-8B", "gpt-oss-20b", "Llama-4-Scout", "Nemotron-3-Nano-30B-A3B", "Jamba-v0.1"]
)
def test_a_written_token_costs_what_one_more_read_would(name):
    """This test ensures that decoding and prefill agree where attention is computed alike in both."""
    shape = compute_from_config(CONFIGS[name])
    assert shape.decode_flops(4095) == shape.prefill_flops(4096, cached=4095)


def test_latents_are_widened_to_read_and_not_to_write():
    """This test ensures that DeepSeek-V3 meets 192 + 128 values a head in a prompt, and 576 + 512 in decoding."""
    (cost,) = compute_from_config(CONFIGS["DeepSeek-V3"]).attention
    assert (cost.num_layers, cost.reach) == (61, None)
    assert (cost.pair_flops, cost.decode_pair_flops) == (2 * 128 * (192 + 128), 2 * 128 * (576 + 512))


def test_sparse_attention_pays_for_its_index_everywhere():
    """This test ensures that DeepSeek-V3.2 computes 64 small heads over all pairs and latents over 2,048 tokens."""
    index, chosen = compute_from_config(CONFIGS["DeepSeek-V3.2"]).attention
    assert (index.num_layers, index.pair_flops, index.reach) == (61, 2 * 64 * 128, None)
    assert (chosen.num_layers, chosen.pair_flops, chosen.reach) == (61, 2 * 128 * (576 + 512), 2048)


def test_layers_that_share_an_index_do_not_pay_for_it_twice():
    """This test ensures that only the layers with an indexer of their own are counted, however they are named."""
    plain = CONFIGS["DeepSeek-V3.2"]
    schedules = [
        {"index_topk_freq": 4, "index_skip_topk_offset": 3},
        {"index_topk_pattern": "FFF" + "SSSF" * 14 + "SS"},
        {"indexer_types": (["full"] * 3 + (["shared"] * 3 + ["full"]) * 14 + ["shared"] * 2)},
    ]
    assert [compute_from_config(plain | one).attention[0].num_layers for one in schedules] == [17] * 3


def test_sliding_and_chunked_layers_know_their_reach():
    """This test ensures that gpt-oss slides in half its layers, and Llama 4 attends in chunks in three of four."""
    full, sliding = compute_from_config(CONFIGS["gpt-oss-20b"]).attention
    assert [(one.num_layers, one.reach, one.is_chunked) for one in (full, sliding)] == [
        (12, None, False),
        (12, 128, False),
    ]
    full, chunked = compute_from_config(CONFIGS["Llama-4-Scout"]).attention
    assert (full.num_layers, chunked.num_layers, chunked.reach, chunked.is_chunked) == (12, 36, 8192, True)


def test_states_cost_the_same_however_long_the_prompt_is():
    """This test ensures that a recurrent layer's FLOPs are linear, and those of a delta rule seven a value."""
    state = compute_from_config(CONFIGS["Kimi-Linear-48B-A3B"]).attention[1]
    assert (state.num_layers, state.pair_flops) == (20, 0)
    assert state.token_flops == 7 * 32 * 128 * 128 + 2 * 3 * 32 * 128 * 4
    mamba = compute_from_config(CONFIGS["Nemotron-3-Nano-30B-A3B"]).attention[1]
    assert (mamba.num_layers, mamba.token_flops) == (23, 5 * 64 * 64 * 128 + 2 * (4096 + 2 * 8 * 128) * 4)


def test_nothing_is_computed_twice_and_nothing_for_nothing():
    """This test ensures that a prompt that was read is free, and that impossible lengths are our mistake."""
    shape = compute_from_config(CONFIGS["Llama-3.1-8B"])
    assert (shape.prefill_flops(0), shape.prefill_flops(5, 5)) == (0, 0)
    for wrong in ((-1, 0), (4, 5), (4, -1)):
        with pytest.raises(ValueError, match="cached tokens"):
            shape.prefill_flops(*wrong)
    with pytest.raises(ValueError, match="context"):
        shape.decode_flops(-1)


def test_what_cannot_be_counted_is_not_guessed():
    """This test ensures that a config.json without sizes, or a header without tensors, gives no figure."""
    assert compute_from_config({}) is None
    assert compute_from_config(CONFIGS["Llama-3.1-8B"] | {"vocab_size": None}) is None
    assert compute_from_gguf(GgufHeader(3, {}, 0)) is None


def latent_header(**changed):
    keys = {"block_count": 2, "attention.head_count": 4, "attention.head_count_kv": 1, "attention.kv_lora_rank": 16,
            "attention.key_length_mla": 12, "attention.value_length_mla": 8, "rope.dimension_count": 4}  # fmt: skip
    metadata = {f"deepseek2.{key}": value for key, value in (keys | changed).items() if value is not None}
    return GgufHeader(3, {"general.architecture": "deepseek2"} | metadata, 1000, 100, 100)


def test_a_gguf_header_says_the_same_of_latents():
    """This test ensures that the width of a head comes from the keys for latents, and nothing without them."""
    (cost,) = compute_from_gguf(latent_header()).attention
    assert (cost.pair_flops, cost.decode_pair_flops) == (2 * 4 * (12 + 8), 2 * 4 * (20 + 16))
    assert compute_from_gguf(latent_header(**{"attention.value_length_mla": None})) is None


def test_a_gguf_file_computes_what_its_config_would(smollm2_gguf, gemma_gguf):
    """This test ensures that real files agree with the config.json of the same model to the FLOP."""
    for path, name in ((smollm2_gguf, "SmolLM2-135M"), (gemma_gguf, "Gemma-3-270M")):
        shape, same = compute_from_gguf(read_header(path)), compute_from_config(CONFIGS[name])
        assert isinstance(shape, ComputeShape)
        assert shape.attention == same.attention
        assert shape.prefill_flops(8192) == same.prefill_flops(8192)


# Families whose layers transformers computes as an engine would, but for the half of attention that is masked.
COUNTED = ["Llama-3.1-8B", "SmolLM2-135M", "Mixtral-8x7B", "Qwen2.5-7B", "Qwen3-8B", "Qwen3-30B-A3B", "Gemma-3-27B",
           "Phi-4-mini", "gpt-oss-20b", "DeepSeek-V2", "DeepSeek-V2-Lite", "DeepSeek-V3", "GLM-4-9B-0414", "GLM-4.7",
           "MiniMax-M2"]  # fmt: skip
SMALL = {"hidden_size": 64, "intermediate_size": 96, "moe_intermediate_size": 48, "vocab_size": 128, "head_dim": 16,
         "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "q_lora_rank": 24,
         "kv_lora_rank": 32, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 24, "num_experts": 8,
         "num_local_experts": 8, "n_routed_experts": 8, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1,
         "first_k_dense_replace": 1}  # fmt: skip
NUM_TOKENS = 32
COUNT = """
import json, sys, torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM

counted = {}
for name, config in json.load(sys.stdin).items():
    made = AutoConfig.for_model(**config, pad_token_id=0)
    model = AutoModelForCausalLM.from_config(made, attn_implementation="eager", experts_implementation="eager").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.arange(int(sys.argv[1]))[None], use_cache=False)
    counted[name] = counter.get_total_flops()
print(json.dumps(counted))
"""


def small(config):
    made = config | {key: size for key, size in SMALL.items() if config.get(key)}
    if "kv_lora_rank" in config:
        made["num_key_value_heads"] = made["num_attention_heads"]
    if "layer_types" in config:
        made["layer_types"] = config["layer_types"][:4]
    return made


@pytest.mark.vllm
def test_flops_are_those_that_torch_counts(vllm_python):
    """This test ensures that a forward pass computes our FLOPs: every product of matrices, all pairs, experts met."""
    configs = {name: small(CONFIGS[name]) for name in COUNTED}
    done = subprocess.run(
        [vllm_python, "-W", "ignore", "-c", COUNT, str(NUM_TOKENS)],
        input=json.dumps(configs),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for name, flops in json.loads(done.stdout.splitlines()[-1]).items():
        shape = compute_from_config(configs[name])
        count = shape.parameters
        # Routers are products of matrices too, though they are kept wide; norms and biases are none.
        experts = expert_shape(configs[name])
        layers = len(range(configs[name].get("first_k_dense_replace", 0), 4)) if experts else 0
        routers = layers * 64 * experts.num_experts if experts else 0
        unmultiplied = count.kept - routers
        if name.startswith("gpt-oss"):  # the biases of the experts that a token meets
            unmultiplied += layers * experts.num_met * (2 * experts.inner + 64)
        weights = count.active - unmultiplied + (count.head or count.embedding)
        attention = sum(one.num_layers * one.pair_flops for one in shape.attention)
        assert flops == 2 * weights * NUM_TOKENS + attention * NUM_TOKENS**2, name
