"""Settings in layers: options, then `LCTX_*`, then the project's `lctx.toml`, then your `config.toml`."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from lctx.cli.durations import parse_duration
from lctx.cli.sizes import parse_size
from lctx.core.errors import ConfigError, UsageError

FORMATS = ("text", "md", "json", "ndjson")
ENGINES = ("llama", "vllm", "endpoint")
STRATEGIES = ("full", "retrieve")
KV_DTYPES = ("bfloat16", "float16", "float32", "fp8", "fp8_ds_mla")
PREFIX = "LCTX_"
PROJECT_FILE = "lctx.toml"
_HF_CONFIG = "config.json"
_MAX_FILE_BYTES = 1 << 20
_MAX_TOKENS = 1 << 31
_FOREVER_S = 1e8
_SURE, _ALIKE = 0.85, 0.6

# Read elsewhere, or by the tests: no settings, and no misspelt ones either.
_OTHER_VARIABLES = {"HOME", "API_KEY", "PASSWORD", "DEBUG", "PYTHON"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything about a run that can be set, with its defaults.

    Attributes:
        model: A model's name, a GGUF file or a folder; None is the embedded model.
        engine: "llama", "vllm" or "endpoint".
        endpoint: The address of an engine that is already there.
        endpoints: Addresses of several that serve the same model; `endpoint` is stronger.
        vllm_python: The interpreter whose vLLM is started; None for lctx's own.
        format: One of `FORMATS`.
        max_tokens: At most this many tokens of answer, or None for the model's habit.
        budget: At most this many tokens of the sources, or None for all that fits.
        strategy: One of `STRATEGIES`, or None to choose.
        window: Tokens of prompt and answer together, or None for what the model was measured to answer over.
        gpu: The device to plan for, such as "2xh200"; "none" for no GPU, None for this machine's.
        kv_dtype: What a plan takes the KV cache to be kept as, or None for what the engine would take.
        price_per_hour: Of the device, in any currency; None leaves prices out.
        keep_alive: Seconds that a managed engine stays warm; None is forever.
        wait: Seconds to wait for an engine that is loading; None is forever.
        seed: Same seed, same prompt, same engine: same answer.
        cite: Whether numbers and sources are shown.
        require_citations: Whether an unsupported sentence is a failure.
        show_reasoning: Whether what a model thinks before it answers is shown on standard error.
        quiet: Whether only warnings and errors reach standard error.
        offline: Whether every connection except to this machine is refused.
        cache: Whether anything of the sources may be kept.
        cache_size: Bytes that what is kept of sources may grow to; None for lctx's own ceiling.
    """

    model: str | None = None
    engine: str = "llama"
    endpoint: str | None = None
    endpoints: tuple[str, ...] = ()
    vllm_python: Path | None = None
    format: str = "text"
    max_tokens: int | None = None
    budget: int | None = None
    strategy: str | None = None
    window: int | None = None
    gpu: str | None = None
    kv_dtype: str | None = None
    price_per_hour: float | None = None
    keep_alive: float | None = 300.0
    wait: float | None = 600.0
    seed: int | None = None
    cite: bool = True
    require_citations: bool = False
    show_reasoning: bool = False
    quiet: bool = False
    offline: bool = False
    cache: bool = True
    cache_size: int | None = None

    @property
    def wait_s(self) -> float:
        """Seconds to wait for an engine, however long "forever" is."""
        return _FOREVER_S if self.wait is None else self.wait

    @property
    def is_managed(self) -> bool:
        """Whether the engine is one that lctx starts and stops itself."""
        return self.engine == "llama" or (self.engine == "vllm" and not (self.endpoint or self.endpoints))


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("not a text")
    return value.strip()


def _texts(value: object) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not parts:
        raise ValueError("not a list of texts")
    return tuple(dict.fromkeys(_text(part) for part in parts))


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    raise ValueError("neither true nor false")


def _number(least: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        text = str(value).strip()
        if (
            isinstance(value, (int, str))
            and re.fullmatch(r"[0-9]{1,10}", text)
            and least <= int(text) < _MAX_TOKENS
        ):
            return int(text)
        raise ValueError(f"not a whole number of at least {least}")

    return parse


def _price(value: object) -> float:
    text = str(value).strip()
    if isinstance(value, (int, float, str)) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        return float(text)
    raise ValueError("not a price such as 2.50")


def _choice(*names: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value in names:
            return str(value)
        near = get_close_matches(str(value), names, 1)
        raise ValueError(f"not one of {', '.join(names)}" + (f"; did you mean {near[0]}?" if near else ""))

    return parse


def _duration(value: object) -> float | None:
    return parse_duration("" if isinstance(value, bool) else str(value))


_PARSERS: dict[str, Callable[[object], Any]] = {
    "model": _text,
    "engine": _choice(*ENGINES),
    "endpoint": _text,
    "endpoints": _texts,
    "vllm_python": lambda value: Path(_text(value)).expanduser(),
    "format": _choice(*FORMATS),
    "max_tokens": _number(1),
    "budget": _number(1),
    "strategy": _choice(*STRATEGIES),
    "window": _number(1),
    "gpu": _text,
    "kv_dtype": _choice(*KV_DTYPES),
    "price_per_hour": _price,
    "keep_alive": _duration,
    "wait": _duration,
    "seed": _number(0),
    "no_cite": _flag,
    "require_citations": _flag,
    "show_reasoning": _flag,
    "quiet": _flag,
    "offline": _flag,
    "no_cache": _flag,
    "cache_size": lambda value: parse_size("" if isinstance(value, bool) else str(value)),
}
KEYS = tuple(_PARSERS)


def load_settings(
    flags: Mapping[str, object], *, environ: Mapping[str, str], directory: Path, own_file: Path
) -> tuple[Settings, list[str]]:
    """The settings of a run, and what to warn of.

    Args:
        flags: Options by their key; None was not given.
        environ: Where `LCTX_*` variables are.
        directory: Where the command runs: the git tree around it may hold `lctx.toml`.
        own_file: The user's `config.toml`; it need not exist.

    Raises:
        ConfigError: A file or a variable holds an unknown key or an unusable value.
        UsageError: An option does.
    """
    values: dict[str, Any] = {}
    values |= _from_file(own_file)
    if (project := project_file(directory)) and project.resolve() != own_file.resolve():
        found = _from_file(project)
        _refuse_in_project(project, found)
        values |= found
    variables, warnings = _from_environment(environ)
    values |= variables
    given = {key: value for key, value in flags.items() if value is not None}
    for key, value in given.items():
        try:
            values[key] = _PARSERS[key](value)
        except ValueError as error:
            raise UsageError(f"--{key.replace('_', '-')} {value}: {error}") from error
    return _assemble(values, given), warnings


def _assemble(values: dict[str, Any], given: Mapping[str, object]) -> Settings:
    values["cite"] = not values.pop("no_cite", False)
    values["cache"] = not values.pop("no_cache", False)
    if "engine" not in values and "endpoint" in given:
        values["engine"] = "endpoint"
    elif "engine" not in values and Path(values.get("model", "")).expanduser().joinpath(_HF_CONFIG).is_file():
        values["engine"] = "vllm"  # a Hugging Face directory, which llama.cpp does not read
    settings = Settings(**values)
    if settings.engine == "llama" and "endpoint" in given:
        raise UsageError(
            "--endpoint: the llama engine is started by lctx and has no address to name",
            "add --engine vllm or --engine endpoint",
        )
    if settings.engine == "endpoint" and not (settings.endpoint or settings.endpoints):
        raise UsageError(
            "the endpoint engine needs an address: no endpoint is named",
            "add --endpoint, such as --engine endpoint --endpoint http://127.0.0.1:8000",
        )
    if settings.engine == "vllm" and settings.is_managed and not settings.model:
        raise UsageError(
            "the vllm engine needs a model or an address: neither is named",
            "add --model DIRECTORY to start one, or --endpoint http://127.0.0.1:8000 for one that runs",
        )
    return settings


def own_config_file() -> Path:
    """`config.toml` under `LCTX_HOME`, else under the user's configuration directory."""
    if home := os.environ.get("LCTX_HOME"):
        return Path(home).expanduser().absolute() / "config.toml"
    if folder := os.environ.get("XDG_CONFIG_HOME"):
        return Path(folder) / "lctx" / "config.toml"
    from platformdirs import PlatformDirs

    return PlatformDirs("lctx", appauthor=False).user_config_path / "config.toml"


def project_file(directory: Path) -> Path | None:
    """`lctx.toml` at the root of the git tree around `directory`, or None."""
    for folder in (directory, *directory.parents):
        if os.path.lexists(folder / ".git"):
            file = folder / PROJECT_FILE
            return file if os.path.lexists(file) else None
    return None


def _from_file(file: Path) -> dict[str, Any]:
    try:
        if not file.exists():
            return {}
        if not file.is_file() or file.stat().st_size > _MAX_FILE_BYTES:
            raise ConfigError(f"{file}: not a configuration file", "move it away")
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", "make it readable, or move it away") from error
    import tomllib

    try:
        table = tomllib.loads(content.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{file}: not TOML: {error}", 'write lines such as keep_alive = "30m"') from error
    values = {}
    for key, value in table.items():
        if key not in _PARSERS:
            raise ConfigError(f"{file}: unknown key {key!r}", _nearest(key, "known keys"))
        values[key] = _parse(f"{file}: {key}", key, value)
    return values


def _from_environment(environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    warnings: list[str] = []
    for name in sorted(environ):
        key = name.removeprefix(PREFIX).lower()
        if not name.startswith(PREFIX) or not environ[name] or key.upper() in _OTHER_VARIABLES:
            continue
        if key in _PARSERS:
            values[key] = _parse(name, key, environ[name])
        elif get_close_matches(key, KEYS, 1, _SURE):
            raise ConfigError(f"{name}: unknown variable", _nearest(key, "known settings", PREFIX))
        elif get_close_matches(key, KEYS, 1, _ALIKE):
            warnings.append(f"{name}: no setting is called that; {_nearest(key, 'known settings', PREFIX)}")
    return values, warnings


def _parse(where: str, key: str, value: object) -> Any:
    try:
        return _PARSERS[key](value)
    except ValueError as error:
        raise ConfigError(f"{where} = {str(value)[:80]!r}: {error}") from error


def _nearest(key: str, what: str, prefix: str = "") -> str:
    names = {key: f"{prefix}{key.upper()}" if prefix else key for key in KEYS}
    near = get_close_matches(key.replace("-", "_").lower(), KEYS, 1, _ALIKE)
    return f"did you mean {names[near[0]]}?" if near else f"{what}: {', '.join(names.values())}"


def _refuse_in_project(file: Path, values: Mapping[str, Any]) -> None:
    """A repository must not decide where your documents go, or loosen what you tightened."""
    refused = {
        "endpoint": "endpoint" in values,
        "endpoints": "endpoints" in values,
        "engine": values.get("engine", "llama") != "llama",
        "vllm_python": "vllm_python" in values,
        "offline": values.get("offline", True) is False,
        "no_cache": values.get("no_cache", True) is False,
        "cache_size": "cache_size" in values,
        "model": _is_path(values.get("model", "")),
    }
    for key, holds in refused.items():
        if holds:
            option = "" if key in {"endpoints", "cache_size"} else f"--{key.replace('_', '-')}, "
            raise ConfigError(
                f"{file}: {key} = {str(values[key])!r} cannot be set by a project",
                f"set it yourself: {option}{PREFIX}{key.upper()} or your own config.toml",
            )


def _is_path(model: str) -> bool:
    return "/" in model or os.sep in model or model.startswith("~") or model.endswith(".gguf")
