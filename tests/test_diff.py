"""Unified diffs: each hunk with its file and new lines, whatever git was asked to print."""

import os
import subprocess
from pathlib import Path

import pytest

from lctx.core.document import Document
from lctx.core.errors import DamagedSourceError
from lctx.formats.diff import looks_like_diff, read_diff
from lctx.formats.registry import format_of

PLAIN = "--- old/a.c\t2024-01-01\n+++ new/a.c\t2024-01-02\n@@ -1,2 +1,2 @@ main\n-- x\n+++ y\n same\n--- old/b.c\n+++ new/b.c\n@@ -9 +10,2 @@\n-z\n+z\n+w\n"


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository with an edit, a rename, a deletion, a binary file, a name with spaces and one with an accent."""
    root = tmp_path_factory.mktemp("repository")
    run(root, "init", "-q", "-b", "main")
    (root / "a b.py").write_text("def a():\n    x = 1\n-- old\n++ y\n    return x\n")
    (root / "é.txt").write_text("x\n")
    (root / "gone.txt").write_text("gone\n")
    (root / "bin").write_bytes(b"\0\1")
    run(root, "add", "-A")
    run(root, "commit", "-q", "-m", "one\n\nbody")
    (root / "a b.py").write_text("def a():\n    x = 2\n++ y\n    return x\n")
    (root / "é.txt").write_text("y")
    (root / "gone.txt").unlink()
    (root / "bin").rename(root / "bin2")
    run(root, "add", "-A")
    run(root, "commit", "-q", "-m", "two")
    return root


def run(root: Path, *arguments: str) -> bytes:
    names = {
        f"GIT_{role}_{part}": "a@example.org"
        for role in ("AUTHOR", "COMMITTER")
        for part in ("NAME", "EMAIL")
    }
    environment = {**os.environ, **names, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(
        ["git", *arguments], cwd=root, env=environment, capture_output=True, check=True
    ).stdout


def hunks(document: Document) -> list[str | None]:
    return [document.locate(block.start, block.end).part for block in document.blocks if block.kind == "hunk"]


@pytest.mark.parametrize(
    "command",
    [
        ("diff", "HEAD~1"), ("diff", "--no-prefix", "HEAD~1"), ("log", "-p", "-1"), ("log", "-p", "-1", "--oneline"),
        ("format-patch", "--stdout", "HEAD~1"), ("show",), ("-c", "diff.mnemonicPrefix=true", "diff", "HEAD~1", "HEAD"),
    ],
)  # fmt: skip
def test_what_git_prints_is_cited_by_new_file_and_lines(repository, command):
    """This test ensures that every way to print a change gives the same places, hunk by hunk."""
    content = run(repository, *command)
    assert format_of("-", content).name == "diff"
    document = read_diff("-", content)
    assert (document.kind, document.reader) == ("diff", "diff/2")
    assert hunks(document) == ["a b.py:1-4", "gone.txt (deleted), removed line 1", "é.txt:1"]
    assert {block.heading for block in document.blocks} >= {("a b.py",), ("bin2",), ("é.txt",)}


def test_a_log_names_its_commits(repository):
    """This test ensures that a message is located by its commit, and lines are those of the log itself."""
    content = run(repository, "log", "-p")
    document = read_diff("-", content)
    start = document.text.index("body")
    location = document.locate(start, start + 4)
    commit = run(repository, "rev-parse", "HEAD~1").decode()[:12]
    assert location.part == f"commit {commit}"
    assert location.lines == (content[: content.index(b"body")].count(b"\n") + 1,) * 2
    assert len(hunks(document)) == 6


def test_what_diff_u_prints_is_read():
    """This test ensures that time stamps go, several files are told apart, and removed dashes are no headers."""
    document = read_diff("x.diff", PLAIN.encode())
    assert hunks(document) == ["new/a.c:1-2", "new/b.c:10-11"]
    assert document.blocks[1].symbol == ("main",)
    start = document.text.index("+w")
    assert document.locate(start, start + 2).lines == (12, 12)
    assert document.locate(start, start + 2).heading == ("new/b.c",)


def test_what_subversion_prints_is_read():
    """This test ensures that properties belong to the file above them, and a file to the line that names it."""
    properties = "\nProperty changes on: a.c\n____\nAdded: svn:eol-style\n## -0,0 +1 ##\n+native\n"
    files = [
        f"Index: {name}\n====\n--- {name}\t(revision 1)\n+++ {name}\t(working copy)\n@@ -3 +4 @@\n-{name} old\n+{name} new\n"
        for name in ("a.c", "b.c")
    ]
    document = read_diff("-", f"{files[0]}{properties}{files[1]}".encode())
    places = {}
    for quote in ("a.c new", "native", "b.c\n====", "b.c old"):
        start = document.text.index(quote)
        places[quote] = document.locate(start, start + len(quote)).part
    assert places == {
        "a.c new": "a.c:4", "native": "a.c", "b.c\n====": "b.c", "b.c old": "b.c, removed line 3",
    }  # fmt: skip


def test_merges_are_read():
    """This test ensures that a combined diff keeps its file and new lines."""
    content = "diff --cc a.py\nindex 1,2..3\n--- a/a.py\n+++ b/a.py\n@@@ -1,2 -1,2 +1,3 @@@ f\n  same\n++both\n+ one\n -two\ndiff --git a/b.py b/b.py\n--- a/b.py\n+++ b/b.py\n@@ -1 +1 @@\n-x\n+y\n"
    assert hunks(read_diff("-", content.encode())) == ["a.py:1-3", "b.py:1"]


SIDES = """diff --git a/old.txt b/new:1.txt
similarity index 90%
rename from old.txt
rename to new:1.txt
--- a/old.txt
+++ b/new:1.txt
@@ -10,4 +20,5 @@ above
 ten
-eleven
-twelve
+ELEVEN
+inserted
+TWELVE
 thirteen
@@ -40 +51 @@
-forty
\\ No newline at end of file
+FORTY
\\ No newline at end of file
"""


@pytest.mark.parametrize(
    ("quote", "part"),
    [
        ("ten", "new:1.txt:20"), ("ELEVEN", "new:1.txt:21"), ("TWELVE\n thirteen", "new:1.txt:23-24"), ("thirteen\n", "new:1.txt:24"),
        ("eleven", "new:1.txt, removed line 11"), ("eleven\n-twelve", "new:1.txt, removed lines 11-12"), ("twelve\n+ELEVEN", "new:1.txt:21"),
        ("above", "new:1.txt:20-24"), ("forty\n\\", "new:1.txt, removed line 40"), ("FORTY\n\\ No", "new:1.txt:51"), ("rename to", "new:1.txt"),
        ("thirteen\n@@ -40", "new:1.txt:24 – new:1.txt:51"),
    ],
)  # fmt: skip
def test_a_quote_is_cited_by_its_lines_of_the_new_side(quote, part):
    """This test ensures that each line has its own number, and that what was removed is said to be of the old side."""
    document = read_diff("x.diff", SIDES.encode())
    start = document.text.index(quote)
    place = document.locate(start, start + len(quote))
    assert place.part == part
    assert place.lines[0] == document.text[:start].count("\n") + 1


def test_lines_of_a_merge_are_those_of_its_result():
    """This test ensures that a line which one parent lacks counts, and one that the result lacks is said to be removed."""
    content = "diff --cc a.py\n--- a/a.py\n+++ b/a.py\n@@@ -1,3 -1,2 +7,4 @@@\n  same\n- gone\n+ ours\n +theirs\n++both\n"
    document = read_diff("-", content.encode())
    places = {
        word: document.locate(document.text.index(word), document.text.index(word) + 4).part
        for word in ("same", "gone", "ours", "theirs", "both")
    }
    assert places == {
        "same": "a.py:7", "gone": "a.py, removed", "ours": "a.py:8", "theirs": "a.py:9", "both": "a.py:10",
    }  # fmt: skip


def test_a_line_that_holds_a_carriage_return_stays_in_its_hunk():
    """This test ensures that progress bars and old Mac lines in a changed file do not end the hunk they stand in."""
    plain = "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n same\r\n-10%\r20%\rdone\n+1\r\r2\n end\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n"
    combined = "diff --cc x\n--- a/x\n+++ b/x\n@@@ -1,2 -1,2 +1,3 @@@\n  a\r\x1b[m\n++b\r\x1b[m\n +c\n"
    document = read_diff("-", plain.encode())
    assert hunks(document) == ["x:1-3", "y:1"]
    start = document.text.index("end")
    place = document.locate(start, start + 3)
    assert (place.part, place.lines) == ("x:3", (11, 11))
    assert hunks(read_diff("-", combined.encode())) == ["x:1-3"]
    assert read_diff("-", combined.encode()).blocks[-1].kind == "hunk"


def test_what_stands_before_a_change_is_read_with_it(repository):
    """This test ensures that statistics, mails and a patch's description do not keep the change from being read as one."""
    change = run(repository, "diff", "HEAD~1")
    stat = run(repository, "diff", "--stat", "-p", "HEAD~1")
    mail = b"From: A <a@example.org>\nDate: Mon, 2 Nov 2026\nSubject: [PATCH] x\n\nWhy.\n---\n" + change
    for path, content in (("-", stat), ("-", mail), ("x.patch", b"Fixes the bug.\nIt was old.\n\n" + change)):
        assert format_of(path, content).name == "diff"
        assert hunks(read_diff(path, content)) == [
            "a b.py:1-4",
            "gone.txt (deleted), removed line 1",
            "é.txt:1",
        ]
    assert format_of("-", b"Fixes the bug.\n\n" + change).name == "text"
    assert format_of("-", b"From: A <a@example.org>\nSubject: lunch\n\n--- \nA\n").name == "text"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32"])
def test_what_a_shell_of_windows_wrote_is_a_diff(encoding):
    """This test ensures that a redirected diff is known as one in each encoding that shells write."""
    content = SIDES.encode(encoding)
    for path in ("-", "x.diff"):
        assert format_of(path, content).name == "diff"
    document = read_diff("x.diff", content)
    start = document.text.index("ELEVEN")
    assert document.locate(start, start + 6).part == "new:1.txt:21"


def test_quoted_names_renames_and_modes_are_told(tmp_path):
    """This test ensures that tabs, quotes and backslashes in names, pure renames and changed modes name their file."""
    run(tmp_path, "init", "-q", "-b", "main")
    odd = 'a "b"\\\t.txt'
    (tmp_path / odd).write_text("x\n")
    (tmp_path / "old name.txt").write_text("same\n" * 9)
    (tmp_path / "run.sh").write_text("x\n")
    run(tmp_path, "add", "-A")
    run(tmp_path, "commit", "-q", "-m", "one")
    (tmp_path / odd).write_text("y")
    (tmp_path / "old name.txt").rename(tmp_path / "new name.txt")
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / "empty").touch()
    run(tmp_path, "add", "-A")
    document = read_diff("-", run(tmp_path, "diff", "-M", "--cached"))
    assert hunks(document) == [odd.replace("\t", "\\t") + ":1"]
    assert [block.heading for block in document.blocks if block.kind == "paragraph"] == [
        (odd.replace("\t", "\\t"),), ("empty",), ("new name.txt",), ("run.sh",),
    ]  # fmt: skip


def test_names_cannot_steer_a_terminal():
    """This test ensures that a quoted name with control characters is shown escaped."""
    content = '--- "a/x\\033[31m.py"\n+++ "b/x\\033[31m\\n.py"\n@@ -1 +1 @@\n-x\n+y\n'
    assert hunks(read_diff("-", content.encode())) == [r"x\x1b[31m\n.py:1"]


@pytest.mark.parametrize(
    "content",
    [
        b"# Notes\n\n```diff\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-x\n+y\n```\n", b"--- \nno hunk\n",
        b"commit 1234567 was bad\nno change here\n", b"abcdef1 first\n1234567 second\n", b"@@ hello\n",
    ],
)  # fmt: skip
def test_prose_about_diffs_is_no_diff(content):
    """This test ensures that documents which quote a change, and logs without one, are read as text."""
    assert not looks_like_diff(content)
    assert format_of("-", content).name == "text"


def test_a_patch_without_a_change_says_so():
    """This test ensures that a file forced into this reader without a hunk is an error."""
    with pytest.raises(DamagedSourceError, match="no unified diff"):
        read_diff("a.patch", b"hello\n")


@pytest.mark.parametrize("cut", range(1, len(PLAIN), 3))
def test_a_truncated_diff_is_read_as_far_as_it_goes(cut):
    """This test ensures that a diff cut anywhere still tiles, and its lines still count."""
    try:
        document = read_diff("-", PLAIN[:cut].encode())
    except DamagedSourceError:
        assert "@@" not in PLAIN[:cut] or cut < PLAIN.index("@@ main") + 3
    else:
        assert document.text == PLAIN[:cut]
        assert document.spans[0].first_line == 1


def test_crlf_and_counts_that_lie_do_no_harm():
    """This test ensures that Windows newlines and a hunk that promises more lines than it has keep the next file's name."""
    content = (
        PLAIN.replace("-1,2 +1,2", "-1,900 +1,900")
        .replace("--- old/b.c", "diff --git a/b.c b/b.c\n--- a/b.c")
        .replace("+++ new/b.c", "+++ b/b.c")
    )
    assert hunks(read_diff("-", content.replace("\n", "\r\n").encode()))[-1] == "b.c:10-11"
