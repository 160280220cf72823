"""Server-sent events, read from bytes as they arrive."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from lctx.core.errors import EngineCrashedError

MAX_LINE_BYTES = 64 * 1024 * 1024
"""A line that never ends is an attack or a bug, not an answer."""


def read_lines(read: Callable[[], bytes]) -> Iterator[str]:
    r"""Lines without their ends, each decoded only when whole, so that no character is ever split.

    Args:
        read: Returns what has arrived, at least one byte; nothing at the end.
    """
    pending: list[bytes] = []
    size = 0
    while arrived := read():
        *whole, rest = arrived.split(b"\n")
        for line in whole:
            pending.append(line)
            yield b"".join(pending).removesuffix(b"\r").decode("utf-8", "replace")
            pending.clear()
            size = 0
        pending.append(rest)
        size += len(rest)
        if size > MAX_LINE_BYTES:
            raise EngineCrashedError(f"the engine sent a line of more than {MAX_LINE_BYTES >> 20} MiB")
    if last := b"".join(pending):
        yield last.decode("utf-8", "replace")


def read_messages(read: Callable[[], bytes]) -> Iterator[Any]:
    """The JSON value of each event, in order, until `[DONE]` or the end. Comments and heartbeats are skipped.

    Returns:
        Through `StopIteration`: nothing. Whether the stream was complete is told by its content.

    Raises:
        EngineCrashedError: An event is not JSON.
    """
    collected: list[str] = []
    for line in read_lines(read):
        name, _, value = line.partition(":")
        if name in {"data", "error"}:  # older llama.cpp names the field of an error "error"
            collected.append(value.removeprefix(" "))
        if line or not collected:
            continue
        content = "\n".join(collected)
        collected.clear()
        if content.strip() == "[DONE]":
            return
        yield parse_json(content)
    if collected and (content := "\n".join(collected)).strip() != "[DONE]":
        yield parse_json(content)


def parse_json(content: str | bytes) -> Any:
    """The value that `content` spells.

    Raises:
        EngineCrashedError: It is not JSON.
    """
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise EngineCrashedError(f"the engine sent something that is not JSON: {error}") from error
