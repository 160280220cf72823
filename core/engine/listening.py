"""Where a server listens that other programs may use too: a host and a port, opened on purpose."""

import errno
import os
import socket

from lctx.core.engine.state import ServerState
from lctx.core.errors import UsageError


def tcp_address(host: str, port: int) -> str:
    """The address of a server on TCP."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listens_as_asked(state: ServerState, listen: tuple[str, int] | None, api_key: str | None) -> bool:
    """Whether a running server is open where it was asked for, under that key; None asks for nothing."""
    if api_key not in {None, state.api_key}:
        return False
    if listen is None:
        return True
    host, port = listen
    if port == 0:
        return state.is_served and state.address.startswith(tcp_address(host, 0)[:-1])
    return state.is_served and state.address == tcp_address(host, port)


def require_free(host: str, port: int) -> None:
    """Raise where nobody can listen on `port`; another program may still take it in the next moment.

    Raises:
        UsageError: The port is taken, or the host is not this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family):
            pass
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        is_taken = number == errno.EADDRINUSE
        why = os.strerror(number).lower() if isinstance(number, int) and number > 0 else str(error)
        raise UsageError(
            f"{host}:{port}: {'another program listens there' if is_taken else why}",
            "choose another --port, 0 for one that is free, and a --host of this machine",
        ) from error


def free_port(host: str) -> int:
    """A port that was free a moment ago; where somebody took it since, the engine says so."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as probe:
        port: int = probe.getsockname()[1]
        return port
