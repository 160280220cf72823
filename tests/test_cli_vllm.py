"""The main job against a real vLLM, by its address."""

import json

import jsonschema
import pytest
from cli_answers import SAMPLE, run_lctx

from lctx.core.answering.wire import json_schema

pytestmark = pytest.mark.vllm

QUESTION = "Above what value in controversy is the right of trial by jury preserved?"


def test_a_vllm_is_asked_by_its_address(tmp_path, vllm_server):
    """This test ensures that a running vLLM answers, counted to the token with its own vocabulary."""
    arguments = ["ask", SAMPLE, QUESTION, "--engine", "vllm", "--endpoint", vllm_server.address, "--offline"]
    done = run_lctx(
        tmp_path, *arguments, "--format", "json", "--max-tokens", "32", LCTX_API_KEY=vllm_server.api_key
    )
    record = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr.decode()
    jsonschema.validate(record, json_schema())
    assert (record["model"], record["coverage"]["counts"]) == (vllm_server.model_name, "exact")
    assert record["engine"].startswith("vllm ")
    assert record["usage"]["prompt_tokens"] == record["plan"]["prompt_tokens"]


def test_a_wrong_key_is_4(tmp_path, vllm_server):
    """This test ensures that a key that the server does not take is told as such, before anything is sent."""
    arguments = ["ask", SAMPLE, QUESTION, "--engine", "vllm", "--endpoint", vllm_server.address]
    done = run_lctx(tmp_path, *arguments, LCTX_API_KEY="another")
    assert (done.returncode, done.stdout) == (4, b"")
    assert "key" in done.stderr.decode()


def test_a_plan_needs_no_answer(tmp_path, vllm_server):
    """This test ensures that a plan for a vLLM knows its window and counts exactly."""
    arguments = ["plan", SAMPLE, QUESTION, "--engine", "vllm", "--endpoint", vllm_server.address]
    done = run_lctx(tmp_path, *arguments, "--format", "json", LCTX_API_KEY=vllm_server.api_key)
    record = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr.decode()
    assert (record["plan"]["window"], record["counts"]) == (4096, "exact")


def test_a_second_question_hits_the_salted_cache_and_teaches(tmp_path, vllm_server):
    """This test ensures that the salt parts ropes and not questions, and that a run is kept for the next plan."""
    arguments = ["ask", SAMPLE, QUESTION, "--engine", "vllm", "--endpoint", vllm_server.address]
    arguments += ["--format", "json", "--max-tokens", "48"]
    cached = []
    for _ in range(2):
        done = run_lctx(tmp_path, *arguments, LCTX_API_KEY=vllm_server.api_key)
        assert done.returncode == 0, done.stderr.decode()
        usage = json.loads(done.stdout)["usage"]
        cached.append(usage["cached_tokens"])
    assert cached[1] >= 0.8 * usage["prompt_tokens"]
    rows = json.loads((tmp_path / "state/calibration.json").read_text("utf-8"))["rows"]
    assert {(row["engine"], row["model"]) for row in rows} == {("vllm", vllm_server.model_dir.name)}
