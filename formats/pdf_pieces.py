"""The pieces of a page's lines: a form or a table sets one line from several, with gaps between.

Runs in the child process, beside pdfium. To ask for every character's place would take as long again as
to read the text: lines are measured by their ends first, and only those that may hold a gap by their words.
"""

import ctypes
import re
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise, repeat
from operator import sub, truediv
from typing import Any, NamedTuple, TypeAlias

from lctx.formats.pdf_library import pdfium

MAX_LINES = 4_000
"""A page of more lines than this was laid out by no person; it is taken as it comes."""
_GAP_POINTS = 3.0
"""A gap wider than this after a space that is drawn parts two pieces."""
_GAP_HEIGHTS = 0.55
"""Of a line's height: a gap wider than this where no space is drawn parts two pieces; words stand closer."""
_LABEL_HEIGHTS = 0.35
"""The same after a colon: what follows a label may stand close."""
_STRETCHED = 1.12
"""A line whose characters take this much more room than those of the page's denser lines may hold a gap."""
_LONG = 40
"""From this many characters on, how much room one takes says something."""
_SAMPLES, _SUSPECTS = 8, 2
"""So many long lines are measured by their words; from so many that part into prose on, all lines are."""
_PROSE_CHARS, _PROSE_SPACES, _PROSE_LETTERS = 13, 2, 0.8
"""What a line of prose has at least, in a column: characters, spaces, and the share of letters."""
MIN_COLUMN_LINES = 6
"""Columns have so many lines with text on both sides of the gutter."""
_BOX_BYTES = 16

_PRINTED = re.compile(r"[^\s\ufffe](?:[^\r\n\ufffe]*[^\s\ufffe])?")
_SPACE = re.compile(r"[ \t\xa0\u2000-\u200a\u3000]+")
_MAY_PART = re.compile(r"[ \t\xa0\u2000-\u200a\u3000]+(?![a-z])|(?<=[^a-z,])[ \t\xa0\u2000-\u200a\u3000]+")
# The same, a third of the time, where all spaces are plain ones that stand alone.
_PLAIN_SPACE = re.compile(" ")
_PLAIN_MAY_PART = re.compile(" (?:(?![a-z])|(?<=[^a-z,] ))")
_NOT_PLAIN = ("  ", "\t", "\xa0", *map(chr, range(0x2000, 0x200B)), "\u3000")


class Piece(NamedTuple):
    """A stretch of one printed line without a gap.

    Attributes:
        start: Offsets into the page's text, half-open with `end`.
        end: See `start`.
        left: In points, as are the others.
        right: See `left`.
        foot: See `left`.
        top: See `left`.
    """

    start: int
    end: int
    left: float
    right: float
    foot: float
    top: float


_Floats: TypeAlias = "array[float]"
Line = Sequence[Piece]
"""The pieces of one printed line, from left to right."""


class Pieces:
    """The printed lines of a page, and what was measured of them.

    Attributes:
        text: The page's text as pdfium has it.
        lines: Start and end of each printed line: a hyphenated word joins two of them in the text.
        gaps: For each line that was measured by its words, where the words after a gap begin.
        can_measure: Whether pdfium's characters can be told from those of the text.
        is_suspect: Whether lines of prose part at a gap, as they do where columns were drawn row by row.
    """

    def __init__(self, textpage: int, text: str, num_chars: int) -> None:
        self.text = text
        self.lines = [found.span() for found in _PRINTED.finditer(text)]
        self.gaps: dict[int, list[int]] = {}
        self.is_suspect = False
        self._textpage = textpage
        self._starts = [start for start, _ in self.lines]
        self._is_plain = num_chars == len(text)
        self.can_measure = 0 < len(self.lines) <= MAX_LINES and len(text.encode("utf-16-le")) == 2 * len(text)

    def measure(self) -> None:
        """Find the gaps of those lines that may have one."""
        if not self.can_measure or pdfium().FPDFText_CountRects(self._textpage, 0, -1) <= len(self.lines):
            return  # each line is drawn in one go
        is_plain = not any(space in self.text for space in _NOT_PLAIN)
        every, likely = (_PLAIN_SPACE, _PLAIN_MAY_PART) if is_plain else (_SPACE, _MAY_PART)
        stretched = self._stretched()
        known = set(stretched)
        long = [
            number
            for number, (start, end) in enumerate(self.lines)
            if end - start >= _LONG and number not in known
        ]
        self._measure((stretched, likely), (long[:: max(len(long) // _SAMPLES, 1)], every))
        if self._num_suspects() >= _SUSPECTS:
            self._measure((range(len(self.lines)), every))
            self.is_suspect = self._num_suspects() >= MIN_COLUMN_LINES

    def pieces(self, numbers: Iterable[int] | None = None) -> list[Line]:
        """The pieces of these lines, or of all."""
        spans: list[list[tuple[int, int]]] = []
        for number in range(len(self.lines)) if numbers is None else numbers:
            start, end = self.lines[number]
            cuts = [start, *self.gaps.get(number, ()), end]
            spans.append([
                (first, first + len(self.text[first:last].rstrip()))
                for first, last in pairwise(cuts)
            ])  # fmt: skip
        flat = [span for line in spans for span in line]
        lefts, tops, _, feet = self._boxes([start for start, _ in flat])
        _, last_tops, rights, last_feet = self._boxes([end - 1 for _, end in flat])
        whole = map(
            Piece,
            (start for start, _ in flat),
            (end for _, end in flat),
            lefts,
            rights,
            map(min, feet, last_feet),
            map(max, tops, last_tops),
        )
        return [[next(whole) for _ in line] for line in spans]

    def _stretched(self) -> list[int]:
        """The lines whose characters take more room than those of others, and those that hold a label."""
        count = len(self.lines)
        lefts, _, rights, _ = self._boxes(self._starts + [end - 1 for _, end in self.lines])
        sizes = [end - start for start, end in self.lines]
        rooms = list(map(truediv, map(sub, rights[count:], lefts[:count]), sizes))
        long = sorted(room for room, size in zip(rooms, sizes, strict=True) if size >= _LONG and room > 0)
        limit = long[len(long) // 4] * _STRETCHED if len(long) >= _SAMPLES else 0.0
        return [
            number
            for number, (start, end) in enumerate(self.lines)
            if rooms[number] > limit or self.text.find(":", start, end) >= 0
        ]

    def _num_suspects(self) -> int:
        """How many lines part into what may be two lines of prose."""
        text = self.text
        return sum(
            # Behind a gap stand numbers more often than before it.
            any(is_wordy(text, word, end) and is_wordy(text, start, word) for word in self.gaps[number])
            for number, (start, end) in enumerate(self.lines)
            if end - start >= _LONG and number in self.gaps
        )

    def _measure(self, *parts: tuple[Iterable[int], re.Pattern[str]]) -> None:
        """Find the gaps of these lines, each part of them at the spaces that its pattern finds."""
        words: list[int] = []
        for numbers, spaces in parts:
            for number in numbers:
                self.gaps[number] = []
                words += [found.end() for found in spaces.finditer(self.text, *self.lines[number])]
        count = len(words)
        lefts, tops, rights, feet = self._boxes([word - 1 for word in words] + words)
        gaps = list(map(sub, lefts[count:], rights[:count]))
        for index in [index for index, gap in enumerate(gaps) if gap > _GAP_POINTS]:
            word, gap = words[index], gaps[index]
            if rights[index] == lefts[index]:
                # pdfium added this space: all that parts the two words is the gap.
                share = _LABEL_HEIGHTS if self.text[word - 2] == ":" else _GAP_HEIGHTS
                if gap < share * (tops[count + index] - feet[count + index]):
                    continue
            self.gaps[bisect_right(self._starts, word) - 1].append(word)

    def _boxes(self, offsets: Sequence[int]) -> tuple[_Floats, _Floats, _Floats, _Floats]:
        """Left, top, right and bottom of the characters at these offsets; zeros where pdfium knows none."""
        library = pdfium()
        chars: Iterable[int] = offsets
        if not self._is_plain:
            to_char = library.FPDFText_GetCharIndexFromTextIndex
            chars = [to_char(self._textpage, offset) for offset in offsets]
        room, places = _room(1 << len(offsets).bit_length())
        ctypes.memset(room, 0, _BOX_BYTES * len(offsets))
        # Driven from C: a call in a loop of Python takes three times as long.
        deque(map(_box_function(), repeat(ctypes.c_void_p(self._textpage)), chars, places), maxlen=0)
        values = array("f", memoryview(room).cast("B")[: _BOX_BYTES * len(offsets)].tobytes())
        return values[::4], values[1::4], values[2::4], values[3::4]


@cache
def _room(num_boxes: int) -> tuple[Any, list[Any]]:
    """Room for so many boxes, and a pointer to each: to make them takes longer than to fill them."""
    room = (ctypes.c_float * (4 * num_boxes))()
    return room, [ctypes.byref(room, _BOX_BYTES * number) for number in range(num_boxes)]


def is_wordy(text: str, start: int, end: int) -> bool:
    """Whether a stretch of text may be a line of prose: some words, nearly all of letters."""
    part = text[start:end].rstrip()
    num_spaces = part.count(" ")
    if len(part) < _PROSE_CHARS or num_spaces < _PROSE_SPACES:
        return False
    return sum(map(str.isalpha, part)) >= _PROSE_LETTERS * (len(part) - num_spaces)


@cache
def _box_function() -> Any:
    """The function for the place of a character; what it takes is not checked, in half of the time."""
    address = ctypes.cast(pdfium().FPDFText_GetLooseCharBox, ctypes.c_void_p).value
    return ctypes.PYFUNCTYPE(None)(address or 0)
