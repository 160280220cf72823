"""Counting a long text in several processes: Python's own work runs on one core only.

Each process opens the same vocabulary and counts its share; what one of them fails to bring is counted here.
"""

import json
import os
import struct
import subprocess
import sys
import threading
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import accumulate, pairwise
from pathlib import Path
from typing import IO

_SHARE = 3_000_000  # characters that are worth a process: it starts in a fifth of a second
_MAX_SHARES = 4
_HEAD = struct.Struct("=QQQ")  # bytes of the vocabulary, texts, bytes of all texts
_LENGTH = "Q"  # of array, as are the counts
_START = """
import json, sys
sys.path += json.loads(sys.argv[1])
from lctx.core.tokens.share_main import main
main()
"""


def count_in_shares(
    content: bytes, texts: Sequence[str], count: Callable[[Sequence[str]], list[int]]
) -> list[int]:
    """How many tokens each of `texts` has, counted on several cores where they are long.

    Args:
        content: The vocabulary table.
        texts: In any order.
        count: Counts texts in this process.
    """
    shares = _shares(texts)
    others = [_Counting(content, share) for share in shares[1:]]
    try:
        counts = count(shares[0])
        for share, other in zip(shares[1:], others, strict=True):
            counts += other.result() or count(share)
    finally:
        for other in others:
            other.end()
    return counts


def _shares(texts: Sequence[str]) -> list[Sequence[str]]:
    """`texts` in as many parts of about the same length as are worth it; at least one."""
    ends = list(accumulate(map(len, texts)))
    total = ends[-1] if ends else 0
    num_shares = max(1, min(available_cores(), _MAX_SHARES, total // _SHARE))
    edges = [0]
    for index, end in enumerate(ends, 1):
        if end * num_shares >= total * len(edges):
            edges.append(index)
    return [texts[start:end] for start, end in pairwise([*edges[:num_shares], len(texts)])]


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Counting:
    """One process that counts."""

    def __init__(self, content: bytes, texts: Sequence[str]) -> None:
        self._num_texts = len(texts)
        self._child: subprocess.Popen[bytes] | None = None
        # An import path that is relative would follow the current directory.
        places = [place for place in sys.path if Path(place).is_absolute()]
        options = ["-I", "-S", *(["-B"] if sys.dont_write_bytecode else [])]
        order = json.dumps([*places, str(Path(__file__).absolute().parents[3])])
        with suppress(OSError):  # no process can be started: then this one counts
            self._child = subprocess.Popen(
                [sys.executable, *options, "-c", _START, order],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            threading.Thread(target=_give, args=(self._child, content, texts), daemon=True).start()

    def result(self) -> list[int] | None:
        """Its counts once they are there; None where it ended without them."""
        if self._child is None or self._child.stdout is None:
            return None
        counts = array(_LENGTH)
        content = self._child.stdout.read()
        if len(content) != self._num_texts * counts.itemsize:
            return None
        counts.frombytes(content)
        return counts.tolist()

    def end(self) -> None:
        """Leave nothing of it behind."""
        if self._child:
            self._child.kill()
            self._child.wait()
            if self._child.stdout:
                self._child.stdout.close()


def _give(child: subprocess.Popen[bytes], content: bytes, texts: Sequence[str]) -> None:
    if child.stdin:
        with suppress(OSError), child.stdin as stdin:  # it may be gone before it has taken them
            _write_order(stdin, content, texts)


def _write_order(stream: IO[bytes], content: bytes, texts: Sequence[str]) -> None:
    joined = "".join(texts).encode("utf-8", "surrogatepass")
    stream.write(_HEAD.pack(len(content), len(texts), len(joined)))
    stream.write(content)
    stream.write(array(_LENGTH, map(len, texts)).tobytes())
    stream.write(joined)


def read_order(stream: IO[bytes]) -> tuple[bytes, list[str]]:
    """The vocabulary table and the texts that stand on `stream`: in the process that counts a share."""
    num_content, num_texts, num_joined = _HEAD.unpack(stream.read(_HEAD.size))
    content = stream.read(num_content)
    lengths = array(_LENGTH)
    lengths.frombytes(stream.read(num_texts * lengths.itemsize))
    joined = stream.read(num_joined).decode("utf-8", "surrogatepass")
    return content, [joined[start:end] for start, end in pairwise([0, *accumulate(lengths)])]
