"""The parts of ASCII words through tiktoken: a long text brings more new words than Python merges in time.

tiktoken merges bytes, SentencePiece characters. In ASCII one is the other, once a space is a byte of its own.
"""

from collections.abc import Callable, Mapping, Sequence

from lctx.core.tokens.words import SPACE

_NUM_BYTES = 256
_ANYTHING = r"[\s\S]+"
_ASCII = "".join(map(chr, range(128)))


def ascii_merger(ranks: Mapping[str, int]) -> Callable[[str], Sequence[int]] | None:
    """A function from an ASCII word, with spaces for `SPACE`, to the ranks of its parts.

    A byte without a rank comes as `len(ranks)` and its value. None where the vocabulary uses all of ASCII.

    Args:
        ranks: Of every text of the vocabulary.
    """
    import tiktoken

    by_bytes: dict[bytes, int] = {}
    for text, rank in ranks.items():
        spaced = text.replace(SPACE, " ")
        if spaced.isascii() and " " not in text:
            by_bytes[spaced.encode()] = rank
    used = set(b"".join(by_bytes))
    apart = next((char for char in _ASCII if ord(char) not in used), None)
    if apart is None:
        return None
    for byte in range(_NUM_BYTES):
        by_bytes.setdefault(bytes([byte]), len(ranks) + byte)
    encoding = tiktoken.Encoding("words", pat_str=_ANYTHING, mergeable_ranks=by_bytes, special_tokens={})
    encode = encoding.encode_ordinary
    # tiktoken takes a word that is a token whole, even where merging would never arrive at it. Behind a
    # character that merges with nothing it is no token.
    return lambda word: encode(apart + word)[1:]
