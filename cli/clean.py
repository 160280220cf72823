"""Text from a document or a model, made safe to look at.

A terminal obeys escape sequences and reorders bidirectional text; both have been used to show a person
something other than what is there. JSON keeps every character and needs none of this.
"""

import re

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movements
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)"  # OSC, DCS, SOS, PM, APC: titles, links, the clipboard
    r"|\x1b[ -/]*[0-~]?"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional marks, embeddings, isolates
    r"\ufff9-\ufffb\U000e0000-\U000e007f]"  # annotation and tag characters: invisible text
)
_UNSEEN_CLASS = (
    r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
    r"\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f"
)
_UNSEEN = re.compile(rf"\r\n?|[\ufffe\u00ad]|[{_UNSEEN_CLASS}]")
_ANY_UNSEEN = re.compile(rf"[\r\ufffe\u00ad{_UNSEEN_CLASS}]")
_SEEN_ASCII = bytes([*b"\t\n", *range(0x20, 0x7F)])
_PART_CHARS = 1 << 20  # looked at in one go: a large text is not held three times
_LINE_HYPHEN = re.compile(r"\ufffe(?:\r\n|\r|\n)?|\u00ad")
_LINE_END = re.compile(r"\r\n|\r|\u2028|\u2029|\x0c")


def displayable(text: str) -> str:
    """`text` without escape sequences and control, bidirectional or undecodable characters."""
    if text.isascii() and text.isprintable():
        return text
    text = _LINE_END.sub("\n", _LINE_HYPHEN.sub("", text))
    text = _CONTROLS.sub("", _ESCAPES.sub("", text))
    return text.encode("utf-8", "backslashreplace").decode()


def visible(text: str) -> str:
    r"""`text` line by line as it stands; what cannot be seen or moves a cursor is written as an escape: \x1b.

    A line ends with a newline whatever ended it, and a hyphen that a typesetter made at its end is a hyphen.
    """
    return text if _is_all_seen(text) else _UNSEEN.sub(_visible, text)


def _is_all_seen(text: str) -> bool:
    """Whether `text` holds nothing to write otherwise, as nearly all texts do."""
    for start in range(0, len(text), _PART_CHARS):
        # ASCII is passed over ten times as fast as a pattern would.
        part = text[start : start + _PART_CHARS].encode("utf-8", "surrogatepass")
        doubtful = part.translate(None, _SEEN_ASCII)
        if doubtful and _ANY_UNSEEN.search(doubtful.decode("utf-8", "surrogatepass")):
            return False
    return True


def _visible(found: re.Match[str]) -> str:
    char = found[0]
    if char[0] == "\r":
        return "\n"
    if char in "\ufffe\u00ad":
        return "-" if found.end() == len(found.string) or found.string[found.end()] in "\r\n" else ""
    code = ord(char)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - as Python writes them


def one_line(text: str) -> str:
    """`text` as one displayable line: every run of white space is one space."""
    return " ".join(displayable(text).split())
