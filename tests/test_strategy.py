"""Tests of the choice of a strategy: the cheapest that holds the answer, and one line of why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lctx.core.planning.cost import Cost
from lctx.core.planning.strategy import HOLDS, StrategyEstimate, choose_strategy


def estimate(strategy: str, tokens: int, coverage: float | None, *, fits: bool = True, seconds: float = 0.0):
    cost = Cost(seconds, 0.0) if seconds else None
    return StrategyEstimate(
        strategy, fits, tokens, f"reads {tokens}", answer_tokens=10, coverage=coverage, cost=cost
    )


FULL, RETRIEVE = estimate("full", 10_000, 1.0), estimate("retrieve", 500, 0.89)


def test_the_cheapest_that_holds_is_taken():
    """This test ensures that reading everything for twenty times the price is not chosen, and the line says so."""
    assert choose_strategy([FULL, RETRIEVE]) == (RETRIEVE, "reads 500; full would cost 20 times as much")


def test_what_reads_more_of_the_evidence_may_cost_twice_as_much():
    """This test ensures that up to twice the price buys certainty, and no more than that."""
    assert choose_strategy([estimate("full", 1009, 1.0), RETRIEVE])[0].strategy == "full"
    assert choose_strategy([estimate("full", 1011, 1.0), RETRIEVE])[0].strategy == "retrieve"


def test_seconds_are_shown_and_not_compared():
    """This test ensures that a choice is the same on every machine, whatever its seconds are."""
    slow, quick = (estimate("retrieve", 500, 0.89, seconds=seconds) for seconds in (2.0, 900.0))
    full = estimate("full", 10_000, 1.0, seconds=3.0)
    assert choose_strategy([full, slow]) == (slow, choose_strategy([FULL, RETRIEVE])[1])
    assert choose_strategy([full, quick])[0] is quick


def test_what_may_miss_is_not_taken_for_its_price():
    """This test ensures that a cheap strategy that is not expected to hold loses to a dear one that is."""
    partial = estimate("retrieve", 500, HOLDS - 0.01)
    assert choose_strategy([FULL, partial]) == (FULL, "reads 10000; retrieve may miss some of it")


def test_the_line_says_where_nothing_holds():
    """This test ensures that the best of what does not hold is taken and its share of the evidence told."""
    chosen, why = choose_strategy(
        [estimate("full", 10_000, 1.0, fits=False), estimate("retrieve", 500, 0.19)]
    )
    assert chosen.strategy == "retrieve"
    assert why == (
        "reads 500; it may miss much: 19 % of the evidence is expected in it; full does not fit: reads 10000"
    )


def test_an_unknown_share_is_neither_praised_nor_blamed():
    """This test ensures that without a question what fits whole is read whole."""
    unknown = estimate("retrieve", 500, None)
    assert choose_strategy([FULL, unknown]) == (FULL, "reads 10000")
    chosen, why = choose_strategy([estimate("full", 10_000, 1.0, fits=False), unknown])
    assert (chosen, why) == (unknown, "reads 500; full does not fit: reads 10000")


ANY = st.builds(
    estimate,
    st.sampled_from(["full", "retrieve", "other"]),
    st.integers(0, 10**7),
    st.one_of(st.none(), st.floats(0, 1)),
    fits=st.booleans(),
)


@given(st.lists(ANY, min_size=1, max_size=4).filter(lambda some: any(one.fits for one in some)))
def test_the_choice_fits_and_nothing_cheaper_holds_more(estimates):
    """This test ensures of any estimates that the choice fits, and holds wherever one holds at all."""
    chosen, why = choose_strategy(estimates)
    assert chosen.fits
    assert "\n" not in why
    holding = [one for one in estimates if one.holds]
    if holding:
        cheapest = min(one.expense for one in holding)
        assert chosen.holds
        assert chosen.expense <= 2 * cheapest
        assert not [one for one in holding if one.expense <= 2 * cheapest and one.coverage > chosen.coverage]


@pytest.mark.parametrize("coverage", [None, 0.0, HOLDS - 1e-9])
def test_holding_takes_the_evidence_and_the_room(coverage):
    """This test ensures that neither an unknown share nor one too small counts as holding, nor what does not fit."""
    assert not estimate("full", 1, coverage).holds
    assert not estimate("full", 1, 1.0, fits=False).holds
    assert estimate("full", 1, HOLDS).holds
