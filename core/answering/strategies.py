"""The strategies: each says what it would cost in a situation, and selects what the model reads.

The planner compares what they register here and knows none of them by name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from lctx.core.answering.inputs import Inputs
from lctx.core.answering.intent import capability_needed
from lctx.core.answering.layout import LaidOut, Layout
from lctx.core.answering.select import (
    CHUNK_TOKENS,
    SENTENCE_TOKENS,
    Selection,
    chunk_label,
    select_all,
    select_best,
    select_nothing,
)
from lctx.core.models.profile import Capability
from lctx.core.planning.kv_cache import KvDtype
from lctx.core.planning.plan import ContextBudget
from lctx.core.planning.strategy import StrategyEstimate
from lctx.core.retrieval.recall import SENTENCE_RECALL, expected_recall

if TYPE_CHECKING:
    from lctx.core.planning.cost import Cost

Costing = Callable[[int, int], "Cost | None"]
"""Tokens of prompt and of answer -> what they cost on the device that is planned for."""

_NO_QUESTION = "which passages enter depends on the question"


@dataclass(frozen=True)
class Situation:
    """What a strategy is judged in.

    Attributes:
        inputs: The question and its sources.
        layout: How a prompt is put together.
        bare: The prompt without passages: the fixed cost.
        budget: The window with no source in it.
        costing: For seconds and price, or None where the device is not known.
        kv_dtype: What the engine keeps the KV cache as.
    """

    inputs: Inputs
    layout: Layout
    bare: LaidOut
    budget: ContextBudget
    costing: Costing | None = None
    kv_dtype: KvDtype = KvDtype.BF16

    @property
    def room(self) -> int:
        """Tokens for passages with their labels."""
        asked = self.inputs.settings.budget
        return self.budget.sources if asked is None else min(self.budget.sources, asked)

    @cached_property
    def everything(self) -> int:
        """Tokens of all passages that may be read, with their labels."""
        inputs = self.inputs
        total = inputs.readable_tokens + self.layout.label_tokens("") * len(inputs.readable)
        if inputs.is_lookup_only:
            return total
        labels = [chunk_label(number, inputs.chunks[number]) for number in inputs.readable]
        return total + sum(inputs.tokenizer.count_batch(labels))

    @property
    def needed(self) -> int:
        """Tokens of a window that holds everything, question and answer included."""
        return self.bare.num_tokens + self.budget.answer + self.everything

    def cost(self, prompt_tokens: int) -> "Cost | None":
        """What one request of `prompt_tokens` costs."""
        return self.costing(prompt_tokens, self.budget.answer) if self.costing else None


class Strategy(Protocol):
    """One way to let a model read."""

    @property
    def name(self) -> str:
        """As `--strategy` has it."""
        ...

    def estimate(self, situation: Situation) -> StrategyEstimate:
        """What it would cost and is expected to find; nothing is sent."""
        ...

    def select(self, situation: Situation) -> Selection:
        """What the model reads, and what not."""
        ...


class Full:
    """Everything, once."""

    name = "full"

    def estimate(self, situation: Situation) -> StrategyEstimate:
        """All tokens of the sources; it fits or it does not."""
        total, everything, room = situation.inputs.readable_tokens, situation.everything, situation.room
        fits = everything <= room
        prompt_tokens = situation.bare.num_tokens + everything
        told = (
            f"{total:,} token{'s'[: total != 1]}"
            if total > room or fits
            else f"{everything:,} tokens with labels"
        )
        return StrategyEstimate(
            self.name,
            fits,
            prompt_tokens,
            f"reads all {told}" if fits else f"{told}, room for {room:,}",
            answer_tokens=situation.budget.answer,
            coverage=1.0,
            cost=situation.cost(prompt_tokens),
        )

    def select(self, situation: Situation) -> Selection:
        """Every chunk, in order."""
        return select_all(situation.inputs)


class Retrieve:
    """The passages that match the question, up to what was measured to help."""

    name = "retrieve"

    def estimate(self, situation: Situation) -> StrategyEstimate:
        """The best tokens up to the budget, and how much of the evidence they are expected to hold."""
        inputs = situation.inputs
        total, pinned = inputs.readable_tokens, sum(inputs.counts[number] for number in inputs.pinned)
        usual = pinned + (SENTENCE_TOKENS if inputs.is_lookup_only else CHUNK_TOKENS)
        matches = inputs.question is None or inputs.is_lookup_only or bool(inputs.ranking.best)
        reads = min(max(situation.room, 0), inputs.settings.budget or usual, total)
        if not matches:
            reads = min(pinned, reads)
        prompt_tokens = situation.bare.num_tokens + reads
        return StrategyEstimate(
            self.name,
            fits=True,
            prompt_tokens=prompt_tokens,
            why=_told(inputs, reads) if matches else "no word of the question stands in the sources",
            answer_tokens=situation.budget.answer,
            coverage=_expected(inputs, reads) if matches else reads / total if total else 1.0,
            cost=situation.cost(prompt_tokens),
        )

    def select(self, situation: Situation) -> Selection:
        """The best passages; none where no question says which."""
        if situation.inputs.question is None:
            return select_nothing(situation.inputs, _NO_QUESTION)
        return select_best(situation.inputs, situation.layout, situation.budget.sources)


def _told(inputs: Inputs, reads: int) -> str:
    total = inputs.readable_tokens
    if inputs.question is None:
        return f"the question decides which: up to {reads:,} of {total:,} tokens"
    return f"reads the best passages, up to {reads:,} of {total:,} tokens"


def _expected(inputs: Inputs, reads: int) -> float | None:
    """The share of the evidence in the best `reads` tokens: together for a look-up, else all over."""
    if reads >= inputs.readable_tokens:
        return 1.0
    if inputs.question is None:
        return None
    if capability_needed(inputs.question) is not Capability.LOOKUP:
        return reads / inputs.readable_tokens
    if inputs.is_lookup_only:
        return SENTENCE_RECALL * min(reads / SENTENCE_TOKENS, 1.0)
    return expected_recall(reads / inputs.readable_tokens * len(inputs.readable))


STRATEGIES: tuple[Strategy, ...] = (Full(), Retrieve())
"""All that there are, in the order in which equals are preferred."""


def strategy_called(name: str) -> Strategy | None:
    """The strategy of that name, or None."""
    return next((one for one in STRATEGIES if one.name == name), None)


def estimates_of(situation: Situation) -> tuple[StrategyEstimate, ...]:
    """What each strategy would cost."""
    return tuple(one.estimate(situation) for one in STRATEGIES)
