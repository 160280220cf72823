"""Counting the cores that threads can have to themselves."""

import os

import pytest

from lctx.core.engine.cores import usable_cores


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose kernel says what the test writes."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3, 4, 5, 6, 7}, raising=False)
    (tmp_path / "cgroup").mkdir()

    def describe(siblings: dict[int, str], limits: dict[str, str]) -> int:
        for cpu, told in siblings.items():
            folder = tmp_path / f"cpu/cpu{cpu}/topology"
            folder.mkdir(parents=True)
            (folder / "thread_siblings_list").write_text(told + "\n")
        for name, told in limits.items():
            (tmp_path / "cgroup" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "cgroup" / name).write_text(told + "\n")
        return usable_cores(tmp_path / "cpu", tmp_path / "cgroup")

    return describe


PAIRS = {cpu: f"{cpu % 4},{cpu % 4 + 4}" for cpu in range(8)}


@pytest.mark.parametrize(
    ("siblings", "limits", "cores"),
    [
        ({}, {}, 8),
        (PAIRS, {}, 4),
        (PAIRS, {"cpu.max": "max 100000"}, 4),
        (PAIRS, {"cpu.max": "200000 100000"}, 2),
        (PAIRS, {"cpu.max": "50000 100000"}, 1),
        (PAIRS, {"cpu.max": "nonsense"}, 4),
        (PAIRS, {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        (PAIRS, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 4),
    ],
)
def test_cores_are_counted_as_the_kernel_tells(machine, siblings, limits, cores):
    """This test ensures that hardware threads count once, and that a container's quota is kept."""
    assert machine(siblings, limits) == cores


def test_the_affinity_of_the_process_counts(monkeypatch):
    """This test ensures that `taskset` and a job's pinning are respected on this very machine."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert usable_cores() == 1
