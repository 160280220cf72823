"""Reads a Hugging Face model directory: config.json and, beside it, what the tokenizer says of itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lctx.core.errors import ModelFileError

DIRECTORY_FILES = ("config.json", "tokenizer_config.json", "tokenizer.json", "chat_template.jinja")
"""What is read of a model directory, here and by the tokenizers."""

_MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class ModelDirectory:
    """The small files of a model directory, parsed.

    Attributes:
        path: The directory.
        config: The part of config.json that speaks of the text decoder.
        tokenizer_config: tokenizer_config.json, empty where there is none.
        chat_template: The template that chat prompts are rendered by, or None.
    """

    path: Path
    config: Mapping[str, Any]
    tokenizer_config: Mapping[str, Any]
    chat_template: str | None


def read_directory(path: Path) -> ModelDirectory:
    """What the model directory at `path` says of its model.

    Raises:
        ModelFileError: There is no config.json, or one of the files is not what it should be.
    """
    whole = read_json(path / "config.json")
    if whole is None:
        raise ModelFileError(
            f"{path}: a model directory without config.json", "name a .gguf file or a complete directory"
        )
    text = whole.get("text_config")
    config = {**whole, **text} if isinstance(text, dict) else whole
    tokenizer_config = read_json(path / "tokenizer_config.json") or {}
    return ModelDirectory(path, config, tokenizer_config, _chat_template(path, tokenizer_config))


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in the JSON file at `path`, or None where there is no such file.

    Raises:
        ModelFileError: It cannot be read, is larger than any such file, or holds no JSON object.
    """
    content = read_text(path)
    if content is None:
        return None
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: damaged: not JSON", "fetch or copy the model again") from error
    if not isinstance(value, dict):
        raise ModelFileError(f"{path}: damaged: not a JSON object", "fetch or copy the model again")
    return value


def read_text(path: Path) -> str | None:
    """The text of the file at `path`, or None where there is no such file.

    Raises:
        ModelFileError: It cannot be read, or is larger than any such file.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ModelFileError(
                f"{path}: larger than {_MAX_BYTES >> 20} MB", "fetch or copy the model again"
            )
        return path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror or error}") from error


def _chat_template(path: Path, tokenizer_config: Mapping[str, Any]) -> str | None:
    if (template := read_text(path / "chat_template.jinja")) is not None:
        return template
    found = tokenizer_config.get("chat_template")
    if isinstance(found, list):  # named templates: the one for plain chat
        named = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}
        found = named.get("default")
    return found if isinstance(found, str) else None
