"""One contract, held to each engine for real: llama.cpp with two models, and vLLM."""

import json
import re
import threading
import time
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pytest

from lctx.core.engine.events import Finished, FinishReason, PrefillProgress, ReasoningDelta, TextDelta
from lctx.core.engine.open import EngineSettings, start_engine
from lctx.core.engine.protocol import Engine, Message, Sampling
from lctx.core.engine.servers import list_servers, stop_servers
from lctx.core.engine.structured import StructuredOutput
from lctx.core.errors import EngineRefusedError
from lctx.core.models.reasoning import THINK

PASSAGE = "The harbour of Vell was built in 1807 by Anna Brandt, who also drew the plans of its lighthouse. "
WINDOW = 2048
ENGINES = [
    pytest.param("gemma_gguf", marks=pytest.mark.engine),
    pytest.param("smollm2_gguf", marks=pytest.mark.engine),
    pytest.param("vllm_server", marks=[pytest.mark.vllm, pytest.mark.timeout(600)]),
]


@dataclass(frozen=True)
class Served:
    """A running engine and where it listens."""

    engine: Engine
    address: str


@pytest.fixture(scope="module", params=ENGINES)
def served(request, tmp_path_factory):
    """Each engine in turn."""
    behind = request.getfixturevalue(request.param)
    runtime = tmp_path_factory.mktemp("r")
    if isinstance(behind, Path):
        engine = start_engine(EngineSettings("llama", model=behind, window=WINDOW), runtime).ready()
        address = list_servers(runtime)[0].address
    else:
        engine = start_engine(
            EngineSettings("vllm", address=behind.address, api_key=behind.api_key), runtime
        ).ready()
        address = behind.address
    yield Served(engine, address)
    engine.close()
    stop_servers(runtime)


@pytest.fixture
def engine(served):
    """The engine itself."""
    return served.engine


def run(engine, prompt, max_tokens=8, **sampling):
    """The text and the end of one request, whose events are in order."""
    events = list(engine.generate(prompt, Sampling(max_tokens, **sampling)))
    *before, last = events
    assert isinstance(last, Finished)
    assert last.usage.known
    first = list(takewhile(lambda event: isinstance(event, PrefillProgress), before))
    assert all(isinstance(event, TextDelta) and event.text for event in before[len(first) :])
    done = [event.done for event in first]
    assert done == sorted(done)
    assert all(event.cached <= event.done <= event.total for event in first)
    return "".join(event.text for event in before[len(first) :]), last


def test_the_label_names_engine_and_version(engine):
    """This test ensures that an answer can say what made it."""
    kind, version = engine.label.split(" ", 1)
    assert kind in {"llama", "vllm"}
    assert any(char.isdigit() for char in version)
    assert engine.window >= WINDOW


@pytest.mark.parametrize("length", [1, 2, 7, 300])
def test_the_engine_counts_the_ids_that_were_sent(engine, length):
    """This test ensures that plan and usage agree to the token: nothing is added, no begin of sequence either."""
    ids = (engine.tokenize(PASSAGE) * 20)[:length]
    assert run(engine, ids, 2)[1].usage.prompt_tokens == length


def test_max_tokens_is_kept(engine):
    """This test ensures that the answer ends when its room is used up, and says so."""
    for count in (1, 5):
        _, last = run(engine, engine.tokenize(PASSAGE), count)
        assert (last.reason, last.usage.completion_tokens) == (FinishReason.LENGTH, count)


def test_the_text_ends_before_a_stop(engine):
    """This test ensures that the stop itself is not part of the answer, though it spans tokens."""
    ids = engine.tokenize(PASSAGE * 2)
    whole, _ = run(engine, ids, 16)
    stop = whole[5:11]
    text, last = run(engine, ids, 16, stop=("no such text", stop))
    assert text == whole[: whole.index(stop)]
    assert last.reason is FinishReason.STOP


def test_the_same_question_gets_the_same_answer(engine):
    """This test ensures that greedy answers, and drawn ones with a seed, repeat."""
    ids = engine.tokenize(PASSAGE)
    assert run(engine, ids, 12)[0] == run(engine, ids, 12)[0]
    drawn = {run(engine, ids, 12, temperature=1.0, seed=7)[0] for _ in range(2)}
    assert len(drawn) == 1


def test_a_shared_prefix_is_not_read_again(engine):
    """This test ensures that a second question over the same document costs the question."""
    document = engine.tokenize(PASSAGE * 20)
    first = engine.tokenize("Who drew the plans?")
    second = engine.tokenize("When was the harbour built?")
    run(engine, document + first, 4)
    _, last = run(engine, document + second, 4)
    assert last.usage.prompt_tokens == len(document + second)
    assert len(document) - 128 <= last.usage.cached_tokens <= len(document)


def test_a_dropped_request_frees_the_engine(engine):
    """This test ensures that closing the events stops the work: the next request does not wait for it."""
    events = engine.generate(engine.tokenize(PASSAGE), Sampling(1500))
    assert any(isinstance(event, TextDelta) for event in events)
    events.close()
    start = time.monotonic()
    run(engine, engine.tokenize(PASSAGE), 1)
    assert time.monotonic() - start < 15


def test_an_answer_can_be_held_to_a_schema(engine):
    """This test ensures that one schema works on every engine, and that no character is cut on the way."""
    wanted = "grün, 😀 und 你好"
    text, last = run(engine, engine.tokenize(PASSAGE), 60, structured=StructuredOutput({"enum": [wanted, 7]}))
    assert json.loads(text) in {wanted, 7}
    text, _ = run(engine, engine.tokenize(PASSAGE), 60, structured=StructuredOutput({"const": wanted}))
    assert json.loads(text) == wanted
    assert last.reason is FinishReason.STOP


def test_reasoning_is_told_apart(engine):
    """This test ensures that a real stream is split wherever its tokens end, and that its budget is asked for."""
    pattern = "<think>[a-z ]{8,16}</think>[A-Z][a-z]{3,9}"
    sampling = Sampling(
        40,
        temperature=1.0,
        seed=7,
        structured=StructuredOutput(regex=pattern),
        reasoning=THINK,
        reasoning_tokens=30,
    )
    events = list(engine.generate(engine.tokenize(PASSAGE), sampling))
    thought, text = (
        "".join(event.text for event in events if isinstance(event, kind))
        for kind in (ReasoningDelta, TextDelta)
    )
    assert re.fullmatch("[a-z ]{8,16}", thought)
    assert re.fullmatch("[A-Z][a-z]{3,9}", text)
    assert isinstance(events[-1], Finished)


def test_messages_are_answered(engine):
    """This test ensures that the chat path gives the same events."""
    _, last = run(engine, [Message("system", "Be short."), Message("user", "Say hello.")], 4)
    assert last.usage.prompt_tokens > 4


@pytest.mark.parametrize(
    "prompt", [[5] * 40_000, [5, 999_999_999]], ids=["longer than the window", "no such id"]
)
def test_an_impossible_prompt_is_refused_and_harms_nothing(engine, prompt):
    """This test ensures that the engine's own reason is told, and that it goes on."""
    with pytest.raises(EngineRefusedError):
        run(engine, prompt, 1)
    run(engine, engine.tokenize(PASSAGE), 1)


def test_another_key_is_refused(served):
    """This test ensures that the wrong key is told as such."""
    guessed = EngineSettings("endpoint", model_name="m", address=served.address, api_key="guess")
    with pytest.raises(EngineRefusedError, match="did not accept the key"):
        run(start_engine(guessed, Path()).ready(), [5], 1)


def test_tokens_are_those_of_the_text(engine):
    """This test ensures that tokenizing adds nothing in front and knows every script."""
    assert engine.tokenize("a") + engine.tokenize("\n") == engine.tokenize("a\n")
    for text in ("Grüße", "你好", "😀", "שלום", "   x", "a" * 10_000):
        assert engine.tokenize(text)


def test_special_tokens_in_text_are_text(engine):
    """This test ensures that a document cannot spell a control token."""
    if engine.label.startswith("vllm"):
        pytest.skip("vLLM's /tokenize has no such switch: lctx encodes by itself")
    for special in ("<bos>", "<|im_start|>", "<end_of_turn>"):
        assert len(engine.tokenize(special)) > 1


def test_requests_at_once_are_all_answered(engine):
    """This test ensures that each request gets its own answer, side by side or one after another."""
    ids = [engine.tokenize(f"{PASSAGE}{number}") for number in range(3)]
    ends = {}

    def ask(number: int) -> None:
        ends[number] = run(engine, ids[number], 3)[1]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: end.usage.prompt_tokens for number, end in ends.items()} == {
        number: len(ids[number]) for number in range(3)
    }
