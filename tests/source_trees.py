"""Folders to look for sources in, and what is found there."""

import os
import subprocess
from pathlib import Path

import pytest

from lctx.formats.sources import find_sources


@pytest.fixture(autouse=True)
def own_git_settings(monkeypatch, tmp_path_factory):
    """No ignore file of whoever runs the tests, and no repository around the temporary directory."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path_factory.getbasetemp()))


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def below(root: Path, **choice) -> list[str]:
    found = find_sources([str(root)], **choice)
    assert found.errors == ()
    return [source.path.removeprefix(f"{root}/") for source in found.files]


def reasons(root: Path, **choice) -> dict[str, str]:
    return {
        one.path.removeprefix(f"{root}/"): one.reason for one in find_sources([str(root)], **choice).skipped
    }
