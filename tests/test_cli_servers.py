"""How `lctx ps` shows the engines that stay warm."""

from dataclasses import replace

import pytest

from lctx.cli.servers import table_of
from lctx.core.engine.servers import ServerInfo

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


def test_a_table_lines_up():
    """This test ensures that columns stand under their heads, whatever the widths."""
    other = replace(SERVER, id="x", name="a-model-with-a-long-name", pid=1)
    lines = table_of([SERVER, other], now=1000.0).splitlines()
    assert len(lines) == 3
    assert lines[1].split() == [
        "llama-1a2b3c4d", "llama", "gemma-3-270m", "4,096", "-", "443", "MiB", "4", "min", "4711", "unix:///run/llama.sock"
    ]  # fmt: skip
    assert lines[1].index("4711") == lines[0].index("PID")


def test_a_stretched_window_shows_its_rope():
    """This test ensures that an engine whose rope is scaled can be told from one whose rope is its own."""
    stretched = replace(SERVER, rope="yarn x2 (2,048 -> 4,096)")
    head, first, second = table_of([SERVER, stretched], now=1000.0).splitlines()
    column = head.index("ROPE")
    assert first[column:].startswith("- ")
    assert second[column:].startswith("yarn x2 (2,048 -> 4,096)  443 MiB")


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
    assert f"  {until}  " in table_of([replace(SERVER, **change)], now=1000.0).splitlines()[1]


def test_a_hostile_model_name_is_harmless():
    """This test ensures that a file name with escape sequences does not reach the terminal as such."""
    table = table_of([replace(SERVER, name="x\x1b[2J\ny", rope="y\x1b[2J\nx")], now=0.0)
    assert "\x1b" not in table
    assert len(table.splitlines()) == 2
