"""The process that parses source code, one file after another; `outliner.py` is its other side.

On stdin stands, for each file, a line with its language, its size and what it may take in seconds; then the
file in UTF-8. On stdout goes, for each, a line with the size of the answer; then the answer.
"""

import signal
import sys
from contextlib import suppress


def main() -> None:
    """Answer until stdin ends."""
    leave_no_core()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the other process's to act upon
    import msgspec

    from lctx.formats.outline_here import outline_here

    encode = msgspec.msgpack.Encoder().encode
    source, answers = sys.stdin.buffer, sys.stdout.buffer
    while order := source.readline().split():
        language, size, seconds = order[0].decode(), int(order[1]), float(order[2])
        content = source.read(size)
        if len(content) != size:
            return  # whoever started this is gone
        answer = encode(outline_here(content, language, seconds))
        answers.write(b"%d\n" % len(answer))
        answers.write(answer)
        answers.flush()


def leave_no_core() -> None:
    """Let a crash of this process leave no file behind: it would hold what is being read."""
    with suppress(ImportError, ValueError, OSError):  # no such limit on this platform
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
