"""A launch as vLLM's command line and environment, checked by hand and by vLLM's own parser."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from scripted_vllm import tiny_launch, write_scripted_vllm

from lctx.core.engine.vllm_flags import (
    is_supported,
    probe_environment,
    supported_range,
    vllm_arguments,
    vllm_environment,
    vllm_settings,
)
from lctx.core.engine.vllm_probe import probe_vllm
from lctx.core.errors import EngineMissingError

SOCKET = Path("/run/lctx/one.sock")


def flags_of(launch, listen=SOCKET):
    """Flags by name, switches as True."""
    module, name, *flags = vllm_arguments(launch, listen)
    assert (module, name) == ("-m", "vllm.entrypoints.openai.api_server")
    pairs = (flag.removeprefix("--").partition("=") for flag in flags)
    return {name: value if equals else True for name, equals, value in pairs}


def test_flags_of_a_small_server():
    """This test ensures that each setting is said, and none that need not be."""
    assert flags_of(tiny_launch(Path("/m"))) == {
        "model": "/m",
        "served-model-name": "tiny",
        "max-model-len": "4096",
        "dtype": "float32",
        "kv-cache-dtype": "auto",
        "max-num-seqs": "8",
        "max-num-batched-tokens": "2048",
        "seed": "0",
        "generation-config": "vllm",
        "load-format": "auto",
        "kv-cache-memory-bytes": "1048576",
        "uds": str(SOCKET),
        "enable-prefix-caching": True,
        "enable-prompt-tokens-details": True,
        "no-enable-log-requests": True,
        "disable-uvicorn-access-log": True,
    }


def test_flags_of_a_large_server():
    """This test ensures that rope, parallelism and a share of memory are said where they are planned."""
    overrides = {"max_position_embeddings": 16_384, "rope_parameters": {"rope_type": "yarn", "factor": 2.0}}
    launch = replace(
        tiny_launch(Path("/m")), hf_overrides=overrides, kv_cache_memory_bytes=None, gpu_memory_utilization=0.92,
        tensor_parallel=8, pipeline_parallel=2, context_parallel=4, quantization="fp8", enforce_eager=True,
        prefix_caching=False, kv_cache_dtype="fp8", is_on_cpu=False,
    )  # fmt: skip
    flags = flags_of(launch, ("127.0.0.1", 8000))
    assert json.loads(flags["hf-overrides"]) == overrides
    assert (flags["tensor-parallel-size"], flags["pipeline-parallel-size"]) == ("8", "2")
    assert (flags["decode-context-parallel-size"], flags["quantization"]) == ("4", "fp8")
    assert (flags["gpu-memory-utilization"], flags["kv-cache-dtype"]) == ("0.92", "fp8")
    assert (flags["host"], flags["port"]) == ("127.0.0.1", "8000")
    assert flags["enforce-eager"] is flags["no-enable-prefix-caching"] is True
    assert not {"uds", "kv-cache-memory-bytes", "enable-prefix-caching"} & flags.keys()


def test_the_environment():
    """This test ensures that nothing is reported or fetched, and that lctx's own interpreter stays outside."""
    launch = tiny_launch(Path("/m"))
    inherited = {
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "1",
        "PYTHONPATH": "/x",
        "PYTHONHOME": "/y",
        "LCTX_API_KEY": "another's",
        "COVERAGE_PROCESS_START": "/z",
        "HF_HUB_OFFLINE": "0",
    }
    found = vllm_environment(vllm_settings(launch), "secret", inherited)
    assert found["VLLM_API_KEY"] == "secret"
    assert (found["PATH"], found["CUDA_VISIBLE_DEVICES"]) == ("/bin", "1")
    for name in ("VLLM_NO_USAGE_STATS", "DO_NOT_TRACK", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        assert found[name] == "1"
    assert not {"PYTHONPATH", "PYTHONHOME", "LCTX_API_KEY", "COVERAGE_PROCESS_START"} & found.keys()
    assert found["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
    assert int(found["OMP_NUM_THREADS"]) >= 1
    assert "VLLM_BATCH_INVARIANT" not in found
    on_gpu = vllm_settings(replace(launch, is_on_cpu=False, batch_invariant=True))
    assert on_gpu["VLLM_BATCH_INVARIANT"] == "1"
    assert "OMP_NUM_THREADS" not in on_gpu
    assert "PYTHONPATH" not in probe_environment(inherited)


@pytest.mark.parametrize(
    ("version", "supported"),
    [
        ("0.25.9", False),
        ("0.26.0", True),
        ("0.33.1.dev3+g123", True),
        ("0.34.0", None),
        ("1.0", None),
        ("unknown", None),
    ],
)
def test_versions(version, supported):
    """This test ensures that the supported range is what the manual says, and what is newer is tried."""
    assert is_supported(version) is supported
    assert supported_range() == "0.26 to 0.33"


def test_the_probe_remembers_until_something_is_installed(tmp_path):
    """This test ensures that an interpreter is asked once, and again when its packages changed."""
    python = write_scripted_vllm(tmp_path / "one")
    kept = tmp_path / "kept"
    assert probe_vllm(python, kept).version == "0.32.0"
    told = json.loads((python.parent / "told.json").read_text())
    # Written in place: neither the folder nor the interpreter changed.
    (python.parent / "told.json").write_text(
        json.dumps(told | {"found": {"package": "vllm", "version": "0.30.0"}})
    )
    assert probe_vllm(python, kept).version == "0.32.0"
    (python.parent / "another package").touch()
    assert probe_vllm(python, kept).version == "0.30.0"
    (kept / "vllm-probe.json").write_text("{")
    assert probe_vllm(python, kept).version == "0.30.0"
    python.unlink()
    with pytest.raises(EngineMissingError, match="no such file"):
        probe_vllm(python, kept)


def test_what_is_missing_is_looked_for_again(tmp_path):
    """This test ensures that installing vLLM is noticed by the next command."""
    python = write_scripted_vllm(tmp_path / "one", found=None)
    with pytest.raises(EngineMissingError, match="no vLLM"):
        probe_vllm(python, tmp_path)
    write_scripted_vllm(tmp_path / "one")
    assert probe_vllm(python, tmp_path).package == "vllm-cpu"


PARSER = """
import json, sys
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.utils.argparse_utils import FlexibleArgumentParser
told = []
for flags in json.load(sys.stdin):
    arguments = make_arg_parser(FlexibleArgumentParser()).parse_args(flags)
    validate_parsed_serve_args(arguments)
    engine = AsyncEngineArgs.from_cli_args(arguments)
    told.append({name: getattr(engine, name) for name in ("max_model_len", "hf_overrides", "dtype", "kv_cache_dtype",
        "kv_cache_memory_bytes", "gpu_memory_utilization", "max_num_seqs", "max_num_batched_tokens", "seed",
        "tensor_parallel_size", "pipeline_parallel_size", "decode_context_parallel_size", "enforce_eager",
        "enable_prefix_caching", "enable_log_requests", "load_format", "quantization", "generation_config")}
        | {"uds": arguments.uds, "port": arguments.port, "details": arguments.enable_prompt_tokens_details,
           "names": arguments.served_model_name, "access": arguments.disable_uvicorn_access_log})
print("told", json.dumps(told))
"""


@pytest.mark.vllm
def test_a_real_vllm_reads_the_flags(vllm_python, tmp_path):
    """This test ensures that vLLM's own parser gives back every value, also a name that begins with a dash."""
    overrides = {"max_position_embeddings": 16_384, "rope_parameters": {"rope_type": "yarn", "factor": 2.0}}
    small = replace(tiny_launch(tmp_path), name="-a name.with=signs", hf_overrides=overrides, seed=3)
    large = replace(
        tiny_launch(tmp_path), kv_cache_memory_bytes=None, gpu_memory_utilization=0.5, tensor_parallel=8,
        pipeline_parallel=2, context_parallel=4, enforce_eager=True, prefix_caching=False, load_format="dummy",
        quantization="fp8", kv_cache_dtype="fp8",
    )  # fmt: skip
    asked = [vllm_arguments(small, SOCKET)[2:], vllm_arguments(large, ("127.0.0.1", 8123))[2:]]
    done = subprocess.run(
        [vllm_python, "-c", PARSER], input=json.dumps(asked), capture_output=True, text=True, check=False,
        env=vllm_environment(vllm_settings(small), "key", probe_environment({})), timeout=240,
    )  # fmt: skip
    line = next((line for line in done.stdout.splitlines() if line.startswith("told ")), None)
    assert line, done.stderr[-3000:]
    first, second = json.loads(line.removeprefix("told "))
    assert (first["names"], first["uds"], first["hf_overrides"]) == ([small.name], str(SOCKET), overrides)
    assert (first["max_model_len"], first["max_num_seqs"], first["max_num_batched_tokens"]) == (4096, 8, 2048)
    assert (first["dtype"], first["kv_cache_dtype"], first["kv_cache_memory_bytes"]) == (
        "float32",
        "auto",
        1 << 20,
    )
    assert (first["enable_prefix_caching"], first["enable_log_requests"], first["details"]) == (
        True,
        False,
        True,
    )
    assert (first["access"], first["seed"], first["generation_config"]) == (True, 3, "vllm")
    assert (second["tensor_parallel_size"], second["pipeline_parallel_size"]) == (8, 2)
    assert (second["decode_context_parallel_size"], second["gpu_memory_utilization"]) == (4, 0.5)
    assert (second["enforce_eager"], second["enable_prefix_caching"]) == (True, False)
    assert (second["load_format"], second["quantization"], second["kv_cache_dtype"]) == (
        "dummy",
        "fp8",
        "fp8",
    )
    assert second["port"] == 8123
