"""Which files of a folder belong to it: what git would keep, or what its .gitignore files say without git."""

import os
import stat
from dataclasses import dataclass, field

from lctx.core.errors import LimitError, SourceError, UnsupportedSourceError
from lctx.formats.choice import EXCLUDED, Choice
from lctx.formats.git import global_ignore_file, is_distrusted, repository_of, run_git
from lctx.formats.ignore import Rules, ignores, rules_of
from lctx.formats.source_file import told

MAX_FILES = 200_000
"""The most files that one named folder may have to be read; more is a mistake in the path."""
MAX_ENTRIES = 1_000_000
"""The most files and folders that are looked at in one named folder."""
MAX_NESTED_REPOSITORIES = 8
"""How many repositories may stand inside each other."""

LINK = "a symbolic link"
_TOOL_NAMES = (
    ".hg .svn .jj node_modules __pycache__ .mypy_cache .ruff_cache .pytest_cache .tox .nox .idea "
    ".gradle .terraform .next .nuxt .cache .eggs"
)
_TOOL_FOLDERS = frozenset(_TOOL_NAMES.split())
_TOOLS_OWN = "a tool's own folder"
_OWN_FILES_OF_GIT = frozenset({"HEAD", "objects", "refs", "config"})
_NO_WORKING_TREE = "it holds a git repository's own files, no working tree"
_NOT_OPENED = b"warning: could not open directory '"


@dataclass(slots=True)
class Listing:
    """What stands in a folder, by path below it with "/" between the parts. Order means nothing.

    Attributes:
        files: Regular files.
        left_out: (path, reason) of what is no file to read, and of folders that were not entered.
        errors: What could not be looked into.
        warnings: What was not as it should be, one sentence each.
        num_entries: How many files and folders were looked at.
    """

    files: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    errors: list[SourceError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    num_entries: int = 0


def list_folder(shown: str, root: str, choice: Choice, *, use_ignores: bool = True) -> Listing:
    """What git would keep of `root` inside a working tree, else what the .gitignore files in it leave.

    Symbolic links are never followed, so nothing outside `root` is ever listed.

    Args:
        shown: The folder's name for messages.
        root: The folder itself, without symbolic links.
        choice: What of it is wanted.
        use_ignores: Whether git and .gitignore files have a say; else all but .git is listed.

    Raises:
        LimitError: It holds more than the ceilings of this module.
        SourceError: It is a repository without a working tree.
    """
    lister = _Lister(shown, root, choice, use_ignores=use_ignores)
    lister.take("", 0)
    return lister.listing


class _Lister:
    def __init__(self, shown: str, root: str, choice: Choice, *, use_ignores: bool) -> None:
        self.listing = Listing()
        self._shown = shown
        self._root = root.rstrip("/")
        self._choice = choice
        self._use_ignores = use_ignores
        self._seen: set[tuple[int, int]] = set()
        self._global: str | None = None
        self._entered: dict[str, bool] = {"": True}

    def take(self, folder: str, depth: int) -> None:
        """List `folder`, in which `depth` repositories stand around each other."""
        if depth > MAX_NESTED_REPOSITORIES:
            self.listing.left_out.append((folder, "a repository inside too many others"))
        elif not (self._use_ignores and self._list_with_git(folder, depth)):
            self._walk(folder, depth)

    def _list_with_git(self, folder: str, depth: int) -> bool:
        where = self._file(folder)
        done = run_git(where, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        if done is None or done.returncode != 0:
            if done is not None and is_distrusted(done.stderr):
                self.listing.warnings.append(_distrusted(self._name(folder), where))
            return False
        names = {name for name in done.stdout.split(b"\0") if name}
        if not names:
            # The user named a folder that its own repository ignores (build/, .venv/): then it is meant.
            ignored = run_git(where, "check-ignore", "--quiet", ".")
            if ignored is not None and ignored.returncode == 0:
                return False
        self.listing.errors += [
            SourceError(self._name(_below(folder, os.fsdecode(name))), "it cannot be opened")
            for line in done.stderr.splitlines()
            if line.startswith(_NOT_OPENED) and (name := line[len(_NOT_OPENED) :].split(b"'")[0].rstrip(b"/"))
        ]
        for name in sorted(names):
            self._take_git_name(folder, os.fsdecode(name).rstrip("/"), depth)
        return True

    def _take_git_name(self, folder: str, name: str, depth: int) -> None:
        # A repository's index is not trusted either: it may name "../../secret", or a file below a folder
        # that has since been replaced by a link out of the tree.
        if any(part in {"", ".", ".."} for part in name.split("/")):
            return
        path = _below(folder, name)
        if not self._enters(path.rpartition("/")[0]):
            return
        try:
            mode = os.lstat(self._file(path)).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return  # tracked by git and deleted since, or outside a sparse checkout
        except OSError as error:
            self.listing.errors.append(SourceError(self._name(path), told(error)))
            return
        if not stat.S_ISDIR(mode):
            self._take_file(path, is_link=stat.S_ISLNK(mode), is_file=stat.S_ISREG(mode))
        elif self._enters(path):
            self.take(path, depth + 1)  # a submodule, or a repository inside: git lists its name only

    def _enters(self, folder: str) -> bool:
        """Whether `folder` is a folder and not a link, nor any above it, and the user does not exclude it."""
        known = self._entered.get(folder)
        if known is None:
            known = self._enters(folder.rpartition("/")[0]) and self._is_folder(folder)
            if known and self._choice.excludes_folder(folder):
                self.listing.left_out.append((folder, EXCLUDED))
                known = False
            self._entered[folder] = known
        return known

    def _is_folder(self, path: str) -> bool:
        try:
            return stat.S_ISDIR(os.lstat(self._file(path)).st_mode)
        except OSError:
            return False

    def _walk(self, top: str, depth: int) -> None:
        waiting = [(top, self._rules_above(top) if self._use_ignores else ())]
        while waiting:
            folder, rules = waiting.pop()
            try:
                with os.scandir(self._file(folder)) as scanned:
                    entries = {entry.name: entry for entry in scanned}
                status = os.stat(self._file(folder))  # noqa: PTH116 - as text, like all paths of a listing
            except OSError as error:
                self.listing.errors.append(SourceError(self._name(folder), told(error)))
                continue
            if folder != top and self._use_ignores and ".git" in entries:
                self.take(folder, depth + 1)
            elif (status.st_dev, status.st_ino) in self._seen:
                self.listing.left_out.append((folder, "a folder that was read under another name"))
            elif not self._use_ignores or self._is_written(folder, entries):
                self._seen.add((status.st_dev, status.st_ino))
                waiting += self._take_entries(folder, entries, rules)

    def _is_written(self, folder: str, entries: "dict[str, os.DirEntry[str]]") -> bool:
        """Whether a folder holds what somebody wrote: no virtual environment, no repository's own files."""
        if entries.keys() >= _OWN_FILES_OF_GIT:
            if not folder:
                hint = "name a working tree: git worktree add ../tree, then ../tree"
                raise UnsupportedSourceError(self._shown, _NO_WORKING_TREE, hint)
            self.listing.left_out.append((folder, _NO_WORKING_TREE))
            return False
        if folder and "pyvenv.cfg" in entries:
            self.listing.left_out.append((folder, _TOOLS_OWN))
            return False
        return True

    def _take_entries(
        self, folder: str, entries: "dict[str, os.DirEntry[str]]", rules: tuple[Rules, ...]
    ) -> "list[tuple[str, tuple[Rules, ...]]]":
        """Keep the files of a folder; its folders to look into, each with the rules that hold there."""
        if self._use_ignores and ".gitignore" in entries:
            rules = (*rules_of(entries[".gitignore"].path, f"{folder}/" if folder else ""), *rules)
        folders = []
        for name, entry in entries.items():
            path = f"{folder}/{name}" if folder else name
            is_folder = _is_folder(entry)
            if name == ".git" or (rules and ignores(rules, path, is_folder=is_folder)):
                continue
            if not is_folder:
                self._take_file(
                    path, is_link=entry.is_symlink(), is_file=entry.is_file(follow_symlinks=False)
                )
                continue
            self._count()
            if self._use_ignores and name in _TOOL_FOLDERS:
                self.listing.left_out.append((path, _TOOLS_OWN))
            elif self._choice.excludes_folder(path):
                self.listing.left_out.append((path, EXCLUDED))
            else:
                folders.append((path, rules))
        return folders

    def _rules_above(self, top: str) -> tuple[Rules, ...]:
        """What rules `top` besides its own files: a repository that git does not list, and the user."""
        repository = repository_of(self._file(top))
        prefix = f"{top}/" if top else ""
        rules: list[Rules] = []
        above, folder = "", self._file(top).rstrip("/")
        while repository is not None and folder != repository.rstrip("/"):
            folder, _, name = folder.rpartition("/")
            above = f"{name}/{above}"
            rules += rules_of(f"{folder}/.gitignore", prefix, above)
        if repository is not None:
            rules += rules_of(f"{folder}/.git/info/exclude", prefix, above)
        if self._global is None:
            self._global = global_ignore_file()
        rules += rules_of(self._global, prefix, above)
        if any(rule.ignores_start() for rule in rules):
            return ()  # the folder is ignored itself, and was named all the same
        return tuple(rules)

    def _take_file(self, path: str, *, is_link: bool, is_file: bool) -> None:
        self._count()
        if is_link or not is_file:
            self.listing.left_out.append((path, LINK if is_link else "not a regular file"))
        elif reason := self._choice.reason_against(path):
            self.listing.left_out.append((path, reason))
        else:
            self.listing.files.append(path)
            if len(self.listing.files) > MAX_FILES:
                why = f"more than {MAX_FILES:,} files"
                hint = "name the folder that matters, or narrow it with --include and --exclude"
                raise LimitError(self._shown, why, hint)

    def _count(self) -> None:
        self.listing.num_entries += 1
        if self.listing.num_entries > MAX_ENTRIES:
            why = f"more than {MAX_ENTRIES:,} files and folders"
            raise LimitError(self._shown, why, "name the folder that matters")

    def _file(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root or "/"

    def _name(self, path: str) -> str:
        return _below(self._shown.rstrip("/"), path) if path else self._shown


def _below(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder else path


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _distrusted(shown: str, where: str) -> str:
    top = repository_of(where) or where
    return (
        f"{shown}: git does not trust this repository, since another user owns it, so its .gitignore files "
        f"alone say what is read (to trust it: git config --global --add safe.directory {top})"
    )
