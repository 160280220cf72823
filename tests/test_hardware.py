"""Tests of what a plan is made for: which engine, what it keeps, and the largest window that fits."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from answering_parts import small_model

from lctx.core.errors import DoesNotFitError, UsageError
from lctx.core.models.cards import find_card
from lctx.core.models.derive import card_profile
from lctx.core.planning.devices import Device, DeviceKind, parse_device
from lctx.core.planning.hardware import Hardware, costing_of, engine_for, fit_of, kv_dtype_kept
from lctx.core.planning.kv_cache import KvDtype
from lctx.core.planning.window import choose_window

GIB = 2**30
PROCESSOR = Device("a processor", DeviceKind.CPU, 16 * GIB)


def profile(name):
    return card_profile(find_card(name))


def on(gpu, **more):
    return Hardware(parse_device(gpu), "vllm", **more)


def fit(name, gpu, asked=None, **more):
    model = profile(name)
    return fit_of(model, choose_window(model, asked=asked), on(gpu, **more))


def test_the_engine_follows_the_device_and_the_files():
    """This test ensures that GPUs and directories are served by vLLM, and a GGUF file on a processor by llama.cpp."""
    model = small_model()
    assert engine_for(model, parse_device("h100")) == "vllm"
    assert engine_for(model, PROCESSOR) == "llama"
    assert engine_for(replace(model, path=Path("model.gguf")), PROCESSOR) == "llama"
    assert engine_for(replace(model, path=Path("folder")), PROCESSOR) == "vllm"


@pytest.mark.parametrize(
    ("hardware", "kept"),
    [
        (Hardware(PROCESSOR, "llama", KvDtype.FP8), KvDtype.FP16),
        (Hardware(PROCESSOR, "vllm"), KvDtype.FP32),
        (on("h100"), KvDtype.BF16),
        (on("h100", kv_dtype=KvDtype.FP8), KvDtype.FP8),
    ],
)
def test_the_engine_decides_what_it_keeps(hardware, kept):
    """This test ensures that plans count the bytes that the engine takes, whatever llama.cpp is asked for."""
    assert kv_dtype_kept(hardware) is kept


def test_fp8_halves_the_cache_and_widens_the_window():
    """This test ensures that a narrower cache takes half the bytes and holds a longer window."""
    wide, narrow = fit("qwen3-8b", "rtx4090"), fit("qwen3-8b", "rtx4090", kv_dtype=KvDtype.FP8)
    assert wide.kv_bytes == 2 * narrow.kv_bytes
    assert narrow.largest_window > wide.largest_window
    assert wide.fits
    wide.require()


def test_two_cards_share_the_weights():
    """This test ensures that Llama-3.1-70B needs two H200, each of which holds half of it."""
    both = fit("llama-3.1-70b", "2xh200", 131_072)
    assert both.fits
    one = fit("llama-3.1-70b", "h200", 8192)
    assert one.memory.term("weights").bytes == pytest.approx(2 * both.memory.term("weights").bytes, rel=0.01)
    assert one.kv_bytes == pytest.approx(2 * fit("llama-3.1-70b", "2xh200", 8192).kv_bytes, rel=0.01)


def test_a_model_too_large_says_what_takes_the_memory():
    """This test ensures that exit 3 names weights and both sizes where no window at all fits."""
    large = fit("llama-3.1-70b", "rtx4090")
    assert (large.fits, large.largest_window) == (False, 0)
    with pytest.raises(DoesNotFitError, match=r"weights 131\.\d GiB.*24\.0 GiB are there"):
        large.require()


def test_the_largest_window_fits_and_the_next_does_not():
    """This test ensures that the window that the error names can be asked for, and is the largest that can."""
    long = fit("qwen3-8b", "rtx4090", 131_072)
    with pytest.raises(DoesNotFitError, match=f"largest window {long.largest_window:,}"):
        long.require()
    assert fit("qwen3-8b", "rtx4090", long.largest_window).fits
    assert not fit("qwen3-8b", "rtx4090", long.largest_window + 1024).fits


def test_heads_that_do_not_divide_are_a_usage_error():
    """This test ensures that three cards for eight heads end with exit 2 and not in a wrong number."""
    with pytest.raises(UsageError, match="does not divide 8 KV heads"):
        fit("llama-3.1-70b", "3xh100")


def test_latents_alone_are_kept_as_latents():
    """This test ensures that the format of DeepSeek's latents is refused for a model without them."""
    with pytest.raises(UsageError, match="keeps keys and values, no latents"):
        fit("qwen3-8b", "h100", kv_dtype=KvDtype.FP8_DS_MLA)
    assert fit("deepseek-v2-lite", "h100", kv_dtype=KvDtype.FP8_DS_MLA).kv_dtype is KvDtype.FP8_DS_MLA


def test_unknown_sizes_promise_nothing():
    """This test ensures that a model behind an address has no fit and no price."""
    model = small_model()
    assert fit_of(model, choose_window(model), on("h100")) is None
    assert costing_of(model, on("h100")) is None


def test_more_tokens_never_cost_less():
    """This test ensures that seconds, energy and price grow with prompt and with answer."""
    cost = costing_of(profile("qwen3-8b"), on("h100", price_per_hour=2.0))
    costs = [cost(prompt, answer) for prompt, answer in ((0, 1), (1, 1), (1000, 1), (1000, 9), (10**6, 9))]
    for before, after in pairwise(costs):
        assert before.total_s <= after.total_s
        assert before.price <= after.price
        assert before.watt_hours <= after.watt_hours
    assert costs[-1].price == pytest.approx(2.0 * costs[-1].total_s / 3600)
