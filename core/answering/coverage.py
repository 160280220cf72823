"""A plan -> the receipt: every character of the sources, read or left out, with its tokens."""

from collections.abc import Iterable, Sequence

from lctx.core.answering.answer import Coverage, CoverageRow
from lctx.core.document import Document
from lctx.core.planning.plan import ContextPlan, Piece


def coverage_of(plan: ContextPlan) -> Coverage:
    """What the model read of a plan that was carried out."""
    read = ((piece, None) for piece in plan.included)
    omitted = ((omission.piece, omission.reason) for omission in plan.omitted)
    return Coverage(plan.exact, _merged(read), _merged(omitted))


def coverage_of_nothing(plan: ContextPlan, documents: Sequence[Document], reason: str) -> Coverage:
    """The receipt where no model was asked: all of the sources is left out, for one reason."""
    order = {id(document): position for position, document in enumerate(documents)}
    pieces = [*plan.included, *(omission.piece for omission in plan.omitted)]
    pieces.sort(key=lambda piece: (order[id(piece.chunk.document)], piece.start))
    return Coverage(plan.exact, (), _merged((piece, reason) for piece in pieces))


def _merged(pieces: Iterable[tuple[Piece, str | None]]) -> tuple[CoverageRow, ...]:
    """One row for each stretch of one source that shares a reason."""
    rows: list[CoverageRow] = []
    for piece, reason in pieces:
        path, offset = piece.chunk.document.path, piece.chunk.document.offset
        start, end = offset + piece.start, offset + piece.end
        last = rows[-1] if rows else None
        if last and (last.path, last.reason, last.chars[1]) == (path, reason, start):
            rows[-1] = CoverageRow(path, (last.chars[0], end), last.tokens + piece.num_tokens, reason)
        else:
            rows.append(CoverageRow(path, (start, end), piece.num_tokens, reason))
    return tuple(rows)
