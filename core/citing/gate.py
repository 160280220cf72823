"""The gate of `--require-citations`: which sentences of an answer stand without proof."""

from collections.abc import Sequence

from lctx.core.chunking.sentences import sentences
from lctx.core.citing.citation import Citation, Status, Support


def unproven(text: str, citations: Sequence[Citation]) -> list[tuple[int, int]]:
    """The sentences of `text` that no verified quote supports, as (start, end) into it."""
    proven = [
        citation.answer_chars
        for citation in citations
        if citation.status is Status.VERIFIED and citation.support is Support.SUPPORTED
    ]
    return [
        (start, end)
        for start, end in sentences(text)
        if not any(first < end and last > start for first, last in proven)
    ]
