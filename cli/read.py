"""`lctx read`: the text of sources with its places, their outline, or where a quote stands."""

from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, cast

from lctx.cli.exit import exit_code_of
from lctx.cli.failure import internal_error
from lctx.cli.notes import Notes, join_few
from lctx.cli.options import READ_FORMATS
from lctx.cli.output import Sink, open_sink
from lctx.cli.read_view import ReadView, open_read_view
from lctx.cli.request import Request, invocation_of, settings_of, stdin_is_terminal
from lctx.cli.settings import Settings
from lctx.cli.signals import interruptible
from lctx.cli.sources import collecting_rarely, nothing_read
from lctx.core.document import Document
from lctx.core.errors import ExitCode, GateError, InterruptError, LctxError, SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from lctx.cli.passwords import Passwords
    from lctx.cli.read_record import ReadRecord
    from lctx.cli.reading_batch import Result
    from lctx.cli.where import Search
    from lctx.core.document_cache import DocumentCache
    from lctx.formats.reader import ReadOptions
    from lctx.formats.sources import Found

_ALL_ARE_SOURCES = "?"


def run_read(request: Request, started: float) -> ExitCode:
    """Show what was asked of some sources, and return what the process returns.

    Args:
        request: The command line.
        started: `time.monotonic()` when the process began.

    Raises:
        LctxError: Before it is known how it is to be shown; after that errors are shown with it.
    """
    settings, warnings = settings_of(request)
    wanted = _format(request, settings.format)
    _check(request, wanted)
    search = _search(request)
    notes = Notes(quiet=settings.quiet)
    sink = open_sink(request.output)
    view = open_read_view(
        wanted, sink, outline=request.outline, numbered=request.numbered, where=search is not None
    )
    showing = Showing(view, sink, notes, search, started)
    for text in warnings:
        showing.warn(text)
    with interruptible():
        try:
            showing.run(request, settings)
        except LctxError as error:
            showing.error = error
        except KeyboardInterrupt:
            showing.error = InterruptError("interrupted: what had been read by then was shown")
        except Exception as error:  # noqa: BLE001 - told, with a code of its own
            showing.error = internal_error(error)
        return showing.finish()


def _format(request: Request, configured: str) -> str:
    """The format that was asked for; one that was only configured may suit answers alone."""
    given = (request.flags or {}).get("format")
    if given is not None and given not in READ_FORMATS:
        raise UsageError(f"--format {given}: not one of {', '.join(READ_FORMATS)}")
    return configured if configured in READ_FORMATS else "text"


def _search(request: Request) -> "Search | None":
    if not request.where:
        return None
    from lctx.cli.where import Search

    return Search(request.where)


def _check(request: Request, wanted: str) -> None:
    """Raise for options of which one would be passed over without a word."""
    if request.where and request.outline:
        raise UsageError("--where and --outline: one looks for text, the other leaves it out", "drop one")
    if request.numbered and (request.where or request.outline or wanted != "text"):
        others = {"--where": request.where, "--outline": request.outline, f"--format {wanted}": True}
        other = next(name for name, is_given in others.items() if is_given)
        raise UsageError(f"-n and {other}: that names the places by itself", "leave -n out")


class Showing:
    """Sources on their way to where they are shown; each is let go of when it was."""

    def __init__(
        self, view: ReadView, sink: Sink, notes: Notes, search: "Search | None", started: float
    ) -> None:
        """Begin: nothing was read."""
        self.error: LctxError | None = None
        self._view = view
        self._sink = sink
        self._notes = notes
        self._search = search
        self._started = started
        self._read_s: float | None = None
        self._warnings: dict[str, None] = {}
        self._unreadable: list[SourceError] = []
        self._skipped: list[tuple[str, str]] = []
        self._num_read = self._num_chars = 0

    def warn(self, text: str) -> None:
        """Tell, and remember, what the reader of the text must know."""
        if text not in self._warnings:
            self._warnings[text] = None
            self._view.warning(text)
            self._notes.warning(text)

    def run(self, request: Request, settings: Settings) -> None:
        """Read and show all sources; what goes wrong is raised."""
        from lctx.cli.folders import content_cache, usable_directories
        from lctx.cli.passwords import Passwords
        from lctx.core.document_cache import DocumentCache
        from lctx.formats.sources import find_sources

        if not request.arguments and request.files_from is None and stdin_is_terminal():
            raise UsageError("no source: nothing to read was named", "name a file, a directory or -")
        invocation = invocation_of(replace(request, question=_ALL_ARE_SOURCES), needs_question=False)
        store = content_cache(usable_directories(self.warn), settings)
        passwords = Passwords(request.password, self._notes)
        self._notes.progress("looking for the sources")
        found = find_sources(
            invocation.sources,
            include=request.include,
            exclude=request.exclude,
            use_ignores=request.use_ignores,
            look_inside=False,
        )
        for text in found.warnings:
            self.warn(text)
        with collecting_rarely():
            self._show_each(found, invocation.stdin, passwords, DocumentCache(store))
        if self._sink.is_gone:
            return
        self._read_s = monotonic() - self._started
        if store.broken:
            self.warn(f"the cache cannot be written, nothing was kept: {store.broken}")
        if not self._num_read:
            raise nothing_read(self._unreadable)
        if self._search:
            self._look_near(found, passwords.options_for)

    def _show_each(self, found: "Found", stdin: bool, passwords: "Passwords", cache: "DocumentCache") -> None:
        """Show each source when it was read, and note what was none."""
        from lctx.formats.sources import Skipped

        passed_over: dict[str, str] = {}
        told = self._told_progress if self._notes.is_terminal else None
        results = passwords.read_each(found, stdin=stdin, cache=cache, on_progress=told)
        try:
            for number, result in enumerate(results):
                if isinstance(result, Document):
                    self._take(result)
                elif isinstance(result, Skipped):
                    passed_over[found.files[number - stdin].file] = result.reason
                else:
                    self._unreadable.append(result)
                if self._sink.is_gone:
                    break
        finally:
            cast("Generator[Result]", results).close()  # ends the processes that read ahead
            found = found.passing_over(passed_over)
            self._unreadable[:0] = found.errors
            self._skipped += [(one.path, one.reason) for one in found.skipped]

    def _told_progress(self, done: int, total: int, name: str) -> None:
        shown = "standard input" if name == "-" else name
        self._notes.progress(f"reading {done} of {total}: {shown}")

    def _take(self, document: Document) -> None:
        self._num_read += 1
        self._num_chars += len(document.text)
        if self._sink.is_terminal:
            self._notes.clear()  # the progress is told on the same screen
        self._view.source(document)
        if self._search:
            self._search.look_in(document)
        for text in document.warnings:
            self.warn(f"{document.path}: {text}")

    def _look_near(self, found: "Found", options_for: "Callable[[str], ReadOptions]") -> None:
        from lctx.cli.looking import Looking
        from lctx.core.storage import ByteCache

        assert self._search is not None  # noqa: S101 - the caller looked
        self._search.finish(Looking(ByteCache(None), found.files, options_for).boxes)
        self._notes.clear()
        self._view.quotes(self._search.quotes)

    def finish(self) -> ExitCode:
        """Show how it ended; the code is decided before, so that every format carries it."""
        lost = [quote.text for quote in self._search.quotes if not quote.is_found] if self._search else []
        if self.error is None and lost and not self._sink.is_gone:
            quoted = join_few(f'"{text[:60]}"' for text in lost)
            self.error = GateError(
                f"--where: it stands nowhere word for word: {quoted}",
                "check the words, or quote fewer of them",
            )
        if self._num_read and self._unreadable:
            from lctx.cli.ask import told_error  # brings all that answers questions

            for one in self._unreadable:
                self.warn(told_error(one))
        num_unreadable = len(self._unreadable) if self._num_read else 0
        code = exit_code_of(self.error, num_unreadable=num_unreadable)
        self._notes.clear()
        failure = self.error
        try:
            self._view.finish(lambda: self._record(code))
        except LctxError as error:  # it could not be written: a full disk, a closed descriptor
            failure, code = error, exit_code_of(error)
        self._notes.withheld()
        self._notes.line(self._summary())
        if failure:
            self._notes.error(failure)
        return code

    def _summary(self) -> str:
        """What was read, what could not be, and what was left out by rule and why."""
        sources = "1 source" if self._num_read == 1 else f"{self._num_read:,} sources"
        parts = [f"read {sources}, {self._num_chars:,} characters"]
        if self._unreadable:
            parts.append(f"{len(self._unreadable):,} could not be read")
        if self._skipped:
            reasons = join_few(dict.fromkeys(reason for _, reason in self._skipped))
            parts.append(f"{len(self._skipped):,} left out by rule ({reasons})")
        return "; ".join(parts)

    def _record(self, code: ExitCode) -> "ReadRecord":
        from lctx.cli.read_record import read_record
        from lctx.core.answering.wire import TimingsPart

        read_s = None if self._read_s is None else round(self._read_s, 3)
        return read_record(
            sources=[],
            quotes=self._search.quotes if self._search else None,
            skipped=self._skipped,
            unreadable=self._unreadable,
            error=self.error,
            timings=TimingsPart(read_s=read_s, total_s=round(monotonic() - self._started, 3)),
            warnings=self._warnings,
            code=code,
        )
