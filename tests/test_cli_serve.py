"""`lctx serve` and `lctx logs`: an engine opened to other programs, with a key, and what it says."""

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from dataclasses import replace

import pytest
from cli_answers import LCTX, environment, run_lctx
from managed_servers import servers_of, wait_until
from tiny_model import write_tiny_model

from lctx.cli.serve import checked_listen
from lctx.core.engine.listening import listens_as_asked
from lctx.core.engine.logs import LogTail, log_lines
from lctx.core.engine.state import Phase, ServerFiles, ServerState
from lctx.core.errors import UsageError

LEAKS = (
    ("GET", "/slots"),
    ("GET", "/props"),
    ("GET", "/metrics"),
    ("GET", "/v1/models"),
    ("GET", "/models"),
    ("GET", "/api/tags"),
    ("GET", "/lora-adapters"),
    ("POST", "/slots/0?action=save"),
    ("POST", "/tokenize"),
    ("POST", "/detokenize"),
    ("POST", "/apply-template"),
    ("POST", "/completion"),
    ("POST", "/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/rerank"),
    ("POST", "/infill"),
    ("POST", "/props"),
    ("GET", "/v1/../slots"),
    ("GET", "//slots"),
)
STATE = ServerState(
    id="llama-1",
    kind="llama",
    name="m",
    model="/m.gguf",
    asked_window=4096,
    window=4096,
    pid=1,
    pid_started=0,
    address="http://127.0.0.1:8000",
    api_key="k",
    version="xllamacpp/1",
    started_at=0.0,
    phase=Phase.READY,
    is_served=True,
)


def serve(home, *arguments, **more) -> dict:
    """What a successful `lctx serve` says."""
    done = run_lctx(home, "serve", *arguments, "--format", "json", **more)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def status_of(root: str, method: str, path: str, key: str | None = None) -> int:
    """The status of a request with an empty JSON body."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(
        root + path, data=b"{}" if method == "POST" else None, method=method, headers=headers
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.engine
def test_other_programs_use_it_and_ask_finds_it(lctx_home, tiny_gguf):
    """This test ensures that OpenAI's own client works with what is printed, and that ask and ps see the same server."""
    openai = pytest.importorskip("openai")
    told = serve(lctx_home, tiny_gguf, "--port", "0")
    client = openai.OpenAI(base_url=told["address"], api_key=told["api_key"], max_retries=0)
    assert [model.id for model in client.models.list().data] == ["tiny"]
    done = client.completions.create(model="tiny", prompt="aa ab", max_tokens=3, temperature=0)
    assert done.choices[0].text
    parts = client.completions.create(model="tiny", prompt=[1, 300, 301], max_tokens=3, stream=True)
    assert sum(bool(part.choices and part.choices[0].text) for part in parts) >= 2
    chat = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "aa"}], max_tokens=3
    )
    assert chat.usage.completion_tokens == 3
    client.close()
    stranger = openai.OpenAI(base_url=told["address"], api_key="no key", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        stranger.completions.create(model="tiny", prompt="aa", max_tokens=3)
    stranger.close()
    (server,) = json.loads(run_lctx(lctx_home, "ps", "--format", "json").stdout)["servers"]
    assert (server["pid"], server["id"], server["keep_alive_s"]) == (told["pid"], told["id"], None)
    note = lctx_home / "note.txt"
    note.write_text("The board approved the budget on 3 March.\n", "utf-8")
    asked = run_lctx(lctx_home, "ask", note, "Who approved the budget?", "--model", tiny_gguf)
    assert asked.returncode == 0, asked.stderr.decode()
    assert servers_of(lctx_home) == [told["pid"]]


@pytest.mark.engine
def test_nothing_leaks_without_the_key(lctx_home, tiny_gguf):
    """This test ensures that no route of llama.cpp tells a prompt, a slot or a token without the key."""
    told = serve(lctx_home, tiny_gguf, "--port", "0", LCTX_API_KEY="my-own-key")
    root = told["address"].removesuffix("/v1")
    assert told["api_key"] == "my-own-key"
    assert {route for route in LEAKS if status_of(root, *route) not in {401, 404}} == set()
    assert {route for route in LEAKS if status_of(root, *route, "another") not in {401, 404}} == set()
    assert status_of(root, "GET", "/health") == 200
    assert status_of(root, "GET", "/slots", "my-own-key") == 200
    processes = subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True, check=True)
    assert "my-own-key" not in processes.stdout


@pytest.mark.engine
def test_serving_again_is_the_same_server(lctx_home, tiny_gguf):
    """This test ensures that a second serve prints the same, and that another key or port replaces an idle server."""
    first = serve(lctx_home, tiny_gguf, "--port", "0")
    assert serve(lctx_home, tiny_gguf, "--port", "0") == first
    other = serve(lctx_home, tiny_gguf, "--port", "0", LCTX_API_KEY="another")
    assert (other["api_key"], other["id"]) == ("another", first["id"])
    assert servers_of(lctx_home) == [other["pid"]]


@pytest.mark.engine
def test_a_question_does_not_end_what_was_served(lctx_home, tiny_gguf):
    """This test ensures that ask does not replace an engine that other programs may be using, and says what to do."""
    told = serve(lctx_home, tiny_gguf, "--port", "0", "--window", "1024")
    note = lctx_home / "note.txt"
    note.write_text("The board approved the budget on 3 March.\n", "utf-8")
    asked = run_lctx(lctx_home, "ask", note, "Who approved it?", "--model", tiny_gguf, "--window", "4096")
    assert asked.returncode == 4
    assert f"lctx stop {told['id']}" in asked.stderr.decode()
    assert servers_of(lctx_home) == [told["pid"]]


@pytest.mark.engine
def test_the_foreground_takes_its_engine_along(lctx_home, tiny_gguf):
    """This test ensures that Ctrl-C ends a served engine and the command with 0, and that a killed command leaves none."""
    for how, status in ((signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -9)):
        command = [LCTX, "serve", tiny_gguf, "--port", "0", "--foreground", "--quiet"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(lctx_home)) as process:
            assert process.stdout is not None
            address = process.stdout.readline().decode().removeprefix("address: ").strip()
            assert status_of(address.removesuffix("/v1"), "GET", "/health") == 200
            process.send_signal(how)
            assert process.wait(20) == status
        assert wait_until(lambda: servers_of(lctx_home) == [])


@pytest.mark.engine
def test_the_foreground_ends_with_its_engine(lctx_home, tiny_gguf):
    """This test ensures that the command notices the end of its engine: 0 where it was stopped, 4 where it died."""
    for is_stopped in (True, False):
        command = [LCTX, "serve", tiny_gguf, "--port", "0", "--foreground", "--format", "json"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(lctx_home)
        ) as process:
            assert wait_until(lambda: len(servers_of(lctx_home)) == 1)
            assert process.stderr is not None
            assert b"stays until Ctrl-C" in process.stderr.readline()
            if is_stopped:
                assert run_lctx(lctx_home, "stop").returncode == 0
            else:
                os.kill(servers_of(lctx_home)[0], signal.SIGKILL)
            assert process.wait(20) == (0 if is_stopped else 4)


def test_a_taken_port_is_told(lctx_home, tiny_gguf):
    """This test ensures that a port that another program has is told before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_lctx(lctx_home, "serve", tiny_gguf, "--port", str(port))
    assert (done.returncode, done.stdout) == (2, b"")
    assert f"127.0.0.1:{port}: another program listens there" in done.stderr.decode()
    assert servers_of(lctx_home) == []


@pytest.mark.parametrize(
    ("arguments", "more", "told"),
    [
        (["--host", "example.org"], {}, "--host example.org: not an IP address"),
        (["--host", "192.0.2.1", "--port", "0"], {}, "192.0.2.1:0: "),
        (["--port", "65536"], {}, "--port 65536: not a port"),
        (["--port", "-1"], {}, "--port -1: not a port"),
        (["--keep-alive", "soon"], {}, "--keep-alive soon: "),
        (["--max-num-seqs", "4"], {}, "--max-num-seqs: only vLLM can be told"),
        (["--format", "xml"], {}, "--format xml: "),
        ([], {"LCTX_API_KEY": "two words"}, "LCTX_API_KEY: a key is of visible ASCII"),
        ([], {"LCTX_API_KEY": "schlüssel"}, "LCTX_API_KEY: a key is of visible ASCII"),
        (
            ["--engine", "endpoint"],
            {"LCTX_ENDPOINT": "http://127.0.0.1:1"},
            "serve starts an engine of lctx's own",
        ),
    ],
)
def test_what_cannot_be_served_is_told(lctx_home, tiny_gguf, arguments, more, told):
    """This test ensures that addresses, keys and wishes that cannot be are usage errors, and nothing is started."""
    done = run_lctx(lctx_home, "serve", tiny_gguf, *arguments, **more)
    assert (done.returncode, done.stdout) == (2, b"")
    assert f"error: {told}" in done.stderr.decode()
    assert servers_of(lctx_home) == []


def test_hosts_and_ports():
    """This test ensures that localhost is the loopback address, and that both families can be named."""
    assert checked_listen("localhost", "0") == ("127.0.0.1", 0)
    assert checked_listen("::1", "8080") == ("::1", 8080)
    for host, port in (("", "1"), ("127.0.0.1", ""), ("127.0.0.1", "٣"), ("127.0.0.1", "1e3")):
        with pytest.raises(UsageError):
            checked_listen(host, port)


@pytest.mark.parametrize(
    ("state", "listen", "key", "is_so"),
    [
        (STATE, None, None, True),
        (STATE, ("127.0.0.1", 8000), "k", True),
        (STATE, ("127.0.0.1", 0), None, True),
        (STATE, ("127.0.0.1", 8001), None, False),
        (STATE, ("127.0.0.1", 8000), "other", False),
        (STATE, ("0.0.0.0", 0), None, False),
        (replace(STATE, is_served=False), ("127.0.0.1", 0), None, False),
        (replace(STATE, is_served=False), None, None, True),
        (replace(STATE, address="http://[::1]:8000"), ("::1", 8000), None, True),
    ],
)
def test_which_server_is_the_one_that_was_asked_for(state, listen, key, is_so):
    """This test ensures that an address is met to the port, 0 by any port, and never by a server that is not open."""
    assert listens_as_asked(state, listen, key) is is_so


@pytest.mark.engine
def test_logs_tell_what_a_failed_engine_said(lctx_home, tmp_path):
    """This test ensures that the log of an engine that did not start can be read, and that reading does not remove it."""
    broken = write_tiny_model(tmp_path / "broken.gguf", {"llama.embedding_length": 128})
    assert run_lctx(lctx_home, "serve", broken, "--port", "0").returncode == 4
    for _ in range(2):
        done = run_lctx(lctx_home, "logs")
        assert done.returncode == 0, done.stderr.decode()
        assert b"broken.gguf" in done.stdout


@pytest.mark.engine
def test_logs_follow_until_the_engine_ends(lctx_home, tiny_gguf):
    """This test ensures that -f tells what is written later, and ends with the engine."""
    told = serve(lctx_home, tiny_gguf, "--port", "0")
    command = [LCTX, "logs", "tiny", "-f", "-n", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(lctx_home)) as process:
        assert process.stdout is not None
        with open(told["log"], "a", encoding="utf-8") as log:  # noqa: PTH123 - as the engine does
            while process.poll() is None and not (line := first_line(process)):
                log.write("said \x1b[31mlater\x1b[0m\n")
                log.flush()
        assert line == "said later\n"
        run_lctx(lctx_home, "stop", told["id"])
        assert process.wait(20) == 0


def first_line(process) -> str:
    """The first line of what a process wrote, if it has written one by now."""
    os.set_blocking(process.stdout.fileno(), False)
    wait_until(lambda: False, 0.2)
    read = process.stdout.read() or b""
    return read.decode().partition("\n")[0] + "\n" if read else ""


def test_logs_across_a_rotation(tmp_path):
    """This test ensures that both files are told in order, that -n counts over both, and that following survives it."""
    files = ServerFiles(tmp_path, "vllm-1")
    files.old_log.write_text("one\ntwo\n")
    files.log.write_text("three\nfo")
    assert list(log_lines(files)) == ["one", "two", "three", "fo"]
    assert list(log_lines(files, 2)) == ["three", "fo"]
    assert list(log_lines(files, 0)) == []
    tail = LogTail(files)
    assert tail.read() == []
    with files.log.open("a") as log:
        log.write("ur\nfive\n")
    files.log.replace(files.old_log)
    files.log.write_text("six\nseven")
    assert tail.read() == ["ur", "five", "six"]
    assert tail.rest() == ["seven"]
    files.log.write_text("8\n")
    assert tail.read() == ["8"]
    files.log.unlink()
    assert tail.read() == []
    tail.close()


def test_logs_are_harmless_and_named(lctx_home):
    """This test ensures that a log cannot drive a terminal, and that a name without a log is told with those there are."""
    run = lctx_home / "run"
    run.mkdir(parents=True, mode=0o700)
    (run / "llama-7.log").write_bytes(b"a\x1b]0;title\x07b\x9b2Jc\r\nd\xff\n" + b"x" * 200_000 + b"\n")
    done = run_lctx(lctx_home, "logs", "llama-7")
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout
    assert b"\x07" not in done.stdout
    assert done.stdout.startswith(b"ab")
    assert done.stdout.count(b"x") == 200_000
    missing = run_lctx(lctx_home, "logs", "other")
    assert missing.returncode == 2
    assert "other: no such engine" in missing.stderr.decode()
    assert "llama-7" in missing.stderr.decode()
    assert run_lctx(lctx_home, "logs", "-n", "few").returncode == 2


def test_no_log_at_all(lctx_home):
    """This test ensures that logs says so where no engine ever ran, and leaves no directory behind."""
    done = run_lctx(lctx_home, "logs")
    assert done.returncode == 2
    assert "no engine has said anything" in done.stderr.decode()
    assert not (lctx_home / "run").exists()
