"""Durations as people write them: 90s, 5m, 1h30m."""

import re

_MAX_CHARS = 40
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")


def parse_duration(text: str) -> float | None:
    """Seconds; a bare number is seconds, and `-1` is None: no end.

    Raises:
        ValueError: It is not a duration; the message says what one looks like.
    """
    text = text.strip().lower()
    if text == "-1":
        return None
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
        return float(text)
    if len(text) <= _MAX_CHARS and _WHOLE.fullmatch(text):
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    raise ValueError("not a duration such as 90s, 5m, 1h, 0, or -1 for no end")


def short_duration(seconds: float) -> str:
    """`seconds` as a person would say it: 45 s, 5 min, 2 h."""
    if seconds < 90:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    if seconds < 5400:  # noqa: PLR2004
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
