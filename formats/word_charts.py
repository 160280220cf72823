"""What charts and diagrams of a Word file say: the numbers that a chart was drawn from, a diagram's words."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lctx.formats.word_styles import number

if TYPE_CHECKING:
    from lxml.etree import _Element

C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
DGM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"

MAX_POINTS = 5_000
"""The most points that are read of one chart."""


def chart_rows(root: "_Element") -> list[str]:
    """The lines of a chart: its kind and title, the names of its series, then a row for each category."""
    plot = root.find(f"{C}chart/{C}plotArea")
    if plot is None:
        return []
    series = list(plot.iter(f"{C}ser"))
    kinds = dict.fromkeys(
        one.getparent().tag.removeprefix(C) for one in series if one.getparent() is not None
    )
    title = _words(root.find(f"{C}chart/{C}title"))
    rows = [": ".join(filter(None, (_kind_name(next(iter(kinds), "chart")), title)))]
    columns = [(_name(one), _points(one, "cat", "xVal"), _points(one, "val", "yVal")) for one in series]
    if not any(values for _, _, values in columns):
        return rows if title else []
    shared = columns[0][1]
    if all(categories in ({}, shared) for _, categories, _ in columns):
        rows.append(" | ".join(["", *(name for name, _, _ in columns)]).strip())
        places = sorted({place for _, categories, values in columns for place in (*categories, *values)})
        rows += [
            " | ".join([shared.get(place, ""), *(values.get(place, "") for _, _, values in columns)])
            for place in places[:MAX_POINTS]
        ]
        return rows
    for name, categories, values in columns:  # each has its own x: a scatter chart
        rows += [
            " | ".join(filter(None, (name, categories.get(place, ""), values[place])))
            for place in sorted(values)[:MAX_POINTS]
        ]
    return rows


def diagram_rows(root: "_Element") -> list[str]:
    """The words in each node of a diagram (SmartArt), in the order of the file."""
    nodes = root.iterfind(f"{DGM}ptLst/{DGM}pt")
    return [words for node in nodes if (words := _words(node.find(f"{DGM}t")))]


def _words(element: "_Element | None") -> str:
    if element is None:
        return ""
    paragraphs = ("".join(run.text or "" for run in one.iter(f"{A}t")) for one in element.iter(f"{A}p"))
    return " ".join(" ".join(paragraphs).split())


def _kind_name(tag: str) -> str:
    """What a reader calls it: "Line chart" for lineChart, "Bar chart" for bar3DChart."""
    return tag.removesuffix("Chart").removesuffix("3D").capitalize() + " chart" if tag != "chart" else "Chart"


def _name(series: "_Element") -> str:
    told = series.find(f"{C}tx")
    return " ".join(value.text or "" for value in told.iter(f"{C}v")).strip() if told is not None else ""


def _points(series: "_Element", *names: str) -> dict[int, str]:
    """Place -> what stands there, of the first of `names` that the series has."""
    for name in names:
        data = series.find(C + name)
        if data is not None:
            return dict(_cached(data))
    return {}


def _cached(data: "_Element") -> Iterator[tuple[int, str]]:
    # Categories of several levels: the outer ones are named at the first of their points only.
    levels = [*data.iter(f"{C}lvl")] or [data]
    outer: dict[int, str] = {}
    for level in reversed(levels[1:]):
        outer |= {place: f"{outer.get(place, '')} {text}".strip() for place, text in _level(level)}
    above = ""
    for place, text in _level(levels[0]):
        above = outer.get(place, above)
        yield place, f"{above} {text}".strip()


def _level(level: "_Element") -> Iterator[tuple[int, str]]:
    for point in level.iter(f"{C}pt"):
        place, value = number(point.get("idx")), point.find(f"{C}v")
        if place is not None and value is not None and value.text:
            yield place, _rounded(value.text.strip())


def _rounded(text: str) -> str:
    """Numbers are kept in binary there: 4.2999999999999998 was 4.3."""
    try:
        return f"{float(text):.15g}" if "." in text else text
    except ValueError:
        return text
