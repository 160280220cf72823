"""Whether memory holds a window: asked before an engine starts, with what a running one gives back."""

import os
from dataclasses import replace

import pytest

from lctx.cli import processor, room
from lctx.cli.room import ALWAYS_TRIED, require_room
from lctx.core.engine.servers import ServerInfo
from lctx.core.errors import DoesNotFitError, ExitCode
from lctx.core.models.resolve import resolve_model
from lctx.core.planning.devices import Device, DeviceKind

GIB = 2**30


@pytest.fixture
def profile(smollm2_gguf, tmp_path):
    """A real model whose KV cache takes 23,040 bytes a token."""
    return resolve_model(str(smollm2_gguf), tmp_path / "cache")


def machine(monkeypatch, available, total=64 * GIB):
    """This machine with so much of its memory free."""
    device = Device("cpu", DeviceKind.CPU, total, available_bytes=available)
    monkeypatch.setattr(processor, "processor", lambda: device)


def running(model, rss_bytes):
    """A server of that model which holds so much memory."""
    return ServerInfo(
        "llama-1", "llama", "m", str(model), 8192, os.getpid(), "", 0.0, False, 300.0, None, rss_bytes, "v",
        loading=False,
    )  # fmt: skip


def test_a_window_that_memory_cannot_hold_is_refused_with_one_that_it_can(monkeypatch, profile, tmp_path):
    """This test ensures that the refusal names what is needed, what is there, and a window that is then taken."""
    machine(monkeypatch, 4 * GIB)
    with pytest.raises(
        DoesNotFitError, match=r"1,000,000 tokens: needs 21\.5 GiB for the KV cache"
    ) as caught:
        require_room(profile, 1_000_000, None, tmp_path / "run")
    assert caught.value.exit_code is ExitCode.DOES_NOT_FIT
    largest = int(caught.value.message.rpartition(" ")[2].replace(",", ""))
    assert f"--window {largest}" in caught.value.hint
    assert largest > ALWAYS_TRIED
    require_room(profile, largest, None, tmp_path / "run")
    with pytest.raises(DoesNotFitError):
        require_room(profile, largest + 1024, None, tmp_path / "run")


def test_what_a_server_of_the_model_holds_comes_back(monkeypatch, profile, tmp_path):
    """This test ensures that a warm engine does not stand in its own way, and that one of another model does."""
    machine(monkeypatch, GIB // 2)
    with pytest.raises(DoesNotFitError):
        require_room(profile, 32_768, None, tmp_path)
    for model, is_held in (("/other.gguf", True), (profile.path, False)):
        servers = [running(model, 4 * GIB)]
        monkeypatch.setattr("lctx.core.engine.servers.list_servers", lambda _runtime, told=servers: told)
        if is_held:
            with pytest.raises(DoesNotFitError):
                require_room(profile, 32_768, None, tmp_path)
        else:
            require_room(profile, 32_768, None, tmp_path)


def test_small_and_unknown_cases_are_let_by(monkeypatch, profile, tmp_path):
    """This test ensures that nothing is refused that lctx cannot work out, and a small window costs no look."""
    machine(monkeypatch, 1)
    require_room(profile, ALWAYS_TRIED, None, tmp_path)
    require_room(replace(profile, widths=None), 1_000_000, None, tmp_path)
    machine(monkeypatch, None)
    require_room(profile, 1_000_000, None, tmp_path)
    assert room.ALWAYS_TRIED == 8192
