"""Where the answer goes: whole or not at all, and valid JSON on every path."""

import errno
import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from cli_answers import ROOT, citation, document, plan, ready

from lctx.cli.json_view import JsonView, NdjsonView
from lctx.cli.outcome import Outcome
from lctx.cli.output import OutputFile, StandardOutput, open_sink
from lctx.cli.plain import PlainView
from lctx.core.answering.wire import TimingsPart, json_schema
from lctx.core.engine.events import PrefillProgress
from lctx.core.errors import EngineCrashedError, ExitCode, InterruptError, MissingSourceError, UsageError
from lctx.core.planning.strategy import StrategyEstimate


class Memory:
    """A sink that remembers."""

    is_terminal = False
    is_gone = False

    def __init__(self):
        self.text, self.closed = "", False

    def write(self, text):
        """Remember."""
        assert not self.closed
        self.text += text

    def close(self):
        """Nothing may follow."""
        self.closed = True


def answered(**more) -> Outcome:
    return Outcome(
        "Why?",
        ready=ready("Alpha is one.", citation((0, 13))),
        plan=plan(),
        model="gemma",
        engine="llama 1",
        timings=TimingsPart(total_s=1.0),
        warnings=["careful"],
        **more,
    )


def failed(error=None, **more) -> Outcome:
    error = error or EngineCrashedError("it died", "try again")
    return Outcome("Why?", error=error, partial="Alpha", plan=plan(), exit_code=error.exit_code, **more)


def test_a_file_appears_whole(tmp_path):
    """This test ensures that nothing is in place before the end, and then all of it, with the usual mode."""
    target = tmp_path / "answer.md"
    sink = OutputFile(target)
    sink.write("one ")
    assert list(tmp_path.iterdir()) == []
    sink.write("zwei ü \ud800")
    sink.close()
    assert target.read_text("utf-8") == "one zwei ü \\ud800"
    mask = os.umask(0)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_file_keeps_its_mode_and_its_link(tmp_path):
    """This test ensures that the file behind a link is replaced, and stays as private as it was."""
    target, link = tmp_path / "answer", tmp_path / "link"
    target.write_text("old", "utf-8")
    target.chmod(0o600)
    link.symlink_to(target)
    sink = OutputFile(link)
    sink.write("new")
    sink.close()
    assert link.is_symlink()
    assert (target.read_text("utf-8"), target.stat().st_mode & 0o777) == ("new", 0o600)


def test_a_device_is_written_to_directly():
    """This test ensures that `-o /dev/null` is no file to replace."""
    sink = OutputFile(Path("/dev/null"))
    sink.write("gone")
    sink.close()
    assert Path("/dev/null").is_char_device()


def test_standard_output_by_its_path_is_written_to():
    """This test ensures that `-o /dev/stdout` works in a pipe, where the link leads to nothing with a name."""
    script = "from lctx.cli.output import open_sink; s = open_sink('/dev/stdout'); s.write('kept'); s.close()"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout == "kept"


@pytest.mark.parametrize(("name", "why"), [("", "directory"), ("no/such/answer.md", "does not exist")])
def test_what_cannot_be_written_is_told_at_once(tmp_path, name, why):
    """This test ensures that an unusable `-o` fails before minutes of work, and says why."""
    with pytest.raises(UsageError, match=why):
        open_sink(str(tmp_path / name))


def test_a_full_disk_leaves_the_old_file(tmp_path):
    """This test ensures that a write that fails midway changes nothing, and leaves nothing beside it."""
    target = tmp_path / "answer"
    target.write_text("old", "utf-8")
    script = (
        "import resource, signal, sys\n"
        "from lctx.cli.output import open_sink\n"
        "from lctx.core.errors import UsageError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "sink = open_sink(sys.argv[1])\n"
        "sink.write('x' * 5000)\n"
        "try:\n"
        "    sink.close()\n"
        "except UsageError as error:\n"
        "    print(error.message)\n"
    )
    command = [sys.executable, "-c", script, str(target)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert f"{target}: cannot be written: {os.strerror(errno.EFBIG).lower()}" in done.stdout
    assert target.read_text("utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000


def test_a_closed_standard_output_is_told(monkeypatch):
    """This test ensures that an answer is never computed for nobody."""
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(UsageError, match="closed"):
        StandardOutput()


def test_json_is_valid_on_every_path():
    """This test ensures that an answer, a failure and an interruption all satisfy the committed schema."""
    schema = json_schema()
    unread = MissingSourceError("b.pdf", "no such file")
    outcomes = [
        answered(unreadable=[unread], exit_code=ExitCode.INCOMPLETE),
        failed(),
        failed(InterruptError("interrupted")),
        Outcome(error=UsageError("no")),
        Outcome("\ud800", error=UsageError("\ud800")),
    ]
    for outcome in outcomes:
        for cite in (True, False):
            sink = Memory()
            JsonView(sink, cite=cite).finish(outcome)
            record = json.loads(sink.text)
            jsonschema.validate(record, schema)
            assert sink.closed
            assert (record["answer"] is None) == (record["error"] is not None)
            assert record["exit_code"] == outcome.exit_code


def test_json_keeps_what_had_arrived():
    """This test ensures that an interrupted answer is not lost to a machine, and the reason has a stable code."""
    sink = Memory()
    JsonView(sink).finish(failed(InterruptError("interrupted")))
    assert json.loads(sink.text)["error"] == {
        "code": "interrupted", "message": "interrupted", "hint": None, "partial": "Alpha"
    }  # fmt: skip


def test_ndjson_tells_events_and_ends_with_the_result():
    """This test ensures that each line is one event and the last carries the object of `--format json`."""
    sink, whole = Memory(), Memory()
    view = NdjsonView(sink)
    view.plan(plan())
    view.progress(PrefillProgress(1, 2, 1))
    view.delta("Alpha\n")
    view.warning("careful")
    outcome = answered()
    view.finish(outcome)
    JsonView(whole).finish(outcome)
    events = [json.loads(line) for line in sink.text.splitlines()]
    assert [event["event"] for event in events] == [
        "start", "plan", "progress", "delta", "warning", "citation", "result"
    ]  # fmt: skip
    assert events[-1]["result"] == json.loads(whole.text)
    assert events[3]["text"] == "Alpha\n"
    assert events[1]["plan"] == events[-1]["result"]["plan"]
    assert events[5]["citation"] == events[-1]["result"]["citations"][0]


def test_ndjson_ends_with_the_result_on_failure_too():
    """This test ensures that a reader of events is never left waiting."""
    sink = Memory()
    NdjsonView(sink).finish(failed())
    last = json.loads(sink.text.splitlines()[-1])
    assert (last["event"], last["result"]["error"]["code"]) == ("result", "engine_crashed")


def test_json_without_citations_has_none():
    """This test ensures that `--no-cite` means the same in every format."""
    sink = Memory()
    NdjsonView(sink, cite=False).finish(answered())
    events = [json.loads(line) for line in sink.text.splitlines()]
    assert [event["event"] for event in events] == ["start", "result"]
    assert events[-1]["result"]["citations"] == []


def test_plain_text_keeps_what_had_arrived():
    """This test ensures that a failure prints the partial answer cleanly, and nothing where there is none."""
    sink, empty = Memory(), Memory()
    PlainView(sink).finish(failed())
    PlainView(empty).finish(Outcome(error=UsageError("no")))
    assert (sink.text, empty.text) == ("Alpha\n", "")


def test_odd_file_names_reach_json_visibly():
    """This test ensures that a path that is no UTF-8 neither breaks the JSON nor vanishes."""
    odd = os.fsdecode(b"caf\xe9.txt")
    outcome = answered()
    outcome.ready = ready("Alpha is one.", citation((0, 13), source=document(path=odd)), reason=odd)
    outcome.model = outcome.engine = outcome.question = odd
    outcome.plan = replace(plan(), why=odd, estimates=(StrategyEstimate("full", False, 1, odd),))
    outcome.warnings.append(odd)
    sink = Memory()
    JsonView(sink).finish(outcome)
    assert json.loads(sink.text)["citations"][0]["path"] == "caf\\udce9.txt"
    failure = failed(UsageError(odd, odd))
    failure.model = failure.engine = failure.partial = odd
    JsonView(Memory()).finish(failure)
