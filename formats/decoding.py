"""Bytes to text, exactly: what was decoded can be taken back to its line in any editor."""

import codecs
import re
from dataclasses import dataclass

from lctx.core.errors import LimitError, UnsupportedSourceError
from lctx.formats.reader import nothing_in
from lctx.formats.sniffing import HEAD_BYTES, has_binary_bytes, wide_encoding

MAX_TEXT_BYTES = 100 * 1024 * 1024
"""The largest source that is read as text: about twenty-five times a window of a million tokens."""

_SAMPLE_BYTES = 64 * 1024
"""As much as the guess of an encoding looks at; more makes it slower, not better."""

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks, and the encodings that they stand for."""
# What pages mean by an encoding's name, where Python's codec of that name is narrower (WHATWG Encoding, 4.2).
_MEANT = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}
_PAGE_CODEC = re.compile("ascii|iso8859|iso2022|cp|koi8|mac|gb|hz$|big5|euc_|shift_jis|tis-620|johab|ptcp|kz")
_VALID_PER_BAD = 10
_ASCII_SHARE = 0.8

# What text in Windows-1252 (and in Latin-1, its part) does not hold: signs inside words, runs of accented
# letters.
_LETTERS = "À-ÖØ-öø-ÿŠšŽžŒœŸªº"
_NOT_WESTERN = re.compile(
    rf"[^\x00-\xff€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|[\x80-\x9f]"
    rf"|[{_LETTERS}]{{4}}"  # other scripts come out as long runs of accented letters
    rf"|[a-z{_LETTERS}][^\x00-\x7f{_LETTERS}‘’–—…´·\xad\xa0]+[a-z{_LETTERS}]"  # a sign inside a word
    r"|[a-zà-öø-ÿ][À-ÖØ-Þ]|[a-z][¹³¿¡¢¥¦¬¯±¶¸]"
)
# Tried for all else. Every encoding that the library knows would let rare ones win on short texts.
_CENTRAL = ("cp1250", "iso8859_2")  # which the library often misses
_ODD = re.compile(r"[^\W\d_](?:[^\w\s\x00-\x7f‘’–—…´·\xad]|[¹²³¼½¾])[^\W\d_]|[\x80-\x9f\ufffd]")
_JAPANESE = ("euc_jp", "cp932")
_KANA = re.compile("[\u3041-\u30fe]")
_KANA_SHARE = 0.25
_CANDIDATES = (
    "cp1250 iso8859_2 cp1251 koi8_r iso8859_5 cp1253 iso8859_7 cp1254 cp1255 cp1256 cp1257 cp1258 cp874 "
    "cp932 shift_jis euc_jp gb18030 big5 cp949 euc_kr cp850 cp437 cp866 mac_roman"
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text, and what had to be guessed or replaced to get it.

    Attributes:
        text: Newlines as they stand; a byte order mark is no part of it.
        encoding: Its Python name.
        warnings: One sentence each; empty for UTF-8 and for what carries a mark.
    """

    text: str
    encoding: str
    warnings: tuple[str, ...] = ()


def decode(path: str, content: bytes, declared: str | None = None) -> Decoded:
    """The text of `content`.

    UTF-8 is taken where the bytes are valid; a few broken sequences in it are replaced, not guessed at, so
    that the rest keeps its place. Only bytes that are no UTF-8 are given to a guess.

    Args:
        path: For the errors.
        content: The whole source.
        declared: The encoding that the source itself names. A byte order mark is worth more, and so are bytes
            outside ASCII that are valid UTF-8: hardly anything else is by chance.

    Raises:
        EmptySourceError: There is no character but white space.
        LimitError: There are more than `MAX_TEXT_BYTES` bytes.
        UnsupportedSourceError: The bytes are no text.
    """
    if len(content) > MAX_TEXT_BYTES:
        size, ceiling = len(content) // 2**20, MAX_TEXT_BYTES // 2**20
        why = f"{size} MiB of text, more than the {ceiling} MiB that lctx reads"
        raise LimitError(path, why, "split it, or name the part that matters")
    decoded = _decoded(path, content, declared)
    if not decoded.text or decoded.text.isspace():
        raise nothing_in(path, content if decoded.text else b"")
    return decoded


def _decoded(path: str, content: bytes, declared: str | None) -> Decoded:
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return _with_replacements(content[len(mark) :], encoding)
    if has_binary_bytes(content):
        raise UnsupportedSourceError(
            path, "binary content, not text", "lctx reads text, PDF and Word (.docx)"
        )
    named = _codec_of(declared) if declared else None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        if named:
            return _with_replacements(content, named)
        return _salvaged(content) or _guessed(path, content)
    if named and text.isascii() and named.startswith(("iso2022", "hz")):  # written in seven bits
        return _with_replacements(content, named)
    if "\x00" in text[:HEAD_BYTES] and (wide := wide_encoding(content[:HEAD_BYTES])):
        return _with_replacements(content, wide)
    return Decoded(text, "utf-8")


def _codec_of(declared: str) -> str | None:
    """Python's name of the encoding that a source names; None for one that is unknown or cannot be."""
    try:
        name = codecs.lookup(declared).name
    except (LookupError, ValueError):
        return None
    # What names itself in ASCII is not in UTF-16; and of Python's codecs only those are meant that pages use.
    return _MEANT.get(name, name) if _PAGE_CODEC.match(name) else None


def _with_replacements(content: bytes, encoding: str) -> Decoded:
    try:
        return Decoded(content.decode(encoding), encoding)
    except UnicodeDecodeError:
        warning = f"Some bytes are not valid {encoding.upper()} and were replaced by U+FFFD."
        return Decoded(content.decode(encoding, "replace"), encoding, (warning,))


def _salvaged(content: bytes) -> Decoded | None:
    """UTF-8 with few faults in it: a file cut in the middle of a character, one stray byte in a log."""
    text = content.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    valid = len(text) - len(text.encode("ascii", "ignore")) - bad
    if valid < _VALID_PER_BAD * bad and not (valid and _is_cut(content)):
        return None
    if wide_encoding(content[:HEAD_BYTES]):
        return None
    warning = f"{bad} byte sequence{'s are' if bad > 1 else ' is'} not valid UTF-8, replaced by U+FFFD."
    return Decoded(text, "utf-8", (warning,))


def _is_cut(content: bytes) -> bool:
    """Whether all that is wrong is an unfinished character at the very end."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(content, final=False)
    except UnicodeDecodeError:
        return False
    return True


def _guessed(path: str, content: bytes) -> Decoded:
    if wide := wide_encoding(content[:HEAD_BYTES]):
        return _with_replacements(content, wide)
    encoding = "cp1252" if _is_western(content) else _best_guess(content)
    if encoding is None:
        raise UnsupportedSourceError(path, "neither text nor a format that lctx reads", "convert it to UTF-8")
    warning = f"Its encoding is not stated: read as {encoding}, a guess."
    return Decoded(content.decode(encoding, "replace"), encoding, (warning,))


def _is_western(content: bytes) -> bool:
    """Whether Windows-1252 makes words of the bytes; a statistical guess is worse where few are not ASCII."""
    try:
        return _NOT_WESTERN.search(content.decode("cp1252")) is None
    except UnicodeDecodeError:
        return False


def _best_guess(content: bytes) -> str | None:
    """The library's guess, but for one that puts signs into words where its next best does not."""
    from charset_normalizer import from_bytes

    sample = _sample(content)
    if japanese := next((encoding for encoding in _JAPANESE if _has_kana(sample, encoding)), None):
        return japanese
    candidates = [match.encoding for match in from_bytes(sample, cp_isolation=_CANDIDATES.split())]
    ranked = [(_oddities(sample, encoding), rank) for rank, encoding in enumerate([*candidates, *_CENTRAL])]
    oddities, rank = min(ranked)
    if candidates or oddities == 0:
        return [*candidates, *_CENTRAL][rank]
    # What is mostly ASCII is text all the same; its other characters may come out wrong, as the warning says.
    mostly_ascii = len(sample.decode("ascii", "ignore")) > _ASCII_SHARE * len(sample)
    return "cp1252" if mostly_ascii else None


def _has_kana(sample: bytes, encoding: str) -> bool:
    """Whether `sample` is Japanese in `encoding`: a good part of it kana, which no other reading yields."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(sample, final=False)
    except UnicodeDecodeError:
        return False
    wide = sum(1 for sign in text if sign > "\x7f")
    return wide > 0 and len(_KANA.findall(text)) > _KANA_SHARE * wide


def _oddities(sample: bytes, encoding: str) -> int:
    return len(_ODD.findall(sample.decode(encoding, "replace")))


def _sample(content: bytes) -> bytes:
    """Whole lines around the first byte that is no ASCII: the part that tells encodings apart."""
    if len(content) <= _SAMPLE_BYTES:
        return content
    high = next(
        (start for start in range(0, len(content), 4096) if not content[start : start + 4096].isascii()), 0
    )
    start = content.rfind(b"\n", 0, high) + 1
    # A line without end would put the sample where nothing is to be seen.
    start = max(start, high - _SAMPLE_BYTES // 2)
    return content[start : start + _SAMPLE_BYTES]
