"""From one file to its document, in whatever process: opened, told by its bytes, read or found."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lctx.cli.stamps import Seen, stamp_in
from lctx.core.document import Document
from lctx.core.document_cache import DocumentCache, Wanted, key_of
from lctx.core.errors import SourceError
from lctx.formats.format import Format
from lctx.formats.reader import DEFAULTS, ReadOptions
from lctx.formats.registry import format_of
from lctx.formats.source_file import Skipped, SourceFile, read_with_status


@dataclass(frozen=True, slots=True)
class Opened:
    """A file whose bytes are there.

    Attributes:
        path: The name to show.
        content: All of it.
        format: What it is read as.
        sha256: Of `content`, in hexadecimal.
        stamp: What the system said of the file before and after, where that can be relied on.
    """

    path: str
    content: bytes
    format: Format
    sha256: str
    stamp: bytes | None

    @property
    def wanted(self) -> Wanted:
        """Its document, as the cache is asked for it."""
        return Wanted(self.sha256, self.format.reader, self.path)

    def read(self, options: ReadOptions) -> Document:
        """The document of its bytes.

        Raises:
            SourceError: Its reader can make nothing of it.
        """
        document = self.format.read(self.path, self.content, options)
        return document if options.password is None else replace(document, is_protected=True)

    @property
    def seen(self) -> Seen | None:
        """What can be remembered of the file."""
        return Seen(self.stamp, self.sha256, self.format.reader) if self.stamp else None


@dataclass(frozen=True, slots=True)
class Passed:
    """A file that nobody would read.

    Attributes:
        skipped: Why.
        seen: What can be remembered of it.
    """

    skipped: Skipped
    seen: Seen | None


def open_files(
    files: Sequence[SourceFile], cache: DocumentCache
) -> list[tuple[Opened | Passed | SourceError, bytes | None]]:
    """Each of `files` opened, or why it is not, and its document as the cache keeps it, where it does."""
    opened = [_open(file) for file in files]
    keys = [key_of(one.sha256, one.format.reader) for one in opened if isinstance(one, Opened)]
    kept = iter(cache.values.get_many(keys))
    return [(one, next(kept) if isinstance(one, Opened) else None) for one in opened]


def _open(file: SourceFile) -> Opened | Passed | SourceError:
    began_ns = time.time_ns()
    try:
        content, status = read_with_status(file)
        stamp = stamp_in(status, began_ns).packed if status else None
        if isinstance(content, Skipped):
            return Passed(content, Seen(stamp, reason=content.reason) if stamp else None)
        return opened_as(file.path, content, stamp)
    except SourceError as error:
        return error


def opened_as(path: str, content: bytes, stamp: bytes | None = None) -> Opened:
    """`content`, and what it is.

    Raises:
        SourceError: No reader knows it.
    """
    sha256 = hashlib.sha256(content, usedforsecurity=False).hexdigest()
    return Opened(path, content, format_of(path, content), sha256, stamp)


def read_document(
    path: str, content: bytes, cache: DocumentCache, options: ReadOptions = DEFAULTS
) -> Document:
    """The document that `content` holds, from the cache where it was read before.

    What was read with a password is not kept.
    """
    opened = opened_as(path, content)
    kept = cache.get(opened.sha256, opened.format.reader, path)
    if kept is not None:
        return kept
    document = opened.read(options)
    if not document.is_protected:
        cache.put(document)
    return document
