"""The sources of a run: read side by side, and kept so that the next question need not read them again."""

import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from lctx.cli.arguments import STDIN
from lctx.cli.clean import one_line
from lctx.cli.notes import join_few
from lctx.cli.reading import read_document
from lctx.cli.reading_batch import Result
from lctx.cli.reading_run import Run
from lctx.core.document import Document
from lctx.core.document_cache import DocumentCache
from lctx.core.errors import EmptySourceError, SourceError
from lctx.formats.reader import DEFAULTS, ReadOptions
from lctx.formats.registry import PDF
from lctx.formats.sources import Found, Skipped, SourceFile, read_stdin

__all__ = ["Reading", "collecting_rarely", "nothing_read", "read_document", "read_each", "reading_of"]

_GARBAGE = 20_000  # objects between looks for garbage


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of the sources.

    Attributes:
        documents: In the order in which they were named.
        unreadable: Named sources that could not be read.
        warnings: Of the readers, each with its source's name.
        skipped: Paths that were left out by rule, with the reason.
        files: What the documents were read from, and what could not be read.
        contents: The bytes of what cannot be opened a second time, a PDF from standard input, by path.
    """

    documents: tuple[Document, ...]
    unreadable: tuple[SourceError, ...]
    warnings: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    files: tuple[SourceFile, ...] = ()
    contents: Mapping[str, bytes] = field(default_factory=dict)


def reading_of(
    found: Found, results: Iterable[Result], *, stdin: bool, contents: Mapping[str, bytes]
) -> Reading:
    """Every source as a document, or why it is none; perhaps not one could be read.

    Args:
        found: The files.
        results: As `read_each` gives them.
        stdin: Whether the first is that of standard input.
        contents: What `read_each` filled; by the end of `results` it is whole.
    """
    with collecting_rarely():
        results = list(results)
    late = {one.file: result for one, result in zip(found.files, results[stdin:], strict=True)}
    found = found.passing_over(
        {file: result.reason for file, result in late.items() if isinstance(result, Skipped)}
    )
    documents = tuple(one for one in results if isinstance(one, Document))
    unreadable = (*found.errors, *(one for one in results if isinstance(one, SourceError)))
    told = (f"{one.path}: {text}" for one in documents for text in one.warnings)
    skipped = tuple((one.path, one.reason) for one in found.skipped)
    return Reading(documents, unreadable, (*found.warnings, *told), skipped, found.files, contents)


def read_each(
    found: Found,
    *,
    stdin: bool,
    cache: DocumentCache,
    on_progress: Callable[[int, int, str], None] | None = None,
    options: ReadOptions = DEFAULTS,
    contents: dict[str, bytes] | None = None,
) -> Iterator[Result]:
    """Each source's document, why there is none, or why it is passed over, in the order of `found.files`.

    Read ahead by a bounded amount: who lets go of what came before never holds all of a large tree.

    Args:
        found: The files.
        stdin: Whether standard input is one more source, before the files.
        cache: Where documents are found and kept.
        on_progress: Called with how many are read, of how many, and the one that was.
        options: For the readers.
        contents: Is given the bytes of what cannot be opened a second time, by path.
    """
    num_done, total = 0, stdin + len(found.files)

    def tell(name: str) -> None:
        nonlocal num_done
        num_done += 1
        if on_progress:
            on_progress(num_done, total, name)

    if stdin:
        yield _read_stdin(cache, options, {} if contents is None else contents)
        tell(STDIN)
    if found.files:
        yield from Run(found.files, cache, options, lambda index: tell(found.files[index].path))


def _read_stdin(
    cache: DocumentCache, options: ReadOptions, contents: dict[str, bytes]
) -> Document | SourceError:
    """Standard input as a document; its bytes go into `contents` where its pages may be looked at again."""
    try:
        if sys.stdin is None:
            raise EmptySourceError(STDIN, "standard input is closed")
        content = read_stdin(sys.stdin.buffer)
        document = read_document(STDIN, content, cache, options)
    except SourceError as error:
        return error
    if document.kind == PDF.name:
        contents[STDIN] = content
    return document


@contextmanager
def collecting_rarely() -> Iterator[None]:
    """A stretch in which garbage is rarely looked for: documents are none, and are many objects."""
    usual = gc.get_threshold()
    gc.set_threshold(_GARBAGE, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def nothing_read(unreadable: Sequence[SourceError]) -> SourceError:
    """The one error of a run that could read none of its sources."""
    if not unreadable:
        return EmptySourceError("sources", "no file that lctx reads is left", "check --include and --exclude")
    first, others = unreadable[0], unreadable[1:]
    if not others:
        return first
    named = join_few(one_line(other.message) for other in others)
    return type(first)(first.path, f"{first.why}; nor could the others be read: {named}", first.hint)
