"""What the model read, sentence by sentence, each with how well it answers the question."""

from lctx.core.answering.inputs import Inputs
from lctx.core.answering.plan_answer import Planned
from lctx.core.retrieval.focus import Sentence, focus
from lctx.core.retrieval.rank import Scored


def sentences_read(inputs: Inputs, planned: Planned) -> list[Sentence]:
    """The sentences of all passages of a plan, in the sources' order."""
    chunks = list({id(piece.chunk): piece.chunk for piece in planned.plan.included}.values())
    scores = {id(scored.chunk): scored.score for scored in inputs.ranking.best}
    named = inputs.ranking.named
    scored = [
        Scored(chunk, scores.get(id(chunk), 0.0) if named is None or chunk.document is named else 0.0)
        for chunk in chunks
    ]
    spans: dict[int, list[tuple[int, int]]] = {}
    for piece in planned.plan.included:
        spans.setdefault(id(piece.chunk), []).append((piece.start, piece.end))
    read = [
        sentence
        for sentence in focus(inputs.ranking.query, scored)
        if any(start <= sentence.start and sentence.end <= end for start, end in spans[id(sentence.chunk)])
    ]
    order = {id(chunk): position for position, chunk in enumerate(chunks)}
    read.sort(key=lambda sentence: (order[id(sentence.chunk)], sentence.start))
    return read
