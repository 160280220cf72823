"""The commands below `lctx cache`: what is kept, how to be rid of it, where it is."""

from collections.abc import Callable
from typing import Annotated

import typer

from lctx.cli import options
from lctx.cli.light import LightCommand, LightGroup
from lctx.core.errors import ExitCode

Job = Callable[[float], ExitCode]

_All = Annotated[
    bool, typer.Option("--all", help="The embedded model too, which takes seconds to make again.")
]

cache = typer.Typer(
    cls=LightGroup,
    help="Say what is kept on the disk, and remove it.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@cache.command(cls=LightCommand)
def info(*, format: options.ReportFormat = "text") -> Job:  # noqa: A002 - named as the option is
    """Say what is kept, and how much of the disk it takes."""

    def job(started: float) -> ExitCode:
        from lctx.cli.cache import run_info

        return run_info(format, started)

    return job


@cache.command(cls=LightCommand)
def clear(*, everything: _All = False) -> Job:
    """Remove what is kept: sources are read, and counted, anew.

    Engines, sessions and settings stay.
    """

    def job(started: float) -> ExitCode:
        from lctx.cli.cache import run_clear

        return run_clear(started, everything=everything)

    return job


@cache.command(cls=LightCommand)
def path() -> Job:
    """Print where the cache is."""

    def job(started: float) -> ExitCode:
        from lctx.cli.cache import run_path

        return run_path(started)

    return job
