"""From what the user calls a model to its profile: embedded, a GGUF file, or a Hugging Face directory."""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lctx.core.errors import LctxError, ModelFileError, UsageError
from lctx.core.models import effective, embedded
from lctx.core.models.config_json import DIRECTORY_FILES
from lctx.core.models.keeping import dump_profile, load_profile
from lctx.core.models.profile import ModelProfile
from lctx.core.storage import ByteCache

_WHAT_MODELS_ARE = (
    "lctx downloads nothing: --model is the path of a .gguf file or of a directory with config.json, "
    "or with --endpoint the name of a served model"
)
_VERSION = 4  # of the rules below: a profile that was kept under other rules is derived again
# Weights as they were published, whose scores hold for them: as GGUF and as vLLM name it.
_UNQUANTISED = frozenset(("F32", "F16", "BF16", "float32", "float16", "bfloat16"))
_SAMPLE_BYTES = 1 << 16
_SHOWN = 80


def resolve_model(
    name: str | None,
    cache: Path,
    on_progress: Callable[[int, int], None] | None = None,
    *,
    cards: bool = False,
    state: Path | None = None,
) -> ModelProfile:
    """The profile of the model that the user calls `name`.

    Args:
        name: None or "gemma-3-270m" for the embedded model, else the path of a .gguf file or of a directory
            with config.json.
        cache: Where the embedded model is assembled and derived profiles are kept.
        on_progress: Called with bytes done and in all while the embedded model is assembled.
        cards: Whether a model that is known by its card alone will do: to plan for it, not to ask it.
        state: The state directory with what this user measured, or None where nothing of it counts.

    Raises:
        UsageError: No model is called that, or it is known by its card alone.
        EngineMissingError: The embedded model's packages are not installed.
        ModelFileError: The model's file is missing or damaged.
    """
    profiles = ByteCache(cache / "profiles")
    if name is None or name == embedded.EMBEDDED_NAME:
        return _kept(_embedded_file(cache, on_progress), profiles, "embedded_profile")
    path = Path(name).expanduser()
    if os.path.isdir(path):  # noqa: PTH112 - a name may be too long for a path, and then it is none
        return with_effective_window(_kept(path.absolute(), profiles, "directory_profile"), state)
    if os.path.exists(path):  # noqa: PTH110
        return with_effective_window(_kept(path.absolute(), profiles, "gguf_profile"), state)
    from lctx.core.models.cards import find_card

    card = None if path.suffix == ".gguf" else find_card(name)
    if card is not None and cards:
        from lctx.core.models.derive import card_profile

        return with_effective_window(card_profile(card), state)
    if card is not None:
        raise UsageError(
            f"{name}: lctx knows its shape but has not its weights", f"{_WHAT_MODELS_ARE}; lctx plan takes it"
        )
    if path.suffix == ".gguf" or os.sep in name:
        raise ModelFileError(f"{name}: no such file or directory", _WHAT_MODELS_ARE)
    raise _unknown(name, cards=cards)


def _unknown(name: str, *, cards: bool) -> UsageError:
    from difflib import get_close_matches

    from lctx.core.models.cards import near_cards

    shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
    close: list[str] = []
    with suppress(OSError):
        here = sorted(path.name for path in Path().glob("*.gguf"))[:100]
        close = get_close_matches(name, [embedded.EMBEDDED_NAME, *here], n=3, cutoff=0.4)
    if cards:
        close = [*dict.fromkeys([*close, *near_cards(name)])][:3]
    if close:
        return UsageError(f"{shown}: no such model", f"did you mean {' or '.join(close)}?")
    return UsageError(
        f"{shown}: no such model",
        f"{_WHAT_MODELS_ARE}; without --model it is {embedded.EMBEDDED_NAME}; lctx models ls lists all",
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


def _kept(path: Path, profiles: ByteCache, way: str) -> ModelProfile:
    """The profile of the model at `path`, derived again only when its file has changed."""
    windows = f"{effective.UNMEASURED_WINDOW} {embedded.EMBEDDED_EFFECTIVE_WINDOW}"
    key = f"profile {_VERSION} {windows} {way} {model_state(path)}"
    kept = profiles.get(key)
    profile = load_profile(kept) if kept is not None else None
    if profile is None:
        from lctx.core.models import derive  # reading a header takes most of lctx's imports of models

        profile = getattr(derive, way)(path)
        profiles.put(key, dump_profile(profile))
    return replace(profile, path=path)


def with_effective_window(profile: ModelProfile, state: Path | None) -> ModelProfile:
    """The profile with the length up to which the model was measured to answer; never kept: it may change.

    What others published counts for the weights that they measured, and not for the same weights quantised.
    """
    from lctx.core.models.effective import effective_window

    found = effective_window(profile.name, profile.native_window, state, profile.aliases)
    if found is None:
        return profile
    is_as_published = profile.path is None or profile.quantization in _UNQUANTISED
    if not found.is_measured and not is_as_published:
        return profile
    return replace(profile, effective_window=found.tokens, effective_source=found.source)


def weights_identity(folder: Path) -> str | None:
    """Names the weights in a model directory wherever it lies, or None where they cannot be read.

    Of each file its name, its size and its last bytes: two models of one shape differ there, and reading all
    of it would take minutes.
    """
    import hashlib

    files = sorted(file for kind in ("*.safetensors", "*.bin") for file in folder.glob(kind))
    told = hashlib.sha256()
    try:
        for file in files:
            with file.open("rb") as weights:
                size = weights.seek(0, os.SEEK_END)
                weights.seek(max(0, size - _SAMPLE_BYTES))
                told.update(f"{file.name} {size} ".encode() + weights.read(_SAMPLE_BYTES))
    except OSError:
        return None
    return told.hexdigest()[:16] if files else None


def model_state(path: Path) -> str:
    """Names a file's or a directory's content without reading it."""
    files = [path]
    if os.path.isdir(path):  # noqa: PTH112 - a name may be too long for a path, and then it is none
        files = [path / name for name in DIRECTORY_FILES]
    states = []
    for file in files:
        try:
            status = file.stat()
            states.append(f"{file} {status.st_size} {status.st_mtime_ns}")
        except OSError:
            states.append(f"{file} -")
    return "\n".join(states)
