"""Which of the arguments is the question, what the sources are, and whether standard input is one of them."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lctx.core.errors import UsageError

STDIN = "-"
_MAX_PATH = 4096


@dataclass(frozen=True, slots=True)
class Invocation:
    """What was asked of what.

    Attributes:
        question: As it was typed, or None where there is none.
        sources: Paths in the order in which they were named, without standard input.
        stdin: Whether the content of standard input is a source.
        warnings: What may not have been meant, one sentence each.
    """

    question: str | None
    sources: tuple[str, ...]
    stdin: bool
    warnings: tuple[str, ...] = ()


def path_exists(path: str) -> bool:
    """Whether `path` names something; a dangling link does, a text too long for a name does not."""
    return 0 < len(path) <= _MAX_PATH and os.path.lexists(path)


def parse_arguments(
    arguments: Sequence[str],
    *,
    question: str | None = None,
    listed: Sequence[str] | None = None,
    stdin_is_terminal: bool,
    stdin_is_taken: bool = False,
    exists: Callable[[str], bool] = path_exists,
) -> Invocation:
    """The invocation that a list of arguments means.

    The question is the last argument unless that names an existing path. Standard input is a source for
    `-`, or where no source is named and it is no terminal: inside `while read` a command must leave the list.

    Args:
        arguments: As typed.
        question: From `-q` or `--question-file`, which always win: then every argument is a source.
        listed: Paths from `--files-from`, or None without the option.
        stdin_is_terminal: Whether a person sits at it (or it is closed).
        stdin_is_taken: Whether `--files-from -` or `--question-file -` reads it.
        exists: Whether a text names an existing path.

    Raises:
        UsageError: There is no source, or standard input is wanted twice.
    """
    sources, warnings = list(arguments), []
    if question is None and sources and sources[-1] != STDIN and not exists(sources[-1]):
        question = sources.pop()
        if looks_like_path(question):
            warnings.append(f"{question}: no such file, so it was taken as the question")
    sources = [*dict.fromkeys([*sources, *(listed or ())])]
    stdin = STDIN in sources
    sources = [source for source in sources if source != STDIN]
    if stdin and stdin_is_taken:
        raise UsageError("standard input: it cannot be a source and a list at once", "use a file for one")
    if not sources and not stdin:
        if stdin_is_terminal or stdin_is_taken or listed is not None:
            raise _no_source(question)
        stdin = True
    return Invocation(question, tuple(sources), stdin, tuple(warnings))


def looks_like_path(text: str) -> bool:
    """Whether `text` was probably meant as a path: no white space, and a slash or a short suffix."""
    stem, dot, suffix = text.rpartition(".")
    named = bool(stem and dot) and 0 < len(suffix) <= 5 and suffix.isalnum()  # noqa: PLR2004
    return bool(text) and not any(char.isspace() for char in text) and (named or os.sep in text)


def check_question(question: str | None) -> str:
    """The question without surrounding white space.

    Raises:
        UsageError: There is none, or it is empty.
    """
    if question is None:
        raise UsageError(
            "no question: the last argument is an existing path, or there is none",
            'add the question in quotes: lctx ask report.pdf "When does it end?", or use -q',
        )
    if not question.strip():
        raise UsageError("the question is empty", 'ask something: lctx ask report.pdf "When does it end?"')
    return question.strip()


def split_list(content: bytes, *, null: bool) -> list[str]:
    """The paths of a list: one a line, or ended by NUL bytes as `find -print0` writes them."""
    parts = content.split(b"\0") if null else content.split(b"\n")
    names = (os.fsdecode(part if null else part.removesuffix(b"\r")) for part in parts)
    return [name for name in names if name.strip()]


def _no_source(question: str | None) -> UsageError:
    if question is not None and looks_like_path(question):
        return UsageError(f"{question}: no such file, and no other source was named", "check the path")
    return UsageError(
        "no source: nothing to read was named",
        'name a file, a directory or - : lctx ask report.pdf "When does it end?"',
    )
