"""The other side of `child.py`: what runs inside the child, from its limits to its last record.

Imported by a bare interpreter that must be reading within milliseconds: nothing here may be slow to import.
"""

import json
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

from lctx.core.errors import SourceError

_PIPE_BYTES = 1 << 16
_WHY_CHARS = 200
"""A library's complaint may quote the file: no more of it than this reaches a message."""


def main(order: dict[str, Any]) -> None:
    """Run the reader that `order` names over what is on stdin; one JSON record a line on stdout.

    On stdin stands a line of JSON, the reader's keyword arguments, and after it the content. The last record
    is always `done` or `failure`: without one the child did not live to write it.
    """
    _set_limits(order["memory_bytes"])
    # As much as a pipe holds: who reads it is not woken for each record.
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", buffering=_PIPE_BYTES, closefd=False)
    line = sys.stdin.buffer.readline()
    content = sys.stdin.buffer.read(order["size"])
    if len(content) != order["size"]:
        return  # whoever started this is gone
    try:
        reader = getattr(import_module(order["module"]), order["function"])
        steps = reader(content, **json.loads(line))
        while (record := _next_within(steps, order["step_s"])) is not None:
            _write(record)
        last = {"type": "done"}
    except BaseException as error:  # noqa: BLE001  # whatever a reader throws, its caller must hear of it
        last = _failure(error)
    _write(last)
    sys.stdout.buffer.flush()


def _set_limits(memory_bytes: int) -> None:
    """Hold this process to its memory, and leave Ctrl-C to the process that started it."""
    with suppress(ImportError, ValueError, OSError):  # no such limit on this platform, or a lower one holds
        import resource

        # Not RLIMIT_AS: it counts address space that allocators reserve and never touch.
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _next_within(steps: Any, seconds: float) -> Any:
    """The next record of `steps`, None at the end; the system ends the process that takes longer over one.

    The clock counts this process's own work, so a busy machine does not make a file unreadable. Its signal
    keeps the default action: a Python handler would never run while a library loops in C.
    """
    import signal

    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)
    return next(steps, None)


def _failure(error: BaseException) -> dict[str, Any]:
    if isinstance(error, SourceError):
        return {"type": "failure", "code": error.code, "why": error.why, "hint": error.hint}
    if isinstance(error, MemoryError):
        return {"type": "failure", "code": "memory", "why": "", "hint": None}
    if isinstance(error, ImportError):
        return {"type": "failure", "code": "import", "why": str(error), "hint": None}
    why = " ".join(f"{type(error).__name__}: {error}".split())[:_WHY_CHARS]
    return {"type": "failure", "code": "crash", "why": why, "hint": None}


def _write(record: Any) -> None:
    # Lone surrogates come out of broken fonts, and no encoding that crosses a pipe carries them.
    line = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace")
    sys.stdout.buffer.write(line + b"\n")
