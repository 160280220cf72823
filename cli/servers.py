"""`lctx ps` and `lctx stop`: the engines that `ask` leaves warm."""

from collections.abc import Sequence
from time import time
from typing import TYPE_CHECKING

from lctx.cli.clean import one_line
from lctx.cli.durations import short_duration
from lctx.cli.failure import checked_format
from lctx.cli.notes import Notes
from lctx.cli.output import open_sink
from lctx.core.errors import ExitCode
from lctx.core.storage import directories

if TYPE_CHECKING:
    from lctx.core.engine.servers import ServerInfo

_COLUMNS = ("NAME", "ENGINE", "MODEL", "WINDOW", "ROPE", "MEMORY", "UNTIL", "PID", "ADDRESS")


def run_ps(wanted: str, _started: float) -> ExitCode:
    """List the engines that run."""
    from lctx.core.engine.servers import list_servers

    checked_format(wanted)
    _show(list_servers(directories().runtime), wanted, "no engine is running")
    return ExitCode.OK


def run_stop(name: str | None, wanted: str, _started: float) -> ExitCode:
    """Stop the engine that is called `name`, or all, and list what was stopped.

    Raises:
        UsageError: None is called that.
    """
    from lctx.core.engine.servers import stop_servers

    checked_format(wanted)
    _show(stop_servers(directories().runtime, name), wanted, "no engine was running")
    return ExitCode.OK


def table_of(servers: Sequence["ServerInfo"], now: float) -> str:
    """The engines as aligned columns with a head; one newline at the end."""
    rows = [_COLUMNS, *(_row(server, now) for server in servers)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _row(server: "ServerInfo", now: float) -> tuple[str, ...]:
    if server.loading:
        until = "loading"
    elif server.busy:
        until = "in use"
    elif server.expires_at is None:
        until = "forever"
    else:
        until = short_duration(max(server.expires_at - now, 0))
    return (
        server.id,
        server.kind,
        one_line(server.name),
        f"{server.window:,}",
        one_line(server.rope) if server.rope else "-",
        f"{server.rss_bytes / 2**20:,.0f} MiB",
        until,
        str(server.pid),
        one_line(server.address),
    )


def _show(servers: Sequence["ServerInfo"], wanted: str, none: str) -> None:
    if wanted == "json":
        from lctx.core.answering.wire import SCHEMA_VERSION, encode

        record = {"schema_version": SCHEMA_VERSION, "servers": list(servers), "exit_code": 0}
        open_sink(None).write(encode(record, indent=2).decode() + "\n")
    elif servers:
        open_sink(None).write(table_of(servers, time()))
    else:
        Notes().line(none)
