"""Source code: line by line, with the names of the classes and functions around every line."""

from lctx.core.document import Block, Document
from lctx.formats.decoding import decode
from lctx.formats.languages import language_of
from lctx.formats.outline import outline
from lctx.formats.reader import DEFAULTS, ReadOptions, one_span, sha256_of

READER = "code/1"


def read_code(path: str, content: bytes, _options: ReadOptions = DEFAULTS) -> Document:
    """The document of a source file; its blocks follow the definitions, where the language has an outline."""
    decoded = decode(path, content)
    return Document(
        path=path,
        kind="code",
        reader=READER,
        sha256=sha256_of(content),
        text=decoded.text,
        spans=one_span(decoded.text),
        blocks=tuple(
            Block("code", start, end, symbol=symbol)
            for start, end, symbol in outline(decoded.text, language_of(path, content) or "other")
        ),
        warnings=decoded.warnings,
    )
