"""Complete commands that fit where one does not: each was planned before it is told."""

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from lctx.cli.arguments import STDIN
from lctx.cli.clean import displayable
from lctx.cli.request import Request, ask_settings, names_source, settings_of
from lctx.core.errors import LctxError
from lctx.core.planning.rope import MAX_FACTOR

if TYPE_CHECKING:
    from lctx.core.answering.inputs import Inputs
    from lctx.core.planning.hardware import Fit, Hardware
    from lctx.core.planning.plan import ContextPlan

_MOST = 3
_MOST_TRIED = 12
_MOST_CHARACTERS = 1000
_SINGLE_SOURCES = 3
_COUNTS = (2, 4, 8)


@dataclass(frozen=True)
class Trial:
    """What a request is planned for: the same for a command as typed and for one that is suggested.

    Attributes:
        request: The command line.
        inputs: The question and its sources, cut and counted once.
        hardware: The device, or None where the model's shape is not known.
    """

    request: Request
    inputs: "Inputs"
    hardware: "Hardware | None"

    @property
    def is_gguf(self) -> bool:
        """Whether the model is a GGUF file."""
        path = self.inputs.profile.path
        return path is not None and path.suffix == ".gguf"

    def plan(self) -> "ContextPlan":
        """The plan; see `plan_question`."""
        from lctx.core.answering.ask import plan_inputs
        from lctx.core.planning.hardware import costing_of, kv_dtype_kept

        if self.hardware is None:
            return plan_inputs(self.inputs)
        costing = costing_of(self.inputs.profile, self.hardware)
        return plan_inputs(self.inputs, costing, kv_dtype_kept(self.hardware))

    def fit(self, plan: "ContextPlan") -> "Fit | None":
        """Whether it fits the device, or None where sizes are not known."""
        from lctx.core.planning.hardware import fit_of

        if self.hardware is None or plan.window is None:
            return None
        return fit_of(self.inputs.profile, plan.window, self.hardware)


def fitting_commands(trial: Trial, fit: "Fit | None" = None) -> list[str]:
    """At most three commands near to one that does not fit, the nearest first; none where none was found.

    Args:
        trial: What does not fit.
        fit: By how much it does not fit the device, where that is why.
    """
    found: dict[str, None] = {}
    for variant in islice(_variants(trial.request, trial, fit), _MOST_TRIED):
        command = command_of(variant)
        if _can_be_pasted(command) and command not in found and _plan(variant, trial):
            found[command] = None
        if len(found) == _MOST:
            break
    return list(found)


def command_of(request: Request) -> str:
    """The command line of `request`, as it can be pasted into a shell."""
    options: list[str] = []
    several = {
        "pin": request.pins,
        "weight": request.weights,
        "priority": request.priorities,
        "include": request.include,
        "exclude": request.exclude,
    }
    for name, values in several.items():
        options += [f"--{name}={value}" for value in values]
    if request.question is not None:
        options.append(f"--question={request.question}")
    if request.question_file is not None:
        options.append(f"--question-file={request.question_file}")
    if request.files_from is not None:
        options.append(f"--files-from={request.files_from}")
    options += (
        ["--null"] * request.null + ["--no-ignore"] * (not request.use_ignores) + ["--raw"] * request.raw
    )
    for key, value in (request.flags or {}).items():
        name = f"--{key.replace('_', '-')}"
        if value is True:
            options.append(name)
        elif value not in {None, False}:
            options += [name, str(value)]
    if any(one.startswith("-") and one != STDIN for one in request.arguments):
        return shlex.join(["lctx", "plan", *options, "--", *request.arguments])
    return shlex.join(["lctx", "plan", *request.arguments, *options])


def _can_be_pasted(command: str) -> bool:
    """Whether a terminal shows the command as it is: names of files may hold escapes and line ends."""
    return len(command) <= _MOST_CHARACTERS and "\n" not in command and displayable(command) == command


def _with(request: Request, **flags: object) -> Request:
    return replace(request, flags={**(request.flags or {}), **flags})


def _given(request: Request, key: str) -> bool:
    return (request.flags or {}).get(key) is not None


def _variants(request: Request, trial: Trial, fit: "Fit | None") -> Iterator[Request]:
    """Commands that may fit, the nearest first."""
    settings = settings_of(request)[0]
    if fit is not None:
        if fit.largest_window:
            yield _with(request, window=fit.largest_window)
            if settings.strategy == "full":
                yield _with(request, window=fit.largest_window, strategy="retrieve")
        yield from _for_the_device(request, trial)
    else:
        yield from _windows(request, trial)
    if _given(request, "budget"):
        yield _with(request, budget=None)
    if _given(request, "max_tokens"):
        yield _with(request, max_tokens=None)
    if settings.strategy == "full":
        yield _with(request, strategy="retrieve")
    if request.pins:
        yield from (replace(request, pins=(pin,)) for pin in request.pins if len(request.pins) > 1)
        yield replace(request, pins=())
    yield from _single_sources(request, trial)
    yield replace(_with(request, window=None, budget=None, max_tokens=None, strategy=None), pins=())


def _windows(request: Request, trial: Trial) -> Iterator[Request]:
    """Without the window that was named; where it is too short, the least that holds all."""
    settings, native = settings_of(request)[0], trial.inputs.profile.native_window
    unnamed = [_with(request, window=None)] if _given(request, "window") else []
    if settings.window is not None and settings.window > native:
        rope = trial.inputs.profile.rope
        if rope is not None and settings.window > rope.trained * MAX_FACTOR > native:
            yield _with(request, window=int(rope.trained * MAX_FACTOR))
        yield from unnamed
        yield _with(request, window=native)
        return
    for one in (*unnamed, _with(request, window=native)):
        if plan := _plan(one, trial):
            yield _with(request, window=plan.prompt_tokens + plan.budget.answer)
            break
    yield from unnamed


def _for_the_device(request: Request, trial: Trial) -> Iterator[Request]:
    """A cache of fewer bytes, and more cards of the same kind."""
    if trial.hardware is not None and trial.hardware.engine == "vllm" and not _given(request, "kv_dtype"):
        yield _with(request, kv_dtype="fp8")
    if (name := settings_of(request)[0].gpu) and _given(request, "gpu"):
        single = re.sub(r"^\d+\s*[x*]\s*|\s+x\s*\d+$", "", name)
        yield from (_with(request, gpu=f"{count}x{single}") for count in _COUNTS)


def _single_sources(request: Request, trial: Trial) -> Iterator[Request]:
    """The largest sources that might be read alone, where several were named one by one."""
    named = [one for one in request.arguments if names_source(one)]
    documents = {document.path: document for document in trial.inputs.documents}
    if len(named) < 2 or request.files_from is not None or request.pins:  # noqa: PLR2004 - several
        return
    counts: dict[str, int] = {}
    for chunk, count in zip(trial.inputs.chunks, trial.inputs.counts, strict=True):
        counts[chunk.document.path] = counts.get(chunk.document.path, 0) + count
    question = [one for one in request.arguments[-1:] if one not in named]
    fitting = [one for one in named if one in documents and counts.get(one, 0) < trial.inputs.window]
    for path in sorted(fitting, key=lambda one: -counts.get(one, 0))[:_SINGLE_SOURCES]:
        yield replace(request, arguments=(path, *question))


def _plan(request: Request, trial: Trial) -> "ContextPlan | None":
    """The plan of `request`, or None where it cannot be made or does not fit."""
    with suppress(LctxError):
        variant = _trial_of(request, trial)
        plan = variant.plan()
        if fit := variant.fit(plan):
            fit.require()
        return plan
    return None


def _trial_of(request: Request, trial: Trial) -> Trial:
    from lctx.cli.devices import device_for
    from lctx.core.planning.kv_cache import KvDtype

    settings = settings_of(request)[0]
    inputs = trial.inputs.with_settings(ask_settings(request, settings))
    if request.arguments != trial.request.arguments:
        inputs = replace(inputs, documents=[one for one in inputs.documents if one.path in request.arguments])
    hardware = trial.hardware
    if hardware is not None:
        device = device_for(settings.gpu) if _given(request, "gpu") else hardware.device
        kv_dtype = KvDtype(settings.kv_dtype) if settings.kv_dtype else None
        hardware = replace(hardware, device=device, kv_dtype=kv_dtype)
    return Trial(request, inputs, hardware)
