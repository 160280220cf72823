"""HTML: what a reader of the page sees, with the path of headings above each paragraph.

The visible text does not stand in the lines of the file, so its places are those of a Word file: the
headings above, and the paragraph, counted from 1 through the page; a row of a table and an item of a list are
one each.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from html.entities import name2codepoint

from lctx.core.document import Block, Document, Link, Location, Span
from lctx.core.errors import EmptySourceError, LimitError
from lctx.formats.decoding import Decoded, decode
from lctx.formats.html_flow import Flow
from lctx.formats.html_sight import Sheets, Sight
from lctx.formats.html_tables import Paragraph
from lctx.formats.reader import DEFAULTS, ReadOptions, one_span, sha256_of
from lctx.formats.text import paragraphs

READER = "html/2"

MAX_HTML_BYTES = 64 * 1024 * 1024
"""The largest page that is read."""
MAX_HEADING_CHARS = 300
"""A longer heading is read as a paragraph: a path of such lines would drown its quote."""

_HEAD_BYTES = 4096  # browsers look for the encoding in the first kilobyte
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_CHARSET = re.compile(rb"<meta\b[^>]{0,400}?\bcharset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"\s*<\?xml\b[^>]{0,200}?\bencoding\s*=\s*[\"']([\w.:-]{1,40})")
_XHTML = re.compile(r"\s*(?:<\?xml\b|<!DOCTYPE\s+html\s+PUBLIC\s+\"-//W3C//DTD XHTML|<html\s[^>]*\bxmlns=)")
_DOCTYPE = re.compile(r"<!DOCTYPE[^>\[]*(?:\[.*?\]\s*)?>", re.IGNORECASE | re.DOTALL)
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,9});")
_XML_ENTITIES = frozenset({"amp", "lt", "gt", "quot", "apos"})
_STYLE = re.compile(r"<(?:\w+:)?style\b.*?(?:</(?:\w+:)?style\b|\Z)", re.IGNORECASE | re.DOTALL)
_ABOUT_SIGHT = re.compile(r"display|visibility|\\", re.IGNORECASE)
_NOTHING_SEEN = "open it in a browser and save what it shows, as PDF or text"


def read_html(path: str, content: bytes, _options: ReadOptions = DEFAULTS) -> Document:
    """The document of a page: its title, then the text that can be seen, a span for each paragraph.

    Scripts, styles, and what the markup or the page's own style sheets hide are no part of it; sheets that
    it links to are not fetched. A page that shows nothing because scripts make it is read as its source, line
    by line.

    Raises:
        EmptySourceError: All its text is hidden.
        LimitError: It is larger or deeper than a ceiling.
        UnsupportedSourceError: The bytes are no text.
    """
    if len(content) > MAX_HTML_BYTES:
        size, ceiling = len(content) // 2**20, MAX_HTML_BYTES // 2**20
        why = f"{size} MiB of HTML, more than the {ceiling} MiB that lctx reads"
        raise LimitError(path, why, "save it as PDF or text from a browser")
    decoded = decode(path, content, declared_encoding(content))
    flow = _parsed(path, decoded)
    if not flow.title and not flow.paragraphs:
        if flow.has_hidden:
            raise EmptySourceError(path, "all its text is hidden", _NOTHING_SEEN)
        return _source_of(path, content, decoded)
    assembly = _Assembly(flow)
    warnings = list(decoded.warnings)
    if flow.has_hidden:
        warnings.append("It holds hidden text, which was left out.")
    if flow.has_unapplied_styles:
        warnings.append("Its style sheets are too long to be applied: text that they hide was read.")
    if not flow.paragraphs and flow.has_script:
        warnings.append("Nothing but its title could be read: a script makes what it shows.")
    return Document(
        path=path,
        kind="html",
        reader=READER,
        sha256=sha256_of(content),
        text="".join(assembly.pieces),
        spans=tuple(assembly.spans),
        blocks=tuple(assembly.blocks),
        warnings=tuple(warnings),
        links=tuple(assembly.links),
    )


def _source_of(path: str, content: bytes, decoded: Decoded) -> Document:
    """The markup itself: what a page holds that only scripts and other pages make use of."""
    return Document(
        path=path,
        kind="html",
        reader=READER,
        sha256=sha256_of(content),
        text=decoded.text,
        spans=one_span(decoded.text),
        blocks=tuple(Block("code", start, end) for start, end in paragraphs(decoded.text)),
        warnings=(*decoded.warnings, "It shows no text by itself: its source was read."),
    )


def visible_text(path: str, markup: str) -> str:
    """The text that a piece of HTML shows, a line for each paragraph; empty where it shows none."""
    flow = _parsed(path, Decoded(markup, "utf-8"))
    return "".join(f"{paragraph.text}\n" for paragraph in flow.paragraphs)


def declared_encoding(content: bytes) -> str | None:
    """The encoding that the page itself names, in its <meta> or XML declaration; or None."""
    head = content[:_HEAD_BYTES]
    found = _XML_ENCODING.match(head) or _CHARSET.search(_COMMENT.sub(b"", head))
    return found[1].decode("ascii", "ignore") if found else None


def _parsed(path: str, decoded: Decoded) -> Flow:
    # libxml2 ends a page at a NUL in some versions; HTML 13.2.5 has it replaced.
    text = decoded.text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
    if _XHTML.match(text):
        with suppress(_NotWellFormedError):  # as most of it is
            return _flow_of(path, text, _take_xml)
    return _flow_of(path, text, _take_html)


def _flow_of(path: str, text: str, take: "_Take") -> Flow:
    """What the page shows. Its style sheets are gathered first: they hold for what stands above them too."""
    styles = None
    if any(_ABOUT_SIGHT.search(found[0]) for found in _STYLE.finditer(text)):
        from lctx.formats.html_styles import Styles

        sheets = Sheets()
        take(text, sheets)
        styles = Styles(sheets.close())
    flow = Flow(path, Sight(styles if styles and styles.is_applied else None))
    take(text, flow)
    flow.close()
    flow.has_unapplied_styles = styles is not None and styles.is_cut
    return flow


_Take = Callable[[str, Flow | Sheets], None]
"""Parses a page and hands its tags and text to one that gathers them."""


class _NotWellFormedError(Exception):
    """It calls itself XML and is none."""


def _take_html(text: str, target: Flow | Sheets) -> None:
    from lxml import etree

    parser = etree.HTMLParser(target=target, encoding="utf-8", huge_tree=True)
    with suppress(etree.LxmlError):  # what was read until then stands
        etree.fromstring(text.encode("utf-8"), parser)


def _take_xml(text: str, target: Flow | Sheets) -> None:
    """XHTML as XML, where <script/> ends itself."""
    from lxml import etree

    # Its entities are those of HTML; a document type that defines others is not read, so nothing can grow.
    prolog = re.match(r"\s*<\?xml[^>]*\?>", text)
    text = text[prolog.end() :] if prolog else text
    text = _DOCTYPE.sub("", text[:_HEAD_BYTES], count=1) + text[_HEAD_BYTES:]
    text = _ENTITY.sub(_as_number, text)
    parser = etree.XMLParser(
        target=target, encoding="utf-8", resolve_entities=False, no_network=True, huge_tree=True
    )
    try:
        etree.fromstring(text.encode("utf-8"), parser)
    except etree.LxmlError as error:
        raise _NotWellFormedError from error


def _as_number(entity: re.Match[str]) -> str:
    name = entity[1]
    known = name not in _XML_ENTITIES and name in name2codepoint
    return f"&#{name2codepoint[name]};" if known else entity[0]


class _Assembly:
    """The paragraphs of a page put together; `pieces`, `spans`, `blocks` and `links` grow side by side."""

    def __init__(self, flow: Flow) -> None:
        self.pieces: list[str] = []
        self.spans: list[Span] = []
        self.blocks: list[Block] = []
        self.links: list[Link] = []
        self._length = 0
        self._headings: list[tuple[int, str]] = []
        self._path: tuple[str, ...] = ()
        self._run: tuple[str, int] | None = None  # a list or table that may go on
        self._run_start = 0
        if flow.title:
            # The title stands above the page, not in it: what follows is not beneath it.
            self._add(flow.title, Location(part="title"))
            self.blocks.append(Block("heading", 0, self._length, heading=(flow.title[:MAX_HEADING_CHARS],)))
        for number, paragraph in enumerate(flow.paragraphs, start=1):
            self._take(paragraph, number)
        self._end_run()

    def _take(self, paragraph: Paragraph, number: int) -> None:
        start = self._length
        run = (paragraph.kind, paragraph.table) if paragraph.kind in {"list", "table"} else None
        if run != self._run:
            self._end_run()
            self._run, self._run_start = run, start
        self._add(paragraph.text, Location(paragraph=number))
        self.links += [Link(start + first, start + last, target) for first, last, target in paragraph.links]
        if run:
            return
        kind = paragraph.kind
        if kind == "heading":
            title = " ".join(paragraph.text.split())
            if len(title) <= MAX_HEADING_CHARS:
                self._head(paragraph.level, title)
            else:
                kind = "paragraph"
        self.blocks.append(Block(kind, start, self._length, heading=self._path))

    def _add(self, text: str, location: Location) -> None:
        start = self._length
        self.pieces += (text, "\n")
        self._length += len(text) + 1
        self.spans.append(Span(start, self._length, location))

    def _end_run(self) -> None:
        if self._run:
            self.blocks.append(Block(self._run[0], self._run_start, self._length, heading=self._path))
            self._run = None

    def _head(self, level: int, title: str) -> None:
        while self._headings and self._headings[-1][0] >= level:
            self._headings.pop()
        self._headings.append((level, title))
        self._path = tuple(text for _, text in self._headings)
