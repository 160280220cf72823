"""The managed llama.cpp server, for real: one is started, found, kept, replaced and ended."""

import os
import signal
import subprocess
import sys
import time

import pytest
from managed_servers import COMMAND, PROMPT, answers, servers_of, start, state_of, wait_until

from lctx.core.engine import llama
from lctx.core.engine.open import EngineSettings, start_engine
from lctx.core.engine.protocol import Sampling
from lctx.core.engine.servers import list_servers, stop_servers
from lctx.core.errors import (
    EngineLoadingError,
    EngineRefusedError,
    ExitCode,
    UsageError,
)

pytestmark = pytest.mark.engine


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
    # The kernel lets go of a dead process's locks a moment after it is gone; the next look clears up behind it.
    assert wait_until(
        lambda: list_servers(runtime) == [] and {path.name for path in runtime.iterdir()} <= {".probe"}
    )


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


def test_another_content_of_the_model_is_another_server(tmp_path):
    """This test ensures that a model file that was replaced is not answered for by the old one."""
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF1")
    before = llama.server_id(path)
    assert llama.server_id(path) == before
    path.write_bytes(b"GGUF22")
    assert llama.server_id(path) != before
