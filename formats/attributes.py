"""What .gitattributes files call generated (`linguist-generated`), as GitHub reads them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lctx.formats.ignore import lines_of, patterns_of

if TYPE_CHECKING:
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

_FILE_NAME = ".gitattributes"
_ATTRIBUTE = "linguist-generated"
_SAYS = re.compile(rf"\s(?:(?P<no>[-!]){_ATTRIBUTE}|{_ATTRIBUTE}(?:=(?P<value>\S*))?)(?=\s|$)")
_FALSE = frozenset({"false", "0"})


@dataclass(frozen=True, slots=True)
class _Rule:
    prefix: str
    pattern: "GitIgnoreSpecPattern"
    is_generated: bool

    def matches(self, path: str) -> bool:
        if not path.startswith(self.prefix):
            return False
        found = self.pattern.match_file(path[len(self.prefix) :])
        # In .gitignore a folder's name stands for all that it holds; in .gitattributes it does not.
        return found is not None and not found.match.groupdict().get("ps_d")


class Attributes:
    """The rules of all .gitattributes files of a folder."""

    def __init__(self, root: str, paths: Iterable[str]) -> None:
        """Read those among `paths`, which stand below the folder `root`."""
        files = sorted(path for path in paths if path.rpartition("/")[2] == _FILE_NAME)
        files.sort(key=lambda path: path.count("/"))
        rules = [rule for path in files for rule in _rules_of(f"{root}/{path}", path)]
        self._rules = rules[::-1]  # the innermost file speaks last, and its last line

    def say_generated(self, path: str) -> bool:
        """Whether the last rule that matches `path` calls it generated."""
        return next((rule.is_generated for rule in self._rules if rule.matches(path)), False)


def _rules_of(file: str, path: str) -> list[_Rule]:
    prefix = path.removesuffix(_FILE_NAME)
    return [
        _Rule(prefix, pattern, not said["no"] and said["value"] not in _FALSE)
        for line in lines_of(file)
        if (said := _SAYS.search(line)) and not line.startswith(("#", "!"))
        for pattern in patterns_of(line.split()[0])
    ]
