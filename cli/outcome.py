"""All that is known when a question is over, answered or not: what every format is written from."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from lctx.cli.marks import unsupported_sentences
from lctx.core.answering.answer import AnswerReady
from lctx.core.answering.wire import AnswerRecord, TimingsPart, failed_record, record_of
from lctx.core.engine.events import PrefillProgress
from lctx.core.errors import ExitCode, LctxError, SourceError
from lctx.core.planning.plan import ContextPlan


@dataclass(slots=True)
class Outcome:
    """How one question went; filled in while it goes.

    Attributes:
        question: As it was asked, or None before it is known.
        ready: The answer, or None.
        error: What ended it early, or None.
        partial: What had arrived of the answer.
        plan: None before it stood.
        model: The profile's name, or None.
        engine: The engine's label, or None.
        timings: What was measured.
        exit_code: What the process is about to return.
        warnings: One sentence each.
        unreadable: Named sources that could not be read while others could.
    """

    question: str | None = None
    ready: AnswerReady | None = None
    error: LctxError | None = None
    partial: str = ""
    plan: ContextPlan | None = None
    model: str | None = None
    engine: str | None = None
    timings: TimingsPart = field(default_factory=TimingsPart)
    exit_code: ExitCode = ExitCode.OK
    warnings: list[str] = field(default_factory=list)
    unreadable: Sequence[SourceError] = ()

    def record(self, *, cite: bool = True) -> AnswerRecord:
        """The contract's object; without `cite` its citations are left out."""
        if self.ready is None:
            return failed_record(
                self.question,
                self.error or LctxError("no answer: the stream ended without one"),
                plan=self.plan,
                model=self.model,
                engine=self.engine,
                timings=self.timings,
                exit_code=self.exit_code,
                warnings=self.warnings,
                partial=self.partial,
            )
        return record_of(
            self.question or "",
            self.ready if cite else replace(self.ready, citations=()),
            self.plan,
            model=self.model or "",
            engine=self.engine or "",
            timings=self.timings,
            exit_code=self.exit_code,
            warnings=self.warnings,
            unreadable=self.unreadable,
            unsupported=unsupported_sentences(self.ready.answer, self.ready.citations),
        )


class View(Protocol):
    """One way of showing a question's progress and its end. Errors and warnings also go to standard error."""

    def plan(self, plan: ContextPlan) -> None:
        """The plan stands."""
        ...

    def progress(self, event: PrefillProgress) -> None:
        """The engine has read more of the prompt."""
        ...

    def delta(self, text: str) -> None:
        """More of the answer has arrived."""
        ...

    def warning(self, text: str) -> None:
        """Something that the reader of the answer must know."""
        ...

    def finish(self, outcome: Outcome) -> None:
        """It is over: write what is to be written, whatever happened."""
        ...
