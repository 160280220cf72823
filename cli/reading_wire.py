"""What a reading process and the one that started it say to each other: frames, a length and a message."""

import struct
from typing import IO

import msgspec

_LENGTH = struct.Struct("<Q")


class Order(msgspec.Struct, array_like=True):
    """What a reading process is told before anything else; through a pipe, since a password may be in it.

    Attributes:
        cache: The cache's folder, as the system has it.
        ceiling_bytes: Of the cache.
        password: For the readers.
    """

    cache: bytes | None
    ceiling_bytes: int
    password: str | None


class Task(msgspec.Struct, array_like=True):
    """One file to read.

    Attributes:
        path: As in `SourceFile`.
        file: As the system has it, which may be no text.
        is_judged: As in `SourceFile`.
        is_deadly: Whether it ended a process before: what parses code is kept away from it.
    """

    path: str
    file: bytes
    is_judged: bool
    is_deadly: bool = False


class Answer(msgspec.Struct, array_like=True):
    """What became of one file.

    Attributes:
        what: "document", "skipped", "error", "elsewhere" (its format is read in processes of its own) or
            "fault" (a mistake of ours); "ready" of no file, before all others.
        stamp: What the system says of the file, where that can be relied on.
        sha256: Of its bytes.
        reader: What read it.
        is_known: Whether the cache has the document.
        document: As the cache keeps it.
        code: Of the error.
        why: Of the error, the fault, or for passing it over.
        hint: Of the error.
    """

    what: str
    stamp: bytes | None = None
    sha256: str = ""
    reader: str = ""
    is_known: bool = False
    document: bytes = b""
    code: str = ""
    why: str = ""
    hint: str | None = None


def send(stream: IO[bytes], message: object) -> None:
    """Write one frame."""
    packed = msgspec.msgpack.encode(message)
    stream.write(_LENGTH.pack(len(packed)))
    stream.write(packed)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes | None:
    """The next frame's message; None where the other end is gone."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    packed = stream.read(length)
    return packed if len(packed) == length else None
