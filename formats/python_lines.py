"""The definitions of Python source, read off its lines: what parsing finds, several times as fast.

The indentation of Python's lines says what stands in what, so the bodies of functions need no parsing: one
pattern passes over them, with their strings and comments taken whole. It is linear in the text. Where a text
leaves any doubt (brackets that are not closed, an odd indentation), nobody guesses: it is parsed.
"""

import re
from functools import cache

from lctx.formats.leads import Leads
from lctx.formats.syntax import (
    MAX_NAME_BYTES,
    MAX_SIGNATURE_BYTES,
    Definition,
    bare_end,
    definitions_in,
    within_bounds,
)

_MAX_INDENT = 100
"""Of characters; deeper ones are counted differently by the parser."""
_HEADER_DEPTH, _LINE_DEPTH = 5, 8
"""How deep the brackets of a header, or of a line that may hold a table, stand in each other."""

# A quote, a word or a comment right behind a short string may mean that it stands inside another, as in
# f"{names["first"]}": that is left to the parser.
_QUOTED = rb'Q(?:QQ(?:[^Q\\]++|\\.|Q(?!QQ))*+QQQ|(?!QQ)(?:[^Q\\\n]++|\\.)*+Q(?![\w"\'#]))'
_STRING = rb"(?:" + _QUOTED.replace(b"Q", b'"') + rb"|" + _QUOTED.replace(b"Q", b"'") + rb")"
_COMMENT = rb"#[^\n]*+"
_BROKEN = rb"\\\r?\n"
_END = rb"(?:\n|\Z)"
_ODD = rb"'\"#\\`$?\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xff"
"""What begins a string, a comment or a broken line; and what code holds in names at most, if at all."""
_NAME = rb"[A-Za-z_]\w*+"
_TABLE = rb"(?!(?:else|try|finally)\b)" + _NAME + rb"[ ]*+[:=](?!=)"
# Not what begins a definition, a decorator or, in the last line of a file, a comment.
_OTHER = rb"(?!(?:(?:async[ ]++)?def|class)\b)(?=[!\"$-?A-~])"


def _brackets(depth: int) -> bytes:
    inner = rb"|" + _brackets(depth - 1) if depth else b""
    return rb"[(\[{](?:[^()\[\]{}%b]++|%b|%b|%b%b)*+[)\]}]" % (_ODD, _STRING, _COMMENT, _BROKEN, inner)


@cache
def _pattern(white: bytes) -> re.Pattern[bytes]:
    """What finds one definition, decorator, table or run of other lines after the other; all is part of one.

    Args:
        white: What the file is indented with, a blank or a tab.
    """
    parts = {
        b"white": white, b"string": _STRING, b"comment": _COMMENT, b"broken": _BROKEN, b"end": _END,
        b"odd": _ODD, b"name": _NAME, b"table": _TABLE, b"other": _OTHER,
        b"header": _brackets(_HEADER_DEPTH), b"brackets": _brackets(_LINE_DEPTH),
    }  # fmt: skip
    # To the end of a line. What is left open there leaves a closing bracket behind, and with it a doubt.
    parts[b"rest"] = rb";(?:[^\r\n%(odd)b]++|%(string)b|%(broken)b)*+" % parts
    parts[b"blank"] = rb"(?:[ \t\f\r]*+\n|[ \t]*+%(comment)b\n?+)*+" % parts
    parts[b"line_end"] = rb"(?:%(comment)b|\r)?+\n%(blank)b" % parts
    parts[b"text"] = rb"[fFrRbBuU]{0,2}+%(string)b" % parts
    parts[b"alone"] = rb"(?=[ ]*+(?:;|(?:%(comment)b|\r)?%(end)b))" % parts
    parts[b"no_text"] = rb"(?![fFrRbBuU]{0,2}+['\"])"
    # Lines of a block, whatever their brackets: `_is_balanced` looks at these later, where it matters.
    parts[b"block"] = rb"[^\r\n%(odd)b]++|%(string)b|%(broken)b" % parts
    parts[b"short"] = rb"[^()\[\]{}\r\n%(odd)b]++|%(string)b|%(header)b|%(broken)b" % parts
    parts[b"whole"] = rb"[^()\[\]{};\r\n%(odd)b]++|%(string)b|%(brackets)b|%(rest)b|%(broken)b" % parts
    # A list, a dictionary, a set or a call, and nothing else.
    parts[b"display"] = (
        rb"(?:(?!(?:await|not|yield)\b)%(name)b(?:[.]%(name)b)*+(?=[(])|(?=[\[{]))%(brackets)b"
        rb"(?=[ ]*+(?:%(comment)b|\r)?%(end)b)" % parts
    )
    # A header, and its block as far as nothing else is defined in it: all of it, mostly. Groups stand outside
    # of what is taken for good (`*+`), where Python 3.11 loses them.
    parts[b"definition"] = (
        rb"(?:(?:async[ ]++)?def|class)[ ]++(?P<name>%(name)b)"
        rb"(?:[^()\[\]{}:;\r\n%(odd)b]++|%(header)b|%(string)b)*+(?P<colon>:)[ ]*+"
        rb"(?:(?P<short>(?![#\r\n])(?:(?P<short_doc>%(text)b)%(alone)b|%(no_text)b)(?:%(short)b)*+)"
        rb"|(?P<between>%(line_end)b)(?=(?P<inner>(?P=indent)%(white)b++)[!\"$-~])"
        rb"(?:(?P=inner)%(other)b(?:(?P<doc>%(text)b)%(alone)b|%(no_text)b)"
        rb"(?:%(block)b|%(line_end)b(?P=inner)[ \t]*+%(other)b)*+|))" % parts
    )
    # Lines of a block; a decorator; lines that are in no block, each of them whole.
    parts[b"statement"] = (
        rb"(?:(?<=%(white)b)%(other)b(?P<block>(?:%(block)b|%(line_end)b(?P=indent)[ \t]*+%(other)b)*+)"
        rb"|(?:(?P<mark>@)|(?<!%(white)b)(?:(?=%(table)b)(?P<table>%(name)b)[ ]*+"
        rb"(?:=[ ]*+(?P<display>%(display)b)|[:=])|%(other)b(?P<top>)))"
        rb"(?:%(whole)b|(?(top)%(line_end)b(?:%(white)b++|(?!%(table)b))%(other)b|(?!)))*+)" % parts
    )
    return re.compile(
        rb"(?P<above>%(blank)b)(?P<indent>%(white)b*+)"
        rb"(?:(?:%(definition)b|%(statement)b)"
        rb"(?:(?:(?P<tail>%(comment)b)|)\r?%(end)b|(?<![\\]\n)(?<![\\]\r\n)(?<=\n))|\Z)"
        rb"|(?P<doubt>.)" % parts,
        re.DOTALL,
    )


# Its groups, as they stand in it.
_ABOVE, _INDENT, _NAMED, _COLON, _SHORT, _SHORT_DOC, _BETWEEN, _INNER, _DOC = range(1, 10)
_BLOCK, _MARK, _TABLED, _DISPLAY, _TOP, _TAIL, _DOUBT = range(10, 17)
_COMMENTS = re.compile(_COMMENT)
_FOR = re.compile(rb"\bfor\b")
_UNREAD = re.compile(rb"%b|%b" % (_STRING, _COMMENT), re.DOTALL)


class _DoubtError(Exception):
    """The text is not for this reader."""


def python_definitions(content: bytes) -> list[Definition] | None:
    """What `definitions_in` finds in Python source in UTF-8; None where that has to look itself."""
    if b"\0" in content:
        return None
    definitions = _definitions(content, b" ")
    if definitions is None and b"\n\t" in content:
        definitions = _definitions(content, b"\t")
    return definitions


def _definitions(content: bytes, white: bytes) -> list[Definition] | None:
    lines = _Lines(content, white)
    try:
        for match in _pattern(white).finditer(content):
            lines.take(match)
    except _DoubtError:
        return None
    return lines.definitions()


class _Lines:
    """What the lines of a file have told, as they come in."""

    def __init__(self, content: bytes, white: bytes) -> None:
        self._content = content
        self._white = white
        self._found: list[tuple[int, int, tuple[str, ...], tuple[int, int], tuple[int, int] | None]] = []
        self._ends: list[int] = []
        # Definitions whose block goes on: their number, their own indentation and that of their block.
        self._open: list[tuple[int, int, int]] = []
        # Comments and decorators without code behind them: where they begin, end, and their column.
        self._leads: list[tuple[int, int, int]] = []
        self._end = 0  # of the last code
        self._passed: tuple[int, int] | None = None  # lines of a block whose brackets nobody has looked at
        self._expects = False  # a definition: one is decorated, or another has to begin with it

    def take(self, match: re.Match[bytes]) -> None:
        """Sort in what comes next.

        Raises:
            _DoubtError: It is not clear what it is.
        """
        if match.start(_DOUBT) >= 0:
            raise _DoubtError
        above, line = match.span(_ABOVE)
        start = match.end(_INDENT)
        indent = start - line if start < len(self._content) else 0
        comments = self._comments(above, line) if line > above else None
        if self._open and indent < self._open[-1][2]:
            self._close(indent, comments or [])
        if comments:
            self._leads += comments
        if match.start(_NAMED) >= 0:
            self._take_definition(match, line, start)
        elif match.start(_MARK) >= 0:
            self._end = self._code_end(match)
            self._leads.append((start, self._end, indent))
            self._expects = True
        else:
            self._take_others(match, line, start)

    def definitions(self) -> list[Definition]:
        """All of them, once everything is in."""
        return [
            Definition(start, end, first, names, signature, doc)
            for (start, first, names, signature, doc), end in zip(self._found, self._ends, strict=True)
        ]

    def _comments(self, start: int, end: int) -> list[tuple[int, int, int]]:
        """Where the comments of some empty lines begin and end, and their columns."""
        if self._content.find(b"#", start, end) < 0:
            return []
        spans = [match.span() for match in _COMMENTS.finditer(self._content, start, end)]
        return [
            (first, last, first - (self._content.rfind(b"\n", start, first) + 1 or start))
            for first, last in spans
        ]

    def _close(self, indent: int, comments: list[tuple[int, int, int]]) -> None:
        """End the blocks that a line with this indentation is no part of; comments may still be."""
        upcoming = 0
        while self._open and indent < self._open[-1][2]:
            number, outer, inner = self._open.pop()
            if indent > outer:
                raise _DoubtError
            while upcoming < len(comments):
                start, end, column = comments[upcoming]
                if self._content[start - column : start].strip(self._white):
                    raise _DoubtError
                if column < inner:
                    break
                self._end = end
                upcoming += 1
            self._ends[number] = self._end

    def _take_definition(self, match: re.Match[bytes], line: int, start: int) -> None:
        first, doc = self._lead_up(line, start - line) if self._leads else (line, None)
        self._expects, self._passed = False, None
        body = match.start(_SHORT)
        if body >= 0:
            if match.start(_SHORT_DOC) >= 0:
                doc = match.span(_SHORT_DOC)
            self._end = self._code_end(match)
            self._ends.append(self._end)
        else:
            begin, body = match.span(_INNER)
            if body - begin > _MAX_INDENT:
                raise _DoubtError
            self._open.append((len(self._found), start - line, body - begin))
            self._ends.append(0)
            if match.start(_DOC) >= 0:
                doc = match.span(_DOC)
            if match.end() == begin:
                self._expects = True
                self._leads = self._comments(*match.span(_BETWEEN))
            else:
                self._end = self._code_end(match)
                self._passed = (body, self._end)
        signature = (start, self._signature_end(start, match.end(_COLON), body))
        name = match[_NAMED][:MAX_NAME_BYTES].decode()
        self._found.append((start, first, (name,), signature, doc))

    def _signature_end(self, start: int, colon: int, body: int) -> int:
        if body - start <= MAX_SIGNATURE_BYTES:
            closed = self._content[colon - 2 : colon] == b"):"
            return colon - 1 if closed else bare_end(self._content, start, colon)
        end = within_bounds(self._content, start, body)
        header = self._content[start:end]
        if b"#" in header and (b"'''" in header or b'"""' in header):
            raise _DoubtError
        comments = [one.start() for one in _UNREAD.finditer(header) if one[0].startswith(b"#")]
        return bare_end(self._content, start, start + comments[0] if comments else end)

    def _lead_up(self, line: int, indent: int) -> tuple[int, tuple[int, int] | None]:
        """What `Leads.up_to` says of what has come in."""
        leads = Leads(self._content)
        for start, end, column in self._leads:
            add = leads.add_comment if self._content.startswith(b"#", start) else leads.add_mark
            add(start, end, column)
        self._leads = []
        return leads.up_to(line, indent)

    def _take_others(self, match: re.Match[bytes], line: int, start: int) -> None:
        """Sort in what defines nothing, or a table, or the end of the file."""
        if self._expects or (self._passed and not self._is_balanced(*self._passed)):
            raise _DoubtError
        self._passed = None
        if start == match.end():
            return
        self._end = self._code_end(match)
        if match.start(_BLOCK) >= 0:
            self._passed = match.span(_BLOCK)
        elif match.start(_TABLED) >= 0:
            self._take_table(match, line, start)
        if self._leads:
            self._leads = []

    def _take_table(self, match: re.Match[bytes], line: int, start: int) -> None:
        begin, end = match.span(_DISPLAY)
        if begin < 0:
            end = match.start(_TAIL) if match.start(_TAIL) >= 0 else self._end
        if self._content.find(b"\n", start, end) < 0:
            return
        first, above = self._lead_up(line, 0) if self._leads else (line, None)
        if begin >= 0 and not (self._content[begin] in b"[{" and _FOR.search(self._content, begin, end)):
            name = match[_TABLED][:MAX_NAME_BYTES].decode()
            signature = (start, bare_end(self._content, start, begin))
            self._found.append((start, first, (name,), signature, above))
            self._ends.append(end)
            return
        # What the rest is (a comprehension, a tuple or only brackets) needs the parser.
        for one in definitions_in(self._content[start:end], "python"):
            signature = (start + one.signature[0], start + one.signature[1])
            self._found.append((start + one.start, first, one.names, signature, above))
            self._ends.append(start + one.end)

    def _code_end(self, match: re.Match[bytes]) -> int:
        """Where the code of a match ends, with the comment behind it."""
        end = match.end(_TAIL)
        if end < 0:
            end = match.end()
            while self._content[end - 1] in b" \t\r\n":
                end -= 1
        return end

    def _is_balanced(self, start: int, end: int) -> bool:
        """Whether all brackets of some lines are closed in them; else what comes next is inside."""
        code = _UNREAD.sub(b"", self._content[start:end])
        return all(code.count(pair[:1]) == code.count(pair[1:]) for pair in (b"()", b"[]", b"{}"))
