"""Which files of a folder belong to it: what git would keep, or what its .gitignore files say without git."""

import os
import stat
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lctx.core.errors import LimitError, SourceError, UsageError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

MAX_FILES = 200_000
"""The most entries that one named folder may hold; more is a mistake in the path."""
MAX_NESTED_REPOSITORIES = 8
"""How many repositories may stand inside each other."""
GIT_TIMEOUT_S = 120
"""How long git may take to list a working tree."""
MAX_IGNORE_BYTES = 128 * 1024
"""As much of a .gitignore as is obeyed where git is not at hand."""
MAX_STARS = 3
"""The most stars between two slashes of a rule: each multiplies the time that a hostile name takes."""

_TOOL_NAMES = (
    ".git .hg .svn .jj node_modules __pycache__ .mypy_cache .ruff_cache .pytest_cache .tox .nox .idea "
    ".gradle .terraform .next .nuxt .cache .eggs"
)
_TOOL_FOLDERS = frozenset(_TOOL_NAMES.split())
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
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
}
_KEPT_VARIABLES = frozenset({"GIT_CONFIG_GLOBAL", "GIT_CEILING_DIRECTORIES"})
_NOT_OPENED = b"warning: could not open directory '"


@dataclass(frozen=True, slots=True)
class Listing:
    """What stands in a folder, by path below it with "/" between the parts.

    Attributes:
        files: Files and symbolic links; order means nothing.
        left_out: (path, reason) of folders that were not entered.
        errors: What could not be looked into.
    """

    files: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    errors: tuple[SourceError, ...] = ()


def list_folder(shown: str, root: Path, depth: int = 0) -> Listing:
    """What git would keep of `root` inside a working tree, else what the .gitignore files in it leave.

    Args:
        shown: The folder's name for messages.
        root: The folder itself, without symbolic links.
        depth: How many repositories it stands in.
    """
    return _list_with_git(shown, root, depth) or _list_by_walking(shown, root)


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes] | None:
    """A finished git, or None where there is none or it takes too long."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name in _KEPT_VARIABLES
    }
    try:
        return subprocess.run(
            [*_SAFE_GIT, *arguments],
            cwd=root,
            env=kept | _SAFE_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def _list_with_git(shown: str, root: Path, depth: int) -> Listing | None:
    done = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if done is None or done.returncode != 0:
        return None
    names = sorted({os.fsdecode(name) for name in done.stdout.split(b"\0") if name})
    if not names:
        # The user named a folder that its own repository ignores (build/, .venv/): then it is meant.
        ignored = _git(root, "check-ignore", "--quiet", ".")
        if ignored is not None and ignored.returncode == 0:
            return None
    _hold_to_ceiling(shown, len(names))
    errors = tuple(
        SourceError(
            _joined(shown, os.fsdecode(line[len(_NOT_OPENED) :].split(b"'")[0].rstrip(b"/"))),
            "it cannot be opened",
        )
        for line in done.stderr.splitlines()
        if line.startswith(_NOT_OPENED)
    )
    files: list[str] = []
    left_out: list[tuple[str, str]] = []
    for name in names:
        path = name.rstrip("/")
        if not _is_folder(root / path):
            files.append(path)
            continue
        if depth == MAX_NESTED_REPOSITORIES:
            left_out.append((path, "a repository inside too many others"))
            continue
        # A submodule, or a repository inside the repository: git lists its name only.
        nested = list_folder(_joined(shown, path), root / path, depth + 1)
        files.extend(f"{path}/{below}" for below in nested.files)
        left_out.extend((f"{path}/{below}", reason) for below, reason in nested.left_out)
        errors += nested.errors
    _hold_to_ceiling(shown, len(files))
    return Listing(tuple(files), tuple(left_out), errors)


def _list_by_walking(shown: str, root: Path) -> Listing:
    files: list[str] = []
    left_out: list[tuple[str, str]] = []
    errors: list[SourceError] = []
    seen: set[tuple[int, int]] = set()
    waiting: list[tuple[str, tuple[_Rules, ...]]] = [("", ())]
    while waiting:
        folder, above = waiting.pop()
        try:
            entries = list(os.scandir(root / folder))
            status = (root / folder).stat()
        except OSError as error:
            errors.append(
                SourceError(_joined(shown, folder), (error.strerror or "it cannot be opened").lower())
            )
            continue
        if (status.st_dev, status.st_ino) in seen:
            left_out.append((folder, "a folder that was read under another name"))
            continue
        seen.add((status.st_dev, status.st_ino))
        rules = (*above, *_rules_in(root, folder))
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder and (entry.name in _TOOL_FOLDERS or _exists(Path(entry.path, "pyvenv.cfg"))):
                left_out.append((path, "a tool's own folder"))
            elif _ignores(rules, path, is_folder=is_folder):
                continue
            elif is_folder:
                waiting.append((path, rules))
            else:
                files.append(path)
        _hold_to_ceiling(shown, len(files) + len(waiting))
    return Listing(tuple(files), tuple(left_out), tuple(errors))


@dataclass(frozen=True, slots=True)
class _Rules:
    """One .gitignore and the folder that it rules, as a prefix."""

    prefix: str
    spec: "GitIgnoreSpec"


def _rules_in(root: Path, folder: str) -> Iterator[_Rules]:
    file = root / folder / ".gitignore"
    try:
        if not stat.S_ISREG(file.lstat().st_mode):  # a link or a pipe may lead anywhere
            return
        with file.open("rb") as stream:
            lines = stream.read(MAX_IGNORE_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return
    spec = _spec_of(lines)
    if spec is not None:
        yield _Rules(f"{folder}/" if folder else "", spec)


def _spec_of(lines: Iterable[str]) -> "GitIgnoreSpec | None":
    """The rules of `lines`; a line that git could not read either is passed over."""
    from pathspec import GitIgnoreSpec

    kept = (line for line in lines if line.strip() and not _has_many_stars(line))
    patterns = [pattern for line in kept for pattern in _patterns(line)]
    return GitIgnoreSpec(patterns) if patterns else None


def _has_many_stars(line: str) -> bool:
    return any(part.count("*") > MAX_STARS for part in line.split("/"))


def _patterns(line: str) -> "list[GitIgnoreSpecPattern]":
    from pathspec import GitIgnoreSpec

    try:
        return list(GitIgnoreSpec.from_lines([line]).patterns)
    except (ValueError, TypeError):
        return []


def _ignores(rules: tuple[_Rules, ...], path: str, *, is_folder: bool) -> bool:
    """Whether the last rule that has an opinion ignores `path`; the innermost .gitignore speaks last."""
    for rule in reversed(rules):
        below = path[len(rule.prefix) :] + ("/" if is_folder else "")
        verdict = rule.spec.check_file(below).include
        if verdict is not None:
            return bool(verdict)
    return False


class Choice:
    """What `--include` and `--exclude` leave of a folder: patterns as in .gitignore, from the folder down."""

    def __init__(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> None:
        """Read the patterns.

        Raises:
            UsageError: One of them is no pattern.
        """
        self._include = _chosen("--include", include)
        self._exclude = _chosen("--exclude", exclude)

    def reason_against(self, path: str) -> str | None:
        """Why `path`, below the folder that was named, is not read; None where it is."""
        if self._include is not None and not self._include.match_file(path):
            return "not in --include"
        if self._exclude is not None and self._exclude.match_file(path):
            return "--exclude"
        return None


def _chosen(option: str, patterns: Iterable[str]) -> "GitIgnoreSpec | None":
    from pathspec import GitIgnoreSpec

    lines = list(patterns)
    for line in lines:
        if not line.strip() or not _patterns(line) or _patterns(line)[0].include is None:
            raise UsageError(
                f"{option} {line!r}: not a pattern as .gitignore has them", "for example '*.py' or 'docs/'"
            )
    return GitIgnoreSpec.from_lines(lines) if lines else None


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except OSError:
        return False
    return True


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _joined(shown: str, path: str) -> str:
    return f"{shown.rstrip('/')}/{path}" if path else shown


def _hold_to_ceiling(shown: str, found: int) -> None:
    if found > MAX_FILES:
        why = f"more than {MAX_FILES:,} files"
        raise LimitError(
            shown, why, "name the folder that matters, or narrow it with --include and --exclude"
        )
