"""How far vLLM has read a prompt: its metrics page, when it is believed, and what it may never disturb."""

import random
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import Reply, ScriptedServer, answer, refusal, text_event
from test_engine_client import CHAT, COMPLETIONS, DONE, connect, text_of

from lctx.core.engine import client
from lctx.core.engine.dialects import VllmDialect
from lctx.core.engine.events import Finished, PrefillProgress
from lctx.core.engine.open import EngineSettings, start_engine
from lctx.core.engine.progress import PrefillMeter
from lctx.core.engine.protocol import Message, Sampling
from lctx.core.errors import EngineCrashedError

METRICS = "/metrics"
LATE = Reply((1.2, text_event("a", "stop"), DONE))
"""An answer whose first token comes after more than a second."""


def page(usage, *, running=1, waiting=0, engine="0", blocks=45, size=128, tokens="5760", others=""):
    """A metrics page as vLLM 0.32 writes it."""
    named = f'engine="{engine}",model_name="m{{}} \\"x\\""'
    return (
        "# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.\n"
        f"vllm:num_requests_running{{{named}}} {float(running)}\n"
        f"vllm:num_requests_waiting{{{named}}} {float(waiting)}\n"
        f'vllm:num_requests_waiting_by_reason{{{named},reason="capacity"}} 9.0\n'
        f"vllm:kv_cache_usage_perc{{{named}}} {usage}\n"
        f'vllm:cache_config_info{{block_size="{size}",engine="{engine}",kv_cache_size_tokens="{tokens}",'
        f'num_gpu_blocks="{blocks}"}} 1.0\n{others}'
    )


def plain(text):
    return Reply((text.encode(),), content_type="text/plain")


def test_progress_is_the_part_of_the_cache_that_is_filled():
    """This test ensures that shares become tokens to the block, and that the prompt is never exceeded."""
    meter = PrefillMeter(3500)
    told = [meter.reading(page(blocks / 44)) for blocks in (0, 4, 4, 8, 40, 44)]
    assert told == [
        None,
        PrefillProgress(512, 3500),
        None,
        PrefillProgress(1024, 3500),
        PrefillProgress(3500, 3500),
        None,
    ]


def test_what_an_earlier_request_left_is_not_believed():
    """This test ensures that a stale page tells nothing until it has moved."""
    meter = PrefillMeter(3500)
    assert [meter.reading(page(20 / 44)) for _ in range(3)] == [None, None, None]
    assert meter.reading(page(4 / 44)) == PrefillProgress(512, 3500)


@pytest.mark.parametrize(
    "read",
    [
        page(0.5, running=2),
        page(0.5, running=0),
        page(0.5, waiting=1),
        page(0.5, others='vllm:num_requests_running{engine="1",model_name="m"} 1.0\n'),
        page(0.5, blocks=0, tokens="None"),
        page("NaN").replace("NaN", "x"),
        page(0.5).replace("vllm:cache_config_info", "vllm:other"),
        "",
        "<html>",
    ],
)
def test_where_the_request_is_not_alone_nothing_is_told(read):
    """This test ensures that a share that may be another request's, or of an unknown whole, is no progress."""
    meter = PrefillMeter(3500)
    meter.reading(page(0.0))
    assert meter.reading(read) is None


def test_hybrids_and_older_versions_are_understood():
    """This test ensures that layers that share blocks, and a page without the size in tokens, are counted right."""
    hybrid, older = PrefillMeter(100_000), PrefillMeter(100_000)
    hybrid.reading(page(0.0))
    older.reading(page(0.0))
    assert hybrid.reading(page(0.5, tokens="122461")) == PrefillProgress(61_230, 100_000)
    assert older.reading(page(0.5, blocks=1025, size=16, tokens="None")) == PrefillProgress(8192, 100_000)


def test_one_of_several_engines_is_followed():
    """This test ensures that the one that runs the request is the one that is read."""
    meter = PrefillMeter(9000)
    idle = page(0.0, running=0, engine="1")
    meter.reading(page(0.0) + idle)
    assert meter.reading(page(4 / 44) + idle) == PrefillProgress(512, 9000)


@given(st.text(max_size=300))
def test_no_page_breaks_the_meter(text):
    """This test ensures that whatever stands at /metrics is read or passed over."""
    meter = PrefillMeter(10)
    meter.reading(page(0.0))
    assert meter.reading(text) is None
    assert meter.reading(f"vllm:kv_cache_usage_perc{{{text}}} 1\nvllm:num_requests_running {text}") is None


def test_progress_is_told_while_the_first_token_is_waited_for(monkeypatch):
    """This test ensures that the steps come as they are seen, in order, before the text and never after it."""
    monkeypatch.setattr(client, "_POLL_S", 0.05)
    pages = [plain(page(blocks / 44)) for blocks in (0, 4, 8, 12)]
    with ScriptedServer({COMPLETIONS: LATE, METRICS: pages}) as server:
        events = list(connect(server, api_key="k").generate([1] * 1400, Sampling(5)))
        asked = [request for request in server.requests if request.path == METRICS]
    told = [event for event in events if isinstance(event, PrefillProgress)]
    assert told == [PrefillProgress(done, 1400) for done in (512, 1024, 1400)]
    assert events[: len(told)] == told
    assert isinstance(events[-1], Finished)
    assert asked[0].headers["Authorization"] == "Bearer k"


@pytest.mark.parametrize(
    "metrics", [refusal(404, "x"), refusal(503, "x"), Reply(()), plain("x"), Reply((9.0, b"late"))]
)
def test_metrics_that_fail_disturb_nothing(metrics, monkeypatch):
    """This test ensures that an answer comes the same where the page is missing, empty, foreign or stuck."""
    monkeypatch.setattr(client, "_POLL_S", 0.05)
    with ScriptedServer({COMPLETIONS: LATE, METRICS: metrics}) as server:
        begun = time.monotonic()
        events = list(connect(server).generate([1] * 1400, Sampling(5)))
    assert not [event for event in events if isinstance(event, PrefillProgress)]
    assert text_of(events) == "a"
    assert time.monotonic() - begun < 3.5


@pytest.mark.parametrize(
    ("kind", "path", "prompt"),
    [("endpoint", COMPLETIONS, [1, 2]), ("vllm", CHAT, [Message("user", "q")])],
)
def test_only_a_vllm_with_known_tokens_is_asked(kind, path, prompt, monkeypatch):
    """This test ensures that hosted services are never asked, nor a prompt measured whose length is not known."""
    monkeypatch.setattr(client, "_POLL_S", 0.05)
    late = Reply((0.5, text_event("a", "stop"), DONE))
    with ScriptedServer({path: late, METRICS: plain(page(0.5))}) as server:
        list(connect(server, kind, model_name="scripted").generate(prompt, Sampling(5)))
        assert METRICS not in [request.path for request in server.requests]


def test_an_answer_that_comes_at_once_costs_no_metrics():
    """This test ensures that a warm answer is not slowed by a look at the page."""
    with ScriptedServer({COMPLETIONS: answer("a"), METRICS: plain(page(0.5))}) as server:
        list(connect(server).generate([1], Sampling(5)))
        assert METRICS not in [request.path for request in server.requests]


def test_silence_ends_also_where_metrics_answer(monkeypatch):
    """This test ensures that an engine that reads nothing more for too long is given up."""
    monkeypatch.setattr(client, "_POLL_S", 0.05)
    monkeypatch.setattr(VllmDialect, "stall_s", 0.5)
    stuck = Reply((20.0, text_event("a", "stop")))
    with (
        ScriptedServer({COMPLETIONS: stuck, METRICS: plain(page(0.5))}) as server,
        pytest.raises(EngineCrashedError, match="sent nothing"),
    ):
        list(connect(server).generate([1] * 1400, Sampling(5)))


def test_a_prompt_that_is_still_read_is_waited_for(monkeypatch):
    """This test ensures that a prefill longer than any silence goes on while it moves."""
    monkeypatch.setattr(client, "_POLL_S", 0.05)
    monkeypatch.setattr(VllmDialect, "stall_s", 0.8)
    steps = iter(range(1, 44))
    moving = lambda _: plain(page(next(steps, 44) / 44))  # noqa: E731
    late = Reply((2.0, text_event("a", "stop"), DONE))
    with ScriptedServer({COMPLETIONS: late, METRICS: moving}) as server:
        events = list(connect(server).generate([1] * 5500, Sampling(5)))
    assert text_of(events) == "a"
    assert len(events) > 5


def test_closing_while_the_prompt_is_read_drops_the_request(monkeypatch):
    """This test ensures that Ctrl-C during a prefill reaches the engine."""
    monkeypatch.setattr(client, "_POLL_S", 0.05)
    pages = [plain(page(0.0)), plain(page(4 / 44))]
    with ScriptedServer({COMPLETIONS: Reply((30.0,)), METRICS: pages}) as server:
        events = connect(server).generate([1] * 1400, Sampling(5))
        assert next(events) == PrefillProgress(512, 1400)
        events.close()
        assert server.hung_up.wait(5)


@pytest.mark.vllm
@pytest.mark.timeout(600)
def test_vllm_tells_how_far_it_has_read(vllm_server, tmp_path):
    """This test ensures that a real prefill is followed in rising steps of blocks, and that two at once tell nothing."""
    settings = EngineSettings("vllm", address=vllm_server.address, api_key=vllm_server.api_key)
    engine = start_engine(settings, tmp_path).ready()
    draw = random.Random(time.time_ns())  # a prompt that no cache holds
    prompts = [[draw.randrange(100, 40_000) for _ in range(length)] for length in (3500, 900, 900)]
    events = list(engine.generate(prompts[0], Sampling(2)))
    told = [event for event in events if isinstance(event, PrefillProgress)]
    assert told
    assert events[: len(told)] == told
    assert [event.done for event in told] == sorted({event.done for event in told})
    assert all(event.total == 3500 for event in told)
    assert all(event.done % 128 == 0 or event.done == 3500 for event in told)
    both = [[], []]
    ask = lambda number: both[number].extend(engine.generate(prompts[1 + number], Sampling(2)))  # noqa: E731
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(events[-1], Finished) for events in both)
