"""Markdown: the text as it stands, with the path of headings above every block."""

import re
from collections.abc import Sequence

from lctx.core.document import Block, Document, line_ends
from lctx.formats.decoding import decode
from lctx.formats.html_tags import ROLES
from lctx.formats.reader import DEFAULTS, ReadOptions, one_span, sha256_of

READER = "markdown/2"

MAX_HEADING_CHARS = 300
"""A longer line that looks like a heading is a paragraph: a path of such lines would drown its quote."""

# CommonMark 0.31, 4.2 and 4.3: at most three spaces in front; a closing run of # is no part of the heading.
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+|$)")
_ATX_CLOSE = re.compile(r"(?:^|[ \t])#+$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})([^\r\n]*)")
_LIST = re.compile(r" {0,3}(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)")
_RULE = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
# What a reader does not see of a heading: where a link leads, what an anchor is called. Code is kept.
_ADDRESS = re.compile(
    r"(`+[^`]*`+)|!?\[([^\[\]]*)\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)?(?:[ \t]+\"[^\"]*\")?\)"
)
_ANCHOR = re.compile(r"</?a(?:\s[^<>]*)?>", re.IGNORECASE)
_SETEXT_LEVELS = {"=": 1, "-": 2}
# GFM 4.10: the row beneath a table's head.
_DELIMITERS = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*+\|?$")
# CommonMark 0.31, 4.6: how HTML begins that is kept as it stands up to its end, or else up to a blank line.
_HTML_SPANS = (
    (re.compile(r" {0,3}<!--"), re.compile(r"-->")),
    (
        re.compile(r" {0,3}<(?:pre|script|style|textarea)(?:[ \t>]|$)", re.IGNORECASE),
        re.compile(r"</(?:pre|script|style|textarea)>", re.IGNORECASE),
    ),
    (re.compile(r" {0,3}<\?"), re.compile(r"\?>")),
    (re.compile(r" {0,3}<!\[CDATA\["), re.compile(r"\]\]>")),
)
_HTML_TAG = re.compile(r" {0,3}</?([A-Za-z][A-Za-z0-9]*)(?:[ \t>]|/>|$)")
_BLANK = re.compile(r"\s*$")
_HTML_ROLES = frozenset({"block", "heading", "list", "item", "table", "row", "cell"})


def read_markdown(path: str, content: bytes, _options: ReadOptions = DEFAULTS) -> Document:
    """The document of a Markdown file; headings are found as CommonMark finds them, code fences hold none."""
    decoded = decode(path, content)
    start = front_matter_end(decoded.text)
    blocks, _ = outline_of(decoded.text, start)
    return Document(
        path=path,
        kind="markdown",
        reader=READER,
        sha256=sha256_of(content),
        text=decoded.text,
        spans=one_span(decoded.text),
        blocks=(*([Block("code", 0, start)] if start else []), *blocks),
        warnings=decoded.warnings,
    )


def outline_of(
    text: str, start: int = 0, headings: Sequence[tuple[int, str]] = ()
) -> tuple[list[Block], list[tuple[int, str]]]:
    """The blocks of `text[start:]`, and the headings that hold at its end: (level, title), outermost first.

    Args:
        text: Markdown.
        start: Where it begins, at the start of a line.
        headings: Those that hold before it, as another call returned them.
    """
    outline = _Outline(text, start, headings)
    return outline.blocks, outline.headings


class _Outline:
    """One pass over the lines; `blocks` is complete when it is built."""

    def __init__(self, text: str, start: int, headings: Sequence[tuple[int, str]]) -> None:
        self.blocks: list[Block] = []
        self.headings = list(headings)
        self._path = tuple(title for _, title in headings)
        self._kind: str | None = None
        self._start = 0
        self._fence = ""
        self._html_end: re.Pattern[str] | None = None
        self._after_list = False
        self._lines: list[str] = []
        self._last_line = 0
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
        elif self._html_end and (stripped or self._html_end is not _BLANK):
            self._take_html(line, end)
        elif not stripped:
            self._after_list |= self._kind == "list"
            self._close(start)
        elif stripped[0] == "<" and (html_end := _html_end(line)):
            self._open("paragraph", start)
            self._html_end = html_end
            self._take_html(line, end)
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

    def _take_html(self, line: str, end: int) -> None:
        """Nothing in it is a heading: a comment that hides a section hides its headings too."""
        if self._html_end and self._html_end is not _BLANK and self._html_end.search(line):
            self._close(end)

    def _take_text(self, line: str, stripped: str, start: int) -> None:
        is_indented = line.startswith(("  ", "\t"))
        if stripped[0] in "*-_" and _RULE.match(line):
            self._close(start)
        elif stripped[0] == "|":
            self._open("table", start)
        elif _LIST.match(line):
            self._open("list", start)
        elif self._kind == "paragraph" and stripped[0] in ":-" and self._is_table_head(stripped):
            self._make_table()
        elif self._kind is None and self._after_list and is_indented:
            self._open("list", start)  # an item goes on after a blank line
        elif self._kind is None:
            self._open("code" if line.startswith(("    ", "\t")) else "paragraph", start)
        elif self._kind == "table" and "|" not in stripped:
            self._open("paragraph", start)
        self._after_list &= is_indented or self._kind == "list"
        self._lines.append(stripped)
        self._last_line = start

    def _is_table_head(self, stripped: str) -> bool:
        return "|" in stripped and "|" in self._lines[-1] and _DELIMITERS.match(stripped) is not None

    def _make_table(self) -> None:
        """The last line of the paragraph was the head of a table whose rows begin without a bar."""
        if self._last_line > self._start:
            self._close(self._last_line)
        self._kind, self._start = "table", self._last_line

    def _open(self, kind: str, start: int) -> None:
        """Begin a block, or go on with the same kind: the items of a list are one block."""
        if self._kind != kind or kind == "code":
            self._close(start)
            self._kind, self._start = kind, start

    def _close(self, end: int) -> None:
        if self._kind is not None:
            self.blocks.append(Block(self._kind, self._start, end, heading=self._path))
        self._kind, self._lines, self._html_end = None, [], None

    def _head(self, level: int, title: str, start: int, end: int) -> None:
        self._lines = []
        self._after_list = False
        if "[" in title or "<" in title:
            title = _ADDRESS.sub(r"\1\2", _ANCHOR.sub("", title)).strip() or title
        if not title or len(title) > MAX_HEADING_CHARS:
            self.blocks.append(Block("paragraph", start, end, heading=self._path))
            return
        while self.headings and self.headings[-1][0] >= level:
            self.headings.pop()
        self.headings.append((level, title))
        self._path = tuple(text for _, text in self.headings)
        self.blocks.append(Block("heading", start, end, heading=self._path))


def _html_end(line: str) -> re.Pattern[str] | None:
    """What ends the HTML that begins with `line`; None where it is text."""
    if end := next((end for start, end in _HTML_SPANS if start.match(line)), None):
        return end
    tag = _HTML_TAG.match(line)
    return _BLANK if tag and ROLES.get(tag[1].lower()) in _HTML_ROLES else None


def front_matter_end(text: str) -> int:
    """Where the YAML or TOML between two lines of --- or +++ at the very beginning ends; 0 without any."""
    opening = re.match(r"(---|\+\+\+)[ \t]*(?:\r\n|\r|\n)", text)
    if not opening:
        return 0
    sign = re.escape(opening[1])
    closing = re.compile(rf"[\r\n](?:{sign}|\.\.\.)[ \t]*(?:\r\n|\r|\n|\Z)").search(text, opening.end() - 1)
    # A thematic break at the top is not front matter: that holds a key in its first lines.
    if not closing or not re.match(
        r"(?:#[^\r\n]*[\r\n]|\s)*[\w\"'-]+[ \t]*[:=]", text[opening.end() : closing.start()]
    ):
        return 0
    return closing.end()
