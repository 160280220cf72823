"""What tests of managed servers share: start one, see that it answers, count and kill processes."""

import os
import signal
import subprocess
import time
from pathlib import Path

from lctx.core.engine.events import Finished, TextDelta
from lctx.core.engine.open import EngineSettings, start_engine
from lctx.core.engine.protocol import Sampling
from lctx.core.engine.servers import list_servers
from lctx.core.engine.state import (
    ServerFiles,
    ServerState,
    read_state,
)

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
    """Whether `holds` became true in time."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def start(runtime: Path, model: Path, statuses: list[str] | None = None, **settings):
    """An engine on its way, kept long enough for a test."""
    wanted = {"keep_alive_s": 60.0, "wait_s": 60.0} | settings
    told = statuses if statuses is not None else []
    return start_engine(EngineSettings("llama", model=model, **wanted), runtime, told.append)


def answers(engine) -> bool:
    """Whether one request ends well, with some text."""
    events = list(engine.generate(PROMPT, Sampling(3)))
    return isinstance(events[-1], Finished) and any(isinstance(event, TextDelta) for event in events)


def state_of(runtime: Path) -> ServerState:
    """What the only server in `runtime` says of itself."""
    return read_state(ServerFiles(runtime, list_servers(runtime)[0].id))


def kill_server(runtime: Path) -> None:
    """Kill the only server, and wait until the kernel has let go of all that it held."""
    (server,) = list_servers(runtime)
    os.kill(server.pid, signal.SIGKILL)
    assert wait_until(lambda: not ServerFiles(runtime, server.id).alive)
