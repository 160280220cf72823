"""The zygote, seen from the process that reads: it starts children in a tenth of the time of an interpreter.

It is started for the first file and ends with the process that started it. Each child is forked for one file,
so that no file meets what another one left behind.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import IO, Self

from lctx.formats.interpreter import import_paths, interpreter

_CAN_FORK = sys.platform == "linux"
"""Elsewhere the system's own libraries may not survive a fork (macOS), or there is none."""
_REPORT_BYTES = 64
_PIPE_BYTES = 1 << 16
_TUNABLES = "GLIBC_TUNABLES"
_MEMORY = "glibc.malloc.tcache_count=20000:glibc.malloc.hugetlb=1"
"""pdfium takes and frees thousands of small pieces for each page: they stay at hand, and close together."""
_PATIENCE_S = 5.0
# The order brings the paths that `site` would find.
_START = """
import json, sys
sys.path += json.loads(sys.argv[1])
from lctx.formats.zygote_main import main
main()
"""


class ForkedChild:
    """A child of the zygote.

    Attributes:
        stdin: What it reads.
        stdout: What it writes.
        returncode: As of `Popen`, once it was waited for.
        peak_bytes: The most memory that it held, once it was waited for.
        is_lost: Whether nobody can tell how it ended, since the zygote ended before it.
    """

    def __init__(self, zygote: "_Zygote", order: str) -> None:
        """Ask for it; it need not be running yet.

        Raises:
            OSError: The zygote is gone, or there are no more descriptors.
        """
        self.returncode: int | None = None
        self.peak_bytes = 0
        self.is_lost = False
        self._zygote = zygote
        self._closing = threading.Lock()
        with ExitStack() as theirs, ExitStack() as ours:
            self._report, report = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.callback(self._report.close)
            theirs.callback(report.close)
            source, sink = os.pipe()
            theirs.callback(os.close, source)
            self.stdin: IO[bytes] = ours.enter_context(os.fdopen(sink, "wb"))
            origin, target = os.pipe()
            theirs.callback(os.close, target)
            self.stdout: IO[bytes] = ours.enter_context(os.fdopen(origin, "rb", buffering=_PIPE_BYTES))
            zygote.send(order, [source, target, report.fileno()])
            ours.pop_all()  # they stay open

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self.wait()
        self.close()

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        with self._closing:
            if self.returncode is None and self._has_ended(0):
                self.wait()
            return self.returncode

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        if self.returncode is None:
            # Only looked at: who is interrupted, or asks from another thread, finds it again.
            words = self._report.recv(_REPORT_BYTES, socket.MSG_PEEK).split()
            self.is_lost = not words
            status, peak = map(int, words or (signal.SIGKILL, 0))
            self.peak_bytes = peak << 10
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def kill(self) -> None:
        """End it, whatever it is doing; it has ended when this returns."""
        with self._closing:
            if self.returncode is not None:
                return
            with suppress(OSError):
                self._report.shutdown(socket.SHUT_WR)
            if not self._has_ended(_PATIENCE_S):
                self._zygote.kill()  # something holds it up; its children end with it

    def close(self) -> None:
        """Let go of its pipes."""
        with self._closing:
            for pipe in (self.stdin, self.stdout, self._report):
                with suppress(OSError):  # what it was still to be told
                    pipe.close()

    def _has_ended(self, patience_s: float) -> bool:
        poll = select.poll()
        poll.register(self._report, select.POLLIN)
        return bool(poll.poll(1000 * patience_s))


class _Zygote:
    """The process that forks."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [*interpreter(), _START, json.dumps(import_paths())],
                env=os.environ | {_TUNABLES: ":".join(filter(None, (_MEMORY, os.environ.get(_TUNABLES))))},
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def send(self, order: str, descriptors: list[int]) -> None:
        socket.send_fds(self._orders, [order.encode()], descriptors)

    def kill(self) -> None:
        """End it and all its children at once."""
        self._process.kill()

    def end(self) -> None:
        """End it, and wait for that."""
        self._process.kill()
        self._orders.close()
        self._process.wait()

    def forget(self) -> None:
        """In a process that was forked from the one that started it: it must not live on for this one."""
        self._orders.close()
        self._process.returncode = 0


class Starter:
    """The one zygote of this process, where it has one.

    Attributes:
        is_given_up: Whether children are to be started in another way from now on.
    """

    def __init__(self) -> None:
        self.is_given_up = not _CAN_FORK
        self._zygote: _Zygote | None = None
        self._lock = threading.Lock()

    def zygote(self) -> _Zygote:
        """The zygote, started where there is none."""
        with self._lock:
            if self._zygote is None:
                self._zygote = _Zygote()
            return self._zygote

    def end(self) -> None:
        """Stop it; the next child needs another one."""
        with self._lock:
            if self._zygote:
                self._zygote.end()
            self._zygote = None

    def forget(self) -> None:
        """In a process that was forked from the one that started the zygote: have one of its own."""
        if self._zygote:
            self._zygote.forget()
        self._zygote, self._lock = None, threading.Lock()


starter = Starter()


def forked(order: str) -> ForkedChild | None:
    """A child that runs `order`, as `child_main` takes it; None where it must be started in another way."""
    if starter.is_given_up:
        return None
    try:
        return ForkedChild(starter.zygote(), order)
    except OSError:  # it is gone; or no process, no pipe is to be had: then the other way tells it
        give_up()
        return None


def give_up() -> None:
    """Start children in another way from now on: the zygote did not start, or something ended it."""
    starter.is_given_up = True


def end_zygote() -> None:
    """Stop the zygote; the next file starts a new one."""
    starter.end()


atexit.register(end_zygote)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=starter.forget)
