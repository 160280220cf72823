"""The nouns that every room shares: a document, where its characters stand, and how it is built.

A reader turns bytes into a `Document` once; everything after it points into `Document.text` by character,
so a quote can always be taken back to its page or line.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TypeVar, cast

_Place = TypeVar("_Place", int, str)
_NEWLINE = re.compile(r"\r\n|\r|\n")
_TO = " – "
_HUNK_LINES = re.compile(r"(?:^|:)\d+(?:-\d+)?$")


@dataclass(frozen=True, slots=True)
class Location:
    """Where something stands in its source, as a person would look it up.

    All numbers are one-based and inclusive; what does not apply is None.

    Attributes:
        pages: First and last page.
        page_labels: The labels printed for those pages ("ii"), where the source has its own.
        lines: First and last line: within the first page where there are pages, within the part where
            `lines_of_part` says so, else within the file.
        heading: The headings above it, outermost first.
        symbol: The names of the code around it, outermost first.
        paragraph: The number of its first paragraph, in sources that have no pages (Word).
        part: Slide, sheet, chapter, cell, attachment, form field, or the file and new-side line of a diff.
        cells: A range of cells ("B2:C9").
        box: x0, y0, x1, y1 on the first page, in points from the lower left corner.
        estimated: True where the place was computed rather than read (OCR, interpolation).
        chars: Code points into the text of the reader that read it, half-open.
        lines_of_part: True where lines are counted in each part anew (a notebook's cell) and are none of the
            file's.
    """

    pages: tuple[int, int] | None = None
    page_labels: tuple[str, str] | None = None
    lines: tuple[int, int] | None = None
    heading: tuple[str, ...] | None = None
    symbol: tuple[str, ...] | None = None
    paragraph: int | None = None
    part: str | None = None
    cells: str | None = None
    box: tuple[float, float, float, float] | None = None
    estimated: bool = False
    chars: tuple[int, int] | None = None
    lines_of_part: bool = False

    @property
    def part_and_lines(self) -> str | None:
        """The part, with the lines in it where they mean nothing without it: "cell 3, lines 2-4"."""
        if not (self.lines_of_part and self.part and self.lines):
            return self.part
        first, last = self.lines
        told = f"line{'s' * (first < last)} {_range(self.lines)}"
        part, to, end = self.part.partition(_TO)
        return f"{part}, {told}{to}{end}"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a document's text that shares one physical place: a page, a paragraph, a whole file.

    Attributes:
        start: Code points into the text, half-open with `end`.
        end: See `start`.
        location: The place of all of it; its `lines` stay None where `first_line` counts them.
        first_line: The number of the line that `start` stands in, or None where lines mean nothing.
        sides: Of a hunk of a diff, with its head line: the first line of the old side (0 where there are
            several) and of the new one, and how many signs stand before each line.
    """

    start: int
    end: int
    location: Location
    first_line: int | None = None
    sides: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """One unit of structure: what chunking cuts at, and what names the place above a quote.

    Attributes:
        kind: "heading", "paragraph", "list", "table", "code", "hunk", or "furniture": what a page repeats
            above and below its text (running headers, footers, page numbers).
        start: Code points into the text, half-open with `end`.
        end: See `start`.
        heading: The headings above, outermost first; a heading block counts itself.
        symbol: The names of the code around it, outermost first.
        signature: Where the definition that begins here says what it is called and takes; inside the block.
        doc: Where its documentation stands (a docstring, the comment above it); inside the document.
    """

    kind: str
    start: int
    end: int
    heading: tuple[str, ...] = ()
    symbol: tuple[str, ...] = ()
    signature: tuple[int, int] | None = None
    doc: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A stretch of text that leads elsewhere.

    Attributes:
        start: Code points into the text, half-open with `end`.
        end: See `start`.
        target: An address, or "#page=N" within the document. Nothing ever opens it.
    """

    start: int
    end: int
    target: str


class _Blocks:
    """`Document.blocks` where they were not made yet: a field that a document has itself goes before this."""

    def __get__(self, document: "Document | None", _owner: type) -> tuple[Block, ...]:
        """Those of `document`, which has them from now on; none, the field's default, of the class."""
        if document is None:
            return ()
        known = document.__dict__
        known["blocks"] = blocks = cast("tuple[Block, ...]", known["_make_blocks"]())
        return blocks


@dataclass(frozen=True)
class Document:
    """A source as lctx sees it. `text` is final: offsets into it never move.

    Attributes:
        path: The source as the user named it, or that directory joined with the path below it; "-" is stdin.
        kind: The format's name: "pdf", "docx", "markdown", "text", "code", "diff".
        reader: The reader and the version of its text, such as "pdf/1". Offsets hold for that version only.
        sha256: Of the source's bytes, in hexadecimal.
        text: What the reader read, newlines as they stand in the source.
        spans: Tile `text`: sorted, adjacent, no gap and no overlap.
        blocks: Sorted, never overlapping; they need not tile.
        warnings: What the reader could not read or had to guess, one sentence each.
        cells: Where a line's next cell begins, in order: the columns of a form or a table.
        links: Sorted by where they begin.
        hidden: Stretches that nobody who looks at the source can see (white on white, outside the page,
            marked as hidden): sorted, apart. They stay in `text`, enter no prompt, and are reported.
        offset: Where `text` begins in all that the reader read, for a part of a source ("a.pdf#10-40").
        is_protected: Whether it may have taken a password to read it: nothing of it is kept anywhere.
    """

    path: str
    kind: str
    reader: str
    sha256: str
    text: str
    spans: tuple[Span, ...]
    blocks: tuple[Block, ...] = cast("tuple[Block, ...]", _Blocks())  # by default ()
    warnings: tuple[str, ...] = field(default=())
    cells: tuple[int, ...] = ()
    links: tuple[Link, ...] = ()
    hidden: tuple[tuple[int, int], ...] = ()
    offset: int = 0
    is_protected: bool = False

    def __post_init__(self) -> None:
        edges = [0, *(span.end for span in self.spans)]
        if [span.start for span in self.spans] != edges[:-1] or edges[-1] != len(self.text):
            raise ValueError(f"spans of {self.path} do not tile its {len(self.text)} characters")
        if any(before.end > after.start for before, after in pairwise(self.blocks)):
            raise ValueError(f"blocks of {self.path} overlap")

    @cached_property
    def _span_ends(self) -> list[int]:
        return [span.end for span in self.spans]

    @cached_property
    def _block_starts(self) -> list[int]:
        return [block.start for block in self.blocks]

    def spans_of(self, start: int, end: int) -> tuple[Span, ...]:
        """The spans that `text[start:end]` touches, in order; at least one unless the document is empty."""
        first = bisect_right(self._span_ends, start)
        last = max(bisect_right(self._span_ends, max(end - 1, start)), first)
        return self.spans[first : last + 1] or self.spans[-1:]

    def block_at(self, offset: int) -> Block | None:
        """The last block that begins at or before `offset`: the structure that the offset stands under."""
        index = bisect_right(self._block_starts, offset) - 1
        return self.blocks[index] if index >= 0 else None

    def blocks_of(self, start: int, end: int) -> tuple[Block, ...]:
        """The blocks that `text[start:end]` touches, in order."""
        starts = self._block_starts
        first, last = bisect_right(starts, start), bisect_left(starts, end)
        inside = self.blocks[first:last]
        before = self.blocks[first - 1 : first] if first else ()
        return (*(one for one in before if one.end > start), *inside)

    def locate(self, start: int, end: int) -> Location:
        """Where `text[start:end]` stands.

        Args:
            start: Code points into `text`.
            end: Half-open; an empty range is located where it begins.
        """
        touched = self.spans_of(start, end)
        if not touched:
            return Location(chars=(self.offset + start, self.offset + end))
        first, last = touched[0].location, touched[-1].location
        block = self.block_at(start)
        return replace(
            first,
            pages=_joined(first.pages, last.pages),
            page_labels=_joined(first.page_labels, last.page_labels),
            lines=self._lines(touched, start, end),
            heading=(block.heading or None) if block else None,
            symbol=(block.symbol or None) if block else None,
            part=_joined_parts(self._part(touched[0], start, end), last.part if len(touched) > 1 else None),
            estimated=any(span.location.estimated for span in touched),
            chars=(self.offset + start, self.offset + end),
        )

    def _part(self, span: Span, start: int, end: int) -> str | None:
        """The part that `span` is, or of a hunk the lines of its file that `text[start:end]` shows."""
        part = span.location.part
        if span.sides is None or part is None:
            return part
        old, new = self._sides(span, span.sides, start, min(end, span.end))
        file = _HUNK_LINES.sub("", part)
        if new:
            return f"{file}:{_range(new)}" if file else _range(new)
        if old is None:
            return part
        told = f"removed line{'s' * (old[0] < old[1])} {_range(old)}" if old[0] else "removed"
        return f"{file}, {told}" if file else told

    def _sides(
        self, span: Span, sides: tuple[int, int, int], start: int, end: int
    ) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
        """First and last line of the old side and of the new one in `text[start:end]`; None for none.

        Git ends lines at newlines only. Its remark on a missing one belongs to the line above it.
        """
        old_line, new_line, num_signs = sides
        text, sign = self.text, "\n" if "\n" in self.text else "\r"
        body = text.find(sign, span.start, span.end) + 1 or span.end
        position = max(text.rfind(sign, span.start, start) + 1, body)
        if text.startswith("\\", position) and position > body:
            position = text.rfind(sign, span.start, position - 1) + 1
        if num_signs == 1:
            removed = text.count(f"{sign}-", body - 1, position)
        else:
            signs = rf"{sign}[ +]{{0,{num_signs - 1}}}-"
            removed = len(re.findall(signs, text[body - 1 : position]))
        added = text.count(f"{sign}+", body - 1, position)
        num_lines = text.count(sign, body, position) - text.count(f"{sign}\\", body - 1, position)
        old_line += num_lines - added if old_line else 0  # a merge has several old sides
        new_line += num_lines - removed
        old: tuple[int, int] | None = None
        new: tuple[int, int] | None = None
        while position < min(max(end, start + 1), span.end):
            signs = text[position : position + num_signs]
            if "-" in signs:
                old = (old[0] if old else old_line, old_line)
            elif "\\" not in signs[:1]:
                new = (new[0] if new else new_line, new_line)
            old_line += num_signs == 1 and signs not in {"+", "\\"}
            new_line += "-" not in signs and "\\" not in signs[:1]
            position = text.find(sign, position, span.end) + 1 or span.end
        return old, new

    def _lines(self, touched: tuple[Span, ...], start: int, end: int) -> tuple[int, int] | None:
        span = touched[0]
        if span.first_line is None:
            return None
        first = self._line_at(span, start)
        last_span = touched[-1]
        begins_anew = last_span is not span and (last_span.first_line or 0) <= span.first_line
        if last_span.first_line is None or begins_anew:
            stop, last_span = span.end, span  # on the next page, in the next cell: keep to the first one's
        else:
            stop = max(end, start)
        # A range that takes in its closing newline still ends on that newline's line.
        if stop > start and self.text[stop - 1] in "\r\n":
            stop -= 2 if self.text.endswith("\r\n", start, stop) else 1
        return first, max(first, self._line_at(last_span, max(stop, last_span.start)))

    def _line_at(self, span: Span, offset: int) -> int:
        r"""The line that `offset` stands in: between \r and \n it is still the one that they end."""
        halves = offset > span.start and self.text.startswith("\r\n", offset - 1)
        return (span.first_line or 0) + count_newlines(self.text, span.start, offset) - halves


def with_blocks_later(document: Document, make_blocks: Callable[[], tuple[Block, ...]]) -> Document:
    """`document`, its blocks made when they are first asked for: many are never, and objects take long.

    Args:
        document: Without blocks.
        make_blocks: Gives the same ones each time, sorted and apart.
    """
    same = object.__new__(Document)
    same.__dict__.update(document.__dict__, _make_blocks=make_blocks)
    del same.__dict__["blocks"]
    return same


def count_newlines(text: str, start: int, end: int) -> int:
    r"""How many line ends `text[start:end]` holds, as editors count: \n, \r and \r\n are one each."""
    if "\r" not in text:
        return text.count("\n", start, end)
    return text.count("\n", start, end) + text.count("\r", start, end) - text.count("\r\n", start, end)


def line_ends(text: str) -> list[int]:
    r"""The offset after each line's end, in order; the last line counts even without one.

    Not `str.splitlines`, which also breaks at \f and U+2028, so that numbers would drift from editors'.
    """
    ends = [found.end() for found in _NEWLINE.finditer(text)]
    if not ends or ends[-1] != len(text):
        ends.append(len(text))
    return ends


def _joined(
    first: tuple[_Place, _Place] | None, last: tuple[_Place, _Place] | None
) -> tuple[_Place, _Place] | None:
    return (first[0], last[1]) if first and last else first


def _range(numbers: tuple[int, int]) -> str:
    first, last = numbers
    return str(first) if first == last else f"{first}-{last}"


def _joined_parts(first: str | None, last: str | None) -> str | None:
    """What names both ends; what belongs to no part (a body's text) is not a part of its own."""
    if first == last or last is None:
        return first
    return f"{first}{_TO}{last}" if first else last
