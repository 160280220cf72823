"""A process that reads files for another one, until its standard input ends.

What Python reads keeps a core busy; several of these use them all. A file that takes one down costs itself.
So code is parsed right here; the parser is kept away from a file that ended such a process before.
"""

import gc
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import IO

import msgspec

from lctx.cli.reading import Opened, Passed, open_files
from lctx.cli.reading_wire import Answer, Order, Task, receive, send
from lctx.core.document_cache import DocumentCache, decode_document, encode_document
from lctx.core.errors import SourceError
from lctx.core.storage import ByteCache
from lctx.formats.outline_child import leave_no_core
from lctx.formats.outliner import giving_up, parse_here
from lctx.formats.reader import ReadOptions
from lctx.formats.source_file import SourceFile

_GARBAGE = 20_000  # objects between looks for garbage: documents are no garbage, and are many objects


def main() -> None:
    """Read what standard input asks for; every answer goes out before the next file is opened."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the other process's to act upon
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    asked = receive(sys.stdin.buffer)
    if asked is None:
        return
    order = msgspec.msgpack.decode(asked, type=Order)
    folder = Path(os.fsdecode(order.cache)) if order.cache else None
    cache = DocumentCache(ByteCache(folder, order.ceiling_bytes))
    options = ReadOptions(password=order.password)
    decoder = msgspec.msgpack.Decoder(list[Task])
    inbox: SimpleQueue[bytes | None] = SimpleQueue()
    Thread(target=_collect, args=(inbox,), daemon=True).start()
    leave_no_core()
    parse_here()
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    try:
        send(output, Answer("ready"))
        while (asked := inbox.get()) is not None:
            answer(decoder.decode(asked), output, cache, options)
    except BrokenPipeError:
        os._exit(0)  # nobody listens any more


def _collect(inbox: "SimpleQueue[bytes | None]") -> None:
    """Take in what is asked at once, so that who asks never waits for this process to have time for it."""
    while (asked := receive(sys.stdin.buffer)) is not None:
        inbox.put(asked)
    inbox.put(None)


def answer(tasks: Sequence[Task], output: IO[bytes], cache: DocumentCache, options: ReadOptions) -> None:
    """Write what becomes of the file of each task; it is out before the next file is looked into."""
    files = [SourceFile(one.path, os.fsdecode(one.file), is_judged=one.is_judged) for one in tasks]
    for task, (opened, kept) in zip(tasks, open_files(files, cache), strict=True):
        try:
            with giving_up() if task.is_deadly else nullcontext():
                send(output, _answer_for(opened, kept, options))
        except BrokenPipeError:
            raise
        except Exception:  # noqa: BLE001 - told to the process that asked, which raises it
            import traceback

            send(output, Answer("fault", why=traceback.format_exc()))


def _answer_for(opened: Opened | Passed | SourceError, kept: bytes | None, options: ReadOptions) -> Answer:
    if isinstance(opened, SourceError):
        return _error(opened)
    if isinstance(opened, Passed):
        return Answer("skipped", stamp=opened.seen.stamp if opened.seen else None, why=opened.skipped.reason)
    is_known = kept is not None and decode_document(kept, opened.wanted) is not None
    if not is_known and opened.format.runs_in != "worker":
        return Answer("elsewhere")
    try:
        packed = kept if is_known else encode_document(opened.read(options))
    except SourceError as error:
        return _error(error)
    if packed is None:
        return Answer("elsewhere")
    return Answer(
        "document",
        stamp=opened.stamp,
        sha256=opened.sha256,
        reader=opened.format.reader,
        is_known=is_known,
        document=packed,
    )


def _error(error: SourceError) -> Answer:
    return Answer("error", code=error.code, why=error.why, hint=error.hint)
