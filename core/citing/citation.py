"""A citation: a sentence of the answer, tied to a stretch of a source that was checked."""

from dataclasses import dataclass
from enum import Enum

from lctx.core.document import Document, Location


class Status(Enum):
    """What checking the quote against its source gave."""

    VERIFIED = "verified"
    """The quote stands there verbatim, up to white space, hyphenation and quote marks."""
    APPROXIMATE = "approximate"
    """One contiguous run of the source matches at 85% or more."""
    MISATTRIBUTED = "misattributed"
    """It stands elsewhere in the sources: the location was re-pointed."""
    UNVERIFIED = "unverified"
    """It stands nowhere in the sources."""


class Attribution(Enum):
    """Who named the source."""

    MODEL = "model"
    LCTX = "lctx"
    """Found afterwards: such a quote is verbatim by construction, so it proves the place, not the claim."""


class Support(Enum):
    """Whether the quote backs the sentence that it stands for."""

    SUPPORTED = "supported"
    WEAK = "weak"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Citation:
    """One [n] of an answer.

    Attributes:
        marker: The n, from 1 in order of appearance.
        document: The source.
        quote: `document.text[start:end]` of the location, or what the model quoted where unverified.
        status: Whether the quote stands there.
        by: Who named the source.
        support: Whether the quote backs the sentence.
        answer_chars: The sentence of the answer that it stands for, half-open.
        location: Where the quote stands; its `chars` give the exact range.
    """

    marker: int
    document: Document
    quote: str
    status: Status
    by: Attribution
    support: Support
    answer_chars: tuple[int, int]
    location: Location
