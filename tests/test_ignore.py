"""Rules of .gitignore files where git does not list a folder: what git says of the same tree."""

import subprocess

import pytest
from source_trees import below, git, own_git_settings, write

__all__ = ["own_git_settings"]

FILES = (
    "a.txt", "1.txt", "y.log", "b", "#h", "a/b", "a/y.log", "a/a/b", "a/c/x.txt", "n/h/a/y.log", "n/h/a/a", "n/h/a/z",
    "foo/bar", "foo/x/bar", "bar/foo.py", "c d/e", "[e]/f", "build/keep/k.txt", "build/o.txt", "-/x.txt",
)  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "inner"),
    [
        ("[[:alpha:]].txt", ""), ("*[[:digit:][:upper:]]*", ""), ("[^[:alpha:]]*.txt", ""), ("[[:nonsense:]].txt\n[[a].txt", ""),
        ("[q-a]\n[a-\n*.log", ""), ("[ab]*\n?.log", "!a/\n!a/b"), ("b/\n!*/", "a/*"), ("a\n!a/", "b"), ("/*\n!/a/\n/a/*\n!/a/b", ""),
        ("build/*\n!build/keep/", ""), ("build/\n!build/keep/", ""), ("**/bar\n!foo/bar", ""), ("foo/**\n!foo/x/", ""), ("a/**/b", ""),
        ("\\#h\n#b", ""), ("a/ \n", "b\\ "), ("*/\n!n", "!*/\n*.log"), ("/\n//\n!\n\\\n", "***"), ("[!a]*.txt", "!z"), ("[]e]", "{a,z}"),
    ],
)  # fmt: skip
def test_rules_mean_what_git_means(tmp_path, rules, inner):
    """This test ensures that a folder without a repository is read as git would list it, whatever its rules hold."""
    root = write(tmp_path / "tree", dict.fromkeys(FILES, "text\n"))
    write(root, {".gitignore": f"{rules}\n", "n/.gitignore": f"{inner}\n# inner\n"})
    found = below(root)
    git(root, "init", "-q")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    ).stdout
    assert sorted(found) == sorted(name for name in listed.decode().split("\0") if name)


def test_what_is_chosen_by_class_is_what_the_rules_would_match(tmp_path):
    """This test ensures that --include and --exclude know the same patterns as .gitignore files."""
    root = write(tmp_path, dict.fromkeys(FILES, "text\n"))
    assert sorted(below(root, include=["[[:alnum:]].txt"])) == [
        "-/x.txt",
        "1.txt",
        "a.txt",
        "a/c/x.txt",
        "build/keep/k.txt",
        "build/o.txt",
    ]
    assert "1.txt" not in below(root, exclude=["[[:digit:]]*"])
