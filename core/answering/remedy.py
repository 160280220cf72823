"""What would have a passage read that is left out: one thing to do, short and true."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lctx.core.answering.inputs import Inputs
from lctx.core.answering.layout import Layout
from lctx.core.chunking.chunk import Chunk
from lctx.core.errors import DoesNotFitError

_WEIGH = "give it a --weight above 0"
_ASK = "ask a question"
_REWORD = "ask with words that stand in it"
_WIDEN = "plan for a larger --window, with a larger --budget"


def chunk_label(number: int, chunk: Chunk) -> str:
    """The id under which a model cites a chunk, with the file's name and what stands above it."""
    place = " › ".join((chunk.document.path, *chunk.heading))
    return f"[S{number + 1}] {place}\n"


def label_of(inputs: Inputs, number: int) -> str:
    """What stands in front of a whole chunk; a model that reads single lines gets no label."""
    return "" if inputs.is_lookup_only else chunk_label(number, inputs.chunks[number])


@dataclass(frozen=True)
class Room:
    """How many tokens there are for passages with their labels, and who has taken them.

    Attributes:
        inputs: The question and its sources.
        layout: What a label costs.
        window: Tokens that the window leaves.
    """

    inputs: Inputs
    layout: Layout
    window: int

    @property
    def allowed(self) -> int:
        """Tokens that window and `--budget` leave."""
        return min(self.window, self.inputs.settings.budget or self.window)

    @cached_property
    def pinned(self) -> int:
        """Tokens of the pinned sources."""
        return sum(map(self.cost_of, self.inputs.pinned))

    @property
    def left(self) -> int:
        """Tokens for all that is not pinned."""
        return self.allowed - self.pinned

    def cost_of(self, number: int) -> int:
        """Tokens of one whole chunk with its label."""
        return self.inputs.counts[number] + self.layout.label_tokens(label_of(self.inputs, number))

    def require_pins_fit(self) -> None:
        """Raise a `DoesNotFitError` where the pinned sources alone are too long."""
        if self.pinned <= self.allowed:
            return
        inputs, asked = self.inputs, self.inputs.settings.budget
        if asked is not None and asked < self.window:
            room, remedy = f"--budget leaves {asked:,}", f"raise --budget to {self.pinned:,} or more"
        else:
            room = f"room for {self.allowed:,} in a window of {inputs.window:,}"
            remedy = f"plan for a --window of {inputs.window + self.pinned - self.window:,} or more"
        fitting = self._fitting_pins()
        if fitting:
            remedy = f"pin {', '.join(map(shlex.quote, fitting))} alone, or {remedy}"
        elif len(inputs.preferences.pinned) > 1:
            remedy = f"pin fewer, or {remedy}"
        raise DoesNotFitError(f"the pinned sources do not fit: {self.pinned:,} tokens, {room}", remedy)

    @cached_property
    def everything(self) -> int:
        """Tokens of all that may be read, never too few; the labels are left out where that is too long."""
        tokens = self.inputs.readable_tokens
        if tokens > self.window:
            return tokens
        return tokens + sum(map(self._most_label_tokens, self.inputs.readable))

    def document_tokens(self, chunk: Chunk) -> tuple[int, int]:
        """Tokens of the whole document of `chunk`: of its text, and with its labels, never too few."""
        return self._by_document[id(chunk.document)]

    @cached_property
    def _by_document(self) -> dict[int, tuple[int, int]]:
        told: dict[int, tuple[int, int]] = {}
        for number, chunk in enumerate(self.inputs.chunks):
            tokens, whole = told.get(id(chunk.document), (0, 0))
            if tokens <= self.window:  # what is too long already needs no labels
                whole += self._most_label_tokens(number)
            count = self.inputs.counts[number]
            told[id(chunk.document)] = tokens + count, whole + count
        return told

    def _most_label_tokens(self, number: int) -> int:
        """Not less than a label's tokens: its bytes. To encode each of a large source would take seconds."""
        return len(label_of(self.inputs, number).encode("utf-8", "surrogatepass")) + self._bare_label

    @cached_property
    def _bare_label(self) -> int:
        return self.layout.label_tokens("")

    def _fitting_pins(self) -> Sequence[str]:
        """The pinned sources that fit together, shortest first."""
        costs: dict[str, int] = {}
        for number in self.inputs.pinned:
            path = self.inputs.chunks[number].document.path
            costs[path] = costs.get(path, 0) + self.cost_of(number)
        fitting, left = [], self.allowed
        for path, cost in sorted(costs.items(), key=lambda row: (row[1], row[0])):
            if cost > left:
                break
            fitting.append(path)
            left -= cost
        return fitting


def remedy_for(
    inputs: Inputs,
    chunk: Chunk,
    room: Room | None = None,
    needed: int | None = None,
    *,
    related: bool = False,
) -> str | None:
    """What would have `chunk` read, or None where nothing is known to.

    Args:
        inputs: The question and its sources.
        chunk: What is left out, or part of it.
        room: The room that there is; None where no selection was made.
        needed: The `--budget` that reads it, or None where no budget is known to.
        related: Whether it shares a word with the question.
    """
    document = chunk.document
    if inputs.preferences.is_left_out(document):
        return _WEIGH
    if inputs.question is None:
        return _ASK
    if room is None:
        return None
    if needed is not None and needed <= room.window:
        return f"{'raise --budget to' if inputs.settings.budget else '--budget'} {needed:,} or more"
    (tokens, whole), everything = room.document_tokens(chunk), inputs.readable_tokens
    named = f"--pin {shlex.quote(document.path)}"
    for limit, how in ((room.allowed, ""), (room.window, " without --budget")):
        if room.everything <= limit:
            return f"--strategy full{how} reads everything ({everything:,} tokens)"
        if room.pinned + whole <= limit:
            return f"{named}{how} reads it whole ({tokens:,} tokens)"
    return _WIDEN if related else _REWORD
