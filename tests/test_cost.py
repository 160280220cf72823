"""Tests of time and cost: published measurements, the rates that are counted on, and the manual's numbers."""

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_kv_cache import value_of

from lctx.core.models.cards import find_card
from lctx.core.models.compute import AttentionCost, ComputeShape, compute_from_config
from lctx.core.models.parameters import ParameterCount
from lctx.core.models.weights import Quantization, active_weight_bytes
from lctx.core.planning.calibration import Calibration
from lctx.core.planning.cost import (
    CPU_DECODE_SHARE,
    CPU_PREFILL_SHARE,
    Rates,
    decode_seconds,
    estimate_cost,
    prefill_seconds,
    rates_for,
)
from lctx.core.planning.devices import Device, DeviceKind, parse_device
from lctx.core.planning.kv_cache import KvDtype, kv_cache_bytes

PAGE = Path(__file__).resolve().parent.parent / "docs/concepts/cost.md"
MILLION = 1_000_000
H100 = parse_device("h100:80gb")
LLAMA = find_card("Llama-3.1-8B")
COMPUTE = compute_from_config(LLAMA.config)
WEIGHTS = active_weight_bytes(COMPUTE.parameters, Quantization.BFLOAT16)
AVX2 = Device("two cores", DeviceKind.CPU, 1 << 33, bf16_flops=2 * 2.6e9 * 32, source="estimated")


def at(teraflops):
    """Rates of so many TFLOP/s and an H100's memory."""
    return Rates(teraflops * 1e12, 3.0e12, 0.0014, "named", decode_flops=teraflops * 1e12)


def llama_step(context, rates, dtype=KvDtype.FP16):
    """Milliseconds of one token of Llama-3.1-8B behind `context` tokens."""
    kv_bytes = kv_cache_bytes(LLAMA.shape, context, dtype)
    return 1e3 * decode_seconds(COMPUTE, 2, context, rates, weight_bytes=WEIGHTS, kv_bytes=kv_bytes)


@pytest.mark.parametrize(
    ("name", "teraflops", "seconds"),
    [
        ("Llama-3.1-8B", 800, 346),
        ("Llama-3.1-8B", 600, 462),
        ("Qwen2.5-7B", 800, 267),
        ("Qwen3-30B-A3B", 800, 498),
    ],
)
def test_a_million_tokens_take_what_was_worked_out(name, teraflops, seconds):
    """This test ensures that the time of a long prompt is its FLOPs at the rate, within 1 %."""
    compute = compute_from_config(find_card(name).config)
    assert prefill_seconds(compute, MILLION, 0, at(teraflops)) == pytest.approx(seconds, rel=0.01)


def test_the_prediction_for_an_a100_is_what_was_published():
    """This test ensures that an 8B model reads a million tokens on one A100 in the 30 minutes of MInference's paper."""
    rates = rates_for(parse_device("a100:80gb"))
    assert prefill_seconds(COMPUTE, MILLION, 0, rates) == pytest.approx(30 * 60, rel=0.05)


def test_the_prediction_for_128_cards_is_what_was_published():
    """This test ensures that Llama-3-405B's 4.94e18 FLOPs take Meta's 77 s on 128 H100s."""
    rates = rates_for(parse_device("128xh100"))
    assert 4.94e18 / rates.flops == pytest.approx(77, rel=0.05)


@pytest.mark.parametrize("context", [1_000, 10_000, 100_000, 500_000, MILLION])
def test_writing_takes_what_vllm_measured(context):
    """This test ensures that vLLM's fit for Llama-3.1-8B on an H100 comes out within 10 % at every length."""
    assert llama_step(context, rates_for(H100)) == pytest.approx(4.37e-5 * context + 6.44, rel=0.1)


def test_a_narrow_cache_is_read_faster():
    """This test ensures that fp8 KV comes out within 10 % of vLLM's fit at a million tokens."""
    assert llama_step(MILLION, rates_for(H100), KvDtype.FP8) == pytest.approx(
        2.37e-5 * MILLION + 6.58, rel=0.1
    )


def test_cached_tokens_are_not_read_again():
    """This test ensures that a cached prefix saves its own time, and a prompt that is cached whole takes none."""
    rates = rates_for(H100)
    whole = prefill_seconds(COMPUTE, 100_000, 0, rates)
    assert prefill_seconds(COMPUTE, 100_000, 100_000, rates) == 0
    rest = prefill_seconds(COMPUTE, 100_000, 90_000, rates)
    assert rest + prefill_seconds(COMPUTE, 90_000, 0, rates) == pytest.approx(whole, rel=1e-3)


def test_fp8_weights_are_faster_where_the_card_can():
    """This test ensures that only the weights' part is halved, and nothing on a card without such arithmetic."""
    plain, narrow = rates_for(H100), rates_for(H100, Quantization.FP8)
    linear = 2 * COMPUTE.parameters.active * 1000
    saved = prefill_seconds(COMPUTE, 1000, 0, plain) - prefill_seconds(COMPUTE, 1000, 0, narrow)
    assert saved == pytest.approx(linear / plain.flops / 2, rel=0.01)
    assert "1978" in narrow.basis
    a100 = parse_device("a100:40gb")
    assert rates_for(a100, Quantization.FP8) == rates_for(a100)
    assert rates_for(H100, Quantization.INT4) == plain


def test_cards_together_are_faster():
    """This test ensures that the rates are those of all cards, and the line says of how many."""
    one, two = rates_for(H100), rates_for(parse_device("2xh100"))
    assert (two.flops, two.bandwidth, two.overhead_s) == (2 * one.flops, 2 * one.bandwidth, one.overhead_s)
    assert two.basis.endswith("of each of 2 cards")


# Tokens per second measured with llama.cpp on two cores with AVX2, behind 3,000 tokens.
MEASURED = [("SmolLM2-135M", 129, 28), ("Gemma-3-270M", 254, 48)]


@pytest.mark.parametrize(("name", "reading", "writing"), MEASURED)
def test_a_processor_is_predicted_within_the_spread_of_what_was_measured(name, reading, writing):
    """This test ensures that the share of the bound predicts both models, the slower well, none too fast."""
    compute, rates = compute_from_config(find_card(name).config), rates_for(AVX2)
    read_s = prefill_seconds(compute, 3000, 0, rates)
    written_s = decode_seconds(compute, 2, 3000, rates, weight_bytes=1, kv_bytes=1)
    assert 0.95 < read_s * reading / 3000 < 1.6
    assert 0.95 < written_s * writing < 2.3


@pytest.mark.parametrize(
    "device",
    [
        parse_device("24gb"),
        Device("odd", DeviceKind.CPU, 1 << 30),
        Device("x", DeviceKind.GPU, 1, bf16_flops=1e12),
    ],
)
def test_what_is_not_known_is_not_made_up(device):
    """This test ensures that a device without rates has neither seconds nor a price."""
    rates = rates_for(device)
    assert not rates.is_known
    assert rates.basis.startswith("not known")
    assert prefill_seconds(COMPUTE, 100, 0, rates) is None
    assert decode_seconds(COMPUTE, 100, 100, rates, weight_bytes=1, kv_bytes=1) is None
    assert (
        estimate_cost(
            COMPUTE,
            device,
            rates,
            prompt_tokens=9,
            answer_tokens=9,
            weight_bytes=1,
            kv_bytes=1,
            price_per_hour=2.0,
        )
        is None
    )


def test_a_measurement_replaces_what_is_usual():
    """This test ensures that measured rates count, each for its own half, and that the line tells which."""
    whole = Calibration(5e14, 2e12, 0.002, 12, 1, is_same_model=True)
    rates = rates_for(H100, "fp8", whole)
    assert (rates.flops, rates.bandwidth, rates.overhead_s, rates.linear_flops) == (5e14, 2e12, 0.002, None)
    assert (
        rates.basis
        == "reading measured on this machine in 12 runs; writing measured on this machine in 1 run"
    )
    half = rates_for(H100, None, Calibration(5e14, None, 0.0, 3, 0, is_same_model=False))
    assert (half.flops, half.bandwidth, half.overhead_s) == (5e14, rates_for(H100).bandwidth, 0.0014)
    assert half.basis.startswith(
        "reading measured on this machine in 3 runs, of other models; writing not yet, it is taken from 50% of"
    )
    unknown = rates_for(parse_device("24gb"), None, whole)
    assert unknown.is_known
    cpu = rates_for(AVX2, None, Calibration(None, 4e9, 0.0, 0, 2, is_same_model=True))
    assert (cpu.flops, cpu.bandwidth, cpu.decode_flops) == (CPU_PREFILL_SHARE * AVX2.bf16_flops, 4e9, None)


def test_energy_and_price_are_time_times_rate():
    """This test ensures that an hour on two cards of 700 W is 1,400 Wh and the price of an hour."""
    device = parse_device("2xh100")
    rates = Rates(1e12, 1e12, 0.0, "named")
    compute = ComputeShape(
        ParameterCount(total=1, active=0, embedding=0, head=0), (AttentionCost(1, 0, token_flops=10**12),)
    )
    cost = estimate_cost(
        compute,
        device,
        rates,
        prompt_tokens=1800,
        answer_tokens=1801,
        weight_bytes=10**12,
        kv_bytes=0,
        price_per_hour=4.5,
    )
    assert (cost.prefill_s, cost.decode_s, cost.total_s) == (1800, 1800, 3600)
    assert (cost.watt_hours, cost.price, cost.basis) == (1400, 4.5, "named")
    named = estimate_cost(
        COMPUTE, AVX2, rates_for(AVX2), prompt_tokens=9, answer_tokens=9, weight_bytes=1, kv_bytes=1
    )
    assert (named.watt_hours, named.price) == (None, None)


def test_a_step_takes_the_slower_of_moving_and_computing():
    """This test ensures that neither is added to the other, and that an answer of one token has no step."""
    slow_memory, slow_cores = (
        Rates(1e15, 1e9, 0.5, "", decode_flops=1e15),
        Rates(1e15, 1e15, 0.5, "", decode_flops=1e9),
    )
    sizes = {"weight_bytes": 10**9, "kv_bytes": 10**9}
    assert decode_seconds(COMPUTE, 11, 0, slow_memory, **sizes) == pytest.approx(10 * (2 + 0.5))
    flops = COMPUTE.decode_flops(5)
    assert decode_seconds(COMPUTE, 11, 0, slow_cores, **sizes) == pytest.approx(10 * (flops / 1e9 + 0.5))
    assert decode_seconds(COMPUTE, 1, 0, slow_cores, **sizes) == 0
    assert decode_seconds(COMPUTE, 0, 0, slow_cores, **sizes) == 0


@given(
    st.integers(0, 2_000_000), st.integers(0, 2_000_000), st.integers(0, 4000), st.sampled_from([H100, AVX2])
)
def test_more_tokens_never_take_less(one, other, answer, device):
    """This test ensures that seconds grow with prompt and answer, on every kind of device."""
    few, many = sorted((one, other))
    rates = rates_for(device)
    costs = [
        estimate_cost(
            COMPUTE,
            device,
            rates,
            prompt_tokens=prompt,
            answer_tokens=written,
            weight_bytes=WEIGHTS,
            kv_bytes=prompt * 131_072,
        )
        for prompt, written in ((few, answer), (many, answer), (many, answer + 1))
    ]
    assert costs[0].total_s <= costs[1].total_s <= costs[2].total_s
    assert costs[0].prefill_s >= 0


def rows_of(heading):
    """The rows of the page's table whose head begins so, as lists of cells."""
    lines = PAGE.read_text("utf-8").split(f"| {heading}", 1)[1].splitlines()
    table = [line for line in lines[2 : lines.index("")] if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_worked_lines_of_the_manual_hold():
    """This test ensures that each calculation of the page gives its number, and both what lctx computes."""
    text = PAGE.read_text("utf-8")
    lines = re.findall(r"^    (\d[^=\n]*) = ([\d,]+) FLOPs", text, re.MULTILINE)
    assert len(lines) == 2
    for worked, result in lines:
        expression = re.sub(r"(?<=\d),(?=\d{3})", "", worked).replace("×", "*")
        assert value_of(ast.parse(expression, mode="eval")) == int(result.replace(",", "")), worked
    total = sum(int(result.replace(",", "")) for _, result in lines)
    assert COMPUTE.prefill_flops(MILLION) == pytest.approx(total, rel=1e-6)
    assert f"{total:.2e}".replace("+", "") in text
    assert f"{COMPUTE.parameters.active:,}" in text
    assert f"{int(lines[1][1].replace(',', '')) / total:.0%}".replace("%", " %") in text


def test_the_shares_of_the_manual_are_those_seen():
    """This test ensures that both published measurements give the rate and the share that stand beside them."""
    rows = rows_of("seen | FLOPs")
    assert len(rows) == 2
    for (_, flops, seconds, rate, peak, share), cards, device in zip(
        rows, (128, 1), ("h100", "a100:80gb"), strict=True
    ):
        reached = float(flops) / float(seconds) / cards / 1e12
        assert f"{reached:.0f}" == rate
        assert f"{reached / float(peak):.0%}" == share.replace(" ", "")
        assert parse_device(device).bf16_flops == float(peak) * 1e12


def test_the_seconds_of_the_manual_are_what_lctx_computes():
    """This test ensures that the page's times of reading and writing come from the code."""
    reading = rows_of("rate, TFLOP/s")
    assert len(reading) == 3
    for rate, _, seconds in reading:
        wanted = at(float(rate)) if rate != "494" else rates_for(H100)
        assert f"{prefill_seconds(COMPUTE, MILLION, 0, wanted):.0f}" == seconds
    writing = rows_of("context |")
    assert len(writing) == 3
    for context, measured, predicted in writing:
        tokens = int(context.replace(",", ""))
        assert f"{4.37e-5 * tokens + 6.44:.1f}" == measured
        assert f"{llama_step(tokens, rates_for(H100)):.1f}" == predicted


def test_the_processors_of_the_manual_are_what_was_measured():
    """This test ensures that the shares of the bound follow from the tokens per second, and lctx takes the lower."""
    rows, shares = rows_of("model | reading"), []
    assert [(name, int(reading), int(writing)) for name, reading, _, writing, _ in rows] == MEASURED
    for name, reading, read_share, writing, write_share in rows:
        compute = compute_from_config(find_card(name).config)
        read = compute.prefill_flops(3000) / (3000 / int(reading)) / AVX2.bf16_flops
        written = compute.decode_flops(3000) * int(writing) / AVX2.bf16_flops
        assert (f"{read:.0%}", f"{written:.0%}") == (
            read_share.replace(" ", ""),
            write_share.replace(" ", ""),
        )
        shares.append((read, written))
    assert pytest.approx(min(shares), rel=0.05) == (CPU_PREFILL_SHARE, CPU_DECODE_SHARE)
