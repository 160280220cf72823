"""What an engine says: written down within bounds, and read for what it is doing."""

import os
import re
import select
from collections.abc import Callable
from contextlib import suppress

from lctx.core.engine.state import ServerFiles

MAX_BYTES = 4 << 20
"""Of the log. When it is full it becomes the old one, and the one before that is gone."""

_KEPT_BYTES = 1 << 20
_READ_BYTES = 1 << 16
_STDOUT, _STDERR = 1, 2
_LINE_ENDS = re.compile(r"[\r\n]+")


class ServerLog:
    """Copies a process's output to the log, which is this process's own stdout, and tells of each line.

    A full disk loses lines of the log and nothing else.
    """

    def __init__(self, files: ServerFiles, source: int, on_line: Callable[[str], None]) -> None:
        """Read from the descriptor `source`; `on_line` is told of each line as long as the engine loads."""
        self._files = files
        self._source: int | None = source
        self._on_line = on_line
        self._part = ""
        self._kept = bytearray()
        self._is_loading = True
        os.set_blocking(source, False)

    @property
    def said(self) -> str:
        """What was said while the engine loaded, the last megabyte of it."""
        return self._kept.decode("utf-8", "replace")

    def forget(self) -> None:
        """From now on only write down: the engine is ready."""
        self._is_loading = False
        self._kept.clear()

    def pump(self, wait_s: float) -> bool:
        """Copy what there is, after at most `wait_s` seconds; False when the process closed its output."""
        if self._source is None:
            return False
        if not select.select([self._source], [], [], wait_s)[0]:
            return True
        while True:
            try:
                read = os.read(self._source, _READ_BYTES)
            except BlockingIOError:
                return True
            if not read:
                self._source = None
                return False
            self._write(read)
            if self._is_loading:
                self._tell(read)

    def _write(self, read: bytes) -> None:
        with suppress(OSError):
            os.write(_STDOUT, read)
            if os.fstat(_STDOUT).st_size >= MAX_BYTES:
                self._rotate()

    def _rotate(self) -> None:
        self._files.log.replace(self._files.old_log)
        fresh = os.open(self._files.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            os.dup2(fresh, _STDOUT)
            os.dup2(fresh, _STDERR)
        finally:
            os.close(fresh)

    def _tell(self, read: bytes) -> None:
        self._kept += read
        del self._kept[:-_KEPT_BYTES]
        *lines, self._part = _LINE_ENDS.split(self._part + read.decode("utf-8", "replace"))
        self._part = self._part[-_READ_BYTES:]
        for line in lines:
            self._on_line(line)
