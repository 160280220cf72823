"""Any other tokenizer.json through the `tokenizers` library: slow to load, and what its makers meant."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from lctx.core.errors import ModelFileError

if TYPE_CHECKING:
    from tokenizers import Tokenizer as LibraryTokenizer

_SURROGATES = re.compile("[\ud800-\udfff]")


class JsonTokenizer:
    """A tokenizer that a tokenizer.json describes; the library is loaded at the first text."""

    exact = True

    def __init__(self, name: str, specials: Mapping[str, int], read_json: Callable[[], str]) -> None:
        """Make a tokenizer that calls `read_json` at the first text.

        Args:
            name: The vocabulary's hash.
            specials: Control tokens with their ids.
            read_json: The text of a tokenizer.json.
        """
        self.hash = name
        self._specials = specials
        self._read_json = read_json

    @cached_property
    def _library(self) -> "LibraryTokenizer":
        from tokenizers import Tokenizer

        text = self._read_json()
        try:
            tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # the library has no class of its own
            raise ModelFileError(
                f"tokenizer.json: its vocabulary is damaged: {error}", "fetch or copy the model again"
            ) from error
        tokenizer.no_truncation()
        tokenizer.no_padding()
        # A control token that is written in a document is text.
        tokenizer.encode_special_tokens = True
        return tokenizer

    def encode(self, text: str) -> list[int]:
        """The ids of `text`; lone surrogates become U+FFFD."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, on all cores."""
        whole = [_SURROGATES.sub("\ufffd", text) for text in texts]
        encoded = self._library.encode_batch_fast(whole, add_special_tokens=False)
        return [one.ids for one in encoded]

    def count_batch(self, texts: Iterable[str]) -> list[int]:
        """How many ids each text has."""
        whole = [_SURROGATES.sub("\ufffd", text) for text in texts]
        return [len(one) for one in self._library.encode_batch_fast(whole, add_special_tokens=False)]

    def special(self, token: str) -> int | None:
        """The id of a control token, or None."""
        return self._specials.get(token)
