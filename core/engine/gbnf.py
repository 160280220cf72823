"""Choices and regular expressions as grammars that llama.cpp understands (GBNF)."""

import re
from collections.abc import Sequence

from lctx.core.errors import EngineRefusedError

_HINT = "use a simpler pattern, a JSON schema or a choice, or an engine of kind vllm"
_MOST_REPEATS = 2000
"""llama.cpp refuses longer repetitions. Source: MAX_REPETITION_THRESHOLD in its src/llama-grammar.cpp."""
_DEEPEST = 100
_CLASSES = {"d": "0-9", "w": "A-Za-z0-9_", "s": r" \t\n\r\x0B\x0C"}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_BOUNDS = re.compile(r"\{(?=[\d,])(\d*)(,?)(\d*)\}")
_HEX_DIGITS = {"x": 2, "u": 4}


def grammar_of_choice(choice: Sequence[str]) -> str:
    """The grammar of exactly these texts."""
    return "root ::= " + " | ".join(_literal(text) for text in choice) + "\n"


def grammar_of_regex(pattern: str) -> str:
    """The grammar of the texts that `pattern` matches as a whole.

    Raises:
        EngineRefusedError: It is no regular expression, or uses what a grammar cannot say: look-around,
            back-references, word boundaries, flags, possessive quantifiers, anchors inside.
    """
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise EngineRefusedError(
            f"{shown(pattern)}: not a regular expression: {error}", "see Python's re for the syntax"
        ) from error
    return f"root ::= {_Translation(pattern).whole()}\n"


def shown(pattern: str) -> str:
    """The pattern as a message names it: in one line, of a long one its beginning."""
    line = "".join(char if char.isprintable() else " " for char in pattern)
    return line if len(line) <= 80 else f"{line[:80]}…"  # noqa: PLR2004  (a line of a terminal)


class _Translation:
    """One pattern on its way to a grammar, read from left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0

    def whole(self) -> str:
        translated = self._alternatives()
        if self._at < len(self._pattern):
            raise self._refused("a bracket too many")  # re.compile has let it pass: our own reading differs
        return translated

    def _refused(self, why: str) -> EngineRefusedError:
        return EngineRefusedError(
            f"{shown(self._pattern)}: llama.cpp cannot hold an answer to it: {why}", _HINT
        )

    def _next(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self) -> str:
        char = self._next()
        self._at += 1
        return char

    def _alternatives(self) -> str:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._refused("groups are nested too deeply")
        found = [self._sequence()]
        while self._next() == "|":
            self._at += 1
            found.append(self._sequence())
        self._depth -= 1
        return " | ".join(found)

    def _sequence(self) -> str:
        parts = []
        while self._next() not in {"", "|", ")"}:
            if (part := self._atom()) is not None:
                parts.append(part + self._quantifier())
        return " ".join(parts) or '""'

    def _atom(self) -> str | None:
        """The next thing that may be repeated; None for an anchor that says what holds anyway."""
        start = self._at
        char = self._take()
        if char == "(":
            return self._group()
        if char == "[":
            return self._set()
        if char == ".":
            return r"[^\n]"
        if char == "^" and start == 0:
            return None
        if char == "$" and self._at == len(self._pattern):
            return None
        if char in "^$":
            raise self._refused("it has an anchor inside")
        if char != "\\":
            return _literal(char)
        kind = self._next()
        if kind.lower() in _CLASSES:
            self._at += 1
            return f"[{'^' if kind.isupper() else ''}{_CLASSES[kind.lower()]}]"
        return _literal(self._escaped())

    def _group(self) -> str:
        if self._next() == "?":
            named = re.compile(r"\?(?::|P<\w+>)").match(self._pattern, self._at)
            if named is None:
                raise self._refused("look-around, back-references and flags are not for grammars")
            self._at = named.end()
        inside = self._alternatives()
        self._at += 1  # the closing bracket: re.compile has seen it
        return f"({inside})"

    def _set(self) -> str:
        negated = self._next() == "^"
        self._at += negated
        items: list[str] = []
        while self._next() != "]" or not items:
            items.append(self._set_item())
        self._at += 1
        return f"[{'^' if negated else ''}{''.join(items)}]"

    def _set_item(self) -> str:
        char = self._take()
        if char == "\\":
            kind = self._next()
            if kind in _CLASSES:
                self._at += 1
                return _CLASSES[kind]
            if kind.lower() in _CLASSES:
                raise self._refused(f"\\{kind} stands in a set")
            char = "\b" if kind == "b" else self._escaped()
            self._at += kind == "b"
        if self._next() == "-" and self._pattern[self._at + 1 : self._at + 2] != "]":
            self._at += 1
            last = self._take()
            last = self._escaped() if last == "\\" else last
            return f"{_in_set(char)}-{_in_set(last)}"
        return _in_set(char)

    def _escaped(self) -> str:
        """The character behind a backslash that was taken."""
        kind = self._take()
        if kind in _CONTROLS:
            return _CONTROLS[kind]
        if (digits := _HEX_DIGITS.get(kind)) is not None:
            self._at += digits
            return chr(int(self._pattern[self._at - digits : self._at], 16))
        if kind.isalnum():
            raise self._refused(f"\\{kind} is not for grammars")
        return kind

    def _quantifier(self) -> str:
        char = self._next()
        if char and char in "*+?":
            self._at += 1
            found = char
        elif bounds := _BOUNDS.match(self._pattern, self._at):
            self._at = bounds.end()
            least, comma, most = bounds.groups()
            least = least or "0"
            if max(int(least), int(most or 0)) > _MOST_REPEATS:
                raise self._refused(f"it repeats something more than {_MOST_REPEATS:,} times")
            found = f"{{{least}{comma}{most}}}"
        else:
            return ""
        if self._next() == "+":
            raise self._refused("possessive quantifiers are not for grammars")
        self._at += self._next() == "?"  # lazy or greedy: the same texts match
        return found


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else _code(char) for char in escaped) + '"'


def _in_set(char: str) -> str:
    return char if char.isalnum() else _code(char)


def _code(char: str) -> str:
    point = ord(char)
    if point <= 0xFF:  # noqa: PLR2004
        return f"\\x{point:02X}"
    return f"\\u{point:04X}" if point <= 0xFFFF else f"\\U{point:08X}"  # noqa: PLR2004
