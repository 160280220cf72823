"""What was typed, before it is understood: the options that `ask`, `plan` and `read` share."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lctx.cli.arguments import STDIN, Invocation, check_question, parse_arguments, path_exists, split_list
from lctx.cli.settings import Settings, load_settings, own_config_file
from lctx.core.errors import UsageError

if TYPE_CHECKING:
    from lctx.core.answering.inputs import AskSettings

_Number = TypeVar("_Number", int, float)
_MOST_WEIGHT = 1000.0
_MAX_QUESTION_BYTES = 4 << 20
_MAX_LIST_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """The command line of `ask`, `plan` or `read` as typed.

    Attributes:
        arguments: Sources, and usually the question last.
        question: `-q`.
        question_file: `--question-file`.
        files_from: `--files-from`.
        null: `-0`: the list's paths end with NUL bytes.
        include: Patterns, as `.gitignore` has them.
        exclude: The same.
        use_ignores: Without `--no-ignore`: what ignore files name is left out.
        password: `--password`, else `LCTX_PASSWORD`; never shown, never kept.
        pins: Patterns of `--pin`.
        weights: `--weight`, PATTERN=N each.
        priorities: `--priority`, PATTERN=N each.
        output: `-o`.
        raw: `--raw`: one integer.
        compare: `--compare`: models and devices side by side.
        outline: `--outline`: headings and definitions only.
        numbered: `-n`: each line behind its place.
        where: Quotes of `--where`.
        flags: Everything that can also be set elsewhere, by its key; None was not given.
    """

    arguments: tuple[str, ...] = ()
    question: str | None = None
    question_file: str | None = None
    files_from: str | None = None
    null: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    use_ignores: bool = True
    password: str | None = field(default=None, repr=False)
    pins: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    priorities: tuple[str, ...] = ()
    output: str | None = None
    raw: bool = False
    compare: bool = False
    outline: bool = False
    numbered: bool = False
    where: tuple[str, ...] = ()
    flags: Mapping[str, object] | None = None


def settings_of(request: Request) -> tuple[Settings, list[str]]:
    """The settings that a request leads to here and now, and what to warn of."""
    return load_settings(
        request.flags or {}, environ=os.environ, directory=Path.cwd(), own_file=own_config_file()
    )


def ask_settings(request: Request, settings: Settings) -> "AskSettings":
    """What a request decides about its answer.

    Raises:
        UsageError: A weight or a priority is not PATTERN=N.
    """
    from lctx.core.answering.inputs import AskSettings

    return AskSettings(
        strategy=settings.strategy,
        budget=settings.budget,
        max_tokens=settings.max_tokens,
        seed=settings.seed,
        window=settings.window,
        pins=request.pins,
        weights=tuple(_valued("--weight", text, _weight) for text in request.weights),
        priorities=tuple(_valued("--priority", text, int) for text in request.priorities),
    )


def _valued(option: str, text: str, parse: Callable[[str], _Number]) -> tuple[str, _Number]:
    """PATTERN=N as its two parts."""
    pattern, _, value = text.rpartition("=")
    try:
        number = parse(value)
    except ValueError:
        number = None
    if not pattern or number is None or not value.isascii():
        raise UsageError(
            f"{option} {text}: not PATTERN=NUMBER", f"write it like {option} 'contracts/*.pdf=2'"
        )
    return pattern, number


def _weight(text: str) -> float:
    value = float(text)
    if not 0 <= value <= _MOST_WEIGHT:
        raise ValueError
    return value


def invocation_of(request: Request, *, needs_question: bool) -> Invocation:
    """What is asked of what; a missing question is asked for where a person sits at the terminal.

    Raises:
        UsageError: No source, no question where one is needed, or a file of either that cannot be read.
    """
    if request.question is not None and request.question_file is not None:
        raise UsageError("-q and --question-file: both name the question", "leave one of them out")
    if request.files_from is None and request.null:
        raise UsageError("-0: there is no list whose paths could end with NUL", "add --files-from")
    taken = [name for name in (request.question_file, request.files_from) if name == STDIN]
    if len(taken) > 1:
        raise UsageError(
            "standard input: it cannot be the question and the list at once", "use a file for one"
        )
    question = request.question
    if request.question_file is not None:
        content = _content(request.question_file, "question file", _MAX_QUESTION_BYTES)
        question = content.decode("utf-8-sig", "replace")
    listed = None
    if request.files_from is not None:
        listed = split_list(_content(request.files_from, "list of files", _MAX_LIST_BYTES), null=request.null)
    invocation = parse_arguments(
        request.arguments,
        question=question,
        listed=listed,
        stdin_is_terminal=stdin_is_terminal(),
        stdin_is_taken=bool(taken),
        exists=names_source,
    )
    asked = invocation.question
    if needs_question:
        if asked is None and not invocation.stdin and not taken and stdin_is_terminal() and sys.stdin:
            asked = _ask_for_question()
        asked = check_question(asked)
    elif asked is not None:
        asked = check_question(asked)
    return Invocation(asked, invocation.sources, invocation.stdin, invocation.warnings)


def names_source(text: str) -> bool:
    """Whether `text` leads to something that is there: a path, perhaps with pages behind it (a.pdf#3-5)."""
    if path_exists(text) or "#" not in text:
        return path_exists(text)
    from lctx.formats.sources import names_source

    return names_source(text)


def stdin_is_terminal() -> bool:
    """Whether there is nothing to read from standard input: a person sits at it, or it is closed."""
    try:
        return sys.stdin is None or sys.stdin.isatty()
    except ValueError:
        return True


def _ask_for_question() -> str:
    """One line from the terminal; the prompt goes to standard error, because stdout is the answer's."""
    if sys.stderr:
        sys.stderr.write("question: ")
        sys.stderr.flush()
    return sys.stdin.readline()


def _content(path: str, what: str, most: int) -> bytes:
    try:
        if path == STDIN:
            content = sys.stdin.buffer.read(most + 1) if sys.stdin else b""
        else:
            with Path(path).open("rb") as file:
                content = file.read(most + 1)
    except (OSError, ValueError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise UsageError(f"{what} {path}: {why}", "check the path") from error
    if len(content) > most:
        raise UsageError(f"{what} {path}: larger than {most >> 20} MB", "name a smaller file")
    return content
