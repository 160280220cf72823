"""The process that serves one GGUF model with llama.cpp until nobody has used it for a while.

    LCTX_SERVER_KEY=… python -P -m lctx.core.engine.llama_child FOLDER ID MODEL WINDOW NAME --lock-fd N

It is started by `core/engine/llama.py` in a session of its own, with the lock of its id already held on
descriptor N: as long as this process lives, and not a moment longer, the id is taken.
"""

import argparse
import os
import platform
import re
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from lctx.core.engine.cores import usable_cores
from lctx.core.engine.lifetime import begin, stay
from lctx.core.engine.llama_rope import LlamaRope
from lctx.core.engine.processes import KEY_VARIABLE
from lctx.core.engine.state import (
    MAX_SOCKET_PATH,
    Phase,
    ServerFiles,
    ServerState,
    process_start,
    write_state,
)
from lctx.core.errors import EngineCrashedError, EngineMissingError, ModelFileError

_EXIT_S = 1
_BATCH = 512
"""Tokens between two reports of progress, and before a dropped request is noticed: two seconds here."""
_PROMPT_CACHE_MIB = 512
_PING_S = 5
_NO_MODEL = "error loading model: "
_LAST_LINE = "exiting due to"
_LOG_S = 1.0
_WARNINGS = 2
_SMALL_WINDOW = 8192
"""Up to here nothing is looked up: the memory is small, and reading a header takes a tenth of a second."""
_WINDOW_STEP = 256
"""llama.cpp rounds a window up to a multiple of this."""


def parameters(arguments: argparse.Namespace, files: ServerFiles, key: str) -> Any:
    """llama.cpp's parameters for one quiet server with one slot."""
    from xllamacpp import CommonParams

    params = CommonParams()
    params.model.path = arguments.model
    params.model_alias = {arguments.name}
    params.hostnames = [arguments.host or listen_at(files)]
    params.port = arguments.port  # 0: the kernel picks one that is free
    params.api_keys = [key]
    params.ui = False
    params.n_ctx = -(-sensible_window(arguments) // _WINDOW_STEP) * _WINDOW_STEP
    params.n_parallel = 1  # a second slot would halve the window; other prompts' KV is kept in memory instead
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.swa_full = True  # without it a sliding-window model cannot reuse a part of a prefix
    params.n_batch = params.n_ubatch = _BATCH
    params.sse_ping_interval = _PING_S
    # llama.cpp's threads wait for each other in a busy loop after every operation. Decode has thousands of
    # tiny ones a second: with a thread on every core, any other work on the machine makes all stand still.
    # Prefill has few and long ones, and gains from the last core: docs/benchmarks/threads.md.
    cores = usable_cores()
    params.cpuparams.n_threads = arguments.threads or max(cores - 1, 1)
    params.cpuparams_batch.n_threads = arguments.threads_batch or cores
    params.cpuparams.poll = params.cpuparams_batch.poll = arguments.poll
    params.verbosity = _WARNINGS
    params.offline = True
    if arguments.rope is not None:
        _set_rope(params, arguments.rope)
    return params


def _set_rope(params: Any, rope: LlamaRope) -> None:
    from xllamacpp import llama_rope_scaling_type

    fields = dict(rope.parameters)
    if kind := fields.pop("rope_scaling_type", None):
        params.rope_scaling_type = llama_rope_scaling_type[f"LLAMA_ROPE_SCALING_TYPE_{kind.upper()}"]
    for name, value in fields.items():
        setattr(params, name, value)


def sensible_window(arguments: argparse.Namespace) -> int:
    """The window that was asked for; without a plan's rope never more than the model was trained for.

    llama.cpp would set aside the memory of a window of any size first, and cut it afterwards.
    """
    asked: int = arguments.window
    if asked <= _SMALL_WINDOW or arguments.rope is not None:
        return asked
    from lctx.core.models.gguf import read_header

    header = read_header(Path(arguments.model))
    return min(asked, header.integer(f"{header.architecture}.context_length") or _SMALL_WINDOW)


def listen_at(files: ServerFiles) -> str:
    """The socket's path where the kernel takes one so long, else the loopback address."""
    return str(files.socket) if len(os.fsencode(files.socket)) <= MAX_SOCKET_PATH else "127.0.0.1"


def served_window(address: str, key: str) -> int:
    """Tokens that one request may hold, as the running server says."""
    from lctx.core.engine.address import parse_address
    from lctx.core.engine.connection import fetch_json

    slots = fetch_json(parse_address(address), "GET", "/slots", api_key=key)
    return int(slots[0]["n_ctx"])


def serve(arguments: argparse.Namespace, files: ServerFiles, state: ServerState) -> int:
    """The exit status, once the model failed to load, the server was stopped, or nobody needed it."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    write_state(files, state)
    try:
        import xllamacpp

        server = xllamacpp.Server(parameters(arguments, files, state.api_key))
    except (ImportError, OverflowError, RuntimeError, ModelFileError) as error:
        sys.stderr.flush()
        write_state(files, _failed(files, state, error))
        return 1
    window = served_window(server.listening_address, state.api_key)
    if arguments.rope is not None and window < sensible_window(arguments):
        why = f"its window ends at {window} tokens with this rope"
        write_state(files, replace(state, phase=Phase.FAILED, error=why, error_code=EngineCrashedError.code))
        return 1
    version = f"xllamacpp/{xllamacpp.__version__}"
    state = replace(
        state, phase=Phase.READY, address=server.listening_address, window=window, version=version
    )
    write_state(files, state)
    stay(files, state, stopping)
    # Whoever looks from here on finds nobody; the lock is held until the process is gone.
    files.remove()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_EXIT_S)  # a request that is still computed must not keep a stopped server
    del server
    return 0


def _failed(files: ServerFiles, state: ServerState, error: Exception) -> ServerState:
    """The state of a server that cannot be: why, in the most telling line of llama.cpp's log."""
    if isinstance(error, ImportError):
        return replace(state, phase=Phase.FAILED, error=str(error), error_code=EngineMissingError.code)
    if isinstance(error, ModelFileError):
        why = error.message.removeprefix(f"{state.model}: ")
        return replace(state, phase=Phase.FAILED, error=why, error_code=ModelFileError.code)
    lines = _log_lines(files)
    failing = [line.partition(" E ")[2].strip() for line in lines if " E " in line]
    why = re.sub(r"^(\w+: +)+(error loading model: )?", "", (failing or [str(error)])[0]).rstrip(".")
    code = ModelFileError.code if any(_NO_MODEL in line for line in lines) else EngineCrashedError.code
    return replace(state, phase=Phase.FAILED, error=why, error_code=code)


def _log_lines(files: ServerFiles) -> list[str]:
    """The log, once llama.cpp's logging thread has written its last line."""
    deadline = time.monotonic() + _LOG_S
    while True:
        lines = files.log.read_text("utf-8", "replace").splitlines()
        if any(_LAST_LINE in line for line in lines) or time.monotonic() >= deadline:
            return lines
        time.sleep(_LOG_S / 20)


def main() -> int:
    """The process's exit status."""
    parser = argparse.ArgumentParser(prog="lctx.core.engine.llama_child")
    parser.add_argument("folder", type=Path)
    parser.add_argument("id")
    parser.add_argument("model")
    parser.add_argument("window", type=int)
    parser.add_argument("name")
    parser.add_argument("--lock-fd", type=int, required=True)
    parser.add_argument("--rope", type=LlamaRope.from_json)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--threads-batch", type=int, default=0)
    parser.add_argument("--poll", type=int, default=0)
    arguments = parser.parse_args()
    begin(arguments.lock_fd)
    files = ServerFiles(arguments.folder, arguments.id)
    pid = os.getpid()
    state = ServerState(
        id=arguments.id,
        kind="llama",
        name=arguments.name,
        model=arguments.model,
        asked_window=arguments.window,
        window=arguments.window,
        pid=pid,
        pid_started=process_start(pid),
        address="",
        api_key=os.environ.pop(KEY_VARIABLE),
        version=f"python/{platform.python_version()}",
        started_at=time.time(),
        phase=Phase.LOADING,
        rope=arguments.rope.label if arguments.rope else None,
        rope_fingerprint=arguments.rope.fingerprint if arguments.rope else None,
        is_served=arguments.host is not None,
        device="CPU" if sys.platform.startswith("linux") else None,  # elsewhere its wheel may use the GPU
    )
    return serve(arguments, files, state)


if __name__ == "__main__":
    sys.exit(main())
