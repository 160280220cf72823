"""The cache for people, a row for each kind of what is kept, and for programs: a public contract."""

import msgspec

from lctx.cli.cache_contents import Contents
from lctx.cli.report import Piece, Table
from lctx.core.answering.wire import SCHEMA_VERSION
from lctx.core.answering.wire_plan import utf8
from lctx.core.planning.memory import format_bytes


class KindRow(msgspec.Struct, frozen=True):
    """What is kept of one kind; `bytes` are those of the values themselves."""

    kind: str
    entries: int
    bytes: int


class CacheRecord(msgspec.Struct, frozen=True):
    """All of `lctx cache info`.

    `bytes` is what the folder takes on the disk; `content_bytes` is the part of it that never grows beyond
    `ceiling_bytes`.
    """

    schema_version: int
    path: str
    bytes: int
    content_bytes: int
    ceiling_bytes: int
    kinds: list[KindRow]
    exit_code: int


def cache_report(contents: Contents) -> list[Piece]:
    """Where it is, how large it is and may become, and what takes the room."""
    bounded, ceiling = format_bytes(contents.bounded_bytes), format_bytes(contents.ceiling_bytes)
    pieces: list[Piece] = [
        f"{utf8(str(contents.path))}: {format_bytes(contents.num_bytes)} on the disk",
        f"of sources: {bounded}, at most {ceiling} (LCTX_CACHE_SIZE)",
    ]
    rows = [(kind.name, f"{kind.num_entries:,}", format_bytes(kind.num_bytes)) for kind in contents.kinds]
    if rows:
        pieces.append(Table(("kept", "entries", "size"), rows, frozenset({1, 2})))
    return pieces


def record_of(contents: Contents) -> CacheRecord:
    """The same as the contract has it."""
    return CacheRecord(
        SCHEMA_VERSION,
        utf8(str(contents.path)),
        contents.num_bytes,
        contents.bounded_bytes,
        contents.ceiling_bytes,
        [KindRow(kind.name, kind.num_entries, kind.num_bytes) for kind in contents.kinds],
        0,
    )
