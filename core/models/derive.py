"""From a model's own files, or from its card, to its profile."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lctx.core.errors import ModelFileError
from lctx.core.models import effective, embedded
from lctx.core.models.cards import ModelCard
from lctx.core.models.compute import compute_from_config, compute_from_gguf
from lctx.core.models.config_json import ModelDirectory, read_directory, read_json
from lctx.core.models.gguf import GgufHeader, read_header
from lctx.core.models.layers_config import whole
from lctx.core.models.parameters import count_parameters
from lctx.core.models.profile import Capability, ModelProfile, PromptStyle
from lctx.core.models.reasoning import reasoning_of
from lctx.core.models.rope import rope_from_config, rope_from_gguf
from lctx.core.models.shape import shape_from_config
from lctx.core.models.shape_gguf import shape_from_gguf
from lctx.core.models.weights import (
    active_weight_bytes,
    stored_weight_bytes,
    weight_bytes,
    weight_format_of,
)
from lctx.core.models.widths import widths_from_config, widths_from_gguf

_DEFAULT_WINDOW = 2048
_LARGE = 3_000_000_000
# Families whose instruction-tuned models of 3B parameters and more are made to list, summarise and compare.
# This is what their makers say of them: lctx has not measured each one.
_INSTRUCTABLE = frozenset(
    (
        "cohere", "cohere2", "command-r", "deepseek2", "deepseek_v2", "deepseek_v3", "gemma2", "gemma3",
        "gemma3_text", "glm4", "gpt-oss", "gpt_oss", "granite", "granitemoe", "llama", "llama4",
        "mistral", "mistral3", "mixtral", "olmo2", "phi3", "qwen2", "qwen2moe", "qwen2_moe", "qwen3",
        "qwen3moe", "qwen3_moe", "qwen3next", "qwen3_next"
    )
)  # fmt: skip
# Byte-level vocabularies that begin a prompt with a token even where the file does not say so.
# Source: llama.cpp, `add_bos = true` in src/llama-vocab.cpp.
_BOS_BY_PRE = frozenset(
    ("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "tekken")
)
_BASE_NAME = re.compile(r"(?:^|[-_. ])(?:base|pt|pretrain(?:ed)?)(?:$|[-_. ])", re.IGNORECASE)
# What a GGUF file's weights are mostly kept as. Source: llama.cpp, enum llama_ftype in include/llama.h.
_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    32: "BF16",
}  # fmt: skip


def embedded_profile(path: Path) -> ModelProfile:
    """The profile of the embedded model in the file at `path`."""
    header = read_header(path)
    return ModelProfile(
        name=embedded.EMBEDDED_NAME,
        path=path,
        origin=embedded.EMBEDDED_ORIGIN,
        licence=embedded.EMBEDDED_LICENCE,
        native_window=header.integer(f"{header.architecture}.context_length") or _DEFAULT_WINDOW,
        effective_window=embedded.EMBEDDED_EFFECTIVE_WINDOW,
        effective_source=embedded.EMBEDDED_EFFECTIVE_SOURCE,
        style=PromptStyle.COMPLETION,
        capabilities=frozenset({Capability.LOOKUP}),
        add_bos=_gguf_adds_bos(header),
        rope=rope_from_gguf(header),
        **_gguf_sizes(path, header),
    )


def gguf_profile(path: Path) -> ModelProfile:
    """The profile of the model in the GGUF file at `path`.

    Raises:
        ModelFileError: It is damaged, or holds no language model.
    """
    header = read_header(path)
    if not header.architecture:
        raise ModelFileError(f"{path}: not a language model: the header names no architecture")
    rope = rope_from_gguf(header)
    native = rope.window if rope else _DEFAULT_WINDOW
    name = header.text("general.name") or path.stem
    is_chat = bool(header.text("tokenizer.chat_template")) and not (
        _BASE_NAME.search(name) or _BASE_NAME.search(path.stem)
    )
    author = header.text("general.organization") or header.text("general.author")
    return ModelProfile(
        name=path.stem,
        path=path,
        origin=f"{name}, by {author}" if author else name,
        licence=header.text("general.license") or "not stated in the file",
        native_window=native,
        effective_window=min(native, effective.UNMEASURED_WINDOW),
        style=PromptStyle.CHAT if is_chat else PromptStyle.COMPLETION,
        capabilities=_capabilities(header.architecture, header.num_parameters, is_chat),
        add_bos=_gguf_adds_bos(header),
        rope=rope,
        reasoning=reasoning_of(header.text("tokenizer.chat_template")) if is_chat else None,
        aliases=(name,),
        **_gguf_sizes(path, header),
    )


def _gguf_sizes(path: Path, header: GgufHeader) -> dict[str, Any]:
    """What decides bytes and FLOPs; of the file a token is written from what it meets of the weights."""
    compute, stored = compute_from_gguf(header), stored_weight_bytes(path)
    active = None
    if compute and stored:
        met = compute.parameters.active + (compute.parameters.head or compute.parameters.embedding)
        active = min(stored * met // max(compute.parameters.total, 1), stored)
    return {
        "shape": shape_from_gguf(header),
        "compute": compute,
        "widths": widths_from_gguf(header),
        "weight_bytes": stored,
        "active_bytes": active,
        "quantization": _FILE_TYPES.get(header.integer("general.file_type") or -1),
    }


def _gguf_adds_bos(header: GgufHeader) -> bool:
    """What the file says, or what llama.cpp does where it says nothing."""
    said = header.flag("tokenizer.ggml.add_bos_token")
    if said is not None:
        return said
    is_sentencepiece = header.text("tokenizer.ggml.model") == "llama"
    return is_sentencepiece or header.text("tokenizer.ggml.pre") in _BOS_BY_PRE


def directory_profile(path: Path) -> ModelProfile:
    """The profile of the model in the directory at `path`.

    Raises:
        ModelFileError: It holds no config.json, or a damaged one.
    """
    model = read_directory(path)
    config = model.config
    rope = rope_from_config(config)
    native = rope.window if rope else whole(model.tokenizer_config, "model_max_length")
    native = native if native and native < 1 << 40 else _DEFAULT_WINDOW
    is_chat = model.chat_template is not None and not _BASE_NAME.search(path.name)
    family, count = str(config.get("model_type", "")), count_parameters(config)
    return ModelProfile(
        name=path.name,
        path=path,
        origin=str(config.get("_name_or_path") or path.name),
        licence="not stated in the directory",
        native_window=native,
        effective_window=min(native, effective.UNMEASURED_WINDOW),
        style=PromptStyle.CHAT if is_chat else PromptStyle.COMPLETION,
        capabilities=_capabilities(family, count.total if count else 0, is_chat),
        add_bos=_directory_adds_bos(model),
        rope=rope,
        reasoning=reasoning_of(model.chat_template) if is_chat else None,
        aliases=(told,) if (told := str(config.get("_name_or_path") or "")) else (),
        **_config_sizes(config, stored_weight_bytes(path)),
    )


def _config_sizes(config: Mapping[str, Any], stored: int | None = None) -> dict[str, Any]:
    """What of a config.json decides bytes and FLOPs, by the profile's names.

    Args:
        config: The part of it that speaks of the text decoder.
        stored: Bytes of the weights on the disk, or None where their format tells.
    """
    compute, kept_as = compute_from_config(config), weight_format_of(config)
    computed = active = None
    if compute is not None and kept_as is not None:
        computed = weight_bytes(compute.parameters, kept_as)
        active = active_weight_bytes(compute.parameters, kept_as)
    return {
        "shape": shape_from_config(config),
        "compute": compute,
        "widths": widths_from_config(config),
        "weight_bytes": stored or computed,
        "active_bytes": active,
        "quantization": kept_as.quantization.value if kept_as else None,
    }


def _directory_adds_bos(model: ModelDirectory) -> bool:
    said = model.tokenizer_config.get("add_bos_token")
    bos = model.tokenizer_config.get("bos_token")
    bos = bos.get("content") if isinstance(bos, dict) else bos
    if isinstance(said, bool) or not isinstance(bos, str):
        return said is True
    tokenizer = read_json(model.path / "tokenizer.json") or {}
    # The post-processor's template names the token that it puts in front.
    return f'"{bos}"' in json.dumps(tokenizer.get("post_processor"), ensure_ascii=False)


def card_profile(card: ModelCard) -> ModelProfile:
    """The profile of a model that is known by its card alone: it can be planned for, and not be asked."""
    family = str(card.config.get("model_type", ""))
    return ModelProfile(
        name=card.name,
        path=None,
        origin=card.origin,
        licence=card.licence,
        native_window=card.native_window,
        effective_window=min(card.native_window, effective.UNMEASURED_WINDOW),
        style=PromptStyle.CHAT,
        capabilities=_capabilities(family, card.parameters_published, is_chat=True),
        rope=card.rope,
        source=card.source,
        aliases=card.aliases,
        **_config_sizes(card.config),
    )


def _capabilities(family: str, num_parameters: int, is_chat: bool) -> frozenset[Capability]:
    """What may be asked: anything of a large instruction-tuned model of a known family, else look-ups."""
    if is_chat and family in _INSTRUCTABLE and num_parameters >= _LARGE:
        return frozenset(Capability)
    return frozenset({Capability.LOOKUP})
