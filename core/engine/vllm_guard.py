"""Asks for the key on every path of a vLLM on TCP; vLLM itself does so on its /v1-type paths alone.

It runs inside vLLM's own interpreter, which has no lctx: a copy of this one file is put on its path and named
by `--middleware`. It is plain ASGI from the standard library, and without a key it refuses to start.
"""

import hashlib
import hmac
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

MODULE = "lctx_vllm_guard"
"""The name of the copy: this file's own name must not be needed in vLLM's environment."""

KEY_VARIABLE = "VLLM_API_KEY"

_OPEN = "/health"
"""It tells whether the engine lives, and nothing else."""

_BODY = b'{"error":{"message":"Unauthorized","type":"invalid_request_error","code":401}}'
_POLICY_VIOLATION = 1008
"""Source: RFC 6455, 7.4.1."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class Guard:
    """ASGI middleware: what does not carry the key gets 401, whatever it asks for."""

    def __init__(self, app: Application) -> None:
        """Take the key from the environment.

        Raises:
            RuntimeError: There is none: a server that nobody guards must not start.
        """
        key = os.environ.get(KEY_VARIABLE)
        if not key:
            raise RuntimeError(f"{KEY_VARIABLE} is not set: nothing would guard this server")
        self._app = app
        self._expected = _digest(f"bearer {key}".encode())

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass on what carries the key, `/health`, and what is no request at all."""
        kind = scope["type"]
        if kind == "lifespan" or (kind == "http" and scope["path"] == _OPEN) or self._has_key(scope):
            await self._app(scope, receive, send)
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(_BODY)).encode()),
                (b"www-authenticate", b"Bearer"),
            ]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": _BODY})

    def _has_key(self, scope: Message) -> bool:
        """Whether exactly one header carries the key. Hashes are compared: their length tells nothing."""
        told = [value for name, value in scope.get("headers", ()) if name.lower() == b"authorization"]
        if len(told) != 1:
            return False
        scheme, _, key = told[0].partition(b" ")
        return hmac.compare_digest(_digest(scheme.lower() + b" " + key), self._expected)


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()
