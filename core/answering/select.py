"""What each strategy lets the model read, and what stays out: every character is in one of the two."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lctx.core.answering.inputs import Inputs
from lctx.core.answering.layout import Layout, Passage
from lctx.core.chunking.chunk import Chunk
from lctx.core.chunking.fields import label_and_value
from lctx.core.planning.plan import Omission, Piece
from lctx.core.retrieval.focus import LINE_KINDS, Sentence, sentences_of

SENTENCE_TOKENS = 240
"""What a small model reads: more makes it slower and no better (docs/benchmarks/ntsb.md)."""
_SENTENCES, _LINES = 4, 16
"""Sentences of prose or fields of a form, and lines of code, that a small model reads."""
CHUNK_TOKENS = 3_000
"""What a capable model reads of the best chunks: the answer stands there, and each token costs prefill."""
_LOW = "ranks below what fits the budget"
_UNRELATED = "shares no word with the question"
_BESIDE = "its neighbours rank higher, and it does not fit beside them"


@dataclass(frozen=True, slots=True)
class Selection:
    """What is read, in prompt order, and what is not, in document order."""

    passages: tuple[Passage, ...]
    omitted: tuple[Omission, ...]


def select_all(inputs: Inputs) -> Selection:
    """Every chunk, for `full`."""
    return Selection(tuple(_whole(inputs, number) for number in range(len(inputs.chunks))), ())


def select_nothing(inputs: Inputs, reason: str) -> Selection:
    """No chunk: each is left out for one reason."""
    return Selection((), tuple(_left_out(inputs, number, reason) for number in range(len(inputs.chunks))))


def select_best(inputs: Inputs, layout: Layout, room: int) -> Selection:
    """The best of the sources that `room` tokens hold, in document order, for `retrieve`.

    Args:
        inputs: The question and its sources.
        layout: What a passage costs beside its text.
        room: Tokens for passages with their labels.
    """
    if inputs.is_lookup_only:
        return _select_sentences(inputs, layout, min(room, inputs.settings.budget or SENTENCE_TOKENS))
    return _select_chunks(inputs, layout, min(room, inputs.settings.budget or CHUNK_TOKENS))


def _whole(inputs: Inputs, number: int) -> Passage:
    chunk = inputs.chunks[number]
    label = "" if inputs.is_lookup_only else chunk_label(number, chunk)
    return Passage(Piece(chunk, chunk.start, chunk.end, inputs.counts[number]), chunk.text, label)


def chunk_label(number: int, chunk: Chunk) -> str:
    """The id under which a model cites a chunk, with the file's name and what stands above it."""
    place = " › ".join((chunk.document.path, *chunk.heading))
    return f"[S{number + 1}] {place}\n"


def _left_out(inputs: Inputs, number: int, reason: str) -> Omission:
    chunk = inputs.chunks[number]
    return Omission(Piece(chunk, chunk.start, chunk.end, inputs.counts[number]), reason)


def _select_chunks(inputs: Inputs, layout: Layout, room: int) -> Selection:
    """Whole chunks, best first, each with the neighbours that still fit."""
    numbers = {id(chunk): number for number, chunk in enumerate(inputs.chunks)}
    ranked = [numbers[id(scored.chunk)] for scored in inputs.ranking.best]
    taken: set[int] = set()
    left = room

    def take(number: int) -> None:
        nonlocal left
        cost = inputs.counts[number] + layout.label_tokens(chunk_label(number, inputs.chunks[number]))
        if number not in taken and cost <= left:
            taken.add(number)
            left -= cost

    best_few = ranked[: max(len(ranked) // 4, 3)]
    for number in best_few:
        take(number)
        for beside in (number + 1, number - 1):
            if 0 <= beside < len(inputs.chunks) and _same_document(inputs, number, beside):
                take(beside)
    for number in ranked:
        take(number)
    related = set(ranked)
    omitted = [
        _left_out(inputs, number, _LOW if number in related else _UNRELATED)
        for number in range(len(inputs.chunks))
        if number not in taken
    ]
    return Selection(tuple(_whole(inputs, number) for number in sorted(taken)), tuple(omitted))


def _same_document(inputs: Inputs, one: int, other: int) -> bool:
    return inputs.chunks[one].document is inputs.chunks[other].document


def _select_sentences(inputs: Inputs, layout: Layout, room: int) -> Selection:
    """The best few sentences, a line each; lines of code with those around them."""
    taken: dict[int, dict[int, Passage]] = {}
    left = room
    for sentence in _best_few(inputs.focused):
        kept = taken.setdefault(id(sentence.chunk), {})
        if sentence.start in kept:
            continue
        text = _one_line(sentence)
        num_tokens = len(inputs.tokenizer.encode(text))
        cost = num_tokens + layout.label_tokens("")
        if cost > left:
            continue  # a shorter one may still fit
        left -= cost
        piece = Piece(sentence.chunk, sentence.start, sentence.end, num_tokens)
        kept[sentence.start] = Passage(piece, text)
    passages: list[Passage] = []
    omitted: list[Omission] = []
    related = {id(scored.chunk) for scored in inputs.ranking.best}
    for number, chunk in enumerate(inputs.chunks):
        kept = taken.get(id(chunk), {})
        if not kept:
            omitted.append(_left_out(inputs, number, _LOW if id(chunk) in related else _UNRELATED))
            continue
        in_order = [kept[start] for start in sorted(kept)]
        passages += in_order
        omitted += _gaps(inputs, number, [passage.piece for passage in in_order])
    return Selection(tuple(passages), tuple(omitted))


def _best_few(focused: Sequence[Sentence]) -> Iterator[Sentence]:
    """The best sentences of prose; of code each of the best lines with the two on either side."""
    beside: dict[int, list[Sentence]] = {}
    left = _LINES
    for sentence in focused:
        if left < _LINES // _SENTENCES:
            return
        if sentence.chunk.document.kind not in LINE_KINDS:
            left -= _LINES // _SENTENCES
            yield sentence
            if announces(sentence):
                around = beside.setdefault(id(sentence.chunk), sentences_of(sentence.chunk))
                yield from [one for one in around if one.start >= sentence.end][:1]
            continue
        around = beside.setdefault(id(sentence.chunk), sentences_of(sentence.chunk))
        position = next(index for index, one in enumerate(around) if one.start == sentence.start)
        for index in (position, position + 1, position - 1, position + 2, position - 2):
            if 0 <= index < len(around):
                left -= 1
                yield around[index]


def announces(sentence: Sentence) -> bool:
    """Whether a sentence of prose ends in a colon, so that the next one says what it is about."""
    return sentence.text.rstrip().endswith(":") and label_and_value(sentence.text) is None


def _one_line(sentence: Sentence) -> str:
    document = sentence.chunk.document
    if document.kind in LINE_KINDS:
        # A line of code keeps its indentation, which the sentence leaves out.
        line_start = max(document.text.rfind("\n", 0, sentence.start) + 1, sentence.chunk.start)
        return document.text[line_start : sentence.end].rstrip()
    return " ".join(sentence.text.replace("\ufffe", "").split())


def _gaps(inputs: Inputs, number: int, pieces: Sequence[Piece]) -> list[Omission]:
    """What is left of a chunk between the pieces that are read; with them it has the tokens of the chunk."""
    chunk = inputs.chunks[number]
    gaps: list[tuple[int, int]] = []
    position = chunk.start
    for piece in pieces:
        if piece.start > position:
            gaps.append((position, piece.start))
        position = piece.end
    if chunk.end > position:
        gaps.append((position, chunk.end))
    counts = inputs.tokenizer.count_batch([chunk.document.text[start:end] for start, end in gaps])
    if counts:
        # Cut in pieces a text has a few tokens more or less: the largest gap bears it, or the sources would
        # have another size with every question.
        excess = sum(counts) + sum(piece.num_tokens for piece in pieces) - inputs.counts[number]
        largest = counts.index(max(counts))
        counts[largest] = max(counts[largest] - excess, 0)
    return [
        Omission(Piece(chunk, start, end, count), _BESIDE)
        for (start, end), count in zip(gaps, counts, strict=True)
    ]
