"""Tests of the child process that readers run in: whatever happens in there, a named error comes out."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from lctx.core.errors import DamagedSourceError, EncryptedSourceError, LimitError, SourceError
from lctx.formats import interpreter, zygote
from lctx.formats.child import Ceilings, run_in_child

READERS = """
import json, os, signal, sys, time
from lctx.core.errors import EncryptedSourceError, LimitError


def words(content):
    yield from content.decode().split()


def numbers(content):
    yield 1


def surrogate(content):
    yield "a\\ud800b"


def flags(content):
    yield " ".join([*sys.modules, json.__file__, repr(signal.getsignal(signal.SIGINT))])


def descriptors(content):
    for name in os.listdir("/dev/fd"):
        try:
            yield str(os.fstat(int(name)).st_ino)
        except OSError:
            pass  # the descriptor of the listing itself


def told(content, secret, numbers=()):
    yield from (secret, *map(str, numbers), content.decode(), *sys.argv, *sys.orig_argv)


def locked(content):
    yield "one"
    raise EncryptedSourceError("", "it is locked", "find the key")


def fails(content):
    yield "one"
    raise KeyError("/Root\\n and more")


def crashes(content):
    yield "one"
    os.kill(os.getpid(), signal.SIGSEGV)


def leaves(content):
    yield "one"
    sys.stdout.buffer.flush()
    os._exit(0)


def loops(content):
    yield "one"
    while True:
        pass


def sleeps(content):
    open(content.decode(), "w").write(str(os.getpid()))
    time.sleep(60)
    yield "one"


def grows(content):
    yield str(len(bytearray(1 << 30)))


def aborts(content):
    kept = b"x" * (90 << 20)
    os.abort()
    yield kept


def lacks(content):
    import a_library_that_is_not_there
    yield "one"


def ends(content):
    yield "one"
    sys.exit(3)
"""
TEXTS = msgspec.json.Decoder(str)


@pytest.fixture(params=["forked", "spawned"])
def run(request, tmp_path, monkeypatch):
    """A function that runs one of `READERS` in a child, started in either way."""
    zygote.end_zygote()
    monkeypatch.setattr(zygote.starter, "is_given_up", request.param == "spawned")
    (tmp_path / "child_readers.py").write_text(READERS)
    monkeypatch.syspath_prepend(tmp_path)

    def run_one(
        name: str, content: bytes = b"", ceilings: Ceilings | None = None, **arguments: object
    ) -> list[str]:
        reader = f"child_readers:{name}"
        return run_in_child(reader, "a.pdf", content, TEXTS, ceilings or Ceilings(), arguments)

    return run_one


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_records_cross_in_order(run):
    """This test ensures that what a reader yields arrives, whatever the size and the script."""
    words = ["häuser", "𝔘", "文"] * 100_000
    assert run("words", " ".join(words).encode()) == words


def test_a_reader_that_yields_nothing_is_no_error(run):
    """This test ensures that an empty file is the reader's business."""
    assert run("words") == []


def test_arguments_reach_the_reader_and_no_command_line(run):
    """This test ensures that a password is passed whole, whatever its characters, and that `ps` never shows it."""
    secret = "gehe\nim \x00 'quoted' é文\udcff"
    first, *others = run("told", b"first line\nsecond", secret=secret, numbers=[1, 2])
    assert first == secret.replace("\udcff", "?")
    assert others[:3] == ["1", "2", "first line\nsecond"]
    assert len(others) > 5
    assert not any("gehe" in other for other in others)


def test_a_lone_surrogate_does_not_stop_the_crossing(run):
    """This test ensures that broken fonts cannot make a document unreadable."""
    assert run("surrogate") == ["a?b"]


def test_an_error_of_the_reader_crosses_whole(run):
    """This test ensures that class, reason and hint arrive, under the name that the user gave."""
    with pytest.raises(EncryptedSourceError) as caught:
        run("locked")
    assert (caught.value.message, caught.value.hint) == ("a.pdf: it is locked", "find the key")


@pytest.mark.parametrize(
    ("reader", "error", "told"),
    [
        ("fails", DamagedSourceError, "a.pdf: its reader failed: KeyError: '/Root\\n and more'"),
        ("ends", DamagedSourceError, "a.pdf: its reader failed: SystemExit: 3"),
        ("crashes", DamagedSourceError, "a.pdf: it crashes its reader (SIGSEGV)"),
        ("leaves", DamagedSourceError, "a.pdf: its reader ended in the middle of it"),
        ("numbers", DamagedSourceError, "a.pdf: its reader ended in the middle of it"),
        ("grows", LimitError, "a.pdf: reading it takes more than 96 MiB of memory"),
        ("loops", LimitError, "a.pdf: one page or part of it takes more than 0.3 s to read"),
    ],
)
def test_whatever_goes_wrong_has_a_name(run, reader, error, told):
    """This test ensures that exceptions, crashes, loops and bombs end as one-line errors about the source."""
    with pytest.raises(SourceError) as caught:
        run(reader, ceilings=Ceilings(step_s=0.3, memory_bytes=96 << 20))
    assert type(caught.value) is error
    assert caught.value.message.startswith(told)
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_an_abort_near_the_ceiling_is_want_of_memory(tmp_path):
    """This test ensures that a library that aborts when memory ends is no crash; in a small process of its own."""
    (tmp_path / "child_readers.py").write_text(READERS)
    script = (
        "import sys, msgspec; sys.path.insert(0, sys.argv[1])\n"
        "from lctx.core.errors import SourceError\n"
        "from lctx.formats.child import Ceilings, run_in_child\n"
        "try:\n"
        "    run_in_child('child_readers:aborts', 'a.pdf', b'', msgspec.json.Decoder(str), Ceilings(memory_bytes=96 << 20))\n"
        "except SourceError as error:\n"
        "    print(type(error).__name__, error.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "LimitError a.pdf: reading it takes more than 96 MiB of memory"


def test_a_missing_library_is_not_blamed_on_the_file(run):
    """This test ensures that a broken installation is an internal error, not a damaged source."""
    with pytest.raises(ImportError, match="a_library_that_is_not_there"):
        run("lacks")


def test_an_interpreter_that_does_not_start_is_not_blamed_on_the_file(run, monkeypatch):
    """This test ensures that a child that cannot even import lctx is an internal error."""
    monkeypatch.setattr(interpreter, "__file__", "/nowhere/lctx/formats/interpreter.py")
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(RuntimeError, match="child_readers:words did not start"):
        run("words")


def test_a_child_that_takes_too_long_is_gone(run, tmp_path):
    """This test ensures that time by the clock is bounded and that no process outlives the error."""
    file = tmp_path / "pid"
    with pytest.raises(LimitError, match=r"a\.pdf: reading it takes more than 1 s") as caught:
        run("sleeps", str(file).encode(), Ceilings(seconds=1))
    assert caught.value.hint
    assert not is_alive(int(file.read_text()))


def test_ctrl_c_ends_the_child_too(run, tmp_path):
    """This test ensures that an interrupted reading leaves no process behind."""
    file = tmp_path / "pid"

    def interrupt() -> None:
        while not (file.exists() and file.read_text()):
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run("sleeps", str(file).encode())
    thread.join()
    assert not is_alive(int(file.read_text()))


def test_the_child_imports_nothing_from_where_the_user_stands(run, tmp_path, monkeypatch):
    """This test ensures that a repository under review cannot slip its own modules under a reader."""
    trap = tmp_path / "repository"
    trap.mkdir()
    for name in ("json", "signal", "lctx", "child_readers"):
        (trap / f"{name}.py").write_text("raise SystemExit('trapped')")
    monkeypatch.chdir(trap)
    monkeypatch.setenv("PYTHONPATH", str(trap))
    monkeypatch.syspath_prepend("")
    (told,) = run("flags")
    assert str(trap) not in told


def test_the_child_starts_bare(run):
    """This test ensures that a child brings no `site`, no dataclasses and no msgspec, and leaves Ctrl-C alone."""
    (told,) = run("flags")
    assert set(told.split()) & {"site", "dataclasses", "msgspec", "subprocess", "logging"} == set()
    assert "Handlers.SIG_IGN" in told


def test_children_run_beside_each_other(run):
    """This test ensures that readers may be called from several threads at once."""
    found: dict[int, list[str]] = {}
    threads = [
        threading.Thread(target=lambda number=number: found.update({number: run("words", b"%d" % number)}))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [str(number)] for number in range(6)}


def test_a_child_inherits_no_open_file(run, tmp_path):
    """This test ensures that the file that is being read is not held open by the child of another."""
    with Path(tmp_path / "held").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        assert str(os.fstat(held.fileno()).st_ino) not in run("descriptors")
