"""One source read by several children side by side: when one fails, all of them end."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from lctx.formats.child import Ceilings, run_in_child
from lctx.formats.child_process import RunningChild

_Record = TypeVar("_Record")


def run_in_children(  # noqa: PLR0917 - a reader, its file, and how it runs
    reader: str,
    path: str,
    content: bytes,
    decoder: msgspec.json.Decoder[_Record],
    ceilings: Ceilings,
    arguments: Sequence[Mapping[str, Any]],
) -> list[list[_Record]]:
    """What `run_in_child` gives for each set of arguments, in their order.

    Raises:
        SourceError: The first that one of the children ended in.
    """
    if len(arguments) == 1:
        return [run_in_child(reader, path, content, decoder, ceilings, arguments[0])]
    group = _Group()
    found: dict[int, list[_Record]] = {}

    def run(number: int) -> None:
        try:
            found[number] = run_in_child(
                reader, path, content, decoder, ceilings, arguments[number], group.take
            )
        except BaseException as error:  # noqa: BLE001  # raised again by who waits
            group.failures.append(error)
            group.end()

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(arguments))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        group.end()  # Ctrl-C: the threads end with their children
        raise
    if group.failures:
        raise group.failures[0]
    return [found[number] for number in range(len(arguments))]


class _Group:
    """The children that run for one source.

    Attributes:
        failures: What they ended in, the first one first; those that follow were only ended.
    """

    def __init__(self) -> None:
        self.failures: list[BaseException] = []
        self._children: list[RunningChild] = []
        self._is_over = False
        self._lock = threading.Lock()

    def take(self, child: RunningChild) -> None:
        """Count a child that was started; after the end it ends at once."""
        with self._lock:
            self._children.append(child)
            if self._is_over:
                child.kill()

    def end(self) -> None:
        """End all children, and those that are yet to come."""
        with self._lock:
            self._is_over = True
            for child in self._children:
                child.kill()
