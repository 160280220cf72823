"""The folders of a run, also where the usual ones cannot be written."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lctx.cli.settings import Settings
from lctx.core.storage import CACHE_BYTES, ByteCache, Directories, directories, ensure_directory

CONTENT = "content"
"""The folder of the cache that holds what was read of sources."""


def usable_directories(warn: Callable[[str], None]) -> Directories:
    """The usual folders, or a private cache under the temporary directory where the usual one is not there.

    A cache that can only be read is kept: what it holds still saves time. The folder of running engines
    has its own way out, which `ps` and `stop` go as well.
    """
    usual = directories()
    why = unwritable(usual.cache)
    if why is None:
        return usual
    if usual.cache.is_dir():
        warn(f"{usual.cache}: {why}; nothing new is kept")
        return usual
    cache = fallback_cache()
    warn(f"{usual.cache}: {why}; {cache} is used instead")
    return replace(usual, cache=cache)


def content_cache(folders: Directories, settings: Settings) -> ByteCache:
    """Where what was read of sources is kept, and what was counted; nowhere with `--no-cache`."""
    ceiling_bytes = CACHE_BYTES if settings.cache_size is None else settings.cache_size
    return ByteCache(folders.cache / CONTENT if settings.cache else None, ceiling_bytes)


def fallback_cache() -> Path:
    """A private cache under the temporary directory; one that another user made first is not trusted."""
    root = Path(tempfile.gettempdir()) / f"lctx-{os.getuid()}"
    try:
        ensure_directory(root)
        status = root.lstat()
        trusted = not root.is_symlink() and status.st_uid == os.getuid() and not status.st_mode & 0o077
    except OSError:
        trusted = False
    return ensure_directory((root if trusted else Path(tempfile.mkdtemp(prefix="lctx-"))) / "cache")


def unwritable(folder: Path) -> str | None:
    """Why `folder` cannot be written to, or None; it is made where it is missing."""
    try:
        ensure_directory(folder)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None if os.access(folder, os.W_OK | os.X_OK) else "it cannot be written"
