"""What belongs to a folder: git's own answer in a repository, its rules elsewhere, and nothing outside the folder."""

import hashlib
import os
import shutil
import struct
from pathlib import Path

import pytest
from source_trees import below, git, own_git_settings, reasons, write

from lctx.core.errors import EmptySourceError, LimitError, UnsupportedSourceError
from lctx.formats import git as formats_git
from lctx.formats import listing
from lctx.formats.sources import find_sources

__all__ = ["own_git_settings"]


@pytest.fixture(params=[False, True], ids=["walked", "git"])
def prepared(request):
    """Something that makes a folder a repository, or leaves it alone."""
    return (lambda root: git(root, "init", "-q")) if request.param else (lambda root: None)


def write_index(root: Path, *names: bytes) -> None:
    """An index that git would never write: version 2, each entry an empty file."""
    entries = b""
    for name in sorted(names):
        entry = struct.pack(">10I20sH", *[0] * 6, 0o100644, 0, 0, 0, bytes(20), len(name)) + name + b"\0"
        entries += entry + b"\0" * (-len(entry) % 8)
    content = b"DIRC" + struct.pack(">2I", 2, len(names)) + entries
    (root / ".git/index").write_bytes(content + hashlib.sha1(content, usedforsecurity=False).digest())


def test_an_index_cannot_lead_out_of_the_folder(tmp_path):
    """This test ensures that entries with ".." or a leading slash in a forged index are never opened."""
    write(tmp_path, {"secret.txt": "password", "r/in.txt": "x", "r/d/e.txt": "x"})
    git(tmp_path / "r", "init", "-q")
    absolute = os.fsencode(tmp_path / "secret.txt")
    write_index(tmp_path / "r", b"../secret.txt", b"d/../../secret.txt", absolute, b"in.txt", b"./in.txt")
    assert below(tmp_path / "r") == ["d/e.txt", "in.txt"]


def test_a_folder_that_became_a_link_leads_nowhere(tmp_path):
    """This test ensures that tracked files below a folder are not read through a link put in its place."""
    write(tmp_path, {"outside/secret.txt": "password", "r/d/secret.txt": "x", "r/a.txt": "a"})
    git(tmp_path / "r", "init", "-q")
    git(tmp_path / "r", "add", "-A")
    shutil.rmtree(tmp_path / "r/d")
    (tmp_path / "r/d").symlink_to("../outside")
    assert below(tmp_path / "r") == ["a.txt"]
    assert reasons(tmp_path / "r") == {"d": "a symbolic link"}


def test_no_ignore_takes_all_but_git_and_what_is_excluded(tmp_path, prepared):
    """This test ensures that `use_ignores=False` reads ignored files and tools' folders, and still skips noise."""
    files = {
        ".gitignore": "*.log\nnode_modules/\n",
        "a.log": "x",
        "node_modules/m.js": "x",
        "pic.png": b"\x89PNG",
    }
    root = write(tmp_path / "r", {**files, "secret/s.txt": "x"})
    prepared(root)
    assert below(root, exclude=["secret/"]) == [".gitignore"]
    chosen = {"use_ignores": False, "exclude": ["secret/"]}
    assert below(root, **chosen) == [".gitignore", "a.log", "node_modules/m.js"]
    assert reasons(root, **chosen) == {"pic.png": "binary (.png)", "secret": "--exclude"}


def test_an_excluded_folder_is_said_once(tmp_path, prepared):
    """This test ensures that a folder which is excluded whole is one line, and is not looked into."""
    root = write(tmp_path / "r", {f"t/{number}/x.py": "x" for number in range(5)} | {"a.py": "a"})
    prepared(root)
    assert below(root, exclude=["t/"]) == ["a.py"]
    assert reasons(root, exclude=["t/"]) == {"t": "--exclude"}
    assert below(root, exclude=["t/*", "!t/3"]) == ["a.py", "t/3/x.py"]


def test_the_users_own_rules_hold_everywhere(tmp_path, monkeypatch, prepared):
    """This test ensures that $XDG_CONFIG_HOME/git/ignore and core.excludesFile count, repository or not."""
    root = write(tmp_path / "r", {"a.py": "a", "b.swp": "b", "c.bak": "c", "sub/d.swp": "d"})
    prepared(root)
    write(Path(os.environ["XDG_CONFIG_HOME"]), {"git/ignore": "*.swp\n"})
    assert below(root) == ["a.py", "c.bak"]
    write(tmp_path, {"mine": "/c.bak\n", "config": f"[core]\nexcludesFile = {tmp_path}/mine\n"})
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    assert below(root) == ["a.py", "b.swp", "sub/d.swp"]


def test_info_exclude_holds(tmp_path, monkeypatch):
    """This test ensures that .git/info/exclude is obeyed, by git and without it."""
    root = write(tmp_path / "r", {"a.py": "a", "private/b.py": "b", "sub/private/c.py": "c", "sub/d.py": "d"})
    git(root, "init", "-q")
    (root / ".git/info/exclude").write_text("/private/\n")
    for name in ("git", "no-such-git-anywhere"):
        monkeypatch.setattr(formats_git, "_SAFE_GIT", (name,))
        assert below(root) == ["a.py", "sub/d.py", "sub/private/c.py"]
        assert below(root / "sub") == ["d.py", "private/c.py"]


def test_rules_of_the_folders_above_hold_without_git(tmp_path, monkeypatch):
    """This test ensures that a named subfolder obeys its repository, and one that is ignored itself is meant."""
    root = write(tmp_path / "r", {".gitignore": "/a/no.py\n*.log\nout/\n", "a/no.py": "x", "a/b/no.py": "x"})
    write(
        root, {"a/.gitignore": "b/x.py\n!keep.log\n", "a/b/x.py": "x", "a/b/keep.log": "x", "a/b/c.log": "x"}
    )
    write(root, {"out/z/o.py": "x", "out/z/o.log": "x"})
    git(root, "init", "-q")
    for name in ("git", "no-such-git-anywhere"):
        monkeypatch.setattr(formats_git, "_SAFE_GIT", (name,))
        assert below(root / "a") == [".gitignore", "b/keep.log", "b/no.py"], name
        assert below(root / "a/b") == ["keep.log", "no.py"], name
        assert below(root / "out/z") == ["o.log", "o.py"], name


def test_repositories_in_a_plain_folder_are_listed_by_git(tmp_path):
    """This test ensures that a folder of clones reads of each what git keeps: tracked files that are ignored too."""
    root = write(tmp_path / "all", {"note.txt": "x", "one/.gitignore": "*.gen\n", "one/kept.gen": "x"})
    write(root, {"one/no.gen": "x", "one/.git/info/exclude": "", "two/a.py": "x"})
    git(root / "one", "init", "-q")
    git(root / "one", "add", "-f", "kept.gen")
    assert below(root) == ["note.txt", "one/.gitignore", "one/kept.gen", "two/a.py"]


def test_worktrees_and_sparse_checkouts_read_what_is_there(tmp_path):
    """This test ensures that a linked worktree is listed by git, and files outside a sparse checkout are not missed."""
    root = write(tmp_path / "r", {".gitignore": "*.tmp\n", "a/x.py": "x", "b/y.py": "y"})
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "x")
    git(root, "worktree", "add", "-q", str(tmp_path / "w"))
    write(tmp_path / "w", {"new.py": "x", "no.tmp": "x"})
    assert below(tmp_path / "w") == [".gitignore", "a/x.py", "b/y.py", "new.py"]
    git(root, "sparse-checkout", "set", "--cone", "--sparse-index", "a")
    assert below(root) == [".gitignore", "a/x.py"]


def test_a_repository_without_a_working_tree_is_said(tmp_path):
    """This test ensures that a bare repository, or a .git folder, is an error named alone and one line in a folder."""
    root = write(tmp_path / "d", {"a.py": "a"})
    git(root, "init", "-q", "--bare", "store.git")
    git(root, "init", "-q", "work")
    for name in ("store.git", "work/.git"):
        found = find_sources([str(root / name)])
        assert isinstance(found.errors[0], UnsupportedSourceError)
        assert "no working tree" in found.errors[0].message
    assert below(root) == ["a.py"]
    assert reasons(root) == {"store.git": "it holds a git repository's own files, no working tree"}


def test_a_repository_of_another_user_is_walked_and_said(tmp_path, monkeypatch):
    """This test ensures that git's refusal is a warning with the remedy, its rules hold, and the remedy works."""
    root = write(tmp_path / "r", {".gitignore": "*.log\n", "a.log": "x", "a.py": "x"})
    git(root, "init", "-q")
    try:
        for path in (root, root / ".git", *root.rglob("*")):
            os.chown(path, 65534, 65534)
    except PermissionError:
        pytest.skip("only root can give a folder to another user")
    found = find_sources([str(root)])
    assert [Path(source.path).name for source in found.files] == [".gitignore", "a.py"]
    assert (len(found.warnings), found.errors) == (1, ())
    assert f"safe.directory {root}" in found.warnings[0]
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(root))
    assert find_sources([str(root)]).warnings == ()


def test_what_gitattributes_call_generated_is_passed_over(tmp_path, prepared):
    """This test ensures that linguist-generated counts file by file, the innermost and last rule winning."""
    root = write(
        tmp_path / "r",
        {
            ".gitattributes": "# *.md linguist-generated\n*.gen.ts linguist-generated=true\napi/** text linguist-generated\n"
            "api/hand.py -linguist-generated\nplain linguist-generated\n*.txt linguist-generated=false\n",
            "x.gen.ts": "x", "api/a.py": "x", "api/hand.py": "x", "plain/p.py": "x", "t.txt": "x", "r.md": "x",
            "lib/.gitattributes": "*.gen.ts !linguist-generated\n", "lib/y.gen.ts": "x",
        },
    )  # fmt: skip
    prepared(root)
    expected = ["api/hand.py", "lib/y.gen.ts", "plain/p.py", "r.md", "t.txt"]
    assert [path for path in below(root) if ".gitattributes" not in path] == expected
    assert below(root, include=["*.ts"]) == ["lib/y.gen.ts"]
    assert reasons(root)["x.gen.ts"] == reasons(root)["api/a.py"] == "generated (.gitattributes)"


def test_hostile_nesting_is_bounded(tmp_path, monkeypatch):
    """This test ensures that repositories inside each other, and folders too deep for a path, end with their reason."""
    inner = tmp_path / "r"
    for _ in range(4):
        write(inner, {"x.py": "x"})
        git(inner, "init", "-q")
        inner /= "in"
    monkeypatch.setattr(listing, "MAX_NESTED_REPOSITORIES", 2)
    assert below(tmp_path / "r") == ["in/in/x.py", "in/x.py", "x.py"]
    assert reasons(tmp_path / "r") == {"in/in/in": "a repository inside too many others"}


def test_a_path_too_long_to_open_is_an_error_of_its_own(tmp_path):
    """This test ensures that a folder deeper than the system can name costs only itself."""
    write(tmp_path, {"r/a.txt": "a"})
    here = os.open(tmp_path / "r", os.O_RDONLY)
    try:
        for _ in range(25):
            os.mkdir("d" * 200, dir_fd=here)
            deeper = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = deeper
    finally:
        os.close(here)
    found = find_sources([str(tmp_path / "r")])
    assert [Path(source.path).name for source in found.files] == ["a.txt"]
    assert [error.why for error in found.errors] == ["file name too long"]


def test_ceilings_of_a_folder_count_what_is_wanted(tmp_path, monkeypatch, prepared):
    """This test ensures that --include brings a folder below the ceiling for files, and entries have their own."""
    root = write(tmp_path / "r", {f"{number}.txt": "x" for number in range(9)} | {"a.py": "x"})
    prepared(root)
    monkeypatch.setattr(listing, "MAX_FILES", 5)
    (error,) = find_sources([str(root)]).errors
    assert isinstance(error, LimitError)
    assert "--include" in error.hint
    assert below(root, include=["*.py"]) == ["a.py"]
    monkeypatch.setattr(listing, "MAX_ENTRIES", 9)
    (error,) = find_sources([str(root)], include=["*.py"]).errors
    assert isinstance(error, LimitError)


def test_a_folder_of_ignored_files_says_how_to_read_them(tmp_path):
    """This test ensures that a folder where everything is ignored is an error that names --no-ignore."""
    root = write(tmp_path / "r", {".gitignore": "*\n", "a.py": "x"})
    (error,) = find_sources([str(root)]).errors
    assert isinstance(error, EmptySourceError)
    assert "--no-ignore" in error.hint
    assert below(root, use_ignores=False) == [".gitignore", "a.py"]
