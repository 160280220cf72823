"""A few files read in one go: what is known is found, the rest is read, here or in a process, and kept."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lctx.cli.reading import Opened, Passed, open_files
from lctx.cli.reading_process import ReadingProcess
from lctx.cli.reading_wire import Answer
from lctx.cli.stamps import Seen, Stamp, Stamps
from lctx.core import errors
from lctx.core.document import Document
from lctx.core.document_cache import DocumentCache, Wanted, decode_document, encode_document, key_of
from lctx.core.document_part import part_of
from lctx.core.errors import DamagedSourceError, LimitError, SourceError
from lctx.formats.reader import ReadOptions
from lctx.formats.registry import FORMATS
from lctx.formats.sniffing import suffix_of
from lctx.formats.source_file import STDIN, Skipped, SourceFile

Result = Document | SourceError | Skipped

_ERRORS: Mapping[str, type[SourceError]] = {
    one.code: one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, SourceError)
}
_SUFFIXES = frozenset(suffix for one in FORMATS if one.runs_in == "child" for suffix in one.suffixes)


@dataclass(frozen=True, slots=True)
class Job:
    """One file, and what is known of it before it is opened.

    Attributes:
        index: Of its result.
        file: What to read.
        stamp: What the system says of it.
        seen: What it was found to hold under this stamp.
        is_for_here: Whether it is read in this process, as `is_read_here` says.
    """

    index: int
    file: SourceFile
    stamp: Stamp
    seen: Seen | None
    is_for_here: bool


def is_read_here(file: SourceFile) -> bool:
    """Whether `file` is read in this process: its reader starts one of its own, or it is standard input."""
    return file.file == STDIN or suffix_of(file.path) in _SUFFIXES


@dataclass
class BatchReader:
    """Reads one batch after the other, for one thread.

    Attributes:
        cache: Where documents are found and kept.
        stamps: Where files are known by what the system says of them.
        options: For the readers.
        start: Starts a process that reads; None where everything is read in this one.
    """

    cache: DocumentCache
    stamps: Stamps
    options: ReadOptions
    start: Callable[[], ReadingProcess] | None
    _process: ReadingProcess | None = None
    _asked: deque[Job] = field(default_factory=deque)
    _is_deadly: bool = False
    _values: dict[str, bytes] = field(default_factory=dict)

    @property
    def is_busy(self) -> bool:
        """Whether a process was asked for more than it has answered."""
        return bool(self._asked)

    def read(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Result]]:
        """What becomes of each of `jobs`, in any order; what is new is for `keep`.

        What a process is asked for it answers at the next call, which has the process at work meanwhile; the
        call without jobs leaves nothing unanswered.
        """
        unknown: list[Job] = []
        for job, result in self._known(jobs):
            if result is None:
                unknown.append(job)
            else:
                yield job, self._part(job, result)
        here = [job for job in unknown if self.start is None or job.is_for_here]
        there = [job for job in unknown if not (self.start is None or job.is_for_here)]
        if there:
            self._ask(there)
        while len(self._asked) > len(there):
            job, answer = self._next_answer()
            if answer is not None:
                yield job, self._part(job, self._result_of(job, answer))
        for job, result in self._read_here(here):
            yield job, self._part(job, result)

    def keep(self, *, at_least: int = 0) -> None:
        """Keep what was read, where that is so many bytes: much at once, since others wait meanwhile."""
        if sum(map(len, self._values.values())) >= at_least:
            self.cache.values.put_many(self._values)
            self._values.clear()

    def close(self) -> None:
        """End the process, where there is one."""
        if self._process:
            self._process.close()

    def _known(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Result | None]]:
        wanted = {
            job.index: Wanted(job.seen.sha256, job.seen.reader, job.file.path)
            for job in jobs
            if job.seen and not job.seen.reason
        }
        found = dict(zip(wanted, self.cache.get_many(list(wanted.values())), strict=True))
        for job in jobs:
            if job.seen and job.seen.reason:
                yield job, Skipped(job.file.path, job.seen.reason)
            else:
                yield job, found.get(job.index)

    def _part(self, job: Job, result: Result) -> Result:
        if job.file.pages is None or not isinstance(result, Document):
            return result
        try:
            return part_of(result, *job.file.pages)
        except SourceError as error:
            return error

    def _read_here(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Result]]:
        files = [job.file for job in jobs]
        for job, (opened, kept) in zip(jobs, open_files(files, self.cache), strict=True):
            if isinstance(opened, SourceError):
                yield job, opened
            elif isinstance(opened, Passed):
                self._remember(job, opened.seen)
                yield job, opened.skipped
            else:
                yield job, self._document_of(job, opened, kept)

    def _document_of(self, job: Job, opened: Opened, kept: bytes | None) -> Document | SourceError:
        document = decode_document(kept, opened.wanted) if kept is not None else None
        if document is None:
            try:
                document = opened.read(self.options)
            except SourceError as error:
                return error
            if document.is_protected:
                return document
            packed = encode_document(document) if self.cache.values.is_kept else None
            if packed is not None:
                self._values[key_of(document.sha256, document.reader)] = packed
        self._remember(job, opened.seen)
        return document

    def _remember(self, job: Job, seen: Seen | None) -> None:
        if seen:
            self._values[self.stamps.key_of(job.file)] = self.stamps.value_of(seen)

    def _ask(self, jobs: Sequence[Job]) -> None:
        self._asked.extend(jobs)
        if self.start and self._process is None:
            self._process = self.start()
        if self._process:
            self._process.ask([job.file for job in jobs], is_deadly=self._is_deadly)

    def _next_answer(self) -> tuple[Job, Answer | SourceError | None]:
        """What the process says of the file that it was asked for first; None where it ended over it once."""
        job = self._asked[0]
        answer: Answer | SourceError | None = self._process.answer() if self._process else None
        if answer is None and self._process:
            error = self._process.why_ended(job.file)
            if self._is_deadly or isinstance(error, LimitError):
                answer = error
            self._process = None
        self._is_deadly = answer is None
        if answer is not None:
            self._asked.popleft()
        if self._process is None and self._asked:  # another goes on where one has ended
            left = list(self._asked)
            self._asked.clear()
            self._ask(left)
        return job, answer

    def _result_of(self, job: Job, answer: Answer | SourceError) -> Result:
        if isinstance(answer, SourceError):
            return answer
        if answer.what == "fault":
            raise RuntimeError(f"reading {job.file.path} failed:\n{answer.why}")
        if answer.what == "error":
            return _ERRORS.get(answer.code, DamagedSourceError)(job.file.path, answer.why, answer.hint)
        if answer.what == "skipped":
            self._remember(job, Seen(answer.stamp, reason=answer.why) if answer.stamp else None)
            return Skipped(job.file.path, answer.why)
        wanted = Wanted(answer.sha256, answer.reader, job.file.path)
        document = decode_document(answer.document, wanted) if answer.what == "document" else None
        if document is None:
            ((_, result),) = self._read_here([job])
            return result
        if self.options.password is None:
            if not answer.is_known:
                self._values[key_of(answer.sha256, answer.reader)] = answer.document
            self._remember(job, Seen(answer.stamp, answer.sha256, answer.reader) if answer.stamp else None)
        elif not answer.is_known:
            document = replace(document, is_protected=True)
        return document
