"""What the rest of lctx asks of a tokenizer; the makers stand beside this file."""

from collections.abc import Iterable, Sequence
from typing import Protocol


class Tokenizer(Protocol):
    """Text to the ids that the served model would see.

    Text is always encoded as ordinary text: a special token that is written in a document never becomes a
    control token. No begin-of-sequence id is added; the prompt's layout does that.
    """

    @property
    def hash(self) -> str:
        """Names the vocabulary and its rules: counts are kept under (chunk hash, this)."""
        ...

    @property
    def exact(self) -> bool:
        """Whether the ids are the served model's own; where False, counts are printed with `~`."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of `text`."""
        ...

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, on all cores where the library can."""
        ...

    def count_batch(self, texts: Iterable[str]) -> list[int]:
        """How many ids each text has: faster than making them, and begun before all texts are there."""
        ...

    def special(self, token: str) -> int | None:
        """The id of a control token such as `<bos>`, or None: for prompt layouts only."""
        ...
