"""Models beside devices: every figure is that of the pure functions, and every limit is one."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lctx.core.models.cards import find_card, model_cards
from lctx.core.models.derive import card_profile
from lctx.core.planning.comparison import (
    MILLION,
    Candidate,
    Limit,
    compare,
    compare_at_largest,
    smallest_change,
)
from lctx.core.planning.devices import Device, DeviceKind, parse_device
from lctx.core.planning.hardware import Hardware, costing_of, engine_for, fit_of
from lctx.core.planning.kv_cache import KvDtype
from lctx.core.planning.rope import rope_label
from lctx.core.planning.window import WINDOW_STEP, choose_window

H100 = parse_device("h100:80gb")
CPU = Device("a processor", DeviceKind.CPU, 64 << 30, bf16_flops=1e12, available_bytes=48 << 30)
DEVICES = [H100, parse_device("2xh200"), parse_device("rtx4090"), parse_device("24gb"), CPU]


def profile_of(name):
    return card_profile(find_card(name))


def pair(name, device=H100, window=MILLION, kv_dtype=None, price=None) -> Candidate:
    profile = profile_of(name)
    return Candidate(profile, Hardware(device, engine_for(profile, device), kv_dtype, price), window)


def test_the_figures_are_those_of_the_pure_functions():
    """This test ensures that a row says what memory, rope and cost say of its window, and nothing of its own."""
    candidate = pair("Qwen3-8B", window=131_072, price=3.0)
    row = compare(candidate)
    window = choose_window(candidate.profile, asked=131_072)
    fit = fit_of(candidate.profile, window, candidate.hardware)
    costing = costing_of(candidate.profile, candidate.hardware)
    assert (row.fits, row.window, row.largest_window) == (True, 131_072, fit.largest_window)
    assert (row.kv_bytes, row.kv_dtype) == (fit.kv_bytes, fit.kv_dtype)
    assert row.weight_bytes == fit.memory.term("weights").bytes
    assert row.first_token_s == costing(131_072, 1).prefill_s
    assert row.price == costing(131_072, 1).price
    assert row.tokens_per_s == 1 / costing(131_072, 2).decode_s
    assert row.rope == rope_label(window.rope) == "yarn x4 (32,768 -> 131,072)"
    assert row.warnings == window.warnings != ()


def test_memory_limits_a_window_that_is_too_long():
    """This test ensures that the largest window fits, the next one does not, and the figures are its own."""
    row = compare(pair("Qwen3-30B-A3B-2507"))
    assert (row.fits, row.limit, row.is_in_reach) == (False, Limit.MEMORY, True)
    assert row.window == row.largest_window > 0
    # Shorter than the native window: the factor that a million would need is not paid.
    assert row.rope is None
    assert compare(pair("Qwen3-30B-A3B-2507", window=row.largest_window)).fits
    assert not compare(pair("Qwen3-30B-A3B-2507", window=row.largest_window + WINDOW_STEP)).fits


def test_a_window_out_of_reach_is_no_fit_and_says_why():
    """This test ensures that where no rope reaches, the native window is looked at and the reason is told."""
    for name, why in (
        ("Gemma-3-27B", "its local and its global layers have a rope each"),
        ("Llama-3.1-8B", "its rope is scaled already (llama3)"),
        ("SmolLM2-135M", "more than 8"),
    ):
        row = compare(pair(name))
        assert (row.fits, row.is_in_reach, row.rope, row.limit) == (False, False, None, Limit.ROPE), name
        assert row.window == row.largest_window == row.candidate.profile.native_window
        assert why in row.why
        assert row.first_token_s is not None


def test_weights_that_do_not_fit_leave_no_window():
    """This test ensures that a model larger than the device has no figures but the size of its weights."""
    row = compare(pair("DeepSeek-V3"))
    assert (row.fits, row.window, row.largest_window, row.limit) == (False, 0, 0, Limit.WEIGHTS)
    assert (row.kv_bytes, row.first_token_s, row.tokens_per_s, row.rope) == (None, None, None, None)
    assert row.weight_bytes > H100.memory_bytes
    assert "before the KV cache" in row.why


def test_cards_that_do_not_divide_the_heads_are_told_in_their_row():
    """This test ensures that three GPUs for eight heads spoil one row and raise nothing."""
    row = compare(pair("Qwen3-8B", parse_device("3xh100")))
    assert (row.fits, row.limit, row.largest_window) == (False, Limit.REFUSED, 0)
    assert "3 GPUs" in row.why


def test_unknown_sizes_are_told_in_their_row():
    """This test ensures that a model of unknown shape is compared without a figure."""
    candidate = pair("Qwen3-8B")
    row = compare(replace(candidate, profile=replace(candidate.profile, shape=None)))
    assert (row.fits, row.limit, row.weight_bytes) == (False, Limit.UNKNOWN, None)


def test_a_device_of_unknown_rates_has_sizes_and_no_times():
    """This test ensures that a GPU that is named by its memory alone is planned for, by memory alone."""
    row = compare(pair("Qwen3-8B", parse_device("80gb"), 32_768))
    assert row.fits
    assert row.kv_bytes == 36 * 2 * 8 * 128 * 2 * 32_768
    assert (row.first_token_s, row.tokens_per_s, row.basis) == (None, None, None)


@given(
    st.sampled_from(model_cards()),
    st.sampled_from(DEVICES),
    st.integers(1, 12_000_000),
    st.sampled_from([None, KvDtype.FP8]),
)
def test_every_pair_has_a_row(card, device, window, kv_dtype):
    """This test ensures that any model, device and window gives a row whose parts agree."""
    row = compare(pair(card.name, device, window, kv_dtype))
    assert row.why
    assert row.window in {0, window} or not row.fits
    assert row.fits == (row.window == window and row.is_in_reach)
    assert (row.kv_bytes is None) == (row.window == 0)
    assert row.window <= max(row.largest_window, row.candidate.profile.native_window)
    largest = compare_at_largest(row.candidate)
    assert largest.fits == (row.window > 0)
    assert largest.window == row.window


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        (
            [pair("Qwen3-8B", parse_device("rtx4090"), 49_152)],
            "--kv-dtype fp8 lets Qwen3-8B hold it on RTX 4090",
        ),
        ([pair("Kimi-Linear-48B-A3B")], "Kimi-Linear-48B-A3B holds it with --gpu '2 x H100 SXM'"),
        ([pair("Qwen3-8B", parse_device("3xh100"), 32_768)], "Qwen3-8B holds it with --gpu 'H100 SXM'"),
        ([pair("Llama-3.1-8B")], "Llama-3.1-8B on H100 SXM holds --window 131072"),
        ([pair("Qwen3-8B", CPU, 262_145)], "Qwen3-8B on a processor holds --window 40960"),
        ([pair("DeepSeek-V3", CPU, 1024)], None),
        (
            [pair("Qwen3-8B", window=32_768, kv_dtype=KvDtype.FP8_DS_MLA)],
            "--kv-dtype fp8 lets Qwen3-8B hold it on H100 SXM",
        ),
        ([], None),
    ],
)
def test_the_smallest_change_that_helps_is_named(candidates, expected):
    """This test ensures that the hint is one that works: fp8, then cards, then a shorter window."""
    assert smallest_change(candidates) == expected


def test_what_the_hint_names_holds():
    """This test ensures that following the hint of a comparison leads to a fit."""
    told = smallest_change([pair("Qwen3-Next-80B-A3B"), pair("DeepSeek-V3.2")])
    name, _, device = told.partition(" holds it with --gpu ")
    assert compare(pair(name, parse_device(device.split("'")[1]))).fits
