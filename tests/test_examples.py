"""Tests of the sample documents' questions with the embedded model: the answer, its place, and its receipt."""

import pytest
from answering_parts import EXAMPLES, NO_CACHE, ready

from lctx.core.answering.answer import PlanReady
from lctx.core.answering.ask import AskSettings, answer_question
from lctx.core.citing.citation import Status, Support
from lctx.core.citing.squeeze import squeeze
from lctx.core.engine.open import EngineSettings, start_engine
from lctx.core.engine.servers import stop_servers
from lctx.core.models.resolve import resolve_model
from lctx.core.tokens.load import load_tokenizer
from lctx.formats.pdf import read_pdf
from lctx.formats.word import read_word

# The table of examples/README.md: where a person finds the answer.
QUESTIONS = [
    (
        "constitution.pdf",
        "At what age is a person eligible to the Office of President?",
        "thirty five Years",
        19,
    ),
    (
        "constitution.pdf",
        "Above what value in controversy is the right of trial by jury preserved?",
        "twenty dollars",
        28,
    ),
    (
        "services-agreement.docx",
        "How many days' written notice must a party give to terminate the agreement?",
        "ninety days",
        "2. Term and termination",
    ),
    (
        "services-agreement.docx",
        "To what amount is the total liability of either party limited?",
        "GBP 250,000",
        "6. Liability",
    ),
]

# Asked of a form or a heading rather than of a sentence: a model of this size may miss them, but not make them up.
HARD = ["On what date was Amendment XXVI ratified?", "Who signed the Declaration for Delaware?"]


@pytest.fixture(scope="module")
def samples():
    """Both sample documents by name."""
    pdf, word = "constitution.pdf", "services-agreement.docx"
    return {
        pdf: read_pdf(pdf, (EXAMPLES / pdf).read_bytes()),
        word: read_word(word, (EXAMPLES / word).read_bytes()),
    }


@pytest.fixture(scope="module")
def answer(gemma_gguf, samples, tmp_path_factory):
    """Asks the embedded model, which is started once for all questions."""
    cache, runtime = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("r")
    (cache / "models").symlink_to(gemma_gguf.parent)
    profile = resolve_model(None, cache)
    tokenizer = load_tokenizer(profile, cache)
    engine = start_engine(
        EngineSettings("llama", model=profile.path, window=profile.effective_window), runtime
    ).ready()

    def asked(question, *names):
        return list(
            answer_question(
                question,
                [samples[name] for name in names or samples],
                profile=profile,
                tokenizer=tokenizer,
                cache=NO_CACHE,
                settings=AskSettings(),
                engine=lambda: engine,
            )
        )

    yield asked
    engine.close()
    stop_servers(runtime)


def assert_accounted(events):
    last = ready(events)
    assert isinstance(events[0], PlanReady)
    assert last.usage.prompt_tokens == events[0].plan.prompt_tokens
    assert last.coverage.read_tokens == events[0].plan.read_tokens


@pytest.mark.engine
@pytest.mark.parametrize(("name", "question", "said", "place"), QUESTIONS, ids=lambda one: str(one)[:40])
def test_a_sample_question_is_answered_at_its_place(answer, name, question, said, place):
    """This test ensures that the answer holds the words that stand there, and the citation is where a person looks."""
    events = answer(question, name)
    last = ready(events)
    assert last.answer.found is True
    assert squeeze(said).text in squeeze(last.answer.text).text
    first = last.citations[0]
    assert (first.document.path, first.status, first.support) == (name, Status.VERIFIED, Support.SUPPORTED)
    assert squeeze(said).text in squeeze(first.quote).text
    if isinstance(place, int):
        assert first.location.pages == (place, place)
    else:
        assert place in first.location.heading
        assert first.location.paragraph is not None
    assert_accounted(events)


@pytest.mark.engine
@pytest.mark.parametrize(
    ("name", "question", "place"), [(name, question, place) for name, question, _, place in QUESTIONS[-1:]]
)
def test_the_right_sample_is_cited_where_both_are_named(answer, name, question, place):
    """This test ensures that with both documents named the citation still stands in the right one."""
    (first, *_) = ready(answer(question)).citations
    assert first.document.path == name
    assert place in {
        first.location.pages[0] if first.location.pages else None,
        *(first.location.heading or ()),
    }


@pytest.mark.engine
@pytest.mark.parametrize("question", HARD)
def test_whatever_is_answered_stands_in_the_sample(answer, question):
    """This test ensures that a wrong answer of a small model is at least a true quote of a named place."""
    events = answer(question, "constitution.pdf")
    last = ready(events)
    assert_accounted(events)
    assert last.answer.found is True
    for citation in last.citations:
        assert citation.status is Status.VERIFIED
        read = squeeze(last.answer.text.removesuffix(" …")).text
        assert read in squeeze(citation.quote).text
        assert citation.location.pages[0] == citation.location.pages[1]


@pytest.mark.engine
def test_what_neither_sample_holds_is_not_found(answer):
    """This test ensures that the model does not answer from what it was trained on."""
    last = ready(answer("What is the capital of France?"))
    assert last.answer.found is False
    assert last.citations == ()
