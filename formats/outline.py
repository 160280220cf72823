r"""Where definitions begin and end in source code, told by lines and indentation.

Python's own parser reads 7 MB/s, can be made to exhaust its stack, and refuses a file with one wrong sign.
This reads any language whose definitions begin a line, at the speed of `re`, and for Python agrees with `ast`
(tests/test_outline.py holds it to that). Everything works on a copy of the text in which strings over several
lines are blanked, of the same length, so that offsets hold.
"""

import re
from functools import cache
from itertools import pairwise
from typing import NamedTuple

MAX_DEPTH = 8
"""Definitions nested deeper belong to the one around them."""

_MAX_COLUMN = 200


class _Definition(NamedTuple):
    start: int  # of its first decorator
    first_line: int  # of its own
    indent: int
    name: str


# Each matches from the line's first character that is no white space, after "\n" and the indentation.
_MODIFIERS = (
    "public private protected internal static final abstract sealed partial override virtual async open data "
    "inline unsafe extern export default declare readonly implicit case lazy suspend operator mutating "
    "fileprivate convenience"
)
_WORDS = rf"(?:(?:{_MODIFIERS.replace(' ', '|')}|@\w+) +){{0,6}}"
_DEFINITIONS = {
    "python": r"(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)",
    "javascript": (
        rf"{_WORDS}(?:function\*? *([\w$]+)|(?:class|interface|enum|namespace|type) +([\w$]+)"
        r"|(?:const|let|var) +([\w$]+)(?: *:[^=\n]{1,200})? *= *(?:async *)?"
        r"(?:function\b|\([^\n]{0,200}=>|[\w$]+ *=>)"
        r"|(?:(?:get|set|async|\*) *)?"
        r"(?!(?:if|for|while|switch|catch|return|function|super|with|await|do|else|new)\b)"
        r"([\w$#]+)\([^;{}\n]{0,300}\)(?: *:[^;{}\n]{1,200})? *\{)"
    ),
    "java": (
        rf"{_WORDS}(?:(?:class|interface|enum|record|struct|trait|namespace|mixin|extension) +([\w.]+)"
        r"|(?!(?:if|for|while|switch|catch|return|new|throw|else|using|lock|await|do)\b)"
        r"[\w<>\[\],.?]{1,100}(?: [\w<>\[\],.?]{1,100}){0,5} +(\w+) *\((?=[^;{}]{0,500}\{))"
    ),
    "kotlin": (
        rf"{_WORDS}(?:(?:class|interface|object|enum|trait|struct|protocol|extension|actor) +"
        r"(?:class +)?([\w.]+)"
        r"|(?:fun|func|def) +(?:<[^>\n]{1,100}> *)?([\w.`]+))"
    ),
    "c": (
        r"(?:(?:typedef +)?(?:struct|class|union|enum(?: class)?|namespace) +([\w:]+)"
        r"[^;()\n{]{0,200}(?=\n|\{)"
        r"|(?!(?:if|for|while|switch|return|else|do|case|typedef|using)\b)"
        r"(?:[\w:<>,~]{1,100}+[ \t*&]++){0,6}([\w:~]{1,100})[ \t]*\((?=[^;{}]{0,500}\{))"
    ),
    "go": r"(?:func +(?:\([^)\n]{1,100}\) *)?(\w+)|type +(\w+))",
    "rust": (
        r"(?:pub(?:\([^)\n]{1,50}\))? +)?"
        r"(?:default +|async +|unsafe +|const +|extern +(?:\"[^\"\n]{1,20}\" +)?){0,4}"
        r"(?:(?:fn|struct|enum|trait|union|mod|type|macro_rules!) +(\w+)"
        r"|impl(?:<[^\n{]{1,200}?>)? +([^\n{]{1,200}?) *\{)"
    ),
    "ruby": r"(?:def +([\w.?!=]+)|(?:class|module) +([\w:]+))",
    "elixir": r"(?:def|defp|defmodule|defmacro|defprotocol|defimpl) +([\w.?!]+)",
    "php": rf"{_WORDS}(?:(?:class|interface|trait|enum) +(\w+)|function +&?(\w+))",
    "shell": r"(?:function +([\w:.-]+)|([\w:.-]+) *\(\))",
    "lua": r"(?:local +)?function +([\w.:]+)",
    "perl": r"(?:sub|package) +([\w:]+)",
    "r": r"(?:([\w.]+) *(?:<-|=) *function\b|(?:function|struct|module|macro) +([\w.!]+))",
    "sql": (
        r"(?i:create +(?:or +replace +)?(?:temp(?:orary)? +)?"
        r"(?:table|view|function|procedure|trigger|index|type)"
        r" +(?:if +not +exists +)?([\w.\"`]+))"
    ),
}
# A line that begins with one of these closes what stands above it, or goes on with it.
_CLOSING = {"python": r")\]}", "sql": r")("}
_END_WORDS = dict.fromkeys(("ruby", "elixir", "lua", "r"), r"(?!(?:end|rescue|ensure|else|elseif|elsif)\b)")
_COMMENT = r"(?:#|//|/\*|\*|--)"
_COMMENT_SIGNS = ("#", "//", "/*", "*", "--")
_TO_OPENER = re.compile(
    r"""(?:[^"'#]++|"(?!"")(?:[^"\\\n]|\\.)*+"?|'(?!'')(?:[^'\\\n]|\\.)*+'?|\#[^\n]*+)*+("{3}|'{3})""",
    re.DOTALL,
)
_CLOSERS = {
    '"""': re.compile(r'(?:[^"\\]++|\\.|"(?!""))*+"""', re.DOTALL),
    "'''": re.compile(r"(?:[^'\\]++|\\.|'(?!''))*+'''", re.DOTALL),
}


def outline(text: str, language: str) -> list[tuple[int, int, tuple[str, ...]]]:
    """Stretches of `text` with the names of the definitions around them, outermost first.

    Sorted, not overlapping, each from the beginning of a line to the end of one; stretches of white space are
    left out. A definition's stretch begins with its decorators, else at its own line, and what is defined
    inside it is cut out of it.
    """
    if language not in _DEFINITIONS:
        return _stretches(text, [])
    # Definitions are looked for behind a newline: the first line gets one, and every offset is one too large.
    masked = "\n" + (_without_long_strings(text) if language == "python" else text)
    scopes: list[tuple[int, int, tuple[str, ...]]] = []
    around: list[tuple[int, int, tuple[str, ...]]] = []
    for definition in _definitions(masked, language):
        while around and definition.start >= around[-1][1]:
            around.pop()
        if len(around) == MAX_DEPTH:
            continue
        limit = around[-1][1] if around else len(masked)
        end = _scope_end(masked, definition, language, limit)
        scope = (definition.start, end, (*(around[-1][2] if around else ()), definition.name))
        scopes.append(scope)
        around.append(scope)
    # The newline in front of a line is at the offset, in `masked`, that the line itself has in `text`.
    return _stretches(text, scopes)


def _definitions(masked: str, language: str) -> list[_Definition]:
    found: list[_Definition] = []
    decorated: tuple[int, int] | None = None
    for match in _definition_pattern(language).finditer(masked):
        start, indent, name = match.start(), len(match[1]), match[match.lastindex or 1]
        if name == "@":
            if decorated is None or decorated[1] != indent:
                decorated = (start, indent)
            continue
        first = decorated[0] if decorated and decorated[1] == indent else start
        decorated = None
        found.append(_Definition(first, start, indent, name.strip()))
    return found


@cache
def _definition_pattern(language: str) -> re.Pattern[str]:
    decorator = "(@)|" if language == "python" else ""
    return re.compile(rf"\n([ \t]*+)(?:{decorator}{_DEFINITIONS[language]})")


def _scope_end(masked: str, definition: _Definition, language: str, limit: int) -> int:
    """Where the next line stands that is not part of `definition`, or the comment that leads up to it."""
    next_line = masked.find("\n", definition.first_line + 1, limit)
    if next_line < 0:
        return limit
    dedent = _dedent(language, definition.indent).search(masked, next_line, limit)
    end = dedent.start() if dedent else limit
    # Comments and blank lines that end it and stand no deeper than it lead up to what follows.
    while (last := masked.rfind("\n", next_line, end)) > next_line:
        line = masked[last + 1 : end]
        bare = line.strip(" \t\r")
        is_deeper = len(line) - len(line.lstrip(" \t")) > definition.indent
        if is_deeper or (bare and not bare.startswith(_COMMENT_SIGNS)):
            break
        end = last
    return end


@cache
def _dedent(language: str, indent: int) -> re.Pattern[str]:
    """The next line that stands no deeper than `indent` and neither closes nor continues what is above."""
    width = min(indent, _MAX_COLUMN)
    closing = _CLOSING.get(language, r")\]}{")
    after = rf"(?!{_COMMENT}){_END_WORDS.get(language, '')}(?=[^\s{closing}])"
    return re.compile(rf"\n[ \t]{{0,{width}}}{after}")


def _without_long_strings(text: str) -> str:
    """`text` with the inside of every string in triple quotes blanked, newlines too; the length stays."""
    following = {quote: text.find(quote) for quote in _CLOSERS}
    pieces: list[str] = []
    position = looked = 0
    while opening := [(start, quote) for quote, start in following.items() if start >= 0]:
        start, quote = min(opening)
        line = max(text.rfind("\n", looked, start) + 1, looked)
        before = text[line:start]
        if "#" in before or '"' in before or "'" in before:
            # A comment or a short string stands before it on the line, and may hold it.
            line_end = text.find("\n", start)
            line_end = len(text) if line_end < 0 else line_end
            opener = _TO_OPENER.match(text, line, line_end)
            start, quote = (opener.start(1), opener[1]) if opener else (line_end, "")
        if quote:
            looked = _closing(text, quote, start + 3)
            pieces += [text[position:start], "#" * (looked - start)]
            position = looked
        else:
            looked = start
        following = {
            quote: text.find(quote, looked) if -1 < place < looked else place
            for quote, place in following.items()
        }
    pieces.append(text[position:])
    return "".join(pieces)


def _closing(text: str, quote: str, position: int) -> int:
    """Where the string that was opened by `quote` before `position` ends; the end of the text if nowhere."""
    end = text.find(quote, position)
    if end < 0:
        return len(text)
    if "\\" in text[max(position, end - 1) : end]:
        closer = _CLOSERS[quote].match(text, position)
        return closer.end() if closer else len(text)
    return end + 3


def _stretches(
    text: str, scopes: list[tuple[int, int, tuple[str, ...]]]
) -> list[tuple[int, int, tuple[str, ...]]]:
    """`scopes`, which nest, as stretches side by side; the innermost scope has each character."""
    edges = sorted(
        {0, len(text), *(edge for start, end, _ in scopes for edge in (start, min(end, len(text))))}
    )
    found: list[tuple[int, int, tuple[str, ...]]] = []
    around: list[tuple[int, int, tuple[str, ...]]] = []
    upcoming = 0
    for start, end in pairwise(edges):
        while around and around[-1][1] <= start:
            around.pop()
        while upcoming < len(scopes) and scopes[upcoming][0] <= start:
            around.append(scopes[upcoming])
            upcoming += 1
        if not text[start:end].isspace():
            found.append((start, end, around[-1][2] if around else ()))
    return found
