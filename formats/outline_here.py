"""The outline of one file in this process, which may die of it: held to its memory and to its time."""

import gc
import os
import signal
import sys
from contextlib import suppress
from functools import cache

from lctx.formats.outline import Stretch, outline

if sys.platform != "win32":
    from resource import RLIM_INFINITY, RLIMIT_DATA, getrlimit, setrlimit

MEMORY_BYTES = 768 << 20
"""What parsing may take; enforced where the system can (Linux). A megabyte of code takes 40 to 170."""


def outline_here(content: bytes, language: str, seconds: float) -> list[Stretch]:
    """The outline of a file in UTF-8; the system ends a process whose parser crashes or takes too long.

    Args:
        content: The file.
        language: One that has a grammar.
        seconds: Of processor time.

    Raises:
        Exception: Whatever the parser's side in Python raises, `MemoryError` above all.
    """
    # Nothing here goes round in circles, and looking for circles costs a tenth.
    was_collecting = gc.isenabled()
    gc.disable()
    before = _hold_to_memory()
    # The clock counts this process's own work, even inside C, so a busy machine changes nothing.
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        return outline(content, language)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        if before:
            setrlimit(RLIMIT_DATA, before)
        if was_collecting:
            gc.enable()


def _hold_to_memory() -> tuple[int, int] | None:
    """Let the process have `MEMORY_BYTES` beyond what it has; its limits before, where they were changed."""
    if sys.platform == "win32":
        return None
    with suppress(ValueError, OSError):
        before = getrlimit(RLIMIT_DATA)
        ceilings = [_held_bytes() + MEMORY_BYTES, *(one for one in before if one != RLIM_INFINITY)]
        # Not RLIMIT_AS: it counts address space that allocators reserve and never touch.
        setrlimit(RLIMIT_DATA, (min(ceilings), before[1]))
        return before
    return None


def _held_bytes() -> int:
    """How much this process holds of what the limit counts; 0 where the system does not say."""
    status = _status()
    return 0 if status is None else int(os.pread(status, 200, 0).split()[5]) * _page_bytes()


@cache
def _status() -> int | None:
    # Open for good: it is asked for each of thousands of files.
    try:
        return os.open("/proc/self/statm", os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None


@cache
def _page_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE")
