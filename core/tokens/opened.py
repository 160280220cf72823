"""What tokenizers of a table have in common: the table is opened at the first text, not before."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Generic, TypeVar

from lctx.core.tokens.table import VocabularyTable

_Vocabulary = TypeVar("_Vocabulary")


class TableTokenizer(ABC, Generic[_Vocabulary]):
    """A tokenizer without its rules: how texts become ids is its subclass's business."""

    exact = True

    def __init__(
        self, name: str, specials: Mapping[str, int], open_table: Callable[[], VocabularyTable]
    ) -> None:
        """Make a tokenizer that calls `open_table` at the first text.

        Args:
            name: The vocabulary's hash.
            specials: Control tokens with their ids.
            open_table: Opens or builds the vocabulary.
        """
        self.hash = name
        self._specials = specials
        self._open_table = open_table

    def special(self, token: str) -> int | None:
        """The id of a control token, or None."""
        return self._specials.get(token)

    @cached_property
    def _vocabulary(self) -> _Vocabulary:
        return self._opened(self._open_table())

    @abstractmethod
    def _opened(self, table: VocabularyTable) -> _Vocabulary:
        """What works on the opened table."""
