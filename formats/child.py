"""Running a reader in a child process, so that a hostile file can take down the child and nothing else.

A reader that runs here is a generator: bytes in, plain JSON values out, one a step (a page). What it yields
crosses back as data and is checked against a type, never unpickled.
"""

import json
import signal
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from lctx.core.errors import (
    DamagedSourceError,
    EmptySourceError,
    EncryptedSourceError,
    LimitError,
    ScannedSourceError,
    SourceError,
)
from lctx.formats.child_process import RunningChild, start_child
from lctx.formats.interpreter import import_paths
from lctx.formats.zygote import give_up

_Record = TypeVar("_Record")
_SMALLER = "split the file into smaller parts and name those instead"
_ANEW = "open it in its own program and save it anew"
_RAISED = {
    error.code: error
    for error in (
        DamagedSourceError,
        EmptySourceError,
        EncryptedSourceError,
        LimitError,
        ScannedSourceError,
    )
}
# A C++ library aborts where memory is refused; the system kills where it has none left.
_OUT_OF_MEMORY = ("SIGABRT", "SIGKILL")
_NEARLY = 0.75
"""A child that ended so and had taken this share of its memory ended for want of it."""


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What a child may use.

    Attributes:
        seconds: By the clock, in all.
        step_s: Of processor time, for one record.
        memory_bytes: On top of the file's own bytes; enforced where the system can (Linux).
    """

    seconds: float = 300.0
    step_s: float = 20.0
    memory_bytes: int = 896 << 20


class _Done(msgspec.Struct, tag="done"):
    """The reader came to its end."""


class _Failure(msgspec.Struct, tag="failure"):
    """The reader raised: `code` is a `SourceError.code`, "import" or "crash"."""

    code: str
    why: str
    hint: str | None


class _LostError(Exception):
    """The zygote ended, and the child with it: nobody can tell why."""


def run_in_child(  # noqa: PLR0917 - a reader, its file, and how it runs
    reader: str,
    path: str,
    content: bytes,
    decoder: msgspec.json.Decoder[_Record],
    ceilings: Ceilings,
    arguments: Mapping[str, Any] = MappingProxyType({}),
    on_start: Callable[[RunningChild], None] | None = None,
) -> list[_Record]:
    """What `reader` yields for `content`, each record checked against the type of `decoder`.

    Args:
        reader: "package.module:function", a generator of JSON values that takes bytes.
        path: The name to show in errors.
        content: The file.
        decoder: Of the type that each record must be.
        ceilings: What the child may use.
        arguments: JSON values that the reader takes by keyword; a password among them is on no command line.
        on_start: Called with the child, for who wants to end it early.

    Raises:
        SourceError: What the reader raised; LimitError where a ceiling was reached, DamagedSourceError where
            the child crashed, its reader failed, or what it wrote is not what it should.
    """

    def lines() -> Generator[bytes]:
        return _lines(reader, path, content, ceilings, arguments, on_start)

    try:
        try:
            records, ending = _decoded(lines(), decoder)
        except _LostError:
            give_up()
            records, ending = _decoded(lines(), decoder)
    except msgspec.MsgspecError as error:
        raise DamagedSourceError(path, f"its reader ended in the middle of it ({error})", _ANEW) from error
    if isinstance(ending, _Failure):
        raise _as_error(path, ending, ceilings)
    return records


def _decoded(
    lines: Generator[bytes], decoder: msgspec.json.Decoder[_Record]
) -> tuple[list[_Record], _Done | _Failure]:
    """The records that a child writes, and the last one."""
    records: list[_Record] = []
    last = b""
    with closing(lines):
        for line in lines:
            # Decoded as they come: what was written is never held beside what was read from it.
            if last:
                records.append(decoder.decode(last))
            last = line
    return records, msgspec.json.decode(last, type=_Done | _Failure)


def _lines(  # noqa: PLR0917
    reader: str,
    path: str,
    content: bytes,
    ceilings: Ceilings,
    arguments: Mapping[str, Any],
    on_start: Callable[[RunningChild], None] | None,
) -> Generator[bytes]:
    """Each line that the child writes; at the end it has ended by itself.

    Raises:
        LimitError: It ran into a ceiling.
        DamagedSourceError: It crashed.
    """
    order = _order(reader, len(content), ceilings)
    num_lines = 0
    with start_child(order) as child:
        given = threading.Thread(target=_give, args=(child, arguments, content), daemon=True)
        clock = _Clock(child, ceilings.seconds)
        try:
            if on_start:
                on_start(child)
            given.start()
            clock.start()
            for line in child.stdout or ():
                num_lines += 1
                yield line
            child.wait()
        finally:
            clock.cancel()
            _end(child)
            if given.ident:
                given.join()
    if clock.has_struck:
        raise LimitError(path, f"reading it takes more than {ceilings.seconds:g} s", _SMALLER)
    if child.is_lost:
        raise _LostError
    code = child.wait()
    if code < 0:
        raise _ended_by(_signal_name(-code), path, ceilings, child.peak_bytes)
    if code and not num_lines:
        # Readers cannot end like this: the interpreter could not start, or found no lctx.
        raise RuntimeError(f"{reader} did not start in a child process (exit code {code})")


def _end(child: RunningChild) -> None:
    """Leave nothing of the child behind, whether it has ended or not."""
    child.kill()
    child.wait()  # after Ctrl-C `with` alone would leave a zombie


def _give(child: RunningChild, arguments: Mapping[str, Any], content: bytes) -> None:
    """Write a line of arguments and the content to the child; it may be gone before it has taken them."""
    if child.stdin:
        with suppress(OSError), child.stdin as stdin:
            stdin.write(json.dumps(dict(arguments)).encode() + b"\n")
            stdin.write(content)


class _Clock(threading.Timer):
    """Ends a child once its seconds are over.

    Attributes:
        has_struck: Whether it did.
    """

    has_struck = False

    def __init__(self, child: RunningChild, seconds: float) -> None:
        super().__init__(seconds, self._strike)
        self.daemon = True
        self._child = child

    def _strike(self) -> None:
        if self._child.poll() is None:
            self.has_struck = True
            self._child.kill()


def _ended_by(name: str, path: str, ceilings: Ceilings, peak_bytes: int) -> SourceError:
    """The error for a child that a signal ended, after it held `peak_bytes` of memory at most."""
    if name == "SIGPROF":
        why = f"one page or part of it takes more than {ceilings.step_s:g} s to read"
        return LimitError(path, why, "save it anew from the program that made it, or split it")
    if name in _OUT_OF_MEMORY and peak_bytes > _NEARLY * ceilings.memory_bytes:
        return _memory_error(path, ceilings)
    return DamagedSourceError(path, f"it crashes its reader ({name})", _ANEW)


def _order(reader: str, size: int, ceilings: Ceilings) -> str:
    module, _, function = reader.partition(":")
    return json.dumps(
        {
            "path": import_paths(),
            "module": module,
            "function": function,
            "size": size,
            "memory_bytes": ceilings.memory_bytes + size,
            "step_s": ceilings.step_s,
        }
    )


def _as_error(path: str, failure: _Failure, ceilings: Ceilings) -> Exception:
    if failure.code == "import":
        return ImportError(f"a reader's library is missing: {failure.why}")
    if failure.code == "crash":
        return DamagedSourceError(path, f"its reader failed: {failure.why}", _ANEW)
    if failure.code == "memory":
        return _memory_error(path, ceilings)
    raised: type[SourceError] = _RAISED.get(failure.code, DamagedSourceError)
    return raised(path, failure.why, failure.hint)


def _memory_error(path: str, ceilings: Ceilings) -> LimitError:
    return LimitError(
        path, f"reading it takes more than {ceilings.memory_bytes >> 20} MiB of memory", _SMALLER
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
