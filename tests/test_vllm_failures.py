"""vLLM's log and exit status as errors: the texts are those of vLLM 0.32, PyTorch and safetensors."""

import signal

import pytest

from lctx.core.engine.vllm_failures import explain_failure
from lctx.core.errors import (
    DoesNotFitError,
    EngineCrashedError,
    EngineMissingError,
    EngineRefusedError,
    ModelFileError,
    UsageError,
)

CORE = "(EngineCore pid=12058) ERROR 11-25 01:54:18 [core.py:1510] "
AFTERMATH = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
TOO_LONG = (
    "ValueError: To serve at least one request with the model's max seq len (1048576), (14.2 GiB KV cache is needed, "
    "which is larger than the available KV cache memory (9.1 GiB). Based on the available memory, the estimated "
    "maximum model length is 655360. Try increasing `gpu_memory_utilization` or decreasing `max_model_len`."
)
ROPE = (
    "  Value error, User-specified max_model_len (16384) is greater than the derived max_model_len "
    "(max_position_embeddings=8192 or model_max_length=None in model's config.json)."
)
KNOWN = [
    (
        TOO_LONG,
        DoesNotFitError,
        "1,048,576 tokens needs 14.2 GiB for KV, 9.1 available: largest window 655,360",
    ),
    (
        TOO_LONG.partition("Based")[0]
        .replace("1048576", "4096")
        .replace("14.2", "0.18")
        .replace("9.1", "0.0"),
        DoesNotFitError,
        "4,096 tokens needs 0.18 GiB for KV, 0.0 available",
    ),
    (
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`",
        DoesNotFitError,
        "leaves no memory for the KV cache",
    ),
    (
        "ValueError: Free memory on device cuda:0 (3.1/79.2 GiB) on startup is less than desired GPU memory",
        DoesNotFitError,
        "only 3.1 of 79.2 GiB are free",
    ),
    (
        "ValueError: Available memory on node 0 (1.0/23.4 GiB) on kv cache allocation is less than requested",
        DoesNotFitError,
        "only 1.0 of 23.4 GiB are free",
    ),
    (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of",
        DoesNotFitError,
        "memory is full: 2.00 GiB more were asked for",
    ),
    ("MemoryError", DoesNotFitError, "main memory is full"),
    (
        "NotImplementedError: FP8 KV cache on CPU requires x86 with AVX-512 or AMX.",
        UsageError,
        "fp8 requires x86 with AVX-512 or AMX",
    ),
    (
        "torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device",
        EngineMissingError,
        "no kernels for this processor",
    ),
    (
        "RuntimeError: The NVIDIA driver on your system is too old (found version 11040).",
        EngineMissingError,
        "driver is missing, or too old",
    ),
    ("RuntimeError: No CUDA GPUs are available", EngineMissingError, "no device that it was built for"),
    (
        "RuntimeError: Failed to infer device type, please set the environment variable",
        EngineMissingError,
        "no device that it was built for",
    ),
    (
        "ValueError: Model architectures ['NewForCausalLM'] are not supported for now. Supported architectures: …",
        ModelFileError,
        "does not serve ['NewForCausalLM']",
    ),
    (
        "ValueError: Model architecture MiniMaxM1ForCausalLM was supported in vLLM until v0.23.0, and is not",
        ModelFileError,
        "does not serve MiniMaxM1ForCausalLM",
    ),
    (
        ROPE,
        EngineRefusedError,
        "refuses the rope of the plan: 16,384 tokens, it reads 8192",
    ),
    ("OSError: [Errno 98] Address already in use", UsageError, "another program listens"),
    (
        "ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 8000): address already in use",
        UsageError,
        "another program listens",
    ),
    (
        "  Value error, Total number of attention heads (9) must be divisible by tensor parallel size (2).",
        UsageError,
        "2 GPUs do not divide 9 heads",
    ),
    (
        "api_server.py: error: unrecognized arguments: --kv-cache-memory-bytes=1048576",
        EngineMissingError,
        "does not know a flag",
    ),
    (
        "safetensors_rust.SafetensorError: Error while deserializing header: incomplete metadata, file not covered",
        ModelFileError,
        "weights are damaged",
    ),
    (
        "RuntimeError: Cannot find any model weights with `/m`",
        ModelFileError,
        "holds no weights",
    ),
    (
        "  Value error, Invalid repository ID or local directory specified: '/m'.",
        ModelFileError,
        "no model that vLLM reads",
    ),
    ("OSError: [Errno 28] No space left on device", EngineCrashedError, "the disk is full"),
    ("OSError: [Errno 24] Too many open files", EngineCrashedError, "too many files"),
]


@pytest.mark.parametrize("prefix", ["", CORE])
@pytest.mark.parametrize(("said", "kind", "told"), KNOWN, ids=lambda value: str(value)[:30])
def test_a_known_failure(said, kind, told, prefix):
    """This test ensures that each failure is of its kind, with its numbers and the next step, on one line."""
    log = f"{CORE}Traceback (most recent call last):\n{prefix}{said}\n{CORE}\n{AFTERMATH}\n"
    error = explain_failure("one", log, 1)
    assert type(error) is kind
    assert told in error.message
    assert error.message.startswith("vLLM cannot serve one: ")
    assert "\n" not in error.message
    assert not error.message.endswith(".")
    assert error.hint


def test_a_warning_that_sounds_like_a_failure_is_none():
    """This test ensures that vLLM's remark on open files, made at each start, does not explain its end."""
    remark = (
        "(APIServer pid=1) WARNING 11-25 01:54:00 [system_utils.py:255] Found ulimit of 20000 and failed to "
        "automatically increase. This can cause fd limit errors like `OSError: [Errno 24] Too many open files`."
    )
    error = explain_failure("one", f"{remark}\nValueError: some other reason.\n", 1)
    assert error.message == "vLLM ended while loading one: some other reason"


@pytest.mark.parametrize(
    ("status", "log", "kind", "told"),
    [
        (-signal.SIGKILL, "", EngineCrashedError, "killed by the kernel"),
        (
            1,
            f"{AFTERMATH.replace('{}', chr(123) + repr('EngineCore') + ': -9}')}",
            EngineCrashedError,
            "killed by the kernel",
        ),
        (-signal.SIGILL, "", EngineMissingError, "no kernels"),
        (-signal.SIGTERM, "", EngineCrashedError, "SIGTERM"),
        (-signal.SIGSEGV, "", EngineCrashedError, "SIGSEGV"),
        (3, "", EngineCrashedError, "exit status 3"),
        (None, "", EngineCrashedError, "never became ready"),
        (1, "KeyError: 'one\x1b[31m'\n", EngineCrashedError, "'one[31m'"),
    ],
)
def test_an_end_without_words(status, log, kind, told):
    """This test ensures that signals and unknown ends are told as what they are."""
    error = explain_failure("one", log, status)
    assert type(error) is kind
    assert told in error.message
    assert error.message.isprintable()
    assert error.hint


def test_the_cause_is_told_and_not_its_consequence():
    """This test ensures that of a long traceback the root is reported."""
    log = f"{CORE}ValueError: the root.\n{AFTERMATH}\n"
    assert explain_failure("one", log, 1).message == "vLLM ended while loading one: the root"
