"""What a check found, written down: one JSON file for machines and one Markdown page for people."""

import json
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1


class UnmetError(Exception):
    """A figure was taken, and it is not what it must be."""


@dataclass
class Step:
    """One thing that was looked at.

    Attributes:
        name: What it is called in the report.
        status: "passed", "failed", or "skipped" where it cannot be had on this machine.
        seconds: How long it took, all in all.
        why: The error, or the reason why it was left out.
        figures: What was measured, with the unit in each name.
    """

    name: str
    status: str = "passed"
    seconds: float = 0.0
    why: str = ""
    figures: dict[str, Any] = field(default_factory=dict)


class Report:
    """The steps so far, and what they were taken on."""

    def __init__(self, facts: dict[str, Any], say: Callable[[str], None]) -> None:
        self.facts = facts
        self.steps: list[Step] = []
        self._say = say

    def step(self, name: str, look: Callable[[dict[str, Any]], Any]) -> Any:
        """What `look` gives back, or None where it failed: the steps after it go on.

        Args:
            name: What the step is called.
            look: Told a dict that it puts its figures in; those from before an error are kept.
        """
        step = Step(name)
        self.steps.append(step)
        self._say(f"{name} …")
        begun = time.monotonic()
        try:
            return look(step.figures)
        except Exception as error:  # noqa: BLE001 - whatever happens is the finding
            step.status = "failed"
            step.why = _told(error)
            return None
        finally:
            step.seconds = round(time.monotonic() - begun, 1)
            self._say(f"{name}: {step.status} after {step.seconds} s{f': {step.why}' if step.why else ''}")

    def skip(self, name: str, why: str) -> None:
        """Note that a step cannot be had here."""
        self.steps.append(Step(name, "skipped", why=why))
        self._say(f"{name}: skipped: {why}")

    @property
    def failed(self) -> bool:
        """Whether any step did, or none was taken at all."""
        return not self.steps or any(step.status == "failed" for step in self.steps)

    def write(self, folder: Path) -> None:
        """Write `check.json` and `check.md` into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        steps = [asdict(one) for one in self.steps]
        record = {"schema_version": SCHEMA_VERSION, **self.facts, "steps": steps}
        (folder / "check.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        (folder / "check.md").write_text(self.markdown(), "utf-8")

    def markdown(self) -> str:
        """The page: what it was taken on, then a table of steps and one of figures."""
        lines = ["| | |", "|---|---|"]
        lines += [f"| {_cell(name)} | {_cell(value)} |" for name, value in self.facts.items()]
        lines += ["", "| step | result | seconds |", "|---|---|---:|"]
        for step in self.steps:
            result = f"{step.status}: {step.why}" if step.why else step.status
            lines.append(f"| {_cell(step.name)} | {_cell(result)} | {step.seconds:g} |")
        lines += ["", "| step | figure | value |", "|---|---|---:|"]
        for step in self.steps:
            lines += [
                f"| {_cell(step.name)} | {_cell(name.replace('_', ' '))} | {_cell(value)} |"
                for name, value in step.figures.items()
            ]
        return "\n".join(lines) + "\n"


def _told(error: Exception) -> str:
    """One line: what it says, and for an error that nobody foresaw where it came from."""
    message = getattr(error, "message", None) or str(error) or type(error).__name__
    hint = getattr(error, "hint", None)
    if isinstance(error, UnmetError):
        return message
    if hint is not None or hasattr(error, "exit_code"):
        return f"{message} ({hint})" if hint else message
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {message} ({Path(last.filename).name}:{last.lineno})"


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "-" if value is None else ("yes" if value else "no")
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return " ".join(str(value).split()).replace("|", "\\|")
