"""Outlines from processes of their own, so that a text that crashes a parser takes down the child alone.

The children stay and take file after file: starting one costs as much as parsing half a megabyte. A process
that reads for another one is such a child itself, and says so: `parse_here`.
"""

import atexit
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import BoundedSemaphore, Lock

import msgspec

from lctx.formats.interpreter import import_paths, interpreter
from lctx.formats.outline import Stretch

MAX_BYTES = 2 << 20
"""Larger files are read by line: their tree would take more memory than their text is worth."""

_SECONDS, _SECONDS_A_BYTE = 2.0, 6e-6
"""Of processor time: about thirty times what code takes."""
_PATIENCE_S = 600.0
"""By the clock; only a child that something holds up comes near it."""
_DECODER = msgspec.msgpack.Decoder(list[Stretch])
_GIVES_UP = "Its parser gives up on it: read by line, without the names of its functions."
# The list brings the paths that `site` would find.
_START = """
import json, sys
sys.path += json.loads(sys.argv[1])
from lctx.formats.outline_child import main
main()
"""


def outline_of(content: bytes, language: str) -> tuple[list[Stretch], str | None]:
    """The outline of a file in UTF-8; or none, and a sentence that says why.

    A crash of the parser never ends this process, unless that is one that `parse_here` said may end.
    """
    if len(content) > MAX_BYTES:
        limit = f"{MAX_BYTES >> 20} MiB"
        return [], f"It is larger than {limit} of code: read by line, without the names of its functions."
    return _ways[-1](content, language, _SECONDS + _SECONDS_A_BYTE * len(content))


def parse_here() -> None:
    """Parse in this process from now on: a file that ends it is told to whoever started it by its end."""
    _ways.append(_parsed_here)


@contextmanager
def giving_up() -> Iterator[None]:
    """A stretch in which nothing is parsed: that of a file that ended the process before this one."""
    _ways.append(_given_up)
    try:
        yield
    finally:
        _ways.pop()


def _given_up(_content: bytes, _language: str, _seconds: float) -> tuple[list[Stretch], str | None]:
    return [], _GIVES_UP


def _parsed_here(content: bytes, language: str, seconds: float) -> tuple[list[Stretch], str | None]:
    from lctx.formats.outline_here import outline_here

    try:
        return outline_here(content, language, seconds), None
    except Exception:  # noqa: BLE001 - a child of its own would have ended
        return [], _GIVES_UP


def _parsed_apart(content: bytes, language: str, seconds: float) -> tuple[list[Stretch], str | None]:
    with _places:
        try:
            child = _taken() or _Child()
        except OSError as error:
            why = error.strerror or "no process can be started"
            return [], f"It was read by line, without the names of its functions: {why}."
        try:
            answer = child.ask(b"%s %d %f\n" % (language.encode(), len(content), seconds), content)
            stretches = _DECODER.decode(answer)
        except (OSError, EOFError, ValueError):
            child.end()
            return [], _GIVES_UP
        except BaseException:
            child.end()  # Ctrl-C in the middle of an answer: the next file must not get the rest of it
            raise
        with _lock:
            _idle.append(child)
    return stretches, None


_ways: list[Callable[[bytes, str, float], tuple[list[Stretch], str | None]]] = [_parsed_apart]


class _Child:
    """One process that parses."""

    def __init__(self) -> None:
        import selectors
        import subprocess

        command = [*interpreter(), _START, json.dumps(import_paths())]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        self._selector = selectors.DefaultSelector()
        if self._process.stdout:
            self._selector.register(self._process.stdout, selectors.EVENT_READ)

    def ask(self, order: bytes, content: bytes) -> bytes:
        """What the child answers.

        Raises:
            EOFError: It ended before it answered.
            OSError: It ended before it was asked, or is held up.
        """
        source, answers = self._process.stdin, self._process.stdout
        if not source or not answers:
            raise EOFError
        source.write(order)
        source.write(content)
        source.flush()
        if not self._selector.select(_PATIENCE_S):
            raise TimeoutError
        size = int(answers.readline() or -1)
        answer = answers.read(size) if size >= 0 else b""
        if not answer or len(answer) != size:
            raise EOFError
        return answer

    def end(self) -> None:
        """Stop the process, whatever it is at."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                with suppress(OSError):  # what it did not take is not given to it now
                    stream.close()
        self._process.wait()
        self._selector.close()


_idle: list[_Child] = []
_lock = Lock()
_places = BoundedSemaphore(max(os.cpu_count() or 1, 1))


def _taken() -> _Child | None:
    with _lock:
        return _idle.pop() if _idle else None


def end_children() -> None:
    """Stop every child that waits for a file; the next file starts a new one."""
    while child := _taken():
        child.end()


def _forget() -> None:
    """Let go of what belongs to the process that this one was forked from."""
    global _lock, _places, _idle
    _idle, _lock, _places = [], Lock(), BoundedSemaphore(max(os.cpu_count() or 1, 1))


atexit.register(end_children)
os.register_at_fork(after_in_child=_forget)
