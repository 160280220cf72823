"""A vocabulary with scores, through tiktoken: long texts are cut and merged outside of Python.

tiktoken merges bytes, SentencePiece characters. Here the bytes of a character are what merges first, so that
each character is whole before any two of them are joined. And tiktoken takes a piece of text that is a token
for that token, even where merging would never arrive at it: such tokens are left out.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

from lctx.core.tokens.table import VocabularyTable
from lctx.core.tokens.words import SPACE, any_of, escaped, piece_pattern, split_runs

_SPACE = SPACE.encode()
_NUM_BYTES = 256
_NUM_ASCII = 128
_NO_BYTE = b"\xff"  # stands in no text
_LONGEST = 2_000  # characters: a piece that long may take tiktoken the square of its length
_ALONE = 2  # ids of a token behind the character that stands before it
_NOTHING = r"(?!)"


class PieceRules(NamedTuple):
    """What is to be known of a vocabulary whose texts fall into pieces.

    Attributes:
        pattern: Of a piece.
        characters: All beyond ASCII; those without an id of their own come first.
        num_lacking: How many have none.
        apart: A character that stands in no token.
        never: The ranks of tokens that merging their own characters does not arrive at.
    """

    pattern: str
    characters: str
    num_lacking: int
    apart: str
    never: list[int]


class PieceEncoder:
    """The ids of texts that fall into pieces. Almost all do; of the others it says that they do not."""

    def __init__(self, table: VocabularyTable, pieces: PieceRules) -> None:
        """Open it, which takes a fifth of a second.

        Args:
            table: The vocabulary.
            pieces: Its `piece_rules`.
        """
        rules = table.rules
        self._table, self._pieces = table, pieces
        texts, beginnings = table.texts(), _beginnings(pieces.characters)
        self._num_unfinished = len(beginnings) + pieces.num_lacking
        ranks = _ranks(texts, beginnings, pieces.characters)
        for one in pieces.never:
            ranks.pop(_spaced(texts[one]), None)
        end = len(beginnings) + len(pieces.characters) + len(texts) + _NUM_BYTES
        users = {text: end + number for number, text in enumerate(rules["user_defined"])}
        self._users = {text: [rank] for text, rank in users.items()}
        self._prefix = " " if rules["space_prefix"] else ""
        self._tag = re.compile(rules["tag"] or _NOTHING)
        tags = [text for text in users if self._tag.fullmatch(text)]
        # Those that are no tags are whole pieces, which nothing merges into.
        ranks.update((text.encode(), users[text]) for text in users.keys() - set(tags))
        self._tags = [
            (first, re.compile(any_of(text for text in tags if text[0] == first)))
            for first in dict.fromkeys(text[0] for text in tags)
        ]
        self._encode = _encoder(pieces.pattern, ranks)
        self._apart = pieces.apart
        self._apart_rank = ranks[self._apart.encode()]

    @cached_property
    def _ids(self) -> list[int]:
        """The id of each rank; those of characters that are not finished are never asked for."""
        table, rules = self._table, self._table.rules
        known = dict(zip(table.texts(), table.ids, strict=True))
        finished = self._pieces.characters[self._pieces.num_lacking :]
        return [
            *[0] * self._num_unfinished,
            *(known[character.encode()] for character in finished),
            *table.ids,
            *rules["bytes"],
            *rules["user_defined"].values(),
        ]

    def count_all(self, texts: Sequence[str]) -> list[int | None]:
        """How many ids each text has, or None where it does not fall into pieces."""
        counts: list[int | None] = [None] * len(texts)
        together = []
        for number, text in enumerate(texts):
            if not text or self._apart in text or self._holds_tag(text):
                parts = self._parts(text)
                counts[number] = None if parts is None else sum(map(len, parts))
            elif _is_for_pieces(text):
                together.append(number)
        # In one go, and other threads run all the while; nothing merges with what stands between them.
        ranks = self._encode("".join([f"{self._prefix}{texts[number]}{self._apart}" for number in together]))
        start = 0
        for number in together:
            end = ranks.index(self._apart_rank, start)
            if texts[number].isascii() or min(ranks[start:end]) >= self._num_unfinished:
                counts[number] = end - start
            start = end + 1
        return counts

    def encode_all(self, texts: Sequence[str]) -> list[list[int] | None]:
        """The ids of each text, or None where it does not fall into pieces."""
        ids = self._ids
        return [
            None if parts is None else [ids[rank] for part in parts for rank in part]
            for parts in map(self._parts, texts)
        ]

    def _parts(self, text: str) -> list[list[int]] | None:
        """The ranks of what stands between the tags of `text`, and of these."""
        if not _is_for_pieces(text):
            return None
        if not self._holds_tag(text):
            parts = [self._encode(self._prefix + text)] if text else []
        else:
            parts = [
                self._users[part] if index % 2 else self._encode(self._prefix + part)
                for index, part in enumerate(self._tag.split(text))
                if part
            ]
        if not text.isascii() and any(min(part) < self._num_unfinished for part in parts):
            return None
        return parts

    def _holds_tag(self, text: str) -> bool:
        # Each by its first character: what begins with one is searched for many times as fast.
        return any(first in text and tag.search(text) is not None for first, tag in self._tags)


def piece_rules(table: VocabularyTable) -> PieceRules | None:
    """What is to be known of a vocabulary with scores; None where its texts do not fall into pieces.

    This takes a second, so that it is worth keeping.
    """
    rules: Mapping[str, Any] = table.rules
    texts = table.texts()
    try:
        written = [text.decode() for text in texts]
    except UnicodeDecodeError:
        return None
    known, used = set(written), {" ", *"".join(written)}
    apart = next((char for char in map(chr, range(_NUM_ASCII)) if char not in used), None)
    # A space is one byte to tiktoken; where it is no token, its three bytes would be three ids.
    pattern = _pattern(rules, written) if apart and SPACE in known else ""
    if not pattern or apart is None:
        return None
    foreign = sorted(used - {SPACE, *map(chr, range(_NUM_ASCII))})
    lacking = [one for one in foreign if one not in known]
    characters = "".join((*lacking, *(one for one in foreign if one in known)))
    never = _never_merged(texts, written, characters, apart)
    return PieceRules(pattern, characters, len(lacking), apart, never)


def _pattern(rules: Mapping[str, Any], written: Sequence[str]) -> str:
    user_defined: Mapping[str, int] = rules["user_defined"]
    runs, tags = split_runs(user_defined)
    # Where a tag could begin inside a run, or a run at the space in front, it matters which is cut out first.
    run_characters = {text[0] for text in user_defined if text not in tags}
    if not run_characters.isdisjoint("".join(tags)) or (runs and rules["space_prefix"]):
        return ""
    pairs: str = rules["pairs"]
    normal = (text for text in written if text not in user_defined)
    return piece_pattern(normal, set(map("".join, zip(pairs[::2], pairs[1::2], strict=True))), runs)


def _never_merged(texts: Sequence[bytes], written: Sequence[str], characters: str, apart: str) -> list[int]:
    """The ranks of tokens that merging does not arrive at; no token holds `apart`."""
    ranks = _ranks(texts, _beginnings(characters), characters)
    # Behind a character that merges with nothing, no text is taken whole.
    encode = _encoder(f"{escaped(apart)}[^{escaped(apart)}]*", ranks)
    found = encode("".join(f"{apart}{text.replace(SPACE, ' ')}" for text in written))
    starts = [at for at, rank in enumerate(found) if rank == ranks[apart.encode()]]
    return [one for one, (start, end) in enumerate(pairwise([*starts, len(found)])) if end - start > _ALONE]


def _beginnings(characters: str) -> list[bytes]:
    """What the bytes of characters are on their way to be one: all but their first byte alone."""
    whole = map(str.encode, characters)
    return sorted({one[:length] for one in whole for length in range(2, len(one))})


def _ranks(texts: Sequence[bytes], beginnings: Sequence[bytes], characters: str) -> dict[bytes, int]:
    """The rank of all that merges, characters before tokens, and of each byte; real spaces for `SPACE`."""
    first = [*beginnings, *map(str.encode, characters)]
    end = len(first) + len(texts)
    ranks = dict(zip(map(_spaced, texts), range(len(first), end), strict=True))
    ranks.update(zip(first, range(len(first)), strict=True))
    for byte in range(_NUM_BYTES):
        ranks.setdefault(bytes([byte]), end + byte)
    return ranks


def _spaced(text: bytes) -> bytes:
    """`text` as it stands in a document; where it has real spaces itself, merging never arrives at it."""
    return text.replace(b" ", _NO_BYTE).replace(_SPACE, b" ")


def _encoder(pattern: str, ranks: dict[bytes, int]) -> Callable[[str], list[int]]:
    import tiktoken

    encoding = tiktoken.Encoding("pieces", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return encoding.encode_ordinary


def _is_for_pieces(text: str) -> bool:
    """Whether `text` is not too long, can be told from what SentencePiece writes, and is Unicode."""
    if len(text) > _LONGEST:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return SPACE not in text
