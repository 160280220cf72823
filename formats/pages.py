"""A part of a source: the pages that a name like "report.pdf#10-40" asks for."""

import re

from lctx.core.errors import UsageError

Pages = tuple[int, int | None]
"""The first page and the last, one-based and inclusive; None is to the end."""

_RANGE = re.compile(r"([0-9]{1,9})(?:(-)([0-9]{1,9})?)?")
_HINT = "for example report.pdf#10-40, report.pdf#10 or report.pdf#10-"


def split_pages(name: str) -> tuple[str, str] | None:
    """A name and what stands behind its last "#"; None where it has none."""
    file, mark, wanted = name.rpartition("#")
    return (file, wanted) if mark and file else None


def pages_of(shown: str, wanted: str) -> Pages:
    """The pages that `wanted` names: "10-40", "10", "10-".

    Args:
        shown: The whole name, for messages.
        wanted: What stands behind the "#".

    Raises:
        UsageError: It is no range of pages.
    """
    found = _RANGE.fullmatch(wanted)
    if found is None:
        raise UsageError(f"{shown}: what stands behind the # is no range of pages", _HINT)
    first = int(found[1])
    last = int(found[3]) if found[3] else None if found[2] else first
    if first == 0 or last == 0:
        raise UsageError(f"{shown}: pages are counted from 1", _HINT)
    if last is not None and last < first:
        raise UsageError(f"{shown}: the range ends before it begins", f"say {last}-{first}")
    return first, last


def pages_in_words(pages: Pages) -> str:
    """The range as it is typed behind a "#"."""
    first, last = pages
    if last == first:
        return str(first)
    return f"{first}-{last or ''}"
