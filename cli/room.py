"""Whether this machine's memory holds a window, before an engine is started for it."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lctx.core.models.profile import ModelProfile

if TYPE_CHECKING:
    from lctx.core.planning.rope import RopeChoice

ALWAYS_TRIED = 8192
"""Tokens of a window that is so small that it is not worth the look."""


def require_room(profile: ModelProfile, window: int, rope: "RopeChoice | None", runtime: Path) -> None:
    """Raise where an engine for that window would take more memory than there is.

    Args:
        profile: Of a GGUF file.
        window: Tokens of prompt and answer together.
        rope: How positions reach it, or None where nothing says.
        runtime: Where the files of running servers are: one of this model is joined, or gives way.

    Raises:
        DoesNotFitError: It names the largest window that fits.
    """
    if window <= ALWAYS_TRIED:
        return
    from lctx.cli.processor import processor
    from lctx.core.engine.servers import list_servers
    from lctx.core.planning.hardware import Hardware, fit_of
    from lctx.core.planning.window import Window

    device = processor()
    if device.available_bytes is None:
        return  # nothing tells what is free here
    held = sum(one.rss_bytes for one in list_servers(runtime) if one.model == str(profile.path))
    free = min(device.available_bytes + held, device.memory_bytes)
    fit = fit_of(profile, Window(window, rope, ""), Hardware(replace(device, available_bytes=free), "llama"))
    if fit is not None:
        fit.require()
