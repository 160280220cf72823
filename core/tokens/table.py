"""A vocabulary as one flat value: looked up where it lies, so that a short text never waits for all of it.

Reading a quarter of a million strings into a dict takes longer than everything else that a warm question
does. Here a lookup is a CRC, one probe and one comparison, and opening costs nothing.
"""

import json
import struct
from array import array
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any
from zlib import crc32

_HEAD = struct.Struct("=4sIIII")
_MAGIC = b"lcv1"


class VocabularyTable:
    """Texts in the order of their rank, each with its token id, and the rules that go with them.

    Rank 0 is merged first.

    Attributes:
        content: What `build_table` made.
        ids: The token id of each text.
        rules: What was given with them.
    """

    def __init__(self, content: bytes) -> None:
        """Open what `build_table` made.

        Raises:
            ValueError: `content` is something else.
        """
        try:
            magic, num_texts, num_slots, num_bytes, num_rules = _HEAD.unpack_from(content)
        except struct.error as error:
            raise ValueError("not a vocabulary table") from error
        sizes = (4 * num_slots, 4 * (num_texts + 1), 4 * num_texts, num_bytes, num_rules)
        if magic != _MAGIC or _HEAD.size + sum(sizes) != len(content):
            raise ValueError("not a vocabulary table")
        parts, start = [], _HEAD.size
        for size in sizes:
            parts.append(memoryview(content)[start : start + size])
            start += size
        self._slots = parts[0].cast("I")
        self._starts = parts[1].cast("I")
        self.ids: Sequence[int] = parts[2].cast("I")
        self._texts = parts[3]
        self.content = content
        self.rules: Mapping[str, Any] = json.loads(bytes(parts[4]))

    def __len__(self) -> int:
        return len(self.ids)

    def rank(self, text: str, default: int) -> int:
        """The rank of `text`, or `default` where it is not in the vocabulary."""
        wanted = text.encode("utf-8", "surrogatepass")
        slots, starts = self._slots, self._starts
        mask = len(slots) - 1
        slot = crc32(wanted) & mask
        while entry := slots[slot]:
            if self._texts[starts[entry - 1] : starts[entry]] == wanted:
                return int(entry) - 1
            slot = (slot + 1) & mask
        return default

    def texts(self) -> list[bytes]:
        """Every text, in the order of its rank."""
        texts = bytes(self._texts)
        return [texts[start:end] for start, end in pairwise(self._starts.tolist())]

    def ranks(self) -> dict[str, int]:
        """Every text with its rank: for texts so long that a dict is made up for."""
        return {text.decode("utf-8", "surrogatepass"): rank for rank, text in enumerate(self.texts())}

    def byte_ranks(self) -> dict[bytes, int]:
        """Every text with its rank, as bytes."""
        return {text: rank for rank, text in enumerate(self.texts())}


def build_table(texts: Sequence[bytes], ids: Sequence[int], rules: Mapping[str, Any]) -> bytes:
    """The value that a `VocabularyTable` opens.

    Args:
        texts: All different, in the order of their rank; UTF-8 where they are to be looked up as strings.
        ids: The token id of each.
        rules: Whatever JSON can hold.
    """
    num_slots = 1 << (2 * len(texts) + 2).bit_length()  # at most half full: a miss ends at the first probe
    mask = num_slots - 1
    slots = array("I", bytes(4 * num_slots))
    starts = array("I", [0])
    position = 0
    for entry, text in enumerate(texts, 1):
        slot = crc32(text) & mask
        while slots[slot]:
            slot = (slot + 1) & mask
        slots[slot] = entry
        position += len(text)
        starts.append(position)
    told = json.dumps(rules, ensure_ascii=False).encode("utf-8", "surrogatepass")
    head = _HEAD.pack(_MAGIC, len(texts), num_slots, position, len(told))
    return b"".join(
        (head, slots.tobytes(), starts.tobytes(), array("I", ids).tobytes(), b"".join(texts), told)
    )
