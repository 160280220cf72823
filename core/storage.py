"""Where lctx keeps things: XDG directories, one override for tests, and files that survive a crash."""

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from sqlite3 import Connection, Error

CACHE_BYTES = 2 * 1024**3
"""How large a cache grows before what was used longest ago makes room."""

_Result = TypeVar("_Result")
_Row = tuple[bytes, str, bytes, bytes]  # name, kind, checksum, value
_DIRECTORY_MODE = 0o700
_FILE_MODE = 0o600
_SECRET_BYTES = 32

_FILE_NAME = "kept-1.db"  # another layout gets another number: two versions of lctx never share a file
_WAIT_S = 10.0
_ATTEMPTS = 3
_PAGE_BYTES = 8192
_ROOM = 0.9  # making room goes down to this share, so that it is rarely made
_MAX_VALUE_BYTES = 500_000_000  # SQLite's own limit is twice that
_FRESH_S = 3600  # a use is noted once an hour: reading must not mean writing
_NAME_BYTES = 20
_TABLES = """
    CREATE TABLE IF NOT EXISTS entries (
        key BLOB PRIMARY KEY, place INTEGER NOT NULL, kind TEXT NOT NULL, size INTEGER NOT NULL,
        used INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS contents (
        place INTEGER PRIMARY KEY, checksum BLOB NOT NULL, value BLOB NOT NULL
    )
"""


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
        names = [_name_of(key) for key in keys]
        found = (
            self._attempt(lambda connection: _select(connection, names), must_exist=True) if keys else None
        )
        return found or [None] * len(names)

    def put(self, key: str, value: bytes) -> None:
        """Keep `value` under `key`; a failure to write is remembered in `broken`, not raised."""
        self.put_many({key: value})

    def put_many(self, values: Mapping[str, bytes]) -> None:
        """Keep all of `values` or, where the disk is full, none; what is too large for the cache is left."""
        largest = min(self.ceiling_bytes // 2, _MAX_VALUE_BYTES)
        rows: list[_Row] = []
        size = 0
        for key, value in values.items():
            if len(value) > largest or not self.is_kept:
                continue
            if size + len(value) > largest:
                self._insert(rows)
                rows, size = [], 0
            name = _name_of(key)
            rows.append((name, key.partition(" ")[0], _checksum(name, value), value))
            size += len(value)
        if rows and self.is_kept:
            self._insert(rows)

    def usage(self) -> Usage | None:
        """What is kept; None where there is nothing, or it cannot be read."""
        found = self._attempt(_count_kinds, must_exist=True)
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
            OSError: It cannot be removed.
        """
        file = self.file
        if file is None or not file.exists():
            return 0
        before = file.stat().st_size
        if self._attempt(_empty, must_exist=True) is None and file.exists():
            _remove(file)  # whatever it is, it is no cache of ours
        return before - (file.stat().st_size if file.exists() else 0)

    def _insert(self, rows: "Sequence[_Row]") -> None:
        self._attempt(lambda connection: _insert(connection, rows, self.ceiling_bytes), must_exist=False)

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
                with self._lock, _opened(file, create=not must_exist) as connection:
                    return work(connection)
            except sqlite3.Error as error:
                why = str(error)
                if _has_code(error, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                    with suppress(OSError):
                        _remove(file)
                elif _has_code(error, sqlite3.SQLITE_BUSY):
                    return None  # others are writing: this is not kept now
                elif error.sqlite_errorcode != sqlite3.SQLITE_READONLY_DBMOVED:
                    break
            except OSError as error:
                why = error.strerror or str(error)
                break
            if must_exist:
                break
        if not must_exist:
            self.broken = f"{self.folder}: {why}"
        return None


@contextmanager
def _opened(file: Path, *, create: bool) -> "Iterator[Connection]":
    """A connection for one piece of work: none outlives it, so the file may go and come at any time."""
    import sqlite3

    if create and not file.exists():
        ensure_directory(file.parent)
        with suppress(FileExistsError):  # SQLite would make it with everybody's mode
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, _FILE_MODE))
    address = f"{file.as_uri()}?mode=rw"
    connection = sqlite3.connect(address, timeout=_WAIT_S, isolation_level=None, uri=True)
    try:
        # What the system loses with the power is found out by the checksums; a fsync a value would be slow.
        connection.execute("PRAGMA synchronous = OFF")
        if create:
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        yield connection
    finally:
        connection.close()


def _select(connection: "Connection", names: Sequence[bytes]) -> list[bytes | None]:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'contents'").fetchone():
        return [None] * len(names)
    found: list[bytes | None] = []
    stale: list[tuple[int, bytes]] = []
    now = int(time.time())
    query = "SELECT checksum, value, used FROM entries JOIN contents USING (place) WHERE key = ?"
    connection.execute("BEGIN")
    for name in names:
        row = connection.execute(query, (name,)).fetchone()
        found.append(row[1] if row and row[0] == _checksum(name, row[1]) else None)
        if row and abs(now - row[2]) > _FRESH_S:
            stale.append((now, name))
    connection.execute("COMMIT")
    if stale:
        _note_use(connection, stale)
    return found


def _note_use(connection: "Connection", stale: Sequence[tuple[int, bytes]]) -> None:
    """Put `stale` at the end of the queue; where the file is busy or read-only, they stay where they are."""
    import sqlite3

    with suppress(sqlite3.Error):
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("UPDATE entries SET used = ? WHERE key = ?", stale)
        connection.execute("COMMIT")


def _insert(connection: "Connection", rows: Sequence[_Row], ceiling_bytes: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for table in _TABLES.split(";"):
        connection.execute(table)
    _make_room(connection, sum(len(value) + _PAGE_BYTES // 2 for *_, value in rows), ceiling_bytes)
    now = int(time.time())
    for name, kind, checksum, value in rows:
        old = "DELETE FROM contents WHERE place = (SELECT place FROM entries WHERE key = ?)"
        connection.execute(old, (name,))
        new = "INSERT INTO contents (checksum, value) VALUES (?, ?)"
        place = connection.execute(new, (checksum, value)).lastrowid
        connection.execute(
            "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", (name, place, kind, len(value), now)
        )
    connection.execute("COMMIT")
    if _number(connection, "page_count") * _number(connection, "page_size") > ceiling_bytes:
        _shrink(connection)  # the ceiling was higher once


def _shrink(connection: "Connection") -> None:
    """Give the disk back what is empty; where others are reading, or there is no room for it, later."""
    import sqlite3

    with suppress(sqlite3.Error):
        connection.execute("VACUUM")


def _empty(connection: "Connection") -> bool:
    # The file stays: one that is removed while others write to it would leave them its journal.
    connection.execute("BEGIN IMMEDIATE")
    for table in ("entries", "contents"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    connection.execute("COMMIT")
    _shrink(connection)
    return True


def _make_room(connection: "Connection", incoming_bytes: int, ceiling_bytes: int) -> None:
    """Remove what was used longest ago until `incoming_bytes` more fit below the ceiling."""
    pages = _number(connection, "page_count")
    page_bytes = _number(connection, "page_size")
    used_bytes = (pages - _number(connection, "freelist_count")) * page_bytes
    if used_bytes + incoming_bytes <= ceiling_bytes:
        return
    surplus = used_bytes + incoming_bytes - int(ceiling_bytes * _ROOM)
    going: list[tuple[bytes, int]] = []
    for name, place, size in connection.execute("SELECT key, place, size FROM entries ORDER BY used, place"):
        if surplus <= 0:
            break
        going.append((name, place))
        surplus -= size
    connection.executemany("DELETE FROM contents WHERE place = ?", ((place,) for _, place in going))
    connection.executemany("DELETE FROM entries WHERE key = ?", ((name,) for name, _ in going))


def _number(connection: "Connection", pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _count_kinds(connection: "Connection") -> dict[str, tuple[int, int]]:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'entries'").fetchone():
        return {}
    query = "SELECT kind, count(*), sum(size) FROM entries GROUP BY kind ORDER BY kind"
    return {kind: (number, size) for kind, number, size in connection.execute(query)}


def _remove(file: Path) -> int:
    """Remove a cache's file; its bytes. Its journal goes first: it must never meet another file."""
    freed = 0
    for name in (file.with_name(f"{file.name}-journal"), file):
        with suppress(FileNotFoundError):
            size = name.stat().st_size
            name.unlink()
            freed += size
    return freed


def _name_of(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()[:_NAME_BYTES]


def _checksum(name: bytes, value: bytes) -> bytes:
    """Of a value under its name: a value that stands in another's place is damaged too."""
    # SHA-256, since processors have instructions for it: the fastest of the standard library's but CRC-32.
    content = hashlib.sha256(value, usedforsecurity=False).digest()
    return hashlib.sha256(name + content, usedforsecurity=False).digest()[:_NAME_BYTES]


def _has_code(error: "Error", *codes: int) -> bool:
    return (error.sqlite_errorcode or 0) & 0xFF in codes
