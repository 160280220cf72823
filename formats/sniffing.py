"""What bytes are, by their first few: the kinds that lctx reads, and the names of those that it does not."""

import codecs
import re
from functools import lru_cache

HEAD_BYTES = 8192
"""As much of a file's beginning as decides what it is; git looks at 8000 bytes for the same purpose."""

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"MZ\x90\x00", "a program"),
    (b"\xca\xfe\xba\xbe", "a compiled class"),
    (b"\x00asm", "a WebAssembly module"),
    (b"SQLite format 3\x00", "a SQLite database"),
    (b"GGUF", "a GGUF model"),
    (b"OggS", "an Ogg recording"),
    (b"fLaC", "a FLAC recording"),
    (b"ID3", "an MP3 recording"),
    (b"PAR1", "a Parquet table"),
    (b"{\\rtf", "an RTF document"),
    (b"%!PS", "a PostScript document"),
)
_SIGNATURES_BY_BYTE = {
    first: tuple(one for one in _SIGNATURES if one[0].startswith(first))
    for first in {signature[:1] for signature, _ in _SIGNATURES}
}
_ZIP_KINDS = (
    (re.compile(rb"ppt/(?:presentation|slides)"), "a PowerPoint presentation"),
    (re.compile(rb"xl/(?:workbook|worksheets)"), "an Excel workbook"),
    (re.compile(rb"mimetypeapplication/epub"), "an EPUB book"),
    (re.compile(rb"mimetypeapplication/vnd\.oasis\.opendocument"), "an OpenDocument file"),
    (re.compile(rb"META-INF/MANIFEST\.MF"), "a Java archive"),
)
# Each comment is passed over once and for all, so that many of them cost no time.
_HTML_OPENING = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}>)?(?>\s*<!--.*?-->)*+\s*<(?:!doctype\s+html|html)[\s>]",
    re.IGNORECASE | re.DOTALL,
)
_NOTEBOOK_KEY = re.compile(rb'"(?:cell_type|nbformat|worksheets)"\s*:')
_WORD_IN_ZIP = re.compile(rb"word/(?:document|settings|styles|_rels)")
_ENCRYPTED_OFFICE = "EncryptedPackage".encode("utf-16-le")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_BOMS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\v\f\r\x1a\x1b") + b"\x7f"
_MAX_CONTROL_SHARE = 0.05
_FEW = 8  # NULs between words of ASCII stand on both sides alike
_BLANKS = frozenset("\t\n\v\f\r\u3000\u00a0\x85\u2028\u2029")
_TEXT_SIGNATURES = frozenset({b"ID3", b"BZh", b"PAR1", b"GGUF", b"OggS", b"fLaC"})
"""Signatures that are plain letters: text may begin with them, so they need something binary behind them."""


@lru_cache(maxsize=256)
def suffix_of(path: str) -> str:
    """The last suffix of the file's name in lower case, with its dot; empty where there is none."""
    # By hand and once: it is asked several times of every file of a tree; pathlib takes ten times as long.
    stem, dot, suffix = path.rpartition("/")[2].rpartition(".")
    return f".{suffix.lower()}" if stem and dot else ""


def is_pdf(path: str, content: bytes) -> bool:
    """Whether `content` is to be read as PDF: by its first bytes, or by its name and its first kilobyte."""
    return content.startswith(b"%PDF-") or (suffix_of(path) == ".pdf" and other_kind(content) is None)


def is_zip(content: bytes) -> bool:
    """Whether `content` begins as a ZIP container does."""
    return content.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def is_word(content: bytes) -> bool:
    """Whether `content`, a whole ZIP container, holds a Word document: names stand uncompressed in it."""
    return is_zip(content) and _WORD_IN_ZIP.search(content) is not None


def is_ole(content: bytes) -> bool:
    """Whether `content` is Microsoft's old container: Word before 2007, or a newer file with a password."""
    return content.startswith(_OLE)


def is_encrypted_office(content: bytes) -> bool:
    """Whether `content` is an Office file that opens with a password only."""
    return is_ole(content) and _ENCRYPTED_OFFICE in content


def opens_as_html(content: bytes) -> bool:
    """Whether `content` opens as a page does."""
    return _HTML_OPENING.match(content[:HEAD_BYTES]) is not None


def is_notebook(content: bytes) -> bool:
    """Whether `content` is a Jupyter notebook, or what is left of one: JSON that speaks of its cells."""
    head = content[:HEAD_BYTES].removeprefix(codecs.BOM_UTF8).lstrip()
    return head.startswith(b"{") and _NOTEBOOK_KEY.search(content) is not None


def zip_kind(content: bytes) -> str:
    """What a ZIP container that is no Word document holds, in words."""
    return next((kind for pattern, kind in _ZIP_KINDS if pattern.search(content)), "a ZIP archive")


def other_kind(content: bytes) -> str | None:
    """The name of a kind that lctx does not read, or None: text, and what its readers know."""
    head = content[:HEAD_BYTES]
    for signature, kind in _SIGNATURES_BY_BYTE.get(head[:1], ()):
        if head.startswith(signature) and (signature not in _TEXT_SIGNATURES or has_binary_bytes(head)):
            return kind
    if head[:4] == b"RIFF" and head[8:12] in {b"WEBP", b"WAVE", b"AVI "}:
        return "a WebP image" if head[8:12] == b"WEBP" else "a recording"
    if head[4:8] == b"ftyp":
        return "a recording"
    if head[257:262] == b"ustar":
        return "a tar archive"
    return None


def has_binary_bytes(content: bytes) -> bool:
    """Whether the first bytes are those of no text in any encoding that lctx decodes."""
    head = content[:HEAD_BYTES]
    num_controls = len(head) - len(head.translate(None, _CONTROLS))
    if not num_controls or head.startswith(_BOMS) or wide_encoding(head):
        return False
    return b"\x00" in head or num_controls > _MAX_CONTROL_SHARE * len(head)


def wide_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark, told by where its NULs stand and by what it decodes to; or None.

    White space has a NUL in every script: in UTF-16 on the side of the high byte. Few letters have one on the
    other side.
    """
    if b"\x00" not in head:
        return None
    nuls = [head[offset::4].count(0) for offset in range(4)]
    quarter = len(head) // 4
    if quarter and min(nuls[2:]) >= quarter and _reads_as(head, "utf-32-le", 4):
        return "utf-32-le"
    if quarter and min(nuls[:2]) >= quarter and _reads_as(head, "utf-32-be", 4):
        return "utf-32-be"
    low, high = nuls[0] + nuls[2], nuls[1] + nuls[3]
    if low * _FEW <= high and _reads_as(head, "utf-16-le", 2):
        return "utf-16-le"
    if high * _FEW <= low and _reads_as(head, "utf-16-be", 2):
        return "utf-16-be"
    return None


def _reads_as(head: bytes, encoding: str, width: int) -> bool:
    """Whether nearly all of `head` is printable in `encoding`; its end may cut a character in two."""
    text = head[: len(head) // width * width].decode(encoding, "replace").removesuffix("\ufffd")
    odd = text.count("\ufffd") + sum(not (sign.isprintable() or sign in _BLANKS) for sign in text)
    return odd <= len(text) // 50
