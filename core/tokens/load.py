"""From a model's files to its tokenizer: what is cheap to know at once, the vocabulary at the first text."""

import json
import sys
from contextlib import suppress
from pathlib import Path

from lctx.core.errors import ModelFileError
from lctx.core.models.profile import ModelProfile
from lctx.core.models.resolve import model_state
from lctx.core.storage import ByteCache
from lctx.core.tokens.source import RULES, Kind, TokenizerFacts, TokenizerSource
from lctx.core.tokens.table import VocabularyTable
from lctx.core.tokens.tokenizer import Tokenizer


def load_tokenizer(profile: ModelProfile, cache: Path | None) -> Tokenizer:
    """The model's own tokenizer. Its vocabulary is opened at the first text that it is given.

    Args:
        profile: Of a model that is on this machine.
        cache: Where built vocabularies are kept, or None to keep nothing.

    Raises:
        ModelFileError: The model's files hold no tokenizer that lctx knows, or are damaged. Damage to the
            vocabulary itself may come to light at the first text only.
    """
    if profile.path is None:
        raise ValueError(
            f"{profile.name} has no files here: its engine counts its tokens, or an estimate does"
        )
    opened = _Files(profile.path, ByteCache(cache / "tokenizers" if cache else None))
    facts = opened.facts
    # Only the kind that is needed is imported: a question waits for every one of them.
    if facts.kind is Kind.SENTENCEPIECE:
        from lctx.core.tokens.sentencepiece import SentencePieceTokenizer

        return SentencePieceTokenizer(facts.hash, facts.specials, opened.table, opened.kept)
    if facts.kind is Kind.BYTE_LEVEL:
        from lctx.core.tokens.byte_level import ByteLevelTokenizer

        return ByteLevelTokenizer(facts.hash, facts.specials, opened.table)
    from lctx.core.tokens.library import JsonTokenizer

    return JsonTokenizer(facts.hash, facts.specials, opened.text)


class _Files:
    """A model's files, read no further than needed, and what was kept of them."""

    def __init__(self, path: Path, kept: ByteCache) -> None:
        self._path = path
        self.kept = kept
        self._source: TokenizerSource | None = None
        self.facts = self._facts()

    def table(self) -> VocabularyTable:
        content = self.kept.get(self._key)
        if content is not None:
            with suppress(ValueError):
                return VocabularyTable(content)
        return VocabularyTable(self._built())

    def text(self) -> str:
        content = self.kept.get(self._key)
        return (self._built() if content is None else content).decode()

    @property
    def _key(self) -> str:
        return f"vocabulary {self.facts.kind.value} {self.facts.hash} {sys.byteorder}"

    def _facts(self) -> TokenizerFacts:
        key = f"tokenizer {RULES} {model_state(self._path)}"
        kept = self.kept.get(key)
        if kept is not None:
            with suppress(ValueError, TypeError):
                kind, name, specials = json.loads(kept)
                return TokenizerFacts(Kind(kind), name, specials)
        facts = self._read().facts
        self.kept.put(key, json.dumps([facts.kind.value, facts.hash, dict(facts.specials)]).encode())
        return facts

    def _read(self) -> TokenizerSource:
        if self._source is None:
            from lctx.core.tokens.source_directory import read_directory_source
            from lctx.core.tokens.source_gguf import read_gguf_source

            read = read_directory_source if self._path.is_dir() else read_gguf_source
            self._source = read(self._path)
        return self._source

    def _built(self) -> bytes:
        source = self._read()
        if source.facts.hash != self.facts.hash:
            raise ModelFileError(f"{self._path}: changed while it was being read", "run the command again")
        try:
            content = source.build()
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            raise ModelFileError(
                f"{self._path}: its vocabulary is damaged: {error}", "fetch or copy the model again"
            ) from error
        self._source = None  # the header of a large vocabulary is tens of megabytes
        self.kept.put(self._key, content)
        return content
