"""The tokenizer in a Hugging Face model directory: tokenizer.json, or tiktoken.model."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lctx.core.errors import ModelFileError
from lctx.core.models.config_json import read_json, read_text
from lctx.core.tokens.byte_level import build_byte_level, build_ranked
from lctx.core.tokens.control import is_marker
from lctx.core.tokens.patterns import KIMI_K2, LLAMA3, QWEN2, pattern_of_json
from lctx.core.tokens.source import RULES, Kind, TokenizerFacts, TokenizerSource

_TIKTOKEN_PATTERNS = {"kimi": KIMI_K2, "deepseek": KIMI_K2, "llama": LLAMA3, "qwen": QWEN2}
_SERVE_IT = "serve the model and name its address with --endpoint: then its engine counts"


def read_directory_source(path: Path) -> TokenizerSource:
    """The tokenizer of the model directory at `path`.

    Raises:
        ModelFileError: There is none, it is damaged, or lctx does not know its kind.
    """
    described = read_json(path / "tokenizer.json")
    if described is not None:
        return _json_source(path, described)
    ranks = read_text(path / "tiktoken.model")
    if ranks is not None:
        return _tiktoken_source(path, ranks)
    raise ModelFileError(f"{path}: neither tokenizer.json nor tiktoken.model is in the directory", _SERVE_IT)


def _json_source(path: Path, described: dict[str, Any]) -> TokenizerSource:
    model, added = described.get("model"), described.get("added_tokens") or []
    if not isinstance(model, dict) or not isinstance(added, list):
        raise ModelFileError(
            f"{path / 'tokenizer.json'}: damaged: no model in it", "fetch or copy the model again"
        )
    added = [one for one in added if isinstance(one, dict) and isinstance(one.get("content"), str)]
    # Markers such as <think> steer a model even where their file does not call them special.
    controls = [one for one in added if one.get("special") or is_marker(one["content"])]
    specials = {one["content"]: one["id"] for one in controls if isinstance(one.get("id"), int)}
    name = _hash(json.dumps(described, sort_keys=True))
    pattern, normalizer = pattern_of_json(described.get("pre_tokenizer")), described.get("normalizer")
    if model.get("type") == "BPE" and pattern and normalizer in (None, {"type": "NFC"}):
        rules = {"pattern": pattern, "nfc": normalizer is not None}
        plain = {one["content"]: one["id"] for one in added if one["content"] not in specials}
        facts = TokenizerFacts(Kind.BYTE_LEVEL, name, specials)
        return TokenizerSource(facts, lambda: _build(model, rules | {"added": plain}, specials))
    for one in controls:
        one["special"] = True
    return TokenizerSource(TokenizerFacts(Kind.JSON, name, specials), lambda: json.dumps(described).encode())


def _build(model: Mapping[str, Any], rules: Mapping[str, Any], specials: Mapping[str, int]) -> bytes:
    vocabulary = {text: one for text, one in model["vocab"].items() if text not in specials}
    return build_byte_level(
        vocabulary, _merges(model["merges"]), rules, whole_words=bool(model.get("ignore_merges"))
    )


def _merges(lines: Any) -> Iterator[tuple[str, str]]:
    for line in lines:
        left, right = line.split(" ") if isinstance(line, str) else line
        yield left, right


def _tiktoken_source(path: Path, ranks: str) -> TokenizerSource:
    config = read_json(path / "config.json") or {}
    family = str(config.get("model_type", ""))
    pattern = next((found for name, found in _TIKTOKEN_PATTERNS.items() if family.startswith(name)), None)
    if pattern is None:
        raise ModelFileError(f"{path}: how {family!r} models cut words is unknown to lctx", _SERVE_IT)
    decoder = (read_json(path / "tokenizer_config.json") or {}).get("added_tokens_decoder") or {}
    specials = {
        one["content"]: int(index)
        for index, one in decoder.items()
        if isinstance(one, dict) and isinstance(one.get("content"), str) and index.isdecimal()
    }
    facts = TokenizerFacts(Kind.BYTE_LEVEL, _hash(ranks + pattern + json.dumps(specials)), specials)
    return TokenizerSource(facts, lambda: _build_from_ranks(ranks, pattern))


def _build_from_ranks(ranks: str, pattern: str) -> bytes:
    found: dict[bytes, int] = {}
    for line in ranks.splitlines():
        if line:
            text, _, rank = line.partition(" ")
            found[base64.b64decode(text, validate=True)] = int(rank)
    if not found:
        raise ValueError("it is empty")
    ordered = sorted(found, key=found.__getitem__)
    return build_ranked(ordered, [found[text] for text in ordered], {"pattern": pattern})


def _hash(text: str) -> str:
    return hashlib.blake2b(f"{RULES} {text}".encode("utf-8", "replace"), digest_size=16).hexdigest()
