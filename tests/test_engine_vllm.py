"""The managed vLLM, for real: planned, started, asked twice, killed and started again, and stopped."""

import os
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from managed_servers import wait_until
from scripted_vllm import left_in, none_left

from lctx.core.engine.events import Finished, TextDelta
from lctx.core.engine.open import EngineSettings, start_engine
from lctx.core.engine.protocol import Sampling
from lctx.core.engine.servers import list_servers, stop_servers
from lctx.core.engine.state import ServerFiles, read_state
from lctx.core.errors import DoesNotFitError, EngineCrashedError, ModelFileError
from lctx.core.models.resolve import resolve_model
from lctx.core.planning.devices import Device, DeviceKind
from lctx.core.planning.hardware import Hardware, block_pool
from lctx.core.planning.launch import VllmWishes, launch_of
from lctx.core.planning.window import choose_window

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

WINDOW = 16_384
KV_BYTES = 800_000_000
CPU = Device("a CPU", DeviceKind.CPU, 12 << 30)
HARDWARE = Hardware(CPU, "vllm")
DOCUMENT = "The parties agree that clause {} holds for as long as the one before it is in force.\n"
READY_S = 240


class Managed:
    """A runtime directory with one model, and the plan of its server."""

    def __init__(self, folder: Path, python: Path, model: Path) -> None:
        self.folder, self.runtime, self.python = folder, folder / "run", python
        self.profile = resolve_model(str(model), folder / "cache", lambda *_: None)
        self.statuses: list[str] = []

    def launch(self, **wishes):
        """What is started: a stretched window, and bytes that are no whole number of blocks."""
        wanted = VllmWishes(**({"kv_cache_memory_bytes": KV_BYTES, "max_num_batched_tokens": 512} | wishes))
        return launch_of(self.profile, choose_window(self.profile, asked=WINDOW), HARDWARE, wanted)

    def start(self, launch=None):
        """The engine on its way."""
        settings = EngineSettings(
            "vllm", launch=launch or self.launch(), vllm_python=self.python, keep_alive_s=300, wait_s=READY_S
        )
        return start_engine(settings, self.runtime, self.statuses.append)

    @property
    def files(self) -> ServerFiles:
        """Those of the only server."""
        return ServerFiles(self.runtime, next(self.runtime.glob("*.lock")).stem)

    def processes(self) -> list[int]:
        """All processes of the server's session: supervisor, guard, API server, engine core, worker."""
        leader = read_state(self.files).pid
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                told = path.read_bytes()
            except OSError:
                continue
            if int(told.rpartition(b")")[2].split()[3]) == leader:
                found.append(int(path.parent.name))
        return found


@pytest.fixture(scope="module")
def managed(vllm_python, vllm_model_dir):
    """One runtime directory for all tests of this file; nothing may be left running in it."""
    with tempfile.TemporaryDirectory(prefix="lctx-v-") as name:
        folder = Path(name)
        before = os.environ.get("LCTX_HOME")
        os.environ["LCTX_HOME"] = str(folder)
        try:
            yield Managed(folder, vllm_python, vllm_model_dir)
        finally:
            stop_servers(folder / "run")
            if before is None:
                del os.environ["LCTX_HOME"]
            else:
                os.environ["LCTX_HOME"] = before
        assert none_left(folder), left_in(folder)


def last_of(engine, ids, num_tokens=4):
    """The end of an answer, seconds to its first token."""
    begun, first, event = time.monotonic(), 0.0, None
    for event in engine.generate(ids, Sampling(num_tokens)):
        if isinstance(event, TextDelta) and not first:
            first = time.monotonic() - begun
    assert isinstance(event, Finished)
    return event, first


def test_a_planned_window_is_served(managed):
    """This test ensures that a stretched window starts as planned, holds the planned KV tokens, and keeps a prefix."""
    launch = managed.launch()
    assert launch.hf_overrides["rope_parameters"]["factor"] == 2.0
    pending = managed.start(launch)
    engine = pending.ready()
    server = pending.server
    assert engine.window == WINDOW
    pool = block_pool(managed.profile, HARDWARE)
    planned = pool.capacity_tokens(KV_BYTES, WINDOW)
    assert server.kv_tokens == launch.kv_tokens == planned
    assert server.rope == "yarn x2 (8,192 -> 16,384)"
    assert any("loading weights" in status for status in managed.statuses)

    text = "".join(DOCUMENT.format(number) for number in range(55))
    ids = engine.tokenize(text)
    assert len(ids) > 900
    cold, cold_s = last_of(engine, ids)
    warm, warm_s = last_of(engine, ids)
    assert (cold.usage.prompt_tokens, cold.usage.cached_tokens) == (len(ids), 0)
    assert warm.usage.cached_tokens == (len(ids) - 1) // 128 * 128  # whole blocks, and never the last token
    assert warm_s < cold_s / 2
    assert managed.start().warm
    engine.close()
    assert list_servers(managed.runtime)[0].rss_bytes > 500 << 20


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc: sessions are not told here")
def test_killed_in_decode_and_started_again(managed):
    """This test ensures that kill -9 of the engine core is told as death, and takes all its processes along."""
    engine = managed.start().ready()
    events = engine.generate([1, 2, 3], Sampling(2000))
    while not isinstance(next(events), TextDelta):
        pass
    session = managed.processes()
    assert len(session) >= 4
    core = next(pid for pid in session if b"EngineCore" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(core, signal.SIGKILL)
    with pytest.raises(EngineCrashedError, match="died while it served"):
        list(events)
    assert wait_until(lambda: not any(map(is_running, session)))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc: sessions are not told here")
def test_the_supervisor_killed_while_it_loads(managed):
    """This test ensures that vLLM does not outlive the process that keeps it, and the next command starts anew."""
    pending = managed.start()
    assert wait_until(lambda: is_loading_weights(managed.files), 120)
    session = managed.processes()
    os.kill(read_state(managed.files).pid, signal.SIGKILL)
    with pytest.raises(EngineCrashedError, match="SIGKILL"):
        pending.ready()
    assert wait_until(lambda: not any(map(is_running, session)))
    assert list_servers(managed.runtime) == []


def is_running(pid):
    """Whether there is such a process, and it is no zombie that nobody has asked for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def is_loading_weights(files):
    """Whether the server says so."""
    state = read_state(files)
    return state is not None and state.activity.startswith("loading weights")


def test_a_window_that_vllm_refuses(managed):
    """This test ensures that vLLM's own refusal for memory becomes exit 3, and that nothing of it stays."""
    small = replace(managed.launch(), kv_cache_memory_bytes=100_000_000)
    with pytest.raises(DoesNotFitError, match="16,384 tokens needs") as caught:
        managed.start(small).ready()
    assert "largest window" in caught.value.message
    assert none_left(managed.runtime)


def test_damaged_weights(managed, vllm_model_dir, tmp_path):
    """This test ensures that a truncated file of weights is told as such."""
    for path in vllm_model_dir.iterdir():
        if path.name == "model.safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes()[:1_000_000])
        else:
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(ModelFileError, match="weights are damaged"):
        managed.start(replace(managed.launch(), model=tmp_path)).ready()
    assert none_left(managed.runtime)
