"""One file to read, and its bytes: whole, or not at all."""

import os
import stat
import sys
from dataclasses import dataclass
from typing import BinaryIO, cast

from lctx.core.errors import LimitError, MissingSourceError, SourceError, UnsupportedSourceError
from lctx.formats import sniffing
from lctx.formats.decoding import MAX_TEXT_BYTES
from lctx.formats.noise import noise_of_content
from lctx.formats.pages import Pages, pages_in_words
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
        pages: The part that was asked for, one-based and inclusive, its end None where it is the file's;
            None is the whole.
        is_judged: Whether it is read whatever it holds. What was found in a folder without being looked
            into may still turn out to be nothing that anybody reads.
    """

    path: str
    file: str
    pages: Pages | None = None
    is_judged: bool = True

    @property
    def name(self) -> str:
        """The path with the part that was asked for: "report.pdf#10-40"."""
        return self.path if self.pages is None else f"{self.path}#{pages_in_words(self.pages)}"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or folder below a named folder that is not read.

    Attributes:
        path: As in `SourceFile`.
        reason: A few words: "--exclude", "a lock file", "binary (.png)".
    """

    path: str
    reason: str


def read_bytes(source: SourceFile) -> bytes:
    """The content of `source`, whole.

    Raises:
        MissingSourceError: It has vanished since it was found.
        UnsupportedSourceError: It is a pipe, a socket or a device.
        LimitError: It holds more than `MAX_SOURCE_BYTES`.
        SourceError: It cannot be read, or changed while it was.
    """
    return cast("bytes", _read(source, judged=True)[0])  # only what is not judged can be skipped


def read_with_status(source: SourceFile) -> tuple[bytes | Skipped, os.stat_result | None]:
    """The content of `source`, whole, or why nobody would read a file that was found in a folder.

    And what the system said of the file when it was opened and still says: None where something about the
    file changed while it was read, and for standard input.

    Raises:
        SourceError: As `read_bytes` does.
    """
    return _read(source, judged=source.is_judged)


def noise_in(source: SourceFile) -> str | None:
    """Why nobody would read `source`, by its first bytes; None where it is worth reading.

    Raises:
        SourceError: As `read_bytes` does.
    """
    handle, _ = _opened(source)
    try:
        return noise_of_content(source.path, os.read(handle, HEAD_BYTES))
    except OSError as error:
        raise SourceError(source.path, told(error)) from error
    finally:
        os.close(handle)


def read_stdin(stream: BinaryIO) -> bytes:
    """All that `stream` holds, to its end.

    Raises:
        LimitError: It holds more than `MAX_SOURCE_BYTES`.
        SourceError: It is closed or cannot be read.
    """
    pieces: list[bytes] = []
    total = 0
    try:
        while piece := stream.read(_READ_BYTES):
            total += len(piece)
            pieces.append(piece)
            _hold_to_ceiling(STDIN, pieces[0][:HEAD_BYTES], total)
    except (OSError, ValueError) as error:
        why = told(error) if isinstance(error, OSError) else "it is closed"
        raise SourceError(STDIN, f"standard input cannot be read: {why}") from error
    return b"".join(pieces)


def not_regular(shown: str) -> UnsupportedSourceError:
    """The error of a source that is no file."""
    return UnsupportedSourceError(
        shown, "a pipe, socket or device, not a file", "pipe it: ... | lctx ask - 'question'"
    )


def told(error: OSError) -> str:
    """Why the system refused, as a lower-case phrase."""
    return (error.strerror or str(error)).lower()


def _read(source: SourceFile, *, judged: bool) -> tuple[bytes | Skipped, os.stat_result | None]:
    if source.file == STDIN:
        return read_stdin(sys.stdin.buffer), None
    handle, before = _opened(source)
    try:
        content = _read_open(source, handle, before, judged=judged)
        after = os.fstat(handle)
    except OSError as error:
        raise SourceError(source.path, told(error)) from error
    finally:
        os.close(handle)
    if isinstance(content, bytes) and (
        (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)
        or (before.st_size and len(content) != before.st_size)
    ):
        raise SourceError(
            source.path, "it changed while it was being read", "run it again when nothing writes to it"
        )
    return content, before if before.st_ctime_ns == after.st_ctime_ns else None


def _opened(source: SourceFile) -> tuple[int, os.stat_result]:
    """A descriptor of a regular file, and its status; opening a pipe waits for nobody."""
    try:
        handle = os.open(source.file, _OPEN_FLAGS)
    except FileNotFoundError as error:
        raise MissingSourceError(source.path, "it vanished before it was read", "run it again") from error
    except OSError as error:
        raise SourceError(source.path, told(error)) from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise not_regular(source.path)
    return handle, status


def _read_open(source: SourceFile, handle: int, before: os.stat_result, *, judged: bool) -> bytes | Skipped:
    pieces = [os.read(handle, HEAD_BYTES)]
    reason = None if judged else noise_of_content(source.path, pieces[0])
    if reason:
        return Skipped(source.path, reason)
    _hold_to_ceiling(source.path, pieces[0], before.st_size)
    total = len(pieces[0])
    if total == before.st_size < HEAD_BYTES:
        return pieces[0]  # most files: that more has come since is seen by the size afterwards
    while piece := os.read(handle, _wanted(before.st_size, total)):
        total += len(piece)
        pieces.append(piece)
        if before.st_size and total > before.st_size:
            break  # somebody writes to it
        _hold_to_ceiling(source.path, pieces[0], total)
    return b"".join(pieces)


def _wanted(size: int, total: int) -> int:
    """How much to read next: all that is left and one byte more, which is there where the file grows."""
    return size - total + 1 if size else _READ_BYTES  # files of /proc say 0 bytes whatever they hold


def _hold_to_ceiling(shown: str, head: bytes, num_bytes: int) -> None:
    """Refuse a giant before it is taken into memory, as its reader would.

    Raises:
        LimitError: It is larger than its kind may be.
        UnsupportedSourceError: It is of no kind that lctx reads.
    """
    if num_bytes <= MAX_TEXT_BYTES:
        return
    hint = "split it, or name the part that matters"
    if num_bytes > MAX_SOURCE_BYTES:
        raise LimitError(shown, f"more than {MAX_SOURCE_BYTES // 1024**3} GiB", hint)
    if sniffing.is_pdf(shown, head) or sniffing.is_zip(head) or sniffing.is_ole(head) or head.isspace():
        return
    from lctx.formats.registry import format_of

    if format_of(shown, head).origin == "lctx":
        raise LimitError(
            shown, f"more than the {MAX_TEXT_BYTES // 1024**2} MiB of text that lctx reads", hint
        )
