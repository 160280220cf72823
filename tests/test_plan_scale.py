"""A plan is the same whatever was kept before it: cold, warm, and with nothing kept at all."""

import json
from pathlib import Path

import pytest
from cli_answers import run_lctx
from scripted_server import ScriptedServer

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def planned(home, server, *arguments):
    """All of a plan but the time it took and the memory that happened to be free."""
    done = run_lctx(
        home, "plan", "examples", *arguments, "--format", "json", "--engine", "endpoint",
        "--endpoint", server.address, cwd=EXAMPLES.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    return {name: value for name, value in record.items() if name not in {"timings", "fit"}}


@pytest.mark.parametrize(
    "question", [(), ("-q", "To what amount is the total liability of either party limited?")]
)
def test_a_plan_does_not_depend_on_what_was_kept(tmp_path, question):
    """This test ensures that documents and counts from the cache plan exactly what fresh ones do."""
    with ScriptedServer({}) as server:
        cold = planned(tmp_path, server, *question)
        assert any(one.stat().st_size for one in tmp_path.rglob("content/*") if one.is_file())
        warm = planned(tmp_path, server, *question)
        unkept = planned(tmp_path, server, *question, "--no-cache")
    assert cold["total_tokens"] > 1000
    assert cold == warm == unkept
