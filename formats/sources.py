"""From the names that a user gave to the files behind them, and from a file to its bytes."""

import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lctx.core.errors import (
    EmptySourceError,
    LimitError,
    MissingSourceError,
    SourceError,
    UnsupportedSourceError,
)
from lctx.formats.ignore import Choice, Listing, list_folder
from lctx.formats.names import printable
from lctx.formats.noise import noise_of_content, noise_of_name
from lctx.formats.sniffing import HEAD_BYTES

MAX_SOURCE_BYTES = 1024**3
"""The largest file, or standard input, that is taken into memory."""

STDIN = "-"
"""The name of standard input, as path and as source."""

_READ_BYTES = 1024 * 1024
_OPEN_FLAGS = (
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file to read.

    Attributes:
        path: What the user typed, or the folder that was named joined with the path below it. Control
            characters and bytes that are no UTF-8 are escaped, so that it can be shown; all other paths open
            as they stand.
        file: The file itself, without symbolic links; "-" for standard input.
    """

    path: str
    file: Path


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or folder below a named folder that is not read.

    Attributes:
        path: As in `SourceFile`.
        reason: A few words: "--exclude", "a lock file", "binary (.png)".
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the names led to.

    Attributes:
        files: In the order of the names, sorted within a folder; no file twice.
        skipped: What was passed over on purpose, by the user's wish or for being no text.
        errors: One for each name, or file in a folder, that could not be looked at.
    """

    files: tuple[SourceFile, ...]
    skipped: tuple[Skipped, ...]
    errors: tuple[SourceError, ...]


def find_sources(names: Sequence[str], *, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Found:
    """The files behind `names`.

    A file that is named is taken as it is; of a folder what git would keep is taken, less what nobody would
    read. Symbolic links are followed where the user names them, never inside a folder.

    Args:
        names: Files, folders, and "-" for standard input.
        include: Patterns as in .gitignore; where there are any, only what matches is taken from a folder.
        exclude: Patterns of what is not taken from a folder.

    Raises:
        UsageError: A pattern cannot be read.
    """
    search = _Search(Choice(include, exclude))
    for name in names:
        try:
            search.take(name)
        except SourceError as error:
            search.errors.append(error)
    return Found(tuple(search.files), tuple(search.skipped), tuple(search.errors))


class _Search:
    def __init__(self, choice: Choice) -> None:
        self.files: list[SourceFile] = []
        self.skipped: list[Skipped] = []
        self.errors: list[SourceError] = []
        self._choice = choice
        self._seen: set[Path] = set()

    def take(self, name: str) -> None:
        shown = printable(name)
        if name == STDIN:
            self._keep(shown, Path(STDIN))
            return
        file, mode = _resolved(name, shown)
        if stat.S_ISDIR(mode):
            self._take_folder(name, file)
        elif stat.S_ISREG(mode):
            self._keep(shown, file)
        else:
            raise _not_regular(shown)

    def _keep(self, shown: str, file: Path) -> None:
        if file not in self._seen:
            self._seen.add(file)
            self.files.append(SourceFile(shown, file))

    def _take_folder(self, name: str, root: Path) -> None:
        shown = printable(name)
        listing = list_folder(shown, root)
        prefix = _prefix(name)
        before, failed = len(self._seen), len(self.errors)
        known = self._take_files(prefix, root, listing)
        self.skipped += [Skipped(printable(prefix + path), reason) for path, reason in listing.left_out]
        self.errors += listing.errors
        if len(self._seen) == before and not known and len(self.errors) == failed:
            raise EmptySourceError(shown, _why_empty(listing), _hint_for(listing))

    def _take_files(self, prefix: str, root: Path, listing: Listing) -> bool:
        """Keep what is worth reading; whether any of it had been named before."""
        known = False
        for path in sorted(listing.files, key=lambda path: path.split("/")):
            shown = printable(prefix + path)
            file = root / path
            if file in self._seen:
                known = True
                continue
            reason = self._choice.reason_against(path) or noise_of_name(path)
            try:
                reason = reason or _reason_in(path, file, shown)
            except FileNotFoundError:
                continue  # tracked by git and deleted since: it is not there to be read
            except OSError as error:
                self.errors.append(SourceError(shown, _told(error)))
                continue
            if reason:
                self.skipped.append(Skipped(shown, reason))
            else:
                self._keep(shown, file)
        return known


def _resolved(name: str, shown: str) -> tuple[Path, int]:
    """The file behind `name` without links, and its mode."""
    try:
        file = Path(name).resolve(strict=True) if name else None
        mode = file.stat().st_mode if file else 0
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise MissingSourceError(shown, "no such file", "check the path") from error
    except RuntimeError as error:  # Python 3.11 and 3.12 say so of a circle of links
        raise SourceError(shown, "its symbolic links form a circle", "name the file itself") from error
    except OSError as error:
        raise SourceError(shown, _told(error), "check the path and its permissions") from error
    if file is None:
        raise MissingSourceError("''", "no such file", "check the path")
    return file, mode


def _reason_in(path: str, file: Path, shown: str) -> str | None:
    """Why a file that a folder holds is passed over, looking at the file itself."""
    mode = file.lstat().st_mode
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if not stat.S_ISREG(mode):
        return "not a regular file"
    handle = _open(file, shown)
    try:
        return noise_of_content(path, os.read(handle, HEAD_BYTES))
    finally:
        os.close(handle)


def read_bytes(source: SourceFile) -> bytes:
    """The content of `source`, whole.

    Raises:
        MissingSourceError: It has vanished since it was found.
        UnsupportedSourceError: It is a pipe, a socket or a device.
        LimitError: It holds more than `MAX_SOURCE_BYTES`.
        SourceError: It cannot be read, or changed while it was.
    """
    if source.file == Path(STDIN):
        return read_stdin(sys.stdin.buffer)
    try:
        handle = _open(source.file, source.path)
        try:
            return _read_open(source.path, handle)
        finally:
            os.close(handle)
    except FileNotFoundError as error:
        raise MissingSourceError(source.path, "it vanished before it was read", "run it again") from error
    except OSError as error:
        raise SourceError(source.path, _told(error)) from error


def _open(file: Path, shown: str) -> int:
    """A descriptor of a regular file; opening a pipe waits for nobody."""
    handle = os.open(file, _OPEN_FLAGS)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _not_regular(shown)
    return handle


def _read_open(shown: str, handle: int) -> bytes:
    before = os.fstat(handle)
    if before.st_size > MAX_SOURCE_BYTES:
        raise _too_large(shown)
    with os.fdopen(handle, "rb", closefd=False) as stream:
        content = _read_to_ceiling(shown, stream)
    after = os.fstat(handle)
    # Files of /proc say 0 bytes whatever they hold.
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or (
        before.st_size and len(content) != before.st_size
    ):
        raise SourceError(
            shown, "it changed while it was being read", "run it again when nothing writes to it"
        )
    return content


def read_stdin(stream: BinaryIO) -> bytes:
    """All that `stream` holds, to its end.

    Raises:
        LimitError: It holds more than `MAX_SOURCE_BYTES`.
        SourceError: It is closed or cannot be read.
    """
    try:
        return _read_to_ceiling(STDIN, stream)
    except (OSError, ValueError) as error:
        why = _told(error) if isinstance(error, OSError) else "it is closed"
        raise SourceError(STDIN, f"standard input cannot be read: {why}") from error


def _read_to_ceiling(shown: str, stream: BinaryIO) -> bytes:
    pieces: list[bytes] = []
    total = 0
    while piece := stream.read(_READ_BYTES):
        total += len(piece)
        if total > MAX_SOURCE_BYTES:
            raise _too_large(shown)
        pieces.append(piece)
    return b"".join(pieces)


def _prefix(name: str) -> str:
    """What goes in front of a path below the folder `name`: nothing for the current one."""
    parts = Path(name).as_posix()
    return "" if parts == "." else f"{parts.rstrip('/')}/"


def _why_empty(listing: Listing) -> str:
    if not listing.files:
        return "the folder holds no file that is not ignored"
    return f"no file that lctx reads among its {len(listing.files)}"


def _hint_for(listing: Listing) -> str:
    return "widen --include and --exclude, or name a file" if listing.files else "check the path"


def _not_regular(shown: str) -> UnsupportedSourceError:
    return UnsupportedSourceError(
        shown, "a pipe, socket or device, not a file", "pipe it: ... | lctx ask - 'question'"
    )


def _too_large(shown: str) -> LimitError:
    return LimitError(
        shown, f"more than {MAX_SOURCE_BYTES // 1024**3} GiB", "split it, or name the part that matters"
    )


def _told(error: OSError) -> str:
    """Why the system refused, as a lower-case phrase."""
    return (error.strerror or str(error)).lower()
