"""The formats that lctx reads, and the one question asked of every source: which of them is it?"""

import re
import sys
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, NoReturn

from lctx.core.document import Document
from lctx.core.errors import EncryptedSourceError, UnsupportedSourceError
from lctx.formats import sniffing
from lctx.formats.format import Format
from lctx.formats.languages import is_code
from lctx.formats.reader import DEFAULTS, ReadOptions, nothing_in

if TYPE_CHECKING:
    from lctx.formats.plugins import BrokenPlugin, Plugins

_READS = "lctx reads PDF, Word (.docx), HTML, notebooks, Markdown, text, source code and diffs"
_SAVE_AS = {
    "a PowerPoint presentation": "save it as PDF",
    "an Excel workbook": "save it as CSV or PDF",
    "an EPUB book": "convert it to PDF or text",
    "an OpenDocument file": "save it as .docx or PDF",
    "an RTF document": "save it as .docx or PDF",
    "a PostScript document": "convert it to PDF (ps2pdf)",
    "a ZIP archive": "unpack it and name the folder",
}
# A page that is made from data is source code: what it will show is not in it, and its lines are asked about.
_TEMPLATE = re.compile(
    rb"\{%-? ?\w[^%\n]{0,500}%\}|<%[=@#\- ]|<\?(?:php|=)|\{\{[-#/^>! ]{0,3}[A-Za-z_$][\w.$|: ]{0,200}\}\}"
)
_TEMPLATE_BYTES = 1024 * 1024


# The readers are imported when the first source of their kind is read: `lctx --help` needs none of them.
def _read_pdf(path: str, content: bytes, options: ReadOptions = DEFAULTS, /) -> Document:
    from lctx.formats.pdf import read_pdf

    return read_pdf(path, content, options, _read_attached)


def _read_attached(name: str, content: bytes) -> Document:
    """A file that is attached to a PDF; what is attached to it in its turn is not read."""
    found = format_of(name, content)
    if found is PDF:
        from lctx.formats.pdf import read_pdf

        return read_pdf(name, content)
    return found.read(name, content, DEFAULTS)


def _read_word(path: str, content: bytes, options: ReadOptions = DEFAULTS, /) -> Document:
    from lctx.formats.word import read_word

    return read_word(path, content, options)


def _read_markdown(path: str, content: bytes, options: ReadOptions = DEFAULTS, /) -> Document:
    from lctx.formats.markdown import read_markdown

    return read_markdown(path, content, options)


def _read_html(path: str, content: bytes, options: ReadOptions = DEFAULTS, /) -> Document:
    from lctx.formats.html import read_html

    return read_html(path, content, options)


def _read_notebook(path: str, content: bytes, options: ReadOptions = DEFAULTS, /) -> Document:
    from lctx.formats.notebook import read_notebook

    return read_notebook(path, content, options)


def _read_diff(path: str, content: bytes, options: ReadOptions = DEFAULTS, /) -> Document:
    from lctx.formats.diff import read_diff

    return read_diff(path, content, options)


def _read_code(path: str, content: bytes, options: ReadOptions = DEFAULTS, /) -> Document:
    from lctx.formats.source_code import read_code

    return read_code(path, content, options)


def _read_text(path: str, content: bytes, options: ReadOptions = DEFAULTS, /) -> Document:
    from lctx.formats.text import read_text

    return read_text(path, content, options)


PDF = Format("pdf", "pdf/3", (".pdf",), _read_pdf, runs_in="child")
WORD = Format("docx", "word/3", (".docx", ".docm", ".dotx", ".dotm"), _read_word, runs_in="worker")
MARKDOWN = Format(
    "markdown",
    "markdown/2",
    (".md", ".markdown", ".mdown", ".mkd", ".mdx", ".rmd", ".qmd"),
    _read_markdown,
    runs_in="worker",
)
HTML = Format("html", "html/2", (".html", ".htm", ".xhtml", ".xht"), _read_html, runs_in="worker")
NOTEBOOK = Format("notebook", "notebook/2", (".ipynb",), _read_notebook, runs_in="worker")
DIFF = Format("diff", "diff/2", (".diff", ".patch"), _read_diff, runs_in="worker")
CODE = Format("code", "code/3", (), _read_code, runs_in="worker")
TEXT = Format(
    "text",
    "text/1",
    (".txt", ".text", ".rst", ".adoc", ".org", ".tex", ".log", ".csv", ".tsv"),
    _read_text,
    runs_in="worker",
)
FORMATS = (PDF, WORD, MARKDOWN, HTML, NOTEBOOK, DIFF, CODE, TEXT)
"""Those of lctx itself. Which suffixes are source code is told by `lctx.formats.languages`."""
_PLUGINS_GROUP = "lctx.formats"  # as in the module of plugins, which is not loaded for it
_SUFFIXES = frozenset(suffix for one in FORMATS for suffix in one.suffixes)


def known_formats() -> tuple[Format, ...]:
    """All formats: those of lctx, then those of other installed distributions."""
    return FORMATS if (plugins := _plugins()) is None else (*FORMATS, *plugins.formats)


def broken_plugins() -> "tuple[BrokenPlugin, ...]":
    """The installed entry points that lead to no format, each with its reason."""
    return () if (plugins := _plugins()) is None else plugins.broken


def claimed_suffixes() -> frozenset[str]:
    """The endings that installed distributions read, beyond those of lctx."""
    plugins = _plugins()
    return frozenset() if plugins is None else frozenset(chain(*(one.suffixes for one in plugins.formats)))


def _plugins() -> "Plugins | None":
    """What other distributions bring; None where there is none that could bring any."""
    # To load what reads metadata takes longer than to read most files: only where it can matter.
    if "lctx.formats.plugins" not in sys.modules and not _may_be_plugins():
        return None
    from lctx.formats.plugins import installed_plugins

    return installed_plugins(FORMATS, _is_built_in)


@cache
def _may_be_plugins() -> bool:
    from lctx.formats.installed import may_bring

    return may_bring(_PLUGINS_GROUP)


def _is_built_in(suffix: str) -> bool:
    return suffix in _SUFFIXES or is_code(f"file{suffix}", b"")


def format_of(path: str, content: bytes) -> Format:
    """The format that `content` is read as: what the bytes say first, then what the name says.

    What lctx reads itself comes first; then the formats of other distributions, by suffix and by content.

    Args:
        path: As the user named it; "-" for standard input.
        content: The whole source.

    Raises:
        EmptySourceError: No bytes, or white space only.
        EncryptedSourceError: An Office file with a password.
        UnsupportedSourceError: Binary content that no reader knows, or whose reader cannot be loaded.
    """
    if not content or content.isspace():
        raise nothing_in(path, content)
    if sniffing.is_pdf(path, content):
        return PDF
    suffix = sniffing.suffix_of(path)
    if sniffing.is_word(content) or (suffix in WORD.suffixes and sniffing.is_zip(content)):
        return WORD
    if sniffing.is_encrypted_office(content):
        if suffix in WORD.suffixes:
            return WORD  # its reader opens it, given the password
        raise EncryptedSourceError(path, "it opens with a password only", "save a copy without the password")
    kind, hint = _unread_kind(content)
    if not kind and suffix in WORD.suffixes:
        return WORD  # neither a ZIP nor anything else that is known: its reader says that it is damaged
    if kind or sniffing.has_binary_bytes(content):
        return _plugin_of(path, suffix, content) or _refuse(path, suffix, kind, hint)
    return _text_format(path, suffix, content)


def _unread_kind(content: bytes) -> tuple[str | None, str]:
    """What `content` is, where lctx does not read it, and what to do about it."""
    if sniffing.is_ole(content):
        return "an Office file from before 2007", "save it as .docx or PDF"
    kind = sniffing.zip_kind(content) if sniffing.is_zip(content) else sniffing.other_kind(content)
    return kind, _SAVE_AS.get(kind or "", _READS)


def _refuse(path: str, suffix: str, kind: str | None, hint: str) -> NoReturn:
    """No reader is left to ask."""
    named = f" named {suffix}" if kind and suffix in {*PDF.suffixes, *WORD.suffixes} else ""
    why = f"it is {kind}{named}" if kind else "binary content that no reader knows"
    if broken := broken_plugins():
        told = "; ".join(f"{one.origin}: {one.why}" for one in broken)
        raise UnsupportedSourceError(path, f"{why}, and a reader could not be loaded ({told})", hint)
    raise UnsupportedSourceError(path, why, hint)


def _plugin_of(path: str, suffix: str, content: bytes) -> Format | None:
    """The format of another distribution that takes the source.

    Raises:
        UnsupportedSourceError: The one that is named as the source's suffix cannot be loaded.
    """
    plugins = _plugins()
    if plugins is None:
        return None
    found = (plugins.by_suffix(suffix) if suffix else None) or plugins.by_content(
        content[: sniffing.HEAD_BYTES]
    )
    broken = next((one for one in plugins.broken if suffix == f".{one.name}"), None)
    if found is None and broken is not None:
        why = f"its reader, of {broken.origin}, could not be loaded ({broken.why})"
        raise UnsupportedSourceError(path, why, f"install {broken.origin.split()[0]} anew, or remove it")
    return found


def _text_format(path: str, suffix: str, content: bytes) -> Format:
    is_unnamed = path == "-" or not suffix
    if path == "-" or suffix in DIFF.suffixes:
        from lctx.formats.diff import holds_change, looks_like_diff

        if holds_change(content) if suffix in DIFF.suffixes else looks_like_diff(content):
            return DIFF
    if suffix in MARKDOWN.suffixes:
        return MARKDOWN
    if suffix in HTML.suffixes or (is_unnamed and sniffing.opens_as_html(content)):
        return CODE if _TEMPLATE.search(content[:_TEMPLATE_BYTES]) else HTML
    if (suffix in NOTEBOOK.suffixes or is_unnamed) and sniffing.is_notebook(content):
        return NOTEBOOK
    if is_code(path, content):
        return CODE
    return TEXT if suffix in _SUFFIXES else _plugin_of(path, suffix, content) or TEXT
