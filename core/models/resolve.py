"""From what the user calls a model to its profile: embedded, a GGUF file, or a Hugging Face directory."""

import json
import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lctx.core.errors import LctxError, ModelFileError, UsageError
from lctx.core.models import embedded
from lctx.core.models.config_json import DIRECTORY_FILES, ModelDirectory, read_directory, read_json
from lctx.core.models.gguf import GgufHeader, read_header
from lctx.core.models.keeping import dump_profile, load_profile
from lctx.core.models.parameters import count_parameters
from lctx.core.models.profile import Capability, ModelProfile, PromptStyle
from lctx.core.models.rope import rope_from_config, rope_from_gguf
from lctx.core.models.shape import shape_from_config, whole
from lctx.core.models.shape_gguf import shape_from_gguf
from lctx.core.storage import ByteCache

UNMEASURED_WINDOW = 8192
"""The most that a model is trusted with before it was measured: small models lose the thread early."""

_WHAT_MODELS_ARE = (
    "lctx downloads nothing: --model is the path of a .gguf file or of a directory with config.json, "
    "or with --endpoint the name of a served model"
)
_VERSION = 3  # of the rules below: a profile that was kept under other rules is derived again
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


def resolve_model(
    name: str | None, cache: Path, on_progress: Callable[[int, int], None] | None = None
) -> ModelProfile:
    """The profile of the model that the user calls `name`.

    Args:
        name: None or "gemma-3-270m" for the embedded model, else the path of a .gguf file or of a directory
            with config.json.
        cache: Where the embedded model is assembled and derived profiles are kept.
        on_progress: Called with bytes done and in all while the embedded model is assembled.

    Raises:
        UsageError: No model is called that.
        EngineMissingError: The embedded model's packages are not installed.
        ModelFileError: The model's file is missing or damaged.
    """
    profiles = ByteCache(cache / "profiles")
    if name is None or name == embedded.EMBEDDED_NAME:
        return _kept(_embedded_file(cache, on_progress), profiles, _embedded_profile)
    path = Path(name).expanduser()
    if path.is_dir():
        return _kept(path.absolute(), profiles, _directory_profile)
    if path.exists():
        return _kept(path.absolute(), profiles, _gguf_profile)
    if path.suffix == ".gguf" or os.sep in name:
        raise ModelFileError(f"{name}: no such file or directory", _WHAT_MODELS_ARE)
    raise _unknown(name)


def _unknown(name: str) -> UsageError:
    from difflib import get_close_matches

    with suppress(OSError):
        here = sorted(path.name for path in Path().glob("*.gguf"))[:100]
        close = get_close_matches(name, [embedded.EMBEDDED_NAME, *here], n=3, cutoff=0.4)
        if close:
            return UsageError(f"{name}: no such model", f"did you mean {' or '.join(close)}?")
    return UsageError(
        f"{name}: no such model",
        f"{_WHAT_MODELS_ARE}; without --model it is {embedded.EMBEDDED_NAME}",
    )


def _embedded_file(cache: Path, on_progress: Callable[[int, int], None] | None) -> Path:
    try:
        return embedded.assemble(cache / "models", on_progress)
    except ModelFileError as error:
        if not isinstance(error.__cause__, PermissionError) and not _is_read_only(error.__cause__):
            raise
        with suppress(OSError, LctxError):
            return embedded.assemble(_own_temporary_folder(), on_progress)
        raise


def _is_read_only(error: BaseException | None) -> bool:
    import errno

    return isinstance(error, OSError) and error.errno == errno.EROFS


def _own_temporary_folder() -> Path:
    """A folder for this user alone, where the cache cannot be written: found again by the next command."""
    import tempfile

    folder = Path(tempfile.gettempdir()) / f"lctx-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{folder} belongs to someone else")
    return folder / "models"


def _kept(path: Path, profiles: ByteCache, derive: Callable[[Path], ModelProfile]) -> ModelProfile:
    """The profile of the model at `path`, derived again only when its file has changed."""
    windows = f"{UNMEASURED_WINDOW} {embedded.EMBEDDED_EFFECTIVE_WINDOW}"
    key = f"profile {_VERSION} {windows} {derive.__name__} {model_state(path)}"
    kept = profiles.get(key)
    profile = load_profile(kept) if kept is not None else None
    if profile is None:
        profile = derive(path)
        profiles.put(key, dump_profile(profile))
    return replace(profile, path=path)


def model_state(path: Path) -> str:
    """Names a file's or a directory's content without reading it."""
    files = [path]
    if path.is_dir():
        files = [path / name for name in DIRECTORY_FILES]
    states = []
    for file in files:
        try:
            status = file.stat()
            states.append(f"{file} {status.st_size} {status.st_mtime_ns}")
        except OSError:
            states.append(f"{file} -")
    return "\n".join(states)


def _embedded_profile(path: Path) -> ModelProfile:
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
        shape=shape_from_gguf(header),
        add_bos=_gguf_adds_bos(header),
        rope=rope_from_gguf(header),
    )


def _gguf_profile(path: Path) -> ModelProfile:
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
        effective_window=min(native, UNMEASURED_WINDOW),
        style=PromptStyle.CHAT if is_chat else PromptStyle.COMPLETION,
        capabilities=_capabilities(header.architecture, header.num_parameters, is_chat),
        shape=shape_from_gguf(header),
        add_bos=_gguf_adds_bos(header),
        rope=rope,
    )


def _gguf_adds_bos(header: GgufHeader) -> bool:
    """What the file says, or what llama.cpp does where it says nothing."""
    said = header.flag("tokenizer.ggml.add_bos_token")
    if said is not None:
        return said
    is_sentencepiece = header.text("tokenizer.ggml.model") == "llama"
    return is_sentencepiece or header.text("tokenizer.ggml.pre") in _BOS_BY_PRE


def _directory_profile(path: Path) -> ModelProfile:
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
        effective_window=min(native, UNMEASURED_WINDOW),
        style=PromptStyle.CHAT if is_chat else PromptStyle.COMPLETION,
        capabilities=_capabilities(family, count.total if count else 0, is_chat),
        shape=shape_from_config(config),
        add_bos=_directory_adds_bos(model),
        rope=rope,
    )


def _directory_adds_bos(model: ModelDirectory) -> bool:
    said = model.tokenizer_config.get("add_bos_token")
    bos = model.tokenizer_config.get("bos_token")
    bos = bos.get("content") if isinstance(bos, dict) else bos
    if isinstance(said, bool) or not isinstance(bos, str):
        return said is True
    tokenizer = read_json(model.path / "tokenizer.json") or {}
    # The post-processor's template names the token that it puts in front.
    return f'"{bos}"' in json.dumps(tokenizer.get("post_processor"), ensure_ascii=False)


def _capabilities(family: str, num_parameters: int, is_chat: bool) -> frozenset[Capability]:
    """What may be asked: anything of a large instruction-tuned model of a known family, else look-ups."""
    if is_chat and family in _INSTRUCTABLE and num_parameters >= _LARGE:
        return frozenset(Capability)
    return frozenset({Capability.LOOKUP})
