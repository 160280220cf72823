"""Tests of the effective window: published scores, the rule, names, and the user's own measurement."""

import json
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lctx.core.models.cards import find_card
from lctx.core.models.effective import (
    MAX_MEASURED,
    THRESHOLD,
    PublishedScores,
    effective_window,
    find_scores,
    published_scores,
    record_effective_window,
)

LONG = 1 << 30
K = 1024
# The column "Effective Length" of RULER's README, where it says what its scores say.
AS_PUBLISHED = [
    ("Llama-2-7b-chat-hf", 4),
    ("Qwen2.5-14B-Instruct-1M", 128),
    ("Qwen3-32B", 128),
    ("AI21-Jamba-1.5-Large", 128),
    ("Qwen3-30B-A3B", 64),
    ("Meta-Llama-3.1-70B-Instruct", 64),
    ("Meta-Llama-3.1-8B-Instruct", 32),
    ("glm-4-9b-chat-1m", 64),
    ("Phi-3-mini-128K-instruct", 32),
    ("Mistral-7B-instruct-v0.2", 16),
    ("internlm2_5-7b-chat-1m", 4),
    ("dbrx-instruct", 8),
]
# Where the column says more than the scores reach.
BY_SCORES = [("Qwen3-4B", 32), ("Qwen3-8B", 32), ("Qwen3-14B", 64), ("Qwen2.5-7B-Instruct-1M", 64)]


@pytest.mark.parametrize(("name", "thousands"), [*AS_PUBLISHED, *BY_SCORES])
def test_the_rule_is_rulers_own(name, thousands):
    """This test ensures that the window is the longest published length whose score reaches that of Llama-2-7B."""
    found = effective_window(name, LONG)
    assert (found.tokens, found.is_measured) == (thousands * K, False)
    assert "RULER" in found.source


@pytest.mark.parametrize("name", ["LWM-Text-Chat-1M", "LongAlpaca-13B", "longchat-7b-v1.5-32K"])
def test_a_model_that_fails_at_once_has_no_window(name):
    """This test ensures that scores below the threshold from the first length on leave the cautious default."""
    assert find_scores(name) is not None
    assert effective_window(name, LONG) is None


def test_a_score_speaks_for_its_own_length_only():
    """This test ensures that nothing is trusted beyond the longest length that was tested, or a length that failed."""
    every = PublishedScores("m", (), "RULER", {4: 99.0, 8: 98.0}, "s")
    dip = PublishedScores("m", (), "RULER", {4: 99.0, 8: 85.5, 16: 99.0}, "s")
    edge = PublishedScores("m", (), "RULER", {4: THRESHOLD}, "s")
    assert [one.tokens for one in (every, dip, edge)] == [8, 4, 4]


NAMES = [
    ("Qwen/Qwen3-8B", "Qwen3-8B"),
    ("qwen3:8b", "Qwen3-8B"),
    ("QWEN3_8B", "Qwen3-8B"),
    ("llama3.1:8b", "Meta-Llama-3.1-8B-Instruct"),
    ("meta-llama/Llama-3.1-70B-Instruct", "Meta-Llama-3.1-70B-Instruct"),
    ("Llama-3.1-70B", "Meta-Llama-3.1-70B-Instruct"),
    ("Qwen2.5-14B-Instruct-1M", "Qwen2.5-14B-Instruct-1m"),
    ("Qwen3-30B-A3B-2507", "Qwen3-30B-A3B-Instruct-2507"),
    ("Nemotron-3-Nano-30B-A3B", "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16"),
]


@pytest.mark.parametrize(("name", "measured"), NAMES)
def test_names_are_matched_as_people_write_them(name, measured):
    """This test ensures that maker, case, dividers and "-Instruct" do not matter."""
    assert find_scores(name).name == measured


@pytest.mark.parametrize(
    "name",
    ["", "/", "Qwen3", "Qwen3-8B-AWQ", "Qwen3-8", "gemma-3-270m", "Qwen2.5-14B-Instruct", "8B", "x" * 10**6],
)
def test_other_models_get_no_scores(name):
    """This test ensures that neither part of a name nor a quantised or shorter sibling is taken for the model."""
    assert find_scores(name) is None
    assert effective_window(name, LONG) is None


def test_cards_that_were_measured_have_their_window():
    """This test ensures that the bundled cards of measured models find their scores, within their native windows."""
    expected = {
        "Qwen2.5-14B-Instruct-1M": 131_072,
        "Qwen2.5-7B-Instruct-1M": 65_536,
        "Llama-3.1-8B": 32_768,
        "Llama-3.1-70B": 65_536,
        "Qwen3-30B-A3B-2507": 196_608,
        "Qwen3-Next-80B-A3B": 262_144,
        "Nemotron-3-Nano-30B-A3B": 262_144,
        "Qwen3-4B": 32_768,
        "Qwen3-8B": 32_768,
    }
    for name, tokens in expected.items():
        card = find_card(name)
        assert effective_window(card.name, card.native_window, aliases=card.aliases).tokens == tokens, name


def test_the_native_window_is_never_exceeded():
    """This test ensures that a score which needed another rope does not stretch the model's own."""
    assert effective_window("Qwen3-32B", 40_960).tokens == 40_960


def test_the_file_is_sound():
    """This test ensures that every score is a percentage of a real length with a source, and no name is there twice."""
    names = [name for one in published_scores() for name in (one.name, *one.aliases)]
    assert len({name.casefold() for name in names}) == len(names) > 45
    for one in published_scores():
        assert list(one.scores) == sorted(one.scores)
        assert all(4 * K <= length <= K * K and 0 <= score <= 100 for length, score in one.scores.items())
        assert one.source
        assert one.benchmark


def test_the_user_s_own_measurement_comes_first(tmp_path):
    """This test ensures that it beats published scores, is replaced by a later one, and says who measured."""
    assert record_effective_window("Qwen/Qwen3-8B", 65_536, 91.25, "needle, 60 questions", tmp_path)
    found = effective_window("qwen3:8b", LONG, tmp_path)
    assert (found.tokens, found.is_measured) == (65_536, True)
    assert found.source == "measured on this machine: needle, 60 questions, 91.2 at 65,536 tokens"
    record_effective_window("Qwen3-8B", 16_384, 90.0, "needle", tmp_path)
    assert effective_window("Qwen3-8B", LONG, tmp_path).tokens == 16_384
    assert effective_window("Qwen3-8B", 8192, tmp_path).tokens == 8192
    assert effective_window("Qwen3-8B", LONG).tokens == 32_768
    assert effective_window("renamed", LONG, tmp_path, aliases=("other", "Qwen3-8B")).tokens == 16_384
    assert effective_window("Qwen3-8B-AWQ", LONG, tmp_path) is None


def test_what_was_measured_is_for_this_user_and_bounded(tmp_path):
    """This test ensures that the file is private and keeps the latest models only."""
    for number in range(MAX_MEASURED + 3):
        record_effective_window(f"model {number}", number + 1, 90.0, "x" * 10_000, tmp_path)
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.stat().st_size < 100_000
    assert effective_window("model 2", LONG, tmp_path) is None
    assert effective_window("model 3", LONG, tmp_path).tokens == 4


DAMAGED = [
    b"",
    b"{}",
    b"\x00" * 100,
    b"[" * 200_000,
    *(
        json.dumps({"format": 1, "rows": [{"name": "m", "tokens": 9, "score": 9.0, "how": "h"} | change]}).encode()
        for change in (
            {"tokens": 0}, {"tokens": 0.5}, {"tokens": "9"}, {"tokens": 1e999}, {"tokens": True},
            {"score": None}, {"how": 7}, {"name": ["m"]},
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: repr(content[:70]))
def test_a_damaged_file_is_begun_anew(content, tmp_path):
    """This test ensures that what cannot be a measurement is none, and the next one is kept."""
    (tmp_path / "effective-windows.json").write_bytes(content)
    assert effective_window("m", LONG, tmp_path) is None
    assert record_effective_window("m", 4096, 90.0, "needle", tmp_path)
    assert effective_window("m", LONG, tmp_path).tokens == 4096


def test_a_full_disk_is_told_and_impossible_results_are_our_mistake(tmp_path):
    """This test ensures that a state directory that cannot be made returns False, and wrong numbers raise."""
    (tmp_path / "state").write_text("in the way")
    assert not record_effective_window("m", 4096, 90.0, "needle", tmp_path / "state")
    for tokens, score in ((0, 90.0), (4096, 101.0), (4096, -1.0), (4096, float("nan"))):
        with pytest.raises(ValueError, match="a window of"):
            record_effective_window("m", tokens, score, "needle", tmp_path)


@given(st.text(max_size=300), st.integers(1, 10**7))
def test_any_name_is_looked_up(tmp_path_factory, name, tokens):
    """This test ensures that hostile names neither fail nor change another model's window."""
    state = tmp_path_factory.mktemp("state")
    record_effective_window("model", 7, 90.0, "needle", state)
    record_effective_window(f"{name}!", tokens, 90.0, "needle", state)
    assert effective_window(f"{name}!", LONG, state).tokens == tokens
    assert effective_window("model", LONG, state).tokens == 7
