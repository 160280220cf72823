"""What `--include` and `--exclude` leave of a folder."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lctx.core.errors import UsageError
from lctx.formats.ignore import patterns_of

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

EXCLUDED = "--exclude"
NOT_INCLUDED = "not in --include"


class Choice:
    """Patterns as in .gitignore, from the folder that was named down."""

    def __init__(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> None:
        """Read the patterns.

        Raises:
            UsageError: One of them is no pattern.
        """
        self._include = _chosen("--include", include)
        self._exclude = _chosen("--exclude", exclude)

    def reason_against(self, path: str) -> str | None:
        """Why the file `path`, below the folder that was named, is not read; None where it is."""
        if self._include is not None and not self._include.match_file(path):
            return NOT_INCLUDED
        if self._exclude is not None and self._exclude.match_file(path):
            return EXCLUDED
        return None

    def excludes_folder(self, path: str) -> bool:
        """Whether all that the folder `path` holds is excluded, so that nobody need look into it."""
        return self._exclude is not None and self._exclude.match_file(f"{path}/")


def _chosen(option: str, patterns: Iterable[str]) -> "GitIgnoreSpec | None":
    chosen: list[GitIgnoreSpecPattern] = []
    for line in patterns:
        read = patterns_of(line)
        if not read or read[0].include is None:
            raise UsageError(
                f"{option} {line!r}: not a pattern as .gitignore has them", "for example '*.py' or 'docs/'"
            )
        chosen += read
    if not chosen:
        return None
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec(chosen)
