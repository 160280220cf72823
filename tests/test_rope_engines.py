"""Rope scaling as the engines take it: GGUF headers, llama.cpp's flags and vLLM's overrides, on real ones."""

import ctypes
import json
import math
import os
import subprocess
import sys
import urllib.request
from importlib.util import find_spec

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rope_configs import SMOLLM2

from lctx.core.errors import DoesNotFitError
from lctx.core.models.gguf import GgufHeader, read_header
from lctx.core.models.rope import RopeType, rope_from_config, rope_from_gguf
from lctx.core.planning.rope import (
    choose_rope,
    covering_factor,
    llama_flags,
    vllm_overrides,
)

SCALABLE = (RopeType.YARN, RopeType.DYNAMIC, RopeType.LINEAR, RopeType.LLAMA3)


def header_of(architecture: str, **keys: object) -> GgufHeader:
    """A GGUF header with these keys of its architecture; a double underscore stands for a dot."""
    named = {f"{architecture}.{key.replace('__', '.')}": value for key, value in keys.items()}
    return GgufHeader(3, {"general.architecture": architecture, **named}, 1)


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
