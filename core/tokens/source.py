"""What a model's files hold of its tokenizer, before anything is built from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

RULES = 4
"""The version of this room's rules: what was kept under others is built again."""


class Kind(Enum):
    """How a vocabulary turns text into ids."""

    SENTENCEPIECE = "sentencepiece"
    """By scores, as llama.cpp does."""
    BYTE_LEVEL = "byte_level"
    """By ranks over bytes, through tiktoken."""
    JSON = "json"
    """As a tokenizer.json says, through the tokenizers library."""


@dataclass(frozen=True, slots=True)
class TokenizerFacts:
    """What is known of a tokenizer without its vocabulary.

    Attributes:
        kind: How it works.
        hash: Of the vocabulary and of the rules that it is used by.
        specials: Control tokens with their ids.
    """

    kind: Kind
    hash: str
    specials: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TokenizerSource:
    """A tokenizer that was found in a model's files.

    Attributes:
        facts: What is known at once.
        build: Makes what is kept of the vocabulary: a table, or the text of a tokenizer.json. Raises a
            ValueError where the vocabulary is not what its kind needs.
    """

    facts: TokenizerFacts
    build: Callable[[], bytes]
