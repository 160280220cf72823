"""Blocks of a PDF: headings where its outline points, furniture, and paragraphs where a page's lines part."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from lctx.core.document import Block
from lctx.formats.pdf_furniture import furniture_of
from lctx.formats.pdf_lines import lines_of
from lctx.formats.pdf_wire import Entry

_Path = tuple[str, ...]

_MAX_TITLE_CHARS = 200
_MAX_RUN_IN_CHARS = 20
"""A line with more than this after the title is running text that opens with it, not a heading."""
_MAX_LINES = 20_000
"""A page of more lines than this is one paragraph: nothing that long was laid out by a person."""
_FULL, _SHORT = 0.8, 0.6
"""Shares of a page's usual line width: from the one a line is full, below the other it was broken off."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")
_NUMBER = r"(?:(?:[^\W\d_]+\s)?(?:\d{1,4}|[IVXLC]{1,6}|[A-Z])(?:[.\-][\dA-Z]{1,4}){0,5}[.):]?[^\S\n]+)?"
_LEADING_NUMBER = re.compile(r"^\d{1,4}(?:\.\d{1,4}){0,5}[.):]?\s+(?=\S)")
_GAP = r"[^\S\n]*\n?[^\S\n]*"
_HYPHEN = "\ufffe"
_OPENING_MARKS = "\"'“‘«(["
_BULLET = re.compile(r"\(?\d{1,3}[.)]\s|\(?[a-z][.)]\s|[-*•·▪◦‣–—]\s")
_CLOSED = re.compile(r"[.!?:;。！？][\"'”’)\]]*\s*$")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


def blocks_of(text: str, page_starts: Sequence[int], outline: Sequence[Entry]) -> tuple[Block, ...]:
    """The blocks of a document's text, in order; none runs on from one page to the next.

    Args:
        text: Of the whole document.
        page_starts: Where each page begins, and the text's end.
        outline: Its entries, in the order of the outline.
    """
    furniture = furniture_of(text, page_starts)
    marks = sorted(_marks(text, page_starts, outline, furniture), key=lambda mark: mark[0])
    ends = [page_start for page_start in page_starts[1:] if page_start < len(text)]
    cuts: list[tuple[int, int, _Path | None]] = [*marks, *((end, end, None) for end in ends)]
    # A title that stands nowhere but in the running header is its heading all the same.
    cuts += [(start, end, None) for start, end in furniture if not _overlaps(marks, start, end)]
    blocks: list[Block] = []
    heading: _Path = ()
    position = 0
    for start, end, path in [*sorted(cuts, key=lambda cut: cut[0]), (len(text), len(text), None)]:
        blocks += _paragraph_blocks(text, position, start, heading)
        position = max(position, start)
        heading = heading if path is None else path
        if end > position:
            blocks.append(Block("furniture" if path is None else "heading", position, end, heading))
            position = end
    return tuple(blocks)


def _overlaps(marks: Sequence[tuple[int, int, _Path]], start: int, end: int) -> bool:
    """Whether one of the sorted marks reaches into `start:end`."""
    index = bisect_left(marks, end, key=lambda mark: mark[0])
    return index > 0 and marks[index - 1][1] > start


def _marks(
    text: str,
    page_starts: Sequence[int],
    outline: Sequence[Entry],
    furniture: Sequence[tuple[int, int]],
) -> Iterator[tuple[int, int, _Path]]:
    """Start, end and path of each entry's heading; start and end are one where the title was not found."""
    path: list[str] = []
    after: dict[int, int] = {}
    for entry in outline:
        title = " ".join(_UNPRINTABLE.sub(" ", entry.title).split())[:_MAX_TITLE_CHARS]
        path = [*path[: entry.level], *([title] if title else [])]
        if not title or entry.page is None or not 0 <= entry.page < len(page_starts) - 1:
            continue
        first, last = page_starts[entry.page], page_starts[entry.page + 1]
        below = after.get(entry.page, _below(text, first, furniture))
        place = _find_title(text, title, below, last)
        if place is None and entry.page not in after:
            place = _find_title(text, title, first, below)
        start, end = place or (first, first)
        after[entry.page] = max(end, after.get(entry.page, first))
        yield start, end, tuple(path)


def _below(text: str, first: int, furniture: Sequence[tuple[int, int]]) -> int:
    """Where a page's text begins below its running header: there a title is looked for first."""
    for start, end in furniture[bisect_left(furniture, (first, 0)) :]:
        if text[first:start].strip():
            break
        first = end
    return first


def _find_title(text: str, title: str, start: int, end: int) -> tuple[int, int] | None:
    """Where a line of `text[start:end]` begins with `title`; empty where text runs on after the title."""
    found = _opening(title).search(text, start, end)
    if found is None and (unnumbered := _LEADING_NUMBER.sub("", title)) != title:
        found = _opening(unnumbered).search(text, start, end)
    if found is None:
        return None
    line = _LINE.match(text, found.end(), end)
    stop = line.end() if line else end
    runs_on = len(text[found.end() : stop].strip(" \t\r\n.:—–-")) > _MAX_RUN_IN_CHARS
    return found.start(), found.start() if runs_on else stop


def _opening(title: str) -> re.Pattern[str]:
    """What a line that begins with `title` looks like, perhaps numbered, perhaps broken in two."""
    words = _GAP.join(re.escape(word) for word in title.split())
    return re.compile(rf"^[^\S\n]*{_NUMBER}(?i:{words})(?!\w)", re.MULTILINE)


def _paragraph_blocks(text: str, start: int, end: int, heading: tuple[str, ...]) -> list[Block]:
    return [Block("paragraph", first, last, heading) for first, last in paragraphs(text, start, end)]


def paragraphs(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The paragraphs of `text[start:end]`, half-open, as far as line widths tell; none is blank."""
    if start >= end or text.count("\n", start, end) > _MAX_LINES:
        return [(start, end)] if text[start:end].strip() else []
    part = text[start:end]
    # pdfium joins the halves of a hyphenated word, and with them two printed lines.
    printed = sorted(map(len, part.replace(_HYPHEN, "\n").split("\n")))
    width = printed[int(len(printed) * 0.9)]
    found: list[tuple[int, int]] = []
    first, last, before = start, start, ""
    for whole in lines_of(part):
        line = whole.strip()
        if line:
            if not before or _parts(before, line, width):
                if last > first:
                    found.append((first, last))
                first = start
            last = start + len(whole)
        before = line.rpartition(_HYPHEN)[2]
        start += len(whole)
    return [*found, (first, last)] if last > first else found


def _parts(before: str, line: str, width: int) -> bool:
    """Whether a paragraph ends between two lines that follow each other, on a page of lines this wide."""
    size = len(before)
    if size >= _FULL * width:
        return False
    return (size < _SHORT * width and _opens(line)) or _CLOSED.search(before[-4:]) is not None


def _opens(line: str) -> bool:
    """Whether something may begin with `line`: a capital, a letter of a script without case, a bullet."""
    first = line.lstrip(_OPENING_MARKS)[:1]
    return (first.isalpha() and not first.islower()) or _BULLET.match(line) is not None
