"""Work on many texts, shared among the cores: for libraries that let other threads run while they work."""

import os
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import TypeVar

_Result = TypeVar("_Result")
_PARALLEL = 200_000  # characters from which threads are worth starting
_MAX_THREADS = 8
_SHARES = 8  # for each thread: a task for each text would cost more than a short text does


def on_all_cores(work: Callable[[str], _Result], texts: Sequence[str]) -> list[_Result]:
    """`work` of each text, in order, in several threads where the texts are long."""
    num_threads = min(available_cores(), _MAX_THREADS)
    if num_threads == 1 or sum(map(len, texts)) < _PARALLEL:
        return list(map(work, texts))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(num_threads) as pool:
        shares = _shares(texts, num_threads * _SHARES)
        return [result for done in pool.map(lambda share: list(map(work, share)), shares) for result in done]


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _shares(texts: Sequence[str], number: int) -> list[Sequence[str]]:
    """`texts` in at most so many parts of about the same length."""
    ends = list(accumulate(map(len, texts)))
    edges = [0]
    for index, end in enumerate(ends, 1):
        if end * number >= ends[-1] * len(edges):
            edges.append(index)
    return [texts[start:end] for start, end in pairwise([*edges[:number], len(texts)])]
