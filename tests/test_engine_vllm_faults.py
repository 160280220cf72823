"""The managed vLLM against a scripted stand-in: every way it can fail, what is told, and that nothing stays."""

import errno
import json
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from managed_servers import wait_until
from scripted_vllm import left_in, none_left, started, tiny_launch, write_model, write_scripted_vllm

from lctx.core.engine import managed, processes, server_log
from lctx.core.engine.dialects import VllmDialect
from lctx.core.engine.events import Finished, TextDelta
from lctx.core.engine.open import EngineSettings, start_engine
from lctx.core.engine.protocol import Sampling
from lctx.core.engine.servers import list_servers, stop_servers
from lctx.core.engine.state import ServerFiles, read_state
from lctx.core.errors import (
    DoesNotFitError,
    EngineCrashedError,
    EngineLoadingError,
    EngineMissingError,
    ExitCode,
    LctxError,
    ModelFileError,
    UsageError,
)

PROMPT = [1, 2, 3]
ENOUGH = ("INFO 11-25 01:54:16 [kv_cache_utils.py:2327] CPU KV cache size: 32,768 tokens, Maximum …",)


@pytest.fixture
def world(tmp_path, runtime, monkeypatch):
    """A model, a runtime directory and a home of their own; at the end nothing may be left running."""
    monkeypatch.setenv("LCTX_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LCTX_VLLM_PYTHON", raising=False)
    world = World(tmp_path, runtime)
    yield world
    stop_servers(runtime)
    assert none_left(tmp_path, runtime), left_in(tmp_path, runtime)


class World:
    """Where a test's vLLMs live."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        self.folder, self.runtime = folder, runtime
        self.model = write_model(folder / "model")
        self.statuses: list[str] = []

    def python(self, name: str = "good", **behaviour) -> Path:
        """A stand-in for vLLM's interpreter; what it does is told to `write_scripted_vllm`."""
        return write_scripted_vllm(self.folder / name, **({"say": ENOUGH} | behaviour))

    def start(self, python: Path, *, wait_s: float = 30, keep_alive_s: float | None = 60, **changes):
        """A vLLM on its way; `changes` are the launch's, but for address and key."""
        listen, key = changes.pop("listen", None), changes.pop("api_key", None)
        settings = EngineSettings(
            "vllm", launch=tiny_launch(changes.pop("model", self.model), **changes), vllm_python=python,
            keep_alive_s=keep_alive_s, wait_s=wait_s, listen=listen, api_key=key,
        )  # fmt: skip
        return start_engine(settings, self.runtime, self.statuses.append)

    def answers(self, python: Path | None = None, **changes) -> bool:
        """Whether the next command works."""
        engine = self.start(python or self.python("next"), **changes).ready()
        events = list(engine.generate(PROMPT, Sampling(2)))
        engine.close()
        return isinstance(events[-1], Finished)

    @property
    def files(self) -> ServerFiles:
        """Those of the only server."""
        return ServerFiles(self.runtime, next(self.runtime.glob("*.lock")).stem)

    @property
    def pid(self) -> int:
        """The process that keeps the only server."""
        return list_servers(self.runtime)[0].pid


def test_a_server_is_started_once_found_again_and_stopped(world):
    """This test ensures that a plan becomes flags, that the state tells what is served, and that stop ends all."""
    python = world.python(load_s=0.3)
    first = world.start(python)
    assert not first.warm
    engine = first.ready()
    assert (engine.label, engine.model, engine.window) == ("vllm 0.32.0", "tiny", 4096)
    assert first.server.kv_tokens == 32_768
    assert "tiny: setting the KV cache aside" in world.statuses
    second = world.start(python)
    assert second.warm
    assert isinstance(list(second.ready().generate(PROMPT, Sampling(1)))[-1], Finished)
    (server,) = list_servers(world.runtime)
    assert (server.kind, server.window, server.busy, server.kv_tokens) == ("vllm", 4096, True, 32_768)
    assert server.rss_bytes > 10_000_000
    begun = time.monotonic()
    stop_servers(world.runtime)
    assert time.monotonic() - begun < 5
    assert none_left(world.folder / "good", timeout_s=0.2)
    assert not list(world.runtime.glob("vllm*"))


def test_two_commands_at_once_start_one_server(world):
    """This test ensures that whoever comes second waits for the first one's server and says what it does."""
    python = world.python(load_s=0.5)
    pending = [world.start(python) for _ in range(3)]
    assert [one.warm for one in pending] == [False] * 3
    engines = [one.ready() for one in pending]
    assert {one.server.pid for one in pending} == {world.pid}
    assert len(left_in(python.parent)) == 3  # one supervisor, its server and that one's core
    for engine in engines:
        assert isinstance(list(engine.generate(PROMPT, Sampling(1)))[-1], Finished)
        engine.close()


def test_the_interpreter_of_the_environment(world, monkeypatch):
    """This test ensures that LCTX_VLLM_PYTHON names the interpreter where the command does not."""
    monkeypatch.setenv("LCTX_VLLM_PYTHON", str(world.python()))
    assert isinstance(list(world.start(None).ready().generate(PROMPT, Sampling(1)))[-1], Finished)


def test_what_it_is_started_with(world, monkeypatch):
    """This test ensures that no descriptor, no variable of lctx's own interpreter and no key on a command line gets in."""
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("LCTX_API_KEY", "of another server")
    python = world.python()
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        pending = world.start(python)
        pending.ready()
    finally:
        os.close(reading)
        os.close(writing)
    told = started(python)
    assert told["descriptors"][:3] == [0, 1, 2]
    assert len(told["descriptors"]) <= 4  # the fourth is that of the listing
    key = pending.server.api_key
    assert told["environment"]["VLLM_API_KEY"] == key
    assert told["environment"]["HF_HUB_OFFLINE"] == "1"
    assert not {"PYTHONPATH", "LCTX_API_KEY", "LCTX_SERVER_KEY", "LCTX_HOME"} & told["environment"].keys()
    assert not any(key in line for line in left_in(world.folder, world.runtime))
    assert {path.stat().st_mode & 0o077 for path in world.runtime.iterdir()} == {0}


def refused(world, python, **changes) -> LctxError:
    """The error of a start that cannot be; nothing is left, and the next command works."""
    with pytest.raises(LctxError) as caught:
        world.start(python, **changes).ready()
    assert none_left(world.folder, world.runtime)
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert world.answers()
    return caught.value


def test_nothing_installed(world):
    """This test ensures that an interpreter without vLLM is told with the command that installs it."""
    error = refused(world, world.python(found=None))
    assert isinstance(error, EngineMissingError)
    assert "pip install" in error.hint
    assert error.exit_code is ExitCode.ENGINE


@pytest.mark.parametrize("what", ["/nowhere/python", "/bin/true", "/etc/passwd"])
def test_no_interpreter(world, what):
    """This test ensures that a wrong path, another program and a text file are told as such."""
    error = refused(world, Path(what))
    assert isinstance(error, EngineMissingError)
    assert what in error.message


def test_versions_out_of_range(world):
    """This test ensures that an old vLLM is refused and a newer one is tried with a warning."""
    old = refused(world, world.python("old", found={"package": "vllm", "version": "0.25.1"}))
    assert "too old" in old.message
    stop_servers(world.runtime)
    newer = world.python("newer", found={"package": "vllm", "version": "0.41.0"})
    assert world.answers(newer)
    assert any("0.41.0" in status and "0.26 to 0.33" in status for status in world.statuses)


@pytest.mark.parametrize("damage", ["missing", "no config", "config", "no weights"])
def test_a_model_that_is_none(world, damage):
    """This test ensures that a missing or damaged directory is told before anything is started."""
    model = write_model(world.folder / "damaged")
    if damage == "missing":
        model = world.folder / "gone"
    elif damage == "no config":
        (model / "config.json").unlink()
    elif damage == "config":
        (model / "config.json").write_text('{"model_type": ')
    else:
        (model / "model.safetensors").unlink()
    error = refused(world, world.python(), model=model)
    assert isinstance(error, ModelFileError)
    assert str(model) in error.message


def test_a_window_larger_than_the_memory(world):
    """This test ensures that vLLM's own refusal becomes exit 3 with the largest window."""
    said = (
        "(EngineCore pid=7) ERROR 11-25 01:54:18 [core.py:1510] ValueError: To serve at least one request with "
        "the model's max seq len (1048576), (14.2 GiB KV cache is needed, which is larger than the available KV "
        "cache memory (9.1 GiB). Based on the available memory, the estimated maximum model length is 655360. "
    )
    error = refused(world, world.python(say=(said,), exit_status=1))
    assert isinstance(error, DoesNotFitError)
    assert "needs 14.2 GiB for KV, 9.1 available: largest window 655,360" in error.message
    assert error.exit_code is ExitCode.DOES_NOT_FIT


@pytest.mark.parametrize("who", ["server", "supervisor"])
def test_killed_while_loading(world, who):
    """This test ensures that kill -9 of vLLM, or of the process that keeps it, is told and leaves nothing."""
    python = world.python(load_s=60)
    pending = world.start(python)
    assert wait_until(lambda: (python.parent / "core.pid").exists() and read_state(world.files) is not None)
    os.kill(started(python)["pid"] if who == "server" else world.pid, signal.SIGKILL)
    with pytest.raises(EngineCrashedError, match="killed by") as caught:
        pending.ready()
    assert caught.value.hint
    assert none_left(world.folder, world.runtime)
    assert world.answers()


@pytest.mark.parametrize("who", ["server", "supervisor"])
@pytest.mark.parametrize("when", ["prefill", "decode"])
def test_killed_while_it_answers(world, who, when):
    """This test ensures that death in prefill or decode is told as death, whoever of the two dies."""
    python = world.python(prefill_s=30 if when == "prefill" else 0, token_s=0.05)
    engine = world.start(python).ready()
    events = engine.generate(PROMPT, Sampling(400))
    pid = started(python)["pid"] if who == "server" else world.pid
    if when == "decode":
        while not isinstance(next(events), TextDelta):
            pass
        os.kill(pid, signal.SIGKILL)
    else:
        threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(EngineCrashedError, match="vLLM died while it served tiny") as caught:
        list(events)
    assert "again" in caught.value.hint
    assert none_left(world.folder, world.runtime)
    assert world.answers()


@pytest.mark.parametrize("who", ["server", "supervisor", "guard"])
def test_killed_while_idle(world, who):
    """This test ensures that whoever of them is killed takes all others along, and the next command works."""
    python = world.python()
    world.start(python).ready().close()
    if who == "guard":
        listed = subprocess.run(
            ["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True
        )
        (line,) = [one for one in listed.stdout.splitlines() if f"guard of {world.runtime}" in one]
        pid = int(line.split()[0])
    else:
        pid = started(python)["pid"] if who == "server" else world.pid
    os.kill(pid, signal.SIGKILL)
    assert none_left(world.folder, world.runtime)
    assert list_servers(world.runtime) == []
    assert world.answers()


def test_a_server_that_hangs(world, monkeypatch):
    """This test ensures that a stopped vLLM is found out by its silence, ended, and replaced."""
    monkeypatch.setattr(VllmDialect, "stall_s", 0.5)
    monkeypatch.setattr(managed, "_HEALTH_S", 0.5)
    python = world.python()
    engine = world.start(python).ready()
    os.kill(started(python)["pid"], signal.SIGSTOP)
    with pytest.raises(EngineCrashedError, match="vLLM stopped answering"):
        list(engine.generate(PROMPT, Sampling(2)))
    assert none_left(world.folder, world.runtime)
    monkeypatch.undo()
    monkeypatch.setenv("LCTX_HOME", str(world.folder / "home"))
    assert world.answers()


@pytest.mark.parametrize("who", ["server", "supervisor"])
def test_stop_ends_what_hangs_or_is_deaf(world, who, monkeypatch):
    """This test ensures that `lctx stop` needs nobody's good will."""
    monkeypatch.setattr(processes, "_TERMINATE_S", 0.5 if who == "supervisor" else 6.0)
    python = world.python(deaf=True)
    world.start(python).ready().close()
    os.kill(started(python)["pid"] if who == "server" else world.pid, signal.SIGSTOP)
    begun = time.monotonic()
    assert [server.kind for server in stop_servers(world.runtime)] == ["vllm"]
    assert time.monotonic() - begun < 8
    assert none_left(world.folder, world.runtime, timeout_s=1)


def test_a_full_disk_for_its_files(world, monkeypatch):
    """This test ensures that a command that cannot write is an error with a way on."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(managed, "raise_keep_alive", full)
    with pytest.raises(EngineCrashedError, match="no space left on device") as caught:
        world.start(world.python()).ready()
    assert caught.value.hint
    monkeypatch.undo()
    monkeypatch.setenv("LCTX_HOME", str(world.folder / "home"))
    assert world.answers()


def test_a_full_disk_while_it_loads(world, tmp_path, monkeypatch):
    """This test ensures that a server that cannot write its state ends with all its processes, and says so."""
    hook = tmp_path / "site"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(
        "import sys, os, errno\n"
        "if any('vllm_child' in part for part in sys.orig_argv):\n"
        "    import lctx.core.storage as storage\n"
        "    def full(*_): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "    storage.write_atomically = full\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(hook))
    with pytest.raises(EngineCrashedError, match="state cannot be written") as caught:
        world.start(world.python()).ready()
    assert "make room" in caught.value.hint
    assert none_left(world.folder, world.runtime)
    monkeypatch.delenv("PYTHONPATH")
    assert world.answers()


def test_a_full_disk_for_the_log(world, monkeypatch):
    """This test ensures that lost lines of the log cost nothing else."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    monkeypatch.setattr(os, "open", _log_to_full(os.open))
    assert world.answers(world.python(chatter=10))


def _log_to_full(real):
    def opened(path, flags, *rest):
        if str(path).endswith(".log"):
            return real("/dev/full", os.O_WRONLY)
        return real(path, flags, *rest)

    return opened


def test_the_log_is_bounded(world, monkeypatch):
    """This test ensures that what vLLM says takes two logs at most, and the newest lines are there."""
    world.start(world.python(chatter=60)).ready()
    bound = server_log.MAX_BYTES + (1 << 17)
    assert wait_until(world.files.old_log.exists, timeout_s=30)
    time.sleep(0.5)
    assert world.files.log.stat().st_size <= bound
    assert server_log.MAX_BYTES <= world.files.old_log.stat().st_size <= bound
    assert world.files.log.stat().st_size > 0
    assert world.files.log.stat().st_mode & 0o077 == 0


def test_an_unreadable_key(world):
    """This test ensures that a state that was damaged is mended by its server, and commands wait for that."""
    world.start(world.python()).ready().close()
    pid = world.pid
    assert wait_until(
        lambda: read_state(world.files).idle_since is not None
    )  # the last that it writes by itself
    world.files.state.write_text('{"api_key": ')
    assert world.answers()
    assert world.pid == pid


def test_a_foreign_socket_is_taken_over(world):
    """This test ensures that a socket that another program left, or listens on, is not asked for answers."""
    world.start(world.python()).ready().close()
    path = world.files.socket
    stop_servers(world.runtime)
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(str(path))
        foreign.listen()
        foreign.setblocking(False)
        assert world.answers()
        with pytest.raises(BlockingIOError):
            foreign.accept()


def test_a_foreign_port_is_told(world):
    """This test ensures that a port in use is told as such, and that nobody there is taken for our server."""
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]
        error = refused(world, world.python(load_s=0.8), listen=("127.0.0.1", port))
    assert isinstance(error, UsageError)
    assert "another program listens" in error.message


def test_a_port_and_a_key_of_ones_own(world):
    """This test ensures that a server on TCP takes the key that was chosen, and nothing without it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    pending = world.start(world.python(), listen=("127.0.0.1", port), api_key="chosen")
    assert list(pending.ready().generate(PROMPT, Sampling(1)))
    assert (pending.server.address, pending.server.api_key) == (f"http://127.0.0.1:{port}", "chosen")
    other = EngineSettings("vllm", address=pending.server.address, api_key="guess")
    with pytest.raises(LctxError, match="key"):
        start_engine(other, world.runtime).ready()
    assert world.start(world.python(), listen=("127.0.0.1", port), api_key="chosen").warm
    assert world.start(world.python()).warm


def test_a_path_too_long_for_a_socket(world):
    """This test ensures that a deep runtime directory works, on a port of the loopback address."""
    deep = World(world.folder, world.runtime / ("d" * 60) / ("e" * 60))
    assert deep.answers()
    assert list_servers(deep.runtime)[0].address.startswith("http://127.0.0.1:")
    stop_servers(deep.runtime)


def test_state_of_a_dead_machine(world):
    """This test ensures that a recycled process id and an address that others took are left alone."""
    innocent = subprocess.Popen(["sleep", "60"])
    try:
        with socket.create_server(("127.0.0.1", 0)) as foreign:
            foreign.setblocking(False)
            world.start(world.python()).ready().close()
            files = world.files
            stale = json.loads(files.state.read_text())
            stop_servers(world.runtime)
            stale |= {"pid": innocent.pid, "address": f"http://127.0.0.1:{foreign.getsockname()[1]}"}
            files.state.write_text(json.dumps(stale))
            assert world.answers()
            stop_servers(world.runtime)
            assert innocent.poll() is None
            with pytest.raises(BlockingIOError):
                foreign.accept()
    finally:
        innocent.kill()
        innocent.wait()


def test_a_smaller_window_is_served_and_another_precision_waits(world):
    """This test ensures that a server is replaced for a larger window or another precision, only when idle."""
    python = world.python()
    engine = world.start(python).ready()
    smaller = world.start(python, max_model_len=1024)
    assert smaller.warm
    smaller.close()
    for wanted in ({"max_model_len": 8192}, {"kv_cache_dtype": "fp8"}):
        with pytest.raises(EngineLoadingError, match="used by another command"):
            world.start(python, wait_s=0.3, **wanted).ready()
    engine.close()
    assert world.start(python, max_model_len=8192).ready().window == 8192
    assert len(list_servers(world.runtime)) == 1


def test_keep_alive_ends_it(world):
    """This test ensures that a server that nobody uses goes by itself, with all its processes."""
    world.start(world.python(), keep_alive_s=0.2).ready().close()
    assert none_left(world.folder, world.runtime)
    assert wait_until(lambda: list_servers(world.runtime) == [])


def test_a_wait_that_is_over(world):
    """This test ensures that `--wait 0` is exit 75, says what vLLM is doing, and leaves it loading."""
    said = "(Worker pid=9) INFO 11-25 01:54:14 [cpu_model_runner.py:68] Starting to load model /m..."
    python = world.python(say=(said,), load_s=2)
    with pytest.raises(EngineLoadingError, match="still loading weights") as caught:
        world.start(python, wait_s=1.2).ready()
    assert caught.value.exit_code is ExitCode.TRY_AGAIN
    assert list_servers(world.runtime)[0].loading
    assert world.answers(python)
