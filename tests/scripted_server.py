"""An OpenAI-compatible server that says what a test tells it to: a stand-in where a real engine is not exact.

    with ScriptedServer({"/v1/completions": answer("thirty ", "five")}) as server:
        ... server.address ... server.requests[-1].body["prompt"] ...

A reply is parts in order: bytes are sent, a number is a pause in seconds, `DIE` breaks the connection.
"""

import http.server
import json
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

DIE = object()
MODELS = {"object": "list", "data": [{"id": "scripted", "object": "model", "max_model_len": 4096}]}


@dataclass(frozen=True)
class Request:
    """What the server was asked."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Reply:
    """What the server answers."""

    parts: tuple[Any, ...]
    status: int = 200
    content_type: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)


Script = Reply | Callable[[Request], Reply] | list[Reply]


def event(message: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(message).encode() + b"\n\n"


def text_event(text: str, finish_reason: str | None = None) -> bytes:
    """One piece of an answer, understood on both paths of the API."""
    choice = {"index": 0, "text": text, "delta": {"content": text}, "finish_reason": finish_reason}
    return event({"choices": [choice]})


def usage_event(prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> bytes:
    """The count at the end of a stream."""
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    return event(
        {"choices": [], "usage": usage | {"prompt_tokens_details": {"cached_tokens": cached_tokens}}}
    )


def answer(
    *texts: str,
    finish_reason: str = "stop",
    usage: tuple[int, int, int] | None = (10, 2, 0),
    pause_s: float = 0,
) -> Reply:
    """A whole answer: `texts` one by one, then its end. `usage` is prompt, completion and cached tokens."""
    parts: list[Any] = []
    for text in texts:
        parts += [text_event(text), pause_s] if pause_s else [text_event(text)]
    parts.append(text_event("", finish_reason))
    parts += [usage_event(*usage)] if usage else []
    return Reply((*parts, b"data: [DONE]\n\n"))


def refusal(status: int, message: Any, **headers: str) -> Reply:
    """An error status with an error object."""
    content = json.dumps(message).encode()
    return Reply(
        (content,),
        status,
        "application/json",
        {name.replace("_", "-"): value for name, value in headers.items()},
    )


def document(value: Any) -> Reply:
    """A JSON value."""
    return Reply((json.dumps(value).encode(),), content_type="application/json")


class ScriptedServer:
    """Serves `script`, a reply by path, on a free port of the loopback address or on a Unix socket.

    A list of replies is used up one by one; its last stays. Paths that are not in the script are 404.
    """

    def __init__(self, script: Mapping[str, Script], socket_path: Path | None = None) -> None:
        self.script: dict[str, Script] = {"/v1/models": document(MODELS), **script}
        self.requests: list[Request] = []
        self.hang_ups = 0
        self.hung_up = threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        if socket_path is None:
            self._server: socketserver.BaseServer = _TcpServer(("127.0.0.1", 0), handler)
            self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        else:
            self._server = _UnixServer(str(socket_path), handler)
            self.address = f"unix://{socket_path}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reply_to(self, request: Request) -> Reply:
        """The next reply of the script."""
        self.requests.append(request)
        script = self.script.get(request.path)
        if script is None:
            return refusal(404, {"detail": "Not Found"})
        if isinstance(script, list):
            return script.pop(0) if len(script) > 1 else script[0]
        return script if isinstance(script, Reply) else script(request)


class _TcpServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True


class _UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False


class _Handler(http.server.BaseHTTPRequestHandler):
    owner: ScriptedServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(content) if content else None
        reply = self.owner.reply_to(Request(self.command, self.path, dict(self.headers), body))
        self.close_connection = True
        try:
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Transfer-Encoding", "chunked")
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            for part in reply.parts:
                if part is DIE:
                    self._break()
                    return
                self._send(part)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self._hung_up()

    def _send(self, part: bytes | float) -> None:
        if not isinstance(part, bytes):
            self._pause(part)
        elif part:
            self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")

    def _pause(self, seconds: float) -> None:
        """Wait, and notice when the client hangs up meanwhile."""
        self.connection.settimeout(seconds)
        with suppress(TimeoutError):
            if not self.connection.recv(1):
                raise ConnectionResetError
        self.connection.settimeout(None)

    def _break(self) -> None:
        linger = struct.pack("ii", 1, 0)
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()

    def _hung_up(self) -> None:
        self.owner.hang_ups += 1
        self.owner.hung_up.set()
