"""A citation's place and verdict in words, the same in every format that people read."""

from collections.abc import Iterable, Sequence

from lctx.cli.clean import one_line
from lctx.core.citing.citation import Citation, Status, Support
from lctx.core.document import Location

_STATUS = {Status.MISATTRIBUTED: "misattributed, re-pointed"}
_SUPPORT = {Support.NONE: "no support"}


def place_of(citation: Citation) -> str:
    """The source and where in it: `report.pdf p. 3, lines 4-6`."""
    return place_in(citation.document.path, citation.location)


def place_in(path: str, location: Location) -> str:
    """A source and a place in it, on one line."""
    return one_line(f"{source_name(path)} {', '.join(place_parts(location))}")


def source_name(path: str) -> str:
    """What a source is called where people read: its path on one line, or that it is standard input."""
    return "standard input" if path == "-" else one_line(path)


def place_parts(location: Location) -> list[str]:
    """The parts of a place in the order in which a person looks it up."""
    parts = []
    if location.pages:
        parts.append(_range("p.", "pp.", location.pages) + _labels(location))
    if location.lines and not location.lines_of_part:
        parts.append(_range("line", "lines", location.lines))
    if part := location.part_and_lines:
        parts.append(part)
    if location.cells:
        parts.append(f"cells {location.cells}")
    if location.paragraph is not None:
        parts.append(f"paragraph {location.paragraph}")
    names = location.symbol or (None if location.pages else location.heading)
    if names:
        parts.append("in " + (".".join(names) if location.symbol else " > ".join(names)))
    if location.estimated:
        parts.append("estimated")
    return parts


def one_a_marker(citations: Iterable[Citation]) -> list[list[Citation]]:
    """The citations by their number: one place that stands for several sentences is listed once."""
    groups: dict[tuple[int, str], list[Citation]] = {}
    for citation in sorted(citations, key=lambda one: one.marker):
        groups.setdefault((citation.marker, citation.quote), []).append(citation)
    return list(groups.values())


def verdict_of(citations: Sequence[Citation]) -> str:
    """What checking one place gave: `verified; supported`; for two sentences `verified; supported, weak`."""
    statuses = dict.fromkeys(_STATUS.get(one.status, one.status.value) for one in citations)
    supports = dict.fromkeys(_SUPPORT.get(one.support, one.support.value) for one in citations)
    return f"{', '.join(statuses)}; {', '.join(supports)}"


def _range(one: str, many: str, numbers: tuple[int, int]) -> str:
    first, last = numbers
    return f"{one} {first}" if first == last else f"{many} {first}-{last}"


def _labels(location: Location) -> str:
    if not location.page_labels or not location.pages:
        return ""
    if location.page_labels == tuple(str(number) for number in location.pages):
        return ""
    first, last = location.page_labels
    return f' (printed "{first}")' if first == last else f' (printed "{first}"-"{last}")'
