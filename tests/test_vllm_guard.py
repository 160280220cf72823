"""The guard of a vLLM on TCP: no path but /health without the key; proved on a real vLLM's own list of routes."""

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from cli_answers import LCTX
from scripted_vllm import tiny_launch

from lctx.core.engine import vllm_guard
from lctx.core.engine.vllm import place_guard
from lctx.core.engine.vllm_flags import vllm_arguments
from lctx.core.engine.vllm_guard import Guard

KEY = "the key"
REFUSED = {401, 403}


class App:
    """An ASGI application that counts who came through."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, scope, receive, send) -> None:
        """Remember the request, and answer it."""
        self.seen.append(scope.get("path", scope["type"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})


def asked(monkeypatch, kind: str = "http", path: str = "/tokenize", **scope) -> tuple[list[str], list[dict]]:
    """Who came through to the application, and what was sent to the client."""
    monkeypatch.setenv(vllm_guard.KEY_VARIABLE, KEY)
    app, sent = App(), []

    async def send(message) -> None:
        sent.append(message)

    async def receive() -> dict:
        return {}

    whole = {"type": kind, "path": path, "method": "POST", "headers": []} | scope
    asyncio.run(Guard(app)(whole, receive, send))
    return app.seen, sent


def bearer(text: str) -> dict:
    """The headers of a request."""
    return {"headers": [(b"accept", b"*/*"), (b"authorization", text.encode("latin-1"))]}


@pytest.mark.parametrize(
    "scope",
    [
        {},
        {"path": "/"},
        {"path": "/health/"},
        {"path": "//health"},
        {"path": "/v1/models", "method": "OPTIONS"},
        {"path": "/metrics", "method": "GET", "root_path": "/metrics"},
        bearer("Bearer "),
        bearer("Bearer the ke"),
        bearer("Bearer the key "),
        bearer("Basic the key"),
        bearer("the key"),
        bearer("Bearer th\xe9 key"),
        {"headers": [(b"authorization", b"Bearer the key"), (b"authorization", b"Bearer no")]},
    ],
)
def test_what_does_not_carry_the_key_is_refused(monkeypatch, scope):
    """This test ensures that no path, method or half a key gets through to vLLM, nor two headers of which one fits."""
    seen, sent = asked(monkeypatch, **scope)
    assert seen == []
    assert [message.get("status") for message in sent] == [401, None]
    assert json.loads(sent[1]["body"])["error"]["code"] == 401


@pytest.mark.parametrize(
    ("scope", "through"),
    [
        (bearer("Bearer the key"), "/tokenize"),
        (bearer("bearer the key"), "/tokenize"),
        ({"path": "/health", "method": "GET"}, "/health"),
        ({"kind": "lifespan", "path": "lifespan"}, "lifespan"),
        ({"kind": "websocket", "path": "/v1/realtime", **bearer("Bearer the key")}, "/v1/realtime"),
    ],
)
def test_the_key_opens(monkeypatch, scope, through):
    """This test ensures that the key opens every path, that health needs none, and that vLLM's own start is let by."""
    assert asked(monkeypatch, **scope)[0] == [through]


def test_a_websocket_without_the_key_is_closed(monkeypatch):
    """This test ensures that no websocket is accepted without the key, not even on the path that is open to HTTP."""
    for path in ("/v1/realtime", "/health"):
        seen, sent = asked(monkeypatch, "websocket", path)
        assert (seen, [message["type"] for message in sent]) == ([], ["websocket.close"])


def test_without_a_key_nothing_starts(monkeypatch):
    """This test ensures that a server whose key got lost ends, and is not open to everybody."""
    for value in (None, ""):
        monkeypatch.delenv(vllm_guard.KEY_VARIABLE, raising=False)
        if value is not None:
            monkeypatch.setenv(vllm_guard.KEY_VARIABLE, value)
        with pytest.raises(RuntimeError, match="not set"):
            Guard(App())


def test_the_copy_needs_nothing_of_lctx(tmp_path):
    """This test ensures that the one copied file works in an interpreter that has neither lctx nor anything else."""
    place = place_guard(tmp_path)
    assert [path.name for path in place.iterdir()] == [f"{vllm_guard.MODULE}.py"]
    program = f"import sys, {vllm_guard.MODULE} as guard; print(guard.Guard.__name__, 'lctx' in sys.modules)"
    environment = {"PYTHONPATH": str(place), "PYTHONSAFEPATH": "1", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.split() == ["Guard", "False"]


def test_a_port_has_the_guard_and_a_socket_needs_none(tmp_path):
    """This test ensures that vLLM is told of the guard wherever others can knock, and not where only its user can."""
    launch = tiny_launch(tmp_path / "model")
    flag = f"--middleware={vllm_guard.MODULE}.Guard"
    assert flag in vllm_arguments(launch, ("127.0.0.1", 8000))
    assert flag not in vllm_arguments(launch, tmp_path / "v.sock")


def status_of(address: str, method: str, path: str, key: str | None = None) -> int:
    """The status of a request with an empty JSON body."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(address + path, data=b"{}", method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def routes_of(address: str, key: str) -> set[tuple[str, str]]:
    """Every method and path that the server lists, and those that it serves without listing them."""
    request = urllib.request.Request(address + "/openapi.json", headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        listed = json.load(answer)["paths"]
    found = {
        (method.upper(), re.sub(r"\{[^}]*\}", "x", path))
        for path, methods in listed.items()
        for method in methods
    }
    unlisted = ("/metrics", "/metrics/", "/docs", "/redoc", "/openapi.json", "/slots", "/server_info", "/")
    return found | {("GET", path) for path in unlisted}


@pytest.mark.vllm
@pytest.mark.timeout(600)
def test_a_served_vllm_answers_nobody_without_its_key(lctx_home, vllm_python, vllm_model_dir, tmp_path):
    """This test ensures that all routes of a real vLLM refuse without the key, and that OpenAI's client and ask have it."""
    openai = pytest.importorskip("openai")
    environment = os.environ | {"LCTX_VLLM_PYTHON": str(vllm_python), "LCTX_API_KEY": "a-key-of-my-own"}
    command = [LCTX, "serve", vllm_model_dir, "--port", "0", "--window", "2048", "--enforce-eager"]
    command += ["--kv-cache-memory-bytes", "268435456", "--max-num-seqs", "2", "--format", "json"]
    served = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert served.returncode == 0, served.stderr
    told = json.loads(served.stdout)
    root, key = told["address"].removesuffix("/v1"), told["api_key"]
    assert key == "a-key-of-my-own"
    arguments = Path(f"/proc/{told['pid']}/cmdline").read_bytes()
    assert key.encode() not in arguments
    routes = routes_of(root, key)
    assert {("POST", "/tokenize"), ("POST", "/v1/completions"), ("GET", "/v1/models")} <= routes
    opened = {route for route in routes if status_of(root, *route) not in REFUSED}
    assert {path for _, path in opened} <= {"/health"}
    assert status_of(root, "GET", "/health") == 200
    assert status_of(root, "GET", "/metrics", key) == 200
    client = openai.OpenAI(base_url=told["address"], api_key=key, max_retries=0)
    assert [model.id for model in client.models.list().data] == [told["model"]]
    done = client.completions.create(model=told["model"], prompt="The sky is", max_tokens=4, temperature=0)
    assert done.choices[0].text
    chat = client.chat.completions.create(
        model=told["model"], messages=[{"role": "user", "content": "Say hello."}], max_tokens=4, stream=True
    )
    assert any(part.choices and part.choices[0].delta.content for part in chat)
    stranger = openai.OpenAI(base_url=told["address"], api_key="no key", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        stranger.models.list()
    source = tmp_path / "note.txt"
    source.write_text("The board approved the budget of 1,200 euros on 3 March.\n", "utf-8")
    ask = [LCTX, "ask", source, "Who approved the budget?", "--model", vllm_model_dir, "--window", "2048"]
    asked = subprocess.run(
        [*ask, "--format", "json"], capture_output=True, text=True, env=environment, check=False
    )
    assert asked.returncode == 0, asked.stderr
    listed = subprocess.run([LCTX, "ps", "--format", "json"], capture_output=True, text=True, check=True)
    (server,) = json.loads(listed.stdout)["servers"]
    assert (server["pid"], server["address"]) == (told["pid"], root)
