"""The commands below `lctx models`: what there is, what one model is, what fits where."""

from collections.abc import Callable

import typer

from lctx.cli import options
from lctx.cli.light import LightCommand, LightGroup
from lctx.core.errors import ExitCode

Job = Callable[[float], ExitCode]

models = typer.Typer(
    cls=LightGroup,
    help="Say which models there are, what one is, and what fits where.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@models.command(cls=LightCommand)
def ls(part: options.ModelFilter = None, *, format: options.TableFormat = "text") -> Job:  # noqa: A002
    """List the models that are installed or known."""

    def job(started: float) -> ExitCode:
        from lctx.cli.models import run_ls

        return run_ls(part, format, started)

    return job


@models.command(cls=LightCommand)
def show(
    name: options.ModelName = None,
    *,
    gpu: options.Gpus = None,
    kv_dtype: options.KvDtype = None,
    format: options.TableFormat = "text",  # noqa: A002 - named as the option is
) -> Job:
    """Show everything that is known of one model."""
    flags: dict[str, object] = {"gpu": gpu, "kv_dtype": kv_dtype}

    def job(started: float) -> ExitCode:
        from lctx.cli.models import run_show

        return run_show(name, flags, format, started)

    return job


@models.command(cls=LightCommand)
def fit(
    names: options.ModelNames = None,
    *,
    gpu: options.Gpus = None,
    kv_dtype: options.KvDtype = None,
    window: options.FitWindow = None,
    price_per_hour: options.PricePerHour = None,
    format: options.TableFormat = "text",  # noqa: A002 - named as the option is
) -> Job:
    """Say how long a window fits which device, and how fast it is there."""
    flags: dict[str, object] = {
        "gpu": gpu,
        "kv_dtype": kv_dtype,
        "window": window,
        "price_per_hour": price_per_hour,
    }

    def job(started: float) -> ExitCode:
        from lctx.cli.compare import run_fit

        return run_fit(tuple(names or ()), flags, format, started)

    return job
