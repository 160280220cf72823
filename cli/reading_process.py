"""A process that reads files, seen from the one that started it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

import msgspec

from lctx.cli.reading_wire import Answer, Order, Task, receive, send
from lctx.core.errors import DamagedSourceError, LimitError, SourceError
from lctx.formats.interpreter import import_paths, interpreter
from lctx.formats.source_file import SourceFile

MAX_FILE_S = 300.0
"""By the clock, for one file."""

_END_S = 2.0
_PIPE_BYTES = 1 << 20

_START = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from lctx.cli.reading_child import main
main()
"""


class ReadingProcess:
    """One process, which reads the files that it is given one after the other."""

    def __init__(self, order: Order) -> None:
        """Start it; nothing is waited for."""
        self._process = subprocess.Popen(
            [*interpreter(site=True), _START, json.dumps(import_paths())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        _widen(self._process.stdout)
        self._order: Order | None = order
        self._is_ready = False
        self._waits_since: float | None = None
        self._is_late = False
        self._decoder = msgspec.msgpack.Decoder(Answer)

    def ask(self, files: Sequence[SourceFile], *, is_deadly: bool = False) -> None:
        """Ask for `files`, in this order, behind what was asked before; where it has ended nothing happens.

        Args:
            files: One at least.
            is_deadly: Whether the first of them ended another process.
        """
        tasks = [Task(file.path, os.fsencode(file.file), file.is_judged) for file in files]
        tasks[0].is_deadly = is_deadly
        stdin = self._process.stdin
        # It takes in what it is asked while it reads, so that neither side waits for the other.
        with suppress(BrokenPipeError, ValueError):
            if stdin and self._order:
                send(stdin, self._order)
                self._order = None
            if stdin:
                send(stdin, tasks)

    def answer(self) -> Answer | None:
        """What becomes of the next file of those that were asked for; None where the process has ended."""
        stdout = self._process.stdout
        self._waits_since = time.monotonic()
        self._is_ready = self._is_ready or (stdout is not None and receive(stdout) is not None)
        answer = receive(stdout) if stdout and self._is_ready else None
        self._waits_since = None
        return None if answer is None else self._decoder.decode(answer)

    def end_if_late(self) -> None:
        """Kill it where an answer has been waited for longer than any file takes."""
        since = self._waits_since  # another thread's
        if since and time.monotonic() - since > MAX_FILE_S:
            self._is_late = True
            self._process.kill()

    def why_ended(self, file: SourceFile) -> SourceError:
        """Why there is no answer for `file`, after which nothing was answered.

        Raises:
            RuntimeError: It never came to read at all, which is no file's doing.
        """
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        code = self.close()
        if self._is_late:
            return LimitError(file.path, f"reading it takes more than {MAX_FILE_S:g} s", "split it")
        if code > 0 and not self._is_ready:
            raise RuntimeError(f"a reading process did not start (exit code {code})")
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return DamagedSourceError(file.path, f"it ends its reader ({how})", "leave it out with --exclude")

    def end(self) -> None:
        """End it, whatever it is doing; who reads from it sees it end."""
        self._process.kill()

    def close(self) -> int:
        """End it and forget it; its exit code."""
        self._process.kill()
        code = self._process.wait()
        self._waits_since = None
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                try:
                    pipe.close()
                except OSError:
                    continue  # what it was still to be told
        return code


def _widen(pipe: IO[bytes] | None) -> None:
    """Give `pipe` room for a few documents, where the system can: who reads files waits for nobody then."""
    if sys.platform == "linux" and pipe:
        from fcntl import F_SETPIPE_SZ, fcntl

        with suppress(OSError):  # all pipes of this user together have as much as they may have
            fcntl(pipe, F_SETPIPE_SZ, _PIPE_BYTES)
