"""Tests of what real runs reached: what counts, how it is folded, and a store that survives everything."""

import json
import stat
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lctx.core.planning.calibration import (
    MAX_KEYS,
    MAX_RUNS,
    Calibration,
    Observation,
    calibration_for,
    record,
)

HERE = ("llama", "gemma-3-270m", "AMD EPYC")
RUN = Observation(
    *HERE,
    prefill_tokens=3000,
    prefill_flops=6e11,
    prefill_s=10.0,
    decode_steps=100,
    decode_bytes=100 * 2.5e8,
    decode_s=2.0,
)


def file_of(state):
    return state / "calibration.json"


def step(size, seconds, **other):
    """A run of 100 steps of `size` bytes that took `seconds` each."""
    return replace(RUN, decode_bytes=100 * size, decode_s=100 * seconds, **other)


def test_a_run_is_what_the_next_plan_expects(tmp_path):
    """This test ensures that one run gives its own rates back."""
    assert calibration_for(*HERE, tmp_path) is None
    assert record(RUN, tmp_path)
    found = calibration_for(*HERE, tmp_path)
    assert found == Calibration(pytest.approx(6e10), pytest.approx(1.25e10), 0.0, 1, 1, is_same_model=True)


TOO_SHORT = [
    replace(RUN, prefill_tokens=255, decode_steps=15),
    replace(RUN, prefill_tokens=3000, cached_tokens=3001, decode_steps=0),
    replace(RUN, prefill_s=0.0, decode_s=0.0),
    Observation(*HERE),
]


@pytest.mark.parametrize("run", TOO_SHORT)
def test_runs_that_say_nothing_are_not_kept(run, tmp_path):
    """This test ensures that a few tokens, a cached prompt and a clock that stood still leave no trace."""
    assert not record(run, tmp_path)
    assert not file_of(tmp_path).exists()


def test_half_a_run_is_kept_as_half(tmp_path):
    """This test ensures that a cached prompt with a long answer calibrates writing alone, and the reverse."""
    record(replace(RUN, cached_tokens=100_000), tmp_path)
    found = calibration_for(*HERE, tmp_path)
    assert (found.flops, found.num_prefills, found.num_decodes) == (None, 0, 1)
    record(replace(RUN, decode_steps=3), tmp_path)
    found = calibration_for(*HERE, tmp_path)
    assert (found.flops, found.num_prefills, found.num_decodes) == (pytest.approx(6e10), 1, 1)


def test_one_disturbed_run_does_not_count(tmp_path):
    """This test ensures that the median stands where a run took a hundred times as long."""
    for factor in (1.0, 1.1, 100.0, 0.9, 1.05):
        record(replace(RUN, prefill_s=10 * factor, decode_s=2 * factor), tmp_path)
    found = calibration_for(*HERE, tmp_path)
    assert found.flops == pytest.approx(6e10, rel=0.06)
    assert found.bandwidth == pytest.approx(1.25e10, rel=0.06)


@given(
    st.floats(1e9, 5e12),
    st.floats(0, 0.05),
    st.lists(st.integers(8, 36), min_size=2, max_size=8, unique=True).map(
        lambda powers: [2.0**power * 1e6 for power in powers]
    ),
)
def test_runs_at_several_lengths_tell_bytes_from_overhead(tmp_path_factory, bandwidth, overhead_s, sizes):
    """This test ensures that what steps of any size took is explained again, whatever the shares were."""
    state = tmp_path_factory.mktemp("state")
    for size in sizes:
        record(step(size, size / bandwidth + overhead_s), state)
    found = calibration_for(*HERE, state)
    for size in sizes:
        expected = size / bandwidth + overhead_s
        assert size / found.bandwidth + found.overhead_s == pytest.approx(expected, rel=1e-6)


def test_a_disturbed_run_does_not_bend_the_line(tmp_path):
    """This test ensures that the overhead and the slope stand where one of nine runs was slowed tenfold."""
    for number in range(1, 9):
        record(step(number * 1e9, number * 1e9 / 3e12 + 0.0014), tmp_path)
    record(step(4e9, 10 * (4e9 / 3e12 + 0.0014)), tmp_path)
    found = calibration_for(*HERE, tmp_path)
    assert found.bandwidth == pytest.approx(3e12, rel=0.1)
    assert found.overhead_s == pytest.approx(0.0014, rel=0.1)


def test_a_rate_that_falls_with_length_is_no_negative_overhead(tmp_path):
    """This test ensures that noise never predicts that something takes less than nothing."""
    for size, seconds in ((1e9, 0.02), (2e9, 0.01), (4e9, 0.005)):
        record(step(size, seconds), tmp_path)
    found = calibration_for(*HERE, tmp_path)
    assert found.bandwidth > 0
    assert found.overhead_s == 0.0


def test_another_model_on_the_same_device_is_better_than_none(tmp_path):
    """This test ensures that runs of other models count, marked as such, but only of this engine and device."""
    record(replace(RUN, model="other"), tmp_path)
    record(replace(RUN, engine="vllm", prefill_s=1.0), tmp_path)
    record(replace(RUN, device="H100", prefill_s=1.0), tmp_path)
    found = calibration_for(*HERE, tmp_path)
    assert (found.flops, found.is_same_model) == (pytest.approx(6e10), False)
    record(replace(RUN, prefill_s=5.0), tmp_path)
    found = calibration_for(*HERE, tmp_path)
    assert (found.flops, found.is_same_model) == (pytest.approx(1.2e11), True)
    assert calibration_for("endpoint", "a", "b", tmp_path) is None


def test_the_store_does_not_grow(tmp_path):
    """This test ensures that old runs and old keys give way, and the newest of both stay."""
    for number in range(MAX_RUNS + 5):
        record(replace(RUN, prefill_s=number + 1.0), tmp_path)
    rows = json.loads(file_of(tmp_path).read_bytes())["rows"]
    assert [row["prefill_s"] for row in rows] == [float(number) for number in range(6, MAX_RUNS + 6)]
    for number in range(MAX_KEYS + 3):
        record(replace(RUN, model=f"m{number}"), tmp_path)
    models = {row["model"] for row in json.loads(file_of(tmp_path).read_bytes())["rows"]}
    assert models == {f"m{number}" for number in range(3, MAX_KEYS + 3)}


def test_it_holds_numbers_and_names_only(tmp_path):
    """This test ensures that nothing but a run's own fields is written, for this user only, however long a name is."""
    record(replace(RUN, model="m" * 10_000), tmp_path)
    (row,) = json.loads(file_of(tmp_path).read_bytes())["rows"]
    assert row.keys() == {
        "at", "engine", "model", "device", "prefill_tokens", "prefill_flops", "prefill_s",
        "decode_steps", "decode_bytes", "decode_s",
    }  # fmt: skip
    assert len(row["model"]) == 200
    assert calibration_for("llama", "m" * 10_000, "AMD EPYC", tmp_path).is_same_model
    assert stat.S_IMODE(file_of(tmp_path).stat().st_mode) == 0o600


GOOD = {
    "engine": "llama",
    "model": "gemma-3-270m",
    "device": "AMD EPYC",
    "prefill_flops": 6e11,
    "prefill_s": 10.0,
}
DAMAGED = [
    b"",
    b"{",
    b"\xff\xfe",
    b"null",
    b"[]",
    b'{"format": 2, "rows": []}',
    b'{"format": 1, "rows": 7}',
    b'{"format": 1, "rows": [1, null, {}, {"engine": "llama"}]}',
    b"[" * 200_000,
    b'{"format": 1, "rows": [' + b" " * (5 << 20) + b"]}",
    *(
        json.dumps({"format": 1, "rows": [GOOD | change]}).encode()
        for change in (
            {"prefill_s": 0}, {"prefill_s": -1.0}, {"prefill_s": "10"}, {"prefill_s": True}, {"prefill_s": None},
            {"prefill_flops": float("nan")}, {"prefill_flops": float("inf")}, {"prefill_flops": 10**400},
            {"model": 7}, {"device": ["AMD EPYC"]},
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: repr(content[:60]))
def test_a_damaged_file_is_begun_anew(content, tmp_path):
    """This test ensures that whatever stands in the file, there is no calibration from it and the next run is kept."""
    file_of(tmp_path).write_bytes(content)
    assert calibration_for(*HERE, tmp_path) is None
    assert record(RUN, tmp_path)
    assert calibration_for(*HERE, tmp_path).flops == pytest.approx(6e10)


def test_a_place_that_cannot_be_written_costs_nothing_else(tmp_path):
    """This test ensures that a file in the way of the state directory is no error, neither for reading nor writing."""
    state = tmp_path / "state"
    state.write_text("in the way")
    assert not record(RUN, state)
    assert calibration_for(*HERE, state) is None
    file_of(tmp_path).mkdir()
    assert not record(RUN, tmp_path)
    assert calibration_for(*HERE, tmp_path) is None


def test_commands_at_once_never_leave_half_a_file(tmp_path):
    """This test ensures that writers and readers at the same time see whole files, one of which is the last."""

    def write(number):
        for _ in range(10):
            record(replace(RUN, model=f"m{number}"), tmp_path)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if file_of(tmp_path).exists():
            assert json.loads(file_of(tmp_path).read_bytes())["rows"]
    for thread in threads:
        thread.join()
    assert [path.name for path in tmp_path.iterdir()] == ["calibration.json"]
