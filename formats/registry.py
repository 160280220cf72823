"""The formats that lctx reads, and the one question asked of every source: which of them is it?"""

from dataclasses import dataclass

from lctx.core.document import Document
from lctx.core.errors import EncryptedSourceError, UnsupportedSourceError
from lctx.formats import sniffing
from lctx.formats.languages import is_code
from lctx.formats.reader import DEFAULTS, Reader, ReadOptions, nothing_in

_READS = "lctx reads PDF, Word (.docx), Markdown, text, source code and diffs"
_SAVE_AS = {
    "a PowerPoint presentation": "save it as PDF",
    "an Excel workbook": "save it as CSV or PDF",
    "an EPUB book": "convert it to PDF or text",
    "an OpenDocument file": "save it as .docx or PDF",
    "an RTF document": "save it as .docx or PDF",
    "a PostScript document": "convert it to PDF (ps2pdf)",
    "a ZIP archive": "unpack it and name the folder",
}


@dataclass(frozen=True, slots=True)
class Format:
    """One format and the function that reads it.

    Attributes:
        name: The `kind` of its documents.
        reader: The reader and the version of its text; what was kept of another version is read again.
        suffixes: Endings of file names that mean it, lower case, with the dot.
        read: Bytes to document.
    """

    name: str
    reader: str
    suffixes: tuple[str, ...]
    read: Reader


# The readers are imported when the first source of their kind is read: `lctx --help` needs none of them.
def _read_pdf(path: str, content: bytes, options: ReadOptions = DEFAULTS, /) -> Document:
    from lctx.formats.pdf import read_pdf

    return read_pdf(path, content, options)


def _read_word(path: str, content: bytes, options: ReadOptions = DEFAULTS, /) -> Document:
    from lctx.formats.word import read_word

    return read_word(path, content, options)


def _read_markdown(path: str, content: bytes, options: ReadOptions = DEFAULTS, /) -> Document:
    from lctx.formats.markdown import read_markdown

    return read_markdown(path, content, options)


def _read_diff(path: str, content: bytes, options: ReadOptions = DEFAULTS, /) -> Document:
    from lctx.formats.diff import read_diff

    return read_diff(path, content, options)


def _read_code(path: str, content: bytes, options: ReadOptions = DEFAULTS, /) -> Document:
    from lctx.formats.source_code import read_code

    return read_code(path, content, options)


def _read_text(path: str, content: bytes, options: ReadOptions = DEFAULTS, /) -> Document:
    from lctx.formats.text import read_text

    return read_text(path, content, options)


PDF = Format("pdf", "pdf/1", (".pdf",), _read_pdf)
WORD = Format("docx", "word/2", (".docx", ".docm", ".dotx", ".dotm"), _read_word)
MARKDOWN = Format(
    "markdown", "markdown/1", (".md", ".markdown", ".mdown", ".mkd", ".mdx", ".rmd", ".qmd"), _read_markdown
)
DIFF = Format("diff", "diff/1", (".diff", ".patch"), _read_diff)
CODE = Format("code", "code/1", (), _read_code)
TEXT = Format(
    "text", "text/1", (".txt", ".text", ".rst", ".adoc", ".org", ".tex", ".log", ".csv", ".tsv"), _read_text
)
FORMATS = (PDF, WORD, MARKDOWN, DIFF, CODE, TEXT)
"""All of them. Which suffixes are source code is told by `lctx.formats.languages`."""


def format_of(path: str, content: bytes) -> Format:
    """The format that `content` is read as: what the bytes say first, then what the name says.

    Args:
        path: As the user named it; "-" for standard input.
        content: The whole source.

    Raises:
        EmptySourceError: No bytes, or white space only.
        EncryptedSourceError: An Office file with a password.
        UnsupportedSourceError: Binary content that no reader knows.
    """
    if not content or content.isspace():
        raise nothing_in(path, content)
    if sniffing.is_pdf(path, content):
        return PDF
    if sniffing.is_ole(content) or sniffing.is_zip(content):
        return _container(path, content)
    suffix = sniffing.suffix_of(path)
    if kind := sniffing.other_kind(content):
        named = f" named {suffix}" if suffix in {*PDF.suffixes, *WORD.suffixes} else ""
        raise UnsupportedSourceError(path, f"it is {kind}{named}", _SAVE_AS.get(kind, _READS))
    if suffix in WORD.suffixes:
        return WORD  # neither a ZIP nor anything else that is known: its reader says that it is damaged
    if sniffing.has_binary_bytes(content):
        raise UnsupportedSourceError(path, "binary content that no reader knows", _READS)
    return _text_format(path, suffix, content)


def _container(path: str, content: bytes) -> Format:
    if sniffing.is_encrypted_office(content):
        raise EncryptedSourceError(path, "it opens with a password only", "save a copy without the password")
    if sniffing.is_ole(content):
        raise UnsupportedSourceError(path, "it is an Office file from before 2007", "save it as .docx or PDF")
    if sniffing.is_word(content) or sniffing.suffix_of(path) in WORD.suffixes:
        return WORD
    kind = sniffing.zip_kind(content)
    raise UnsupportedSourceError(path, f"it is {kind}", _SAVE_AS.get(kind, _READS))


def _text_format(path: str, suffix: str, content: bytes) -> Format:
    if path == "-" or suffix in DIFF.suffixes:
        from lctx.formats.diff import looks_like_diff

        if looks_like_diff(content):
            return DIFF
    if suffix in MARKDOWN.suffixes:
        return MARKDOWN
    return CODE if is_code(path, content) else TEXT
