"""How much of the evidence the best passages are expected to hold, from what was measured of them."""

from bisect import bisect_left

# The share of the gold characters that the first so many chunks hold.
# Source: docs/benchmarks/retrieval.md, 118 questions about five long texts, chunks of about 800 characters.
_BY_CHUNKS = ((0, 0.0), (1, 0.618), (2, 0.758), (3, 0.871), (5, 0.929), (10, 0.981), (15, 0.992), (20, 1.0))

SENTENCE_RECALL = 0.89
"""The share of questions whose answer stands in the first four sentences; same source, both sets."""


def expected_recall(num_chunks: float) -> float:
    """The share of the evidence for a look-up that the best `num_chunks` chunks are expected to hold, 0 to 1.

    Straight between the depths that were measured.
    """
    depths = [depth for depth, _ in _BY_CHUNKS]
    position = bisect_left(depths, num_chunks)
    if position == len(depths):
        return 1.0
    above, high = _BY_CHUNKS[position]
    if above == num_chunks or position == 0:
        return high
    below, low = _BY_CHUNKS[position - 1]
    return low + (high - low) * (num_chunks - below) / (above - below)
