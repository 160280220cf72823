"""Where lctx keeps things: XDG directories, one override for tests, and files that survive a crash."""

import hashlib
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path

_DIRECTORY_MODE = 0o700
_FILE_MODE = 0o600
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Directories:
    """The three places that lctx writes to, and nowhere else.

    Attributes:
        cache: Can be deleted at any time: documents, counts, assembled models.
        state: Cannot be made again: calibrations, sessions.
        runtime: Lives as long as the login: sockets, locks and state files of engines.
    """

    cache: Path
    state: Path
    runtime: Path


def directories() -> Directories:
    """`LCTX_HOME` overrides all three; otherwise the XDG variables, then the platform's habit."""
    if home := os.environ.get("LCTX_HOME"):
        root = Path(home).expanduser().absolute()
        return Directories(root / "cache", root / "state", root / "run")
    from platformdirs import PlatformDirs

    dirs = PlatformDirs("lctx", appauthor=False)
    return Directories(dirs.user_cache_path, dirs.user_state_path, dirs.user_runtime_path)


def ensure_directory(path: Path) -> Path:
    """Make `path` and its parents, readable by this user only."""
    missing = list(takewhile(lambda folder: not folder.exists(), (path, *path.parents)))
    for folder in reversed(missing or [path]):  # `parents=True` would make them with everybody's mode
        folder.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
    return path


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` so that a reader sees all of it or none of it, whatever happens meanwhile.

    Raises:
        OSError: The disk is full or the directory cannot be written; nothing is left behind.
    """
    ensure_directory(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), _FILE_MODE)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def local_secret() -> bytes:
    """32 bytes that only this user knows, made at the first call and the same ever after.

    Where they cannot be kept, they last for this process.
    """
    path = directories().state / "secret"
    with suppress(OSError):
        kept = path.read_bytes()
        if len(kept) == _SECRET_BYTES:
            return kept
    made = os.urandom(_SECRET_BYTES)
    try:
        write_atomically(path, made)
    except OSError:
        return _secret_of_this_process()
    return made


@cache
def _secret_of_this_process() -> bytes:
    return os.urandom(_SECRET_BYTES)


class ByteCache:
    """Checksummed values under a directory; losing one costs time, never correctness.

    A cache that cannot be written (read-only, full) is silent after the first failure: `broken` says why.
    """

    def __init__(self, folder: Path | None) -> None:
        """Keep values in `folder`; None keeps nothing."""
        self._folder = folder
        self.broken: str | None = None

    def _path(self, key: str) -> Path | None:
        if self._folder is None:
            return None
        name = hashlib.blake2b(key.encode(), digest_size=20).hexdigest()
        return self._folder / name[:2] / name[2:]

    def get(self, key: str) -> bytes | None:
        """The value kept under `key`, or None where there is none or it is damaged."""
        path = self._path(key)
        if path is None:
            return None
        try:
            content = path.read_bytes()
        except OSError:
            return None
        digest, value = content[:20], content[20:]
        return value if hashlib.blake2b(value, digest_size=20).digest() == digest else None

    def put(self, key: str, value: bytes) -> None:
        """Keep `value` under `key`; a failure to write is remembered in `broken`, not raised."""
        path = self._path(key)
        if path is None or self.broken:
            return
        try:
            write_atomically(path, hashlib.blake2b(value, digest_size=20).digest() + value)
        except OSError as error:
            self.broken = f"{self._folder}: {error.strerror or error}"
