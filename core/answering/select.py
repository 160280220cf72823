"""What each strategy lets the model read, and what stays out: every character is in one of the two."""

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass

from lctx.core.answering.inputs import Inputs
from lctx.core.answering.layout import Layout, Passage
from lctx.core.answering.remedy import Room, chunk_label, label_of, remedy_for
from lctx.core.chunking.fields import label_and_value
from lctx.core.errors import DoesNotFitError
from lctx.core.planning.plan import Omission, Piece
from lctx.core.retrieval.focus import LINE_KINDS, Sentence, sentences_of

__all__ = [
    "CHUNK_TOKENS",
    "SENTENCE_TOKENS",
    "Selection",
    "announces",
    "chunk_label",
    "require_pins_fit",
    "select_all",
    "select_best",
    "select_nothing",
]

SENTENCE_TOKENS = 240
"""What a small model reads: more makes it slower and no better (docs/benchmarks/ntsb.md)."""
_SENTENCES, _LINES = 4, 16
"""Sentences of prose or fields of a form, and lines of code, that a small model reads."""
CHUNK_TOKENS = 3_000
"""What a capable model reads of the best chunks: the answer stands there, and each token costs prefill."""
_LOW = "ranks below what fits the budget"
_WEIGHT_0 = "weight 0"
_HIDDEN = "nobody who looks at the source can see it"
_UNRELATED = "shares no word with the question"
_BESIDE = "its neighbours rank higher, and it does not fit beside them"


@dataclass(frozen=True, slots=True)
class Selection:
    """What is read, in prompt order, and what is not, in document order."""

    passages: tuple[Passage, ...]
    omitted: tuple[Omission, ...]


def select_all(inputs: Inputs) -> Selection:
    """Every chunk but those of weight 0 and those that are hidden, for `full`."""
    return _with_the_rest(inputs, set(inputs.readable), lambda number: _left_out(inputs, number, _WEIGHT_0))


def select_nothing(inputs: Inputs, reason: str) -> Selection:
    """No chunk but those that are pinned: each is left out for one reason."""
    return _with_the_rest(inputs, inputs.pinned, lambda number: _left_out(inputs, number, reason))


def require_pins_fit(inputs: Inputs, layout: Layout, room: int) -> None:
    """Raise a `DoesNotFitError` where the pinned sources alone need more than `room` or the budget.

    Args:
        inputs: The question and its sources.
        layout: What a passage costs beside its text.
        room: Tokens that the window leaves for passages with their labels.
    """
    Room(inputs, layout, room).require_pins_fit()


def select_best(inputs: Inputs, layout: Layout, room: int) -> Selection:
    """The pinned sources whole, and the best of the others that `room` tokens hold, in document order.

    Args:
        inputs: The question and its sources.
        layout: What a passage costs beside its text.
        room: Tokens for passages with their labels.

    Raises:
        DoesNotFitError: The pinned sources do not fit; or nothing is pinned, and the best chunk does not.
    """
    space = Room(inputs, layout, room)
    space.require_pins_fit()
    return _select_sentences(inputs, space) if inputs.is_lookup_only else _select_chunks(inputs, space)


def _with_the_rest(inputs: Inputs, taken: Container[int], left_out: Callable[[int], Omission]) -> Selection:
    """The chunks `taken`, whole, and every other left out."""
    numbers = range(len(inputs.chunks))
    return Selection(
        tuple(_whole(inputs, number) for number in numbers if number in taken),
        tuple(left_out(number) for number in numbers if number not in taken),
    )


def _whole(inputs: Inputs, number: int) -> Passage:
    chunk = inputs.chunks[number]
    piece = Piece(chunk, chunk.start, chunk.end, inputs.counts[number])
    return Passage(piece, chunk.text, label_of(inputs, number))


def _left_out(
    inputs: Inputs,
    number: int,
    reason: str,
    room: Room | None = None,
    needed: int | None = None,
    *,
    related: bool = False,
) -> Omission:
    chunk = inputs.chunks[number]
    if chunk.is_hidden:
        return Omission(Piece(chunk, chunk.start, chunk.end, inputs.counts[number]), _HIDDEN)
    if inputs.preferences.is_left_out(chunk.document):
        reason = _WEIGHT_0
    remedy = remedy_for(inputs, chunk, room, needed, related=related)
    return Omission(Piece(chunk, chunk.start, chunk.end, inputs.counts[number]), reason, remedy)


def _why_low(room: Room, left: int) -> str:
    """Why a passage that is related is not read where `left` tokens are for what is not pinned."""
    if room.pinned and left == room.left:
        return f"after the pinned sources {left:,} tokens are left"
    return _LOW


def _left_for(room: Room, habit: int) -> int:
    """Tokens for what is not pinned: what a budget leaves, else no more than is the habit."""
    return room.left if room.inputs.settings.budget else min(room.left, habit)


def _select_chunks(inputs: Inputs, room: Room) -> Selection:
    """Whole chunks in packing order, up to the first that does not fit.

    A shorter one further down is not taken in its place: then a larger window would drop it again, and what
    is read would not grow with the window.
    """
    order = _packing_order(inputs)
    left = _left_for(room, max([CHUNK_TOKENS, *map(room.cost_of, order[:1])]))
    taken, needed, position = set(inputs.pinned), {}, 0
    for number in order:
        position += room.cost_of(number)
        needed[number] = room.pinned + position
        if position <= left:
            taken.add(number)
        elif not taken:
            raise _best_does_not_fit(room, position)
        elif needed[number] > room.window:
            break  # no budget has the others read
    places = {id(chunk): number for number, chunk in enumerate(inputs.chunks)}
    related = {places[id(scored.chunk)] for scored in inputs.ranking.best}
    low = _why_low(room, left)

    def left_out(number: int) -> Omission:
        is_related = number in related
        reason = low if is_related else _UNRELATED
        return _left_out(inputs, number, reason, room, needed.get(number), related=is_related)

    return _with_the_rest(inputs, taken, left_out)


def _packing_order(inputs: Inputs) -> list[int]:
    """The chunks that are not pinned in the order in which they fill the room, whatever the room is.

    Those of a higher priority come first; among equals the best few, each with its neighbours, then the
    others that share a word with the question.
    """
    places = {id(chunk): number for number, chunk in enumerate(inputs.chunks)}
    by_priority: dict[int, list[int]] = {}
    for scored in inputs.ranking.best:
        priority = inputs.preferences.priority(scored.chunk.document)
        by_priority.setdefault(priority, []).append(places[id(scored.chunk)])
    order: dict[int, None] = {}
    for _, ranked in sorted(by_priority.items(), reverse=True):
        for number in ranked[: max(len(ranked) // 4, 3)]:
            for beside in (number, number + 1, number - 1):
                if 0 <= beside < len(inputs.chunks) and _reads_on(inputs, number, beside):
                    order.setdefault(beside)
        order |= dict.fromkeys(ranked)
    return [number for number in order if number not in inputs.pinned]


def _reads_on(inputs: Inputs, one: int, other: int) -> bool:
    """Whether the chunk beside one that is read may be read with it."""
    beside = inputs.chunks[other]
    return inputs.chunks[one].document is beside.document and not beside.is_hidden


def _best_does_not_fit(room: Room, needed: int) -> DoesNotFitError:
    """To read the second best alone would give a wrong answer rather than none."""
    inputs, allowed = room.inputs, room.allowed
    what = f"no passage is read: the best that matches the question needs {needed:,} tokens with its label"
    if allowed < room.window:
        return DoesNotFitError(f"{what}, --budget leaves {allowed:,}", "raise --budget, or leave it out")
    return DoesNotFitError(
        f"{what}, {allowed:,} are left for sources in a window of {inputs.window:,}",
        f"plan for a --window of {inputs.window + needed - allowed:,} or more, or lower --max-tokens",
    )


def _select_sentences(inputs: Inputs, room: Room) -> Selection:
    """The best few sentences, a line each; lines of code with those around them."""
    taken: dict[int, dict[int, Passage]] = {}
    passed_over: dict[int, set[int]] = {}
    left = _left_for(room, SENTENCE_TOKENS)
    low = _why_low(room, left)
    needed = room.pinned
    for sentence in _best_few(inputs.focused_beside_pins):
        kept = taken.setdefault(id(sentence.chunk), {})
        missed = passed_over.setdefault(id(sentence.chunk), set())
        if sentence.start in kept or sentence.start in missed:
            continue
        text = _one_line(sentence)
        (num_tokens,) = inputs.tokenizer.count_batch([text])
        cost = num_tokens + room.layout.label_tokens("")
        needed += cost
        if cost > left:
            missed.add(sentence.start)  # a shorter one may still fit
            continue
        left -= cost
        kept[sentence.start] = Passage(Piece(sentence.chunk, sentence.start, sentence.end, num_tokens), text)
    passages: list[Passage] = []
    omitted: list[Omission] = []
    related = {id(scored.chunk) for scored in inputs.ranking.best}
    for number, chunk in enumerate(inputs.chunks):
        kept, missed = taken.get(id(chunk), {}), passed_over.get(id(chunk), set())
        if number in inputs.pinned:
            passages.append(_whole(inputs, number))
        elif sum(passage.piece.num_tokens for passage in kept.values()) > inputs.counts[number]:
            passages.append(_whole(inputs, number))  # in single lines it would cost more than as it stands
        elif kept:
            in_order = [kept[start] for start in sorted(kept)]
            passages += in_order
            for gap in _gaps(inputs, number, [passage.piece for passage in in_order]):
                is_missed = any(gap.start <= start < gap.end for start in missed)
                remedy = remedy_for(inputs, chunk, room, needed if is_missed else None, related=True)
                omitted.append(Omission(gap, _BESIDE, remedy))
        else:
            is_related = id(chunk) in related
            reason = low if is_related else _UNRELATED
            budget = needed if missed else None
            omitted.append(_left_out(inputs, number, reason, room, budget, related=is_related))
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


def _gaps(inputs: Inputs, number: int, pieces: Sequence[Piece]) -> list[Piece]:
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
        # Cut in pieces a text has a few tokens more or less: the largest gaps bear it, or the sources would
        # have another size with every question.
        excess = sum(counts) + sum(piece.num_tokens for piece in pieces) - inputs.counts[number]
        for largest in sorted(range(len(counts)), key=lambda place: -counts[place]):
            borne = min(excess, counts[largest])
            counts[largest] -= borne
            excess -= borne
    return [Piece(chunk, start, end, count) for (start, end), count in zip(gaps, counts, strict=True)]
