"""Tests of what another window would change: each promise is kept when that window is asked for."""

from dataclasses import replace

import pytest
from answering_parts import PieceTokenizer, chat_model, document, inputs, small_model
from hypothesis import given, settings
from hypothesis import strategies as st
from rope_configs import SMOLLM2

from lctx.core.answering.other_windows import other_windows
from lctx.core.answering.plan_answer import plan_answer
from lctx.core.errors import DoesNotFitError
from lctx.core.models.rope import rope_from_config
from lctx.core.planning.kv_cache import KvDtype

pytestmark = pytest.mark.usefixtures("module_home")

LINES = [f"The harbour was widened in {1800 + number} by master {number}.\n\n" for number in range(900)]
TOKENIZER = PieceTokenizer()
QUESTION = "Who widened the harbour in 1850?"


@pytest.fixture(scope="module")
def capable(tmp_path_factory):
    """A chat model with a window of 8192."""
    return chat_model(tmp_path_factory.mktemp("model"), 8192)


def asked(num_lines, profile, **wished):
    return inputs(QUESTION, [document("".join(LINES[:num_lines]))], profile, TOKENIZER, **wished)


def included(planned):
    return [(one.start, one.end) for one in planned.plan.included]


@pytest.mark.parametrize("kind", ["small", "chat"])
@given(num_lines=st.integers(1, 250))
@settings(max_examples=20, deadline=None)
def test_the_least_window_holds_the_same_plan(capable, kind, num_lines):
    """This test ensures that the smaller window that is named reads the same, and one token less does not."""
    profile = small_model(8192) if kind == "small" else capable
    planned = plan_answer(asked(num_lines, profile))
    least = next(one for one in other_windows(planned) if one.change == "the least that holds this plan")
    strategy = planned.plan.strategy
    again = plan_answer(asked(num_lines, profile, window=least.window, strategy=strategy))
    assert included(again) == included(planned)
    try:
        narrower = plan_answer(asked(num_lines, profile, window=least.window - 1, strategy=strategy))
    except DoesNotFitError:
        return
    assert included(narrower) != included(planned)


@pytest.mark.parametrize("kind", ["small", "chat"])
def test_the_window_for_everything_holds_everything(tmp_path, kind):
    """This test ensures that `--strategy full` in the larger window that is named reads all, exactly."""
    profile = small_model(20_000, 2000) if kind == "small" else chat_model(tmp_path / "model", 2000)
    profile = replace(profile, native_window=20_000)
    planned = plan_answer(asked(400, profile))
    wide = next(one for one in other_windows(planned) if "everything" in one.change)
    assert wide.window > planned.plan.budget.window
    again = plan_answer(asked(400, profile, window=wide.window, strategy="full"))
    assert again.plan.omitted == ()
    assert again.plan.prompt_tokens + again.plan.budget.answer == wide.window
    with pytest.raises(DoesNotFitError):
        plan_answer(asked(400, profile, window=wide.window - 1, strategy="full"))


def test_a_stretched_window_names_its_rope_and_its_bytes():
    """This test ensures that a larger window comes with the scaling and the cache that it takes."""
    model = replace(small_model(2048), rope=rope_from_config({**SMOLLM2, "max_position_embeddings": 2048}))
    planned = plan_answer(asked(300, model))
    wide = other_windows(planned)[-1]
    assert wide.rope.startswith("yarn x")
    halved = other_windows(plan_answer(asked(300, model), kv_dtype=KvDtype.FP8))[-1]
    assert wide.kv_cache_bytes == 2 * halved.kv_cache_bytes


def test_a_window_out_of_reach_is_told_as_that():
    """This test ensures that nobody is sent to a window that the model has not."""
    change = other_windows(plan_answer(asked(900, small_model(1024))))[-1]
    assert change.change.startswith("would be needed for everything, but a window of ")


def test_a_plan_that_reads_all_names_no_larger_window(capable):
    """This test ensures that nothing is said about everything where everything is read."""
    changes = other_windows(plan_answer(asked(3, capable)))
    assert [one.change for one in changes] == ["the least that holds this plan"]
