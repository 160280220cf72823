"""What an answer teaches the next plan: which runs count, under which name, and that it never gets in the way."""

import json
from dataclasses import replace

import pytest
from cli_answers import ready, run_lctx
from model_configs import CONFIGS

from lctx.cli import learning
from lctx.cli.launching import hardware_for
from lctx.cli.learning import calibration_name, learn_from, observation_of
from lctx.cli.settings import Settings
from lctx.core.engine.events import Usage
from lctx.core.models.effective import record_effective_window
from lctx.core.models.resolve import resolve_model
from lctx.core.planning.calibration import calibration_for, kept_runs
from lctx.core.planning.devices import Device, DeviceKind
from lctx.core.planning.hardware import costing_of
from lctx.core.storage import Directories

CPU = Device("Some CPU", DeviceKind.CPU, 8 << 30, bf16_flops=1e11)
ANSWER = replace(ready("thirty"), first_token_s=2.0, decode_s=3.0)


@pytest.fixture
def profile(tmp_path):
    """A model with known sizes."""
    folder = tmp_path / "Some-Model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIGS["Qwen3-8B"]), "utf-8")
    return resolve_model(str(folder), tmp_path / "cache")


def answered(prompt, cached, completion, **more):
    return replace(ANSWER, usage=Usage(prompt, cached, completion, **more))


RUNS = [
    ((1000, 0, 2), {}, (True, False)),
    ((1000, 400, 2), {}, (True, False)),
    ((1000, 600, 2), {}, (False, False)),
    ((255, 0, 2), {}, (False, False)),
    ((1000, 0, 17), {}, (True, True)),
    ((1000, 990, 40), {}, (False, True)),
    ((1000, 0, 40), {"cached_known": False}, (False, True)),
    ((0, 0, 0), {"known": False}, (False, False)),
    ((10, 1000, 2), {}, (False, False)),
]


@pytest.mark.parametrize("run", RUNS)
def test_a_run_counts_for_what_it_tells(tmp_path, profile, monkeypatch, run):
    """This test ensures that short, cached and uncounted runs are left out, each half by itself."""
    counts, more, tells = run
    monkeypatch.setattr(learning, "serving_device", lambda _engine: CPU)
    assert learn_from(answered(*counts, **more), profile, "vllm", tmp_path) is any(tells)
    kept = calibration_for("vllm", "Some-Model", CPU.label, tmp_path)
    assert (bool(kept and kept.flops), bool(kept and kept.bandwidth)) == tells


def test_nothing_is_looked_at_where_nothing_is_told(tmp_path, profile, monkeypatch):
    """This test ensures that a short run costs no look at the device, and none is kept."""
    monkeypatch.setattr(learning, "serving_device", lambda _engine: pytest.fail("looked"))
    assert not learn_from(answered(200, 0, 5), profile, "llama", tmp_path)
    assert not learn_from(replace(ANSWER, usage=None), profile, "llama", tmp_path)
    assert not learn_from(answered(9000, 0, 50), replace(profile, compute=None), "llama", tmp_path)
    assert list(tmp_path.glob("*.json")) == []


def test_a_plan_predicts_what_was_measured(tmp_path, profile, monkeypatch):
    """This test ensures that the plan of the same request, on the same device, comes out as it was measured."""
    folders = Directories(tmp_path / "cache", tmp_path / "state", tmp_path / "run")
    monkeypatch.setattr(learning, "serving_device", lambda _engine: learning_device())
    assert learn_from(answered(1000, 0, 40), profile, "vllm", folders.state)
    hardware = hardware_for(profile, Settings(gpu="none"), folders)
    cost = costing_of(profile, hardware)(1000, 40)
    assert cost.prefill_s == pytest.approx(2.0)
    assert cost.decode_s == pytest.approx(3.0)
    assert "measured on this machine" in cost.basis


def learning_device():
    """This machine's processor, as `--gpu none` plans for it."""
    from lctx.cli.processor import processor

    return processor()


def test_a_served_name_does_not_hide_the_runs_of_a_directory(profile):
    """This test ensures that a run is kept under the directory's name, however the server calls the model."""
    assert calibration_name(replace(profile, name="prod-1")) == calibration_name(profile) == "Some-Model"
    gguf = replace(profile, name="m", path=profile.path / "m-Q4_K_M.gguf")
    assert calibration_name(gguf) == "m"
    assert calibration_name(replace(profile, path=None)) == profile.name


def test_several_gpus_teach_nothing(monkeypatch):
    """This test ensures that what a server of unknown width reached is not taken for what all cards reach."""
    monkeypatch.setattr("lctx.cli.devices.detect", lambda: replace(CPU, kind=DeviceKind.GPU, count=2))
    assert learning.serving_device("vllm") is None
    monkeypatch.setattr("lctx.cli.devices.detect", lambda: CPU)
    assert learning.serving_device("vllm") == CPU
    assert learning.serving_device("llama").kind is DeviceKind.CPU


def test_a_state_that_cannot_be_written_costs_the_run_alone(tmp_path, profile, monkeypatch):
    """This test ensures that an answer never fails over what it taught."""
    monkeypatch.setattr(learning, "serving_device", lambda _engine: CPU)
    (tmp_path / "file").touch()
    assert not learn_from(answered(9000, 0, 50), profile, "llama", tmp_path / "file")


def test_a_run_says_nothing_of_what_was_asked(profile):
    """This test ensures that numbers and names are all that is kept."""
    told = observation_of(answered(1000, 0, 40), profile, "llama", CPU)
    names = (told.engine, told.model, told.device)
    assert names == ("llama", "Some-Model", CPU.label)
    assert told.prefill_flops == profile.compute.prefill_flops(1000)
    assert told.decode_bytes > 39 * profile.active_bytes


def test_doctor_tells_the_device_and_what_was_learnt(tmp_path, profile, monkeypatch):
    """This test ensures that a reader finds what plans go by: the device, the runs, the measured windows."""
    record = json.loads(run_lctx(tmp_path, "doctor", "--format", "json").stdout)
    assert (record["calibration"]["num_runs"], record["measured"]) == (0, [])
    assert record["device"]["memory_bytes"] > 1 << 28
    monkeypatch.setattr(learning, "serving_device", lambda _engine: CPU)
    learn_from(answered(1000, 0, 40), profile, "llama", tmp_path / "state")
    record_effective_window("Some-Model", 16_384, 91.0, "needle, 60 questions", tmp_path / "state")
    assert kept_runs(tmp_path / "state")[1] == 1
    told = run_lctx(tmp_path, "doctor").stdout.decode()
    assert "measured 1 run (" in told
    assert "somemodel: 16,384, measured on this machine: needle, 60 questions, 91.0" in told
    assert f"device {record['device']['name']}: " in told
