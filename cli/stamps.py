"""Files that were read before and not touched since: they need be neither opened nor hashed again.

This is git's index: what the system says of a file (size, times, inode) stands for its content, as long as
the file had been at rest when it was read. A write in the same tick of the clock may leave the times as they
are.
"""

import hashlib
import os
import stat
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from lctx import __version__
from lctx.core.storage import ByteCache
from lctx.formats.registry import FORMATS
from lctx.formats.source_file import SourceFile

_AT_REST_NS = 2_000_000_000
"""The coarsest clock of a file system: FAT counts two seconds."""

_STAMP = struct.Struct("<qqqQ")
_MANY = 1000


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the system said of a file before it was read.

    Attributes:
        size: In bytes.
        packed: All that tells one state of it from another; None where that is not to be relied on.
    """

    size: int = 0
    packed: bytes | None = None


class Seen(msgspec.Struct, array_like=True, frozen=True):
    """What a file was found to hold.

    Attributes:
        stamp: Under which this is known.
        sha256: Of its bytes; empty where it was passed over.
        reader: The reader that its bytes and its name ask for; empty where it was passed over.
        reason: Why it was passed over; empty where it is read.
    """

    stamp: bytes
    sha256: str = ""
    reader: str = ""
    reason: str = ""


def stamp_of(file: str) -> Stamp:
    """What the system says of `file` now; it says nothing where there is no such file."""
    try:
        found = os.lstat(file)
    except (OSError, ValueError):
        return Stamp()
    return stamp_in(found, time.time_ns())


def stamp_in(found: os.stat_result, now_ns: int) -> Stamp:
    """What `found` says of a file; its stamp is relied on where it had been at rest for long at `now_ns`.

    Args:
        found: What the system says.
        now_ns: Nanoseconds since 1970; before the file was read, for a write after that might leave no trace.
    """
    if not stat.S_ISREG(found.st_mode):
        return Stamp()
    if not found.st_size or found.st_ctime_ns > now_ns - _AT_REST_NS:
        return Stamp(found.st_size)  # files of /proc have no size, and a write now might leave no trace
    packed = _STAMP.pack(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
    return Stamp(found.st_size, packed)


def _installed() -> Iterator[tuple[str, int]]:
    """Each folder that packages are found in, with the time of the last one that came or went.

    Looking for the formats of other packages takes longer than all else that is done with a stamp.
    """
    for place in sys.path:
        if place.endswith("-packages"):
            with suppress(OSError):
                yield place, os.stat(place).st_mtime_ns  # noqa: PTH116 - a text as it stands


class Stamps:
    """What is known of files by their stamps, kept in a cache."""

    def __init__(self, cache: ByteCache) -> None:
        """Keep what is known in `cache`."""
        self._cache = cache
        # What a name or content means is decided by lctx and by what is installed beside it; under other
        # rules nothing is known.
        formats = [(one.name, one.reader, one.suffixes) for one in FORMATS]
        rules = repr((__version__, formats, list(_installed())))
        self._rules = hashlib.sha256(rules.encode(), usedforsecurity=False).hexdigest()[:16]
        self._decoder = msgspec.msgpack.Decoder(Seen)

    def look_up(self, files: Sequence[SourceFile], stamps: Sequence[Stamp]) -> list[Seen | None]:
        """What each of `files` was found to hold under its stamp; None where it must be read."""
        found: list[Seen | None] = []
        for start in range(0, len(files), _MANY):
            keys = [self.key_of(file) for file in files[start : start + _MANY]]
            for kept, stamp in zip(self._cache.get_many(keys), stamps[start : start + _MANY], strict=True):
                found.append(self._believed(kept, stamp))
        return found

    def _believed(self, kept: bytes | None, stamp: Stamp) -> Seen | None:
        if kept is None or stamp.packed is None:
            return None
        try:
            seen = self._decoder.decode(kept)
        except msgspec.MsgspecError:
            return None
        return seen if seen.stamp == stamp.packed else None

    @staticmethod
    def value_of(seen: Seen) -> bytes:
        """`seen` as the cache keeps it."""
        return msgspec.msgpack.encode(seen)

    def key_of(self, file: SourceFile) -> str:
        """The key of what is known of `file`, read under the name that it is shown by."""
        name = file.path.rpartition("/")[2]
        return f"file {self._rules} {int(file.is_judged)} {name} {file.file}"
