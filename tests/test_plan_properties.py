"""Properties of every plan, over sources, questions and wishes made at random."""

import os
import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest
from answering_parts import NO_CACHE, PieceTokenizer, assert_tiles, chat_model, document, small_model
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lctx.core.answering.ask import AskSettings, plan_question
from lctx.core.chunking.split import split_document
from lctx.core.document import Block, Document, Location, Span
from lctx.core.errors import DoesNotFitError
from lctx.core.models.cards import model_cards
from lctx.core.planning.kv_blocks import KvSettings, plan_blocks
from lctx.core.planning.kv_cache import KvDtype, kv_cache_bytes

pytestmark = pytest.mark.usefixtures("module_home")

PROSE = [
    "The harbour was built in 1807 by the pilots of Vell.",
    "A lamp burns on the pier; the pilot tends it at night.",
    "Age: 42",
    "Nothing of note happened, and the ships passed by in calm weather.",
    "The keeper writes: the lamp was mended.",
    "é ü 漢字 \ufffe \u202e",
    "x" * 300,
    "",
]
CODE = [
    "def lamp(pilot):",
    "    return pilot.age",
    "",
    "class Harbour:",
    "    built = 1807  # the year",
    "# calm",
]
QUESTIONS = [
    "When was the harbour built?",
    "What is the pilot's age?",
    "Where is lamp defined?",
    "zebra",
    "In b.md, who tends the lamp?",
    "List every ship.",
]
PATHS = ["a.txt", "b.md", "src/c.py", "d.txt"]
TOKENIZER = PieceTokenizer()
ANSWER_TOKENS = 40


@st.composite
def sources(draw, min_size=1):
    """Documents of prose with headings, and of code; some are empty."""
    made = []
    for path in PATHS[: draw(st.integers(min_size, len(PATHS)))]:
        is_code = path.endswith(".py")
        lines = draw(st.lists(st.sampled_from(CODE if is_code else PROSE), max_size=90))
        headings = draw(st.sets(st.integers(0, 90), max_size=4)) if path.endswith(".md") else set()
        made.append(built(path, "code" if is_code else "text", lines, headings))
    return made


def built(path, kind, lines, headings):
    text, blocks = "", []
    for number, line in enumerate(lines):
        if number in headings:
            title = f"Part {number}"
            blocks.append(Block("heading", len(text), len(text) + len(title), (title,)))
            text += f"{title}\n"
        text += f"{line}\n"
    plain = document(text, path, kind)
    return Document(
        path,
        kind,
        plain.reader,
        plain.sha256,
        text,
        (Span(0, len(text), Location(), first_line=1),),
        tuple(blocks),
    )


@st.composite
def wishes(draw):
    """Pins, weights and priorities for sources that may be there."""
    paths = st.sampled_from(PATHS)
    return {
        "pins": tuple(draw(st.lists(paths, max_size=2, unique=True))),
        "weights": tuple(draw(st.lists(st.tuples(paths, st.sampled_from([0.0, 0.5, 1.0, 4.0])), max_size=3))),
        "priorities": tuple(draw(st.lists(st.tuples(paths, st.integers(-2, 2)), max_size=3))),
    }


def known(wished: Mapping[str, tuple], documents):
    """The wishes without those about sources that are not there: these would be refused."""
    paths = {one.path for one in documents}
    kept = {
        name: tuple(row for row in rows if row[0] in paths) for name, rows in wished.items() if name != "pins"
    }
    return {"pins": tuple(path for path in wished["pins"] if path in paths), **kept}


@pytest.fixture(scope="module")
def capable(tmp_path_factory):
    """A function from a window to a chat model that reads whole chunks."""
    folder = tmp_path_factory.mktemp("model")
    return lambda window: chat_model(folder, window)


def planned(question, documents, profile, **wished):
    told = AskSettings(**{"max_tokens": ANSWER_TOKENS, **wished})
    return plan_question(
        question, documents, profile=profile, tokenizer=TOKENIZER, cache=NO_CACHE, settings=told
    )


def or_none(question, documents, profile, **wished):
    """The plan, or None where it is refused because something does not fit."""
    try:
        return planned(question, documents, profile, **wished)
    except DoesNotFitError:
        return None


def places(plan):
    return [(one.chunk.document.path, one.start, one.end) for one in plan.included]


def assert_holds(plan, documents, window, wished):
    """What holds of every plan."""
    assert_tiles(plan, documents)
    total = sum(sum(TOKENIZER.count_batch([one.text for one in split_document(doc)])) for doc in documents)
    assert plan.total_tokens == total
    budget = plan.budget
    assert plan.prompt_tokens == budget.instructions + budget.question + plan.read_tokens
    assert plan.prompt_tokens + budget.answer <= budget.window == window
    assert plan.read_tokens <= budget.sources
    order = {one.path: number for number, one in enumerate(documents)}
    for run in (plan.included, [one.piece for one in plan.omitted]):
        keys = [(order[one.chunk.document.path], one.start) for one in run]
        assert keys == sorted(keys)
    weights = dict(wished["weights"])  # the last of a path decides, as it does in a dict
    for source in documents:
        read = sum(one.end - one.start for one in plan.included if one.chunk.document is source)
        if source.path in wished["pins"]:
            assert read == len(source.text)
        elif weights.get(source.path) == 0:
            assert read == 0
            assert {one.reason for one in plan.omitted if one.piece.chunk.document is source} <= {"weight 0"}
    for omission in plan.omitted:
        assert omission.reason
        assert omission.remedy


@given(
    sources(),
    st.one_of(st.none(), st.sampled_from(QUESTIONS)),
    wishes(),
    st.sampled_from([None, "retrieve", "full"]),
    st.one_of(st.none(), st.integers(1, 3000)),
    st.sampled_from([600, 1200, 3000, 20_000]),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_every_plan_accounts_for_everything(  # noqa: PLR0917 - what a plan depends on
    capable, documents, question, wished, strategy, budget, window, is_small
):
    """This test ensures that read and left out are all there is, within the window, with every wish kept."""
    profile = small_model(window) if is_small else capable(window)
    wished = known(wished, documents)
    plan = or_none(question, documents, profile, strategy=strategy, budget=budget, **wished)
    if plan is None:
        assert budget is not None or window < 20_000
        return
    assert_holds(plan, documents, window, wished)
    if budget is not None and question is not None:
        assert plan.read_tokens <= budget
    if not is_small or plan.strategy == "full":
        whole = {(one.document.path, one.start, one.end) for doc in documents for one in split_document(doc)}
        assert set(places(plan)) <= whole  # no chunk is split
    again = planned(question, documents, profile, strategy=strategy, budget=budget, **wished)
    assert again == plan


@given(sources(), st.sampled_from(QUESTIONS), wishes(), st.sampled_from(["retrieve", "full"]), st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_read_grows_with_the_window(  # noqa: PLR0917 - what a plan depends on
    capable, documents, question, wished, strategy, data
):
    """This test ensures that a wider window reads all that a narrower one does, in whole chunks."""
    windows = sorted(
        data.draw(
            st.lists(
                st.one_of(st.integers(300, 1500), st.integers(400, 6000)), min_size=3, max_size=6, unique=True
            )
        )
    )
    wished = known(wished, documents)
    plans = [or_none(question, documents, capable(one), strategy=strategy, **wished) for one in windows]
    assert_grows(plans)


@given(sources(), st.sampled_from(QUESTIONS), wishes(), st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_read_grows_with_the_budget(capable, documents, question, wished, data):
    """This test ensures that who allows more gets all that less would give, and more."""
    budgets = sorted(data.draw(st.lists(st.integers(1, 6000), min_size=3, max_size=6, unique=True)))
    wished = {**known(wished, documents), "strategy": "retrieve"}
    assert_grows([or_none(question, documents, capable(9000), budget=one, **wished) for one in budgets])


def assert_grows(plans):
    for narrow, wide in pairwise(plans):
        if narrow is not None:
            assert wide is not None
            assert set(places(narrow)) <= set(places(wide))


@given(sources(min_size=2), st.sampled_from(QUESTIONS), wishes())
@settings(max_examples=40, deadline=None)
def test_one_more_source_keeps_the_account_of_the_others(capable, documents, question, wished):
    """This test ensures that a further source adds its own tokens to the total and takes no character away."""
    wished = known(wished, documents[:-1])
    few = or_none(question, documents[:-1], capable(4000), strategy="retrieve", **wished)
    assume(few is not None)
    many = or_none(question, documents, capable(4000), strategy="retrieve", **wished)
    assume(many is not None)
    assert_holds(many, documents, 4000, wished)
    more = sum(TOKENIZER.count_batch([one.text for one in split_document(documents[-1])]))
    assert many.total_tokens == few.total_tokens + more


@given(sources(), st.sampled_from(QUESTIONS), wishes())
@settings(max_examples=40, deadline=None)
def test_the_order_of_pins_and_of_equal_wishes_does_not_matter(capable, documents, question, wished):
    """This test ensures that only the last word about a source counts, not the order among sources."""
    wished = known(wished, documents)
    plain = or_none(question, documents, capable(3000), strategy="retrieve", **wished)
    last = {name: tuple(dict(wished[name]).items())[::-1] for name in ("weights", "priorities")}
    turned = {"pins": wished["pins"][::-1], **last}
    assert or_none(question, documents, capable(3000), strategy="retrieve", **turned) == plain


HASHED = """
from answering_parts import chat_model, document, inputs, small_model
from test_plan_properties import CODE, PROSE, QUESTIONS, built, places, planned

lines = [f"{PROSE[number % 5]} {number % 3}" for number in range(120)]
sources = [built("a.txt", "text", lines, ()), built("b.md", "text", lines[::-1], (3, 40)), built("c.py", "code", CODE * 9, ())]
for profile in (small_model(1200), chat_model(None, 2000)):
    for question in QUESTIONS:
        plan = planned(question, sources, profile, strategy="retrieve", priorities=(("c.py", 1), ("a.txt", 1)))
        print(places(plan), [(one.piece.start, one.reason, one.remedy) for one in plan.omitted])
"""


def test_the_plan_does_not_depend_on_the_order_of_sets(tmp_path):
    """This test ensures that two processes, whose strings hash differently, make the same plan."""
    told = []
    for seed in ("1", "2"):
        environment = os.environ | {
            "PYTHONHASHSEED": seed,
            "LCTX_HOME": str(tmp_path),
            "PYTHONPATH": str(Path(__file__).parent),
        }
        done = subprocess.run(
            [sys.executable, "-c", HASHED], env=environment, capture_output=True, text=True, check=True
        )
        told.append(done.stdout)
    assert told[0]
    assert told[0] == told[1]


CARDS = [card for card in model_cards() if card.shape is not None]


@pytest.mark.parametrize("card", CARDS, ids=[card.name for card in CARDS])
@pytest.mark.parametrize("dtype", [KvDtype.BF16, KvDtype.FP8])
def test_bytes_never_fall_with_tokens(card, dtype):
    """This test ensures that one more token never takes fewer bytes, on the whole or in blocks."""
    pool = plan_blocks(card.shape, KvSettings(dtype=dtype))
    steps = sorted({0, 1, 2, 15, 16, 17, *(2**power + off for power in range(5, 21) for off in (-1, 0, 1))})
    for few, many in pairwise(steps):
        assert kv_cache_bytes(card.shape, few, dtype) <= kv_cache_bytes(card.shape, many, dtype)
        assert pool.bytes_for(few) <= pool.bytes_for(many)
    assert pool.bytes_for(steps[-1]) > pool.bytes_for(0) == 0


@given(st.sampled_from(CARDS), st.integers(0, 2**21), st.integers(0, 2**21))
@settings(max_examples=300, deadline=None)
def test_bytes_keep_the_order_of_any_two_lengths(card, one, other):
    """This test ensures that the same holds between any two lengths up to two million tokens."""
    few, many = sorted((one, other))
    pool = plan_blocks(card.shape, KvSettings())
    assert kv_cache_bytes(card.shape, few) <= kv_cache_bytes(card.shape, many)
    assert pool.bytes_for(few) <= pool.bytes_for(many)
