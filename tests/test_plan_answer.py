"""Tests of plans: every character is in or out, every token is counted, and nothing exceeds the window."""

import re

import pytest
from answering_parts import (
    EXAMPLES,
    PieceTokenizer,
    assert_tiles,
    chat_model,
    document,
    inputs,
    paged,
    small_model,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lctx.core.answering.coverage import coverage_of, coverage_of_nothing
from lctx.core.answering.plan_answer import plan_answer
from lctx.core.errors import DoesNotFitError, UsageError
from lctx.core.planning.kv_cache import kv_cache_bytes
from lctx.core.planning.plan import ContextBudget
from lctx.formats.pdf import read_pdf

pytestmark = pytest.mark.usefixtures("module_home")

WORDS = [
    "harbour",
    "pilot",
    "Age:",
    "42",
    "built",
    "in",
    "1807.",
    "The",
    "lamp",
    "x" * 30,
    "\n",
    "\n",
    "é",
    "\ufffe",
]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=400).map(" ".join)
QUESTIONS = st.sampled_from(
    [
        "When was the harbour built?",
        "What is the pilot's age?",
        "zebra",
        "The lamp in a.txt",
        "Summarise it",
        "é",
    ]
)
LONG = "".join(
    f"Line {number} of the log speaks of the harbour and its {number % 7} lamps.\n" for number in range(900)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The chat model's directory."""
    return tmp_path_factory.mktemp("model")


def assert_adds_up(asked, planned):
    plan, budget = planned.plan, planned.plan.budget
    assert_tiles(plan, asked.documents)
    assert plan.prompt_tokens == budget.instructions + budget.question + plan.read_tokens
    assert plan.prompt_tokens <= budget.window - budget.answer - budget.margin
    assert 0 <= plan.read_tokens <= budget.sources
    parts = budget.instructions, budget.sources, budget.question, budget.answer, budget.margin
    assert sum(parts) == budget.window == plan.window.tokens
    assert min(parts) >= 0
    if asked.settings.budget is not None:
        assert plan.read_tokens <= asked.settings.budget
        assert budget.sources <= asked.settings.budget
    position = {id(one): number for number, one in enumerate(asked.documents)}
    order = [(position[id(piece.chunk.document)], piece.start) for piece in plan.included]
    assert order == sorted(order)
    for coverage in (coverage_of(plan), coverage_of_nothing(plan, asked.documents, "no reason")):
        rows = [*coverage.read, *coverage.omitted]
        assert coverage.total_tokens == sum(row.tokens for row in rows) == plan.total_tokens
        assert sum(row.chars[1] - row.chars[0] for row in rows) == sum(
            len(one.text) for one in asked.documents
        )
        assert all(row.reason is None for row in coverage.read)
        assert all(row.reason for row in coverage.omitted)
    assert coverage_of(plan).read_tokens == plan.read_tokens
    assert coverage_of_nothing(plan, asked.documents, "no reason").read == ()


@given(
    st.lists(TEXTS, min_size=1, max_size=3),
    QUESTIONS,
    st.tuples(st.sampled_from([None, "retrieve"]), st.one_of(st.none(), st.integers(1, 500))),
    st.sampled_from(["small", "chat", "hosted"]),
    st.sampled_from([700, 1500, 9000]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_plan_adds_up(folder, texts, question, wanted, kind, window):  # noqa: PLR0917 - what it depends on
    """This test ensures that pieces tile the sources, parts sum to the window, and the receipt to the total."""
    sources = [document(text, f"{number}.txt") for number, text in enumerate(texts)]
    profile = (
        small_model(window) if kind == "small" else chat_model(folder if kind == "chat" else None, window)
    )
    strategy, budget = wanted
    asked = inputs(question, sources, profile, strategy=strategy, budget=budget, max_tokens=40)
    try:
        planned = plan_answer(asked)
    except DoesNotFitError as error:
        assert window < 9000 or budget is not None, error  # noqa: PT017 - a passage always fits a wide window
        return
    assert_adds_up(asked, planned)
    assert planned.plan.exact == (kind != "hosted")
    if planned.plan.exact:
        assert len(planned.laid_out.prompt) == planned.plan.prompt_tokens
    again = plan_answer(inputs(question, sources, profile, strategy=strategy, budget=budget, max_tokens=40))
    assert again.plan == planned.plan


@pytest.mark.parametrize("kind", ["small", "chat"])
@pytest.mark.parametrize("strategy", ["full", "retrieve"])
def test_the_prompt_holds_what_the_plan_includes(folder, kind, strategy):
    """This test ensures that the model reads the included pieces, in order, then the question, and nothing else."""
    tokenizer = PieceTokenizer()
    sources = [document(LONG[:3000], "a.txt"), document("The harbour was built in 1807.\n", "b.txt")]
    profile = small_model(9000) if kind == "small" else chat_model(folder, 9000)
    asked = inputs("When was the harbour built?", sources, profile, tokenizer, strategy=strategy)
    planned = plan_answer(asked)
    assert_adds_up(asked, planned)
    assert planned.plan.strategy == strategy
    prompt, position = tokenizer.decode(planned.laid_out.prompt), 0
    assert planned.passages
    for passage in planned.passages:
        assert passage.text.split() == passage.piece.text.split()
        position = prompt.index(passage.label + passage.text, position) + len(passage.text)
    assert prompt.index("When was the harbour built?", position) > position
    assert prompt.count("When was the harbour built?") == 1


def test_full_is_chosen_where_all_fits():
    """This test ensures that small sources are read whole, and larger ones by the passages that match."""
    few = plan_answer(inputs("When was the harbour built?", [document(LONG[:2000])])).plan
    assert (few.strategy, few.omitted) == ("full", ())
    many = plan_answer(inputs("When was the harbour built?", [document(LONG)])).plan
    assert many.strategy == "retrieve"
    assert many.omitted
    assert [one.strategy for one in many.estimates] == ["full", "retrieve"]
    assert [one.fits for one in many.estimates] == [False, True]
    assert all(plan.why and "\n" not in plan.why for plan in (few, many))


def test_full_reaches_over_the_native_window():
    """This test ensures that who asks for `full` gets all that the model has, not only what was measured."""
    profile = small_model(60_000, effective=2000)
    wide = plan_answer(inputs("harbour?", [document(LONG)], profile, strategy="full")).plan
    assert wide.omitted == ()
    assert 2000 < wide.prompt_tokens + wide.budget.answer <= wide.budget.window < 60_000
    assert plan_answer(inputs("harbour?", [document(LONG)], profile)).plan.budget.window == 2000


def test_a_budget_that_is_too_small_is_told_as_the_budget():
    """This test ensures that `--budget` is named where it, and not the window, leaves no room."""
    with pytest.raises(DoesNotFitError, match="room for 3 in a window") as raised:
        plan_answer(inputs("harbour?", [document(LONG[:2000])], strategy="full", budget=3))
    assert re.match(r"raise --budget to [\d,]+, or leave it out; ", raised.value.hint)
    with pytest.raises(DoesNotFitError, match=r"--budget leaves 1 token$"):
        plan_answer(inputs("When was the harbour built?", [document(LONG)], budget=1))


def test_full_that_does_not_fit_is_refused_with_a_way_out():
    """This test ensures that nothing is cut in silence: exit 3, the tokens on both sides, and what would fit."""
    sources = [document(LONG, "long.txt"), document("The harbour is old.\n", "short.txt")]
    with pytest.raises(DoesNotFitError) as raised:
        plan_answer(inputs("harbour?", sources, strategy="full"))
    assert raised.value.exit_code == 3
    assert "4,096" in raised.value.message
    assert "room for 4,096" not in raised.value.message  # instructions, question and answer need some of it
    assert "--strategy retrieve" in raised.value.hint
    assert "short.txt alone would fit" in raised.value.hint


def test_full_under_a_budget_is_refused():
    """This test ensures that `full` with a budget smaller than the sources does not read more than was allowed."""
    with pytest.raises(DoesNotFitError, match="room for 50"):
        plan_answer(inputs("harbour?", [document(LONG[:2000])], strategy="full", budget=50))


def test_an_unknown_strategy_is_a_usage_error():
    """This test ensures that a misspelt strategy ends with exit 2 and the names that exist."""
    with pytest.raises(UsageError, match="no such strategy") as raised:
        plan_answer(inputs("harbour?", [document(LONG)], strategy="sweep"))
    assert "full, retrieve" in raised.value.hint


@pytest.mark.parametrize("kind", ["small", "chat"])
def test_a_question_longer_than_the_window_is_refused(folder, kind):
    """This test ensures that a question that leaves no room for sources ends with exit 3, before any engine."""
    profile = small_model() if kind == "small" else chat_model(folder, 4096)
    with pytest.raises(DoesNotFitError, match="the question does not fit") as raised:
        plan_answer(inputs("harbour " * 5000, [document(LONG)], profile))
    assert raised.value.exit_code == 3
    with pytest.raises(DoesNotFitError, match="the question does not fit"):
        plan_answer(inputs("harbour?", [document(LONG)], profile, max_tokens=5000))


@pytest.mark.parametrize("kind", ["small", "chat"])
def test_a_plan_in_which_no_passage_fits_is_refused(folder, kind):
    """This test ensures that a model is never asked about sources of which it may read nothing."""
    profile = small_model() if kind == "small" else chat_model(folder, 4096)
    with pytest.raises(DoesNotFitError, match="no passage") as raised:
        plan_answer(inputs("harbour?", [document(LONG)], profile, budget=3))
    assert "--budget" in raised.value.hint


def test_a_plan_without_a_question_reads_nothing_yet():
    """This test ensures that `lctx plan` without a question counts, and says what the choice waits for."""
    asked = inputs(None, [document(LONG)])
    planned = plan_answer(asked)
    assert_adds_up(asked, planned)
    assert planned.plan.included == ()
    assert {one.reason for one in planned.plan.omitted} == {"which passages enter depends on the question"}
    assert plan_answer(inputs(None, [document(LONG[:900])])).plan.strategy == "full"


def test_no_sources_make_an_empty_plan():
    """This test ensures that an empty document, or none, is planned like any other."""
    for sources in ([], [document("")]):
        asked = inputs("harbour?", sources)
        planned = plan_answer(asked)
        assert_adds_up(asked, planned)
        assert planned.plan.total_tokens == 0


def test_what_is_not_asked_of_is_left_out_for_its_own_reason():
    """This test ensures that a page that shares no word is told from one that ranks too low."""
    filler = "".join(f"Zebras graze beyond the hill number {number}.\n" for number in range(200))
    asked = inputs("When was the harbour built?", [paged(LONG, filler)], strategy="retrieve")
    reasons = {omission.reason for omission in plan_answer(asked).plan.omitted}
    assert {"shares no word with the question", "ranks below what fits the budget"} <= reasons


def test_the_cache_is_planned_for_prompt_and_answer():
    """This test ensures that the bytes of the KV cache are those of the whole request."""
    planned = plan_answer(inputs("harbour?", [document(LONG)], max_tokens=17)).plan
    assert planned.kv_cache_bytes == kv_cache_bytes(small_model().shape, planned.prompt_tokens + 17)


def test_the_fence_is_the_same_for_every_question_and_unknown_to_documents(folder, tmp_path, monkeypatch):
    """This test ensures that the prefix cache holds between questions, and no document can close the fence."""
    tokenizer = PieceTokenizer()
    source = document(LONG[:800])
    prompts = [
        tokenizer.decode(plan_answer(inputs(asked, [source], chat_model(folder), tokenizer)).laid_out.prompt)
        for asked in ("When was the harbour built?", "Who lit the lamps?")
    ]
    head = prompts[0][: prompts[0].index("When was")]
    assert prompts[1].startswith(head)
    fence = head[head.index("<sources ") + 9 :].partition(">")[0]
    other = document(LONG[:801])
    third = plan_answer(inputs("Who?", [other], chat_model(folder), tokenizer)).laid_out.prompt
    assert fence not in tokenizer.decode(third)
    monkeypatch.setenv("LCTX_HOME", str(tmp_path))  # another user, another secret
    elsewhere = plan_answer(inputs("Who?", [source], chat_model(folder), tokenizer)).laid_out.prompt
    assert fence not in tokenizer.decode(elsewhere)


def test_the_sample_is_planned_to_the_page():
    """This test ensures that a real document is planned, and the passage that answers is among what is read."""
    source = read_pdf("constitution.pdf", (EXAMPLES / "constitution.pdf").read_bytes())
    asked = inputs("Above what value in controversy is the right of trial by jury preserved?", [source])
    planned = plan_answer(asked)
    assert_adds_up(asked, planned)
    assert any("twenty dollars" in passage.text for passage in planned.passages)


def test_a_budget_is_what_the_window_leaves():
    """This test ensures that a window without room for one token of source is refused."""
    ContextBudget(100, 50, 20, 29).require_room()
    with pytest.raises(DoesNotFitError):
        ContextBudget(100, 50, 20, 30).require_room()
