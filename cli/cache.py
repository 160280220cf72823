"""`lctx cache`: how much is kept on the disk, of what, and how to be rid of it."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lctx.cli.failure import checked_format
from lctx.cli.folders import CONTENT
from lctx.cli.notes import Notes
from lctx.cli.output import open_sink
from lctx.core.errors import ExitCode, LctxError, UsageError
from lctx.core.storage import CACHE_BYTES, ByteCache, Usage, directories

MODELS = "models"
"""The folder of the cache that holds the embedded model, joined from its parts."""

_FOLDERS = (CONTENT, "profiles", "tokenizers", "templates")
_NAMES = {
    "document": "documents",
    "file": "files at rest",
    "counts": "token counts",
    "embedded_profile": "models' profiles",
    "directory_profile": "models' profiles",
    "gguf_profile": "models' profiles",
}
_OLDER = re.compile(r"[0-9a-f]{2}")
"""What an earlier lctx, which kept each value in a file of its own, called its folders."""


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


def run_info(wanted: str, _started: float) -> ExitCode:
    """Say what is kept, and how much of the disk it takes."""
    from lctx.cli.cache_report import cache_report, record_of
    from lctx.cli.report import show_report
    from lctx.cli.request import Request, settings_of

    checked_format(wanted)
    settings, warnings = settings_of(Request())
    notes, sink = Notes(), open_sink(None)
    for text in warnings:
        notes.warning(text)
    ceiling_bytes = CACHE_BYTES if settings.cache_size is None else settings.cache_size
    contents = contents_of(directories().cache, ceiling_bytes)
    if wanted == "json":
        from lctx.core.answering.wire import encode

        sink.write(encode(record_of(contents), indent=2).decode() + "\n")
        sink.close()
    else:
        show_report(cache_report(contents), sink)
    return ExitCode.OK


def run_clear(_started: float, *, everything: bool) -> ExitCode:
    """Remove what is kept, and say what that gave back.

    Args:
        everything: Whether the embedded model goes too, which takes seconds to join again.

    Raises:
        UsageError: Something cannot be removed.
    """
    from lctx.core.planning.memory import format_bytes

    sink = open_sink(None)
    freed = clear(directories().cache, everything=everything)
    sink.write(f"{format_bytes(freed)} freed\n" if freed else "nothing was kept\n")
    sink.close()
    return ExitCode.OK


def run_path(_started: float) -> ExitCode:
    """Say where the cache is, on one line."""
    sink = open_sink(None)
    sink.write(os.fsencode(directories().cache).decode("utf-8", "backslashreplace") + "\n")
    sink.close()
    return ExitCode.OK


def contents_of(cache: Path, ceiling_bytes: int) -> Contents:
    """What is in the folder `cache`; nothing where it is not there."""
    kinds: dict[str, Kind] = {}
    bounded_bytes = 0
    for name in _FOLDERS:
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
    sizes = [size for _, size in _files_in(cache / MODELS)]
    if sizes:
        kinds["models"] = Kind("models", len(sizes), sum(sizes))
    num_bytes = sum(size for _, size in _files_in(cache))
    largest_first = sorted(kinds.values(), key=lambda kind: (-kind.num_bytes, kind.name))
    return Contents(cache, num_bytes, bounded_bytes, ceiling_bytes, tuple(largest_first))


def _kinds_of(folder: str, usage: Usage) -> Iterator[Kind]:
    for word, (number, size) in usage.kinds.items():
        yield Kind(_NAMES.get(word, word if folder == CONTENT else folder), number, size)


def clear(cache: Path, *, everything: bool) -> int:
    """Remove what is kept below `cache`, the embedded model only with `everything`; the bytes given back.

    Raises:
        LctxError: Something cannot be removed.
    """
    before = sum(size for _, size in _files_in(cache))
    try:
        for name in _FOLDERS:
            ByteCache(cache / name).clear()
            for older in _older_in(cache / name):
                shutil.rmtree(older)
        if everything and (cache / MODELS).is_dir():
            shutil.rmtree(cache / MODELS)
    except OSError as error:
        raise _cannot(cache, error) from error
    return max(before - sum(size for _, size in _files_in(cache)), 0)


def _older_in(folder: Path) -> list[Path]:
    with suppress(OSError):
        return [one for one in folder.iterdir() if _OLDER.fullmatch(one.name) and not one.is_symlink()]
    return []


def _cannot(cache: Path, error: OSError) -> LctxError:
    why = (error.strerror or str(error)).lower()
    return UsageError(f"{error.filename or cache}: {why}", "end other commands, or check its permissions")


def _files_in(folder: Path) -> Iterator[tuple[Path, int]]:
    """Each file below `folder` and its size; what vanishes meanwhile is none."""
    for root, _, names in os.walk(folder):
        for name in names:
            file = Path(root, name)
            with suppress(OSError):
                yield file, file.lstat().st_size
