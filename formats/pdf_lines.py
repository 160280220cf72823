"""The lines of a stretch of text, as editors count them."""

import re

from lctx.core.document import count_newlines

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")


def lines_of(text: str) -> list[str]:
    r"""The lines of `text` with their ends: \n, \r and \r\n are one each; together they are `text`."""
    lines = text.splitlines(keepends=True)
    # It breaks at \f and U+2028, too, and is ten times as fast where there are none.
    if len(lines) == count_newlines(text, 0, len(text)) + (not text.endswith(("\r", "\n"))):
        return lines
    return [line for line in _LINE.findall(text) if line]
