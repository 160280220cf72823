"""One HTTP connection to an engine, on TCP or a Unix socket; no proxy, no redirect."""

import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from select import select
from typing import Any

from lctx.core.engine.address import Address
from lctx.core.engine.stream import parse_json
from lctx.core.errors import EngineCrashedError, EngineError, EngineLoadingError, EngineRefusedError

CONNECT_TIMEOUT_S = 10.0
_ERROR_BODY_BYTES = 64 * 1024
_MESSAGE_CHARS = 400
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 401, 403, 404
_TOO_MANY, _UNAVAILABLE = 429, 503
_REDIRECTS = range(300, 400)


class _PatientSocket(socket.socket):
    """A socket that asks, whenever its timeout has passed in silence, whether to wait on."""

    waits_on: Callable[[], bool] | None = None

    def recv_into(self, *arguments: Any) -> int:
        """How many bytes were received; raises a `TimeoutError` when there is no reason to wait on."""
        while True:
            try:
                return super().recv_into(*arguments)
            except TimeoutError:
                if self.waits_on is None or not self.waits_on():
                    raise


class _PatientConnection(HTTPConnection):
    """HTTP over TCP or a Unix socket."""

    def __init__(self, address: Address, timeout: float, waits_on: Callable[[], bool] | None) -> None:
        super().__init__(address.host or "localhost", address.port or None, timeout=timeout)
        self._path = address.socket
        self._waits_on = waits_on

    def connect(self) -> None:
        """Connect to the host, or to the socket's file."""
        if self._path is None:
            super().connect()
            plain = self.sock
            sock = _PatientSocket(plain.family, plain.type, plain.proto, plain.detach())
        else:
            sock = _PatientSocket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock = sock  # closed with this connection, also where connecting fails
            sock.settimeout(self.timeout)
            sock.connect(self._path)
        sock.waits_on = self._waits_on
        self.sock = sock


class Connection:
    """One request and its response; closing it is how a request is aborted."""

    def __init__(
        self,
        address: Address,
        api_key: str | None,
        stall_s: float,
        waits_on: Callable[[], bool] | None = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            address: Where the engine listens.
            api_key: Sent as a bearer token, where given.
            stall_s: Silence of this many seconds is a failure,
            waits_on: unless this is given and says that there is reason to wait on.
        """
        self._address = address
        self._api_key = api_key
        self._stall_s = stall_s
        self._response: HTTPResponse | None = None
        self._socket: socket.socket | None = None
        self.retry_after_s: float | None = None
        if address.tls:
            self._http: HTTPConnection = HTTPSConnection(
                address.host, address.port, timeout=CONNECT_TIMEOUT_S
            )
        else:
            self._http = _PatientConnection(address, CONNECT_TIMEOUT_S, waits_on)

    def send(self, method: str, path: str, body: Any = None) -> HTTPResponse:
        """The response to a request, its status 200; its body is not read yet.

        Raises:
            EngineError: Nobody listens, the connection broke, or the engine answered with another status.
            EngineLoadingError: It said that it is still loading.
        """
        headers = {"Accept": "application/json, text/event-stream"}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        content = None
        if body is not None:
            content = json.dumps(body, separators=(",", ":")).encode()
            headers["Content-Type"] = "application/json"
        self._connect()
        try:
            # An engine that refuses a large prompt may answer before it has read all of it.
            with suppress(BrokenPipeError, ConnectionResetError):
                self._http.request(method, path, content, headers)
            self._response = self._http.getresponse()
            if self._response.status != _OK:
                raise self._refused(self._response)
        except (OSError, HTTPException) as error:
            raise self.broken(error) from error
        return self._response

    @property
    def is_answered(self) -> bool:
        """Whether a status line has come."""
        return self._response is not None

    def arrives(self, within_s: float) -> bool:
        """Whether more of the body, or its end, is there before `within_s` seconds have passed.

        On https this is always so: what is still enciphered cannot be looked at.
        """
        if self._response is None or self._socket is None or self._address.tls:
            return True
        try:
            self._socket.settimeout(0)
            try:
                if self._response.fp.peek(1):  # as the bytes lie: `HTTPResponse.peek` would eat half a line
                    return True
            finally:
                self._socket.settimeout(self._stall_s)
            return bool(select([self._socket], [], [], within_s)[0])
        except (OSError, HTTPException, ValueError):
            return True  # reading tells what is wrong

    def read(self) -> bytes:
        """What has arrived of the body, at least one byte; nothing at its end."""
        if self._response is None:
            raise ValueError("read before send")
        try:
            return self._response.read1(65536)
        except (OSError, HTTPException, ValueError) as error:
            raise self.broken(error) from error

    def close(self) -> None:
        """Close; an engine that is still answering drops the request."""
        if self._response is not None:
            self._response.close()
        self._http.close()

    def broken(self, error: Exception) -> EngineError:
        """The error to raise where the connection failed midway."""
        if isinstance(error, TimeoutError):
            return EngineCrashedError(
                f"{self._address.text}: the engine sent nothing for {self._stall_s:.0f} s",
                "see whether it still runs (lctx ps), and try again",
            )
        return EngineCrashedError(
            f"{self._address.text}: the connection broke before the answer was complete: {_why(error)}",
            "see whether the engine still runs, and try again",
        )

    def _connect(self) -> None:
        try:
            self._http.connect()
        except TimeoutError as error:
            message = f"{self._address.text}: no connection within {CONNECT_TIMEOUT_S:.0f} s"
            raise EngineRefusedError(message, "check the address, and that the engine runs") from error
        except (OSError, HTTPException, UnicodeError) as error:
            raise EngineRefusedError(
                f"{self._address.text}: no connection: {_why(error)}",
                "check the address, and that the engine runs",
            ) from error
        self._socket = self._http.sock
        self._socket.settimeout(self._stall_s)

    def _refused(self, response: HTTPResponse) -> EngineError | EngineLoadingError:
        where, status = self._address.text, response.status
        self.retry_after_s = _seconds(response.headers.get("Retry-After"))
        told = error_message(response.read(_ERROR_BODY_BYTES)) or response.reason or "no reason given"
        if status in {_UNAUTHORIZED, _FORBIDDEN}:
            return EngineRefusedError(
                f"{where}: the engine did not accept the key ({status}): {told}",
                "set LCTX_API_KEY to the key of that address",
            )
        if status == _UNAVAILABLE:
            return EngineLoadingError(
                f"{where}: the engine is not ready ({status}): {told}", "try again later"
            )
        if status in _REDIRECTS:
            told = f"it points to {response.headers.get('Location', 'nowhere')!r}, and lctx does not follow"
        hints = {
            _NOT_FOUND: "check the address (it may need /v1) and the name of the model",
            _TOO_MANY: "try again later: the engine limits how often it can be asked",
        }
        return EngineRefusedError(f"{where}: the engine answered {status}: {told}", hints.get(status))


def error_message(body: bytes | Any) -> str:
    """The one line that an engine's error object, or the beginning of its page, says."""
    value = body
    if isinstance(body, bytes):
        try:
            value = parse_json(body)
        except EngineCrashedError:
            value = body.decode("utf-8", "replace")
    for key in ("error", "message", "detail"):
        if isinstance(value, dict) and value.get(key):
            value = value[key]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line[:_MESSAGE_CHARS].rstrip(".")


def fetch_json(
    address: Address,
    method: str,
    path: str,
    body: Any = None,
    *,
    api_key: str | None = None,
    stall_s: float = 60.0,
) -> Any:
    """The JSON value that the engine answers to one small request.

    Raises:
        EngineError: See `Connection.send`; or the answer is not JSON.
    """
    answer = _fetched(address, method, path, body, api_key=api_key, stall_s=stall_s)
    return parse_json(answer)


def fetch_text(address: Address, path: str, *, api_key: str | None = None, stall_s: float = 1.0) -> str:
    """The page that the engine has at `path`.

    Raises:
        EngineError: See `Connection.send`.
    """
    return _fetched(address, "GET", path, None, api_key=api_key, stall_s=stall_s).decode("utf-8", "replace")


def _fetched(
    address: Address, method: str, path: str, body: Any, *, api_key: str | None, stall_s: float
) -> bytes:
    """The whole body. A GET is sent again, once, where the connection was reset without an answer."""
    attempts = 2 if method == "GET" else 1
    while True:
        attempts -= 1
        connection = Connection(address, api_key, stall_s)
        try:
            connection.send(method, path, body)
            return b"".join(iter(connection.read, b""))
        except EngineCrashedError as error:
            if not attempts or connection.is_answered or not isinstance(error.__cause__, ConnectionError):
                raise
        finally:
            connection.close()


def _seconds(told: str | None) -> float | None:
    """What a Retry-After header says: seconds, or a date."""
    if told is None:
        return None
    if told.strip().isdecimal():
        return float(told)
    from email.utils import parsedate_to_datetime

    try:
        return max(parsedate_to_datetime(told).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
