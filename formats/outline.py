"""An outline: stretches of code side by side, each with the names of the definitions around it."""

import re
from itertools import pairwise
from typing import NamedTuple

from lctx.formats.python_lines import python_definitions
from lctx.formats.syntax import Definition, definitions_in

MAX_DEPTH = 8
"""Definitions nested deeper belong to the one around them."""

_MAX_CLOSING = 100
_LONE_RETURN = re.compile(rb"\r(?!\n)")
"""A line's end in old files, which editors count and parsers do not."""


class Stretch(NamedTuple):
    """Whole lines that share the names around them; code points into the text, half-open.

    Attributes:
        start: Where it begins.
        end: Where the next one does.
        symbol: The names around it, outermost first.
        signature: Of the definition that begins here; inside the stretch.
        doc: What documents that definition.
    """

    start: int
    end: int
    symbol: tuple[str, ...]
    signature: tuple[int, int] | None = None
    doc: tuple[int, int] | None = None


class _Scope(NamedTuple):
    """A definition in whole lines, with its place in the nest."""

    start: int
    end: int
    symbol: tuple[str, ...]
    definition: Definition


def outline(content: bytes, language: str) -> list[Stretch]:
    """The stretches of a file in UTF-8, side by side; one without a name where it defines nothing.

    A definition begins with the comments and decorators directly above it and ends with its last line; empty
    lines, and what only closes the definition around it, belong to what stands above them.
    """
    if b"\r" in content:
        content = _LONE_RETURN.sub(b"\n", content)
    definitions = python_definitions(content) if language == "python" else None
    if definitions is None:
        definitions = definitions_in(content, language)
    stretches = _laid(content, definitions)
    return stretches if content.isascii() else _in_code_points(content, stretches)


def _laid(content: bytes, definitions: list[Definition]) -> list[Stretch]:
    """`definitions` as whole lines side by side; what shares its only line with another one is left out."""
    row = _Row(content)
    ends = _LineEnds(content)
    around = row.around
    for definition in definitions:
        while around and definition.start >= around[-1].definition.end:
            row.close()
        if len(around) >= MAX_DEPTH:
            continue
        outer = around[-1] if around else None
        start = max(definition.first, row.end)
        end = min(ends.after(definition.end), outer.end if outer else len(content))
        if start >= end or (outer and start == outer.start and _is_one_line(content, start, end, outer)):
            continue
        row.go_on(start)
        symbol = (*outer.symbol, *definition.names) if outer else definition.names
        around.append(_Scope(start, end, symbol, definition))
    while around:
        row.close()
    row.go_on(len(content))
    return row.stretches


class _Row:
    """Stretches side by side, as far as they have come; the innermost scope has each character."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.stretches: list[Stretch] = []
        self.end = 0
        self.around: list[_Scope] = []

    def close(self) -> None:
        """End the innermost scope, and the row where it does."""
        self.go_on(self.around[-1].end)
        self.around.pop()

    def go_on(self, end: int) -> None:
        """Go on to `end`, inside the scopes that are around."""
        start = self.end
        if start == end:
            return
        self.end = end
        if _closes(self._content, start, end):
            self.stretches[-1:] = [one._replace(end=end) for one in self.stretches[-1:]]
        elif not self.around:
            self.stretches.append(Stretch(start, end, ()))
        elif self.around[-1].start == start:
            _, _, symbol, (_, _, _, _, (first, last), doc) = self.around[-1]
            signature = (max(first, start), min(last, end))
            is_whole = signature[0] < signature[1]
            self.stretches.append(Stretch(start, end, symbol, signature if is_whole else None, doc))
        else:
            self.stretches.append(Stretch(start, end, self.around[-1].symbol))


def _is_one_line(content: bytes, start: int, end: int, outer: _Scope) -> bool:
    return end == outer.end or content.find(b"\n", start, end - 1) < 0


class _LineEnds:
    """Where lines end, looked for forward only: a file may be one line with very many definitions."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._known = (0, 0)  # from an offset in a line to that line's end

    def after(self, offset: int) -> int:
        """The end of the line that the character before `offset` stands in."""
        start, end = self._known
        if not start < offset <= end:
            found = self._content.find(b"\n", max(offset - 1, 0))
            end = found + 1 if found >= 0 else len(self._content)
            self._known = (offset - 1, end)
        return end


def _closes(content: bytes, start: int, end: int) -> bool:
    """Whether a stretch is white space, or little more than braces and words that close."""
    text = content[start:end]
    return text.isspace() or (
        len(text) < _MAX_CLOSING and not text.strip(b" \t\r\n{}()[];,").removeprefix(b"end")
    )


def _in_code_points(content: bytes, stretches: list[Stretch]) -> list[Stretch]:
    offsets = {0}
    for stretch in stretches:
        offsets.update((stretch.start, stretch.end, *(stretch.signature or ()), *(stretch.doc or ())))
    code_points, count = {0: 0}, 0
    for before, after in pairwise(sorted(offsets)):
        count += len(content[before:after].decode("utf-8"))
        code_points[after] = count

    def moved(pair: tuple[int, int] | None) -> tuple[int, int] | None:
        return (code_points[pair[0]], code_points[pair[1]]) if pair else None

    return [
        Stretch(
            code_points[one.start], code_points[one.end], one.symbol, moved(one.signature), moved(one.doc)
        )
        for one in stretches
    ]
