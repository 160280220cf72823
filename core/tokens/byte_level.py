"""Byte-level BPE vocabularies (GPT-2's descendants: Llama 3, Qwen, SmolLM) through tiktoken.

tiktoken merges by the rank of what comes out; the files list which pairs merge. Their order is the rank.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from lctx.core.errors import ModelFileError
from lctx.core.tokens.control import is_marker
from lctx.core.tokens.opened import TableTokenizer
from lctx.core.tokens.patterns import grouped
from lctx.core.tokens.shares import on_all_cores
from lctx.core.tokens.table import VocabularyTable, build_table

_CUT = 100_000  # characters: tiktoken panics on much longer runs of white space
_LOOK_BACK = 2_000
_NUM_BYTES = 256
# Between a letter and a space before a letter every pattern in use begins a new word.
_BETWEEN_WORDS = re.compile(r"(?<=[a-zA-Z])(?= [a-zA-Z])")


class ByteLevelTokenizer(TableTokenizer["_Vocabulary"]):
    """A tokenizer for a byte-level vocabulary; tiktoken is loaded at the first text."""

    def _opened(self, table: VocabularyTable) -> "_Vocabulary":
        return _Vocabulary(table)

    def encode(self, text: str) -> list[int]:
        """The ids of `text`; lone surrogates become U+FFFD."""
        return self._vocabulary.encode(text)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, on all cores."""
        encode = self._vocabulary.encode
        return on_all_cores(lambda share: list(map(encode, share)), texts)

    def count_batch(self, texts: Iterable[str]) -> list[int]:
        """How many ids each text has."""
        count = self._vocabulary.count
        return on_all_cores(lambda share: list(map(count, share)), texts)


class _Vocabulary:
    def __init__(self, table: VocabularyTable) -> None:
        import tiktoken

        rules = table.rules
        ids = list(table.ids)
        ranks = table.byte_ranks()
        self._ids: list[int] | None = ids
        if all(before < after for before, after in pairwise(ids)):
            # The order of ids is the order of merging: tiktoken can speak in ids.
            ranks = dict(zip(ranks, ids, strict=True))
            self._ids = None
        # tiktoken wants to know all bytes. Those that a vocabulary lacks have no id, as in the engines.
        self._end = max(max(ids) + 1, len(ids))
        lacking = (one for byte in range(_NUM_BYTES) if (one := bytes([byte])) not in ranks)
        ranks.update((one, self._end + number) for number, one in enumerate(lacking))
        self._is_partial = len(ranks) > len(ids)
        try:
            self._encoding = tiktoken.Encoding(
                "lctx", pat_str=grouped(rules["pattern"]), mergeable_ranks=ranks, special_tokens={}
            )
        except ValueError as error:  # a pattern from a tokenizer.json that is none
            raise ModelFileError(
                f"tokenizer.json: its vocabulary is damaged: {error}", "fetch or copy the model again"
            ) from error
        self._added: Mapping[str, int] = rules["added"]
        self._added_pattern: str = rules["added_pattern"]
        self._nfc: bool = rules["nfc"]

    def encode(self, text: str) -> list[int]:
        if not self._added and len(text) <= _CUT and not self._nfc:
            return self._plain(text)
        ids: list[int] = []
        for piece in re.split(self._added_pattern, text) if self._added else (text,):
            if piece in self._added:
                ids.append(self._added[piece])
            elif piece:
                whole = unicodedata.normalize("NFC", piece) if self._nfc else piece
                for part in cut(whole):
                    ids.extend(self._plain(part))
        return ids

    def count(self, text: str) -> int:
        return len(self.encode(text))

    def _plain(self, text: str) -> list[int]:
        ids = self._encoding.encode_ordinary(text)
        if self._is_partial and max(ids, default=0) >= self._end:
            ids = [one for one in ids if one < self._end]
        return ids if self._ids is None else list(map(self._ids.__getitem__, ids))


def cut(text: str) -> Iterator[str]:
    """`text` in pieces of at most 100,000 characters, between two words wherever there are words."""
    start = 0
    while len(text) - start > _CUT:
        end = start + _CUT
        for found in _BETWEEN_WORDS.finditer(text, end - _LOOK_BACK, end):
            end = found.start()
        yield text[start:end]
        start = end
    yield text[start:]


def build_byte_level(
    vocabulary: Mapping[str, int],
    merges: Iterable[tuple[str, str]],
    rules: Mapping[str, Any],
    *,
    whole_words: bool,
) -> bytes:
    """The vocabulary table of a byte-level vocabulary.

    Args:
        vocabulary: Texts in GPT-2's alphabet of bytes with their ids, control tokens left out.
        merges: Pairs in the order in which they merge.
        rules: "pattern", and "added": tokens that are matched before any word is cut.
        whole_words: Whether tokens that no merge makes still stand for the word that they are.

    Raises:
        ValueError: The vocabulary is not in that alphabet.
    """
    byte_of = {character: byte for byte, character in enumerate(byte_alphabet())}
    ordered = sorted(
        (text for text in vocabulary if len(text) == 1 and text in byte_of), key=vocabulary.__getitem__
    )
    if not ordered:
        raise ValueError("it holds no bytes")
    texts = dict.fromkeys(ordered)
    texts.update(dict.fromkeys(one for left, right in merges if (one := left + right) in vocabulary))
    if whole_words:
        texts.update(dict.fromkeys(sorted(vocabulary, key=vocabulary.__getitem__)))
    known = [text for text in texts if all(character in byte_of for character in text)]
    return build_ranked(
        [bytes(map(byte_of.__getitem__, text)) for text in known], [vocabulary[text] for text in known], rules
    )


def build_ranked(texts: Sequence[bytes], ids: Sequence[int], rules: Mapping[str, Any]) -> bytes:
    """The vocabulary table of byte strings in the order of their rank.

    Args:
        texts: All different.
        ids: The token id of each.
        rules: As in `build_byte_level`.
    """
    added = {text: one for text, one in rules.get("added", {}).items() if text and not is_marker(text)}
    alternatives = "|".join(map(re.escape, sorted(added, key=len, reverse=True)))
    return build_table(
        texts,
        ids,
        {
            "pattern": rules["pattern"],
            "added": added,
            "added_pattern": f"({alternatives})",
            "nfc": bool(rules.get("nfc")),
        },
    )


def byte_alphabet() -> str:
    """The 256 characters that stand for the bytes, in order.

    Source: GPT-2, `bytes_to_unicode` in src/encoder.py.
    """
    printable = {
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    }
    shifted = iter(range(_NUM_BYTES, 2 * _NUM_BYTES))
    return "".join(chr(byte if byte in printable else next(shifted)) for byte in range(_NUM_BYTES))
