"""Tests of what remains for the KV cache: the terms, the largest window, and the manual's worked numbers."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rope_configs import PHI4_MINI, QWEN25_1M, SMOLLM2
from test_kv_cache import value_of

from lctx.core.errors import DoesNotFitError
from lctx.core.models.cards import find_card, model_cards
from lctx.core.models.gguf import GgufHeader
from lctx.core.models.rope import RopeType, rope_from_config
from lctx.core.models.widths import widths_from_config, widths_from_gguf
from lctx.core.planning.activations import activation_bytes, context_rows_of
from lctx.core.planning.kv_blocks import KvSettings, plan_blocks
from lctx.core.planning.kv_cache import KvDtype
from lctx.core.planning.llama_memory import llama_compute_bytes, llama_kv_bytes, plan_memory_llama
from lctx.core.planning.memory import MemoryPlan, MemoryTerm, does_not_fit, format_bytes, largest_window
from lctx.core.planning.rope import choose_rope
from lctx.core.planning.vllm_memory import (
    VllmSettings,
    block_table_bytes,
    fitting_utilization,
    plan_memory_cpu,
    plan_memory_vllm,
    rope_table_bytes,
)

PAGE = Path(__file__).resolve().parent.parent / "docs/concepts/memory.md"
GIB = 2**30
QWEN_7B = {
    "hidden_size": 3584, "intermediate_size": 18_944, "num_hidden_layers": 28, "num_attention_heads": 28,
    "num_key_value_heads": 4, "vocab_size": 152_064,
}  # fmt: skip
QWEN_14B = {
    "hidden_size": 5120, "intermediate_size": 13_824, "num_hidden_layers": 48, "num_attention_heads": 40,
    "num_key_value_heads": 8, "vocab_size": 152_064,
}  # fmt: skip
LLAMA3_8B = {
    "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 128_256,
}  # fmt: skip
QWEN3_30B_A3B = {
    "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 48, "num_attention_heads": 32,
    "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 151_936, "num_experts": 128,
    "num_experts_per_tok": 8, "moe_intermediate_size": 768,
}  # fmt: skip
DEEPSEEK_V3 = {
    "hidden_size": 7168, "intermediate_size": 18_432, "num_hidden_layers": 61, "num_attention_heads": 128,
    "num_key_value_heads": 128, "vocab_size": 129_280, "n_routed_experts": 256, "num_experts_per_tok": 8,
    "moe_intermediate_size": 2048, "n_shared_experts": 1, "kv_lora_rank": 512, "q_lora_rank": 1536,
    "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
}  # fmt: skip
GEMMA_270M = {
    "hidden_size": 640, "intermediate_size": 2048, "num_hidden_layers": 18, "num_attention_heads": 4,
    "num_key_value_heads": 1, "head_dim": 256, "vocab_size": 262_144,
}  # fmt: skip
QWEN_BYTES = 2 * 7_615_616_512
QWEN = widths_from_config(QWEN_7B)
QWEN_POOL = plan_blocks(find_card("Qwen2.5-7B-Instruct-1M").shape, KvSettings())
# vLLM's limit is the declared length; lctx itself stops at the trained one.
QWEN_ROPE = choose_rope(rope_from_config({**QWEN25_1M, **QWEN_7B}), 262_144)


def qwen_on(device_bytes, window, **settings):
    """Qwen2.5-7B-Instruct-1M in bf16 on one GPU."""
    return plan_memory_vllm(
        device_bytes,
        QWEN_BYTES,
        QWEN_POOL,
        QWEN,
        rope=QWEN_ROPE,
        window=window,
        settings=VllmSettings(**settings),
    )


def test_a_million_tokens_of_a_seven_b_fit_an_h100():
    """This test ensures that the known case comes out: 71.8 GiB usable, 14.2 of weights, 53.4 of KV, about 4 left."""
    memory = qwen_on(78 * GIB, 1_000_000)
    usable = memory.total_bytes - memory.term("kept free").bytes
    needed = QWEN_POOL.bytes_for(1_000_000)
    assert round(usable / GIB, 1) == 71.8
    assert round(memory.term("weights").bytes / GIB, 1) == 14.2
    assert round(needed / GIB, 1) == 53.4
    beside = usable - memory.term("weights").bytes - needed
    assert 0 < memory.kv_bytes - needed < beside < 4.5 * GIB
    assert largest_window(lambda n: qwen_on(78 * GIB, n), QWEN_POOL.bytes_for, 1_010_000, 16) == 1_010_000


@given(
    st.integers(0, 200 * GIB),
    st.integers(1, 2_000_000),
    st.integers(1, 512),
    st.integers(1, 32_768),
    st.booleans(),
)
def test_the_parts_add_up(device_bytes, window, requests, tokens, graphs):
    """This test ensures that nothing is counted twice or lost, and that what remains is never negative."""
    memory = qwen_on(
        device_bytes, window, max_num_seqs=requests, max_num_batched_tokens=tokens, has_cuda_graphs=graphs
    )
    assert all(term.bytes >= 0 and term.why for term in memory.terms)
    assert memory.kv_bytes == max(0, device_bytes - sum(term.bytes for term in memory.terms))
    assert ("CUDA graphs" in {term.name for term in memory.terms}) == graphs


@given(st.integers(0, 90 * GIB), st.integers(0, 1_100_000), st.sampled_from([1, 16, 128]))
def test_the_largest_window_is_the_largest(device_bytes, ceiling, step):
    """This test ensures that the window found fits, is whole blocks, and that one step more would not fit."""

    def memory_at(window):
        return qwen_on(device_bytes, window)

    found = largest_window(memory_at, QWEN_POOL.bytes_for, ceiling, step)
    assert found == ceiling or found % step == 0
    if found:
        assert QWEN_POOL.bytes_for(found) <= memory_at(found).kv_bytes
    if found + step <= ceiling:
        assert QWEN_POOL.bytes_for(found + step) > memory_at(found + step).kv_bytes


@given(st.integers(16 * GIB, 90 * GIB), st.integers(0, 8 * GIB))
def test_more_memory_never_makes_the_window_shorter(device_bytes, more):
    """This test ensures that the window grows with the device."""
    few, many = (
        largest_window(lambda n, size=size: qwen_on(size, n), QWEN_POOL.bytes_for, 1_010_000, 16)
        for size in (device_bytes, device_bytes + more)
    )
    assert few <= many


@given(st.sampled_from(model_cards()), st.integers(1, 1_100_000), st.integers(0, 1_100_000))
def test_nothing_shrinks_as_the_window_grows(card, window, more):
    """This test ensures that the search for the largest window may halve its range, for every kind of layer."""
    widths = widths_from_config(DEEPSEEK_V3)
    pool = plan_blocks(card.shape, KvSettings())
    few, many = (
        plan_memory_vllm(80 * GIB, GIB, pool, widths, rope=None, window=tokens)
        for tokens in (window, window + more)
    )
    for one, other in zip(few.terms, many.terms, strict=True):
        assert (one.name, one.bytes) <= (other.name, other.bytes)
    assert llama_kv_bytes(card.shape, window) <= llama_kv_bytes(card.shape, window + more)
    assert llama_compute_bytes(card.shape, widths, window) <= llama_compute_bytes(
        card.shape, widths, window + more
    )


def test_a_window_that_is_no_window_is_our_mistake():
    """This test ensures that a negative ceiling or a step of nothing is never searched for."""
    for ceiling, step in ((-1, 16), (16, 0)):
        with pytest.raises(ValueError, match="ceiling"):
            largest_window(lambda n: qwen_on(GIB, n), QWEN_POOL.bytes_for, ceiling, step)


# GiB that vLLM reported, tokens of a step, requests, GPUs: pull 10511, issues 13882 and 13061.
REPORTED = [
    ("Llama-3-8B", LLAMA3_8B, 8192, 256, 1, 1.26),
    ("Qwen2.5-7B", QWEN_7B, 4096, 256, 1, 1.42),
    ("Qwen2.5-14B, no sampler", QWEN_14B, 2048, 0, 2, 0.19),
]


@pytest.mark.parametrize(("config", "tokens", "requests", "gpus", "reported"), [row[1:] for row in REPORTED])
def test_activations_are_a_bound_and_not_a_wild_one(config, tokens, requests, gpus, reported):
    """This test ensures that what is planned covers what vLLM was seen to take, by less than half of it."""
    planned = activation_bytes(widths_from_config(config), tokens, requests, 2, tensor_parallel=gpus) / GIB
    assert reported <= planned < 1.5 * reported


def test_experts_work_in_their_own_width_or_in_the_stream_s():
    """This test ensures that a mixture of experts counts those that a token meets, never the width that it does not use."""
    widths = widths_from_config(QWEN3_30B_A3B)
    assert (widths.num_experts, widths.experts_per_token, widths.expert_feed_forward) == (128, 8, 768)
    values = 4 * 2048 + 8 * (2048 + 2048)
    expected = 8192 * (values * 2 + 128 * 4)
    assert activation_bytes(widths, 8192, 8, 2) == expected + expected // 4
    dense = activation_bytes(replace(widths, num_experts=0), 8192, 8, 2)
    assert dense < activation_bytes(widths, 8192, 8, 2)


def test_latents_are_expanded_for_many_tokens_at_once():
    """This test ensures that MLA's expanded context counts, divided by GPUs, while the latents themselves do not divide."""
    widths = widths_from_config(DEEPSEEK_V3)
    assert (widths.latent, widths.context, widths.shared_feed_forward) == (576, 32_768, 2048)
    assert context_rows_of(widths, 1_000_000, 8, 64) == 65_536
    assert context_rows_of(widths, 1000, 8, 64) == 8000
    assert context_rows_of(QWEN, 1_000_000, 8, 64) == 0
    grown = [
        activation_bytes(widths, 2048, 8, 2, tensor_parallel=gpus, context_rows=65_536)
        - activation_bytes(widths, 2048, 8, 2, tensor_parallel=gpus)
        for gpus in (1, 8)
    ]
    assert grown[0] == pytest.approx(65_536 * 32_768 * 2 * 1.25, abs=1)
    assert grown[1] == pytest.approx(grown[0] / 8, abs=2)
    shape = find_card("DeepSeek-V3").shape
    for gpus in (1, 8):
        pool = plan_blocks(shape, KvSettings(64, tensor_parallel=gpus))
        memory = plan_memory_vllm(141 * GIB, 0, pool, widths, rope=None, window=100_000)
        assert memory.term("latent workspace").bytes == 65_536 * 576 * 2


def test_tensor_parallelism_divides_all_but_what_is_replicated():
    """This test ensures that eight GPUs hold an eighth of the weights each, and the routers and norms whole."""
    widths = widths_from_config(QWEN3_30B_A3B)
    shape = find_card("Qwen3-30B-A3B-2507").shape
    weights = 2 * 30_532_122_624
    replicated = 2 * 48 * 2048 * (2 + 128)
    for gpus in (2, 4):
        pool = plan_blocks(shape, KvSettings(tensor_parallel=gpus))
        memory = plan_memory_vllm(80 * GIB, weights, pool, widths, rope=None, window=262_144)
        assert memory.term("weights").bytes == replicated + -(-(weights - replicated) // gpus)
        assert memory.term("runtime").bytes == GIB
    one = plan_memory_vllm(
        80 * GIB, weights, plan_blocks(shape, KvSettings()), widths, rope=None, window=1000
    )
    assert one.term("weights").bytes == weights


def test_a_rope_table_is_as_long_as_the_files_say():
    """This test ensures that the declared length counts, however short the window, and the scaled one where it is longer."""
    smol = rope_from_config(SMOLLM2)
    assert rope_table_bytes(choose_rope(smol, 1000), 64, 2) == 8192 * 64 * 2
    assert rope_table_bytes(choose_rope(smol, 16_384), 64, 4, 2) == 2 * 16_384 * 64 * 4
    phi = rope_from_config(PHI4_MINI)
    assert phi.kind is RopeType.LONGROPE
    assert rope_table_bytes(choose_rope(phi, 1000), 96, 2) == (131_072 + 4096) * 96 * 2
    assert rope_table_bytes(QWEN_ROPE, 128, 2) == 1_010_000 * 128 * 2
    unknown = choose_rope(rope_from_config(QWEN25_1M), 1000)
    memory = plan_memory_vllm(80 * GIB, 1, QWEN_POOL, QWEN, rope=unknown, window=1000)
    assert unknown.rope.rotary_dim is None
    assert memory.term("rope table").bytes == 1_010_000 * 128 * 2  # a head whole
    no_rope = plan_memory_vllm(80 * GIB, 1, QWEN_POOL, QWEN, rope=None, window=1000)
    assert "rope table" not in {term.name for term in no_rope.terms}


def test_a_state_has_a_table_over_the_text_only_where_prefixes_are_cached():
    """This test ensures that a hybrid's tables count for each group, and one entry is enough without prefix caching."""
    shape = find_card("Qwen3-Next-80B-A3B").shape
    cached, plain = (plan_blocks(shape, KvSettings(prefix_caching=caching)) for caching in (True, False))
    long, short = (block_table_bytes(pool, 1_000_000, 8, 8192) for pool in (cached, plain))
    assert short < long
    assert block_table_bytes(plain, 2_000_000, 8, 8192) - short < long


def test_on_a_cpu_the_same_machine_holds_everything():
    """This test ensures that token ids, float32 and the processes count where no GPU has memory of its own."""
    shape = find_card("SmolLM2-135M").shape
    widths = widths_from_config({**SMOLLM2, "num_key_value_heads": 3, "num_hidden_layers": 30, "vocab_size": 49_152,
                                 "intermediate_size": 1536})  # fmt: skip
    rope = choose_rope(rope_from_config(SMOLLM2), 8192)
    plans = []
    for dtype in (KvDtype.BF16, KvDtype.FP32):
        pool = plan_blocks(shape, KvSettings(128, dtype, dtype))
        plans.append(plan_memory_cpu(8 * GIB, 1000, pool, widths, rope=rope, window=8192))
    narrow, wide = plans
    assert wide.term("token ids").bytes == 8 * 8192 * 5
    assert wide.host_bytes == 0
    assert wide.term("rope table").bytes == 2 * narrow.term("rope table").bytes
    assert wide.term("activations").bytes > narrow.term("activations").bytes
    assert GIB < wide.kv_bytes < 6 * GIB


def test_a_gpu_that_others_use_is_asked_for_less():
    """This test ensures that vLLM is never told to use more than is free, and never more than its default."""
    assert fitting_utilization(80 * GIB, 80 * GIB) == 0.92
    assert fitting_utilization(80 * GIB, 60 * GIB) == 0.75
    assert fitting_utilization(80 * GIB, -1) == fitting_utilization(0, 0) == 0.0
    for free in range(0, 80 * GIB, 7_777_777_777):
        assert fitting_utilization(80 * GIB, free) * 80 * GIB <= free + 1


def test_what_does_not_fit_is_told_with_what_would():
    """This test ensures that the error names what is needed, what is there, and the window to ask for."""
    memory = qwen_on(48 * GIB, 1_000_000)
    error = does_not_fit(1_000_000, QWEN_POOL.bytes_for(1_000_000), memory, 507_856)
    assert isinstance(error, DoesNotFitError)
    told = "a window of 1,000,000 tokens: needs 53.4 GiB for the KV cache, 27.1 GiB available"
    assert error.message == f"{told}: largest window 507,856"
    assert "--window 507856" in error.hint
    small = does_not_fit(1000, 57_344_000, qwen_on(16 * GIB, 1000), 0)
    assert small.message.startswith("the model on this device: takes 18.")
    assert "weights 14.2 GiB" in small.message
    assert "16.0 GiB are there" in small.message
    assert format_bytes(5 * 2**20) == "5.0 MiB"


def test_an_unknown_term_is_our_mistake():
    """This test ensures that a name that no term has is not taken for nothing."""
    memory = MemoryPlan(10, (MemoryTerm("weights", 4, "stored"),))
    assert (memory.term("weights").bytes, memory.kv_bytes) == (4, 6)
    with pytest.raises(KeyError):
        memory.term("rope")


@pytest.mark.parametrize("key", ["hidden_size", "vocab_size", "num_attention_heads", "num_hidden_layers"])
def test_a_config_that_says_too_little_has_no_widths(key):
    """This test ensures that nothing is guessed, and that no number of a hostile file makes a plan."""
    assert widths_from_config({**QWEN_7B, key: None}) is None
    for hostile in (-1, 0, True, "3584", 10**400):
        assert widths_from_config({**QWEN_7B, key: hostile}) is None
    assert widths_from_config({**QWEN_7B, "intermediate_size": 0}) is None


def gguf_of(**keys):
    named = {f"llama.{key.replace('__', '.')}": value for key, value in keys.items()}
    return GgufHeader(3, {"general.architecture": "llama", **named}, 1)


def test_a_gguf_says_the_same_as_a_config():
    """This test ensures that both kinds of file give the same widths, and neither is guessed from."""
    keys = {
        "embedding_length": 3584, "feed_forward_length": 18_944, "attention__head_count": 28,
        "attention__head_count_kv": 4, "vocab_size": 152_064,
    }  # fmt: skip
    assert widths_from_gguf(gguf_of(**keys)) == replace(QWEN, replicated=0)
    for key in keys:
        if key != "attention__head_count_kv":
            assert widths_from_gguf(gguf_of(**{**keys, key: 0})) is None
    assert widths_from_gguf(gguf_of(**{**keys, "vocab_size": 1 << 60})) is None


def test_llama_cpp_keeps_the_whole_window_in_every_layer():
    """This test ensures that sliding layers do not save there, and that a window is rounded up to 256."""
    shape = find_card("Gemma-3-270M").shape
    assert llama_kv_bytes(shape, 4096) == 18 * 4096 * 2 * 256 * 2
    assert llama_kv_bytes(shape, 1000) == llama_kv_bytes(shape, 1024)
    assert llama_kv_bytes(shape, 0) == 0
    states = find_card("Jamba-v0.1").shape
    assert llama_kv_bytes(states, 0) > 0


@given(st.integers(0, 64 * GIB), st.integers(1, 1_000_000))
def test_the_embedded_engine_s_parts_add_up(available, window):
    """This test ensures that a small machine has nothing left instead of less than nothing."""
    shape, widths = find_card("Gemma-3-270M").shape, widths_from_config(GEMMA_270M)
    memory = plan_memory_llama(available, 253_113_024, shape, widths, window=window)
    assert memory.kv_bytes == max(0, available - memory.taken_bytes)
    assert memory.term("compute buffer").bytes == llama_compute_bytes(shape, widths, window)


def test_every_worked_line_of_the_manual_holds():
    """This test ensures that each calculation of the page gives the number behind its sign of equality."""
    import ast

    text = PAGE.read_text("utf-8")
    lines = re.findall(r"^    ([^=\n]*\d[^=\n]*) = ([\d,]+)(?: \w+)*$", text, re.MULTILINE)
    assert len(lines) == len(re.findall(r"^    .*\d.*=", text, re.MULTILINE)) > 12
    for worked, result in lines:
        expression = re.sub(r"(?<=\d),(?=\d{3})", "", worked).replace("×", "*")
        assert value_of(ast.parse(expression, mode="eval")) == int(result.replace(",", "")), worked


def test_the_manual_s_numbers_are_what_lctx_plans():
    """This test ensures that the page's tables and the results of its lines come from the code."""
    text = PAGE.read_text("utf-8")
    memory = qwen_on(78 * GIB, 1_000_000)
    rows = dict(re.findall(r"^\| ([\w ]+?) \| ([\d.]+) \| ", text, re.MULTILINE))
    for term in memory.terms:
        assert rows.pop(term.name) == f"{term.bytes / GIB:.2f}", term.name
    assert rows == {"left for the KV cache": f"{memory.kv_bytes / GIB:.2f}"}
    assert f"needed: {QWEN_POOL.bytes_for(1_000_000) / GIB:.2f}" in text
    assert f"{memory.host_bytes / 2**20:.0f} MiB here" in text
    for name, config, tokens, requests, gpus, reported in REPORTED:
        planned = activation_bytes(widths_from_config(config), tokens, requests, 2, tensor_parallel=gpus)
        assert f"| {name} | {tokens:,} | {requests} | {gpus} | {planned / GIB:.2f} | {reported} |" in text
    largest = largest_window(lambda n: qwen_on(48 * GIB, n), QWEN_POOL.bytes_for, 1_010_000, 16)
    gemma = llama_compute_bytes(find_card("Gemma-3-270M").shape, widths_from_config(GEMMA_270M), 4096)
    for number in (
        largest,
        qwen_on(48 * GIB, largest).kv_bytes,
        memory.term("activations").bytes,
        memory.term("rope table").bytes,
        memory.term("block tables").bytes,
        gemma,
        llama_kv_bytes(find_card("Gemma-3-270M").shape, 4096),
    ):
        assert f"{number:,}" in text, number
