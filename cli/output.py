"""Where the answer goes: standard output, or a file that is whole or not there at all."""

import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from lctx.core.errors import UsageError


class Sink(Protocol):
    """A place for the answer."""

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks at it."""
        ...

    @property
    def is_gone(self) -> bool:
        """Whether nobody reads it any more."""
        ...

    def write(self, text: str) -> None:
        """Add `text`; it may be seen at once or at `close`."""
        ...

    def close(self) -> None:
        """Everything was written."""
        ...


class StandardOutput:
    """Standard output as UTF-8, whatever the locale says; a reader that went away is no error."""

    def __init__(self) -> None:
        if sys.stdout is None or _is_closed(sys.stdout.fileno()):
            raise UsageError("standard output: it is closed", "name a file with -o")
        self.is_gone = False
        self.is_terminal = sys.stdout.isatty()

    def write(self, text: str) -> None:
        """Write and flush; after the reader closed its end, nothing more happens."""
        if self.is_gone:
            return
        try:
            sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            self.is_gone = True
            _silence(sys.stdout.fileno())
        except OSError as error:
            _silence(sys.stdout.fileno())
            raise UsageError(
                f"standard output: {(error.strerror or str(error)).lower()}",
                "make room, or name a file with -o",
            ) from error

    def close(self) -> None:
        """Nothing is left to do: every write was flushed."""


class OutputFile:
    """A file that appears whole at the end; until then the old one stays as it was."""

    is_terminal = False
    is_gone = False

    def __init__(self, path: Path) -> None:
        """Check at once what would otherwise fail after minutes of work."""
        self._path = path
        self._parts: list[str] = []
        with _telling(path):
            self._special = path.exists() and not path.is_file()
            # /dev/stdout is a link to something that has no name of its own.
            self._target = path.resolve() if path.is_symlink() and not self._special else path
            if self._target.is_dir():
                raise IsADirectoryError(errno.EISDIR, "it is a directory")
            if not self._target.parent.is_dir():
                raise FileNotFoundError(errno.ENOENT, "its directory does not exist")
            where = self._target if self._special else self._target.parent
            if not os.access(where, os.W_OK):
                raise PermissionError(errno.EACCES, "permission denied")

    def write(self, text: str) -> None:
        """Keep `text` until `close`."""
        self._parts.append(text)

    def close(self) -> None:
        """Write all of it beside the target, then rename; devices and pipes are written to directly."""
        # One after the other: a large text is not held a second time.
        content = (part.encode("utf-8", "backslashreplace") for part in self._parts)
        with _telling(self._path):
            if self._special:
                with self._target.open("wb") as file:
                    file.writelines(content)
            else:
                _replace(self._target, content)


def open_sink(path: str | None) -> Sink:
    """The sink of `-o`: standard output for None and `-`."""
    if path in {None, "-"}:
        return StandardOutput()
    if not path:
        raise UsageError("-o: the name is empty", "name a file, or leave -o out")
    return OutputFile(Path(path))


def _replace(target: Path, content: Iterable[bytes]) -> None:
    import tempfile

    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:40]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(content)
            file.flush()
            os.fchmod(file.fileno(), _mode_of(target))
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _mode_of(target: Path) -> int:
    """The mode of the file that is replaced, else what a new file gets here."""
    with suppress(OSError):
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Turns what the system says about a path into an error that a user can read."""
    try:
        yield
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(f"{path}: cannot be written: {why}", "name another file with -o") from error


def _is_closed(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return True
    return False


def _silence(descriptor: int) -> None:
    """Point a broken descriptor elsewhere, so that the interpreter's own flush at exit does not complain."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, descriptor)
        os.close(null)
