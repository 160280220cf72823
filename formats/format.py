"""A format: its name, how it is recognised, and the function that reads it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lctx.formats.reader import Reader


@dataclass(frozen=True, slots=True)
class Format:
    """One format and the function that reads it: of lctx itself, or of an installed package.

    Attributes:
        name: The `kind` of its documents.
        reader: The reader and the version of its text, "epub/1"; what was kept of another version is read
            again, so a change of the text needs a new version.
        suffixes: Endings of file names that mean it, lower case, with the dot.
        read: Bytes to document.
        sniff: Whether a source whose name says nothing is of this format, by its first 8 KiB.
        runs_in: Where `read` may run: "child", it starts a process of its own that can be killed; "worker",
            in any process of lctx; "process", only in the one that found it.
        origin: The distribution that it comes with, and its version.
    """

    name: str
    reader: str
    suffixes: tuple[str, ...]
    read: Reader
    sniff: Callable[[bytes], bool] | None = None
    runs_in: Literal["child", "worker", "process"] = "process"
    origin: str = "lctx"
