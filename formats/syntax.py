"""What tree-sitter finds in a source file: its definitions, comments and docstrings, in bytes.

Runs in a process that may die of it (`outliner.py`): the parser is C, and there are texts that crash it.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from lctx.formats.grammars import grammar_of
from lctx.formats.leads import MAX_COLUMN, MAX_GAP, Leads

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_NAME_BYTES = 200
MAX_SIGNATURE_BYTES = 1000
_OPENING = b" \t\r\n{:=;\\"


class Definition(NamedTuple):
    """A definition, in bytes of its file.

    Attributes:
        start: Where it begins itself; with `end` what decides which definition stands in which.
        end: See `start`.
        first: The beginning of the line of its first decorator or comment, else of its own.
        names: Its own, behind what stands around it without being around it in the text.
        signature: From its line's first word to where its body begins.
        doc: Its docstring, else the comment above it.
    """

    start: int
    end: int
    first: int
    names: tuple[str, ...]
    signature: tuple[int, int]
    doc: tuple[int, int] | None


def definitions_in(content: bytes, language: str) -> list[Definition]:
    """The definitions of a file in UTF-8, by where they begin, the outer before the inner.

    Where the file has errors, what the parser can still tell is there.
    """
    from tree_sitter import Parser, QueryCursor

    grammar, query = grammar_of(language)
    found = _Found(content, Leads(content))
    tree = Parser(grammar).parse(content)
    for _, captures in QueryCursor(query).matches(tree.root_node):
        found.take(captures)
    return found.definitions()


@dataclass(slots=True)
class _Found:
    """What a query has found in `content`, as it comes in."""

    content: bytes
    leads: Leads
    nodes: "dict[tuple[int, int], dict[str, list[Node]]]" = field(default_factory=dict)
    docs: dict[int, tuple[int, int]] = field(default_factory=dict)
    marks: dict[int, int] = field(default_factory=dict)

    def take(self, captures: "dict[str, list[Node]]") -> None:
        """Sort one match in."""
        if node := _first(captures, "comment"):
            self.leads.add_comment(node.start_byte, node.end_byte, node.start_point.column)
        elif node := _first(captures, "mark"):
            self.leads.add_mark(node.start_byte, node.end_byte, node.start_point.column)
            self.marks[node.start_byte] = node.end_byte
        elif node := _first(captures, "doc"):
            self.docs[node.start_byte] = (node.start_byte, node.end_byte)
        else:
            self._take_definition(captures)

    def _take_definition(self, captures: "dict[str, list[Node]]") -> None:
        table = _first(captures, "table")
        node = table or _first(captures, "def") or _first(captures, "rest")
        if node is None or (table and table.start_point.row == table.end_point.row):
            return
        if node.start_point.column > MAX_COLUMN or "name" not in captures:
            return
        end = len(self.content) if "rest" in captures else node.end_byte
        # The same node may match with its optional parts and without them: the fuller match counts.
        known = self.nodes.get((node.start_byte, end))
        if known is None or len(known) < len(captures):
            self.nodes[node.start_byte, end] = captures

    def definitions(self) -> list[Definition]:
        """All of them, once everything is in."""
        self.leads.sort()
        order = sorted(self.nodes.items(), key=lambda item: (item[0][0], -item[0][1]))
        return [self._definition(start, end, captures) for (start, end), captures in order]

    def _definition(self, start: int, end: int, captures: "dict[str, list[Node]]") -> Definition:
        node = (captures.get("def") or captures.get("table") or captures["rest"])[0]
        line = start - node.start_point.column
        before = self.content[line:start]
        indent = len(before) - len(before.lstrip())
        first, above = self.leads.up_to(line, indent)
        body = _first(captures, "body")
        head = self._signature_end(start, node.end_byte, body.start_byte if body else None)
        names = [self._name(captures["name"])]
        if scope := captures.get("scope"):
            names.insert(0, self._name(scope))
        # From the first word of its line (`export default`), whose node is another.
        signature = (self._after_marks(line + indent), head)
        doc = (self.docs.get(body.start_byte) if body else None) or above
        return Definition(start, end, first, tuple(names), signature, doc)

    def _name(self, nodes: "list[Node]") -> str:
        """The text from the first of `nodes` to the last: `Show for Bar<T>`, `self.size`."""
        start = min(node.start_byte for node in nodes)
        end = max(node.end_byte for node in nodes)
        name = self.content[start : min(end, start + MAX_NAME_BYTES)].decode("utf-8", "ignore")
        return " ".join(name.split()) or "?"

    def _after_marks(self, start: int) -> int:
        """Where a definition goes on behind the attributes that it begins with."""
        while (end := self.marks.get(start)) is not None:
            rest = self.content[end : end + MAX_GAP]
            start = end + len(rest) - len(rest.lstrip())
        return start

    def _signature_end(self, start: int, end: int, body: int | None) -> int:
        if body is None:
            brace = self.content.find(b"{", start, end)
            end = brace if brace >= 0 else end
        else:
            end = max(body, start)
        end = within_bounds(self.content, start, end)
        while True:
            kept = start + len(self.content[start:end].rstrip())
            lead = self.leads.around(kept)
            # A comment between the header and the body belongs to neither, however it ends.
            if lead and lead.start > start:
                end = lead.start
                continue
            end = bare_end(self.content, start, kept)
            if end == kept:
                return end


def within_bounds(content: bytes, start: int, end: int) -> int:
    """`end`, or where a header that would be longer than all that is shown of it is cut."""
    if end - start <= MAX_SIGNATURE_BYTES:
        return end
    cut = content.find(b"\n", start, start + MAX_SIGNATURE_BYTES)
    return cut if cut >= 0 else start + _whole(content[start : start + MAX_SIGNATURE_BYTES])


def _first(captures: "dict[str, list[Node]]", name: str) -> "Node | None":
    nodes = captures.get(name)
    return nodes[0] if nodes else None


def bare_end(content: bytes, start: int, end: int) -> int:
    """Where `content[start:end]` ends without what opens a body: a brace, a colon, an arrow."""
    header = content[start:end]
    while True:
        bare = header.rstrip(_OPENING)
        bare = bare[:-2] if bare.endswith(b"=>") else bare
        if len(bare) == len(header):
            return start + len(bare)
        header = bare


def _whole(text: bytes) -> int:
    """How many bytes of `text` are whole characters: a cut may leave a part of the last."""
    return len(text.decode("utf-8", "ignore").encode())
