"""Plain text: what stands in the file, one span, paragraphs between blank lines."""

import re

from lctx.core.document import Block, Document
from lctx.formats.decoding import decode
from lctx.formats.reader import DEFAULTS, ReadOptions, one_span, sha256_of

READER = "text/1"

# Two line ends with nothing but white space between them. Each run of blanks is looked at once, and \r\n is
# never taken apart.
_BLANK_LINES = re.compile(r"(?>\r\n|\r|\n)(?:[^\S\r\n]*+(?>\r\n|\r|\n))+")
_BLANK_START = re.compile(r"(?:[^\S\r\n]*+(?>\r\n|\r|\n))*")


def read_text(path: str, content: bytes, _options: ReadOptions = DEFAULTS) -> Document:
    """The document of a plain text file, in whatever encoding it was written."""
    decoded = decode(path, content)
    return Document(
        path=path,
        kind="text",
        reader=READER,
        sha256=sha256_of(content),
        text=decoded.text,
        spans=one_span(decoded.text),
        blocks=tuple(Block("paragraph", start, end) for start, end in paragraphs(decoded.text)),
        warnings=decoded.warnings,
    )


def paragraphs(text: str) -> list[tuple[int, int]]:
    """(start, end) of each run of lines that are not blank, in order.

    A paragraph begins where its first line does and takes in the end of its last line.
    """
    first = _BLANK_START.match(text)
    start = first.end() if first else 0
    found: list[tuple[int, int]] = []
    for gap in _BLANK_LINES.finditer(text, start):
        end = gap.start() + (2 if text.startswith("\r\n", gap.start()) else 1)
        found.append((start, end))
        start = gap.end()
    if start < len(text) and not text[start:].isspace():
        found.append((start, len(text)))
    return found
