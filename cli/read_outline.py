"""A document's outline: its headings and definitions, each with its place and what explains it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lctx.core.document import Block, Document

_LINE = re.compile(r"[^\r\n]*")
_MARKS = re.compile(r"^[ \t]*(?:/\*\*?|\*/|///?!?|\*(?=\s|$)|#+!?|--|;+|%+)?[ \t]?|[ \t]*\*/[ \t]*$")
_QUOTES = re.compile(r"""^[ \t]*[rRuUbB]{0,2}(?:\"{3}|'{3}|["'])|(?:\"{3}|'{3}|["'])[ \t]*$""")
_SENTENCE = re.compile(r".+?[.!?](?=\s|$)", re.DOTALL)
_FOLDS = re.compile(r"(?<=[(\[{])\s*\n\s*|,?\s*\n\s*(?=[)\]}])")
"""Where a signature over several lines was broken at a bracket."""
_MAX_DOC_CHARS = 200


@dataclass(frozen=True, slots=True)
class OutlineEntry:
    """One heading or definition.

    Attributes:
        kind: "heading" or "symbol".
        level: How many others it stands in.
        title: Its own words, or its name.
        signature: What a definition is called and takes, as it is written.
        doc: The first sentence of what explains it.
        start: Where it stands, half-open with `end`: the heading, or the definition's signature.
        end: See `start`.
    """

    kind: str
    level: int
    title: str
    signature: str | None
    doc: str | None
    start: int
    end: int


def outline_of(document: Document) -> list[OutlineEntry]:
    """The headings and definitions of a document, in its order; empty where it has none.

    A heading of a PDF's outline that was found on no line of its page stands where its text begins.
    """
    entries: list[OutlineEntry] = []
    path: tuple[str, ...] = ()
    seen: set[tuple[str, ...]] = set()
    for block in document.blocks:
        names = block.symbol or block.heading
        begins = block.kind == "heading" or block.signature is not None
        if names and (begins or (names != path and names not in seen)):
            entries += _entries(document.text, block, names, seen)
        path = names
    return entries


def _entries(
    text: str, block: Block, names: tuple[str, ...], seen: set[tuple[str, ...]]
) -> Iterator[OutlineEntry]:
    """The entry that begins with `block`, after those around it that have no block of their own."""
    kind = "symbol" if block.symbol else "heading"
    start, end = block.signature or _first_line(text, block)
    for level in range(len(names) - 1):
        if names[: level + 1] not in seen:
            seen.add(names[: level + 1])
            yield OutlineEntry(kind, level, names[level], None, None, start, end)
    seen.add(names)
    signature = _in_one_line(text[start:end]) if block.signature else None
    doc = summary(text[slice(*block.doc)]) if block.doc else None
    yield OutlineEntry(kind, len(names) - 1, names[-1], signature, doc, start, end)


def _in_one_line(signature: str) -> str:
    return " ".join(_FOLDS.sub("", signature).split())


def _first_line(text: str, block: Block) -> tuple[int, int]:
    start = block.start
    while start < block.end and text[start].isspace():
        start += 1
    line = _LINE.match(text, start, block.end)
    return start, line.end() if line else start


def summary(doc: str) -> str | None:
    """The first sentence of a docstring or a comment, on one line; None where it says nothing."""
    lines: list[str] = []
    for line in _QUOTES.sub("", doc.strip()).splitlines():
        words = _MARKS.sub("", line).strip()
        if words:
            lines.append(words)
        elif lines:
            break
    told = " ".join(" ".join(lines).split())
    found = _SENTENCE.match(told)
    return (found[0] if found else told)[:_MAX_DOC_CHARS] or None
