"""Many files read side by side, handed out in their order: by threads, and where it is worth it by processes.

PDFs are read in processes of their own, so threads use every core. What Python reads itself needs processes
for that; they are started where there is enough to read. What comes out never depends on how many there are.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from threading import Condition, Thread

from lctx.cli.reading_batch import BatchReader, Job, Result, is_read_here
from lctx.cli.reading_process import ReadingProcess
from lctx.cli.reading_wire import Order
from lctx.cli.stamps import Stamps, stamp_of
from lctx.core.document_cache import DocumentCache
from lctx.core.tokens.shares import available_cores
from lctx.formats.reader import ReadOptions
from lctx.formats.source_file import SourceFile

MIN_BYTES = 8_000_000
"""As much must be left to read before processes are started for it: they take a tenth of a second."""

_MAX_BATCH_BYTES = 1 << 20
_MAX_BATCH_FILES = 64
_MAX_BATCH_KNOWN = 256
_MAX_AHEAD_BYTES = 128 << 20
_KEEP_BYTES = 4 << 20
_WAIT_S = 0.1  # so late a result is found at most


class Run:
    """One reading of many files.

    Each thread takes the next few files; where there is enough to read it has a process of its own.
    """

    def __init__(
        self,
        files: Sequence[SourceFile],
        cache: DocumentCache,
        options: ReadOptions,
        on_done: Callable[[int], object],
        *,
        cores: int | None = None,
    ) -> None:
        """Read `files`; `on_done` is told the index of each that is, from whatever thread.

        Args:
            files: In the order of the results.
            cache: Where documents are found and kept.
            options: For the readers.
            on_done: Never called twice at once.
            cores: As many are used; None for all there are.
        """
        self._cache, self._on_done = cache, on_done
        self._stamps = Stamps(cache.values)
        stamps = [stamp_of(file.file) for file in files]
        seen = self._stamps.look_up(files, stamps)
        is_here = map(is_read_here, files)
        self._jobs = list(map(Job, range(len(files)), files, stamps, seen, is_here))
        self._batches = deque(_batches(self._jobs))
        self._cores = cores or available_cores()
        unknown = [job for job in self._jobs if job.seen is None]
        num_pdfs = sum(job.is_for_here for job in unknown)
        self._options = replace(options, processes=max(1, self._cores // max(num_pdfs, 1)))
        size = sum(job.stamp.size for job in unknown if not job.is_for_here)
        self._has_processes = self._cores > 1 and size >= MIN_BYTES
        self._condition = Condition()
        self._results: dict[int, Result] = {}
        self._failures: list[BaseException] = []
        self._processes: set[ReadingProcess] = set()
        self._ahead_bytes = 0
        self._is_over = False

    def __iter__(self) -> Iterator[Result]:
        """The result of each file, in order."""
        # Daemons, and waited for in short waits: Ctrl-C must not have to wait for a reader.
        num_threads = min(len(self._batches), self._cores)
        threads = [Thread(target=self._work, daemon=True) for _ in range(num_threads)]
        for thread in threads:
            thread.start()
        try:
            for job in self._jobs:
                yield self._result_of(job)
            for thread in threads:  # what they read last is yet to be kept
                while thread.is_alive():
                    thread.join(_WAIT_S)
        finally:
            with self._condition:
                self._is_over = True
                self._condition.notify_all()
                processes = list(self._processes)
            for process in processes:
                process.end()

    def _result_of(self, job: Job) -> Result:
        with self._condition:
            while job.index not in self._results and not self._failures:
                self._condition.wait(_WAIT_S)
                for process in self._processes:
                    process.end_if_late()
            if self._failures:
                raise self._failures[0]
            was_full = self._ahead_bytes > _MAX_AHEAD_BYTES
            self._ahead_bytes -= job.stamp.size
            if was_full:
                self._condition.notify_all()
            return self._results.pop(job.index)

    def _work(self) -> None:
        start = self._start if self._has_processes else None
        reader = BatchReader(self._cache, self._stamps, self._options, start)
        try:
            while (batch := self._take(is_urgent=not reader.is_busy)) or reader.is_busy:
                for job, result in reader.read(batch):
                    self._tell(job, result)
                with self._condition:  # to be woken for each of thousands costs more than finding them
                    self._condition.notify_all()
                reader.keep(at_least=_KEEP_BYTES)
            reader.keep()
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            with self._condition:
                self._failures.append(error)
                self._condition.notify_all()
        finally:
            reader.close()

    def _take(self, *, is_urgent: bool) -> list[Job]:
        """The next few; none where all are taken, and where too much is read ahead unless it is urgent."""
        with self._condition:
            while is_urgent and self._ahead_bytes > _MAX_AHEAD_BYTES and not self._is_over:
                self._condition.wait(_WAIT_S)
            if self._is_over or self._failures or not self._batches or self._ahead_bytes > _MAX_AHEAD_BYTES:
                return []
            batch = self._batches.popleft()
            self._ahead_bytes += sum(job.stamp.size for job in batch)
            return batch

    def _tell(self, job: Job, result: Result) -> None:
        with self._condition:
            self._results[job.index] = result
            self._on_done(job.index)

    def _start(self) -> ReadingProcess:
        values = self._cache.values
        folder = os.fsencode(values.folder.absolute()) if values.folder else None
        process = ReadingProcess(Order(folder, values.ceiling_bytes, self._options.password))
        with self._condition:
            self._processes.add(process)
            if self._is_over:
                process.close()
                raise InterruptedError("nobody wants the results any more")
        return process


def _batches(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """`jobs` in order, as many together as are worth one step; what takes long stands alone."""
    batch: list[Job] = []
    num_unknown = num_bytes = 0
    for job in jobs:
        is_long = job.seen is None and job.is_for_here
        is_full = num_unknown >= _MAX_BATCH_FILES or len(batch) >= _MAX_BATCH_KNOWN
        if batch and (is_full or is_long or num_bytes + job.stamp.size > _MAX_BATCH_BYTES):
            yield batch
            batch, num_unknown, num_bytes = [], 0, 0
        batch.append(job)
        num_unknown += job.seen is None
        num_bytes += job.stamp.size + _MAX_BATCH_BYTES * is_long
    if batch:
        yield batch
