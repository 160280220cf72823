"""The commands that read sources: answer from them, plan for them, show their text with its places."""

import inspect
import os
from collections.abc import Callable
from typing import Any, get_args

import typer

from lctx.cli import options
from lctx.cli.light import LightCommand
from lctx.cli.request import Request
from lctx.cli.settings import KEYS
from lctx.core.errors import ExitCode

Job = Callable[[float], ExitCode]
Command = Callable[..., Job]
PASSWORD_VARIABLE = "LCTX_PASSWORD"  # noqa: S105 - a name

_QUESTION = {"question": options.Question, "question_file": options.QuestionFile}
_CHOICE = {
    "files_from": options.FilesFrom,
    "null": options.Null,
    "include": options.Include,
    "exclude": options.Exclude,
    "no_ignore": options.NoIgnore,
    "password": options.Password,
}
_ENGINE = {
    "model": options.Model,
    "engine": options.Engine,
    "endpoint": options.Endpoint,
    "vllm_python": options.VllmPython,
    "max_tokens": options.MaxTokens,
    "budget": options.Budget,
    "strategy": options.Strategy,
    "window": options.Window,
    "pin": options.Pin,
    "weight": options.Weight,
    "priority": options.Priority,
    "keep_alive": options.KeepAlive,
    "wait": options.Wait,
    "seed": options.Seed,
    "no_cite": options.NoCite,
    "require_citations": options.RequireCitations,
}
_END = {"quiet": options.Quiet, "offline": options.Offline, "no_cache": options.NoCache}
_ASK = (
    {"arguments": options.Arguments}
    | _QUESTION
    | _CHOICE
    | {"format": options.Format, "output": options.Output}
    | _ENGINE
    | {"show_reasoning": options.ShowReasoning}
    | _END
)
_PLAN = (
    {"arguments": options.Arguments}
    | _QUESTION
    | _CHOICE
    | {
        "raw": options.Raw,
        "compare": options.Compare,
        "gpu": options.Gpu,
        "kv_dtype": options.KvDtype,
        "price_per_hour": options.PricePerHour,
        "format": options.Format,
        "output": options.Output,
    }
    | _ENGINE
    | _END
)
_READ = (
    {"arguments": options.Sources}
    | _CHOICE
    | {
        "outline": options.Outline,
        "where": options.Where,
        "numbered": options.Numbered,
        "format": options.ReadFormat,
        "output": options.Output,
        "quiet": options.Quiet,
        "no_cache": options.NoCache,
    }
)


def taking(parameters: dict[str, Any]) -> Callable[[Command], Command]:
    """A decorator that gives a command these parameters, as typer reads them off a signature.

    What `ask`, `plan` and `read` have in common is listed once. A flag that is not given is false, all else
    None.
    """

    def decorate(command: Command) -> Command:
        kinds = (
            inspect.Parameter(
                name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD
                if name == "arguments"
                else inspect.Parameter.KEYWORD_ONLY,
                default=False if get_args(annotation)[0] is bool else None,
                annotation=annotation,
            )
            for name, annotation in parameters.items()
        )
        command.__signature__ = inspect.Signature([*kinds])  # type: ignore[attr-defined]
        command.__annotations__ = dict(parameters)
        return command

    return decorate


@taking(_ASK)
def ask(**given: Any) -> Job:
    """Answer a question, with a checked quote behind every sentence.

    The question is the last argument, unless that is an existing path:

        lctx ask report.pdf annex.docx "When does the agreement end?"
    """
    request = request_of(given)

    def job(started: float) -> ExitCode:
        from lctx.cli.ask import run_ask

        return run_ask(request, started)

    return job


@taking(_PLAN)
def plan(**given: Any) -> Job:
    """Show what a question would read, leave out and cost.

    Takes what ask takes and runs no model. The question is optional.
    """
    request = request_of(given)

    def job(started: float) -> ExitCode:
        from lctx.cli.plan import run_plan

        return run_plan(request, started)

    return job


@taking(_READ)
def read(**given: Any) -> Job:
    """Show the text of sources, with its pages and lines.

    Or find where a quote stands:

        lctx read report.pdf --where "three hundred units"
    """
    request = request_of(given)

    def job(started: float) -> ExitCode:
        from lctx.cli.read import run_read

        return run_read(request, started)

    return job


def request_of(given: dict[str, Any]) -> Request:
    """The parameters of a command that reads sources, as one value.

    The password leaves the environment here: an engine that stays warm must not inherit it.
    """
    password = os.environ.pop(PASSWORD_VARIABLE, None)
    return Request(
        arguments=tuple(given["arguments"] or ()),
        question=given.get("question"),
        question_file=given.get("question_file"),
        files_from=given["files_from"],
        null=given["null"],
        include=tuple(given["include"] or ()),
        exclude=tuple(given["exclude"] or ()),
        use_ignores=not given["no_ignore"],
        password=given["password"] or password or None,
        pins=tuple(given.get("pin") or ()),
        weights=tuple(given.get("weight") or ()),
        priorities=tuple(given.get("priority") or ()),
        output=given.get("output"),
        raw=given.get("raw", False),
        compare=given.get("compare", False),
        outline=given.get("outline", False),
        numbered=given.get("numbered", False),
        where=tuple(given.get("where") or ()),
        flags={key: given.get(key) for key in KEYS},
    )


def register(app: typer.Typer) -> None:
    """Make these commands of `app`."""
    for command in (ask, plan, read):
        app.command(cls=LightCommand)(command)
