"""The effective window: the length up to which a model still answers, as measured or as published."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lctx.core.models.measurements import positive, read_rows, write_rows

UNMEASURED_WINDOW = 8192
"""The most that a model is trusted with before it was measured: small models lose the thread early."""

THRESHOLD = 85.6
"""The score that a length must reach: that of Llama-2-7B-chat at 4K tokens.

Source: RULER, arXiv:2404.06654, section 4, and NVIDIA/RULER's README.md.
"""

MAX_MEASURED = 256
"""Models whose measured window is kept; the one measured longest ago gives way."""

_FILE = "effective-windows.json"
_MAX_NAME = 200
_MAX_HOW = 200
# What names add to a model that was measured as the one that answers questions.
_TUNED = ("instruct", "chat")


@dataclass(frozen=True, slots=True)
class EffectiveWindow:
    """How long a prompt may be for the model still to answer from all of it.

    Attributes:
        tokens: At most the native window.
        source: Who measured it and how, one clause.
        is_measured: Whether it was measured by this user; otherwise it is worked out from published scores.
    """

    tokens: int
    source: str
    is_measured: bool


@dataclass(frozen=True, slots=True)
class PublishedScores:
    """What one model scored at each length.

    Attributes:
        name: The model that was measured, without its maker.
        aliases: Other names of the same model.
        benchmark: What was asked of it.
        scores: Tokens -> percent, the shortest first.
        source: Where they were read.
    """

    name: str
    aliases: tuple[str, ...]
    benchmark: str
    scores: Mapping[int, float]
    source: str

    @property
    def tokens(self) -> int | None:
        """The longest length up to which no score is below the threshold, or None where the first is.

        What was not tested does not count: it is at most the longest that was.
        """
        passed = takewhile(lambda length: self.scores[length] >= THRESHOLD, self.scores)
        return max(passed, default=None)


@cache
def published_scores() -> tuple[PublishedScores, ...]:
    """All bundled scores, in the order of the file."""
    import tomllib

    content = tomllib.loads((Path(__file__).parent / "scores.toml").read_text("utf-8"))
    sources = content["source"]
    return tuple(_published(kept, sources) for kept in content["model"])


def find_scores(name: str) -> PublishedScores | None:
    """The published scores of the model called `name`, or None.

    With or without its maker, in any case, however its parts are divided, and with or without "-Instruct".
    Another quantisation is another model: nobody published its scores.
    """
    plain = _key(name)
    stem = next((plain.removesuffix(ending) for ending in _TUNED if plain.endswith(ending)), plain)
    wanted = (plain, f"{plain}instruct", stem)
    return next((_by_key()[key] for key in wanted if key in _by_key()), None)


def effective_window(
    name: str, native_window: int, state: Path | None = None, aliases: Sequence[str] = ()
) -> EffectiveWindow | None:
    """The length up to which the model answers, or None where nobody measured it.

    The user's own measurement counts before any that was published. Beyond the native window a model needs
    another rope, for which neither speaks.

    Args:
        name: What the user calls the model, or its origin.
        native_window: Tokens that its own rope covers.
        state: The state directory with the user's measurements, or None to look at published scores only.
        aliases: Other names of it, tried in this order.
    """
    names = (name, *aliases)
    own = _measured(names, state) if state else None
    if own is not None:
        return EffectiveWindow(min(own.tokens, native_window), own.source, is_measured=True)
    found = next((scores for one in names if (scores := find_scores(one))), None)
    if found is None or found.tokens is None:
        return None
    scored = f"{found.scores[found.tokens]:.1f} at {found.tokens:,} tokens"
    source = f"{found.benchmark} of {found.name}: {scored} ({found.source})"
    return EffectiveWindow(min(found.tokens, native_window), source, is_measured=False)


def record_effective_window(name: str, tokens: int, score: float, how: str, state: Path) -> bool:
    """Keep what the user measured of a model; whether it could be kept.

    Args:
        name: What the user calls the model. A later measurement under the same name replaces it.
        tokens: The longest length at which it answered well enough.
        score: What it scored there, in percent.
        how: The benchmark and its size, a few words: "needle, 60 questions".
        state: The state directory.

    Raises:
        ValueError: If `tokens` is not positive or `score` is not a percentage.
    """
    if tokens <= 0 or not 0 <= score <= 100:  # noqa: PLR2004
        raise ValueError(f"a window of {tokens} tokens at {score} %")
    path, key = state / _FILE, _key(name)
    others = [row for row in read_rows(path) if row.get("name") != key]
    row = {"name": key, "tokens": tokens, "score": score, "how": how[:_MAX_HOW], "at": int(time.time())}
    return write_rows(path, [*others, row][-MAX_MEASURED:])


def measured_windows(state: Path) -> tuple[tuple[str, EffectiveWindow], ...]:
    """The models that this user measured, by the letters and digits of their names, the latest last."""
    names = dict.fromkeys(row["name"] for row in read_rows(state / _FILE) if isinstance(row.get("name"), str))
    found = ((name, _measured([name], state)) for name in names)
    return tuple((name, window) for name, window in found if window is not None)


def _measured(names: Sequence[str], state: Path) -> EffectiveWindow | None:
    rows = {row["name"]: row for row in read_rows(state / _FILE) if isinstance(row.get("name"), str)}
    for name in names:
        row = rows.get(_key(name), {})
        tokens, score = positive(row, "tokens"), row.get("score")
        if tokens and tokens >= 1 and isinstance(score, int | float) and isinstance(row.get("how"), str):
            source = f"measured on this machine: {row['how']}, {score:.1f} at {int(tokens):,} tokens"
            return EffectiveWindow(int(tokens), source, is_measured=True)
    return None


@cache
def _by_key() -> Mapping[str, PublishedScores]:
    return {_key(name): one for one in published_scores() for name in (one.name, *one.aliases)}


def _key(name: str) -> str:
    """The name in lower case without its maker and whatever divides its parts."""
    return re.sub(r"[-_:\s]", "", name[-_MAX_NAME:].rpartition("/")[2].casefold())


def _published(kept: Mapping[str, Any], sources: Mapping[str, Mapping[str, str]]) -> PublishedScores:
    source = sources[kept["from"]]
    scores = {int(length) * 1024: float(score) for length, score in kept["scores"].items()}
    return PublishedScores(
        kept["name"],
        tuple(kept.get("aliases", ())),
        source["benchmark"],
        MappingProxyType(dict(sorted(scores.items()))),
        source["text"],
    )
