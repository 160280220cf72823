"""Finding the files behind names, and reading their bytes: nothing is missed, followed out, or hung upon."""

import io
import os
import socket
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from source_trees import below, git, own_git_settings, reasons, write

from lctx.core.errors import (
    EmptySourceError,
    LimitError,
    MissingSourceError,
    SourceError,
    UnsupportedSourceError,
    UsageError,
)
from lctx.formats import git as formats_git
from lctx.formats import listing, source_file
from lctx.formats.names import printable
from lctx.formats.sources import (
    Skipped,
    SourceFile,
    find_sources,
    names_source,
    read_bytes,
    read_stdin,
    read_with_status,
)

__all__ = ["own_git_settings"]


def test_names_come_in_their_order_and_folders_sorted(tmp_path, monkeypatch):
    """This test ensures that paths are shown as typed and can be opened, folders in a stable order."""
    write(tmp_path, {"repo/src/b.py": "b", "repo/src/a.py": "a", "repo/src-x.py": "x", "z.txt": "z"})
    monkeypatch.chdir(tmp_path)
    found = find_sources(["z.txt", "./repo/", "repo/src/a.py"])
    assert [source.path for source in found.files] == [
        "z.txt",
        "repo/src/a.py",
        "repo/src/b.py",
        "repo/src-x.py",
    ]
    assert all(Path(source.path).samefile(source.file) for source in found.files)
    assert [source.path for source in find_sources(["."]).files] == [
        "repo/src/a.py",
        "repo/src/b.py",
        "repo/src-x.py",
        "z.txt",
    ]
    monkeypatch.chdir(tmp_path / "repo")
    assert find_sources([".."]).files[0].path == "../repo/src/a.py"


def test_a_file_is_read_once_however_it_is_named(tmp_path, monkeypatch):
    """This test ensures that one file under several names, links or inside its folder is one source."""
    write(tmp_path, {"d/a.txt": "a"})
    (tmp_path / "link").symlink_to("d/a.txt")
    monkeypatch.chdir(tmp_path)
    found = find_sources(["link", "d/a.txt", f"{tmp_path}/d/../d/a.txt", "d", "-", "-"])
    assert [source.path for source in found.files] == ["link", "-"]
    assert found.errors == ()


@pytest.mark.parametrize("name", ["nowhere.pdf", "", "a\0b", "x" * 5000, "file.txt/inside"])
def test_what_is_not_there_is_missing(tmp_path, monkeypatch, name):
    """This test ensures that a name without a file is an error of its own, and the others are still found."""
    write(tmp_path, {"file.txt": "x"})
    monkeypatch.chdir(tmp_path)
    found = find_sources([name, "file.txt"])
    assert [source.path for source in found.files] == ["file.txt"]
    assert len(found.errors) == 1
    assert isinstance(found.errors[0], MissingSourceError | SourceError)
    assert "\n" not in found.errors[0].message


def test_gitignore_rules_hold_without_git(tmp_path):
    """This test ensures that nested rules, negation and anchors mean what git says, and tool folders are passed."""
    write(
        tmp_path,
        {
            ".gitignore": "*.log\n/build/\n!keep.log\n[bad\n",
            "a.log": "x", "keep.log": "x", "build/x.py": "x", "src/build/y.py": "x",
            "src/.gitignore": "!b.log\nsecret*\n", "src/b.log": "x", "src/secret.txt": "x",
            "node_modules/m/i.js": "x", "venv/pyvenv.cfg": "x", "venv/l.py": "x", ".github/ci.yml": "x",
        },
    )  # fmt: skip
    assert below(tmp_path) == [
        ".github/ci.yml",
        ".gitignore",
        "keep.log",
        "src/.gitignore",
        "src/b.log",
        "src/build/y.py",
    ]
    assert reasons(tmp_path) == dict.fromkeys(["node_modules", "venv"], "a tool's own folder")


def test_a_hostile_ignore_file_costs_no_time(tmp_path):
    """This test ensures that patterns made to backtrack over long names are passed over."""
    write(tmp_path, {".gitignore": "*a" * 30 + "b\n" + "*.log\n", "a" * 250: "x", "x.log": "x"})
    started = time.process_time()
    assert below(tmp_path) == [".gitignore", "a" * 250]
    assert time.process_time() - started < 2


def test_git_decides_inside_a_working_tree(tmp_path, monkeypatch):
    """This test ensures that tracked files, new ones, nested and global rules are exactly those of git."""
    write(
        tmp_path / "r",
        {
            ".gitignore": "out/\n*.tmp\n", "a.py": "x", "b.tmp": "x", "out/c.py": "x", "sub/.gitignore": "!d.tmp\n",
            "sub/d.tmp": "x", "sub/e.tmp": "x", "forced.tmp": "x", "mine.swp": "x", "deleted.py": "x",
        },
    )  # fmt: skip
    write(tmp_path, {"ignore": "*.swp\n", "gitconfig": f"[core]\nexcludesFile = {tmp_path}/ignore\n"})
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    root = tmp_path / "r"
    git(root, "init", "-q")
    git(root, "add", "-f", "forced.tmp", "deleted.py")
    (root / "deleted.py").unlink()
    assert below(root) == [".gitignore", "a.py", "forced.tmp", "sub/.gitignore", "sub/d.tmp"]
    assert below(root / "sub") == [".gitignore", "d.tmp"]
    assert below(root / "out") == ["c.py"], "an ignored folder that is named itself is meant"


def test_repositories_inside_repositories_are_read(tmp_path):
    """This test ensures that submodules and clones inside a working tree bring their own files and rules."""
    inner = write(tmp_path / "outer/inner", {".gitignore": "no.py\n", "yes.py": "x", "no.py": "x"})
    write(tmp_path / "outer", {"top.py": "x"})
    write(tmp_path / "module", {"m.py": "x"})
    for root in (tmp_path / "outer", inner, tmp_path / "module"):
        git(root, "init", "-q")
    git(tmp_path / "module", "add", "-A")
    git(tmp_path / "module", "commit", "-q", "-m", "x")
    git(tmp_path / "outer", "submodule", "add", "-q", str(tmp_path / "module"), "linked")
    assert below(tmp_path / "outer") == [
        ".gitmodules",
        "inner/.gitignore",
        "inner/yes.py",
        "linked/m.py",
        "top.py",
    ]
    git(tmp_path / "outer", "submodule", "deinit", "-f", "-q", "linked")
    assert "linked/m.py" not in below(tmp_path / "outer")


def test_a_hostile_repository_runs_nothing(tmp_path):
    """This test ensures that no setting of a repository starts a program while its files are listed."""
    root = write(tmp_path / "r", {"a.py": "x", ".gitattributes": "* filter=evil diff=evil\n"})
    git(root, "init", "-q")
    git(root, "add", "-A")
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\nexit 1\n")
    trap.chmod(0o755)
    hook = root / ".git/hooks/post-index-change"
    hook.write_text(trap.read_text())
    hook.chmod(0o755)
    with (root / ".git/config").open("a") as config:
        config.write(
            f"[core]\nfsmonitor = {trap}\nsshCommand = {trap}\npager = {trap}\nhooksPath = {root}/.git/hooks\n"
            f'[filter "evil"]\nclean = {trap}\nprocess = {trap}\n[alias]\nls-files = !{trap}\n'
            f"[index]\nsparse = true\n"
        )
    (root / "a.py").write_text("changed")
    assert below(root) == [".gitattributes", "a.py"]
    assert not (tmp_path / "sprung").exists()


def test_git_variables_of_a_hook_do_not_mislead(tmp_path, monkeypatch):
    """This test ensures that GIT_DIR and its kin, set while a hook runs, do not show another repository."""
    for name in ("one", "two"):
        git(write(tmp_path / name, {f"{name}.py": "x"}), "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "one/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "one"))
    assert below(tmp_path / "two") == ["two.py"]


def test_without_git_the_rules_still_hold(tmp_path, monkeypatch):
    """This test ensures that a machine without git reads the same files through the .gitignore rules."""
    root = write(tmp_path, {".gitignore": "x.py\n", "x.py": "x", "y.py": "x"})
    git(root, "init", "-q")
    monkeypatch.setattr(formats_git, "_SAFE_GIT", ("no-such-git-anywhere",))
    assert below(root) == [".gitignore", "y.py"]


def test_links_inside_a_folder_are_never_followed(tmp_path):
    """This test ensures that a link out of the folder, to a folder above, or to itself leads nowhere."""
    write(tmp_path, {"secret.txt": "password", "d/a.txt": "a", "d/sub/b.txt": "b"})
    for name, target in {
        "out.txt": "../secret.txt",
        "loop": "..",
        "self": "self",
        "in.txt": "a.txt",
        "dead": "gone",
    }.items():
        (tmp_path / "d" / name).symlink_to(target)
    (tmp_path / "d/sub/up").symlink_to("../../d")
    expected = {"out.txt", "loop", "self", "in.txt", "dead", "sub/up"}
    for prepare in (None, lambda: git(tmp_path / "d", "init", "-q")):
        if prepare:
            prepare()
        assert below(tmp_path / "d") == ["a.txt", "sub/b.txt"]
        assert {path for path, why in reasons(tmp_path / "d").items() if why == "a symbolic link"} == expected


def test_a_link_that_is_named_is_followed(tmp_path):
    """This test ensures that links to files and folders work where the user names them, circles are told."""
    write(tmp_path, {"d/a.txt": "a"})
    (tmp_path / "folder").symlink_to("d")
    (tmp_path / "circle").symlink_to("circle")
    assert [source.path for source in find_sources([f"{tmp_path}/folder"]).files] == [
        f"{tmp_path}/folder/a.txt"
    ]
    assert "circle" in find_sources([f"{tmp_path}/circle"]).errors[0].message


def test_include_and_exclude_narrow_a_folder_only(tmp_path):
    """This test ensures that patterns work as in .gitignore, say what they cut, and leave named files alone."""
    write(tmp_path, {"a.py": "x", "b.md": "x", "tests/t.py": "x", "docs/d.md": "x"})
    assert below(tmp_path, include=["*.py"]) == ["a.py", "tests/t.py"]
    assert below(tmp_path, include=["*.py", "/docs/"], exclude=["tests/"]) == ["a.py", "docs/d.md"]
    assert reasons(tmp_path, include=["*.py"], exclude=["tests/"]) == {
        "b.md": "not in --include", "docs/d.md": "not in --include", "tests": "--exclude",
    }  # fmt: skip
    named = find_sources([str(tmp_path / "b.md")], include=["*.py"], exclude=["*.md"])
    assert len(named.files) == 1
    for wrong in ("", "   ", "# no", "!"):
        with pytest.raises(UsageError, match="--include"):
            find_sources([str(tmp_path)], include=[wrong])


def test_what_nobody_would_read_is_passed_over_and_said(tmp_path):
    """This test ensures that locks, generated, minified, binary and empty files of a folder give their reason."""
    write(
        tmp_path,
        {
            "package-lock.json": "{}", "~$a.docx": b"\x05x", "._a.docx": b"\x00\x05", "x_pb2.py": "x", "app.min.js": "x", "pic.png": b"\x89PNG\r\n\x1a\n", "data": b"\x00\x01" * 90,
            "bundle.js": "var a=1;" * 2000, "gen.go": "// Code generated by protoc. DO NOT EDIT.\npackage x\n",
            "book.xlsx": b"PK\x03\x04", "photo": b"\xff\xd8\xff\xe0" + b"\x00" * 50, "empty.txt": "", "blank.txt": " \n", "old": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            "kept.json": '{"a":' + "1" * 9000 + "}", "notes.md": "<!-- generated by x.py, do not edit -->\n@generated means",
            "prose.py": "# how '@generated' is read\n", "r.pdf": b"%PDF-1.4\n\x00\x01",
        },
    )  # fmt: skip
    told = reasons(tmp_path)
    assert below(tmp_path) == ["kept.json", "notes.md", "prose.py", "r.pdf"]
    assert told["package-lock.json"] == told["~$a.docx"] == "a lock file"
    assert told["._a.docx"] == "metadata of macOS"
    assert told["gen.go"] == told["x_pb2.py"] == "generated"
    assert told["bundle.js"] == told["app.min.js"] == "minified"
    assert told["empty.txt"] == told["blank.txt"] == "empty"
    assert told["pic.png"] == "binary (.png)"
    assert told["photo"] == "binary (a JPEG image)"
    assert told["old"].startswith("binary (an Office file")
    assert told["data"] == "binary"
    assert read_bytes(find_sources([str(tmp_path / "package-lock.json")]).files[0]) == b"{}", "named, so read"


@pytest.mark.parametrize("files", [{}, {"a.png": b"\x89PNG\r\n\x1a\n"}, {".gitignore": "*\n", "a.py": "x"}])
def test_a_folder_without_anything_to_read_is_an_error(tmp_path, files):
    """This test ensures that an empty folder, or one of pictures, is never a silent success."""
    found = find_sources([str(write(tmp_path, files))], exclude=[".gitignore"])
    assert found.files == ()
    assert isinstance(found.errors[0], EmptySourceError)
    assert found.errors[0].hint


def test_odd_names_are_found_read_and_shown_on_one_line(tmp_path):
    """This test ensures that newlines, escapes, direction marks and bytes outside UTF-8 in names do no harm."""
    names = [
        b"new\nline.txt",
        b"\x1b[31mred.txt",
        b"caf\xe9.txt",
        "caf\u00e9.txt".encode(),
        "\u202egpj.txt".encode(),
        b" space .txt",
        b"-dash.txt",
    ]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"x " + name)
    for prepare in (None, lambda: git(tmp_path, "init", "-q")):
        if prepare:
            prepare()
        found = find_sources([str(tmp_path)])
        assert len(found.files) == len(names)
        assert sorted(read_bytes(source)[2:] for source in found.files) == sorted(names)
        for source in found.files:
            assert source.path.isprintable()
            source.path.encode("utf-8")
    assert printable("a\nb\x1b\udce9é") == r"a\nb\x1b\xe9é"


def test_pipes_sockets_and_devices_are_refused_without_waiting(tmp_path, monkeypatch):
    """This test ensures that nothing hangs on a pipe nobody writes to, named or inside a folder."""
    write(tmp_path, {"a.txt": "a"})
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        found = find_sources(["pipe", "socket", "/dev/null", "."])
    assert [type(error) for error in found.errors] == [UnsupportedSourceError] * 3
    assert [source.path for source in found.files] == ["a.txt"]
    assert {one.path for one in found.skipped} == {"pipe", "socket"}
    with pytest.raises(UnsupportedSourceError):
        read_bytes(SourceFile("pipe", str(tmp_path / "pipe")))


def test_what_changes_between_finding_and_reading_is_an_error(tmp_path, monkeypatch):
    """This test ensures that a file that vanished, became a link, or grows while it is read is never half read."""
    write(tmp_path, {"a.txt": "a", "b.txt": "b", "c.txt": "c" * 100, "secret": "s"})
    sources_found = find_sources([str(tmp_path)]).files
    by_name = {Path(source.path).name: source for source in sources_found}
    (tmp_path / "a.txt").unlink()
    with pytest.raises(MissingSourceError, match="vanished"):
        read_bytes(by_name["a.txt"])
    (tmp_path / "b.txt").unlink()
    (tmp_path / "b.txt").symlink_to("secret")
    with pytest.raises(SourceError):
        read_bytes(by_name["b.txt"])
    read = os.read

    def growing(handle, size):
        piece = read(handle, size)
        with (tmp_path / "c.txt").open("a") as file:
            file.write("more")
        return piece

    monkeypatch.setattr(source_file.os, "read", growing)
    with pytest.raises(SourceError, match="changed"):
        read_bytes(by_name["c.txt"])


def test_what_may_not_be_read_is_an_error_of_its_own(tmp_path):
    """This test ensures that unreadable files and folders are named, and the rest is found."""
    write(tmp_path, {"a.txt": "a", "b.txt": "b", "closed/c.txt": "c"})
    (tmp_path / "b.txt").chmod(0)
    (tmp_path / "closed").chmod(0)
    if os.access(tmp_path / "b.txt", os.R_OK):
        pytest.skip("this user may read everything")
    try:
        for prepare in (None, lambda: git(tmp_path, "init", "-q")):
            if prepare:
                prepare()
            found = find_sources([str(tmp_path), str(tmp_path / "b.txt")])
            assert [source.path for source in found.files] == [f"{tmp_path}/a.txt", f"{tmp_path}/b.txt"]
            assert sorted(error.path for error in found.errors) == [f"{tmp_path}/b.txt", f"{tmp_path}/closed"]
        with pytest.raises(SourceError, match="permission denied"):
            read_bytes(found.files[1])
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_ceilings_are_named(tmp_path, monkeypatch):
    """This test ensures that a huge file, an endless stream and a folder without end are LimitErrors."""
    write(tmp_path, {"a.txt": "a" * 2000, "b.txt": "b"})
    monkeypatch.setattr(source_file, "MAX_TEXT_BYTES", 1000)
    with pytest.raises(LimitError):
        read_bytes(SourceFile("a.txt", str(tmp_path / "a.txt")))
    with pytest.raises(LimitError):
        read_stdin(io.BytesIO(b"x" * 1001))
    assert read_stdin(io.BytesIO(b"x" * 1000)) == b"x" * 1000
    monkeypatch.setattr(listing, "MAX_FILES", 1)
    assert isinstance(find_sources([str(tmp_path)]).errors[0], LimitError)


@pytest.mark.parametrize(
    ("head", "size", "error"),
    [
        (b"", 2**40, LimitError), (b"%PDF-1.4\n", 2**40, LimitError), (b"words\n" * 2000, 2**30, LimitError),
        (b"", 2**30, UnsupportedSourceError), (b"\x7fELF\x02\x01\x01\x00", 2**30, UnsupportedSourceError),
    ],
)  # fmt: skip
def test_a_sparse_giant_is_refused_before_it_is_read(tmp_path, head, size, error):
    """This test ensures that a gigabyte that no reader takes, or a terabyte of anything, costs no memory."""
    giant = tmp_path / "giant.txt"
    giant.write_bytes(head)
    os.truncate(giant, size)
    tracemalloc.start()
    try:
        with pytest.raises(error):
            read_bytes(SourceFile("giant.txt", str(giant)))
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_a_stream_that_is_too_much_text_is_refused_on_the_way(monkeypatch):
    """This test ensures that endless text is given up at the ceiling for text, and a container may be larger."""
    monkeypatch.setattr(source_file, "MAX_TEXT_BYTES", 3 * 2**20)

    class Endless(io.RawIOBase):
        def __init__(self, opening):
            self.opening, self.num_read = opening, 0

        def read(self, size=-1):
            self.num_read += size
            return self.opening.ljust(size, b"x")

    text = Endless(b"words ")
    with pytest.raises(LimitError, match="of text"):
        read_stdin(text)
    assert text.num_read <= 4 * 2**20
    monkeypatch.setattr(source_file, "MAX_SOURCE_BYTES", 6 * 2**20)
    with pytest.raises(LimitError, match="more than 0 GiB"):
        read_stdin(Endless(b"%PDF-1.4\n"))


def test_standard_input_that_is_closed_is_an_error():
    """This test ensures that a closed stream is told, not a traceback."""
    stream = io.BytesIO(b"x")
    stream.close()
    with pytest.raises(SourceError, match="standard input"):
        read_stdin(stream)


def test_files_of_proc_are_read_whole():
    """This test ensures that files which claim 0 bytes are read by their content."""
    if not Path("/proc/version").exists():
        pytest.skip("no /proc here")
    assert read_bytes(find_sources(["/proc/version"]).files[0]).startswith(b"Linux")


@pytest.mark.parametrize(
    ("typed", "pages"),
    [("10-40", (10, 40)), ("7", (7, 7)), ("3-", (3, None)), ("1-1", (1, 1)), ("007-9", (7, 9))],
)
def test_pages_stand_behind_the_name(tmp_path, monkeypatch, typed, pages):
    """This test ensures that a range of pages is told from the file's name, which is shown and opened without it."""
    write(tmp_path, {"a.pdf": b"%PDF-1.4\n", "odd#1.pdf": b"%PDF-1.4\n"})
    monkeypatch.chdir(tmp_path)
    for name in ("a.pdf", "odd#1.pdf"):
        (source,) = find_sources([f"{name}#{typed}"]).files
        assert (source.path, Path(source.file), source.pages) == (name, tmp_path / name, pages)
        assert find_sources([source.name]).files == (source,)
        assert read_bytes(source) == b"%PDF-1.4\n"
        assert names_source(f"{name}#{typed}")


@pytest.mark.parametrize(
    "typed", ["", "0", "0-3", "3-0", "40-10", "-5", "a", "1-2-3", "1,3", "٣", "1" * 10, " 1"]
)
def test_what_is_no_range_of_pages_is_a_usage_error(tmp_path, monkeypatch, typed):
    """This test ensures that a range that cannot be meant is told with an example, never read as another."""
    write(tmp_path, {"a.pdf": b"%PDF-1.4\n"})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        find_sources([f"a.pdf#{typed}"])
    assert caught.value.hint
    assert caught.value.message.startswith(f"a.pdf#{typed}: ")


def test_a_mark_in_a_name_is_a_name(tmp_path, monkeypatch):
    """This test ensures that files and folders whose names end like a range are themselves, and others are missing."""
    write(tmp_path, {"a.txt": "a", "a.txt#3": "b", "d#1-2/c.txt": "c", "plain/d.txt": "d", "#4": "e"})
    monkeypatch.chdir(tmp_path)
    found = find_sources(["a.txt#3", "d#1-2", "#4"])
    assert [(one.path, one.pages) for one in found.files] == [
        ("a.txt#3", None),
        ("d#1-2/c.txt", None),
        ("#4", None),
    ]
    for name in ("plain#3", "gone.pdf#3", "#3", "-#3"):
        assert not names_source(name)
        assert isinstance(find_sources([name]).errors[0], MissingSourceError)


def test_parts_of_a_file_are_sources_unless_it_is_read_whole(tmp_path, monkeypatch):
    """This test ensures that two ranges are two sources, one range twice is one, and the whole swallows them."""
    write(tmp_path, {"d/a.pdf": b"%PDF-1.4\n", "d/b.txt": "b"})
    monkeypatch.chdir(tmp_path)
    names = ["d/a.pdf#5-6", "d/a.pdf#1", "d/b.txt", "d/../d/a.pdf#5-6", "d/a.pdf#5-5"]
    assert [one.name for one in find_sources(names).files] == [
        "d/a.pdf#5-6",
        "d/a.pdf#1",
        "d/b.txt",
        "d/a.pdf#5",
    ]
    for whole in ("d/a.pdf", "d"):
        assert [one.name for one in find_sources([*names, whole]).files] == ["d/a.pdf", "d/b.txt"]


def test_judging_while_reading_ends_the_same(tmp_path):
    """This test ensures that files judged when they are read leave what looking inside leaves, with the same reasons."""
    noise = {"a/pic": b"\x89PNG\r\n\x1a\n", "a/e.txt": "", "b/f.bin": b"\0\1" * 9000, "b/m.js": "v=1;" * 9000}
    write(
        tmp_path,
        noise | {"c/g.go": "// Code generated by x. DO NOT EDIT.\n", "c/h.txt": "h" * 20000, "i.lock": "x"},
    )
    names = [str(tmp_path / name) for name in ("a", "b", "c", "i.lock")]
    early, found = find_sources(names), find_sources(names, look_inside=False)
    assert len(found.files) == len(noise) + 3
    read = {source: read_with_status(source)[0] for source in found.files}
    late = found.passing_over(
        {source.file: content.reason for source, content in read.items() if isinstance(content, Skipped)}
    )
    assert [source.file for source in late.files] == [source.file for source in early.files]
    assert {(one.path, one.reason) for one in late.skipped} == {
        (one.path, one.reason) for one in early.skipped
    }
    assert [error.message for error in late.errors] == [error.message for error in early.errors]
    assert len(late.errors) == 2
    assert all(read[source] == Path(source.file).read_bytes() for source in late.files)


@pytest.mark.parametrize("look_inside", [True, False])
def test_what_is_named_is_read_whatever_it_holds(tmp_path, look_inside):
    """This test ensures that a lock file or a picture named beside its folder is a source, and is not said to be skipped."""
    write(tmp_path, {"a.txt": "a", "pic": b"\x89PNG\r\n\x1a\n", "yarn.lock": "x"})
    for names in (["", "/pic", "/yarn.lock"], ["/pic", "/yarn.lock", ""]):
        found = find_sources([f"{tmp_path}{name}" for name in names], look_inside=look_inside)
        assert {Path(one.file).name for one in found.files if one.is_judged} >= {"pic", "yarn.lock"}
        assert (len(found.files), found.skipped, found.errors) == (3, (), ())
        assert all(isinstance(read_with_status(one)[0], bytes) for one in found.files)


def test_what_an_installed_reader_claims_is_no_noise(tmp_path):
    """This test ensures that a folder's .epub is a source where a distribution reads it, and binary elsewhere."""
    write(
        tmp_path,
        {
            "d/book.epub": b"PK\x03\x04" + bytes(60), "d/pic.svg": "<svg/>", "d/other.zip": b"PK\x03\x04",
            "site/epubs-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: epubs\nVersion: 1.0\n",
            "site/epubs-1.0.dist-info/entry_points.txt": "[lctx.formats]\nepub = epubs:EPUB\n",
            "site/epubs.py": "from lctx.formats.format import Format\n"
            "EPUB = Format('epub', 'epub/1', ('.epub',), lambda path, content, options=None, /: None)\n",
        },
    )  # fmt: skip
    code = "import sys; from lctx.formats.sources import find_sources; print(*[f.path for f in find_sources(['d']).files])"
    for site, expected in ((tmp_path / "site", "d/book.epub"), (tmp_path / "nowhere", "")):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(site)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.stdout.strip(), done.stderr) == (expected, "")
