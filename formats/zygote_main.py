"""Inside the zygote: it has imported what readers need, opens no file, and forks one child for each.

Imported by a bare interpreter that must be forking within milliseconds: nothing here may be slow to import.
"""

import _socket  # `socket` would bring a tenth of the start-up, and nothing that is used here
import ctypes
import gc
import json
import os
import resource  # noqa: F401  # here, not in each child anew
import select
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

from lctx.formats.child_main import main as read

MAX_ORDER_BYTES = 1 << 17
_CONTROL = 0
"""The descriptor on which orders come: standard input."""
_NUM_DESCRIPTORS = 3
_INT_BYTES = 4
_OWN = "lctx.formats."
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Fork a child for each order on standard input, until who gives them is gone.

    An order is one message: JSON, beside it three descriptors: the child's standard input, its standard
    output, and one on which its end is told as "status peak", as `wait4` has them. To close or shut down the
    other end of that one is to end the child.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Zygote().run()


class _Zygote:
    """All children that run."""

    def __init__(self) -> None:
        self._orders = _socket.socket(fileno=_CONTROL)
        self._reports: dict[int, int] = {}  # by descriptor, the child's number
        self._poll = select.poll()
        self._died, self._tell = os.pipe()
        os.set_blocking(self._tell, False)
        signal.set_wakeup_fd(self._tell, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # the default would write nothing to the pipe
        self._poll.register(_CONTROL, select.POLLIN)
        self._poll.register(self._died, select.POLLIN)
        self._prctl = ctypes.CDLL(None).prctl
        self._pid = os.getpid()

    def run(self) -> None:
        """Take orders; when there are no more to come, end what still runs."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._died:
                    os.read(self._died, select.PIPE_BUF)
                    self._bury()
                elif descriptor == _CONTROL:
                    if not self._take():
                        for pid in self._reports.values():
                            os.kill(pid, signal.SIGKILL)
                        return
                elif descriptor in self._reports:
                    self._poll.unregister(descriptor)
                    os.kill(self._reports[descriptor], signal.SIGKILL)

    def _take(self) -> bool:
        """Whether there was an order; its child is on its way then, or its descriptors are closed."""
        room = _socket.CMSG_SPACE(_NUM_DESCRIPTORS * _INT_BYTES)
        message, ancillary, _, _ = self._orders.recvmsg(MAX_ORDER_BYTES, room)
        if not message:
            return False
        source, target, report = memoryview(ancillary[0][2]).cast("i").tolist()
        order = json.loads(message)
        _prepare(order)
        try:
            pid = os.fork()
        except OSError:
            os.close(report)
        else:
            if pid == 0:
                self._become(order, source, target, report)
            self._reports[report] = pid
            self._poll.register(report, select.POLLIN)
        os.close(source)
        os.close(target)
        return True

    def _bury(self) -> None:
        """Tell the end of each child that has ended."""
        for report, child in list(self._reports.items()):
            pid, status, usage = os.wait4(child, os.WNOHANG)
            if not pid:
                continue
            with suppress(KeyError):  # it was to be ended, and is listened to no longer
                self._poll.unregister(report)
            with suppress(OSError):
                os.write(report, b"%d %d" % (status, usage.ru_maxrss))
            del self._reports[report]
            os.close(report)

    def _become(self, order: dict[str, Any], source: int, target: int, report: int) -> NoReturn:
        """Be the child of an order, with nothing left of what belongs to the zygote or to other children."""
        code = 1
        try:
            self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == self._pid:  # or it was gone before the kernel was asked
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.dup2(source, 0)
                os.dup2(target, 1)
                for descriptor in (source, target, report, self._died, self._tell, *self._reports):
                    os.close(descriptor)
                read(order)
                code = 0
        finally:
            os._exit(code)


def _prepare(order: dict[str, Any]) -> None:
    """Have a reader of lctx's own and its library at hand, for this child and for those after it."""
    sys.path += [place for place in order["path"] if place not in sys.path]
    name = order["module"]
    if name.startswith(_OWN) and name not in sys.modules:
        with suppress(Exception):  # the child meets it too, and tells it
            getattr(import_module(name), "prepare", lambda: None)()
        gc.freeze()  # what children share is not looked through for garbage, and stays shared
