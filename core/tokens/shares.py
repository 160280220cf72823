"""Work on many texts, shared among the cores: for libraries that let other threads run while they work."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TypeVar

_Result = TypeVar("_Result")
_MAX_THREADS = 8
_SHARE = 250_000  # characters: much less work than this, and threads would wait for each other


def on_all_cores(work: Callable[[Sequence[str]], list[_Result]], texts: Iterable[str]) -> list[_Result]:
    """`work` of all texts, in order, in several threads where the texts are long.

    Args:
        work: Of any number of texts; what each text gives must not depend on the others.
        texts: May still be coming: work on the first begins meanwhile.
    """
    shares = _shares(texts)
    first = list(islice(shares, 2))
    num_threads = min(available_cores(), _MAX_THREADS)
    if num_threads == 1 or len(first) == 1:
        return [result for share in chain(first, shares) for result in work(share)]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(num_threads) as pool:
        try:
            done = [pool.submit(work, share) for share in chain(first, shares)]
            return [result for one in done for result in one.result()]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _shares(texts: Iterable[str]) -> Iterator[Sequence[str]]:
    """`texts` in parts of about the same length."""
    share: list[str] = []
    length = 0
    for text in texts:
        share.append(text)
        length += len(text)
        if length >= _SHARE:
            yield share
            share, length = [], 0
    if share:
        yield share
