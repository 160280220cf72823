"""What is in the cache: how many values of each kind, and what they take of the disk."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lctx.cli.folders import CONTENT
from lctx.core.storage import ByteCache, Usage

MODELS = "models"
"""The folder of the cache that holds the embedded model, joined from its parts."""

FOLDERS = (CONTENT, "profiles", "tokenizers", "templates")
"""Those that hold values, each in a file of its own."""

_NAMES = {
    "document": "documents",
    "file": "files at rest",
    "counts": "token counts",
    "terms": "terms of chunks",
    "embedded_profile": "models' profiles",
    "directory_profile": "models' profiles",
    "gguf_profile": "models' profiles",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """Values of one kind.

    Attributes:
        name: For people: "documents".
        num_entries: How many.
        num_bytes: Of the values themselves.
    """

    name: str
    num_entries: int
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in the cache.

    Attributes:
        path: Its folder.
        num_bytes: What all of it takes on the disk.
        bounded_bytes: The part of that to which the ceiling applies.
        ceiling_bytes: Of what is kept of sources.
        kinds: The largest first.
    """

    path: Path
    num_bytes: int
    bounded_bytes: int
    ceiling_bytes: int
    kinds: tuple[Kind, ...]


def contents_of(cache: Path, ceiling_bytes: int) -> Contents:
    """What is in the folder `cache`; nothing where it is not there."""
    kinds: dict[str, Kind] = {}
    bounded_bytes = 0
    for name in FOLDERS:
        usage = ByteCache(cache / name).usage()
        if usage is None:
            continue
        if name == CONTENT:
            bounded_bytes = usage.file_bytes
        for kind in _kinds_of(name, usage):
            before = kinds.get(kind.name, Kind(kind.name, 0, 0))
            kinds[kind.name] = Kind(
                kind.name, before.num_entries + kind.num_entries, before.num_bytes + kind.num_bytes
            )
    sizes = [size for _, size in files_in(cache / MODELS)]
    if sizes:
        kinds["models"] = Kind("models", len(sizes), sum(sizes))
    num_bytes = sum(size for _, size in files_in(cache))
    largest_first = sorted(kinds.values(), key=lambda kind: (-kind.num_bytes, kind.name))
    return Contents(cache, num_bytes, bounded_bytes, ceiling_bytes, tuple(largest_first))


def _kinds_of(folder: str, usage: Usage) -> Iterator[Kind]:
    for word, (number, size) in usage.kinds.items():
        yield Kind(_NAMES.get(word, word if folder == CONTENT else folder), number, size)


def files_in(folder: Path) -> Iterator[tuple[Path, int]]:
    """Each file below `folder` and its size; what vanishes meanwhile is none."""
    for root, _, names in os.walk(folder):
        for name in names:
            file = Path(root, name)
            with suppress(OSError):
                yield file, file.lstat().st_size
