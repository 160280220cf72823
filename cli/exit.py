"""What the process returns: one pure function over all that happened."""

from lctx.core.errors import ExitCode, LctxError, worst_exit_code


def exit_code_of(
    error: BaseException | None = None, *, num_unreadable: int = 0, num_unsupported: int = 0
) -> ExitCode:
    """The exit code of a command.

    Args:
        error: What ended it early, or None.
        num_unreadable: Named sources that could not be read while others could.
        num_unsupported: Sentences without a verified, supported citation, where the user asked for the gate.
    """
    codes = [ExitCode.OK]
    if isinstance(error, KeyboardInterrupt):
        codes.append(ExitCode.INTERRUPTED)
    elif error is not None:
        codes.append(error.exit_code if isinstance(error, LctxError) else ExitCode.INTERNAL)
    if num_unreadable:
        codes.append(ExitCode.INCOMPLETE)
    if num_unsupported:
        codes.append(ExitCode.GATE)
    return worst_exit_code(codes)
