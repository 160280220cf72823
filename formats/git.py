"""Git, asked without letting a repository's configuration do anything."""

import os
import subprocess

GIT_TIMEOUT_S = 120
"""How long git may take to list a working tree."""

# A repository is not trusted: nothing in its configuration may start a program or reach the network.
_SAFE_GIT = (
    "git",
    "-c", "core.fsmonitor=false",
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.untrackedCache=false",
    "-c", "protocol.allow=never",
    "-c", "submodule.recurse=false",
)  # fmt: skip
_SAFE_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
}
# The user's own settings hold (safe.directory is often given this way); GIT_DIR and its kin, which a hook
# sets, would show another repository.
_KEPT_PREFIX = "GIT_CONFIG"
_KEPT_VARIABLES = frozenset({"GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM"})


def run_git(folder: str, *arguments: str) -> subprocess.CompletedProcess[bytes] | None:
    """A finished git, or None where there is none or it takes too long."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith(_KEPT_PREFIX) or name in _KEPT_VARIABLES
    }
    try:
        return subprocess.run(
            [*_SAFE_GIT, *arguments],
            cwd=folder,
            env=kept | _SAFE_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def is_distrusted(stderr: bytes) -> bool:
    """Whether git said that it will not look into the repository since somebody else owns it."""
    return b"dubious ownership" in stderr or b"unsafe repository" in stderr


def global_ignore_file() -> str:
    """Where the user keeps the rules for all repositories; there need not be such a file."""
    done = run_git("/", "config", "--global", "--type=path", "--get", "core.excludesFile")
    if done is not None and done.returncode == 0:
        return os.fsdecode(done.stdout.rstrip(b"\n"))
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - never raises
    return f"{home}/git/ignore"


def repository_of(folder: str) -> str | None:
    """The nearest folder at or above `folder` that holds a .git, or None."""
    while True:
        if os.path.lexists(f"{folder.rstrip('/')}/.git"):
            return folder
        parent = os.path.dirname(folder)  # noqa: PTH120 - as text, like all paths of a listing
        if parent == folder:
            return None
        folder = parent
