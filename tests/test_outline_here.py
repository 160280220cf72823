"""Parsing in a process that may end over it: what it is held to, and that nothing else in it is."""

import gc
import signal
import subprocess
import sys

import pytest

from lctx.formats.outline_here import outline_here

CODE = b"def f(a):\n    return [a, {a: (a,)}]\n\n\n"
SCRIPT = """
from lctx.formats import outline_here
outline_here.MEMORY_BYTES = {memory}
print(len(outline_here.outline_here({code!r} * {times}, {language!r}, {seconds})))
held = bytearray(64 << 20)
print(len(held))
"""


def ran(*, times=1, code=CODE, language="javascript", seconds=60.0, memory=768 << 20):
    script = SCRIPT.format(code=code, times=times, language=language, seconds=seconds, memory=memory)
    return subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)


def test_nothing_is_left_behind():
    """This test ensures that the limits of one file are no limits of what the process does next."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_DATA)
    assert [one.symbol for one in outline_here(CODE, "python", 2.0)] == [("f",)]
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    assert gc.isenabled()
    assert ran().stdout.split()[1] == str(64 << 20)
    assert ran(memory=16 << 20).stdout.split()[1] == str(64 << 20)


def test_what_fails_leaves_nothing_behind_either():
    """This test ensures that the process reads on after a failure that it survives."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises(ModuleNotFoundError):
        outline_here(CODE, "klingon", 2.0)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    assert gc.isenabled()


def test_a_parser_is_held_to_its_time():
    """This test ensures that the system ends what a parser would go on with, in C too."""
    done = ran(code=b"a<", times=50_000, language="csharp", seconds=0.3)
    assert done.returncode == -signal.SIGPROF
    assert not done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its data")
def test_a_parser_is_held_to_its_memory_beyond_what_the_process_holds():
    """This test ensures that what the process holds already counts for nothing, and a hungry file for all."""
    code = b"function f(a) { return [a, {a: (a)}]; }\n"
    assert ran(code=code, times=20_000).returncode == 0
    done = ran(code=code, times=20_000, memory=16 << 20)
    assert done.returncode != 0
    assert not done.stdout
