"""Which sentences of an answer stand without proof, and which without any support at all."""

from collections.abc import Iterable, Sequence

from lctx.core.chunking.sentences import sentences
from lctx.core.citing.citation import Citation, Status, Support


def unproven(text: str, citations: Sequence[Citation]) -> list[tuple[int, int]]:
    """The sentences of `text` that no verified quote supports: what `--require-citations` asks for."""
    return _uncovered(
        text,
        (
            citation.answer_chars
            for citation in citations
            if citation.status is Status.VERIFIED and citation.support is Support.SUPPORTED
        ),
    )


def unsupported(text: str, citations: Sequence[Citation]) -> list[tuple[int, int]]:
    """The sentences of `text` that no quote supports, even weakly: what every format marks."""
    return _uncovered(
        text, (citation.answer_chars for citation in citations if citation.support is not Support.NONE)
    )


def _uncovered(text: str, covered: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    spans = tuple(covered)
    return [
        (start, end)
        for start, end in sentences(text)
        if not any(first < end and last > start for first, last in spans)
    ]
