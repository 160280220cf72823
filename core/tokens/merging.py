"""Byte-pair merging of one word: the neighbours of the lowest rank first, the leftmost among equals."""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import pairwise

Rank = Callable[[str, int], int]
"""The rank of a text in the vocabulary, or the second argument where it is not in there."""

NEVER = 1 << 40
_HEAP_FROM = 48  # characters from which a heap is faster than a scan


def merge(word: str, rank: Rank) -> list[str]:
    """The parts that `word` ends up in: joined they are `word`, and no two neighbours have a rank.

    Args:
        word: Any text; each character begins as a part of its own.
        rank: Lower is merged earlier; `NEVER` is not merged.
    """
    if len(word) < _HEAP_FROM:
        return _merge_by_scan(word, rank)
    return _merge_by_heap(word, rank)


def _merge_by_scan(word: str, rank: Rank) -> list[str]:
    parts = list(word)
    ranks = [rank(left + right, NEVER) for left, right in pairwise(parts)]
    while ranks and (lowest := min(ranks)) != NEVER:
        at = ranks.index(lowest)
        parts[at] += parts.pop(at + 1)
        del ranks[at]
        if at:
            ranks[at - 1] = rank(parts[at - 1] + parts[at], NEVER)
        if at < len(ranks):
            ranks[at] = rank(parts[at] + parts[at + 1], NEVER)
    return parts


def _merge_by_heap(word: str, rank: Rank) -> list[str]:
    parts = list(word)
    end = len(parts)
    before = list(range(-1, end - 1))
    after = list(range(1, end + 1))
    first = [(rank(left + right, NEVER), at, 2) for at, (left, right) in enumerate(pairwise(parts))]
    heap = [entry for entry in first if entry[0] != NEVER]
    heapify(heap)
    while heap:
        _, at, length = heappop(heap)
        right = after[at]
        # An entry whose symbols have changed since then is recognised by its length: parts only grow.
        if not parts[at] or right == end or len(parts[at]) + len(parts[right]) != length:
            continue
        parts[at] += parts[right]
        parts[right] = ""
        after[at] = right = after[right]
        if right != end:
            before[right] = at
        for left, other in ((before[at], at), (at, right)):
            if left >= 0 and other != end:
                joined = parts[left] + parts[other]
                if (found := rank(joined, NEVER)) != NEVER:
                    heappush(heap, (found, left, len(joined)))
    return [part for part in parts if part]
