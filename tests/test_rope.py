"""Rope scaling: none where the model's own covers the window, else the smallest factor, or the reason why not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rope_configs import (
    DEEPSEEK_V3,
    GEMMA3_4B,
    GEMMA3_NEW,
    GRANITE_4,
    INTERNLM2,
    JAMBA,
    KIMI_LINEAR,
    LLAMA_31,
    PHI4_MINI,
    QWEN3_8B,
    QWEN3_NEXT,
    QWEN25_1M,
    QWEN25_VL,
    QWEN25_YARN,
    SMOLLM2,
    VICUNA_16K,
)

from lctx.core.errors import DoesNotFitError
from lctx.core.models.rope import RopeType, rope_from_config
from lctx.core.planning.rope import (
    FACTOR_STEPS,
    MAX_FACTOR,
    choose_rope,
    covering_factor,
    dynamic_ntk_base,
    llama_flags,
    rope_fingerprint,
    vllm_overrides,
    yarn_attention_factor,
)

PAGE = Path(__file__).resolve().parent.parent / "docs/concepts/rope.md"
SCALABLE = (RopeType.YARN, RopeType.DYNAMIC, RopeType.LINEAR, RopeType.LLAMA3)


def test_smollm2_to_16k_takes_the_override_that_vllm_starts_with():
    """This test ensures that the override is the one that a real vLLM 0.32 started with, to the number."""
    choice = choose_rope(rope_from_config(SMOLLM2), 16_384)
    assert vllm_overrides(choice) == {
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 100_000.0,
            "factor": 2.0,
            "original_max_position_embeddings": 8192,
        },
        "max_position_embeddings": 16_384,
    }


@pytest.mark.parametrize("config", [SMOLLM2, QWEN3_8B, LLAMA_31, GEMMA3_4B, DEEPSEEK_V3, QWEN3_NEXT])
def test_what_fits_natively_is_not_scaled(config):
    """This test ensures that a window up to the declared one changes nothing in either engine."""
    rope = rope_from_config(config)
    for num_tokens in (1, 4096, config["max_position_embeddings"]):
        choice = choose_rope(rope, num_tokens)
        assert choice.method is None
        assert vllm_overrides(choice) == {}
        assert llama_flags(choice) == ["--ctx-size", str(num_tokens)]


def test_qwen3_is_scaled_from_what_it_was_trained_for():
    """This test ensures that Qwen3's 40,960 positions count as a window, and its 32,768 as the original."""
    rope = rope_from_config(QWEN3_8B)
    overrides = vllm_overrides(choose_rope(rope, 131_072))
    assert overrides["rope_parameters"]["factor"] == 4.0
    assert overrides["rope_parameters"]["original_max_position_embeddings"] == 32_768
    assert overrides["max_position_embeddings"] == 131_072
    assert choose_rope(rope, 32_768).warnings == ()
    assert "trained for 32,768" in choose_rope(rope, 40_960).warnings[0]


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (LLAMA_31, "scaled already (llama3)"),
        (PHI4_MINI, "longrope factors were searched"),
        (GEMMA3_4B, "a rope each"),
        (GEMMA3_NEW, "a rope each"),
        (KIMI_LINEAR, "carry no rope"),
        (JAMBA, "carry no rope"),
        (GRANITE_4, "carry no rope"),
        (DEEPSEEK_V3, "scaled already (yarn)"),
        (VICUNA_16K, "scaled already (linear)"),
        (INTERNLM2, "scaled already (dynamic)"),
        (QWEN25_1M, "dual chunk attention"),
        ({"model_type": "new", "max_position_embeddings": 2048}, "no rope base"),
        ({**SMOLLM2, "rope_theta": [10_000.0, 5_000_000.0]}, "a rope each"),
        ({**SMOLLM2, "rope_scaling": {"rope_type": "spiral"}}, "a way of its own"),
        ({**SMOLLM2, "rope_scaling": {"rope_type": "yarn", "factor": "four"}}, "a way of its own"),
    ],
    ids=lambda value: value.get("model_type") if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("method", SCALABLE)
def test_a_rope_that_must_not_be_stretched_is_refused_with_the_reason(config, why, method):
    """This test ensures that wrong scaling is an error that says why, and what the model itself reaches."""
    rope = rope_from_config(config)
    choose_rope(rope, rope.window, method)
    with pytest.raises(DoesNotFitError, match=f"{rope.window:,}") as told:
        choose_rope(rope, rope.window + 1, method)
    assert why in told.value.message
    assert f"{rope.window:,}" in told.value.hint


def test_windows_that_the_files_own_rope_covers():
    """This test ensures that a factor in the files counts once, by the rule of its kind."""
    windows = {
        131_072: (LLAMA_31, PHI4_MINI, GEMMA3_4B, QWEN25_YARN),
        163_840: (DEEPSEEK_V3,),
        16_384: (VICUNA_16K,),
        65_536: (INTERNLM2,),
        262_144: (QWEN25_1M, QWEN3_NEXT),
        1_048_576: (KIMI_LINEAR,),
    }
    for window, configs in windows.items():
        assert [rope_from_config(config).window for config in configs] == [window] * len(configs)


def test_longrope_is_left_alone_and_warned_about_beyond_its_original_length():
    """This test ensures that Phi-4-mini keeps its own factors, and short prompts are not hurt unseen."""
    rope = rope_from_config(PHI4_MINI)
    assert choose_rope(rope, 4096).warnings == ()
    beyond = choose_rope(rope, 4097)
    assert "beyond 4,096 tokens" in beyond.warnings[0]
    assert vllm_overrides(beyond) == {}
    assert beyond.window == 4097


def test_yarn_in_the_files_is_kept_and_only_the_length_is_raised():
    """This test ensures that a file with YaRN and the unscaled length reaches factor x original in vLLM."""
    rope = rope_from_config(QWEN25_YARN)
    assert vllm_overrides(choose_rope(rope, 32_768)) == {}
    overrides = vllm_overrides(choose_rope(rope, 100_000))
    assert overrides["max_position_embeddings"] == 100_000
    assert overrides["rope_parameters"] == {
        "rope_type": "yarn",
        "rope_theta": 1_000_000.0,
        "factor": 4.0,
        "original_max_position_embeddings": 32_768,
    }


def test_linear_raises_no_length_and_has_a_float_factor():
    """This test ensures that vLLM, which multiplies the length by the factor itself, scales once."""
    choice = choose_rope(rope_from_config(SMOLLM2), 16_384, RopeType.LINEAR)
    parameters = {"rope_type": "linear", "rope_theta": 100_000.0, "factor": 2.0}
    assert vllm_overrides(choice) == {"rope_parameters": parameters}
    assert isinstance(vllm_overrides(choice)["rope_parameters"]["factor"], float)
    assert any("fine-tuned" in warning for warning in choice.warnings)
    assert vllm_overrides(choose_rope(rope_from_config(VICUNA_16K), 16_384)) == {}


def test_dynamic_names_the_trained_length():
    """This test ensures that vLLM's table is long enough and is scaled at all, for ours and for the files' own."""
    ours = vllm_overrides(choose_rope(rope_from_config(SMOLLM2), 16_384, RopeType.DYNAMIC))
    assert ours["max_position_embeddings"] == 16_384
    assert ours["rope_parameters"]["max_trained_positions"] == 8192
    own = vllm_overrides(choose_rope(rope_from_config(INTERNLM2), 50_000))
    assert own["max_position_embeddings"] == 50_000
    assert own["rope_parameters"]["max_trained_positions"] == 32_768
    assert own["rope_parameters"]["factor"] == 2.0


def test_llama3_brings_its_ramp():
    """This test ensures that the keys without which vLLM fails are there."""
    found = vllm_overrides(choose_rope(rope_from_config(SMOLLM2), 16_384, RopeType.LLAMA3))
    assert found["max_position_embeddings"] == 16_384
    assert found["rope_parameters"] == {
        "rope_type": "llama3",
        "rope_theta": 100_000.0,
        "factor": 2.0,
        "original_max_position_embeddings": 8192,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
    }


def test_longrope_and_unknown_kinds_cannot_be_asked_for():
    """This test ensures that factors which nobody can compute are refused."""
    for method in (RopeType.LONGROPE, RopeType.OTHER, RopeType.DEFAULT):
        with pytest.raises(DoesNotFitError, match="cannot be computed"):
            choose_rope(rope_from_config(SMOLLM2), 16_384, method)


def test_an_override_repeats_what_it_would_otherwise_erase():
    """This test ensures that partial rotation, the axes of positions and nesting survive."""
    partial = vllm_overrides(choose_rope(rope_from_config(QWEN3_NEXT), 1_000_000))
    assert partial["rope_parameters"]["partial_rotary_factor"] == 0.25
    axes = vllm_overrides(choose_rope(rope_from_config(QWEN25_VL), 65_536))
    assert axes["text_config"]["rope_parameters"]["mrope_section"] == [16, 24, 24]
    assert axes["text_config"]["rope_parameters"]["rope_type"] == "yarn"
    assert axes["text_config"]["max_position_embeddings"] == 65_536
    with pytest.raises(DoesNotFitError, match="yarn only"):
        choose_rope(rope_from_config(QWEN25_VL), 65_536, RopeType.LINEAR)


def test_every_declared_length_is_raised():
    """This test ensures that the smallest of several lengths does not hold vLLM back."""
    rope = rope_from_config({**SMOLLM2, "seq_length": 4096, "model_max_length": int(1e30)})
    overrides = vllm_overrides(choose_rope(rope, 8192))
    assert (overrides["max_position_embeddings"], overrides["seq_length"]) == (8192, 8192)
    assert "model_max_length" not in overrides


def test_dual_chunk_attention_is_unset():
    """This test ensures that Qwen2.5-1M loads in a vLLM that no longer knows what its config asks for."""
    choice = choose_rope(rope_from_config(QWEN25_1M), 200_000)
    assert vllm_overrides(choice) == {"dual_chunk_attention_config": None}


def test_a_factor_beyond_sense_is_refused():
    """This test ensures that no plan stretches a model eight times and more."""
    rope = rope_from_config(SMOLLM2)
    assert choose_rope(rope, 65_536).factor == MAX_FACTOR
    with pytest.raises(DoesNotFitError, match="more than 8"):
        choose_rope(rope, 65_537)


def test_a_warning_stands_where_quality_is_known_to_fall():
    """This test ensures that static scaling is told, and a factor that nobody vouches for besides."""
    rope = rope_from_config(SMOLLM2)
    assert len(choose_rope(rope, 32_768).warnings) == 1
    assert "up to a factor of 4" in choose_rope(rope, 32_769).warnings[1]
    assert "up to a factor of 2" in choose_rope(rope, 16_385, RopeType.DYNAMIC).warnings[1]


@given(st.integers(1, 1 << 21), st.integers(1, 1 << 24))
def test_a_factor_is_the_smallest_that_covers(trained, num_tokens):
    """This test ensures that the factor reaches the window, that one step less would not, and that it is exact."""
    factor = covering_factor(trained, num_tokens)
    assert int(trained * factor) >= num_tokens
    assert factor == 1.0 or trained * (factor - 1 / FACTOR_STEPS) < num_tokens
    assert (factor * FACTOR_STEPS).is_integer()


@given(st.integers(1, 65_536), st.integers(1, 65_536), st.sampled_from(SCALABLE))
def test_a_longer_window_never_takes_a_smaller_factor(one, other, method):
    """This test ensures that factors grow with the window, and that each choice covers its own."""
    rope = rope_from_config(SMOLLM2)
    shorter, longer = (choose_rope(rope, length, method) for length in sorted((one, other)))
    assert shorter.factor <= longer.factor
    assert all(choice.covered >= choice.window for choice in (shorter, longer))
    assert (shorter.method is None) == (shorter.window <= 8192)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"max_position_embeddings": "8192", "rope_theta": 1e4},
        {"max_position_embeddings": True},
        {"max_position_embeddings": 0},
        {"max_position_embeddings": -1},
        {"max_position_embeddings": 10**400},
    ],
)
def test_without_a_length_there_is_no_rope_to_plan(config):
    """This test ensures that a config.json without a usable length is told apart, not guessed at."""
    assert rope_from_config(config) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["rope_scaling", "rope_parameters", "rope_theta", "model_type", "text_config", "head_dim", "layer_types",
     "dual_chunk_attention_config", "partial_rotary_factor", "position_embedding_type", "kv_lora_rank"]
)  # fmt: skip
ROPE = st.dictionaries(
    st.sampled_from(["rope_type", "type", "factor", "original_max_position_embeddings", "alpha"]),
    JSON | st.sampled_from(["yarn", "linear", "dynamic", "longrope", "llama3", "su", "mrope"]),
)


@given(st.dictionaries(KEYS, JSON | ROPE), st.integers(1, 1 << 22))
def test_a_hostile_config_gives_a_choice_or_a_reason(config, num_tokens):
    """This test ensures that no config.json, however odd, ends in anything but a rope that covers or a refusal."""
    rope = rope_from_config({**config, "max_position_embeddings": 8192})
    try:
        choice = choose_rope(rope, num_tokens)
    except DoesNotFitError:
        choice = None
    if choice is None:
        assert num_tokens > rope.window
        return
    assert choice.covered >= num_tokens
    json.dumps(vllm_overrides(choice))
    assert len(rope_fingerprint("m", choice, "bfloat16")) == 16


def test_a_fingerprint_tells_ropes_apart_and_nothing_else():
    """This test ensures that KV of another rope is never reused, and that of the same rope is."""
    rope = rope_from_config(SMOLLM2)
    plain = rope_fingerprint("m", choose_rope(rope, 4096), "bfloat16")
    assert plain == rope_fingerprint("m", choose_rope(rope, 8192), "bf16")
    yarn = rope_fingerprint("m", choose_rope(rope, 16_384), "bfloat16")
    assert yarn == rope_fingerprint("m", choose_rope(rope, 16_300), "bfloat16")
    told = {
        plain,
        yarn,
        rope_fingerprint("m", choose_rope(rope, 16_385), "bfloat16"),
        rope_fingerprint("m", choose_rope(rope, 16_384, RopeType.LINEAR), "bfloat16"),
        rope_fingerprint("m", choose_rope(rope, 16_384, RopeType.DYNAMIC), "bfloat16"),
        rope_fingerprint("m", choose_rope(rope, 4096), "float16"),
        rope_fingerprint("n", choose_rope(rope, 4096), "bfloat16"),
        rope_fingerprint("m", choose_rope(replace(rope, theta=10_000.0), 4096), "bfloat16"),
    }
    assert len(told) == 8


def test_a_fingerprint_knows_where_the_window_changes_the_rope():
    """This test ensures that longrope's switch and dynamic's base, which vLLM takes from the window, are in it."""
    phi, intern = rope_from_config(PHI4_MINI), rope_from_config(INTERNLM2)
    short, switched, long = (
        rope_fingerprint("m", choose_rope(phi, n), "bf16") for n in (4096, 4097, 100_000)
    )
    assert short != switched == long
    within, one, other = (rope_fingerprint("m", choose_rope(intern, n), "bf16") for n in (9, 40_000, 50_000))
    assert len({within, one, other}) == 3


def test_lengths_that_are_none_are_our_own_mistake():
    """This test ensures that a plan of nothing is caught where it is made."""
    with pytest.raises(ValueError, match="num_tokens"):
        choose_rope(rope_from_config(SMOLLM2), 0)
    with pytest.raises(ValueError, match="lengths"):
        covering_factor(0, 1)
    with pytest.raises(ValueError, match="GGUF"):
        llama_flags(choose_rope(rope_from_config(SMOLLM2), 16_384, RopeType.LINEAR))


def test_the_pages_numbers_are_computed():
    """This test ensures that every worked number of docs/concepts/rope.md is what the code gives."""
    page = " ".join(PAGE.read_text("utf-8").split())
    smol, qwen = rope_from_config(SMOLLM2), rope_from_config(QWEN3_8B)
    to_100k = choose_rope(qwen, 100_000)
    numbers = [
        f"16,384 / 8,192 = {choose_rope(smol, 16_384).factor}",
        f"131,072 / 32,768 = {choose_rope(qwen, 131_072).factor}",
        f"100,000 / 32,768 = {100_000 / 32_768:.4f}",
        f"{int(to_100k.factor * 64)}/64 = {to_100k.factor}",
        f"covers {to_100k.covered:,} tokens",
        f"0.1 ln(2) + 1 = {yarn_attention_factor(2.0):.4f}",
        f"0.1 ln(4) + 1 = {yarn_attention_factor(4.0):.4f}",
        f"100,000 x 3^(64/62) = {dynamic_ntk_base(100_000, 2.0, 16_384, 8192, 64):,.0f}",
        f"2 x 16,384 / 8,192 - (2 - 1) = {2 * 16_384 // 8192 - 1}",
        f"8 x 8,192 = {choose_rope(smol, 65_536).covered:,}",
        f"more than {MAX_FACTOR:g} times",
    ]
    assert [number for number in numbers if number not in page] == []
    assert json.dumps(vllm_overrides(choose_rope(smol, 16_384))) in page
    assert " ".join(llama_flags(choose_rope(smol, 16_384))) in page
