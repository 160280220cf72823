"""What is sent again and what is not: engines that load, that are asked too often, that drop a connection."""

import socket
import threading
import time
from email.utils import formatdate

import pytest
from scripted_server import DIE, Reply, ScriptedServer, answer, document, refusal, text_event
from test_engine_client import COMPLETIONS, connect, text_of

from lctx.core.engine.address import parse_address
from lctx.core.engine.connection import fetch_json, fetch_text
from lctx.core.engine.protocol import Sampling
from lctx.core.errors import EngineCrashedError, EngineLoadingError, EngineRefusedError

LOADING = {"error": {"message": "Loading model"}}


def asked(server, path=COMPLETIONS):
    return len([request for request in server.requests if request.path == path])


def test_an_engine_that_loads_is_asked_again():
    """This test ensures that a question to a server that is not ready yet is answered once it is."""
    with ScriptedServer({COMPLETIONS: [refusal(503, LOADING), refusal(503, LOADING), answer("a")]}) as server:
        assert text_of(connect(server, wait_s=10).generate([1], Sampling(5))) == "a"
        assert asked(server) == 3


@pytest.mark.parametrize("told", ["1", " 1 ", "in a second"])
def test_the_time_to_come_back_is_kept(told):
    """This test ensures that Retry-After is obeyed where it can be read, and that a busy service is asked then."""
    value = formatdate(time.time() + 1.9, usegmt=True) if told == "in a second" else told
    for status in (503, 429):
        with ScriptedServer(
            {COMPLETIONS: [refusal(status, "busy", Retry_After=value), answer("a")]}
        ) as server:
            engine = connect(server, wait_s=10)
            begun = time.monotonic()
            assert text_of(engine.generate([1], Sampling(5))) == "a"
            if told != "in a second" or status == 503:
                assert 0.4 < time.monotonic() - begun < 4


@pytest.mark.parametrize("told", ["", "soon", "-1", "1e3", "²"])
def test_a_time_that_cannot_be_read_is_none(told):
    """This test ensures that a header of nonsense neither breaks nor delays anything."""
    with ScriptedServer({COMPLETIONS: [refusal(503, LOADING, Retry_After=told), answer("a")]}) as server:
        assert text_of(connect(server, wait_s=10).generate([1], Sampling(5))) == "a"
    with (
        ScriptedServer({COMPLETIONS: refusal(429, "slow", Retry_After=told)}) as server,
        pytest.raises(EngineRefusedError, match="429: slow"),
    ):
        list(connect(server, wait_s=10).generate([1], Sampling(5)))


def test_the_wait_has_an_end():
    """This test ensures that an engine that never gets ready, or names a time beyond the wait, is told as such."""
    with ScriptedServer({COMPLETIONS: refusal(503, LOADING)}) as server:
        begun = time.monotonic()
        with pytest.raises(EngineLoadingError, match="Loading model"):
            list(connect(server, wait_s=1.2).generate([1], Sampling(5)))
        assert time.monotonic() - begun < 3
        assert 1 < asked(server) <= 3
    for status, error in ((503, EngineLoadingError), (429, EngineRefusedError)):
        reply = refusal(status, "busy", Retry_After="3600")
        with ScriptedServer({COMPLETIONS: reply}) as server, pytest.raises(error):
            list(connect(server, wait_s=5).generate([1], Sampling(5)))


def test_nothing_is_sent_again_once_it_was_answered():
    """This test ensures that an answer that breaks off, or a question that was reset, is not asked twice."""
    for parts in ((text_event("a"), DIE), (DIE,)):
        with ScriptedServer({COMPLETIONS: [Reply(parts), answer("b")]}) as server:
            with pytest.raises(EngineCrashedError):
                list(connect(server, wait_s=10).generate([1], Sampling(5)))
            assert asked(server) == 1


@pytest.mark.parametrize("status", [400, 404, 500, 502])
def test_what_will_not_pass_is_not_sent_again(status):
    """This test ensures that a plain refusal is told at once, whatever the wait."""
    with ScriptedServer({COMPLETIONS: refusal(status, "no")}) as server:
        with pytest.raises(EngineRefusedError, match=str(status)):
            list(connect(server, wait_s=60).generate([1], Sampling(5)))
        assert asked(server) == 1


@pytest.fixture
def dropping():
    """A server that resets its first connection before a byte, and answers each later one."""
    listener = socket.create_server(("127.0.0.1", 0))
    methods = []

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            methods.append(client.recv(9).split(b" ")[0].decode())
            if len(methods) > 1:
                client.recv(65536)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            client.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", methods
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def test_a_get_that_was_reset_is_sent_once_more(dropping):
    """This test ensures that a worker that restarts between two looks is no failure."""
    address, methods = dropping
    assert fetch_json(parse_address(address), "GET", "/v1/models") == {}
    assert methods == ["GET", "GET"]


def test_a_post_that_was_reset_is_not(dropping):
    """This test ensures that what may have begun to cost is never asked for twice."""
    address, methods = dropping
    with pytest.raises(EngineCrashedError):
        fetch_json(parse_address(address), "POST", "/v1/embeddings", {})
    assert methods == ["POST"]


def test_a_get_is_sent_twice_at_most():
    """This test ensures that a server that resets everything is told, and is not asked for ever."""
    methods = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def reset() -> None:
            for _ in range(2):
                client, _ = listener.accept()
                methods.append(client.recv(9))
                client.close()

        thread = threading.Thread(target=reset, daemon=True)
        thread.start()
        with pytest.raises(EngineCrashedError):
            fetch_text(parse_address(f"http://127.0.0.1:{listener.getsockname()[1]}"), "/metrics")
        thread.join(5)
    assert len(methods) == 2


def test_a_get_that_was_answered_in_part_is_not_sent_again():
    """This test ensures that only silence is asked again, not half a page."""
    half = Reply((b"{", DIE), content_type="application/json")
    with ScriptedServer({"/x": [half, document({})]}) as server:
        with pytest.raises(EngineCrashedError):
            fetch_json(parse_address(server.address), "GET", "/x")
        assert asked(server, "/x") == 1
