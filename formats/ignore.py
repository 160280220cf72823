"""The rules of .gitignore files, for folders that git does not list."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

MAX_RULES_BYTES = 128 * 1024
"""As much of a .gitignore or .gitattributes as is obeyed."""
MAX_STARS = 3
"""The most stars between two slashes of a rule: each multiplies the time that a hostile name takes."""


@dataclass(frozen=True, slots=True)
class Rules:
    """One .gitignore, and how paths are turned into those that it speaks of.

    Attributes:
        spec: Its patterns.
        prefix: What a path loses: the folder that the file stands in, or the listed one below that.
        above: What it gains instead: the way from the file's folder down to the listed one.
    """

    spec: "GitIgnoreSpec"
    prefix: str = ""
    above: str = ""

    def verdict(self, path: str) -> bool | None:
        """Whether it ignores `path`, or does not, or says nothing."""
        return self.spec.check_file(self.above + path[len(self.prefix) :]).include

    def ignores_start(self) -> bool:
        """Whether it ignores the listed folder itself, or one on the way down to it."""
        parts = self.above.split("/")[:-1]
        ways = ("/".join(parts[:number]) for number in range(1, len(parts) + 1))
        return any(self.spec.check_file(f"{way}/").include for way in ways)


def rules_of(file: str, prefix: str = "", above: str = "") -> Iterator[Rules]:
    """The rules that a file holds; none where there is no such file, or nothing in it."""
    patterns = [pattern for line in lines_of(file) for pattern in patterns_of(line)]
    if patterns:
        from pathspec import GitIgnoreSpec

        yield Rules(GitIgnoreSpec(patterns), prefix, above)


def ignores(rules: Iterable[Rules], path: str, *, is_folder: bool) -> bool:
    """Whether the first of `rules` that has an opinion ignores `path`.

    Args:
        rules: The innermost first: it speaks last in git.
        path: Below the folder that is listed.
        is_folder: Rules that end in a slash mean folders only.
    """
    for rule in rules:
        verdict = rule.verdict(f"{path}/" if is_folder else path)
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
    try:
        return list(GitIgnoreSpec.from_lines([line]).patterns)
    except (ValueError, TypeError):
        return []
