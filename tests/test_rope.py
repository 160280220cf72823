"""Rope scaling: none where the model's own covers the window, else the smallest factor, or the reason why not."""

import ctypes
import json
import math
import os
import subprocess
import sys
import urllib.request
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lctx.core.errors import DoesNotFitError
from lctx.core.models.gguf import GgufHeader, read_header
from lctx.core.models.rope import RopeType, rope_from_config, rope_from_gguf
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

# What the config.json of each published model says of its rope.
SMOLLM2 = {
    "model_type": "llama", "max_position_embeddings": 8192, "rope_theta": 100_000, "rope_scaling": None,
    "hidden_size": 576, "num_attention_heads": 9,
}  # fmt: skip
QWEN3_8B = {
    "model_type": "qwen3", "max_position_embeddings": 40_960, "rope_theta": 1_000_000, "rope_scaling": None,
    "head_dim": 128,
}  # fmt: skip
LLAMA_31 = {
    "model_type": "llama", "max_position_embeddings": 131_072, "rope_theta": 500_000.0,
    "rope_scaling": {
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192, "rope_type": "llama3",
    },
}  # fmt: skip
PHI4_MINI = {
    "model_type": "phi3", "max_position_embeddings": 131_072, "original_max_position_embeddings": 4096,
    "rope_theta": 10_000.0, "partial_rotary_factor": 0.75,
    "rope_scaling": {"type": "longrope", "short_factor": [1.0] * 48, "long_factor": [1.5] * 48},
}  # fmt: skip
GEMMA3_4B = {
    "model_type": "gemma3_text", "max_position_embeddings": 131_072, "rope_theta": 1_000_000.0,
    "rope_local_base_freq": 10_000.0, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
}  # fmt: skip
GEMMA3_NEW = {
    "model_type": "gemma3_text", "max_position_embeddings": 32_768,
    "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 1_000_000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    },
}  # fmt: skip
KIMI_LINEAR = {
    "model_type": "kimi_linear", "model_max_length": 1_048_576, "rope_theta": 10_000.0, "mla_use_nope": True,
    "kv_lora_rank": 512, "rope_scaling": None,
}  # fmt: skip
DEEPSEEK_V3 = {
    "model_type": "deepseek_v3", "max_position_embeddings": 163_840, "rope_theta": 10_000, "kv_lora_rank": 512,
    "rope_scaling": {
        "type": "yarn", "factor": 40, "original_max_position_embeddings": 4096, "beta_fast": 32, "beta_slow": 1,
        "mscale": 1.0, "mscale_all_dim": 1.0,
    },
}  # fmt: skip
QWEN25_1M = {
    "model_type": "qwen2", "max_position_embeddings": 1_010_000, "rope_theta": 10_000_000.0,
    "dual_chunk_attention_config": {"chunk_size": 262_144, "original_max_position_embeddings": 262_144},
}  # fmt: skip
QWEN25_YARN = {
    "model_type": "qwen2", "max_position_embeddings": 32_768, "rope_theta": 1_000_000.0,
    "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768},
}  # fmt: skip
QWEN25_VL = {
    "model_type": "qwen2_5_vl", "text_config": {"model_type": "qwen2_5_vl_text"},
    "max_position_embeddings": 32_768, "rope_theta": 1_000_000.0,
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
}  # fmt: skip
QWEN3_NEXT = {
    "model_type": "qwen3_next", "max_position_embeddings": 262_144, "rope_theta": 10_000_000,
    "partial_rotary_factor": 0.25, "head_dim": 256, "linear_num_key_heads": 16,
}  # fmt: skip
VICUNA_16K = {
    "model_type": "llama", "max_position_embeddings": 4096,
    "rope_scaling": {"type": "linear", "factor": 4.0},
}  # fmt: skip
INTERNLM2 = {
    "model_type": "internlm2", "max_position_embeddings": 32_768, "rope_theta": 1_000_000,
    "rope_scaling": {"type": "dynamic", "factor": 2.0},
}  # fmt: skip
JAMBA = {"model_type": "jamba", "max_position_embeddings": 262_144}
GRANITE_4 = {
    "model_type": "granitemoehybrid", "max_position_embeddings": 131_072, "rope_theta": 10_000,
    "position_embedding_type": "nope",
}  # fmt: skip

SCALABLE = (RopeType.YARN, RopeType.DYNAMIC, RopeType.LINEAR, RopeType.LLAMA3)


def header_of(architecture: str, **keys: object) -> GgufHeader:
    """A GGUF header with these keys of its architecture; a double underscore stands for a dot."""
    named = {f"{architecture}.{key.replace('__', '.')}": value for key, value in keys.items()}
    return GgufHeader(3, {"general.architecture": architecture, **named}, 1)


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
    assert "trained for 32768" in choose_rope(rope, 40_960).warnings[0]


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
    with pytest.raises(DoesNotFitError, match=str(rope.window)) as told:
        choose_rope(rope, rope.window + 1, method)
    assert why in told.value.message
    assert str(rope.window) in told.value.hint


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
    assert "beyond 4096 tokens" in beyond.warnings[0]
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


@given(st.integers(8193, 65_536))
@example(13_312)
def test_llama_cpp_reaches_the_window_in_its_own_arithmetic(num_tokens):
    """This test ensures that single precision does not cost a window its last token."""
    flags = llama_flags(choose_rope(rope_from_config(SMOLLM2), num_tokens))
    scale = float(flags[flags.index("--rope-scale") + 1])
    kept = ctypes.c_float(1 / ctypes.c_float(scale).value).value
    assert int(ctypes.c_float(8192 / kept).value) >= num_tokens
    assert math.isclose(scale, covering_factor(8192, num_tokens), rel_tol=1e-5)


def test_flags_of_llama_cpp():
    """This test ensures that each kind is asked for in llama.cpp's words, and that its cap on the window is raised."""
    rope = rope_from_gguf(
        header_of(
            "llama",
            context_length=8192,
            rope__freq_base=100_000.0,
            rope__dimension_count=64,
            embedding_length=576,
            attention__head_count=9,
        )
    )
    window = ["--ctx-size", "16384"]
    cap = ["--override-kv", "llama.context_length=int:16384"]
    yarn = ["--rope-scaling", "yarn", "--rope-scale", "2.0", "--yarn-orig-ctx", "8192"]
    linear = ["--rope-scaling", "linear", "--rope-scale", "2.0"]
    base = f"{100_000 * 3 ** (64 / 62):.1f}"
    assert llama_flags(choose_rope(rope, 16_384)) == window + yarn
    assert llama_flags(choose_rope(rope, 16_384, RopeType.LINEAR)) == window + linear + cap
    dynamic = ["--rope-scaling", "none", "--rope-freq-base", base]
    assert llama_flags(choose_rope(rope, 16_384, RopeType.DYNAMIC)) == window + dynamic + cap
    with pytest.raises(DoesNotFitError, match="from the model's file only"):
        llama_flags(choose_rope(rope, 16_384, RopeType.LLAMA3))


@pytest.mark.parametrize(
    ("header", "kind", "window", "why"),
    [
        (header_of("qwen3", context_length=40_960, rope__freq_base=1e6), RopeType.DEFAULT, 40_960, None),
        (header_of("llama", context_length=131_072, rope__freq_base=5e5), RopeType.LLAMA3, 131_072, "llama3"),
        (header_of("llama", context_length=32_768, rope__freq_base=1e6), RopeType.DEFAULT, 32_768, None),
        (header_of("llama", context_length=8192, rope__freq_base=5e5), RopeType.DEFAULT, 8192, None),
        (
            header_of(
                "phi3",
                context_length=131_072,
                rope__freq_base=1e4,
                rope__scaling__original_context_length=4096,
            ),
            RopeType.LONGROPE,
            131_072,
            "longrope",
        ),
        (
            header_of("gemma3", context_length=32_768, rope__freq_base=1e6),
            RopeType.DEFAULT,
            32_768,
            "rope each",
        ),
        (
            header_of("kimi-linear", context_length=1_048_576, rope__freq_base=1e4),
            RopeType.DEFAULT,
            1_048_576,
            "no rope",
        ),
        (
            header_of(
                "deepseek2",
                context_length=163_840,
                rope__freq_base=1e4,
                rope__scaling__type="yarn",
                rope__scaling__factor=40.0,
                rope__scaling__original_context_length=4096,
            ),
            RopeType.YARN,
            163_840,
            "scaled already (yarn)",
        ),
    ],
    ids=lambda value: value.architecture if isinstance(value, GgufHeader) else "",
)
def test_what_a_gguf_header_says(header, kind, window, why):
    """This test ensures that the same models are handled or refused from a GGUF file."""
    rope = rope_from_gguf(header)
    assert (rope.kind, rope.window, rope.architecture) == (kind, window, header.architecture)
    if why is None:
        assert choose_rope(rope, window + 1).method is RopeType.YARN
        return
    with pytest.raises(DoesNotFitError) as told:
        choose_rope(rope, window + 1)
    assert why in told.value.message


def test_qwen3_in_a_gguf_is_scaled_from_what_it_was_trained_for():
    """This test ensures that the trained length is known from either kind of file."""
    rope = rope_from_gguf(header_of("qwen3", context_length=40_960, rope__freq_base=1e6))
    flags = llama_flags(choose_rope(rope, 131_072))
    assert flags[-4:] == ["--rope-scale", "4.0", "--yarn-orig-ctx", "32768"]


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


LLAMA_PROGRAM = """
import sys, xllamacpp
model, window, scale, original = sys.argv[1], *sys.argv[2:]
params = xllamacpp.CommonParams()
params.model.path = model
params.n_ctx, params.n_parallel, params.warmup, params.port, params.verbosity = int(window), 1, False, 0, 0
params.cpuparams.n_threads = 1
params.rope_scaling_type = xllamacpp.llama_rope_scaling_type.LLAMA_ROPE_SCALING_TYPE_YARN
params.rope_freq_scale = 1 / float(scale)
params.yarn_orig_ctx = int(original)
server = xllamacpp.Server(params)
print("listening", server.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.mark.engine
@pytest.mark.parametrize("num_tokens", [13_312, 16_384])
def test_a_real_llama_cpp_serves_the_window(smollm2_gguf, num_tokens):
    """This test ensures that the flags reach past llama.cpp's cap at the trained window."""
    if find_spec("xllamacpp") is None:
        pytest.skip("the embedded engine is not installed: pip install 'lctx[cpu]'")
    flags = llama_flags(choose_rope(rope_from_gguf(read_header(smollm2_gguf)), num_tokens))
    given = dict(zip(flags[::2], flags[1::2], strict=True))
    command = [sys.executable, "-c", LLAMA_PROGRAM, str(smollm2_gguf)]
    command += [given["--ctx-size"], given["--rope-scale"], given["--yarn-orig-ctx"]]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            address = next(line.split()[1] for line in process.stdout if line.startswith("listening "))
            with urllib.request.urlopen(f"{address}/slots", timeout=60) as answer:
                assert json.load(answer)[0]["n_ctx"] >= num_tokens
        finally:
            process.kill()


VLLM_PROGRAM = """
import json, sys, torch
from vllm.config import ModelConfig, VllmConfig, set_current_vllm_config
from vllm.model_executor.layers.rotary_embedding import get_rope
from pathlib import Path
root, cases = Path(sys.argv[1]), json.loads(sys.argv[2])
told = []
for number, case in enumerate(cases):
    directory = root / str(number)
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(case["config"]))
    try:
        model = ModelConfig(model=str(directory), tokenizer=str(directory), skip_tokenizer_init=True,
                            dtype="float32", hf_overrides=case["overrides"], max_model_len=case["window"])
        text = model.hf_text_config
        with set_current_vllm_config(VllmConfig(model_config=model)):
            rope = get_rope(64, text.max_position_embeddings, True, dict(text.rope_parameters), torch.float32)
        table = rope.cos_sin_cache
        told.append({"window": model.max_model_len, "rows": len(table), "second": table[1].tolist()})
    except Exception as error:
        told.append({"error": str(error)})
print("told", json.dumps(told))
"""
SMALL_LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "max_position_embeddings": 8192,
    "rope_theta": 100_000, "hidden_size": 576, "num_attention_heads": 9, "num_key_value_heads": 3,
    "num_hidden_layers": 2, "intermediate_size": 64, "vocab_size": 256,
}  # fmt: skip
OWN_DYNAMIC = {"type": "dynamic", "factor": 2.0}
OWN_YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8192}
OWN_LINEAR = {"type": "linear", "factor": 4.0}


@pytest.mark.vllm
def test_a_real_vllm_takes_the_overrides(vllm_python, tmp_path):
    """This test ensures that vLLM's own checks pass, its tables are long enough and its frequencies are scaled."""
    rope = rope_from_config(SMALL_LLAMA)
    cases = [{"config": SMALL_LLAMA, "overrides": {}, "window": window} for window in (8192, 16_384)]
    cases += [
        {
            "config": SMALL_LLAMA,
            "overrides": vllm_overrides(choose_rope(rope, window, method)),
            "window": window,
        }
        for method in SCALABLE
        for window in (16_384, 20_001)
    ]
    for window, own in ((12_000, OWN_DYNAMIC), (30_000, OWN_YARN), (30_000, OWN_LINEAR)):
        config = {**SMALL_LLAMA, "rope_scaling": own}
        overrides = vllm_overrides(choose_rope(rope_from_config(config), window))
        cases.append({"config": config, "overrides": overrides, "window": window})
    program = [vllm_python, "-c", VLLM_PROGRAM, str(tmp_path), json.dumps(cases)]
    quiet = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    done = subprocess.run(program, env=quiet, capture_output=True, text=True, check=False, timeout=240)
    line = next((line for line in done.stdout.splitlines() if line.startswith("told ")), None)
    assert line, done.stderr[-2000:]
    native, refused, *scaled = json.loads(line.removeprefix("told "))
    assert native["rows"] == 8192
    assert "greater than the derived max_model_len" in refused["error"]
    for case, found in zip(cases[2:], scaled, strict=True):
        assert "error" not in found, (case, found)
        assert found["window"] == case["window"]
        assert found["rows"] >= case["window"]
        assert found["second"] != native["second"]
