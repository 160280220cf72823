"""Several endpoints: one that answers is asked, the same one for the same sources, and a dead one is told."""

import json
import socket
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cli_answers import run_lctx

from lctx.cli.endpoints import knock, preferred, with_endpoint
from lctx.cli.settings import Settings, load_settings
from lctx.core.errors import ConfigError, EngineLoadingError, EngineRefusedError, UsageError


def closed_address() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def serving():
    """A function that starts a server whose every answer has one status, and gives its address."""
    servers = []

    def start(status: int) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def chosen(endpoints, sources=("a.pdf",), **more) -> tuple[str | None, list[str]]:
    """The endpoint of a run, and what was warned of."""
    told: list[str] = []
    settings = with_endpoint(
        Settings(engine="vllm", endpoints=tuple(endpoints), **more), sources, told.append
    )
    return settings.endpoint, told


def test_the_same_sources_prefer_the_same_endpoint():
    """This test ensures that sources stay where they are when another endpoint goes, and that load is spread."""
    endpoints = [f"http://127.0.0.1:{port}" for port in range(4)]
    first = {number: preferred(endpoints, [f"/{number}"])[0] for number in range(400)}
    assert all(preferred(endpoints[::-1], [f"/{number}"])[0] == one for number, one in first.items())
    counts = Counter(first.values())
    assert all(60 <= counts[endpoint] <= 140 for endpoint in endpoints)
    left = {number: preferred(endpoints[1:], [f"/{number}"])[0] for number in range(400)}
    assert all(left[number] == one for number, one in first.items() if one != endpoints[0])


def test_a_dead_endpoint_is_passed_over_and_told(serving):
    """This test ensures that whichever is preferred, the one that answers is asked, and the dead one is named."""
    dead, alive = closed_address(), serving(200)
    for number in range(8):
        endpoint, told = chosen([dead, alive], [f"{number}.pdf"])
        assert endpoint == alive
        assert told == [] or (dead in told[0] and "passed over" in told[0])
    assert any(chosen([dead, alive], [f"{number}.pdf"])[1] for number in range(16))


def test_any_answer_is_an_answer(serving):
    """This test ensures that a server that wants a key, or has no page on its health, counts as one that lives."""
    for status in (200, 401, 404, 500):
        knock(serving(status), offline=True)
    with pytest.raises(EngineLoadingError):
        knock(serving(503), offline=True)


def test_one_that_loads_is_waited_for_only_where_no_other_answers(serving):
    """This test ensures that a server that loads comes last, and before nobody at all."""
    loading, alive, dead = serving(503), serving(200), closed_address()
    assert all(chosen([loading, alive], [str(number)])[0] == alive for number in range(8))
    assert all(chosen([loading, dead], [str(number)])[0] == loading for number in range(8))


def test_nobody_at_all_is_an_engine_failure():
    """This test ensures that all dead endpoints are named in one error."""
    dead = [closed_address(), closed_address()]
    with pytest.raises(EngineRefusedError, match="not one of the endpoints answers") as caught:
        chosen(dead)
    assert all(one in str(caught.value) for one in dead)


def test_offline_knocks_nowhere_else():
    """This test ensures that --offline refuses an endpoint elsewhere before anything is sent to it."""
    with pytest.raises(UsageError, match="--offline forbids"):
        chosen(["http://192.0.2.7:9"], offline=True)


def test_one_endpoint_is_stronger_than_several(tmp_path):
    """This test ensures that what is named for one run wins, and that the embedded engine asks nobody."""
    both = Settings(engine="vllm", endpoint="http://127.0.0.1:1", endpoints=("http://127.0.0.1:2",))
    assert with_endpoint(both, [], pytest.fail) is both
    embedded = Settings(endpoints=("http://127.0.0.1:2",))
    assert with_endpoint(embedded, [], pytest.fail) is embedded


def test_endpoints_are_set_by_the_user_alone(tmp_path):
    """This test ensures that the environment and one's own file name endpoints, and a project's file cannot."""
    own = tmp_path / "config.toml"
    own.write_text('endpoints = ["http://127.0.0.1:1", "http://127.0.0.1:2"]\nengine = "vllm"\n')
    settings, _ = load_settings({}, environ={}, directory=tmp_path, own_file=own)
    assert settings.endpoints == ("http://127.0.0.1:1", "http://127.0.0.1:2")
    assert not settings.is_managed
    environ = {"LCTX_ENDPOINTS": "http://127.0.0.1:3, unix:///v.sock", "LCTX_ENGINE": "endpoint"}
    settings, _ = load_settings({}, environ=environ, directory=tmp_path, own_file=own)
    assert settings.endpoints == ("http://127.0.0.1:3", "unix:///v.sock")
    with pytest.raises(ConfigError, match="LCTX_ENDPOINTS"):
        load_settings({}, environ={"LCTX_ENDPOINTS": ",,"}, directory=tmp_path, own_file=own)
    (tmp_path / ".git").mkdir()
    (tmp_path / "lctx.toml").write_text('endpoints = ["http://192.0.2.7:9"]\n')
    with pytest.raises(ConfigError, match="cannot be set by a project") as caught:
        load_settings({}, environ={}, directory=tmp_path, own_file=tmp_path / "none.toml")
    assert "LCTX_ENDPOINTS" in str(caught.value.hint)


@pytest.mark.engine
def test_a_question_goes_where_somebody_answers(lctx_home, tmp_path, tiny_gguf):
    """This test ensures that ask reaches a served engine beside a dead endpoint, and exits with 4 beside none."""
    served = run_lctx(lctx_home, "serve", tiny_gguf, "--port", "0", "--format", "json")
    told = json.loads(served.stdout)
    note = tmp_path / "note.txt"
    note.write_text("The board approved the budget on 3 March.\n", "utf-8")
    ask = [
        "ask",
        note,
        "Who approved the budget?",
        "--engine",
        "endpoint",
        "--model",
        "tiny",
        "--max-tokens",
        "4",
    ]
    dead = closed_address()
    more = {"LCTX_ENDPOINTS": f"{dead},{told['address']}", "LCTX_API_KEY": told["api_key"]}
    done = run_lctx(lctx_home, *ask, "--format", "json", **more)
    record = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr.decode()
    assert told["address"].removesuffix("/v1") in record["engine"]
    none = run_lctx(lctx_home, *ask, LCTX_ENDPOINTS=dead)
    assert none.returncode == 4
    assert "not one of the endpoints answers" in none.stderr.decode()
