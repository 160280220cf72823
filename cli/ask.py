"""`lctx ask`: a question, its sources and a model become an answer with checked citations."""

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, cast

from lctx.cli.arguments import STDIN
from lctx.cli.exit import exit_code_of
from lctx.cli.failure import internal_error
from lctx.cli.notes import Notes, bar, join_few
from lctx.cli.outcome import Outcome, View
from lctx.cli.output import Sink, open_sink
from lctx.cli.request import Request, ask_settings, invocation_of, names_source, settings_of
from lctx.cli.settings import Settings
from lctx.cli.signals import interruptible
from lctx.core.answering.answer import AnswerDelta, AnswerEvent, AnswerReady, PlanReady
from lctx.core.answering.wire import TimingsPart
from lctx.core.engine.events import PrefillProgress, ReasoningDelta
from lctx.core.errors import ExitCode, GateError, InterruptError, LctxError, SourceError
from lctx.core.planning.plan import ContextPlan

if TYPE_CHECKING:
    from collections.abc import Generator

    from lctx.cli.arguments import Invocation
    from lctx.cli.attachment import Attachment
    from lctx.cli.looking import Looking
    from lctx.cli.passwords import Passwords
    from lctx.cli.sources import Reading
    from lctx.core.answering.inputs import AskSettings
    from lctx.core.storage import ByteCache


def run_ask(request: Request, started: float) -> ExitCode:
    """Answer a request, show the answer, and return what the process returns.

    Args:
        request: The command line.
        started: `time.monotonic()` when the process began.

    Raises:
        LctxError: Before it is known how the answer is to be shown; after that errors are shown with it.
    """
    settings, warnings = settings_of(request)
    notes = Notes(quiet=settings.quiet)
    sink = open_sink(request.output)
    view = open_view(settings, sink, notes)
    asking = Asking(settings, view, notes, started, is_unwanted=lambda: sink.is_gone)
    for text in warnings:
        asking.warn(text)
    with interruptible():
        try:
            asking.run(request)
        except LctxError as error:
            asking.outcome.error = error
        except KeyboardInterrupt:
            asking.outcome.error = interruption(asking.outcome.partial)
        except Exception as error:  # noqa: BLE001 - told, with a code of its own; a crash is no finding
            asking.outcome.error = internal_error(error)
        return asking.finish()


def interruption(partial: str) -> InterruptError:
    """Ctrl-C as an error that says whether there is anything to keep."""
    kept = "what had arrived of the answer is kept" if partial else "nothing had arrived of the answer"
    return InterruptError(f"interrupted: {kept}")


def open_view(settings: Settings, sink: Sink, notes: Notes) -> View:
    """The view that fits the format and the terminal; what it needs is imported only then."""
    import os

    cite = settings.cite
    if settings.format in {"json", "ndjson"}:
        from lctx.cli.json_view import JsonView, NdjsonView

        return JsonView(sink, cite=cite) if settings.format == "json" else NdjsonView(sink, cite=cite)
    if settings.format == "text" and sink.is_terminal and os.environ.get("TERM", "dumb") != "dumb":
        from lctx.cli.terminal import TerminalView

        return TerminalView(notes, cite=cite)
    from lctx.cli.plain import PlainView

    return PlainView(sink, markdown=settings.format == "md", cite=cite)


class Asking:
    """One question on its way; `outcome` holds what is known of it at any moment."""

    def __init__(
        self,
        settings: Settings,
        view: View,
        notes: Notes,
        started: float,
        *,
        is_unwanted: Callable[[], bool] = lambda: False,
    ) -> None:
        """Begin.

        Args:
            settings: Which model, which engine, how much.
            view: Where the answer is shown.
            notes: Where all else is told.
            started: When the process began.
            is_unwanted: Whether the reader went away, so that nobody wants the rest.
        """
        self.outcome = Outcome()
        self._is_unwanted = is_unwanted
        self._settings = settings
        self._view = view
        self._notes = notes
        self._started = started
        self._attachment: Attachment | None = None
        self._looking: Looking | None = None
        self._num_characters = self._num_thought = 0
        self._num_unsupported = 0
        self._timings: dict[str, float] = {}

    def warn(self, text: str) -> None:
        """Tell, and remember, what the reader of the answer must know."""
        if text not in self.outcome.warnings:
            self.outcome.warnings.append(text)
            self._view.warning(text)
            self._notes.warning(text)

    def run(self, request: Request) -> None:
        """From the command line to the answer; what goes wrong is raised."""
        from lctx.cli.attachment import Attachment
        from lctx.cli.folders import content_cache, usable_directories
        from lctx.cli.looking import Looking
        from lctx.cli.passwords import Passwords

        invocation = invocation_of(request, needs_question=True)
        asked = ask_settings(request, self._settings)
        self.outcome.question = invocation.question
        for text in invocation.warnings:
            self.warn(text)
        require_one(invocation)
        if self._settings.endpoints:
            from lctx.cli.endpoints import with_endpoint

            self._settings = with_endpoint(self._settings, invocation.sources, self.warn)
        folders = usable_directories(self.warn)
        cache = content_cache(folders, self._settings)
        self._attachment = Attachment(self._settings, folders, self._notes.progress, self.warn, start=True)
        passwords = Passwords(request.password, self._notes)
        reading = read_all(request, invocation, cache, self._notes, passwords)
        self._looking = Looking(cache, reading.files, passwords.options_for, reading.contents, self.warn)
        self._timings["read_s"] = monotonic() - self._started
        self._told_reading(reading)
        self.outcome.model = self._attachment.profile.name
        self._answer(reading, cache, asked)
        if cache.broken:
            self.warn(f"the cache cannot be written, nothing was kept: {cache.broken}")

    def finish(self) -> ExitCode:
        """Show how it ended; the code is decided before, so that every format carries it."""
        outcome = self.outcome
        outcome.engine = self._attachment.label if self._attachment else None
        self._timings["total_s"] = monotonic() - self._started
        outcome.timings = TimingsPart(**{name: round(value, 3) for name, value in self._timings.items()})
        outcome.exit_code = exit_code_of(
            outcome.error,
            num_unreadable=len(outcome.unreadable),
            num_unsupported=self._num_unsupported,
        )
        self._notes.clear()
        failure = outcome.error
        try:
            self._view.finish(outcome)
        except LctxError as error:  # the answer could not be written: a full disk, a closed descriptor
            failure = error
            outcome.exit_code = exit_code_of(error)
        self._told_end(failure)
        if self._attachment:
            if outcome.ready and not failure:
                self._attachment.learn(outcome.ready)
            self._attachment.close()
        return outcome.exit_code

    def _told_reading(self, reading: "Reading") -> None:
        self.outcome.unreadable = reading.unreadable
        for error in reading.unreadable:
            self.warn(told_error(error))
        for text in reading.warnings:
            self.warn(text)
        if reading.skipped:
            reasons = dict.fromkeys(reason for _, reason in reading.skipped)
            self._notes.line(f"left out by rule: {len(reading.skipped)} paths ({join_few(reasons)})")

    def _answer(self, reading: "Reading", cache: "ByteCache", asked: "AskSettings") -> None:
        from lctx.core.answering.ask import answer_question

        attachment, looking = self._attachment, self._looking
        assert attachment is not None  # noqa: S101 - run() made both
        assert looking is not None  # noqa: S101
        begun = monotonic()
        events = answer_question(
            self.outcome.question or "",
            reading.documents,
            profile=attachment.profile,
            tokenizer=attachment.tokenizer,
            cache=cache,
            settings=asked,
            engine=lambda: attachment.engine,
            unseen=looking.unseen,
        )
        # Closing the stream is what makes the engine drop the request.
        with closing(cast("Generator[AnswerEvent]", events)):
            for event in events:
                self._take(event, begun)
                if self._is_unwanted():
                    return

    def _take(self, event: AnswerEvent, begun: float) -> None:
        match event:
            case PlanReady():
                self._timings["plan_s"] = monotonic() - begun
                self.outcome.plan = event.plan
                if self._attachment:
                    self._attachment.needs(event.plan)
                for text in event.plan.warnings:
                    self.warn(text)
                self._notes.line(plan_line(event.plan))
                self._notes.progress("waiting for the engine", now=True)
                self._view.plan(event.plan)
            case PrefillProgress():
                told = f"{event.done:,} of {event.total:,} tokens"
                self._notes.progress(f"reading the prompt [{bar(event.done, event.total)}] {told}")
                self._view.progress(event)
            case ReasoningDelta():
                self._take_reasoning(event.text)
            case AnswerDelta():
                self.outcome.partial += event.text
                self._num_characters += len(event.text)
                if self._streams_elsewhere:
                    self._notes.progress(f"answering: {self._num_characters:,} characters")
                self._view.delta(event.text)
            case AnswerReady():
                self._take_answer(event)

    def _take_reasoning(self, text: str) -> None:
        if self._settings.show_reasoning:
            self._notes.reasoning(text)
        else:
            self._num_thought += len(text)
            self._notes.progress(f"thinking: {self._num_thought:,} characters")

    @property
    def _streams_elsewhere(self) -> bool:
        from lctx.cli.plain import PlainView

        return isinstance(self._view, PlainView)

    def _take_answer(self, ready: AnswerReady) -> None:
        if self._looking and self._settings.format in {"json", "ndjson"}:
            # Only machines are told the box, and it takes opening the source once more.
            ready = replace(ready, citations=tuple(self._looking.with_boxes(ready.citations)))
        self.outcome.ready = ready
        if ready.first_token_s is not None:
            self._timings["first_token_s"] = ready.first_token_s
        for text in ready.warnings:
            self._view.warning(text)
        if self._settings.require_citations:
            from lctx.core.citing.gate import unproven

            # "Not found" is a valid answer, but nothing proves it, and passages are no answer: no gate that
            # asks for proof lets them by.
            missing = unproven(ready.answer.text, ready.citations)
            self._num_unsupported = len(missing) if ready.answer.found else max(len(missing), 1)

    def _told_end(self, failure: LctxError | None) -> None:
        ready = self.outcome.ready
        for text in ready.warnings if ready else ():
            self._notes.warning(text)
        self._notes.withheld()
        if ready:
            self._notes.line(usage_line(ready, self._timings))
        if failure:
            self._notes.error(failure)
        elif self._num_unsupported and ready and ready.answer.found is None:
            self._notes.error(
                GateError(
                    "--require-citations: these are passages, and no answer that could be proved",
                    "ask for one fact, or use a model that was measured for such a question",
                )
            )
        elif self._num_unsupported and ready and ready.answer.found is False:
            self._notes.error(
                GateError(
                    "--require-citations: the answer was not found, and nothing proves that it is not there",
                    "ask in the words of the sources, or name the source that holds it",
                )
            )
        elif self._num_unsupported:
            what = "sentence has" if self._num_unsupported == 1 else "sentences have"
            self._notes.error(
                GateError(
                    f"--require-citations: {self._num_unsupported} {what} no verified quote that supports it",
                    "read the sentences that are marked, or ask a narrower question",
                )
            )


def require_one(invocation: "Invocation") -> None:
    """Raise now where every named source is missing: no engine is started for a misspelt path."""
    from lctx.core.errors import MissingSourceError

    if not invocation.stdin and not any(names_source(name) for name in invocation.sources):
        first, others = invocation.sources[0], invocation.sources[1:]
        more = f", nor {join_few(others)}" if others else ""
        raise MissingSourceError(first, f"no such file{more}", "check the path")


def read_all(
    request: Request,
    invocation: "Invocation",
    cache: "ByteCache",
    notes: Notes,
    passwords: "Passwords | None" = None,
) -> "Reading":
    """Every source of an invocation, read with progress.

    Raises:
        SourceError: Not one could be read: the first reason.
    """
    from lctx.cli.passwords import Passwords
    from lctx.cli.sources import nothing_read
    from lctx.core.document_cache import DocumentCache
    from lctx.formats.sources import find_sources

    def told(done: int, total: int, name: str) -> None:
        shown = "standard input" if name == STDIN else name
        notes.progress(f"reading {done} of {total}: {shown}")

    notes.progress("looking for the sources")
    found = find_sources(
        invocation.sources,
        include=request.include,
        exclude=request.exclude,
        use_ignores=request.use_ignores,
        look_inside=False,  # whoever reads it opens it anyway
    )
    reading = (passwords or Passwords(request.password, notes)).read(
        found, stdin=invocation.stdin, cache=DocumentCache(cache), on_progress=told
    )
    if not reading.documents:
        raise nothing_read(reading.unreadable)
    return reading


def told_error(error: SourceError) -> str:
    """An unreadable source as one warning."""
    return f"{error.message}, so it was left out" + (f" ({error.hint})" if error.hint else "")


def plan_line(plan: ContextPlan) -> str:
    """The plan in one line: strategy, how much of how much, in which window, and why."""
    about = "" if plan.exact else "~"
    return (
        f"plan: {plan.strategy}, {about}{plan.read_tokens:,} of {about}{plan.total_tokens:,} tokens "
        f"in a window of {plan.budget.window:,}: {plan.why}"
    )


def usage_line(ready: AnswerReady, timings: dict[str, float]) -> str:
    """The receipt in one line: tokens read of the sources, the engine's own count, seconds."""
    coverage, about = ready.coverage, "" if ready.coverage.exact else "~"
    parts = [f"read {about}{coverage.read_tokens:,} of {about}{coverage.total_tokens:,} source tokens"]
    if ready.usage and ready.usage.known:
        usage = ready.usage
        counts = f"prompt {usage.prompt_tokens:,} tokens ({usage.cached_tokens:,} cached)"
        parts.append(f"{counts}, answer {usage.completion_tokens:,}")
    total = timings.get("total_s", math.nan)
    first = timings.get("first_token_s")
    parts.append(f"{total:.1f} s" + (f", first token after {first:.1f} s" if first is not None else ""))
    return "; ".join(parts)
