"""Tests of what the strategies say that they would cost: never cheaper for more, and honest about what they miss."""

import pytest
from answering_parts import NO_CACHE, PieceTokenizer, assert_tiles, chat_model, document, inputs, small_model
from hypothesis import given, settings
from hypothesis import strategies as st

from lctx.core.answering.inputs import AskSettings, Inputs
from lctx.core.answering.plan_answer import plan_answer
from lctx.core.answering.strategies import STRATEGIES, estimates_of, strategy_called
from lctx.core.models.cards import model_cards
from lctx.core.models.derive import card_profile
from lctx.core.planning.cost import Cost
from lctx.core.tokens.estimate import EstimatingTokenizer

pytestmark = pytest.mark.usefixtures("module_home")

LINES = [f"The harbour was widened in {1800 + number} by master {number}.\n\n" for number in range(900)]
TOKENIZER = PieceTokenizer()


@pytest.fixture(scope="module")
def capable(tmp_path_factory):
    """A chat model with a window of 100,000."""
    return chat_model(tmp_path_factory.mktemp("model"), 100_000)


def planned(question, num_lines, profile, **wished):
    return plan_answer(inputs(question, [document("".join(LINES[:num_lines]))], profile, TOKENIZER, **wished))


def by_name(plan):
    return {one.strategy: one for one in plan.estimates}


@pytest.mark.parametrize("kind", ["small", "chat"])
@given(sizes=st.tuples(st.integers(1, 400), st.integers(1, 400)))
@settings(max_examples=25, deadline=None)
def test_more_sources_are_never_cheaper(capable, kind, sizes):
    """This test ensures that no strategy costs less when there is more to read, over the edge of the window too."""
    profile = small_model(1500) if kind == "small" else capable
    few, many = (
        by_name(planned("When was the harbour widened?", size, profile).plan) for size in sorted(sizes)
    )
    for name, one in few.items():
        assert one.expense <= many[name].expense
        assert one.fits or not many[name].fits


def test_full_costs_what_it_then_takes(capable):
    """This test ensures that the tokens that `full` announces are those of its prompt, labels included."""
    for profile in (small_model(100_000), capable):
        plan = planned("When?", 300, profile, strategy="full").plan
        assert by_name(plan)["full"].prompt_tokens == plan.prompt_tokens


def test_a_list_wants_everything_where_it_fits(capable):
    """This test ensures that a list or a summary is read whole by a model that can, and the line says why."""
    for question in ("List all the masters who widened the harbour.", "Summarise this document."):
        plan = planned(question, 400, capable).plan
        assert plan.strategy == "full"
        assert plan.why.endswith("retrieve may miss some of it")


def test_a_list_that_does_not_fit_says_that_it_may_miss(tmp_path):
    """This test ensures that a list from the best passages is never sold as complete."""
    narrow = chat_model(tmp_path / "model", 5000)
    plan = planned("List all the masters who widened the harbour.", 900, narrow).plan
    assert plan.strategy == "retrieve"
    assert "it may miss much: " in plan.why
    assert "full does not fit: " in plan.why
    assert 0 < by_name(plan)["retrieve"].coverage < 0.85


def test_a_lookup_reads_the_best_passages(capable):
    """This test ensures that a look-up in a large source does not pay for all of it."""
    plan = planned("Who widened the harbour in 1850?", 900, capable).plan
    assert plan.strategy == "retrieve"
    assert by_name(plan)["retrieve"].coverage >= 0.85
    assert "full would cost" in plan.why


def test_what_matches_nothing_is_not_said_to_hold(capable, tmp_path):
    """This test ensures that a question without a word of the sources is answered from all or promised nothing."""
    plan = planned("Zebra?", 300, capable).plan
    assert plan.strategy == "full"
    assert by_name(plan)["retrieve"].coverage == 0
    narrow = planned("Zebra?", 900, chat_model(tmp_path / "model", 5000)).plan
    assert narrow.why.startswith("no word of the question stands in the sources; full does not fit: ")
    assert (narrow.strategy, narrow.included) == ("retrieve", ())


def test_without_a_question_nothing_is_promised(capable):
    """This test ensures that no share of the evidence is told before there is a question."""
    plan = planned(None, 300, capable).plan
    assert (plan.strategy, plan.omitted) == ("full", ())
    assert by_name(plan)["retrieve"].coverage is None
    assert by_name(plan)["retrieve"].why.startswith("the question decides which: up to ")


def test_costs_are_asked_for_the_tokens_of_the_estimate():
    """This test ensures that seconds are those of the prompt and the answer that stand beside them."""
    asked = inputs("harbour?", [document("".join(LINES[:50]))], max_tokens=17)
    plan = plan_answer(asked, lambda prompt, answer: Cost(float(prompt), float(answer))).plan
    for one in plan.estimates:
        assert (one.cost.prefill_s, one.cost.decode_s) == (one.prompt_tokens, 17)


def test_every_strategy_is_found_by_its_name(capable):
    """This test ensures that what is listed can be asked for, and nothing else."""
    for one in STRATEGIES:
        assert strategy_called(one.name) is one
    assert strategy_called("sweep") is None
    situation = planned("harbour?", 10, capable).situation
    assert [one.strategy for one in estimates_of(situation)] == [one.name for one in STRATEGIES]


@pytest.mark.parametrize(
    "question", [None, "Who widened the harbour in 1850?", "List all masters.", "Zebra?"]
)
def test_every_card_is_planned_without_its_tokenizer(question):
    """This test ensures that a model that is known by its card alone is planned, small ones that look up too."""
    sources = [document("".join(LINES[:60]))]
    for card in model_cards():
        plan = plan_answer(
            Inputs(question, sources, card_profile(card), EstimatingTokenizer(), NO_CACHE, AskSettings())
        ).plan
        assert not plan.exact
        assert_tiles(plan, sources)
        assert plan.prompt_tokens + plan.budget.answer <= plan.budget.window
