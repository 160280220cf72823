"""A real terminal for tests: tmux draws what a person would see."""

import re
import shlex
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest


class Terminal:
    """A tmux session of its own server, so that it neither sees nor disturbs another."""

    def __init__(self, columns: int, lines: int, environment: Mapping[str, str], folder: Path) -> None:
        self._socket = f"lctx-test-{uuid.uuid4().hex[:12]}"
        self.folder = folder
        self._environment = dict(environment)
        self._num_runs = 0
        self._start(columns, lines)

    def _start(self, columns: int, lines: int) -> None:
        # A shell without anybody's settings; a prompt that is easy to wait for.
        shell = "env PS1='ready> ' /bin/sh"
        size = ["-x", str(columns), "-y", str(lines)]
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, "-c", str(self.folder), shell)
        self._tmux("set-option", "-g", "history-limit", "5000")
        self.wait_for("ready>")

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-u", "-L", self._socket, *arguments]
        environment = {**self._environment, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, check=True, timeout=20
        )
        return done.stdout

    def run(self, *arguments: str | Path) -> None:
        """Run a command from a script, so that no long line wraps; its exit code is shown as `code=0`."""
        self._num_runs += 1
        script = self.folder / f"run{self._num_runs}"
        script.write_text(f"{shlex.join(map(str, arguments))}; echo code=$?\n", "utf-8")
        self.type(f". ./{script.name}")
        self.press("Enter")

    def press(self, key: str) -> None:
        """Press one key, named as tmux names it: `C-c`."""
        self._tmux("send-keys", key)

    def type(self, text: str) -> None:
        """Type `text` as it stands."""
        self._tmux("send-keys", "-l", text)

    def screen(self) -> str:
        """What is drawn now, with what has scrolled away above it."""
        return self._tmux("capture-pane", "-p", "-S", "-2000")

    def wait_for(self, wanted: str | Callable[[str], bool], timeout_s: float = 30) -> str:
        """The screen as soon as it holds `wanted`; the test fails when it does not in time."""
        deadline = time.monotonic() + timeout_s
        holds = wanted if callable(wanted) else lambda screen: wanted in screen
        while True:
            screen = self.screen()
            if holds(screen):
                return screen
            if time.monotonic() > deadline:
                pytest.fail(f"not on the screen after {timeout_s} s: {wanted}\n{screen}")
            time.sleep(0.05)

    def close(self) -> None:
        """End the session and everything in it."""
        subprocess.run(
            ["tmux", "-L", self._socket, "kill-server"], capture_output=True, check=False, timeout=20
        )


def require_tmux() -> None:
    """Skip the test where there is no tmux."""
    if shutil.which("tmux") is None:
        pytest.skip("no terminal to look at: tmux is not installed")


def output_of(screen: str) -> str:
    """What stands between the last command and its exit code, or the end."""
    return re.split(r"ready> \. \./run\d+\n", screen)[-1].partition("code=")[0]


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` without what would make tmux join the session that the tests run in."""
    return {name: value for name, value in environment.items() if name not in {"TMUX", "TMUX_PANE"}}
