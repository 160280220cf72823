"""The tokenizer of an engine that was reached by address, where the model's files are not at hand."""

from collections.abc import Callable, Iterable, Sequence


class ServedTokenizer:
    """A tokenizer that asks the engine: exact, and as fast as the engine answers.

    Control tokens are unknown to it: such an engine is sent messages and lays out the prompt itself.
    """

    exact = True

    def __init__(self, tokenize: Callable[[str], list[int]], name: str) -> None:
        """Make a tokenizer of an engine.

        Args:
            tokenize: The engine's own ids of a text, without a begin-of-sequence id, special tokens as text.
            name: Names the vocabulary: the engine's address and model.
        """
        self._tokenize = tokenize
        self.hash = f"served {name}"

    def encode(self, text: str) -> list[int]:
        """The ids of `text`."""
        return self._tokenize(text) if text else []

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, asked for one by one."""
        return [self.encode(text) for text in texts]

    def count_batch(self, texts: Iterable[str]) -> list[int]:
        """How many ids each text has."""
        return [len(self.encode(text)) for text in texts]

    def special(self, token: str) -> int | None:
        """None: see the class."""
        del token
        return None
