"""Tests of the expected recall: the measured points, straight lines between them, and no step back."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lctx.core.planning.strategy import HOLDS
from lctx.core.retrieval.recall import SENTENCE_RECALL, expected_recall

MEASURED = {0: 0.0, 1: 0.618, 2: 0.758, 3: 0.871, 5: 0.929, 10: 0.981, 15: 0.992, 20: 1.0, 500: 1.0}


@pytest.mark.parametrize(("num_chunks", "recall"), MEASURED.items())
def test_the_measured_points_are_met(num_chunks, recall):
    """This test ensures that a depth that was measured gives what was measured."""
    assert expected_recall(num_chunks) == recall


def test_between_two_points_it_is_straight():
    """This test ensures that four chunks are expected to hold what lies half way between three and five."""
    assert expected_recall(4) == pytest.approx((0.871 + 0.929) / 2)


@given(st.floats(0, 1000), st.floats(0, 1000))
def test_more_chunks_never_hold_less(one, other):
    """This test ensures that the expectation grows with what is read and is a share."""
    low, high = sorted((one, other))
    assert 0 <= expected_recall(low) <= expected_recall(high) <= 1


def test_the_best_sentences_are_expected_to_hold():
    """This test ensures that a small model's few sentences count as holding, and its source exists."""
    assert HOLDS <= SENTENCE_RECALL < 1
    assert (Path(__file__).parent.parent / "docs/benchmarks/retrieval.md").is_file()
