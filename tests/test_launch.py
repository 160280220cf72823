"""Plan -> launch: what a vLLM is started with, and what is refused because it would not fit."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lctx.core.errors import DoesNotFitError, ExitCode, UsageError
from lctx.core.models.cards import find_card
from lctx.core.models.derive import card_profile
from lctx.core.planning.devices import Device, DeviceKind, parse_device
from lctx.core.planning.hardware import Hardware, fit_of
from lctx.core.planning.kv_cache import KvDtype
from lctx.core.planning.launch import LONG_WINDOW, MOST_LONG_REQUESTS, VllmWishes, launch_of
from lctx.core.planning.vllm_memory import DEFAULT_UTILIZATION
from lctx.core.planning.window import choose_window

GIB = 2**30
PLAIN = VllmWishes()
CPU = Device("a CPU", DeviceKind.CPU, 8 * GIB)


def profile_of(name="SmolLM2-135M"):
    """A card's model, as if its directory were here."""
    return replace(card_profile(find_card(name)), path=Path("/models/one"))


def launch(window, device=CPU, wishes=PLAIN, name="SmolLM2-135M", kv_dtype=None):
    profile = profile_of(name)
    chosen = choose_window(profile, asked=window)
    return launch_of(profile, chosen, Hardware(device, "vllm", kv_dtype), wishes)


def test_a_cpu_is_given_bytes_and_a_stretched_rope():
    """This test ensures that 16K of an 8K model carry the complete override, and bytes of whole blocks."""
    made = launch(16_384)
    assert (made.max_model_len, made.dtype, made.kv_cache_dtype, made.is_on_cpu) == (
        16_384,
        "float32",
        "auto",
        True,
    )
    assert made.hf_overrides == {
        "max_position_embeddings": 16_384,
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 100_000.0,
            "factor": 2.0,
            "original_max_position_embeddings": 8192,
        },
    }
    # Two windows; 30 layers x 2 x 3 heads x 64 x 4 bytes a token.
    assert made.kv_cache_memory_bytes == 2 * 16_384 * 46_080
    assert made.kv_tokens == 2 * 16_384
    assert made.gpu_memory_utilization is None
    assert made.enforce_eager


def test_what_fits_natively_is_not_stretched():
    """This test ensures that no override is made where none is needed."""
    assert launch(8192).hf_overrides == {}


def test_a_gpu_is_given_a_share():
    """This test ensures that a GPU gets its share of memory, steps of 8,192 tokens and compiled code."""
    made = launch(131_072, parse_device("h100:80gb"), name="Llama-3.1-8B", kv_dtype=KvDtype.FP8)
    assert made.gpu_memory_utilization == DEFAULT_UTILIZATION
    assert made.kv_cache_memory_bytes is None
    assert (made.dtype, made.kv_cache_dtype, made.max_num_batched_tokens) == ("auto", "fp8", 8192)
    assert not made.enforce_eager
    assert not made.is_on_cpu


def test_a_gpu_in_use_by_others_is_given_less():
    """This test ensures that vLLM is not told to use more than is free."""
    device = replace(parse_device("h100:80gb"), available_bytes=60 * GIB)
    made = launch(32_768, device, name="Llama-3.1-8B")
    assert made.gpu_memory_utilization * device.memory_bytes <= 60 * GIB
    assert made.kv_tokens < launch(32_768, parse_device("h100:80gb"), name="Llama-3.1-8B").kv_tokens


def test_the_launch_agrees_with_the_plan():
    """This test ensures that `lctx plan` and the launch promise the same largest window."""
    profile, device = profile_of("Llama-3.1-8B"), parse_device("rtx4090")
    hardware = Hardware(device, "vllm")
    window = choose_window(profile, asked=131_072)
    largest = fit_of(profile, window, hardware).largest_window
    assert 0 < largest < 131_072
    with pytest.raises(DoesNotFitError, match=f"largest window {largest:,}") as caught:
        launch_of(profile, window, hardware)
    assert caught.value.exit_code is ExitCode.DOES_NOT_FIT
    assert launch_of(profile, choose_window(profile, asked=largest), hardware).kv_tokens >= largest


@given(st.integers(1, 131_072), st.sampled_from(["24gb", "h100:80gb", "2xh100:80gb", "4xl40s"]))
def test_what_is_launched_holds_its_window(window, device):
    """This test ensures that a launch either holds one request of its window, or is refused by name."""
    try:
        made = launch(window, parse_device(device), name="Llama-3.1-8B")
    except DoesNotFitError as error:
        assert error.hint  # noqa: PT017
        return
    assert made.kv_tokens >= window
    assert made.tensor_parallel == parse_device(device).count


def test_a_wish_for_bytes_is_kept_or_refused():
    """This test ensures that bytes that were wished for are what vLLM gets, and bound the window."""
    made = launch(4096, wishes=VllmWishes(kv_cache_memory_bytes=512 << 20))
    assert made.kv_cache_memory_bytes == 512 << 20
    with pytest.raises(DoesNotFitError, match=r"100\.0 MiB available: largest window 2,048"):
        launch(4096, wishes=VllmWishes(kv_cache_memory_bytes=100 << 20))


def test_parallelism_divides_the_devices():
    """This test ensures that stages and heads share the devices, and what cannot be divided is refused."""
    device = parse_device("4xh100:80gb")
    made = launch(131_072, device, VllmWishes(pipeline_parallel=2), name="Llama-3.1-8B")
    assert (made.tensor_parallel, made.pipeline_parallel) == (2, 2)
    whole = launch(131_072, device, name="Llama-3.1-8B")
    assert whole.tensor_parallel == 4
    with pytest.raises(UsageError, match="3 stages"):
        launch(131_072, device, VllmWishes(pipeline_parallel=3), name="Llama-3.1-8B")
    with pytest.raises(UsageError, match="heads"):
        launch(8192, parse_device("2xh100:80gb"))
    with pytest.raises(UsageError, match="context parallelism"):
        launch(131_072, device, VllmWishes(context_parallel=2), name="Llama-3.1-8B")


def test_few_requests_in_a_long_window():
    """This test ensures that a million tokens are served to eight requests at most."""
    device, name = parse_device("h200"), "Kimi-Linear-48B-A3B"
    made = launch(LONG_WINDOW, device, name=name)
    assert made.max_num_seqs == MOST_LONG_REQUESTS
    with pytest.raises(UsageError, match="at most 8"):
        launch(LONG_WINDOW, device, VllmWishes(max_num_seqs=9), name=name)
    with pytest.raises(UsageError, match="at least 1"):
        launch(8192, wishes=VllmWishes(max_num_seqs=0))


def test_wishes_arrive():
    """This test ensures that each wish is what vLLM is started with, and that a nonsense dtype is told."""
    wishes = VllmWishes(
        dtype="bfloat16", max_num_seqs=2, max_num_batched_tokens=512, quantization="fp8", load_format="dummy",
        prefix_caching=False, batch_invariant=True, seed=7,
    )  # fmt: skip
    made = launch(8192, wishes=wishes)
    for name in ("dtype", "max_num_seqs", "max_num_batched_tokens", "quantization", "load_format",
                 "prefix_caching", "batch_invariant", "seed"):  # fmt: skip
        assert getattr(made, name) == getattr(wishes, name)
    assert made.kv_cache_memory_bytes == 2 * 8192 * 23_040
    with pytest.raises(UsageError, match="none of vLLM's"):
        launch(8192, wishes=VllmWishes(dtype="float7"))


def test_what_tells_servers_apart():
    """This test ensures that precision and reproducibility are told apart, and the window is not."""
    assert launch(8192).traits == launch(4096).traits
    others = {
        launch(8192).traits,
        launch(8192, wishes=VllmWishes(dtype="bfloat16")).traits,
        launch(8192, wishes=VllmWishes(batch_invariant=True)).traits,
        launch(8192, kv_dtype=KvDtype.BF16).traits,
        launch(8192, wishes=VllmWishes(load_format="dummy")).traits,
    }
    assert len(others) == 5


def test_a_model_that_vllm_cannot_be_given():
    """This test ensures that a GGUF file, a card without files and an unknown shape are refused with a way on."""
    profile = profile_of()
    window, hardware = choose_window(profile, asked=4096), Hardware(CPU, "vllm")
    for wrong in (
        replace(profile, path=None),
        replace(profile, path=Path("/m/one.gguf")),
        replace(profile, shape=None),
    ):
        with pytest.raises(UsageError) as caught:
            launch_of(wrong, window, hardware)
        assert caught.value.hint


def test_weights_are_counted_as_they_are_loaded():
    """This test ensures that a file of 16-bit weights counts double where a CPU computes in float32."""
    profile = replace(profile_of("Qwen3-4B"), quantization="bfloat16")
    window = choose_window(profile, asked=4096)
    device = replace(CPU, memory_bytes=profile.weight_bytes + 6 * GIB)
    with pytest.raises(DoesNotFitError, match="the model on this device"):
        launch_of(profile, window, Hardware(device, "vllm"))
    assert (
        launch_of(profile, window, Hardware(device, "vllm"), VllmWishes(dtype="bfloat16")).kv_tokens >= 4096
    )
