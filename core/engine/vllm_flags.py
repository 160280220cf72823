"""Launch -> command line and environment of vLLM's API server, for every version that lctx supports."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from lctx.core.engine import vllm_guard
from lctx.core.engine.cores import usable_cores
from lctx.core.planning.launch import VllmLaunch

MODULE = "vllm.entrypoints.openai.api_server"

OLDEST, NEWEST = (0, 26), (0, 33)
"""The versions of vLLM that these flags are for: major and minor.

One command line serves them all. The override of the rope carries `rope_parameters`, complete, and
`max_position_embeddings`: up to 0.31 vLLM works the limit out as `original_max_position_embeddings` times
the factor, since 0.32 it reads `max_position_embeddings`; both give the same number. A flag that only some
versions know is never used.
"""

_KEPT_OUT = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
"""They belong to lctx's own interpreter, which need not be vLLM's."""

_QUIET = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_SERVER_DEV_MODE": "0",
    "VLLM_DEBUG_LOG_API_SERVER_RESPONSE": "false",
    "VLLM_LOGGING_LEVEL": "INFO",
    "VLLM_LOGGING_COLOR": "0",
    "PYTHONSAFEPATH": "1",
    "PYTHONUNBUFFERED": "1",
}
"""Nothing leaves the machine, no prompt is written down, and what vLLM does while it loads can be read."""

_PREFIXES_KEPT_OUT = ("LCTX_", "COV_CORE_", "COVERAGE_")


def vllm_arguments(launch: VllmLaunch, listen: Path | tuple[str, int]) -> list[str]:
    """What follows the interpreter: the module and its flags. Nothing in it is secret.

    Args:
        launch: What the server is started with.
        listen: The path of a Unix socket, or a host and a port.
    """
    flags: dict[str, object] = {
        "model": launch.model,
        "served-model-name": launch.name,
        "max-model-len": launch.max_model_len,
        "dtype": launch.dtype,
        "kv-cache-dtype": launch.kv_cache_dtype,
        "max-num-seqs": launch.max_num_seqs,
        "max-num-batched-tokens": launch.max_num_batched_tokens,
        "seed": launch.seed,
        "generation-config": "vllm",  # the model's own would change what the client does not say
        "load-format": launch.load_format,
    }
    optional: dict[str, object | None] = {
        "kv-cache-memory-bytes": launch.kv_cache_memory_bytes,
        "gpu-memory-utilization": launch.gpu_memory_utilization,
        "quantization": launch.quantization,
        "hf-overrides": json.dumps(launch.hf_overrides, sort_keys=True) if launch.hf_overrides else None,
    }
    parallel = {
        "tensor-parallel-size": launch.tensor_parallel,
        "pipeline-parallel-size": launch.pipeline_parallel,
        "decode-context-parallel-size": launch.context_parallel,
    }
    flags |= {name: value for name, value in optional.items() if value is not None}
    flags |= {name: value for name, value in parallel.items() if value > 1}
    flags |= {"uds": listen} if isinstance(listen, Path) else {"host": listen[0], "port": listen[1]}
    switches = [
        "enable-prefix-caching" if launch.prefix_caching else "no-enable-prefix-caching",
        "enable-prompt-tokens-details",
        "no-enable-log-requests",
        "disable-uvicorn-access-log",
        *(("enforce-eager",) if launch.enforce_eager else ()),
    ]
    if not isinstance(listen, Path):
        flags["middleware"] = f"{vllm_guard.MODULE}.Guard"  # anybody can knock there: see vllm_guard.py
    # `--name=value`: a value that begins with a dash is a value still.
    told = [f"--{name}={value}" for name, value in flags.items()]
    return ["-m", MODULE, *told, *(f"--{name}" for name in switches)]


def vllm_settings(launch: VllmLaunch) -> dict[str, str]:
    """What is set in the environment of vLLM's processes. Nothing in it is secret."""
    found = dict(_QUIET)
    if launch.batch_invariant:
        found["VLLM_BATCH_INVARIANT"] = "1"
    if launch.is_on_cpu:
        # vLLM's own choice leaves a core out and pins the others: of two cores it would use one.
        found |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(usable_cores())}
    return found


def vllm_environment(
    settings: Mapping[str, str], api_key: str, inherited: Mapping[str, str]
) -> dict[str, str]:
    """The environment of vLLM's processes; the key is in here, because command lines can be read by all.

    Args:
        settings: What `vllm_settings` gave.
        api_key: What requests must carry.
        inherited: The environment of the server's process.
    """
    kept = {
        name: value
        for name, value in inherited.items()
        if name not in _KEPT_OUT and not name.startswith(_PREFIXES_KEPT_OUT)
    }
    return kept | dict(settings) | {"VLLM_API_KEY": api_key}


def probe_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment in which vLLM's interpreter is asked what it has."""
    return {name: value for name, value in inherited.items() if name not in _KEPT_OUT} | {
        "PYTHONSAFEPATH": "1"
    }


def is_supported(version: str) -> bool | None:
    """Whether these flags are for that version of vLLM; None where it is newer than any that was tried."""
    numbers = version_numbers(version)
    if numbers is None or numbers > NEWEST:
        return None
    return numbers >= OLDEST


def version_numbers(version: str) -> tuple[int, int] | None:
    """Major and minor of `version`, or None where it has none."""
    parts = version.split(".")
    try:
        return int(parts[0]), int(parts[1])
    except (ValueError, IndexError):
        return None


def supported_range() -> str:
    """The supported versions in words: "0.26 to 0.33"."""
    return " to ".join(".".join(map(str, bound)) for bound in (OLDEST, NEWEST))


def default_python() -> Path | None:
    """The interpreter that `LCTX_VLLM_PYTHON` names, as it is: resolving it would lose its environment."""
    named = os.environ.get("LCTX_VLLM_PYTHON")
    return Path(named).expanduser().absolute() if named else None
