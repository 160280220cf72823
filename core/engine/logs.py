"""What an engine said: the log of one that runs, or of one that failed and has left nothing else."""

import os
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lctx.core.engine.state import ServerFiles, read_state
from lctx.core.errors import UsageError

_LINE_BYTES = 1 << 16
"""Of a line; a longer one is told in pieces."""
_MOST_BYTES = 1 << 40


def find_log(runtime: Path, name: str | None = None) -> ServerFiles:
    """The files of the engine whose id, model or process id is `name`; of the last that spoke without one.

    Nothing is tidied up on the way: what a failed engine said is what somebody wants to read.

    Raises:
        UsageError: There is none.
    """
    found: list[tuple[float, ServerFiles]] = []
    for path in runtime.glob("*.log"):
        with suppress(OSError):
            found.append((path.stat().st_mtime, ServerFiles(runtime, path.stem)))
    found.sort(key=lambda one: one[0], reverse=True)
    for _, files in found:
        if name is None or name in _names(files):
            return files
    if name is None:
        raise UsageError("no engine has said anything: none runs, and none failed", "see lctx ps")
    known = ", ".join(files.id for _, files in found)
    raise UsageError(f"{name}: no such engine", f"there are logs of {known}" if known else "see lctx ps")


def _names(files: ServerFiles) -> set[str]:
    state = read_state(files)
    return {files.id} | ({state.name, str(state.pid)} if state is not None else set())


def log_lines(files: ServerFiles, last: int | None = None, *, end: int | None = None) -> Iterator[str]:
    """The lines of the log, those before its last rotation first.

    Args:
        files: The engine's.
        last: Only so many of them.
        end: Only the first bytes of the current log, where the rest is told elsewhere.

    Raises:
        OSError: It cannot be read.
    """
    lines = _all_lines(files, end)
    yield from lines if last is None else deque(lines, last)


def _all_lines(files: ServerFiles, end: int | None) -> Iterator[str]:
    for path, most in ((files.old_log, None), (files.log, end)):
        with suppress(FileNotFoundError), path.open("rb") as log:
            left = _MOST_BYTES if most is None else most
            while left > 0 and (line := log.readline(min(left, _LINE_BYTES))):
                left -= len(line)
                yield line.decode("utf-8", "replace").rstrip("\r\n")


class LogTail:
    """What is written to a log from now on, across its rotations.

    Attributes:
        start: The size of the log at the beginning, in bytes.
    """

    def __init__(self, files: ServerFiles) -> None:
        self._files = files
        self._part = ""
        self._handle = self._opened()
        self.start = os.lseek(self._handle, 0, os.SEEK_END) if self._handle is not None else 0

    def read(self) -> list[str]:
        """The lines that are new; an unfinished one is kept until its end comes."""
        lines = self._read_on()
        if self._is_old():
            lines += self._read_on()  # what was written before it was begun anew
            self.close()
            self._handle = self._opened()
            lines += self._read_on()
        return lines

    def rest(self) -> list[str]:
        """The lines that are new, and the last one also where it has no end."""
        lines = self.read()
        if self._part:
            lines.append(self._part)
            self._part = ""
        return lines

    def close(self) -> None:
        """Let go of the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _opened(self) -> int | None:
        try:
            return os.open(self._files.log, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None

    def _is_old(self) -> bool:
        """Whether the log has another file by now, or is as short as one that was begun anew."""
        if self._handle is None:
            return self._files.log.exists()
        mine = os.fstat(self._handle)
        try:
            current = self._files.log.stat()
        except FileNotFoundError:
            return False
        is_cut = current.st_size < os.lseek(self._handle, 0, os.SEEK_CUR)
        return is_cut or not os.path.samestat(mine, current)

    def _read_on(self) -> list[str]:
        if self._handle is None:
            return []
        content = bytearray()
        while read := os.read(self._handle, _LINE_BYTES):
            content += read
        *lines, self._part = (self._part + content.decode("utf-8", "replace")).split("\n")
        if len(self._part) > _LINE_BYTES:
            lines.append(self._part)
            self._part = ""
        return lines
