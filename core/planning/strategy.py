"""What each strategy would cost and is expected to find, and which of them is worth its price."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lctx.core.planning.cost import Cost


HOLDS = 0.85
"""The share of the evidence that a strategy must be expected to read to count as holding the answer."""

_WORTH = 2.0
"""How many times the price of the cheapest that holds one that reads more of the evidence may cost."""


@dataclass(frozen=True, slots=True)
class StrategyEstimate:
    """What one strategy would cost.

    Attributes:
        strategy: Its name.
        fits: Whether it can run in this window at all.
        prompt_tokens: Tokens that the model would read, over all requests.
        why: One line.
        requests: How often the model would be asked.
        answer_tokens: Tokens kept for what it writes, over all requests.
        coverage: The share of the evidence that it is expected to read, 0 to 1; None where nothing tells.
        cost: Seconds, energy and price, or None where the device's rates are not known.
    """

    strategy: str
    fits: bool
    prompt_tokens: int
    why: str
    requests: int = 1
    answer_tokens: int = 0
    coverage: float | None = None
    cost: "Cost | None" = None

    @property
    def holds(self) -> bool:
        """Whether it is expected to read enough of the evidence to answer from."""
        return self.fits and self.coverage is not None and self.coverage >= HOLDS

    @property
    def expense(self) -> int:
        """Tokens of prompt and answer: what is chosen is the same on every machine, before and after runs."""
        return self.prompt_tokens + self.answer_tokens


def choose_strategy(estimates: Sequence[StrategyEstimate]) -> tuple[StrategyEstimate, str]:
    """The cheapest strategy that is expected to hold the answer, and one line of why.

    One that is expected to read more of the evidence is preferred up to twice that price. Where none is
    expected to hold, the one that is expected to read most is taken, and the line says so.

    Args:
        estimates: One for each strategy, in the order in which equals are preferred; one of them fits.
    """
    fitting = [one for one in estimates if one.fits]
    holding = [one for one in fitting if one.holds]
    if not holding:
        chosen = max(fitting, key=lambda one: one.coverage or 0.0)
        return chosen, _reason(chosen, estimates)
    cheapest = min(holding, key=lambda one: one.expense)
    worth = [one for one in holding if one.expense <= _WORTH * cheapest.expense]
    chosen = max(worth, key=lambda one: one.coverage or 0.0)
    return chosen, _reason(chosen, estimates)


def _reason(chosen: StrategyEstimate, estimates: Sequence[StrategyEstimate]) -> str:
    others = [_against(one, chosen) for one in estimates if one is not chosen]
    return "; ".join(one for one in (chosen.why, _doubt(chosen), *others) if one)


def _doubt(chosen: StrategyEstimate) -> str:
    """What the reader must know of a strategy that is not expected to hold, or ""."""
    if chosen.holds or not chosen.coverage:
        return ""
    return f"it may miss much: {100 * chosen.coverage:.0f} % of the evidence is expected in it"


def _against(other: StrategyEstimate, chosen: StrategyEstimate) -> str:
    """Why not `other`, or "" where nothing speaks against it but that one was enough."""
    if not other.fits:
        return f"{other.strategy} does not fit: {other.why}"
    if other.holds and chosen.expense and other.expense >= _WORTH * chosen.expense:
        return f"{other.strategy} would cost {other.expense / chosen.expense:.0f} times as much"
    if chosen.holds and not other.holds and other.coverage is not None:
        return f"{other.strategy} may miss some of it"
    return ""
