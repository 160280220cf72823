"""The managed llama.cpp server, for real: every way it can die, hang or never come up, and what comes after."""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from managed_servers import PROMPT, answers, kill_server, servers_of, start, state_of, wait_until

from lctx.core.engine import managed, processes
from lctx.core.engine.dialects import LlamaDialect
from lctx.core.engine.events import Finished, PrefillProgress, TextDelta
from lctx.core.engine.protocol import Sampling
from lctx.core.engine.servers import list_servers, stop_servers
from lctx.core.engine.state import (
    Phase,
    ServerFiles,
    ServerState,
    process_start,
    read_state,
    send_signal,
    usable_runtime,
)
from lctx.core.errors import (
    EngineCrashedError,
    EngineMissingError,
    ExitCode,
    ModelFileError,
)

pytestmark = pytest.mark.engine


def test_a_server_killed_while_idle_is_started_anew(runtime, tiny_gguf):
    """This test ensures that what kill -9 leaves is no obstacle, and `ps` does not show the dead."""
    start(runtime, tiny_gguf).ready().close()
    kill_server(runtime)
    assert list_servers(runtime) == []
    pending = start(runtime, tiny_gguf)
    assert not pending.warm
    assert answers(pending.ready())


@pytest.mark.parametrize("during", [PrefillProgress, TextDelta])
def test_a_server_killed_midway_is_an_error_and_the_next_command_works(runtime, gemma_gguf, during):
    """This test ensures that death in prefill or decode is told as death, with what to do."""
    engine = start(runtime, gemma_gguf).ready()
    events = engine.generate(list(range(1000, 3000)) if during is PrefillProgress else PROMPT, Sampling(1000))
    while not isinstance(next(events), during):
        pass
    kill_server(runtime)
    with pytest.raises(EngineCrashedError, match="died while it served") as caught:
        list(events)
    assert "again" in caught.value.hint
    with pytest.raises(EngineCrashedError, match="died while it served"):
        list(engine.generate(PROMPT, Sampling(1)))
    assert answers(start(runtime, gemma_gguf).ready())


def test_a_server_that_hangs_is_ended_and_the_next_command_works(runtime, tiny_gguf, monkeypatch):
    """This test ensures that a stopped process is found out by its silence, and replaced."""
    monkeypatch.setattr(LlamaDialect, "stall_s", 0.5)
    monkeypatch.setattr(managed, "_HEALTH_S", 0.5)
    engine = start(runtime, tiny_gguf).ready()
    (server,) = list_servers(runtime)
    os.kill(server.pid, signal.SIGSTOP)
    with pytest.raises(EngineCrashedError, match="stopped answering"):
        list(engine.generate(PROMPT, Sampling(2)))
    assert wait_until(lambda: not ServerFiles(runtime, server.id).alive)
    monkeypatch.undo()
    assert answers(start(runtime, tiny_gguf).ready())


def test_a_request_that_waits_behind_another_is_not_a_hanging_server(runtime, gemma_gguf, monkeypatch):
    """This test ensures that a long silence with a healthy server is waited out."""
    monkeypatch.setattr(LlamaDialect, "stall_s", 0.3)
    engine = start(runtime, gemma_gguf).ready()
    first = engine.generate([2, *range(1000, 1900)], Sampling(1))
    assert isinstance(next(first), PrefillProgress)
    assert answers(engine)
    assert isinstance(list(first)[-1], Finished)


def test_stop_ends_a_server_that_hangs(runtime, tiny_gguf, monkeypatch):
    """This test ensures that `lctx stop` does not depend on the server's good will."""
    monkeypatch.setattr(processes, "_TERMINATE_S", 0.3)
    start(runtime, tiny_gguf).ready().close()
    os.kill(servers_of(runtime)[0], signal.SIGSTOP)
    assert [server.kind for server in stop_servers(runtime)] == ["llama"]
    assert servers_of(runtime) == []


def test_stopping_midway_is_told_as_death(runtime, tiny_gguf):
    """This test ensures that the command whose server was stopped fails, and soon."""
    events = start(runtime, tiny_gguf).ready().generate(PROMPT, Sampling(3000))
    while not isinstance(next(events), TextDelta):
        pass
    stop_servers(runtime)
    with pytest.raises(EngineCrashedError):
        list(events)


def test_state_of_a_dead_machine_harms_nobody(runtime, tiny_gguf):
    """This test ensures that a recycled process id and a port that others took are left alone."""
    innocent = subprocess.Popen(["sleep", "60"])
    try:
        with socket.create_server(("127.0.0.1", 0)) as foreign:
            foreign.setblocking(False)
            start(runtime, tiny_gguf).ready().close()
            state = state_of(runtime)
            kill_server(runtime)
            address = f"http://127.0.0.1:{foreign.getsockname()[1]}"
            stale = {name: getattr(state, name) for name in ServerState.__slots__}
            stale |= {"pid": innocent.pid, "address": address, "phase": "ready"}
            ServerFiles(runtime, state.id).state.write_text(json.dumps(stale))
            other = ServerFiles(runtime, "llama-0000dead")
            other.state.write_text(json.dumps(stale | {"id": other.id}))
            other.lock.touch()
            assert answers(start(runtime, tiny_gguf).ready())
            assert [server.id for server in list_servers(runtime)] == [state.id]
            assert not other.state.exists()
            stop_servers(runtime)
            assert innocent.poll() is None
            with pytest.raises(BlockingIOError):
                foreign.accept()
    finally:
        innocent.kill()
        innocent.wait()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"id": 1}', b"\xff" * 100, b"[" * 100_000], ids=range(6)
)
def test_a_damaged_state_is_no_state(tmp_path, content):
    """This test ensures that a state file with anything in it is taken for none."""
    files = ServerFiles(tmp_path, "llama-1")
    files.state.write_bytes(content)
    assert read_state(files) is None


def test_a_signal_reaches_the_server_only(tmp_path):
    """This test ensures that a process that has got the server's id by now is not signalled."""
    innocent = subprocess.Popen(["sleep", "60"])
    values = {
        "id": "x",
        "kind": "llama",
        "name": "x",
        "model": "x",
        "asked_window": 1,
        "window": 1,
        "address": "",
    }
    values |= {"api_key": "", "version": "", "started_at": 0.0, "phase": Phase.READY}
    try:
        for pid, started in ((innocent.pid, process_start(innocent.pid) + 1), (0, 0), (1, 0), (-1, 0)):
            send_signal(ServerState(pid=pid, pid_started=started, **values), signal.SIGKILL)
        assert innocent.poll() is None
        started = process_start(innocent.pid)
        send_signal(ServerState(pid=innocent.pid, pid_started=started, **values), signal.SIGKILL)
        assert innocent.wait() == -signal.SIGKILL
    finally:
        innocent.kill()
        innocent.wait()


def test_a_runtime_directory_that_cannot_be_written_is_replaced(runtime, tiny_gguf, monkeypatch):
    """This test ensures that a server is started, found and stopped all the same, with a warning."""
    runtime.parent.joinpath("file").touch()
    unusable = runtime.parent / "file" / "run"
    monkeypatch.setattr(tempfile, "tempdir", str(runtime.parent))
    statuses = []
    assert answers(start(unusable, tiny_gguf, statuses).ready())
    assert str(unusable) in statuses[0]
    assert start(unusable, tiny_gguf).warm
    folder, _ = usable_runtime(unusable)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(stop_servers(unusable)) == 1


def test_a_directory_that_others_can_write_to_is_not_trusted(runtime, monkeypatch):
    """This test ensures that nobody can prepare the replacement and wait in it."""
    runtime.parent.joinpath("file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(runtime.parent))
    trap = runtime.parent / f"lctx-{os.getuid()}"
    trap.mkdir()
    trap.chmod(0o777)
    assert usable_runtime(runtime.parent / "file" / "run")[0] != trap
    trap.rmdir()
    trap.symlink_to(runtime.parent)
    assert usable_runtime(runtime.parent / "file" / "run")[0].resolve() != runtime.parent


def damage(gguf: Path, folder: Path, how: str) -> Path:
    path = folder / f"{how}.gguf"
    if how == "truncated":
        path.write_bytes(gguf.read_bytes()[:-1000])
    elif how == "header":
        path.write_bytes(b"GGUF" + os.urandom(4000))
    elif how == "text":
        path.write_text("no model at all")
    elif how == "empty":
        path.touch()
    elif how == "directory":
        path.mkdir()
    return path


@pytest.mark.parametrize("how", ["truncated", "header", "text", "empty", "directory", "missing"])
def test_a_damaged_model_is_told_in_one_line(runtime, tiny_gguf, how, tmp_path):
    """This test ensures that each kind of damage names the file and the reason, and leaves no process."""
    path = damage(tiny_gguf, tmp_path, how)
    pending = start(runtime, path)
    with pytest.raises(ModelFileError) as caught:
        pending.ready()
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert wait_until(lambda: servers_of(runtime) == [])


def test_a_missing_package_names_the_extra(runtime, tiny_gguf, monkeypatch):
    """This test ensures that an lctx without the cpu extra says how to get it, from ready() on."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(EngineMissingError) as caught:
        start(runtime, tiny_gguf).ready()
    assert "lctx[cpu]" in caught.value.hint
    assert caught.value.exit_code is ExitCode.ENGINE


def test_a_package_that_does_not_run_here_is_told(runtime, tiny_gguf, tmp_path, monkeypatch):
    """This test ensures that a wheel for another platform is told with its own words."""
    (tmp_path / "xllamacpp").mkdir()
    (tmp_path / "xllamacpp/__init__.py").write_text("raise ImportError('GLIBC_2.99 not found')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(EngineMissingError, match="GLIBC_2"):
        start(runtime, tiny_gguf).ready()


def test_code_of_the_current_directory_is_not_run(runtime, tiny_gguf, tmp_path, monkeypatch):
    """This test ensures that a repository that one asks about cannot put code into the server."""
    (tmp_path / "xllamacpp.py").write_text("raise SystemExit('hostile')")
    (tmp_path / "lctx").mkdir()
    (tmp_path / "lctx/__init__.py").write_text("raise SystemExit('hostile')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep)
    assert answers(start(runtime, tiny_gguf).ready())


def test_a_server_whose_files_are_gone_ends(runtime, tiny_gguf):
    """This test ensures that a server that nobody can find any more does not stay for ever."""
    engine = start(runtime, tiny_gguf, keep_alive_s=None).ready()
    shutil.rmtree(runtime)
    engine.close()
    assert wait_until(lambda: servers_of(runtime) == [])


def test_a_full_disk_is_told_and_the_next_command_works(runtime, tiny_gguf, monkeypatch):
    """This test ensures that a server that cannot write its files is an error with a way on, not a traceback."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(managed, "raise_keep_alive", full)
    with pytest.raises(EngineCrashedError, match="no space left on device") as caught:
        start(runtime, tiny_gguf).ready()
    assert caught.value.hint
    monkeypatch.undo()
    assert answers(start(runtime, tiny_gguf, model_name="--tiny").ready())


@pytest.mark.engine
def test_a_list_does_not_take_away_why_a_start_failed(runtime, tmp_path):
    """This test ensures that `lctx ps` beside a failing start leaves the reason to the command that waits for it."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(64))
    pending = start(runtime, broken)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not any(
        b'"failed"' in path.read_bytes() for path in runtime.glob("*.json")
    ):
        time.sleep(0.02)
    time.sleep(0.3)  # the process is gone, and its lock with it
    assert list_servers(runtime) == []
    with pytest.raises(ModelFileError, match="cannot load it"):
        pending.ready()
