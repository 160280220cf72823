"""The console script `lctx` from its first moment: Ctrl-C ends it quietly while commands are imported."""

import os
import signal
from types import FrameType


def main() -> None:
    """Run a command line and end the process with its exit code."""
    is_early = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_early:  # a shell may have it ignored, which is to stay so
        signal.signal(signal.SIGINT, _leave)
    from lctx.cli.app import main as run_command

    if is_early:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run_command()


def _leave(_number: int, _frame: FrameType | None) -> None:
    # Nothing was begun, so there is nothing to tidy up; an exception here would show where it came from.
    os._exit(130)
