"""The managed llama.cpp server, for real: one is started, found, kept, ended, and every way it can die."""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lctx.core.engine import llama, processes
from lctx.core.engine.dialects import LlamaDialect
from lctx.core.engine.events import Finished, PrefillProgress, TextDelta
from lctx.core.engine.open import EngineSettings, start_engine
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
    EngineLoadingError,
    EngineMissingError,
    EngineRefusedError,
    ExitCode,
    ModelFileError,
    UsageError,
)

pytestmark = pytest.mark.engine

PROMPT = [1, 300, 301, 302]
COMMAND = """
import sys
from pathlib import Path
from lctx.core.engine.open import EngineSettings, start_engine
from lctx.core.engine.protocol import Sampling

runtime, model, keep_alive, tokens = sys.argv[1:]
settings = EngineSettings("llama", model=Path(model), keep_alive_s=float(keep_alive))
engine = start_engine(settings, Path(runtime)).ready()
for event in engine.generate([1, 300, 301, 302], Sampling(int(tokens))):
    print(type(event).__name__, flush=True)
"""


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A runtime directory short enough for a socket. Nothing may be left running in it."""
    folder = Path(tempfile.mkdtemp(prefix="lctx-test-"))
    yield folder / "run"
    stop_servers(folder / "run")
    left = servers_of(folder)
    shutil.rmtree(folder)
    assert left == []


def servers_of(folder: Path) -> list[int]:
    """Process ids of servers whose files are under `folder`; zombies do not count."""
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,stat=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [
        line.split(None, 2) for line in listed.splitlines() if "llama_child" in line and str(folder) in line
    ]
    return [int(pid) for pid, status, _ in rows if not status.startswith("Z")]


def wait_until(holds, timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def start(runtime: Path, model: Path, statuses: list[str] | None = None, **settings):
    wanted = {"keep_alive_s": 60.0, "wait_s": 60.0} | settings
    told = statuses if statuses is not None else []
    return start_engine(EngineSettings("llama", model=model, **wanted), runtime, told.append)


def answers(engine) -> bool:
    events = list(engine.generate(PROMPT, Sampling(3)))
    return isinstance(events[-1], Finished) and any(isinstance(event, TextDelta) for event in events)


def state_of(runtime: Path) -> ServerState:
    return read_state(ServerFiles(runtime, list_servers(runtime)[0].id))


def test_a_server_is_started_once_and_found_again(runtime, tiny_gguf):
    """This test ensures that the second command uses the first one's server, and `ps` tells of it."""
    statuses = []
    first = start(runtime, tiny_gguf, statuses, model_name="tiny")
    assert not first.warm
    engine = first.ready()
    assert answers(engine)
    assert engine.label.startswith("llama xllamacpp/")
    assert any("starting" in status for status in statuses)
    second = start(runtime, tiny_gguf, model_name="tiny")
    assert second.warm
    assert answers(second.ready())
    (server,) = list_servers(runtime)
    assert (server.kind, server.name, server.window, server.pid) == (
        "llama",
        "tiny",
        4096,
        servers_of(runtime)[0],
    )
    assert server.rss_bytes > 10_000_000
    assert (server.busy, server.expires_at, server.keep_alive_s) == (True, None, 60.0)
    engine.close()
    second.close()
    assert wait_until(lambda: list_servers(runtime)[0].expires_at is not None)
    assert 50 < list_servers(runtime)[0].expires_at - time.time() < 61


def test_what_is_written_is_private(runtime, tiny_gguf):
    """This test ensures that files are 0600, and that the key is on no command line and prompts in no log."""
    engine = start(runtime, tiny_gguf).ready()
    secret = engine.tokenize("a very secret contract")
    list(engine.generate(secret, Sampling(2)))
    key = state_of(runtime).api_key
    assert runtime.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o077 for path in runtime.iterdir()}
    assert set(modes.values()) == {0}, modes
    arguments = subprocess.run(
        ["ps", "-ww", "-eo", "args="], capture_output=True, text=True, check=True
    ).stdout
    assert key not in arguments
    log = next(runtime.glob("*.log")).read_text("utf-8")
    assert key not in log
    assert "secret contract" not in log


def test_another_key_is_refused(runtime, tiny_gguf):
    """This test ensures that a program that finds the socket cannot use it."""
    start(runtime, tiny_gguf).ready()
    settings = EngineSettings("endpoint", model_name="m", address=state_of(runtime).address, api_key="guess")
    with pytest.raises(EngineRefusedError, match="key"):
        list(start_engine(settings, runtime).ready().generate(PROMPT, Sampling(1)))


def test_a_caller_of_the_command_does_not_wait_for_the_server(runtime, tiny_gguf):
    """This test ensures that `$(lctx ask …)` returns: the server holds no descriptor, and is no child in its session."""
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, runtime, tiny_gguf, "60", "2"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
            close_fds=False,
        )
    finally:
        os.close(writing)
    assert done.stdout.decode().split()[-1] == "Finished", done.stdout
    os.set_blocking(reading, False)
    assert os.read(reading, 1) == b""  # an end of file: nobody else has the other end
    os.close(reading)
    (pid,) = servers_of(runtime)
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGHUP)
    assert start(runtime, tiny_gguf).warm
    assert answers(start(runtime, tiny_gguf).ready())


def test_keep_alive_zero_ends_after_use_and_not_before(runtime, tiny_gguf):
    """This test ensures that the server stays through loading, planning and several requests, then goes."""
    pending = start(runtime, tiny_gguf, keep_alive_s=0)
    engine = pending.ready()
    time.sleep(0.7)
    assert answers(engine)
    time.sleep(0.7)
    assert answers(engine)
    engine.close()
    assert wait_until(lambda: servers_of(runtime) == [])
    assert list_servers(runtime) == []
    assert {path.name for path in runtime.iterdir()} <= {".probe"}


def test_a_longer_keep_alive_extends_and_a_shorter_one_does_not(runtime, tiny_gguf):
    """This test ensures that a server keeps the longest promise that it was started or used with."""
    first = start(runtime, tiny_gguf, keep_alive_s=0.1).ready()
    start(runtime, tiny_gguf, keep_alive_s=60).ready().close()
    first.close()
    start(runtime, tiny_gguf, keep_alive_s=0).ready().close()
    time.sleep(1.0)
    assert len(servers_of(runtime)) == 1
    start(runtime, tiny_gguf, keep_alive_s=None).ready().close()
    assert list_servers(runtime)[0].keep_alive_s is None


def test_a_killed_command_leaves_no_server(runtime, tiny_gguf):
    """This test ensures that kill -9 of a command frees its server, which then ends as promised."""
    command = [sys.executable, "-c", COMMAND, runtime, tiny_gguf, "0", "2000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline()
        assert len(servers_of(runtime)) == 1
        child.kill()
    assert wait_until(lambda: servers_of(runtime) == [])


def test_two_commands_at_once_start_one_server(runtime, tiny_gguf):
    """This test ensures that whoever comes second waits for the first one's server."""
    command = [sys.executable, "-c", COMMAND, runtime, tiny_gguf, "60", "2"]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(3)]
    outputs = [child.communicate(timeout=60)[0].decode() for child in children]
    assert [output.split()[-1] for output in outputs] == ["Finished"] * 3, outputs
    assert len(servers_of(runtime)) == 1


def test_a_server_killed_while_idle_is_started_anew(runtime, tiny_gguf):
    """This test ensures that what kill -9 leaves is no obstacle, and `ps` does not show the dead."""
    start(runtime, tiny_gguf).ready().close()
    kill_server(runtime)
    assert list_servers(runtime) == []
    pending = start(runtime, tiny_gguf)
    assert not pending.warm
    assert answers(pending.ready())


def kill_server(runtime: Path) -> None:
    (server,) = list_servers(runtime)
    os.kill(server.pid, signal.SIGKILL)
    assert wait_until(lambda: not ServerFiles(runtime, server.id).alive)


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
    monkeypatch.setattr(llama, "_HEALTH_S", 0.5)
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


def test_stop_ends_what_it_is_told(runtime, tiny_gguf):
    """This test ensures that a server is stopped by id, model or process id, also midway, and a wrong name is told."""
    for name in (lambda server: server.id, lambda server: server.name, lambda server: str(server.pid)):
        engine = start(runtime, tiny_gguf, model_name="tiny").ready()
        (server,) = list_servers(runtime)
        with pytest.raises(UsageError, match="no such engine") as caught:
            stop_servers(runtime, "other")
        assert server.id in caught.value.hint
        assert [stopped.id for stopped in stop_servers(runtime, name(server))] == [server.id]
        assert servers_of(runtime) == []
        engine.close()
    assert stop_servers(runtime) == []


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


def test_a_larger_window_is_reused_and_a_smaller_one_replaced_when_idle(runtime, tiny_gguf):
    """This test ensures that nobody loses an answer to another command's wish for a larger window."""
    engine = start(runtime, tiny_gguf, window=2048).ready()
    assert engine.window == 2048
    waiting = start(runtime, tiny_gguf, window=4000, wait_s=0.5)
    assert not waiting.warm
    with pytest.raises(EngineLoadingError, match="used by another") as caught:
        waiting.ready()
    assert caught.value.exit_code is ExitCode.TRY_AGAIN
    assert answers(engine)
    engine.close()
    larger = start(runtime, tiny_gguf, window=4000).ready()
    assert larger.window >= 4000
    assert len(servers_of(runtime)) == 1
    larger.close()
    assert start(runtime, tiny_gguf, window=1000).warm


def test_a_window_beyond_the_model_takes_no_memory(runtime, tiny_gguf):
    """This test ensures that the window stops where the model's own does, before memory is set aside for it."""
    engine = start(runtime, tiny_gguf, window=2_000_000_000).ready()
    assert engine.window == 8192
    assert list_servers(runtime)[0].rss_bytes < 500_000_000
    assert start(runtime, tiny_gguf, window=2_000_000_000).warm


def test_a_path_too_long_for_a_socket_listens_on_loopback(runtime, tiny_gguf):
    """This test ensures that a deep runtime directory works, on a port that the kernel picked."""
    deep = runtime / ("d" * 60) / ("e" * 60)
    assert answers(start(deep, tiny_gguf).ready())
    assert list_servers(deep)[0].address.startswith("http://127.0.0.1:")
    stop_servers(deep)


def test_a_wait_that_is_over_leaves_the_engine_loading(runtime, tiny_gguf):
    """This test ensures that `--wait 0` ends with try again, and the next command finds what was started."""
    with pytest.raises(EngineLoadingError) as caught:
        start(runtime, tiny_gguf, wait_s=0).ready()
    assert caught.value.exit_code is ExitCode.TRY_AGAIN
    assert answers(start(runtime, tiny_gguf).ready())
    assert len(servers_of(runtime)) == 1


def test_a_server_whose_files_are_gone_ends(runtime, tiny_gguf):
    """This test ensures that a server that nobody can find any more does not stay for ever."""
    engine = start(runtime, tiny_gguf, keep_alive_s=None).ready()
    shutil.rmtree(runtime)
    engine.close()
    assert wait_until(lambda: servers_of(runtime) == [])


def test_another_content_of_the_model_is_another_server(tmp_path):
    """This test ensures that a model file that was replaced is not answered for by the old one."""
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF1")
    before = llama.server_id(path)
    assert llama.server_id(path) == before
    path.write_bytes(b"GGUF22")
    assert llama.server_id(path) != before


def test_a_full_disk_is_told_and_the_next_command_works(runtime, tiny_gguf, monkeypatch):
    """This test ensures that a server that cannot write its files is an error with a way on, not a traceback."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(llama, "raise_keep_alive", full)
    with pytest.raises(EngineCrashedError, match="no space left on device") as caught:
        start(runtime, tiny_gguf).ready()
    assert caught.value.hint
    monkeypatch.undo()
    assert answers(start(runtime, tiny_gguf, model_name="--tiny").ready())
