"""`lctx logs`: what an engine said, safe to look at."""

import time
from collections.abc import Iterable

from lctx.cli.clean import displayable
from lctx.cli.notes import Notes
from lctx.cli.output import Sink, open_sink
from lctx.cli.signals import interruptible
from lctx.core.errors import ExitCode, UsageError
from lctx.core.storage import directories

_POLL_S = 0.1


def run_logs(name: str | None, lines: str | None, _started: float, *, follow: bool) -> ExitCode:
    """Print the log of the engine that is called `name`, or of the one that spoke last.

    Raises:
        UsageError: There is no such log, or `lines` is no number.
    """
    from lctx.core.engine.logs import LogTail, find_log, log_lines
    from lctx.core.engine.state import usable_runtime

    last = _number(lines)
    runtime = directories().runtime
    folder = usable_runtime(runtime)[0] if runtime.exists() else runtime
    files = find_log(folder, name)
    sink = open_sink(None)
    if name is None:
        Notes().line(f"the log of {files.id}")
    tail = LogTail(files) if follow else None
    try:
        _write(log_lines(files, last, end=tail.start if tail is not None else None), sink)
        with interruptible():
            while tail is not None and files.alive and not sink.is_gone:
                _write(tail.read(), sink)
                time.sleep(_POLL_S)
        if tail is not None:
            _write(tail.rest(), sink)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(f"{files.log}: {why}", "see lctx ps") from error
    finally:
        if tail is not None:
            tail.close()
    return ExitCode.OK


def _number(lines: str | None) -> int | None:
    if lines is None:
        return None
    if not (lines.isascii() and lines.isdecimal() and len(lines) <= 9):  # noqa: PLR2004 - a C integer
        raise UsageError(f"--lines {lines}: not a whole number", "write it like -n 100")
    return int(lines)


def _write(lines: Iterable[str], sink: Sink) -> None:
    """Write the lines; a bar that redraws itself becomes a line for each of its states."""
    for line in lines:
        if sink.is_gone:
            return
        sink.write(displayable(line.rstrip("\r")) + "\n")
