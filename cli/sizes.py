"""Sizes as people write them: 500mb, 2gb."""

import re

_UNITS = {"": 1, "b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}
_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,3})?) ?(|b|kb|mb|gb|tb)")


def parse_size(text: str) -> int:
    """Bytes; a bare number is bytes, and a kilobyte is 1,024 of them.

    Raises:
        ValueError: It is not a size; the message says what one looks like.
    """
    found = _SIZE.fullmatch(text.strip().lower().replace("ib", "b"))
    if not found:
        raise ValueError("not a size such as 500mb, 2gb, or 0")
    return int(float(found[1]) * _UNITS[found[2]])
