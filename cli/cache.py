"""`lctx cache`: how much is kept on the disk, of what, and how to be rid of it."""

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from lctx.cli.cache_contents import FOLDERS, MODELS, contents_of, files_in
from lctx.cli.failure import checked_format
from lctx.cli.notes import Notes
from lctx.cli.output import open_sink
from lctx.core.errors import ExitCode, LctxError, UsageError
from lctx.core.storage import CACHE_BYTES, ByteCache, directories

_OLDER = re.compile(r"[0-9a-f]{2}")
"""What an earlier lctx, which kept each value in a file of its own, called its folders."""


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


def clear(cache: Path, *, everything: bool) -> int:
    """Remove what is kept below `cache`, the embedded model only with `everything`; the bytes given back.

    Raises:
        LctxError: Something cannot be removed.
    """
    before = sum(size for _, size in files_in(cache))
    try:
        for name in FOLDERS:
            ByteCache(cache / name).clear()
            for older in _older_in(cache / name):
                shutil.rmtree(older)
        if everything and (cache / MODELS).is_dir():
            shutil.rmtree(cache / MODELS)
    except OSError as error:
        raise _cannot(cache, error) from error
    return max(before - sum(size for _, size in files_in(cache)), 0)


def _older_in(folder: Path) -> list[Path]:
    with suppress(OSError):
        return [one for one in folder.iterdir() if _OLDER.fullmatch(one.name) and not one.is_symlink()]
    return []


def _cannot(cache: Path, error: OSError) -> LctxError:
    why = (error.strerror or str(error)).lower()
    return UsageError(f"{error.filename or cache}: {why}", "end other commands, or check its permissions")
