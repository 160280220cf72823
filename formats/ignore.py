"""The rules of .gitignore files, for folders that git does not list."""

import os
import re
import stat
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

MAX_RULES_BYTES = 128 * 1024
"""As much of a .gitignore or .gitattributes as is obeyed."""
MAX_STARS = 3
"""The most stars between two slashes of a rule: each multiplies the time that a hostile name takes."""


_POSIX_CLASSES = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "xdigit": "0-9A-Fa-f",
    "space": r"\t\n\v\f\r ",
    "blank": r"\t ",
    "punct": r"!-/:-@\[-`{-~",
}
_POSIX_CLASS = re.compile(r"\[:([a-z]+):\]")


class _Pattern(NamedTuple):
    """One line of a .gitignore: whether it ignores what it matches, and whether it means folders only."""

    regex: re.Pattern[str]
    ignores: bool
    is_for_folders: bool


@dataclass(frozen=True, slots=True)
class Rules:
    """One .gitignore, and how paths are turned into those that it speaks of.

    Attributes:
        patterns: Its lines, the last one first: the last that matches holds.
        prefix: What a path loses: the folder that the file stands in, or the listed one below that.
        above: What it gains instead: the way from the file's folder down to the listed one.
    """

    patterns: tuple[_Pattern, ...]
    prefix: str = ""
    above: str = ""

    def verdict(self, path: str, *, is_folder: bool) -> bool | None:
        """Whether it ignores `path`, or does not, or says nothing of it.

        Only of itself: what an ignored folder holds is never asked for, and what stands in one that is taken
        back may be ignored all the same.
        """
        return self._verdict(self.above + path[len(self.prefix) :], is_folder=is_folder)

    def ignores_start(self) -> bool:
        """Whether it ignores the listed folder itself, or one on the way down to it."""
        parts = self.above.split("/")[:-1]
        ways = ("/".join(parts[:number]) for number in range(1, len(parts) + 1))
        return any(self._verdict(way, is_folder=True) for way in ways)

    def _verdict(self, path: str, *, is_folder: bool) -> bool | None:
        for pattern in self.patterns:
            if is_folder or not pattern.is_for_folders:
                found = pattern.regex.search(path)
                # In pathspec a folder's name stands for all that it holds: then this group has its slash.
                if found and not found.groupdict().get("ps_d"):
                    return pattern.ignores
        return None


def rules_of(file: str, prefix: str = "", above: str = "") -> Iterator[Rules]:
    """The rules that a file holds; none where there is no such file, or nothing in it."""
    patterns = [pattern for line in lines_of(file) for pattern in _compiled(line)]
    if patterns:
        yield Rules(tuple(reversed(patterns)), prefix, above)


def _compiled(line: str) -> Iterator[_Pattern]:
    bare = line.rstrip(" ")
    is_for_folders = bare.endswith("/") and bare.strip("!/") != ""
    for pattern in patterns_of(bare.rstrip("/") if is_for_folders else line):
        if pattern.include is not None and pattern.regex is not None:
            yield _Pattern(pattern.regex, pattern.include, is_for_folders)


def ignores(rules: Iterable[Rules], path: str, *, is_folder: bool) -> bool:
    """Whether the first of `rules` that has an opinion ignores `path`.

    Args:
        rules: The innermost first: it speaks last in git.
        path: Below the folder that is listed.
        is_folder: Rules that end in a slash mean folders only.
    """
    for rule in rules:
        verdict = rule.verdict(path, is_folder=is_folder)
        if verdict is not None:
            return verdict
    return False


def lines_of(file: str) -> list[str]:
    """The lines of a file of rules, as file names are decoded; none where it cannot be read."""
    try:
        if not stat.S_ISREG(os.lstat(file).st_mode):  # a link or a pipe may lead anywhere
            return []
        with open(file, "rb") as stream:  # noqa: PTH123 - thousands of folders: a Path for each takes longer
            content = stream.read(MAX_RULES_BYTES + 1)
    except OSError:
        return []
    if len(content) > MAX_RULES_BYTES:  # the last rule may be cut, and mean more than it did
        content = content[:MAX_RULES_BYTES].rpartition(b"\n")[0]
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return [os.fsdecode(line.removesuffix(b"\r")) for line in lines]


def patterns_of(line: str) -> "list[GitIgnoreSpecPattern]":
    """The pattern of one line; none where git could not read it either, or where it is made to take long."""
    from pathspec import GitIgnoreSpec

    if not line.strip() or any(part.count("*") > MAX_STARS for part in line.split("/")):
        return []
    if "[:" in line:
        line = _POSIX_CLASS.sub(lambda found: _POSIX_CLASSES.get(found[1], found[0]), line)
        if _POSIX_CLASS.search(line):
            return []  # of a class that nobody knows: it matches nothing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of a [ or & in brackets, which is meant
        try:
            return list(GitIgnoreSpec.from_lines([line]).patterns)
        except (ValueError, TypeError, re.error):
            return []
