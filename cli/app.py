"""The console script `lctx`: the commands, and what every path out of them returns."""

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

from lctx.cli import options
from lctx.cli.commands_engines import register
from lctx.cli.commands_models import models
from lctx.cli.light import LightCommand, LightGroup
from lctx.cli.request import Request
from lctx.cli.settings import KEYS
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
    """The console script: run a command line and end the process with its exit code."""
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
        example = 'lctx ask report.pdf "When does it end?"' if command == "lctx" else f"{command} ls"
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


@app.command(cls=LightCommand)
def ask(
    arguments: options.Arguments = None,
    *,
    question: options.Question = None,
    question_file: options.QuestionFile = None,
    files_from: options.FilesFrom = None,
    null: options.Null = False,
    include: options.Include = None,
    exclude: options.Exclude = None,
    format: options.Format = None,  # noqa: A002 - named as the option is
    output: options.Output = None,
    model: options.Model = None,
    engine: options.Engine = None,
    endpoint: options.Endpoint = None,
    vllm_python: options.VllmPython = None,
    max_tokens: options.MaxTokens = None,
    budget: options.Budget = None,
    strategy: options.Strategy = None,
    window: options.Window = None,
    pin: options.Pin = None,
    weight: options.Weight = None,
    priority: options.Priority = None,
    keep_alive: options.KeepAlive = None,
    wait: options.Wait = None,
    seed: options.Seed = None,
    no_cite: options.NoCite = None,
    require_citations: options.RequireCitations = None,
    show_reasoning: options.ShowReasoning = None,
    quiet: options.Quiet = None,
    offline: options.Offline = None,
    no_cache: options.NoCache = None,
) -> Job:
    """Answer a question, with a checked quote behind every sentence.

    The question is the last argument, unless that is an existing path:

        lctx ask report.pdf annex.docx "When does the agreement end?"
    """
    request = _request(locals())

    def job(started: float) -> ExitCode:
        from lctx.cli.ask import run_ask

        return run_ask(request, started)

    return job


@app.command(cls=LightCommand)
def plan(
    arguments: options.Arguments = None,
    *,
    question: options.Question = None,
    question_file: options.QuestionFile = None,
    files_from: options.FilesFrom = None,
    null: options.Null = False,
    include: options.Include = None,
    exclude: options.Exclude = None,
    raw: options.Raw = False,
    compare: options.Compare = False,
    gpu: options.Gpu = None,
    kv_dtype: options.KvDtype = None,
    price_per_hour: options.PricePerHour = None,
    format: options.Format = None,  # noqa: A002 - named as the option is
    output: options.Output = None,
    model: options.Model = None,
    engine: options.Engine = None,
    endpoint: options.Endpoint = None,
    vllm_python: options.VllmPython = None,
    max_tokens: options.MaxTokens = None,
    budget: options.Budget = None,
    strategy: options.Strategy = None,
    window: options.Window = None,
    pin: options.Pin = None,
    weight: options.Weight = None,
    priority: options.Priority = None,
    keep_alive: options.KeepAlive = None,
    wait: options.Wait = None,
    seed: options.Seed = None,
    no_cite: options.NoCite = None,
    require_citations: options.RequireCitations = None,
    quiet: options.Quiet = None,
    offline: options.Offline = None,
    no_cache: options.NoCache = None,
) -> Job:
    """Show what a question would read, leave out and cost.

    Takes what ask takes and runs no model. The question is optional.
    """
    request = _request(locals())

    def job(started: float) -> ExitCode:
        from lctx.cli.plan import run_plan

        return run_plan(request, started)

    return job


app.add_typer(models, name="models")
register(app)


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


def _request(given: dict[str, Any]) -> Request:
    """The parameters of `ask` or `plan` as one value."""
    return Request(
        arguments=tuple(given["arguments"] or ()),
        question=given["question"],
        question_file=given["question_file"],
        files_from=given["files_from"],
        null=given["null"],
        include=tuple(given["include"] or ()),
        exclude=tuple(given["exclude"] or ()),
        pins=tuple(given["pin"] or ()),
        weights=tuple(given["weight"] or ()),
        priorities=tuple(given["priority"] or ()),
        output=given["output"],
        raw=given.get("raw", False),
        compare=given.get("compare", False),
        flags={key: given.get(key) for key in KEYS},
    )


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
