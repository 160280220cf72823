"""`lctx ps` and `lctx stop`: the engines that `ask` leaves warm."""

from collections.abc import Sequence
from time import time
from typing import TYPE_CHECKING

from lctx.cli.clean import one_line
from lctx.cli.durations import short_duration
from lctx.cli.failure import checked_format
from lctx.cli.notes import Notes
from lctx.cli.output import open_sink
from lctx.cli.report import Table, show_report
from lctx.core.errors import ExitCode
from lctx.core.storage import directories

if TYPE_CHECKING:
    from lctx.core.engine.servers import ServerInfo

_COLUMNS = (
    "NAME", "ENGINE", "MODEL", "WINDOW", "KV USED", "MEMORY", "ROPE", "DEVICE", "UNTIL", "PID", "ADDRESS"
)  # fmt: skip
_NUMBERS = frozenset({3, 4, 5})


def run_ps(wanted: str, _started: float) -> ExitCode:
    """List the engines that run."""
    from lctx.core.engine.servers import list_servers

    checked_format(wanted)
    _show(list_servers(directories().runtime, ask=True), wanted, "no engine is running")
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


def table_of(servers: Sequence["ServerInfo"], now: float) -> Table:
    """The engines as a table, oldest first."""
    return Table(_COLUMNS, [_row(server, now) for server in servers], _NUMBERS)


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
        "-" if server.kv_used is None else f"{server.kv_used:,}",
        f"{server.rss_bytes / 2**20:,.0f} MiB",
        one_line(server.rope) if server.rope else "-",
        one_line(server.device) if server.device else "-",
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
        show_report([table_of(servers, time())], open_sink(None))
    else:
        Notes().line(none)
