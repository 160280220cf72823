"""SentencePiece vocabularies (Gemma, Llama 2, Mistral) from a GGUF header: ids equal to llama.cpp's.

The algorithm merges, over the whole text, whichever neighbours make the token of the highest score. No
token of the vocabulary reaches across certain pairs of characters, so the text falls apart there into
words whose ids never change: each is worked out once.

Source: llama.cpp, `llm_tokenizer_spm_session` and `tokenizer_st_partition` in src/llama-vocab.cpp.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import chain, zip_longest
from typing import TypeVar

from lctx.core.models.gguf import GgufHeader
from lctx.core.storage import ByteCache
from lctx.core.tokens.control import CONTROL_LOOKING
from lctx.core.tokens.merging import NEVER, Rank, merge
from lctx.core.tokens.opened import TableTokenizer
from lctx.core.tokens.pieces import PieceEncoder, PieceRules, piece_rules
from lctx.core.tokens.shares import on_all_cores
from lctx.core.tokens.table import VocabularyTable, build_table
from lctx.core.tokens.words import SPACE, any_of, split_runs, word_pattern

_Result = TypeVar("_Result")
_NORMAL, _CONTROL, _USER_DEFINED, _BYTE = 1, 3, 4, 6
_LONG_TEXT = 30_000  # characters from which a dict of the vocabulary (80 ms) is faster than its table
_VERY_LONG_TEXT = 1_500_000  # characters from which a vocabulary for tiktoken (a fifth of a second) is
_REMEMBERED = 24  # characters up to which the ids of a word are remembered
_WHOLE = 8  # characters up to which a word is not looked at pair by pair
_MAX_WORDS = 400_000  # remembered: about 100 MB
_NOTHING = r"(?!)"
_SURROGATES = re.compile("[\ud800-\udfff]")


class SentencePieceTokenizer(TableTokenizer["_Vocabulary"]):
    """A tokenizer for a vocabulary with scores; one process builds its table once, into the cache."""

    def __init__(
        self,
        name: str,
        specials: Mapping[str, int],
        open_table: Callable[[], VocabularyTable],
        kept: ByteCache | None = None,
    ) -> None:
        """Make a tokenizer that calls `open_table` at the first text.

        Args:
            name: The vocabulary's hash.
            specials: Control tokens with their ids.
            open_table: Opens or builds the vocabulary.
            kept: Keeps what only long texts need to be known of it.
        """
        super().__init__(name, specials, open_table)
        self._kept = kept or ByteCache(None)

    def _opened(self, table: VocabularyTable) -> "_Vocabulary":
        return _Vocabulary(table, self._piece_rules)

    def _piece_rules(self, table: VocabularyTable) -> PieceRules | None:
        key = f"pieces {self.hash}"
        value = self._kept.get(key)
        if value is None:
            rules = piece_rules(table)
            self._kept.put(key, json.dumps(rules).encode())
            return rules
        found = json.loads(value)
        return PieceRules(*found) if found else None

    def encode(self, text: str) -> list[int]:
        """The ids of `text`; lone surrogates become U+FFFD."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, on all cores where that is worth it."""
        return self._vocabulary.encode_batch(texts)

    def count_batch(self, texts: Iterable[str]) -> list[int]:
        """How many ids each text has, on all cores where that is worth it."""
        return self._vocabulary.count_batch(texts)


def build_sentencepiece(header: GgufHeader) -> bytes:
    """The vocabulary table of a GGUF header with scores.

    Raises:
        ValueError: The header holds no such vocabulary.
    """
    tokens = header.strings("tokenizer.ggml.tokens")
    given = header.integers("tokenizer.ggml.token_type")
    scores = header.metadata.get("tokenizer.ggml.scores")
    if not tokens or not isinstance(scores, Sequence) or isinstance(scores, str):
        raise ValueError("no tokens or no scores")
    given = given or (_NORMAL,) * len(tokens)
    if not len(tokens) == len(given) == len(scores):
        raise ValueError("tokens, scores and types differ in number")
    texts = list(tokens)
    kinds = [_CONTROL if text in CONTROL_LOOKING else kind for text, kind in zip(texts, given, strict=True)]
    # Control tokens are left out: no text in a document may ever merge into one.
    merged = {text: index for index, text in enumerate(texts) if kinds[index] in {_NORMAL, _USER_DEFINED}}
    ranked = sorted(merged.values(), key=lambda index: (-float(scores[index]), index))
    user_defined = {text: index for index, text in enumerate(texts) if kinds[index] == _USER_DEFINED and text}
    unknown = header.integer("tokenizer.ggml.unknown_token_id")
    pairs = {
        text[at : at + 2]
        for index, text in enumerate(texts)
        if kinds[index] == _NORMAL
        for at in range(len(text) - 1)
    }
    runs, tags = split_runs(user_defined)
    rules = {
        "tag": any_of(tags),
        "user": any_of(user_defined),
        "plain_word": word_pattern(pairs, runs, with_runs=False),
        "word": word_pattern(pairs, runs, with_runs=True),
        "bytes": _byte_ids(texts, kinds, unknown if unknown is not None else 0),
        "user_defined": user_defined,
        "pairs": "".join(sorted(pairs)),
        "space_prefix": header.flag("tokenizer.ggml.add_space_prefix") is not False,
    }
    return build_table([texts[index].encode("utf-8", "surrogatepass") for index in ranked], ranked, rules)


def _byte_ids(texts: Sequence[str], kinds: Sequence[int], unknown: int) -> list[int]:
    ids = [unknown] * 256
    for index, text in enumerate(texts):
        if kinds[index] == _BYTE and re.fullmatch(r"<0x[0-9A-Fa-f]{2}>", text):
            ids[int(text[3:5], 16)] = index
    return ids


class _WordIds(dict[str, Sequence[int]]):
    """The ids of every word seen so far; a missing one is worked out when it is looked up."""

    def __init__(self, work_out: Callable[[str], Sequence[int]]) -> None:
        super().__init__()
        self._work_out = work_out

    def __missing__(self, word: str) -> Sequence[int]:
        ids = self._work_out(word)
        if len(word) <= _REMEMBERED:
            self[word] = ids
        return ids


class _Vocabulary:
    """An opened table and the words whose ids are known."""

    def __init__(
        self,
        table: VocabularyTable,
        rules_of_pieces: Callable[[VocabularyTable], PieceRules | None] = piece_rules,
    ) -> None:
        self.table = table
        self._rules_of_pieces = rules_of_pieces
        self._rank: Rank = table.rank
        rules = table.rules
        self._byte_ids: Sequence[int] = rules["bytes"]
        self._space_prefix: bool = rules["space_prefix"]
        self._user_defined: Mapping[str, int] = rules["user_defined"]
        # Looked up a million times: even `re`'s own cache of patterns would take a while.
        self._tag = re.compile(rules["tag"] or _NOTHING)
        self._word = re.compile(rules["word"])
        self._parts: dict[str, Sequence[int]] = {}
        self._plain_ids = _WordIds(self._work_out)
        self._ids = _WordIds(self._work_out)
        self._forget()

    @cached_property
    def _pairs(self) -> frozenset[str]:
        pairs: str = self.table.rules["pairs"]
        return frozenset(map("".join, zip(pairs[::2], pairs[1::2], strict=True)))

    def _forget(self) -> None:
        self._parts.clear()
        self._plain_ids.clear()
        self._ids.clear()
        self._ids.update((text.replace(" ", SPACE), (one,)) for text, one in self._user_defined.items())

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text."""
        return self._each(
            texts, PieceEncoder.encode_all, lambda text: list(chain.from_iterable(self._words(text)))
        )

    def count_batch(self, texts: Iterable[str]) -> list[int]:
        """How many ids each text has."""
        return self._each(texts, PieceEncoder.count_all, lambda text: sum(map(len, self._words(text))))

    def _each(
        self,
        texts: Iterable[str],
        by_pieces: Callable[[PieceEncoder, Sequence[str]], list[_Result | None]],
        by_words: Callable[[str], _Result],
    ) -> list[_Result]:
        """What is asked of each text: of long ones piece by piece, word by word where that does not say."""
        coming, taken, length = iter(texts), list[str](), 0
        found: list[_Result | None] = []
        for text in coming:
            taken.append(text)
            length += len(text)
            if length > _VERY_LONG_TEXT and self._pieces is not None:
                all_texts = chain(taken[:], _noted(coming, taken))  # the last one ends this loop
                found = on_all_cores(partial(by_pieces, self._pieces), all_texts)
        left = [text for text, one in zip_longest(taken, found) if one is None]
        if sum(map(len, left)) > _LONG_TEXT and self._rank == self.table.rank:
            self._rank = self.table.ranks().get
        return [by_words(text) if one is None else one for text, one in zip_longest(taken, found)]

    @cached_property
    def _pieces(self) -> PieceEncoder | None:
        rules = self._rules_of_pieces(self.table)
        return PieceEncoder(self.table, rules) if rules else None

    def _is_piecewise(self, text: str) -> bool:
        """Whether only what llama.cpp does, step by step, arrives at the ids of `text`."""
        return self._space_prefix or SPACE in text or self._tag.search(text) is not None

    def _words(self, text: str) -> Iterable[Sequence[int]]:
        """The ids of each word of `text`, in order."""
        if len(self._ids) + len(self._plain_ids) + len(self._parts) > _MAX_WORDS:
            self._forget()
        if self._is_piecewise(text):
            return self._piecewise(text)
        words = self._word.findall(text.replace(" ", SPACE))
        return map(self._ids.__getitem__, words)

    def _piecewise(self, text: str) -> Iterator[Sequence[int]]:
        """As llama.cpp goes about it: user-defined tokens first, what lies between them afterwards."""
        prefix = SPACE if self._space_prefix else ""
        user: str = self.table.rules["user"]
        for index, piece in enumerate(re.split(user, text) if user else [text]):
            if index % 2:
                yield (self._user_defined[piece],)
            elif piece:
                words = re.findall(self.table.rules["plain_word"], prefix + piece.replace(" ", SPACE))
                yield from map(self._plain_ids.__getitem__, words)

    def _work_out(self, word: str) -> list[int]:
        if len(word) <= _WHOLE:
            return self._merged(word)
        ids: list[int] = []
        start = 0
        for at in range(1, len(word)):
            if word[at - 1 : at + 1] not in self._pairs:
                ids.extend(self._part(word[start:at]))
                start = at
        ids.extend(self._part(word[start:]) if start else self._merged(word))
        return ids

    def _part(self, word: str) -> Sequence[int]:
        """The ids of a word in which all pairs can be joined."""
        if (ids := self._parts.get(word)) is None:
            ids = self._merged(word)
            if len(word) <= _REMEMBERED:
                self._parts[word] = ids
        return ids

    def _merged(self, word: str) -> list[int]:
        ids: list[int] = []
        for part in merge(word, self._rank):
            rank = self._rank(part, NEVER)
            if rank == NEVER and _SURROGATES.match(part):
                rank = self._rank("\ufffd", NEVER)
            if rank == NEVER:
                ids.extend(self._byte_ids[byte] for byte in part.encode("utf-8", "replace"))
            else:
                ids.append(self.table.ids[rank])
        return ids


def _noted(texts: Iterable[str], taken: list[str]) -> Iterator[str]:
    """`texts`, each added to `taken` as it comes."""
    for text in texts:
        taken.append(text)
        yield text
