"""How `lctx ps` shows the engines that stay warm."""

import sys
from dataclasses import replace

import pytest
from cli_answers import run_lctx
from managed_servers import PROMPT, answers, start

from lctx.cli.report import text_report
from lctx.cli.servers import table_of
from lctx.core.engine.kv_use import kv_used
from lctx.core.engine.servers import ServerInfo, list_servers
from lctx.core.engine.state import Phase, ServerState

SERVER = ServerInfo(
    id="llama-1a2b3c4d",
    kind="llama",
    name="gemma-3-270m",
    model="/models/gemma.gguf",
    window=4096,
    pid=4711,
    address="unix:///run/llama.sock",
    started_at=1000.0,
    busy=False,
    keep_alive_s=300.0,
    expires_at=1240.0,
    rss_bytes=443 << 20,
    version="xllamacpp/1",
    loading=False,
)


def shown(*servers: ServerInfo) -> list[str]:
    """The lines that `lctx ps` prints into a pipe."""
    return text_report([table_of(servers, now=1000.0)]).splitlines()


def test_a_table_lines_up():
    """This test ensures that columns stand under their heads, whatever the widths."""
    other = replace(SERVER, id="x", name="a-model-with-a-long-name", pid=1)
    lines = shown(SERVER, other)
    assert len(lines) == 3
    assert lines[1].split() == [
        "llama-1a2b3c4d", "llama", "gemma-3-270m", "4,096", "-", "443", "MiB", "-", "-", "4", "min", "4711",
        "unix:///run/llama.sock",
    ]  # fmt: skip
    assert lines[1].index("4711") == lines[0].index("PID")


def test_a_stretched_window_shows_its_rope():
    """This test ensures that an engine whose rope is scaled can be told from one whose rope is its own."""
    stretched = replace(SERVER, rope="yarn x2 (2,048 -> 4,096)")
    head, first, second = shown(SERVER, stretched)
    column = head.index("ROPE")
    assert first[column:].startswith("- ")
    assert second[column:].startswith("yarn x2 (2,048 -> 4,096)  -")


@pytest.mark.parametrize(
    ("change", "until"),
    [
        ({"loading": True}, "loading"),
        ({"busy": True, "expires_at": None}, "in use"),
        ({"keep_alive_s": None, "expires_at": None}, "forever"),
        ({"expires_at": 1030.0}, "30 s"),
        ({"expires_at": 900.0}, "0 s"),
        ({"expires_at": 1000.0 + 7200}, "2 h"),
    ],
)
def test_the_end_of_an_engine_is_told_in_words(change, until):
    """This test ensures that loading, working, staying and ending engines can be told apart."""
    assert f"  {until}  " in shown(replace(SERVER, **change))[1]


def test_a_hostile_model_name_is_harmless():
    """This test ensures that a file name with escape sequences does not reach the terminal as such."""
    lines = shown(replace(SERVER, name="x\x1b[2J\ny", rope="y\x1b[2J\nx", device="z\x1b[2J\nx"))
    assert "\x1b" not in "".join(lines)
    assert len(lines) == 2


def test_what_the_cache_holds_and_what_computes():
    """This test ensures that the tokens in the KV cache and the device have columns of their own."""
    head, row = shown(replace(SERVER, kv_used=3210, device="2 x H200"))
    assert row[: head.index("KV USED") + len("KV USED")].endswith("3,210")
    assert row[head.index("DEVICE") :].startswith("2 x H200")


@pytest.mark.engine
def test_an_engine_tells_what_its_cache_holds(runtime, tiny_gguf):
    """This test ensures that the tokens of the last request are counted, and that nobody asks unless told to."""
    engine = start(runtime, tiny_gguf).ready()
    assert answers(engine)
    engine.close()
    (asked,) = list_servers(runtime, ask=True)
    assert len(PROMPT) <= asked.kv_used <= len(PROMPT) + 3
    assert asked.device == ("CPU" if sys.platform == "linux" else None)
    assert list_servers(runtime)[0].kv_used is None


def test_the_share_that_vllm_tells_becomes_tokens(monkeypatch):
    """This test ensures that vLLM's share of its KV cache is taken of what it printed, and nonsense is not."""
    state = ServerState(
        "vllm-1", "vllm", "m", "/m", 8192, 8192, 1, 0, "http://127.0.0.1:1", "k", "vllm/0.32", 0.0, Phase.READY,
        kv_tokens=20_000,
    )  # fmt: skip
    pages = {
        'vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25\n': 5000,
        'vllm:kv_cache_usage_perc{engine="0"} 0.5\nvllm:kv_cache_usage_perc{engine="1"} 0.0\n': 5000,
        "vllm:kv_cache_usage_perc ...\n": None,
        "": None,
    }
    for page, tokens in pages.items():
        monkeypatch.setattr("lctx.core.engine.connection.fetch_text", lambda *_, page=page, **__: page)
        assert kv_used(state) == tokens
    assert kv_used(replace(state, phase=Phase.LOADING)) is None


def test_all_engines_are_stopped_by_a_word_or_by_none(tmp_path):
    """This test ensures that --all means what no name means, and that a name beside it is refused."""
    done = run_lctx(tmp_path, "stop", "--all")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"no engine was running" in done.stderr
    both = run_lctx(tmp_path, "stop", "llama-1a2b3c4d", "--all")
    assert both.returncode == 2
    assert both.stderr.startswith(b"error: --all: llama-1a2b3c4d is named beside it")
