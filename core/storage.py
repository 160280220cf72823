"""Where lctx keeps things: XDG directories, one override for tests, and files that survive a crash."""

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from lctx.core.kept import (
    Row,
    checksum_of,
    count_kinds,
    empty,
    has_code,
    insert,
    is_moved,
    name_of,
    opened,
    remove_file,
    select,
)

if TYPE_CHECKING:
    from sqlite3 import Connection

CACHE_BYTES = 2 * 1024**3
"""How large a cache grows before what was used longest ago makes room."""

_Result = TypeVar("_Result")
_DIRECTORY_MODE = 0o700
_FILE_MODE = 0o600
_SECRET_BYTES = 32

_FILE_NAME = "kept-1.db"  # another layout gets another number: two versions of lctx never share a file
_ATTEMPTS = 3
_MAX_VALUE_BYTES = 500_000_000  # SQLite's own limit is twice that


@dataclass(frozen=True, slots=True)
class Directories:
    """The three places that lctx writes to, and nowhere else.

    Attributes:
        cache: Can be deleted at any time: documents, counts, assembled models.
        state: Cannot be made again: calibrations, sessions.
        runtime: Lives as long as the login: sockets, locks and state files of engines.
    """

    cache: Path
    state: Path
    runtime: Path


def directories() -> Directories:
    """`LCTX_HOME` overrides all three; otherwise the XDG variables, then the platform's habit."""
    if home := os.environ.get("LCTX_HOME"):
        root = Path(home).expanduser().absolute()
        return Directories(root / "cache", root / "state", root / "run")
    from platformdirs import PlatformDirs

    dirs = PlatformDirs("lctx", appauthor=False)
    return Directories(dirs.user_cache_path, dirs.user_state_path, dirs.user_runtime_path)


def ensure_directory(path: Path) -> Path:
    """Make `path` and its parents, readable by this user only."""
    missing = list(takewhile(lambda folder: not folder.exists(), (path, *path.parents)))
    for folder in reversed(missing or [path]):  # `parents=True` would make them with everybody's mode
        folder.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
    return path


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` so that a reader sees all of it or none of it, whatever happens meanwhile.

    Raises:
        OSError: The disk is full or the directory cannot be written; nothing is left behind.
    """
    import tempfile  # brings much that reading needs not

    ensure_directory(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), _FILE_MODE)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def local_secret() -> bytes:
    """32 bytes that only this user knows, made at the first call and the same ever after.

    Where they cannot be kept, they last for this process.
    """
    path = directories().state / "secret"
    with suppress(OSError):
        kept = path.read_bytes()
        if len(kept) == _SECRET_BYTES:
            return kept
    made = os.urandom(_SECRET_BYTES)
    try:
        write_atomically(path, made)
    except OSError:
        return _secret_of_this_process()
    return made


@cache
def _secret_of_this_process() -> bytes:
    return os.urandom(_SECRET_BYTES)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a cache holds.

    Attributes:
        file: Where it is kept.
        file_bytes: What that takes on the disk, room for more included.
        kinds: For each first word of the keys: how many values, and their bytes.
    """

    file: Path
    file_bytes: int
    kinds: Mapping[str, tuple[int, int]]


class ByteCache:
    """Checksummed values in one file; losing one costs time, never correctness.

    The file is SQLite's, whose locks let many processes read, write and make room at once, and whose journal
    undoes what a process left half done. A damaged file is made anew. A cache that cannot be written
    (read-only, full) is silent after the first failure.

    Attributes:
        folder: Holds the file, and nothing else; None keeps nothing.
        ceiling_bytes: How large the file grows.
        broken: Why nothing is kept any more, or None.
    """

    def __init__(self, folder: Path | None, ceiling_bytes: int = CACHE_BYTES) -> None:
        """Keep values in `folder`, at most so many bytes; None keeps nothing."""
        self.folder = folder
        self.ceiling_bytes = ceiling_bytes
        self._lock = Lock()
        self.broken: str | None = None

    @property
    def is_kept(self) -> bool:
        """Whether anything that is put can be found again."""
        return self.folder is not None and self.broken is None

    @property
    def file(self) -> Path | None:
        """The file that holds the values; it need not be there."""
        return self.folder.absolute() / _FILE_NAME if self.folder else None

    def get(self, key: str) -> bytes | None:
        """The value kept under `key`, or None where there is none or it is damaged."""
        return self.get_many((key,))[0]

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values kept under `keys`, in their order; None where there is none or it is damaged."""
        found = self._attempt(lambda connection: select(connection, keys), must_exist=True) if keys else None
        return found or [None] * len(keys)

    def put(self, key: str, value: bytes) -> None:
        """Keep `value` under `key`; a failure to write is remembered in `broken`, not raised."""
        self.put_many({key: value})

    def put_many(self, values: Mapping[str, bytes]) -> None:
        """Keep all of `values` or, where the disk is full, none; what is too large for the cache is left."""
        largest = min(self.ceiling_bytes // 2, _MAX_VALUE_BYTES)
        rows: list[Row] = []
        size = 0
        for key, value in values.items():
            if len(value) > largest or not self.is_kept:
                continue
            if size + len(value) > largest:
                self._insert(rows)
                rows, size = [], 0
            name = name_of(key)
            rows.append((name, key.partition(" ")[0], checksum_of(name, value), value))
            size += len(value)
        if rows and self.is_kept:
            self._insert(rows)

    def usage(self) -> Usage | None:
        """What is kept; None where there is nothing, or it cannot be read."""
        found = self._attempt(count_kinds, must_exist=True)
        file = self.file
        if found is None or file is None:
            return None
        try:
            return Usage(file, file.stat().st_size, found)
        except OSError:
            return None

    def clear(self) -> int:
        """Remove everything; how many bytes of the disk that gave back.

        Raises:
            OSError: It cannot be written, or others have been writing to it for long.
        """
        file = self.file
        if file is None or not file.exists():
            return 0
        before = file.stat().st_size
        if self._attempt(empty, must_exist=True) is None and file.exists():
            raise OSError(errno.EBUSY, "others are writing to it, or it cannot be written", str(file))
        return before - (file.stat().st_size if file.exists() else 0)

    def _insert(self, rows: "Sequence[Row]") -> None:
        self._attempt(lambda connection: insert(connection, rows, self.ceiling_bytes), must_exist=False)

    def _attempt(self, work: "Callable[[Connection], _Result]", *, must_exist: bool) -> _Result | None:
        """What `work` makes of the open file, made anew where it is damaged or gone; None where that fails.

        Args:
            work: Done in one go.
            must_exist: Whether there is nothing to do without the file. Otherwise a failure is `broken`.
        """
        import sqlite3

        file = self.file
        if file is None or (must_exist and not file.exists()):
            return None
        why = ""
        for _ in range(_ATTEMPTS):
            try:
                if not must_exist:
                    ensure_directory(file.parent)
                with self._lock, opened(file, create=not must_exist) as connection:
                    return work(connection)
            except sqlite3.Error as error:
                why = str(error)
                if has_code(error, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                    with suppress(OSError):
                        remove_file(file)
                elif has_code(error, sqlite3.SQLITE_BUSY):
                    return None  # others are writing: this is not kept now
                elif not is_moved(error):
                    break
            except OSError as error:
                why = error.strerror or str(error)
                break
            if must_exist:
                break
        if not must_exist:
            self.broken = f"{self.folder}: {why}"
        return None
