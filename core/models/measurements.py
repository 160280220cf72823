"""What was measured on this machine, as small JSON files: one that is damaged or gone is begun anew."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lctx.core.storage import write_atomically

_FORMAT = 1
_MAX_BYTES = 4 << 20
_MOST = 1e30  # more than any rate, length or count can be; infinity and NaN are not below it


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows kept in `path`, oldest first; none where there is no such file or it is damaged."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        kept = json.loads(content) if len(content) <= _MAX_BYTES else None
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(kept, dict) or kept.get("format") != _FORMAT or not isinstance(kept.get("rows"), list):
        return []
    return [row for row in kept["rows"] if isinstance(row, dict)]


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the rows could be kept: a full or read-only disk costs the measurement and nothing else.

    Of two commands that write at once the later one wins; a reader sees the file of one of them, whole.
    """
    content = json.dumps({"format": _FORMAT, "rows": list(rows)}, allow_nan=False)
    try:
        write_atomically(path, content.encode())
    except OSError:
        return False
    return True


def positive(row: Mapping[str, Any], key: str) -> float | None:
    """The number under `key` where it is finite and above zero, else None."""
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < _MOST else None
