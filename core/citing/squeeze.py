"""Text without what typesetting adds: white space, hyphens at line ends, the shape of quote marks.

Two texts that squeeze to the same characters say the same words. The map leads back to the original.
"""

import unicodedata
from dataclasses import dataclass

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
    places: tuple[int, ...]

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The stretch of the original that squeezed to `text[start:end]`; not for an empty range."""
        return self.places[start], self.places[end - 1] + 1


def squeeze(text: str) -> Squeezed:
    """`text` squeezed, with the way back.

    A hyphen between two letters is dropped, at a line's end or not: which of them a typesetter made cannot be
    told. A minus before a digit stays.
    """
    characters: list[str] = []
    places: list[int] = []
    shaped = text.translate(_SHAPES)
    for index, character in enumerate(shaped):
        if character.isspace() or character in _DROPPED:
            continue
        if character == "-" and _joins_letters(shaped, index):
            continue
        kept = character if character.isascii() else unicodedata.normalize("NFKC", character)
        for one in kept:
            if not one.isspace():
                characters.append(one)
                places.append(index)
    return Squeezed("".join(characters), tuple(places))


def _joins_letters(text: str, index: int) -> bool:
    if index == 0 or not text[index - 1].isalpha():
        return False
    rest = text[index + 1 : index + 40].lstrip()
    return bool(rest) and rest[0].isalpha()
