"""Markdown: the text as it stands, with the path of headings above every block."""

import re

from lctx.core.document import Block, Document, line_ends
from lctx.formats.decoding import decode
from lctx.formats.reader import DEFAULTS, ReadOptions, one_span, sha256_of

READER = "markdown/1"

MAX_HEADING_CHARS = 300
"""A longer line that looks like a heading is a paragraph: a path of such lines would drown its quote."""

# CommonMark 0.31, 4.2 and 4.3: at most three spaces in front; a closing run of # is no part of the heading.
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+|$)")
_ATX_CLOSE = re.compile(r"(?:^|[ \t])#+$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})([^\r\n]*)")
_LIST = re.compile(r" {0,3}(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)")
_RULE = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_SETEXT_LEVELS = {"=": 1, "-": 2}


def read_markdown(path: str, content: bytes, _options: ReadOptions = DEFAULTS) -> Document:
    """The document of a Markdown file; headings are found as CommonMark finds them, code fences hold none."""
    decoded = decode(path, content)
    outline = _Outline(decoded.text)
    return Document(
        path=path,
        kind="markdown",
        reader=READER,
        sha256=sha256_of(content),
        text=decoded.text,
        spans=one_span(decoded.text),
        blocks=tuple(outline.blocks),
        warnings=decoded.warnings,
    )


class _Outline:
    """One pass over the lines; `blocks` is complete when it is built."""

    def __init__(self, text: str) -> None:
        self.blocks: list[Block] = []
        self._headings: list[tuple[int, str]] = []
        self._path: tuple[str, ...] = ()
        self._kind: str | None = None
        self._start = 0
        self._fence = ""
        self._lines: list[str] = []
        start = front_matter_end(text)
        if start:
            self.blocks.append(Block("code", 0, start))
        position = 0
        for end in line_ends(text):
            if position >= start:
                self._take(text[position:end].rstrip("\r\n"), position, end)
            position = end
        self._close(len(text))

    def _take(self, line: str, start: int, end: int) -> None:
        stripped = line.strip()
        if self._fence:
            self._take_code(line, stripped, end)
        elif not stripped:
            self._close(start)
        elif (fence := _FENCE.match(line)) and not (fence[1][0] == "`" and "`" in fence[2]):
            self._open("code", start)
            self._fence = fence[1]
        elif stripped[0] == "#" and (atx := _ATX.match(line)):
            self._close(start)
            title = _ATX_CLOSE.sub("", line[atx.end() :].strip()).strip()
            self._head(len(atx[1]), title, start, end)
        elif self._kind == "paragraph" and stripped[0] in "=-" and (under := _SETEXT.match(line)):
            self._kind = None
            self._head(_SETEXT_LEVELS[under[1][0]], " ".join(self._lines), self._start, end)
        else:
            self._take_text(line, stripped, start)

    def _take_code(self, line: str, stripped: str, end: int) -> None:
        """Inside a fence only its closing counts: the same sign, at least as often, and nothing behind it."""
        closing = _FENCE.match(line)
        if closing and closing[1].startswith(self._fence) and stripped == closing[1]:
            self._fence = ""
            self._close(end)

    def _take_text(self, line: str, stripped: str, start: int) -> None:
        if stripped[0] in "*-_" and _RULE.match(line):
            self._close(start)
        elif stripped[0] == "|":
            self._open("table", start)
        elif _LIST.match(line):
            self._open("list", start)
        elif self._kind is None:
            self._open("code" if line.startswith(("    ", "\t")) else "paragraph", start)
        elif self._kind == "table":
            self._open("paragraph", start)  # a line without a bar ends the table
        self._lines.append(stripped)

    def _open(self, kind: str, start: int) -> None:
        """Begin a block, or go on with the same kind: the items of a list are one block."""
        if self._kind != kind or kind == "code":
            self._close(start)
            self._kind, self._start = kind, start

    def _close(self, end: int) -> None:
        if self._kind is not None:
            self.blocks.append(Block(self._kind, self._start, end, heading=self._path))
        self._kind, self._lines = None, []

    def _head(self, level: int, title: str, start: int, end: int) -> None:
        self._lines = []
        if not title or len(title) > MAX_HEADING_CHARS:
            self.blocks.append(Block("paragraph", start, end, heading=self._path))
            return
        while self._headings and self._headings[-1][0] >= level:
            self._headings.pop()
        self._headings.append((level, title))
        self._path = tuple(text for _, text in self._headings)
        self.blocks.append(Block("heading", start, end, heading=self._path))


def front_matter_end(text: str) -> int:
    """Where the YAML or TOML between two lines of --- or +++ at the very beginning ends; 0 without any."""
    opening = re.match(r"(---|\+\+\+)[ \t]*(?:\r\n|\r|\n)", text)
    if not opening:
        return 0
    sign = re.escape(opening[1])
    closing = re.compile(rf"^(?:{sign}|\.\.\.)[ \t]*\r?$\n?", re.MULTILINE).search(text, opening.end())
    # A thematic break at the top is not front matter: that holds a key in its first lines.
    if not closing or not re.match(
        r"(?:#[^\n]*\n|\s)*[\w\"'-]+[ \t]*[:=]", text[opening.end() : closing.start()]
    ):
        return 0
    return closing.end()
