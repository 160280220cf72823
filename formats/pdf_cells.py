"""Where the cells of a PDF's lines begin: forms and tables set one line from several runs, with gaps between.

Runs in the child process, beside pdfium.
"""

from typing import Any

MAX_RUNS = 4_000
"""Runs of text on one page: beyond this nobody laid out a form, and looking at each would take long."""
_GAP_POINTS = 3.0
"""A gap wider than this parts two cells; the space between two words is narrower in any type that is read."""
_SAME_LINE = 0.6
"""Two runs stand on one line where their feet differ by less than this share of their height."""


def cell_starts(textpage: Any, text: str) -> list[int]:
    """The offsets in `text` at which a line's second, third … cell begins, in order.

    Args:
        textpage: pdfium's.
        text: All of the page's text, as the same text page gave it.
    """
    num_runs = textpage.count_rects()
    if num_runs > MAX_RUNS:
        return []
    boxes = [textpage.get_rect(index) for index in range(num_runs)]
    starts: list[int] = []
    position = 0
    for index, box in enumerate(boxes):
        follows = index > 0 and _stand_apart(boxes[index - 1], box)
        leads = index + 1 < num_runs and _stand_apart(box, boxes[index + 1])
        if not follows and not leads:
            continue  # asking for a run's text is what takes time, and running prose has no cells
        words = textpage.get_text_bounded(*box).strip()
        run = words.splitlines()[0].strip() if words else ""
        found = text.find(run, position) if run else -1
        if found < 0:
            continue
        if follows and found > position:
            starts.append(found)
        position = found + len(run)
    return starts


def _stand_apart(before: tuple[float, float, float, float], after: tuple[float, float, float, float]) -> bool:
    """Whether two runs (left, bottom, right, top) share a line with a gap between them."""
    height = max(after[3] - after[1], 1.0)
    return abs(before[1] - after[1]) < max(2.0, _SAME_LINE * height) and after[0] - before[2] > _GAP_POINTS
