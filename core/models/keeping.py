"""A profile as bytes and back, so that a model's header is read once and not by every command."""

from pathlib import Path
from typing import Any

import msgspec

from lctx.core.models.profile import ModelProfile


def dump_profile(profile: ModelProfile) -> bytes:
    """`profile` as JSON."""
    return msgspec.json.encode(profile, enc_hook=str)


def load_profile(kept: bytes) -> ModelProfile | None:
    """The profile that was dumped, or None where these bytes are not one of this version."""
    try:
        return msgspec.json.decode(kept, type=ModelProfile, dec_hook=_path)
    except (msgspec.MsgspecError, ValueError, TypeError):
        return None


def _path(kind: type, value: Any) -> Any:
    return Path(value) if issubclass(kind, Path) else value
