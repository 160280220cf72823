"""The sources of a run: read side by side, and kept so that the next question need not read them again."""

import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock, Thread

from lctx.cli.arguments import STDIN
from lctx.cli.clean import one_line
from lctx.cli.notes import join_few
from lctx.core.document import Document
from lctx.core.document_cache import DocumentCache
from lctx.core.errors import EmptySourceError, SourceError
from lctx.formats.reader import DEFAULTS, ReadOptions
from lctx.formats.registry import format_of
from lctx.formats.sources import Found, SourceFile, read_bytes, read_stdin

_MAX_WORKERS = 4
_JOIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of the sources.

    Attributes:
        documents: In the order in which they were named.
        unreadable: Named sources that could not be read.
        warnings: Of the readers, each with its source's name.
        skipped: Paths that were left out by rule, with the reason.
    """

    documents: tuple[Document, ...]
    unreadable: tuple[SourceError, ...]
    warnings: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]


def read_sources(
    found: Found,
    *,
    stdin: bool,
    cache: DocumentCache,
    on_progress: Callable[[int, int, str], None] | None = None,
    options: ReadOptions = DEFAULTS,
) -> Reading:
    """Every source as a document, or why it is none; as `read_found`, where at least one must be read.

    Raises:
        SourceError: Not one source could be read: the first reason.
    """
    reading = read_found(found, stdin=stdin, cache=cache, on_progress=on_progress, options=options)
    if not reading.documents:
        raise nothing_read(reading.unreadable)
    return reading


def read_found(
    found: Found,
    *,
    stdin: bool,
    cache: DocumentCache,
    on_progress: Callable[[int, int, str], None] | None = None,
    options: ReadOptions = DEFAULTS,
) -> Reading:
    """Every source as a document, or why it is none; perhaps not one could be read.

    Args:
        found: The files.
        stdin: Whether standard input is one more source, before the files.
        cache: Where documents are kept by the hash of their bytes.
        on_progress: Called with how many are read, of how many, and the one that was.
        options: For the readers.
    """
    jobs = [_stdin_job(cache, options)] if stdin else []
    jobs += [_file_job(file, cache, options) for file in found.files]
    names = [STDIN] * stdin + [file.path for file in found.files]
    results = _run(jobs, lambda done, index: on_progress and on_progress(done, len(jobs), names[index]))
    documents = tuple(one for one in results if isinstance(one, Document))
    unreadable = (*found.errors, *(one for one in results if isinstance(one, SourceError)))
    warnings = tuple(f"{one.path}: {text}" for one in documents for text in one.warnings)
    skipped = tuple((one.path, one.reason) for one in found.skipped)
    return Reading(documents, unreadable, warnings, skipped)


def read_document(
    path: str, content: bytes, cache: DocumentCache, options: ReadOptions = DEFAULTS
) -> Document:
    """The document that `content` holds, from the cache where it was read before.

    What was read with a password is not kept.
    """
    kind = format_of(path, content)
    sha256 = hashlib.sha256(content).hexdigest()
    kept = cache.get(sha256, kind.reader, path)
    if kept is not None:
        return kept
    document = kind.read(path, content, options)
    if options.password is None:
        cache.put(document)
    return document


def _file_job(file: SourceFile, cache: DocumentCache, options: ReadOptions) -> Callable[[], Document]:
    return lambda: read_document(file.path, read_bytes(file), cache, options)


def _stdin_job(cache: DocumentCache, options: ReadOptions) -> Callable[[], Document]:
    def read() -> Document:
        if sys.stdin is None:
            raise EmptySourceError(STDIN, "standard input is closed")
        return read_document(STDIN, read_stdin(sys.stdin.buffer), cache, options)

    return read


def nothing_read(unreadable: Sequence[SourceError]) -> SourceError:
    """The one error of a run that could read none of its sources."""
    if not unreadable:
        return EmptySourceError("sources", "no file that lctx reads is left", "check --include and --exclude")
    first, others = unreadable[0], unreadable[1:]
    if not others:
        return first
    named = join_few(one_line(other.message) for other in others)
    return type(first)(first.path, f"{first.why}; nor could the others be read: {named}", first.hint)


def _run(
    jobs: Sequence[Callable[[], Document]], on_done: Callable[[int, int], object]
) -> list[Document | SourceError | None]:
    """Each job's document or error, in order. PDF readers are processes, so threads use every core."""
    results: list[Document | SourceError | None] = [None] * len(jobs)
    workers = min(len(jobs), _MAX_WORKERS, (os.cpu_count() or 1) + 1)
    if workers <= 1:
        for index, job in enumerate(jobs):
            results[index] = _result(job)
            on_done(index + 1, index)
        return results
    lock, queue, failures = Lock(), iter(range(len(jobs))), list[BaseException]()
    done = [0]

    def work() -> None:
        while not failures:
            with lock:
                index = next(queue, None)
            if index is None:
                return
            try:
                results[index] = _result(jobs[index])
            except BaseException as error:  # noqa: BLE001 - raised again in the main thread
                failures.append(error)
                return
            with lock:
                done[0] += 1
                on_done(done[0], index)

    # Daemons, and joined in short waits: Ctrl-C must not have to wait for a reader.
    threads = [Thread(target=work, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(_JOIN_S)
    if failures:
        raise failures[0]
    return results


def _result(job: Callable[[], Document]) -> Document | SourceError:
    try:
        return job()
    except SourceError as error:
        return error
