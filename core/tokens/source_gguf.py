"""The tokenizer in a GGUF header."""

import hashlib
import re
from array import array
from collections.abc import Iterator
from pathlib import Path

from lctx.core.errors import ModelFileError
from lctx.core.models.gguf import GgufHeader, StringArray, read_header
from lctx.core.tokens.byte_level import build_byte_level
from lctx.core.tokens.control import CONTROL_LOOKING, is_marker
from lctx.core.tokens.patterns import IGNORES_MERGES, PATTERN_OF
from lctx.core.tokens.sentencepiece import build_sentencepiece
from lctx.core.tokens.source import RULES, Kind, TokenizerFacts, TokenizerSource

_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4
_RESERVED = re.compile(r"<.*(?:unused|reserved).*>")  # thousands of names that no prompt uses
_SERVE_IT = "serve the model and name its address with --endpoint: then its engine counts"


def read_gguf_source(path: Path) -> TokenizerSource:
    """The tokenizer of the GGUF file at `path`.

    Raises:
        ModelFileError: The file is damaged, or its tokenizer is of a kind that lctx does not know.
    """
    header = read_header(path)
    model, pre = header.text("tokenizer.ggml.model"), header.text("tokenizer.ggml.pre") or ""
    if not header.strings("tokenizer.ggml.tokens"):
        raise ModelFileError(f"{path}: the file holds no vocabulary", _SERVE_IT)
    if model == "llama":
        facts = TokenizerFacts(Kind.SENTENCEPIECE, _hash(header), _specials(header))
        return TokenizerSource(facts, lambda: build_sentencepiece(header))
    if model != "gpt2":
        raise ModelFileError(f"{path}: a tokenizer of kind {model!r}, which lctx does not know", _SERVE_IT)
    if pre not in PATTERN_OF:
        raise ModelFileError(f"{path}: a tokenizer that cuts words by {pre!r}, unknown to lctx", _SERVE_IT)
    facts = TokenizerFacts(Kind.BYTE_LEVEL, _hash(header), _specials(header))
    return TokenizerSource(facts, lambda: _build_byte_level(header, pre))


def _build_byte_level(header: GgufHeader, pre: str) -> bytes:
    tokens = header.strings("tokenizer.ggml.tokens") or ()
    kinds = header.integers("tokenizer.ggml.token_type") or (_NORMAL,) * len(tokens)
    if len(kinds) != len(tokens):
        raise ValueError("tokens and types differ in number")
    vocabulary, added = {}, {}
    for index, (text, kind) in enumerate(zip(tokens, kinds, strict=True)):
        if text in CONTROL_LOOKING:
            continue
        if kind == _USER_DEFINED:
            added[text] = index
        elif kind == _NORMAL:
            vocabulary[text] = index
    rules = {"pattern": PATTERN_OF[pre], "added": added}
    return build_byte_level(vocabulary, _merges(header), rules, whole_words=pre in IGNORES_MERGES)


def _merges(header: GgufHeader) -> Iterator[tuple[str, str]]:
    for line in header.strings("tokenizer.ggml.merges") or ():
        left, _, right = line.partition(" ")
        yield left, right


def _specials(header: GgufHeader) -> dict[str, int]:
    tokens = header.strings("tokenizer.ggml.tokens") or ()
    kinds = header.integers("tokenizer.ggml.token_type") or ()
    if len(kinds) != len(tokens):
        return {}
    return {
        text: index
        for index, (text, kind) in enumerate(zip(tokens, kinds, strict=True))
        if _is_special(text, kind) and not _RESERVED.fullmatch(text)
    }


def _is_special(text: str, kind: int) -> bool:
    return kind == _CONTROL or (kind == _USER_DEFINED and is_marker(text)) or text in CONTROL_LOOKING


def _hash(header: GgufHeader) -> str:
    digest = hashlib.blake2b(str(RULES).encode(), digest_size=16)
    for key in (
        "model",
        "pre",
        "add_space_prefix",
        "unknown_token_id",
        "tokens",
        "scores",
        "token_type",
        "merges",
    ):
        value = header.metadata.get(f"tokenizer.ggml.{key}")
        if isinstance(value, StringArray):
            content = value.content
        else:
            content = value.tobytes() if isinstance(value, array) else repr(value).encode("utf-8", "replace")
        digest.update(f"{key} {len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()
