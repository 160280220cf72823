"""The client against a scripted server: what it sends, what it makes of every way to answer or to fail."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from scripted_server import (
    DIE,
    Reply,
    ScriptedServer,
    answer,
    document,
    event,
    refusal,
    text_event,
    usage_event,
)

from lctx.core.engine.dialects import Dialect, LlamaDialect
from lctx.core.engine.events import Finished, FinishReason, PrefillProgress, TextDelta, Usage
from lctx.core.engine.open import EngineSettings, start_engine
from lctx.core.engine.protocol import Message, Sampling
from lctx.core.engine.structured import StructuredOutput
from lctx.core.errors import EngineCrashedError, EngineLoadingError, EngineRefusedError, UsageError

COMPLETIONS = "/v1/completions"
CHAT = "/v1/chat/completions"
DONE = b"data: [DONE]\n\n"
FORM = StructuredOutput(json_schema={"type": "object"})


def connect(server, kind="vllm", **settings):
    return start_engine(EngineSettings(kind, address=server.address, **settings), Path()).ready()


def text_of(events):
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize("on_socket", [False, True], ids=["tcp", "unix"])
def test_an_answer_is_a_stream_with_one_end(on_socket, tmp_path):
    """This test ensures that text comes as it is sent, and one Finished with the engine's count comes last."""
    script = {
        COMPLETIONS: answer("thirty ", "", "five", usage=(7, 2, 3)),
        "/version": document({"version": "9.9"}),
    }
    with ScriptedServer(script, tmp_path / "s.sock" if on_socket else None) as server:
        engine = connect(server)
        events = list(engine.generate([1, 2, 3], Sampling(5)))
    assert events == [
        TextDelta("thirty "),
        TextDelta("five"),
        Finished(FinishReason.STOP, Usage(prompt_tokens=7, cached_tokens=3, completion_tokens=2)),
    ]
    assert (engine.label, engine.model, engine.window) == ("vllm 9.9", "scripted", 4096)


def test_text_arrives_before_the_answer_is_complete():
    """This test ensures that nothing waits for the end: the first delta is there while the server pauses."""
    with ScriptedServer({COMPLETIONS: Reply((text_event("a"), 30.0, text_event("b", "stop")))}) as server:
        events = connect(server).generate([1], Sampling(5))
        start = time.monotonic()
        assert next(events) == TextDelta("a")
        assert time.monotonic() - start < 5
        events.close()


def test_closing_the_events_closes_the_connection():
    """This test ensures that an engine sees at once that nobody waits for the answer any more."""
    with ScriptedServer({COMPLETIONS: Reply((text_event("a"), 30.0, text_event("b", "stop")))}) as server:
        events = connect(server).generate([1], Sampling(5))
        next(events)
        events.close()
        assert server.hung_up.wait(5)


def test_nothing_is_sent_before_the_first_event_is_asked_for():
    """This test ensures that `generate` is lazy."""
    with ScriptedServer({COMPLETIONS: answer("a")}) as server:
        connect(server).generate([1], Sampling(5))
        assert [request.path for request in server.requests if request.path == COMPLETIONS] == []


def test_a_prompt_of_ids_goes_out_as_ids():
    """This test ensures that a request says all of the sampling, and the ids untouched."""
    sampling = Sampling(9, temperature=0.5, seed=7, stop=("\n", "Q:"), structured=FORM)
    with ScriptedServer({COMPLETIONS: answer("a")}) as server:
        list(connect(server, api_key="secret").generate(range(3), sampling))
        request = server.requests[-1]
    assert request.headers["Authorization"] == "Bearer secret"
    assert request.body["prompt"] == [0, 1, 2]
    assert request.body["model"] == "scripted"
    told = {name: request.body[name] for name in ("max_tokens", "temperature", "seed", "stop", "stream")}
    assert told == {"max_tokens": 9, "temperature": 0.5, "seed": 7, "stop": ["\n", "Q:"], "stream": True}
    assert request.body["structured_outputs"] == {"json": {"type": "object"}}
    assert request.body["stream_options"] == {"include_usage": True}


def test_messages_go_to_the_chat_path():
    """This test ensures that hosted endpoints get messages, and their deltas are read."""
    with ScriptedServer({CHAT: answer("hi")}) as server:
        engine = connect(server, "endpoint", model_name="big")
        assert (
            text_of(engine.generate([Message("system", "be short"), Message("user", "q")], Sampling(5)))
            == "hi"
        )
        body = server.requests[-1].body
    assert body["messages"] == [{"role": "system", "content": "be short"}, {"role": "user", "content": "q"}]
    assert body["model"] == "big"
    assert [request.path for request in server.requests] == [CHAT]


@pytest.mark.parametrize("prompt", [[], [1, Message("user", "q")]])
def test_an_impossible_prompt_is_our_own_mistake(prompt):
    """This test ensures that an empty or mixed prompt is caught before it is sent."""
    with pytest.raises(ValueError):
        Dialect().request("m", prompt, Sampling(1))


def test_progress_of_llama_is_told():
    """This test ensures that prefill progress and cached tokens come through."""
    told = {"prompt_progress": {"total": 9, "cache": 4, "processed": 6}, "choices": []}
    assert LlamaDialect().progress(told) == PrefillProgress(6, 9, 4)
    assert LlamaDialect().progress({"choices": []}) is None


def test_half_characters_and_odd_events_do_not_reach_the_answer():
    """This test ensures that a character cut in two is joined, and events without text are passed over."""
    parts = (
        b": ping\n\n",
        event({"choices": []}),
        event({"choices": [{"delta": {"role": "assistant", "content": None}}]}),
        b'data: {"choices": [{"text": "\\ud83d"}]}\n\n',
        b'data: {"choices": [{"text": "\\ude00"}]}\n\n',
        text_event("", "length"),
        DONE,
    )
    with ScriptedServer({COMPLETIONS: Reply(parts)}) as server:
        events = list(connect(server).generate([1], Sampling(5)))
    assert events == [TextDelta("😀"), Finished(FinishReason.LENGTH, Usage(0, 0, 0, known=False))]


BROKEN = {
    "nothing": (),
    "no end": (text_event("a"),),
    "done without an end": (text_event("a"), DONE),
    "only usage": (usage_event(1, 1), DONE),
    "dies": (text_event("a"), DIE),
    "dies at once": (DIE,),
    "half an event": (text_event("a"), b'data: {"choi'),
    "no JSON": (text_event("a"), b"data: <html>\n\n"),
    "no object": (text_event("a"), b"data: 7\n\n"),
    "failed": (text_event("a", "error"), DONE),
}


@pytest.mark.parametrize("parts", BROKEN.values(), ids=BROKEN.keys())
def test_a_stream_that_ends_early_is_an_error(parts):
    """This test ensures that a partial answer is never taken for a whole one."""
    with ScriptedServer({COMPLETIONS: Reply(parts)}) as server:
        events = []
        with pytest.raises(EngineCrashedError):
            events.extend(connect(server).generate([1], Sampling(5)))
    assert not any(isinstance(event, Finished) for event in events)


@pytest.mark.parametrize(
    "message",
    [
        {"error": {"message": "out of memory", "code": 500}},
        {"error": "out of memory"},
        {"object": "error", "message": "out of memory"},
    ],
)
def test_an_error_inside_the_stream_is_told(message):
    """This test ensures that the engine's own words reach the user, in each shape that engines use."""
    with (
        ScriptedServer({COMPLETIONS: Reply((text_event("a"), event(message), DONE))}) as server,
        pytest.raises(EngineRefusedError, match="out of memory"),
    ):
        list(connect(server).generate([1], Sampling(5)))


def test_a_withheld_answer_is_no_answer():
    """This test ensures that a content filter is told as a refusal."""
    with (
        ScriptedServer({COMPLETIONS: answer("a", finish_reason="content_filter")}) as server,
        pytest.raises(EngineRefusedError, match="content filter"),
    ):
        list(connect(server).generate([1], Sampling(5)))


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (
            refusal(401, {"error": {"message": "Invalid API Key"}}),
            "did not accept the key .401.: Invalid API Key",
        ),
        (refusal(403, {"detail": "no"}), "did not accept the key"),
        (refusal(400, {"error": {"message": "too long.\nmuch"}}), "answered 400: too long. much"),
        (refusal(404, {"message": "no such model"}), "404: no such model"),
        (refusal(429, {"error": "slow down"}), "429: slow down"),
        (refusal(500, "boom"), "500: boom"),
        (Reply((b"<html>\x1b[31mBad Gateway",), 502, "text/html"), "502: <html> .31mBad Gateway"),
        (Reply((), 500, "text/plain"), "500"),
        (Reply((b"x" * 1_000_000,), 500, "text/plain"), "500: xxx"),
    ],
)
def test_a_refusal_is_told_in_one_line(reply, told):
    """This test ensures that status and reason are told, without control characters and never a page long."""
    with (
        ScriptedServer({COMPLETIONS: reply}) as server,
        pytest.raises(EngineRefusedError, match=told) as caught,
    ):
        list(connect(server).generate([1], Sampling(5)))
    assert len(caught.value.message) < 600
    assert caught.value.message.isprintable()


def test_a_redirect_is_not_followed():
    """This test ensures that neither the documents nor the key go to a place that the user did not name."""
    with ScriptedServer({COMPLETIONS: answer("stolen")}) as other:
        reply = Reply((), 307, "text/plain", {"Location": f"{other.address}{COMPLETIONS}"})
        with (
            ScriptedServer({COMPLETIONS: reply}) as server,
            pytest.raises(EngineRefusedError, match="does not follow"),
        ):
            list(connect(server, api_key="secret").generate([1], Sampling(5)))
    assert other.requests == []


def test_a_page_instead_of_a_stream_is_refused():
    """This test ensures that a web server that answers 200 to everything is not taken for an engine."""
    with (
        ScriptedServer({COMPLETIONS: Reply((b"<html>",), content_type="text/html")}) as server,
        pytest.raises(EngineRefusedError, match="text/html"),
    ):
        list(connect(server).generate([1], Sampling(5)))


def test_proxies_are_ignored(monkeypatch):
    """This test ensures that a variable of the environment does not send documents through another machine."""
    with ScriptedServer({}) as proxy, ScriptedServer({COMPLETIONS: answer("a")}) as server:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.address)
        assert text_of(connect(server).generate([1], Sampling(5))) == "a"
    assert proxy.requests == []


def test_silence_is_a_failure_and_heartbeats_are_not(monkeypatch):
    """This test ensures that a hanging engine is given up, and one that says that it lives is not."""
    monkeypatch.setattr(Dialect, "stall_s", 0.6)
    alive = Reply((*[b": ping\n\n", 0.2] * 6, text_event("a", "stop")))
    with ScriptedServer({COMPLETIONS: [alive, Reply((text_event("a"), 5.0))]}) as server:
        engine = connect(server, "endpoint", model_name="m")
        assert text_of(engine.generate([1], Sampling(5))) == "a"
        with pytest.raises(EngineCrashedError, match="sent nothing"):
            list(engine.generate([1], Sampling(5)))


@pytest.mark.parametrize("kind", ["vllm", "endpoint"])
def test_nobody_listening_is_told_with_the_address(kind, tmp_path):
    """This test ensures that a refused connection and a missing socket name the address and a way on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for address in (f"http://127.0.0.1:{port}", f"unix://{tmp_path}/none.sock"):
        settings = EngineSettings(kind, model_name="m", address=address)
        with pytest.raises(EngineRefusedError, match="no connection") as caught:
            list(start_engine(settings, tmp_path).ready().generate([1], Sampling(1)))
        assert address in caught.value.message
        assert caught.value.hint


def test_a_server_that_is_loading_is_waited_for():
    """This test ensures that 503 means wait, and that the wait has an end."""
    loading = refusal(503, {"error": {"message": "Loading model"}})
    with ScriptedServer({"/v1/models": [loading, loading, document({"data": [{"id": "m"}]})]}) as server:
        assert connect(server, wait_s=10).model == "m"
    with (
        ScriptedServer({"/v1/models": loading}) as server,
        pytest.raises(EngineLoadingError, match="Loading model"),
    ):
        connect(server, wait_s=0.1)


def test_the_model_is_found_or_has_to_be_named():
    """This test ensures that one model needs no name, several do, and a wrong name lists the right ones."""
    two = document({"data": [{"id": "a", "max_model_len": 100}, {"id": "b"}]})
    with ScriptedServer({"/v1/models": two}) as server:
        assert connect(server, model_name="a").window == 100
        assert connect(server, model_name="b", window=77).window == 77
        with pytest.raises(UsageError, match="several") as caught:
            connect(server)
        assert "a, b" in caught.value.hint
        with pytest.raises(UsageError, match="no such model"):
            connect(server, model_name="c")


@pytest.mark.parametrize("told", [{"data": []}, {"data": [{}]}, {"data": "x"}, [], "x", None])
def test_a_server_without_models_is_refused(told):
    """This test ensures that something that is no model list is told, whatever its shape."""
    with (
        ScriptedServer({"/v1/models": document(told)}) as server,
        pytest.raises(EngineRefusedError, match="lists no model"),
    ):
        connect(server)


def test_tokenize_asks_the_engine():
    """This test ensures that ids come from the engine, and an engine that gives none is told."""
    with ScriptedServer({"/tokenize": [document({"tokens": [5, 6]}), document({"count": 2})]}) as server:
        engine = connect(server)
        assert engine.tokenize("a b") == [5, 6]
        assert server.requests[-1].body == {"model": "scripted", "prompt": "a b", "add_special_tokens": False}
        with pytest.raises(EngineRefusedError, match="no tokens"):
            engine.tokenize("a b")


def test_requests_can_run_at_the_same_time():
    """This test ensures that each request has its own connection."""
    slow = answer("a", "b", pause_s=0.3)
    with ScriptedServer({COMPLETIONS: slow}) as server:
        engine = connect(server)
        texts = []
        run = lambda: texts.append(text_of(engine.generate([1], Sampling(5))))  # noqa: E731
        threads = [threading.Thread(target=run) for _ in range(4)]
        start = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert texts == ["ab"] * 4
    assert time.monotonic() - start < 2.0


def test_a_huge_prompt_that_is_refused_unread_is_told():
    """This test ensures that an answer given before the prompt was read wins over the broken pipe."""
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse() -> None:
        client, _ = listener.accept()
        client.recv(1000)
        content = json.dumps({"error": "too large"})
        client.sendall(f"HTTP/1.1 413 Too Large\r\nContent-Length: {len(content)}\r\n\r\n{content}".encode())
        client.shutdown(socket.SHUT_WR)
        while client.recv(1 << 20):
            pass
        client.close()

    thread = threading.Thread(target=refuse)
    thread.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    engine = start_engine(EngineSettings("endpoint", model_name="m", address=address), Path()).ready()
    with pytest.raises(EngineRefusedError, match="413: too large"):
        list(engine.generate([1234567] * 500_000, Sampling(1)))
    thread.join()
    listener.close()


def test_a_server_that_speaks_no_http_is_an_error():
    """This test ensures that a foreign program behind the port is told, not a traceback."""
    listener = socket.create_server(("127.0.0.1", 0))

    def greet() -> None:
        client, _ = listener.accept()
        client.sendall(b"220 mail ready\r\n")
        client.close()

    thread = threading.Thread(target=greet)
    thread.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(EngineCrashedError):
        start_engine(EngineSettings("vllm", address=address), Path()).ready()
    thread.join()
    listener.close()


def test_the_client_imports_little():
    """This test ensures that the way to a warm engine loads no subprocess, no asyncio and nothing third-party."""
    code = (
        "import sys; before = set(sys.modules)\n"
        "import lctx.core.engine.open, lctx.core.engine.llama, lctx.core.engine.client\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(new & {'subprocess', 'asyncio', 'xllamacpp', 'numpy', 'requests', 'httpx', 'msgspec'}))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_START"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == ""
