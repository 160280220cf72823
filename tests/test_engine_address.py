"""Addresses: what the user may type, what is this machine, what is refused."""

import pytest

from lctx.core.engine.address import parse_address
from lctx.core.engine.open import EngineSettings, start_engine
from lctx.core.errors import UsageError


@pytest.mark.parametrize(
    ("text", "host", "port", "api", "root"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1", 8000, "/v1", ""),
        ("http://127.0.0.1:8000/", "127.0.0.1", 8000, "/v1", ""),
        ("http://box:8000/v1/", "box", 8000, "/v1", ""),
        ("https://models.example.org/v1", "models.example.org", 443, "/v1", ""),
        ("https://example.org/team/openai/v1", "example.org", 443, "/team/openai/v1", "/team/openai"),
        ("https://example.org/api", "example.org", 443, "/api", "/api"),
        ("http://[::1]:9", "::1", 9, "/v1", ""),
    ],
)
def test_an_address_is_read(text, host, port, api, root):
    """This test ensures that a base address works with and without its /v1, as people paste it."""
    address = parse_address(text)
    assert (address.host, address.port, address.api, address.root) == (host, port, api, root)
    assert address.tls == text.startswith("https")


def test_a_unix_socket_is_an_address():
    """This test ensures that a server without a port can be named."""
    address = parse_address("unix:///run/vllm.sock")
    assert (address.socket, address.api, address.is_local) == ("/run/vllm.sock", "/v1", True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost:8000",
        "ftp://x",
        "http://",
        "http://x:99999",
        "http://x:y",
        "unix://relative",
        "unix:///a\x00b",
        "http://a b/",
        "http://x/?a=1",
        "http://x/#f",
        "http://x\r\nEvil: 1/",
        "http://[::1",
        "http://ü.example",
    ],
)
def test_what_is_no_address_is_a_usage_error(text):
    """This test ensures that a typing error is told before anything is connected."""
    with pytest.raises(UsageError):
        parse_address(text)


def test_a_password_in_the_address_is_refused_and_not_repeated():
    """This test ensures that a secret on the command line is not printed once more."""
    with pytest.raises(UsageError) as caught:
        parse_address("https://me:hunter2@example.org/v1")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.9.9.9:1", True),
        ("http://localhost:1", True),
        ("http://[::1]:1", True),
        ("unix:///x.sock", True),
        ("http://127.0.0.1.example.org", False),
        ("http://10.0.0.1", False),
        ("http://example.org", False),
        ("http://localhost.example.org", False),
    ],
)
@pytest.mark.parametrize("kind", ["vllm", "endpoint"])
def test_offline_allows_this_machine_only(text, local, kind, tmp_path):
    """This test ensures that --offline refuses every address that could lead elsewhere, before connecting."""
    settings = EngineSettings(kind, model_name="m", address=text, offline=True)
    if local:
        assert start_engine(settings, tmp_path).warm
    else:
        with pytest.raises(UsageError, match="--offline"):
            start_engine(settings, tmp_path)


@pytest.mark.parametrize(
    "settings",
    [EngineSettings("vllm"), EngineSettings("endpoint"), EngineSettings("llama"), EngineSettings("gpt")],
)
def test_incomplete_settings_are_usage_errors(settings, tmp_path):
    """This test ensures that an engine without address or model, or an unknown one, is told with a hint."""
    with pytest.raises(UsageError) as caught:
        start_engine(settings, tmp_path)
    assert caught.value.hint
