"""Unified diffs: every hunk with the file and the lines of the new side that it stands for.

What git writes is read (`git diff`, `git log -p`, `git format-patch`), and what diff -u does. Lines are
counted in the diff itself, so that a quote can be looked up there; the `part` is its place in the changed
file.
"""

import re
from dataclasses import dataclass, field

from lctx.core.document import Block, Document, Location, Span, line_ends
from lctx.core.errors import DamagedSourceError
from lctx.formats.decoding import MARKS, decode
from lctx.formats.names import printable
from lctx.formats.reader import DEFAULTS, ReadOptions, sha256_of
from lctx.formats.sniffing import HEAD_BYTES, wide_encoding

READER = "diff/2"

SNIFFED_BYTES = 4 * 1024 * 1024
"""How far into a source its first hunk is looked for; commit messages may come before it."""

_OPENING = re.compile(
    rb"\s*(?:diff --git |diff -|--- |commit [0-9a-f]{7,64}\b|From [0-9a-f]{40,64} |Index: "
    rb"|[0-9a-f]{7,64} |@@ -\d"
    rb"| ?[^\r\n|]{1,300} \| +(?:\d|Bin)"  # git diff --stat -p
    rb"|(?:From|Return-Path|Received|Delivered-To|Date|Subject|Message-I[dD]|MIME-Version|X-[\w-]+): )"
)
_HUNK_BYTES = re.compile(
    rb"^--- [^\r\n]+\r?\n\+\+\+ [^\r\n]+\r?\n@@ -\d|^@@@"
    rb"|^diff --git [^\r\n]+\r?\n(?:index|new|deleted|similarity|old)",
    re.MULTILINE,
)
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)")
_COMBINED = re.compile(r"(@@@+)(?: -\d+(?:,\d+)?)+ \+(\d+)(?:,(\d+))? @@@+ ?(.*)")
_COMMIT = re.compile(r"(?:commit|From) ([0-9a-f]{7,64})\b")
_ONE_LINE_COMMIT = re.compile(r"([0-9a-f]{7,64}) ")
_PREFIX = re.compile(r"[abciow12]/")
_QUOTED = re.compile(r'\\(?:([0-7]{3})|([abfnrtv"\\]))')
_ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}
_NOWHERE = "/dev/null"
_COMMIT_CHARS = 12


def looks_like_diff(content: bytes) -> bool:
    """Whether `content` begins as a diff, a log or a mail does and holds a change in unified form."""
    start = _narrowed(content[: 4 * 4096])[:4096]
    return bool(_OPENING.match(start)) and holds_change(content)


def holds_change(content: bytes) -> bool:
    """Whether a change in unified form begins somewhere in `content`; prose may stand before it."""
    return _HUNK_BYTES.search(_narrowed(content[:SNIFFED_BYTES])) is not None


def _narrowed(content: bytes) -> bytes:
    """`content` in UTF-8, without its mark: a shell of Windows writes `git diff > x.diff` in UTF-16."""
    mark, encoding = next((one for one in MARKS if content.startswith(one[0])), (b"", None))
    encoding = encoding or wide_encoding(content[:HEAD_BYTES])
    content = content.removeprefix(mark)
    if encoding is None or encoding == "utf-8":
        return content
    return content.decode(encoding, "replace").encode("utf-8", "replace")


def read_diff(path: str, content: bytes, _options: ReadOptions = DEFAULTS) -> Document:
    """The document of a unified diff: a span and a block for each hunk, and for what stands between them.

    Raises:
        DamagedSourceError: It holds no change.
    """
    decoded = decode(path, content)
    reading = _Reading(decoded.text)
    if not any(block.kind == "hunk" for block in reading.blocks) and "diff --git " not in decoded.text:
        raise DamagedSourceError(path, "it holds no unified diff", "make it with git diff or diff -u")
    return Document(
        path=path,
        kind="diff",
        reader=READER,
        sha256=sha256_of(content),
        text=decoded.text,
        spans=tuple(reading.spans),
        blocks=tuple(reading.blocks),
        warnings=decoded.warnings,
    )


@dataclass(slots=True)
class _Reading:
    """One pass over the lines of a diff; `spans` and `blocks` are complete when it is built."""

    text: str
    spans: list[Span] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    _start: int = 0
    _first_line: int = 1
    _part: str = "diff"
    _file: str = ""
    _old_side: str = ""
    _heading: str = "diff"
    _has_prefixes: bool = True
    _symbol: tuple[str, ...] = ()
    _sides: tuple[int, int, int] | None = None
    _is_hunk: bool = False
    _old_left: int = 0
    _new_left: int = 0
    _columns: int = 0  # of a combined diff: how many parents the merge has; 0 in all others

    def __post_init__(self) -> None:
        position = 0
        is_rest = False  # of a line of the changed file that holds a \r: git does not end its lines there
        has_newlines = "\n" in self.text
        for number, end in enumerate(line_ends(self.text), start=1):
            if not (is_rest and self._is_hunk):
                self._take(self.text[position:end].rstrip("\r\n"), position, number)
            is_rest = has_newlines and self.text[end - 1 : end] == "\r"
            position = end
        self._close(len(self.text), number + 1)

    def _take(self, line: str, start: int, number: int) -> None:
        if self._consumes(line):
            return
        if hunk := _HUNK.match(line):
            first, count = int(hunk[3]), int(hunk[4] or 1)
            self._open_hunk(start, number, first, count, hunk[5])
            self._sides = int(hunk[1]), first, 1
            self._old_left, self._new_left = int(hunk[2] or 1), count
        elif hunk := _COMBINED.match(line):
            self._open_hunk(start, number, int(hunk[2]), int(hunk[3] or 1), hunk[4])
            self._columns = len(hunk[1]) - 1
            self._sides = 0, int(hunk[2]), self._columns
        elif line.startswith("diff "):
            self._has_prefixes = not _same_names(line)
            self._name_file(start, number, _file_of_header(line) or "diff")
        elif line.startswith("Index: "):  # Subversion; what it tells of properties stands before the next one
            self._name_file(start, number, _path_of(line.removeprefix("Index: ")) or "diff")
        elif commit := _COMMIT.match(line) or (
            _ONE_LINE_COMMIT.match(line) if self._is_hunk or start == 0 else None
        ):
            self._file = ""
            self._open(start, number, f"commit {commit[1][:_COMMIT_CHARS]}")
        else:
            self._take_header(line, start, number)

    def _take_header(self, line: str, start: int, number: int) -> None:
        if line.startswith("--- ") and len(line) > len("--- "):
            if self._is_hunk:  # diff -u writes no line of its own before a file
                self._name_file(start, number, "diff")
            self._old_side = line[4:]
        elif line.startswith("+++ ") and self._old_side:
            self._file = self._part = self._heading = self._new_side(line[4:])
            self._old_side = ""
        elif line.startswith(("rename to ", "copy to ")) and not self._is_hunk:
            self._file = self._part = self._heading = _path_of(line.partition(" to ")[2])
        elif self._is_hunk and line.strip() and not line.startswith("\\"):
            self._open(start, number, self._file or "diff")

    def _new_side(self, new: str) -> str:
        """The path that a change is told of: the new side's, or the old one's where the file was deleted."""
        old_path, new_path = _path_of(self._old_side), _path_of(new)
        sides = [path for path in (old_path, new_path) if path != _NOWHERE]
        if self._has_prefixes and all(_PREFIX.match(side) for side in sides) and old_path != new_path:
            old_path, new_path = (path if path == _NOWHERE else path[2:] for path in (old_path, new_path))
        return f"{old_path} (deleted)" if new_path == _NOWHERE else new_path

    def _consumes(self, line: str) -> bool:
        """Whether `line` belongs to the open hunk: counted, so that "--- a" can be a removed "-- a"."""
        if self._columns:
            if line[:1] in {" ", "+", "-", "\\"} or not line:
                return True
            self._columns = 0
            return False
        if self._old_left <= 0 and self._new_left <= 0:
            return False
        sign = line[:1] or " "  # some mailers strip the one space of an empty line
        if sign not in " +-\\":
            self._old_left = self._new_left = 0
            return False
        self._old_left -= sign in " -"
        self._new_left -= sign in " +"
        return True

    def _open_hunk(self, start: int, number: int, first: int, count: int, symbol: str) -> None:
        lines = f"{first}-{first + count - 1}" if count > 1 else str(first)
        part = f"{self._file}:{lines}" if self._file else lines
        self._open(start, number, part if first else self._file or "diff")  # a deleted file has no line
        self._is_hunk = True
        self._symbol = (symbol.strip(),) if symbol.strip() else ()

    def _name_file(self, start: int, number: int, file: str) -> None:
        self._file = file
        self._open(start, number, file)

    def _open(self, start: int, number: int, part: str) -> None:
        self._close(start, number)
        self._start, self._first_line, self._part = start, number, part
        self._heading = self._file or part
        self._is_hunk, self._symbol, self._sides = False, (), None

    def _close(self, end: int, number: int) -> None:
        if end <= self._start:
            return
        location = Location(part=self._part)
        self.spans.append(Span(self._start, end, location, self._first_line, self._sides))
        kind = "hunk" if self._is_hunk else "paragraph"
        self.blocks.append(Block(kind, self._start, end, heading=(self._heading,), symbol=self._symbol))
        self._start, self._first_line = end, number


def _path_of(field_text: str) -> str:
    """The path of a ---/+++ line: without the time stamp behind a tab, unquoted as git quotes."""
    end = field_text.rfind('"')
    if field_text.startswith('"') and end > 0:
        return printable(_unquoted(field_text[1:end]))
    return printable(field_text.partition("\t")[0].rstrip())


def _unquoted(quoted: str) -> str:
    """Git writes bytes outside ASCII as three octal digits each."""
    pieces: list[bytes] = []
    position = 0
    for escape in _QUOTED.finditer(quoted):
        pieces.append(quoted[position : escape.start()].encode())
        pieces.append(bytes([int(escape[1], 8) & 0xFF if escape[1] else _ESCAPES[escape[2]]]))
        position = escape.end()
    pieces.append(quoted[position:].encode())
    return b"".join(pieces).decode("utf-8", "replace")


def _same_names(line: str) -> bool:
    """Whether a `diff --git` line names the same path twice: written with --no-prefix."""
    names = line.removeprefix("diff --git ")
    half = len(names) // 2
    return len(names) % 2 == 1 and names[half] == " " and names[:half] == names[half + 1 :]


def _file_of_header(line: str) -> str | None:
    """The new side's path of a `diff --git a/x b/x` line, which stands alone for binary files and modes."""
    if not line.startswith("diff --git "):
        return line.rpartition(" ")[2] if line.startswith(("diff --cc ", "diff --combined ")) else None
    names = line.removeprefix("diff --git ")
    # Both names are the same but for a rename, and may hold spaces: then the halves tell.
    half = len(names) // 2
    if _same_names(line):
        return _path_of(names[:half])
    if names.endswith('"'):
        return _path_of(names[names.rfind(' "') + 1 :])[2:] or None
    if names[half : half + 1] == " " and names[2:half] == names[half + 3 :]:
        return names[half + 3 :]
    return names.rpartition(" b/")[2] or None
