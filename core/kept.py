"""The file behind a cache: an SQLite database of checksummed values, and what is done to it in one go."""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite3 import Connection, Error

Row = tuple[bytes, str, bytes, bytes]
"""A value to keep: the name of its key, its kind, its checksum, itself."""

_FILE_MODE = 0o600
_WAIT_S = 10.0
_PAGE_BYTES = 8192
_ROOM = 0.9  # making room goes down to this share, so that it is rarely made
_FRESH_S = 3600  # a use is noted once an hour: reading must not mean writing
_NAME_BYTES = 20
_MANY = 200  # values looked for by one statement: a statement each takes three times as long
_SELECT = "SELECT key, checksum, value, used FROM entries JOIN contents USING (place) WHERE key IN"
_TABLES = """
    CREATE TABLE IF NOT EXISTS entries (
        key BLOB PRIMARY KEY, place INTEGER NOT NULL, kind TEXT NOT NULL, size INTEGER NOT NULL,
        used INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS contents (
        place INTEGER PRIMARY KEY, checksum BLOB NOT NULL, value BLOB NOT NULL
    )
"""


@contextmanager
def opened(file: Path, *, create: bool) -> "Iterator[Connection]":
    """A connection for one piece of work: none outlives it, so the file may go and come at any time."""
    import sqlite3

    if create and not file.exists():
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


def select(connection: "Connection", keys: Sequence[str]) -> list[bytes | None]:
    """The sound values under `keys`, in their order; that they were used is noted now and then."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'contents'").fetchone():
        return [None] * len(keys)
    names = [name_of(key) for key in keys]
    rows: dict[bytes, tuple[bytes, bytes, int]] = {}
    connection.execute("BEGIN")
    for start in range(0, len(names), _MANY):
        some = names[start : start + _MANY]
        for name, *row in connection.execute(f"{_SELECT} ({','.join('?' * len(some))})", some):
            rows[name] = (row[0], row[1], row[2])
    connection.execute("COMMIT")
    now = int(time.time())
    stale = [(now, name) for name, (*_, used) in rows.items() if abs(now - used) > _FRESH_S]
    if stale:
        _note_use(connection, stale)
    return [
        row[1] if (row := rows.get(name)) and row[0] == checksum_of(name, row[1]) else None for name in names
    ]


def _note_use(connection: "Connection", stale: Sequence[tuple[int, bytes]]) -> None:
    """Put `stale` at the end of the queue; where the file is busy or read-only, they stay where they are."""
    import sqlite3

    with suppress(sqlite3.Error):
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("UPDATE entries SET used = ? WHERE key = ?", stale)
        connection.execute("COMMIT")


def insert(connection: "Connection", rows: Sequence[Row], ceiling_bytes: int) -> None:
    """Keep all of `rows`, or none; what was used longest ago makes room for them."""
    connection.execute("BEGIN IMMEDIATE")
    for table in _TABLES.split(";"):
        connection.execute(table)
    _make_room(connection, sum(len(value) + _PAGE_BYTES // 2 for *_, value in rows), ceiling_bytes)
    now = int(time.time())
    old = "DELETE FROM contents WHERE place = (SELECT place FROM entries WHERE key = ?)"
    connection.executemany(old, ((name,) for name, *_ in rows))
    (last,) = connection.execute("SELECT coalesce(max(place), 0) FROM contents").fetchone()
    placed = list(enumerate(rows, start=last + 1))
    connection.executemany(
        "INSERT INTO contents VALUES (?, ?, ?)",
        ((place, checksum, value) for place, (_, _, checksum, value) in placed),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)",
        ((name, place, kind, len(value), now) for place, (name, kind, _, value) in placed),
    )
    connection.execute("COMMIT")
    if _number(connection, "page_count") * _number(connection, "page_size") > ceiling_bytes:
        _shrink(connection)  # the ceiling was higher once


def _shrink(connection: "Connection") -> None:
    """Give the disk back what is empty; where others are reading, or there is no room for it, later."""
    import sqlite3

    with suppress(sqlite3.Error):
        connection.execute("VACUUM")


def empty(connection: "Connection") -> bool:
    """True, once nothing is kept any more and the disk has its room back."""
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


def count_kinds(connection: "Connection") -> dict[str, tuple[int, int]]:
    """For each kind how many values there are, and their bytes."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'entries'").fetchone():
        return {}
    query = "SELECT kind, count(*), sum(size) FROM entries GROUP BY kind ORDER BY kind"
    return {kind: (number, size) for kind, number, size in connection.execute(query)}


def remove_file(file: Path) -> int:
    """Remove a cache's file; its bytes. Its journal goes first: it must never meet another file."""
    freed = 0
    for name in (file.with_name(f"{file.name}-journal"), file):
        with suppress(FileNotFoundError):
            size = name.stat().st_size
            name.unlink()
            freed += size
    return freed


def name_of(key: str) -> bytes:
    """The name under which the file knows a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()[:_NAME_BYTES]


def checksum_of(name: bytes, value: bytes) -> bytes:
    """Of a value under its name: a value that stands in another's place is damaged too."""
    # SHA-256, since processors have instructions for it: the fastest of the standard library's but CRC-32.
    content = hashlib.sha256(value, usedforsecurity=False).digest()
    return hashlib.sha256(name + content, usedforsecurity=False).digest()[:_NAME_BYTES]


def has_code(error: "Error", *codes: int) -> bool:
    """Whether SQLite raised `error` for one of these reasons, whatever the details."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF in codes


def is_moved(error: "Error") -> bool:
    """Whether SQLite raised `error` because the file was removed, or replaced, since it was opened."""
    import sqlite3

    return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY_DBMOVED
