"""What the user said of single sources: read this one whole, weigh that one, look here first."""

import math
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lctx.core.document import Document
from lctx.core.errors import UsageError

_MOST_STARS = 3
"""Stars in one part of a pattern: more of them take for ever on a long name."""
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Preferences:
    """What holds of each source, by its path; a source that is in none of them is like any other.

    Attributes:
        pinned: Read whole, before anything else.
        weights: The factor on the relevance of its chunks; 0 leaves it out. Never 0 for one that is pinned.
        priorities: Higher ones fill the window before lower ones are looked at.
    """

    pinned: frozenset[str] = frozenset()
    weights: Mapping[str, float] = field(default_factory=dict)
    priorities: Mapping[str, int] = field(default_factory=dict)

    def is_pinned(self, document: Document) -> bool:
        """Whether it must be read whole."""
        return document.path in self.pinned

    def is_left_out(self, document: Document) -> bool:
        """Whether no strategy may read it."""
        return bool(self.weights) and self.weight(document) == 0

    def weight(self, document: Document) -> float:
        """The factor on the relevance of its chunks, 1 unless told otherwise."""
        return self.weights.get(document.path, 1.0)

    def priority(self, document: Document) -> int:
        """Its rank, 0 unless told otherwise; higher is looked at first."""
        return self.priorities.get(document.path, 0)


def resolve_preferences(
    documents: Sequence[Document],
    pins: Iterable[str] = (),
    weights: Iterable[tuple[str, float]] = (),
    priorities: Iterable[tuple[str, int]] = (),
) -> Preferences:
    """The preferences for `documents`: each pattern is a path, or a pattern as .gitignore has them.

    The last pattern that matches a source decides its weight and its priority. A pin is stronger than a
    weight of 0, so that `--weight '*=0' --pin a.txt` reads one source alone.

    Raises:
        UsageError: A pattern that matches no source or is none, or a weight that is no number from 0 up.
    """
    paths = list(dict.fromkeys(document.path for document in documents))
    pinned = frozenset(path for pattern in pins for path in _matching("--pin", pattern, paths))
    factors: dict[str, float] = {}
    for pattern, factor in weights:
        if not (math.isfinite(factor) and factor >= 0):
            raise UsageError(f"--weight {pattern}={factor:g}: a weight is a number from 0 up", "0 leaves out")
        factors |= dict.fromkeys(_matching("--weight", pattern, paths), factor)
    ranks: dict[str, int] = {}
    for pattern, rank in priorities:
        ranks |= dict.fromkeys(_matching("--priority", pattern, paths), rank)
    kept = {path: factor for path, factor in factors.items() if factor or path not in pinned}
    return Preferences(pinned, kept, ranks)


def _matching(option: str, pattern: str, paths: Sequence[str]) -> list[str]:
    """The paths that are called `pattern`; where none is, those that it matches."""
    named = posixpath.normpath(pattern) if pattern else pattern
    called = [path for path in paths if path == pattern or posixpath.normpath(path) == named]
    if called:
        return called
    matches = _matcher(option, pattern)
    found = [path for path in paths if matches(path)]
    if not found:
        raise UsageError(f"{option} {pattern}: no source is called that", _near(pattern, paths))
    return found


def _matcher(option: str, pattern: str) -> Callable[[str], bool]:
    """Whether a path matches; a pattern with a slash may begin at any folder of it."""
    from pathspec import GitIgnoreSpec

    stars = max(part.count("*") for part in pattern.split("/"))
    is_pattern = bool(pattern.strip()) and stars <= _MOST_STARS and pattern[0] not in "!#"
    lines = [pattern.removeprefix("./")]
    if not pattern.startswith("/"):
        lines.append(f"**/{lines[0]}")
    try:
        spec = GitIgnoreSpec.from_lines(lines if is_pattern else [])
    except (ValueError, TypeError):
        is_pattern = False
    if not is_pattern:
        raise UsageError(
            f"{option} {pattern!r}: neither a source nor a pattern as .gitignore has them",
            "for example contract.pdf, '*.py' or 'docs/'",
        )
    return spec.match_file


def _near(pattern: str, paths: Sequence[str]) -> str:
    from difflib import get_close_matches

    by_name: dict[str, str] = {}
    for path in paths:
        by_name.setdefault(posixpath.basename(path), path)
    close = [by_name[name] for name in get_close_matches(posixpath.basename(pattern), by_name, _SHOWN)]
    close += [path for path in get_close_matches(pattern, paths, _SHOWN) if path not in close]
    if close:
        return f"did you mean {' or '.join(close[:_SHOWN])}?"
    if not paths:
        return "there are no sources"
    more = f" and {len(paths) - _SHOWN:,} more" if len(paths) > _SHOWN else ""
    return f"the sources are {', '.join(paths[:_SHOWN])}{more}"
