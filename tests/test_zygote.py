"""Tests of the zygote: it is one for all, shares nothing between files, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from lctx.core.errors import LimitError
from lctx.formats import zygote
from lctx.formats.child import Ceilings, run_in_child

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")

READERS = """
import os, time

seen = []


def parents(content):
    seen.append(1)
    yield f"{os.getppid()} {len(seen)}"


def descriptors(content):
    yield " ".join(os.listdir("/dev/fd"))


def waits(content):
    with open(content, "a") as file:
        file.write(f"{os.getpid()} {os.getppid()}\\n")
    while os.path.exists(content + b".wait"):
        time.sleep(0.01)
    yield "done"


def setting(content):
    yield os.environ["GLIBC_TUNABLES"]
"""
TEXTS = msgspec.json.Decoder(str)


@pytest.fixture(autouse=True)
def readers(tmp_path, monkeypatch):
    """`READERS` can be imported, and the zygote of each test is its own."""
    (tmp_path / "zygote_readers.py").write_text(READERS)
    monkeypatch.syspath_prepend(tmp_path)
    zygote.end_zygote()
    monkeypatch.setattr(zygote.starter, "is_given_up", False)
    yield
    zygote.end_zygote()


def read(name: str, content: bytes = b"", seconds: float = 60) -> list[str]:
    return run_in_child(f"zygote_readers:{name}", "a.pdf", content, TEXTS, Ceilings(seconds=seconds))


def is_gone(pid: int) -> bool:
    """Whether a process has ended, or does so within seconds."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z" and os.getpid() != int(Path(f"/proc/{pid}/stat").read_text().split()[3]):
            return True  # its parent is not us: whoever inherited it is slow to look
        time.sleep(0.01)
    return False


@pytest.fixture
def waiting(tmp_path):
    """A function that reads a file whose reader waits: the numbers of child and zygote, and how it ended."""
    file = tmp_path / "pids"
    Path(f"{file}.wait").touch()
    results: list[object] = []

    def reading() -> None:
        try:
            results.append(read("waits", bytes(file), seconds=30))
        except Exception as error:  # noqa: BLE001 - looked at by the test
            results.append(error)

    thread = threading.Thread(target=reading)
    thread.start()
    yield lambda: pids_of(file), results, thread, Path(f"{file}.wait")
    Path(f"{file}.wait").unlink(missing_ok=True)
    thread.join()


def pids_of(file: Path) -> list[int]:
    while not (file.exists() and file.read_text().endswith("\n")):
        time.sleep(0.01)
    return [int(word) for word in file.read_text().split()]


def test_one_zygote_forks_a_fresh_child_for_each_file():
    """This test ensures that what one reader leaves in memory is not there for the next file."""
    (first,), (second,) = read("parents"), read("parents")
    assert first == second
    assert first.split()[1] == "1"
    assert int(first.split()[0]) != os.getpid()


def test_threads_share_the_zygote():
    """This test ensures that files that are read side by side need no second zygote."""
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.extend(read("parents"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1


def test_a_child_holds_no_descriptor_of_the_zygote(waiting):
    """This test ensures that a child can reach neither the zygote nor a child that runs beside it."""
    waiting[0]()
    (told,) = read("descriptors")
    assert len(told.split()) == 4  # three, and that of the listing itself


def test_what_the_user_sets_for_memory_holds(monkeypatch):
    """This test ensures that the settings for a child's memory come before the user's own, which win."""
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0")
    (told,) = read("setting")
    assert told.startswith("glibc.malloc.tcache_count=")
    assert told.endswith(":glibc.malloc.hugetlb=0")
    assert os.environ["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=0"


def test_nothing_is_started_before_there_is_a_file():
    """This test ensures that to import the readers starts no process."""
    code = (
        "import lctx.formats.pdf, os; print(open(f'/proc/{os.getpid()}/task/{os.getpid()}/children').read())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.strip()


def test_a_zygote_that_ends_costs_no_file(waiting):
    """This test ensures that a file is read all the same, by another child, when the zygote is killed."""
    child, parent = waiting[0]()
    os.kill(parent, signal.SIGKILL)
    assert is_gone(child)
    waiting[3].unlink()
    waiting[2].join()
    assert waiting[1] == [["done"]]
    assert read("parents")[0].split()[0] == str(os.getpid())


@pytest.mark.parametrize(
    "start", ["raise SystemExit(3)", "import os\ndef no(): raise OSError\nos.fork = no\n"]
)
def test_where_nothing_can_be_forked_a_child_is_started(monkeypatch, start):
    """This test ensures that a zygote that does not come up, or cannot fork, keeps no file from being read."""
    monkeypatch.setattr(zygote, "_START", start + zygote._START if "fork" in start else start)
    assert read("parents")[0].split()[0] == str(os.getpid())


def test_a_zygote_that_is_held_up_does_not_hold_up_the_clock(waiting, monkeypatch):
    """This test ensures that the time for a file ends even where the zygote does not answer."""
    monkeypatch.setattr(zygote, "_PATIENCE_S", 0.2)
    child, parent = waiting[0]()
    os.kill(parent, signal.SIGSTOP)
    with pytest.raises(LimitError, match="more than 1 s"):
        read("parents", seconds=1)
    assert is_gone(child)


def test_nothing_outlives_a_process_that_is_killed(tmp_path):
    """This test ensures that zygote and child end when the process that reads is killed."""
    file = tmp_path / "pids"
    Path(f"{file}.wait").touch()
    code = (
        "import sys, msgspec; sys.path.insert(0, sys.argv[1])\n"
        "from lctx.formats.child import Ceilings, run_in_child\n"
        "run_in_child('zygote_readers:waits', 'a', sys.argv[2].encode(), msgspec.json.Decoder(str), Ceilings())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path, file]) as reading:
        child, parent = pids_of(file)
        reading.kill()
    assert is_gone(child)
    assert is_gone(parent)


def test_nothing_outlives_a_process_that_ends(tmp_path):
    """This test ensures that the zygote is gone once the process that reads has ended."""
    code = (
        "import sys, msgspec; sys.path.insert(0, sys.argv[1])\n"
        "from lctx.formats.child import Ceilings, run_in_child\n"
        "print(run_in_child('zygote_readers:parents', 'a', b'', msgspec.json.Decoder(str), Ceilings())[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert not Path(f"/proc/{done.stdout.split()[0]}").exists()


def test_a_forked_process_has_a_zygote_of_its_own(tmp_path):
    """This test ensures that a process that was forked in the middle of reading holds on to nobody's zygote."""
    (before,) = read("parents")
    told = tmp_path / "told"
    if (pid := os.fork()) == 0:
        try:
            told.write_text(read("parents")[0])
            zygote.end_zygote()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert told.read_text().split()[0] not in {before.split()[0], ""}
    assert read("parents") == [before]


def test_nothing_is_left_after_a_file():
    """This test ensures that neither descriptors nor dead processes pile up, here or in the zygote."""
    (first,) = read("parents")
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(3):
        read("parents")
    parent = first.split()[0]
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    assert (len(list(Path("/dev/fd").iterdir())), children) == (before, "")
