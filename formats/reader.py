"""What a reader is: a function from a source's bytes to its document, and what all readers share."""

import hashlib
from dataclasses import dataclass
from typing import Protocol

from lctx.core.document import Document, Location, Span
from lctx.core.errors import EmptySourceError


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a reader may be told besides the bytes; it takes what concerns it.

    Attributes:
        password: Opens a source that needs one. What was read with it is kept in no cache.
        processes: How many a reader may run side by side. The document does not depend on it.
    """

    password: str | None = None
    processes: int = 1


DEFAULTS = ReadOptions()


class Reader(Protocol):
    """Turns the bytes of one source into a document; raises only errors of `SourceError`'s family."""

    def __call__(self, path: str, content: bytes, options: ReadOptions = DEFAULTS, /) -> Document:
        """The document that `content` holds; `path` only names it, nothing is opened."""


def sha256_of(content: bytes) -> str:
    """The hash that names a source's bytes, in hexadecimal."""
    return hashlib.sha256(content, usedforsecurity=False).hexdigest()


def one_span(text: str) -> tuple[Span, ...]:
    """The spans of a source whose lines are its only places: one from line 1, none where there is no text."""
    return (Span(0, len(text), Location(), first_line=1),) if text else ()


def nothing_in(path: str, content: bytes) -> EmptySourceError:
    """The error of a source without a word: it has no bytes, or white space only."""
    why = "it holds nothing but white space" if content else "it is empty"
    forgotten = "name a source before the question, or pipe something in"  # `lctx ask "why?"` in a script
    return EmptySourceError(path, why, forgotten if path == "-" else "name a file that holds something")
