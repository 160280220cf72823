"""The process that parses source code, one file after another; `outliner.py` is its other side.

On stdin stands, for each file, a line with its language, its size and what it may take in seconds; then the
file in UTF-8. On stdout goes, for each, a line with the size of the answer; then the answer.
"""

import gc
import signal
import sys
from contextlib import suppress

MEMORY_BYTES = 768 << 20
"""What parsing may take; enforced where the system can (Linux). A megabyte of code takes 40 to 170."""


def main() -> None:
    """Answer until stdin ends."""
    _set_limits()
    gc.disable()  # nothing here goes round in circles, and looking for circles costs a tenth
    import msgspec

    from lctx.formats.outline import outline

    encode = msgspec.msgpack.Encoder().encode
    source, answers = sys.stdin.buffer, sys.stdout.buffer
    while order := source.readline().split():
        language, size, seconds = order[0].decode(), int(order[1]), float(order[2])
        content = source.read(size)
        if len(content) != size:
            return  # whoever started this is gone
        # The system ends the process that takes longer, even inside C. The clock counts this process's own
        # work, so a busy machine changes nothing.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        answer = encode(outline(content, language))
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(b"%d\n" % len(answer))
        answers.write(answer)
        answers.flush()


def _set_limits() -> None:
    """Hold this process to its memory, and leave Ctrl-C to the process that started it."""
    with suppress(ImportError, ValueError, OSError):  # no such limit on this platform, or a lower one holds
        import resource

        # Not RLIMIT_AS: it counts address space that allocators reserve and never touch.
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
