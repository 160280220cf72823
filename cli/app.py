"""The commands of `lctx`, and what every path out of them returns."""

import gc
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Annotated, Any

import typer

from lctx.cli import commands_engines, commands_sources, options
from lctx.cli.commands_cache import cache
from lctx.cli.commands_models import models
from lctx.cli.light import LightCommand, LightGroup
from lctx.core.errors import ExitCode, LctxError, UsageError

COMPLETION = "_LCTX_COMPLETE"
_NO_SUCH_COMMAND = re.compile(r"No such command '(.*?)'\.?(?: Did you mean '?(.*?)'?\?)?$")
_TOO_MANY = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)$")

Job = Callable[[float], ExitCode]
"""A command, parsed and ready to run; told when the process began."""

app = typer.Typer(
    name="lctx",
    cls=LightGroup,
    help="Answers about long documents, with every quote checked against its page or line.",
    # Rich's help panels alone would cost a fifth of a second.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run a command line and end the process with its exit code."""
    started = monotonic()
    if not sys.warnoptions:
        # Python's warnings are for programmers; what a user must know has its own words.
        warnings.simplefilter("ignore")
    code = run(sys.argv[1:], started)
    _flush()
    # The interpreter looks for garbage twice on its way out; there is nothing worth finding any more.
    gc.freeze()
    sys.exit(int(code))


def run(argv: Sequence[str], started: float) -> ExitCode:
    """What the process returns for a command line; every error has been told by then."""
    from lctx.cli.failure import internal_error, tell_failure

    try:
        job = parse(argv)
        return job if isinstance(job, ExitCode) else job(started)
    except LctxError as error:
        return tell_failure(error, argv)
    except KeyboardInterrupt:
        from lctx.core.errors import InterruptError

        return tell_failure(InterruptError("interrupted"), argv)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a crash has its own code
        return tell_failure(internal_error(error), argv)


def parse(argv: Sequence[str]) -> Job | ExitCode:
    """The job that a command line names; the exit code where it asked for help or for the version.

    Raises:
        UsageError: It is none that lctx knows.
    """
    try:
        job: Any = app(list(argv), prog_name="lctx", standalone_mode=False)
    except typer.TyperException as error:
        raise _usage_error(error, argv) from error
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except SystemExit as error:
        # So typer ends where the reader of its help went away; completion ends so too, with its own code.
        if COMPLETION in os.environ:
            raise
        return ExitCode.OK if error.code in {0, 1} else ExitCode.INTERNAL
    if job == ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    return job if callable(job) else ExitCode.OK


def _usage_error(error: typer.TyperException, argv: Sequence[str]) -> UsageError:
    """What typer found wrong, as `<what>: <why>`; in its words where it is none of the common mistakes."""
    context = getattr(error, "ctx", None)
    named = next((word for word in argv if word in _commands()), None)
    command = context.command_path if context else " ".join(["lctx", *filter(None, [named])])
    option, message = (
        getattr(error, "option_name", None),
        " ".join(error.format_message().split()).rstrip("."),
    )
    help_hint = f"{command} --help shows what there is"
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message(), file=sys.stderr)
        below = {"lctx": 'ask report.pdf "When does it end?"', "lctx models": "ls", "lctx cache": "info"}
        example = f"{command} {below.get(command, '--help')}"
        return UsageError("no command was given", f"try: {example}")
    if type(error).__name__ == "NoSuchOption":
        near = ", ".join(sorted(getattr(error, "possibilities", None) or ()))
        return UsageError(f"{option}: no such option", f"did you mean {near}?" if near else help_hint)
    if option is not None:
        takes_none = "does not take" in message
        return UsageError(
            f"{option}: {'it takes no value' if takes_none else 'its value is missing'}", help_hint
        )
    if found := _NO_SUCH_COMMAND.match(message):
        return UsageError(
            f"{found[1]}: no such command", f"did you mean {found[2]}?" if found[2] else help_hint
        )
    if found := _TOO_MANY.match(message):
        return UsageError(f"{found[1]}: one argument too many", help_hint)
    return UsageError(message, help_hint)


def _commands() -> set[str]:
    groups = {one.name for one in app.registered_groups if one.name}
    return groups | {one.callback.__name__ for one in app.registered_commands if one.callback}


def _version(wanted: bool) -> None:
    if wanted:
        from lctx import __version__

        print(f"lctx {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Answers about long documents, with every quote checked against its page or line.

    lctx ask report.pdf "What changed, and why?"
    """


commands_sources.register(app)
app.add_typer(models, name="models")
app.add_typer(cache, name="cache")
commands_engines.register(app)


@app.command(cls=LightCommand)
def ps(*, format: options.ReportFormat = "text") -> Job:  # noqa: A002 - named as the option is
    """List the engines that lctx keeps warm."""
    from lctx.cli.servers import run_ps

    return partial(run_ps, format)


@app.command(cls=LightCommand)
def stop(
    server: options.Server = None,
    *,
    all: options.All = False,  # noqa: A002 - named as the option is
    format: options.ReportFormat = "text",  # noqa: A002
) -> Job:
    """Stop an engine that lctx keeps warm, or all of them."""
    from lctx.cli.servers import run_stop

    if all and server is not None:
        raise UsageError(f"--all: {server} is named beside it", "leave one of them out")
    return partial(run_stop, server, format)


@app.command(cls=LightCommand)
def doctor(*, format: options.ReportFormat = "text") -> Job:  # noqa: A002 - named as the option is
    """Say what is installed, where things are kept, and what is wrong."""
    from lctx.cli.doctor import run_doctor

    return partial(run_doctor, format)


def _flush() -> None:
    """Send what is buffered; a reader that went away is no error and leaves no complaint at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
