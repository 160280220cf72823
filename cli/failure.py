"""How a run that failed before or outside its own report still tells every reader what happened."""

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from lctx.cli.notes import Notes
from lctx.core.errors import ExitCode, LctxError, UsageError

REPORT_AT = "the issue tracker of lctx"
_JSON = ("json", "ndjson")
_REPORTS = ("text", "json")


def internal_error(error: BaseException) -> LctxError:
    """An error of ours as one that can be told: its kind and place, and what to do.

    The traceback is printed where `LCTX_DEBUG` is set.
    """
    if os.environ.get("LCTX_DEBUG"):
        traceback.print_exception(error)
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" at {os.path.basename(frame[0].filename)}:{frame[0].lineno}" if frame else ""  # noqa: PTH119
    told = " ".join(str(error).split())[:200]
    return LctxError(
        f"internal error: {type(error).__name__}{place}{': ' + told if told else ''}",
        f"this is a fault of lctx: run again with LCTX_DEBUG=1 and report what it prints to {REPORT_AT}",
    )


def tell_failure(error: LctxError, argv: Sequence[str], exit_code: ExitCode | None = None) -> ExitCode:
    """Report an error that came before there was a view, in the format that the command line asks for."""
    code = error.exit_code if exit_code is None else exit_code
    wanted = format_in(argv)
    if wanted in _JSON and sys.stdout is not None:
        # The reader may be gone, or nobody be there to read: the exit code still tells.
        with suppress(OSError, ValueError):
            sys.stdout.buffer.write(_machine_readable(error, code, argv, wanted) + b"\n")
            sys.stdout.buffer.flush()
    Notes().error(error)
    return code


def _machine_readable(error: LctxError, code: ExitCode, argv: Sequence[str], wanted: str | None) -> bytes:
    from lctx.core.answering.wire import SCHEMA_VERSION, encode, failed_record

    record: Any = failed_record(None, error, exit_code=code)
    if next((word for word in argv if not word.startswith("-")), None) != "ask":
        record = {"schema_version": SCHEMA_VERSION, "error": record.error, "exit_code": int(code)}
    if wanted == "ndjson":
        return encode({"event": "result", "result": record})
    return encode(record, indent=2)


def format_in(argv: Sequence[str]) -> str | None:
    """The value of `--format` on a command line that may not be a valid one."""
    found = None
    for index, word in enumerate(argv):
        if word == "--":
            break
        if word.startswith("--format="):
            found = word.partition("=")[2]
        elif word == "--format" and index + 1 < len(argv):
            found = argv[index + 1]
    return found


def checked_format(wanted: str) -> str:
    """`wanted`, if a report can be written in it.

    Raises:
        UsageError: It cannot.
    """
    if wanted not in _REPORTS:
        raise UsageError(f"--format {wanted}: not one of {', '.join(_REPORTS)}")
    return wanted
