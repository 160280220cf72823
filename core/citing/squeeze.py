"""Text without what typesetting adds: white space, hyphens at line ends, the shape of quote marks.

Two texts that squeeze to the same characters say the same words. The map leads back to the original.
"""

import re
import unicodedata
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

_PLAIN_OR_ONE = re.compile(r"[!-,.-~]+|\S")
"""A run of ASCII that stays as it is (no hyphen in it), or one other character."""
_DROPPED = frozenset("\u00ad\ufffe\u200b\u2060\ufeff")
_SHAPES = str.maketrans(
    {
        "‘": "'", "’": "'", "‚": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"',
        "‐": "-", "‑": "-", "−": "-",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Squeezed:
    """A text's squeezed characters, and where in the original each of them stands.

    Attributes:
        text: Without white space, line-end hyphens and typographic variants; in its own case.
        places: For each character of `text` the offset of its original.
    """

    text: str
    places: Sequence[int]

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The stretch of the original that squeezed to `text[start:end]`; not for an empty range."""
        return self.places[start], self.places[end - 1] + 1


def squeeze(text: str, skipped: Sequence[tuple[int, int]] = ()) -> Squeezed:
    """`text` squeezed, with the way back.

    A hyphen between two letters is dropped, at a line's end or not: which of them a typesetter made cannot be
    told. A minus before a digit stays.

    Args:
        text: Any.
        skipped: Stretches of it that are left out, sorted and apart: a page's running header.
    """
    parts: list[str] = []
    places = array("L")
    shaped = text.translate(_SHAPES)
    starts = [start for start, _ in skipped]
    for found in _PLAIN_OR_ONE.finditer(shaped):
        start, end = found.span()
        if skipped and _is_within(skipped, starts, start):
            continue
        character = found[0]
        if end - start > 1 or ("!" <= character <= "~" and character != "-"):
            parts.append(character)
            places.extend(range(start, end))
            continue
        if (
            character in _DROPPED
            or character.isspace()
            or (character == "-" and _joins_letters(shaped, start))
        ):
            continue
        kept = character if character == "-" else unicodedata.normalize("NFKC", character)
        for one in kept:
            if not one.isspace():
                parts.append(one)
                places.append(start)
    return Squeezed("".join(parts), places)


def _is_within(stretches: Sequence[tuple[int, int]], starts: Sequence[int], place: int) -> bool:
    index = bisect_right(starts, place) - 1
    return index >= 0 and place < stretches[index][1]


def _joins_letters(text: str, index: int) -> bool:
    if index == 0 or not text[index - 1].isalpha():
        return False
    rest = text[index + 1 : index + 40].lstrip()
    return bool(rest) and rest[0].isalpha()
