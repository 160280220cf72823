"""Source code: line by line, with the names of the classes and functions around every line."""

from lctx.core.document import Block, Document
from lctx.formats.decoding import decode
from lctx.formats.grammars import has_grammar
from lctx.formats.languages import language_of
from lctx.formats.reader import DEFAULTS, ReadOptions, one_span, sha256_of

READER = "code/3"


def read_code(path: str, content: bytes, _options: ReadOptions = DEFAULTS) -> Document:
    """The document of a source file; its blocks follow the definitions, where the language has a grammar."""
    decoded = decode(path, content)
    blocks, warnings = _blocks(decoded.text, language_of(path, content) or "other")
    return Document(
        path=path,
        kind="code",
        reader=READER,
        sha256=sha256_of(content),
        text=decoded.text,
        spans=one_span(decoded.text),
        blocks=blocks or (Block("code", 0, len(decoded.text)),),
        warnings=(*decoded.warnings, *warnings),
    )


def _blocks(text: str, language: str) -> tuple[tuple[Block, ...], tuple[str, ...]]:
    """One block for each definition and for what stands between them; none where there is no outline."""
    if not has_grammar(language):
        return (), ()
    from lctx.formats.outliner import outline_of

    # A lone surrogate has no bytes; "?" takes the place of one character with one.
    stretches, warning = outline_of(text.encode("utf-8", "replace"), language)
    blocks = tuple(
        Block("code", one.start, one.end, symbol=one.symbol, signature=one.signature, doc=one.doc)
        for one in stretches
    )
    return blocks, (warning,) if warning else ()
