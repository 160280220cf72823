"""How many tokens a text has, line by line: in code and in forms every second line has stood there before."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain

_SLICE = 16_000_000  # characters whose lines are compared with each other at a time


class LineCounter:
    """Counts texts for vocabularies in which no token joins a line to the next."""

    def __init__(self, count: Callable[[str], int], most_newlines: int) -> None:
        """Make one.

        Args:
            count: How many tokens a text has.
            most_newlines: A run of newlines up to this long is one token.
        """
        self._count = count
        self._many = "\n" * (most_newlines + 1)

    def count_batch(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has."""
        return [number for part in _sliced(texts) for number in self._count_slice(part)]

    def _count_slice(self, texts: Sequence[str]) -> list[int]:
        split = [text.split("\n") for text in texts]
        seen = Counter(chain.from_iterable(split))
        # Looked up where it stands again; what stands once is counted with its neighbours, in one go.
        again = {line: self._count(line) for line, number in seen.items() if number > 1}
        return [self._count_lines(text, lines, again) for text, lines in zip(texts, split, strict=True)]

    def _count_lines(self, text: str, lines: Sequence[str], again: dict[str, int]) -> int:
        if len(lines) == 1 or self._many in text:
            return self._count(text)
        once = [line for line in lines if line not in again]
        known = sum(again[line] for line in lines if line in again) if len(once) < len(lines) else 0
        # A newline is a token, unless it follows another: then an empty line stands between them.
        edges = text.startswith("\n") + text.endswith("\n")
        newlines = len(lines) - 1 - lines.count("") + edges
        # Joined by a newline each, and each of those is one token more.
        return known + newlines + (self._count("\n".join(once)) - (len(once) - 1) if once else 0)


def most_newlines(user_defined: Collection[str]) -> int:
    """The longest run of newlines that is one token, where every shorter one is too; else 0.

    0 also where another token holds a newline: then a line's end is no end to its tokens.
    """
    holding = [text for text in user_defined if "\n" in text]
    lengths = set(map(len, holding))
    if any(text.strip("\n") for text in holding) or lengths != set(range(1, len(lengths) + 1)):
        return 0
    return len(lengths)


def _sliced(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """`texts` in parts of about `_SLICE` characters."""
    start, length = 0, 0
    for index, text in enumerate(texts):
        length += len(text)
        if length > _SLICE:
            yield texts[start : index + 1]
            start, length = index + 1, 0
    yield texts[start:]
