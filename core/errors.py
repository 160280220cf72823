"""Every error that lctx raises on purpose, and what each means for the exit code.

    LctxError
    ├── UsageError                 2   the command line, a setting, a question
    │   └── ConfigError            2   a configuration file or variable
    ├── SourceError                2   one named source could not be read (5 when others could)
    │   ├── MissingSourceError         it is not there
    │   ├── EmptySourceError           it holds nothing
    │   ├── EncryptedSourceError       it needs a password
    │   ├── ScannedSourceError         it holds pictures of text, no text
    │   ├── UnsupportedSourceError     no reader knows it
    │   ├── DamagedSourceError         its reader cannot make sense of it
    │   └── LimitError                 it is larger than a named ceiling
    ├── DoesNotFitError            3   more tokens than the window holds
    ├── EngineError                4   the engine failed
    │   ├── EngineMissingError         it is not installed
    │   ├── ModelFileError             the model's file is missing or damaged
    │   ├── EngineCrashedError         it died, or closed the stream early
    │   └── EngineRefusedError         it answered with an error, or wants another key
    ├── EngineLoadingError        75   still loading when the wait was over
    ├── IncompleteError            5   something that was promised to be read was not
    ├── GateError                  1   a gate that the user set has tripped
    └── InterruptError            130   Ctrl-C

A message is `<what>: <why>` on one line without a final period; a hint is the next thing to do.
`ValueError` and `assert` are for our own mistakes, never for the user's.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What the process tells its caller. The numbers are a public contract."""

    OK = 0
    GATE = 1
    USAGE = 2
    DOES_NOT_FIT = 3
    ENGINE = 4
    INCOMPLETE = 5
    INTERNAL = 70
    TRY_AGAIN = 75
    INTERRUPTED = 130


_PRECEDENCE = (
    ExitCode.INTERRUPTED,
    ExitCode.INTERNAL,
    ExitCode.USAGE,
    ExitCode.ENGINE,
    ExitCode.TRY_AGAIN,
    ExitCode.DOES_NOT_FIT,
    ExitCode.GATE,
    ExitCode.INCOMPLETE,
    ExitCode.OK,
)


def worst_exit_code(codes: Iterable[ExitCode]) -> ExitCode:
    """The one code that speaks for all that happened: a crash never looks like a finding."""
    held = set(codes)
    return next((code for code in _PRECEDENCE if code in held), ExitCode.OK)


class LctxError(Exception):
    """The root: something that a user can be told about, and usually can mend.

    Attributes:
        message: What went wrong and why, one line.
        hint: The next thing to do, or None.
        code: A stable name for machines; part of the output contract.
        exit_code: What the process returns when this error ends it.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LctxError):
    """The command line, a setting or the question itself cannot be used."""

    code = "usage"
    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """A configuration file or an `LCTX_*` variable holds something unknown or unusable."""

    code = "config"


class SourceError(LctxError):
    """One source could not be read. Alone it is exit 2; beside sources that were read it becomes 5."""

    code = "unreadable_source"
    exit_code = ExitCode.USAGE

    def __init__(self, path: str, why: str, hint: str | None = None) -> None:
        super().__init__(f"{'standard input' if path == '-' else path}: {why}", hint)
        self.path = path
        self.why = why

    def __reduce__(self) -> tuple[type["SourceError"], tuple[str, str, str | None]]:
        """Readers run in a child process: the error crosses back whole."""
        return type(self), (self.path, self.why, self.hint)


class MissingSourceError(SourceError):
    """The path does not exist, or vanished while it was being read."""

    code = "missing_source"


class EmptySourceError(SourceError):
    """There is nothing in it: no bytes, or no file that lctx reads."""

    code = "empty_source"


class EncryptedSourceError(SourceError):
    """It opens with a password only."""

    code = "encrypted_source"


class ScannedSourceError(SourceError):
    """Its pages are pictures: there is no text to read or to cite."""

    code = "scanned_source"


class UnsupportedSourceError(SourceError):
    """No reader knows this kind of file."""

    code = "unsupported_source"


class DamagedSourceError(SourceError):
    """Its reader could not make sense of it."""

    code = "damaged_source"


class LimitError(SourceError):
    """It is larger, deeper or slower than a named ceiling allows."""

    code = "source_limit"


class DoesNotFitError(LctxError):
    """The prompt would hold more tokens than the window; nothing was cut and nothing was sent."""

    code = "does_not_fit"
    exit_code = ExitCode.DOES_NOT_FIT


class EngineError(LctxError):
    """The engine could not do what it was asked."""

    code = "engine_failed"
    exit_code = ExitCode.ENGINE


class EngineMissingError(EngineError):
    """The engine's package is not installed."""

    code = "engine_not_installed"


class ModelFileError(EngineError):
    """The model's file is missing, damaged or not a model."""

    code = "model_unusable"


class EngineCrashedError(EngineError):
    """The engine's process ended, or its stream closed before the answer did."""

    code = "engine_crashed"


class EngineRefusedError(EngineError):
    """The engine answered with an error status, or did not accept the key."""

    code = "engine_refused"


class EngineLoadingError(LctxError):
    """The engine was still loading when the wait was over."""

    code = "engine_loading"
    exit_code = ExitCode.TRY_AGAIN


class IncompleteError(LctxError):
    """Something named by the user, or promised by a strategy, was not read."""

    code = "incomplete"
    exit_code = ExitCode.INCOMPLETE


class GateError(LctxError):
    """A gate that the user set (`--require-citations`) has tripped."""

    code = "gate"
    exit_code = ExitCode.GATE


class InterruptError(LctxError):
    """The user pressed Ctrl-C; what had arrived by then is kept."""

    code = "interrupted"
    exit_code = ExitCode.INTERRUPTED
