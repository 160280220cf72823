"""Tests of the window: who decides its length, and the rope that reaches it."""

from dataclasses import replace

import pytest
from answering_parts import small_model
from hypothesis import given
from hypothesis import strategies as st
from rope_configs import GEMMA3_4B, QWEN3_8B, SMOLLM2

from lctx.core.errors import DoesNotFitError
from lctx.core.models.rope import rope_from_config
from lctx.core.planning.rope import vllm_overrides
from lctx.core.planning.window import WINDOW_STEP, choose_window

MODEL = replace(small_model(8192, effective=2000), rope=rope_from_config(SMOLLM2), effective_source="a test")


def test_the_window_is_the_effective_one_unless_told_otherwise():
    """This test ensures that a plan counts on no more than was measured, and says who measured it."""
    window = choose_window(MODEL)
    assert (window.tokens, window.why, window.is_stretched, window.warnings) == (2000, "a test", False, ())


def test_a_named_window_counts_as_it_is():
    """This test ensures that `--window 16384` on SmolLM2 is the published case: yarn by 2, exactly that long."""
    window = choose_window(MODEL, asked=16_384)
    assert (window.tokens, window.why, window.is_stretched) == (16_384, "as asked for", True)
    assert vllm_overrides(window.rope) == {
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 100_000.0,
            "factor": 2.0,
            "original_max_position_embeddings": 8192,
        },
        "max_position_embeddings": 16_384,
    }
    assert window.warnings


@given(st.integers(1, 8 * 8192))
def test_everything_takes_the_least_window_that_holds_it(needed):
    """This test ensures that `full` takes the effective window where that is enough, else the next whole step."""
    window = choose_window(MODEL, needed=needed)
    assert window.tokens >= needed
    assert window.tokens == 2000 or window.tokens - needed < WINDOW_STEP
    assert window.tokens in {2000, 8192} or window.tokens % WINDOW_STEP == 0
    assert window.is_stretched == (needed > 8192)
    assert choose_window(MODEL, asked=window.tokens).rope == window.rope


@pytest.mark.parametrize("asked", [8 * 8192 + 1, 2**31 - 1])
def test_a_window_out_of_reach_is_refused_with_the_reason(asked):
    """This test ensures that no factor beyond what is sane is taken, and exit 3 names the longest window."""
    with pytest.raises(DoesNotFitError, match="it was trained for") as raised:
        choose_window(MODEL, asked=asked)
    assert raised.value.exit_code == 3
    assert "8,192" in raised.value.message
    assert "65,536" in raised.value.hint


def test_a_rope_a_layer_is_not_stretched():
    """This test ensures that Gemma 3 is planned within its own reach and refused beyond it, whoever asks."""
    gemma = replace(small_model(131_072), rope=rope_from_config(GEMMA3_4B))
    assert choose_window(gemma, asked=131_072).is_stretched is False
    for wish in ({"asked": 131_073}, {"needed": 200_000}):
        with pytest.raises(DoesNotFitError, match="a rope each"):
            choose_window(gemma, **wish)


def test_an_answers_room_is_not_stretched_over():
    """This test ensures that Qwen3-8B reaches its 40,960 natively, and 131,072 by a factor over 32,768."""
    qwen = replace(small_model(40_960), rope=rope_from_config(QWEN3_8B))
    assert choose_window(qwen, asked=40_960).is_stretched is False
    assert choose_window(qwen, asked=131_072).rope.rope.trained == 32_768


def test_an_unknown_rope_reaches_the_native_window_only():
    """This test ensures that a model behind an address is planned for what it serves, and not beyond."""
    served = small_model(4096)
    assert choose_window(served, asked=4096).rope is None
    with pytest.raises(DoesNotFitError, match=r"a window of 4,097 tokens: that of small has 4,096"):
        choose_window(served, asked=4097)
