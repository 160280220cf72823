"""Which of several engines a run asks: one that answers, and the same one for the same sources."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b

from lctx.cli.settings import Settings
from lctx.core.errors import EngineLoadingError, EngineRefusedError, LctxError, UsageError

_ANSWER_S = 3.0


def with_endpoint(settings: Settings, sources: Iterable[str], warn: Callable[[str], None]) -> Settings:
    """The settings with one endpoint where several are set; those that do not answer are warned of.

    An engine keeps what it read: so the same sources go to the same one as long as it lives, and when it
    does not, only its own sources move.

    Args:
        settings: Of the run.
        sources: As they were named.
        warn: Told of each endpoint that is passed over.

    Raises:
        UsageError: One of them is no address, or `--offline` forbids it.
        EngineRefusedError: Not one answers.
    """
    if settings.endpoint or not settings.endpoints or settings.engine == "llama":
        return settings
    named = sorted(os.path.abspath(source) for source in sources)  # noqa: PTH100 - links stay as they are
    loading: list[str] = []
    for endpoint in preferred(settings.endpoints, named):
        try:
            knock(endpoint, offline=settings.offline)
        except EngineLoadingError:
            loading.append(endpoint)
        except EngineRefusedError as error:
            warn(f"{error.message}; it was passed over")
        else:
            return replace(settings, endpoint=endpoint)
    if loading:
        return replace(settings, endpoint=loading[0])  # waited for as any engine that loads
    raise EngineRefusedError(
        f"{', '.join(settings.endpoints)}: not one of the endpoints answers",
        "start one of them, or name another in LCTX_ENDPOINTS",
    )


def preferred(endpoints: Sequence[str], sources: Sequence[str]) -> list[str]:
    """The endpoints in the order in which these sources prefer them.

    Source:
        Rendezvous hashing: Thaler and Ravishankar, A Name-Based Mapping Scheme for Rendezvous, 1996.
    """
    named = "\0".join(sources).encode("utf-8", "surrogateescape")

    def weight(endpoint: str) -> bytes:
        return blake2b(endpoint.encode("utf-8", "surrogateescape") + b"\0" + named, digest_size=8).digest()

    return sorted(endpoints, key=weight, reverse=True)


def knock(endpoint: str, *, offline: bool) -> None:
    """Return where an engine answers at all, whatever it says: it need not have a page on its health.

    Raises:
        UsageError: It is no address, or not on this machine although `offline`.
        EngineLoadingError: It says that it is loading.
        EngineRefusedError: Nobody answers.
    """
    from lctx.core.engine.address import parse_address
    from lctx.core.engine.connection import Connection

    address = parse_address(endpoint)
    if offline and not address.is_local:
        raise UsageError(
            f"{endpoint}: --offline forbids every address that is not on this machine",
            "leave out --offline, or name loopback addresses or Unix sockets",
        )
    connection = Connection(address, None, _ANSWER_S)
    try:
        connection.send("GET", f"{address.root}/health")
    except EngineLoadingError:
        raise
    except LctxError as error:
        if not connection.is_answered:
            raise EngineRefusedError(error.message, error.hint) from error
    finally:
        connection.close()
