"""Where an engine listens, read from what the user typed."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from lctx.core.errors import UsageError

_HINT = "such as http://127.0.0.1:8000 or unix:///run/vllm.sock"


@dataclass(frozen=True, slots=True)
class Address:
    """An HTTP server on TCP or on a Unix socket.

    Attributes:
        text: As messages name it.
        host: A name or an address; empty on a Unix socket.
        port: On `host`.
        tls: Whether it is https.
        socket: The Unix socket's path, or None.
        api: The path that the API's own paths follow: "/v1".
    """

    text: str
    host: str
    port: int
    tls: bool
    socket: str | None
    api: str

    @property
    def root(self) -> str:
        """The path that stands before `/v1`: where engines put what OpenAI's API does not have."""
        return self.api.removesuffix("/v1")

    @property
    def is_local(self) -> bool:
        """Whether it is this machine: loopback or a Unix socket."""
        if self.socket is not None or self.host == "localhost":
            return True
        from ipaddress import ip_address

        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False  # a name: what it resolves to is not known before the network is asked


def parse_address(text: str) -> Address:
    """The address that `text` spells: http, https or unix.

    Raises:
        UsageError: It is none of these, or carries a password, which belongs in the environment.
    """
    if text.startswith("unix://"):
        path = text.removeprefix("unix://")
        if not path.startswith("/") or "\0" in path:
            raise UsageError(f"{text}: a Unix socket is named by its whole path", _HINT)
        return Address(text, "", 0, tls=False, socket=path, api="/v1")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{text}: not an address: {error}", _HINT) from error
    if parts.scheme not in {"http", "https"} or not host or not text.isascii() or not text.isprintable():
        raise UsageError(f"{text}: not an address of an engine", _HINT)
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"{host}: the address carries a user or password", "put the key into the environment"
        )
    if parts.query or parts.fragment or " " in text:
        raise UsageError(f"{text}: an address has no query and no fragment", _HINT)
    tls = parts.scheme == "https"
    return Address(text, host, port or (443 if tls else 80), tls, None, parts.path.rstrip("/") or "/v1")
