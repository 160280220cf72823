"""Writes the pages of the reference that the code itself can tell.

    python docs/generate.py            all of them
    python docs/generate.py errors     one: errors, commands, schema, plan-schema or read-schema

`tests/test_docs.py` fails when a committed page is no longer what this writes.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from lctx.core.errors import ExitCode, LctxError

REFERENCE = Path(__file__).resolve().parent / "reference"
COMMANDS = ("ask", "plan", "read", "models", "cache", "warm", "serve", "ps", "logs", "stop", "doctor")
BELOW = {"models": ("ls", "show", "fit"), "cache": ("info", "clear", "path")}
"""The commands that stand below another."""

_ERRORS = """# Errors

<!-- Written by docs/generate.py from core/errors.py. -->

Every error that lctx raises on purpose has a message, usually a hint, a stable `code` for machines and an
[exit code](exit-codes.md). On the terminal it is two lines on stderr:

```text
error: report.pdf: no such file
hint: check the path
```

In `--format json` and in the `result` event of NDJSON it is `{{"code": …, "message": …, "hint": …}}` under
`error`. The indentation shows what is a kind of what.

| class | `code` | exit code | raised when |
|---|---|---:|---|
{rows}
"""

_COMMANDS = """# Command line

<!-- Written by docs/generate.py from the commands' own help. -->

{sections}
"""


def error_classes(root: type[LctxError] = LctxError, depth: int = 0) -> Iterator[tuple[type[LctxError], int]]:
    """`root` and everything below it, parents first, with how deep each stands."""
    yield root, depth
    for child in root.__subclasses__():
        if child.__module__ == root.__module__:
            yield from error_classes(child, depth + 1)


def errors_page() -> str:
    """The tree of errors as a table."""
    rows = []
    for error, depth in error_classes():
        told = " ".join((error.__doc__ or "").split("\n\n")[0].split())
        indent = "&emsp;" * depth
        rows.append(
            f"| {indent}`{error.__name__}` | `{error.code}` | {ExitCode(error.exit_code).value} | {told} |"
        )
    return _ERRORS.format(rows="\n".join(rows))


def help_of(command: str | None) -> str:
    """What `lctx [command] --help` prints on a plain terminal of 100 columns, then what is below it."""
    first = [command] if command else []
    return "\n\n".join(
        _help_of(*first, *below) for below in ((), *((one,) for one in BELOW.get(command or "", ())))
    )


def _help_of(*command: str) -> str:
    script = Path(sys.executable).with_name("lctx")
    arguments = [script, *command, "--help"]
    plain = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, env=os.environ | plain)
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def commands_page() -> str:
    """The help of lctx and of each command."""
    sections = [
        f"## {' '.join(filter(None, ['lctx', command]))}\n\n```text\n{help_of(command)}\n```"
        for command in (None, *COMMANDS)
    ]
    return _COMMANDS.format(sections="\n\n".join(sections))


def schema_page() -> str:
    """The JSON Schema of an answer."""
    from lctx.core.answering.wire import json_schema

    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def plan_schema_page() -> str:
    """The JSON Schema of a plan."""
    from lctx.cli.plan_record import plan_schema

    return json.dumps(plan_schema(), indent=2, ensure_ascii=False) + "\n"


def read_schema_page() -> str:
    """The JSON Schema of what `lctx read` prints."""
    from lctx.cli.read_record import read_schema

    return json.dumps(read_schema(), indent=2, ensure_ascii=False) + "\n"


PAGES: dict[str, tuple[str, Callable[[], str]]] = {
    "errors": ("errors.md", errors_page),
    "commands": ("commands.md", commands_page),
    "schema": ("answer.schema.json", schema_page),
    "plan-schema": ("plan.schema.json", plan_schema_page),
    "read-schema": ("read.schema.json", read_schema_page),
}


def main(names: list[str]) -> None:
    """Write the pages called `names`, or all."""
    for name in names or PAGES:
        file, page = PAGES[name]
        (REFERENCE / file).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
