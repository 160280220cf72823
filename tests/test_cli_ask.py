"""`lctx ask` as a process against a scripted engine: arguments, streams, gates, interruptions, exit codes."""

import json
import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import jsonschema
import pytest
from cli_answers import CONTRACT, LCTX, SAMPLE, environment, run_lctx
from scripted_server import DIE, Reply, ScriptedServer, answer, refusal, text_event

from lctx.core.answering.wire import json_schema

CHAT = "/v1/chat/completions"
FACT = "The warranty of the pump ends on 3 May 2031."
NOTES = f"# Pump\n\nThe pump stands in room 7. {FACT} It is blue.\n"
QUESTION = "When does the warranty of the pump end?"


@pytest.fixture
def folder(tmp_path):
    """A folder with a few sources, where commands run."""
    here = tmp_path / "here"
    (here / "repo").mkdir(parents=True)
    (here / "x").mkdir()
    (here / "notes.md").write_text(NOTES, "utf-8")
    (here / "repo/main.py").write_text("def pump():\n    return 7\n", "utf-8")
    (here / "README.md").write_text("# Read me\n\nThe pump is described elsewhere.\n", "utf-8")
    (here / "a.pdf").write_bytes(SAMPLE.read_bytes())
    (here / "x/b.docx").write_bytes(CONTRACT.read_bytes())
    (here / "question.txt").write_text(QUESTION + "\n", "utf-8")
    return here


@pytest.fixture
def engine():
    """An engine that always says the one sentence."""
    with ScriptedServer({CHAT: answer(*FACT.partition(" of the pump"))}) as server:
        yield server


def via(server, *arguments) -> list[str]:
    return ["ask", *map(str, arguments), "--engine", "endpoint", "--endpoint", server.address, "--model", "m"]


def start(server, home, *arguments, cwd=None, **streams):
    """The command, running."""
    return subprocess.Popen(
        [LCTX, *via(server, *arguments)], env=environment(home), cwd=cwd, stderr=subprocess.PIPE, **streams
    )


def wait_until(holds, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_the_answer_is_on_stdout_and_all_else_on_stderr(tmp_path, folder, engine):
    """This test ensures that a pipe gets the answer with its source, and a person the plan and the receipt."""
    done = run_lctx(tmp_path, *via(engine, "notes.md", QUESTION), cwd=folder)
    out, err = done.stdout.decode(), done.stderr.decode().splitlines()
    assert done.returncode == 0
    assert out == f'{FACT} [1]\n\nSources:\n[1] notes.md line 3, in Pump: "{FACT}" (verified; supported)\n'
    assert [line.partition(" ")[0] for line in err] == ["plan:", "read"]
    assert "~" in err[0]


QUESTIONED = [
    (["notes.md", QUESTION], None, 0),
    (["a.pdf", "notes.md", QUESTION], None, 0),
    (["./repo", "notes.md", "x/b.docx", QUESTION], None, 0),
    (["notes.md", "-q", QUESTION], None, 0),
    (["notes.md", "--question-file", "question.txt"], None, 0),
    (["-", QUESTION], NOTES, 0),
    ([QUESTION], NOTES, 0),
    (["--files-from", "-", "-q", QUESTION], "notes.md\na.pdf\n", 0),
    (["--files-from", "-", "-0", "-q", QUESTION], "notes.md\0", 0),
    (["notes.md", "-q", "README.md"], None, 0),
    (["notes.md", "README.md"], None, 2),
    (["notes.md"], None, 2),
    ([], "", 2),
    (["a.pdf", "x/b.docx"], None, 2),
]


@pytest.mark.parametrize("case", QUESTIONED)
def test_every_form_of_the_command_line_means_what_it_says(tmp_path, folder, engine, case):
    """This test ensures that the forms that the manual shows are parsed, run, and end with their code."""
    arguments, stdin, code = case
    done = run_lctx(tmp_path, *via(engine, *arguments), stdin=stdin, cwd=folder)
    assert done.returncode == code, done.stderr.decode()
    assert done.stdout.decode().startswith(FACT) is (code == 0)
    if code == 2:
        assert "hint: " in done.stderr.decode()
        assert engine.requests == []


def test_a_loop_keeps_its_list(tmp_path, folder, engine):
    """This test ensures that `while read f; do lctx ask "$f" …; done` runs once for each line."""
    command = " ".join(f'"{word}"' for word in [LCTX, *via(engine, "$f", QUESTION)])
    script = f"while read -r f; do {command} --no-cite; done"
    done = subprocess.run(
        ["sh", "-c", script],
        input=b"notes.md\nREADME.md\na.pdf\n",
        capture_output=True,
        env=environment(tmp_path),
        cwd=folder,
        check=False,
    )
    assert done.stdout.decode().splitlines() == [FACT] * 3


def test_json_is_the_contract(tmp_path, folder, engine):
    """This test ensures that the object is valid, its quote stands where it says, and the parts make the whole."""
    done = run_lctx(tmp_path, *via(engine, "notes.md", "a.pdf", QUESTION, "--format", "json"), cwd=folder)
    record = json.loads(done.stdout)
    jsonschema.validate(record, json_schema())
    (citation,) = record["citations"]
    start, end = citation["location"]["chars"]
    assert (NOTES[start:end], citation["path"], record["exit_code"]) == (FACT, "notes.md", 0)
    assert record["answer"]["text"][slice(*citation["answer_chars"])] == FACT
    coverage = record["coverage"]
    parts = sum(row["tokens"] for row in coverage["read"] + coverage["omitted"])
    assert (parts, coverage["counts"]) == (coverage["total_tokens"], "estimated")
    assert {"read_s", "plan_s", "first_token_s", "total_s"} == record["timings"].keys()


@pytest.mark.parametrize("wanted", ["text", "md", "json", "ndjson"])
def test_a_file_gets_what_stdout_would(tmp_path, folder, engine, wanted):
    """This test ensures that `-o` writes the whole answer in any format, and stdout stays empty."""
    arguments = via(engine, "notes.md", QUESTION, "--format", wanted)
    done = run_lctx(tmp_path, *arguments, "-o", "answer", cwd=folder)
    assert (done.returncode, done.stdout) == (0, b"")
    assert FACT in (folder / "answer").read_text("utf-8")
    assert run_lctx(tmp_path, *arguments, "-o", "-", cwd=folder).stdout


def test_a_source_that_cannot_be_read_is_told_and_the_rest_used(tmp_path, folder, engine):
    """This test ensures that one bad source beside good ones is a warning, a row in the receipt, and code 5."""
    (folder / "empty.md").touch()
    arguments = via(engine, "notes.md", "gone.pdf", "empty.md", QUESTION)
    done = run_lctx(tmp_path, *arguments, "--format", "json", cwd=folder)
    record = json.loads(done.stdout)
    assert (done.returncode, record["exit_code"]) == (5, 5)
    assert record["answer"]["text"] == FACT
    assert {row["path"]: row["code"] for row in record["coverage"]["unreadable"]} == {
        "gone.pdf": "missing_source",
        "empty.md": "empty_source",
    }
    assert done.stderr.decode().count("warning: ") == 2


def test_the_gate_prints_first_and_then_trips(tmp_path, folder):
    """This test ensures that `--require-citations` is 1 for an unsupported sentence, and 0 for a supported one."""
    with ScriptedServer({CHAT: [answer(FACT), answer(f"{FACT} Dragons built it.")]}) as server:
        arguments = via(server, "notes.md", QUESTION, "--require-citations", "--quiet")
        assert run_lctx(tmp_path, *arguments, cwd=folder).returncode == 0
        done = run_lctx(tmp_path, *arguments, cwd=folder)
        assert done.returncode == 1
        assert "Dragons built it. [no source]" in done.stdout.decode()
        assert done.stderr.decode().startswith("error: --require-citations: 1 sentence")
        record = json.loads(run_lctx(tmp_path, *arguments, "--format", "json", cwd=folder).stdout)
        assert (record["exit_code"], record["error"]) == (1, None)
        (sentence,) = record["answer"]["unsupported"]
        assert record["answer"]["text"][slice(*sentence)] == "Dragons built it."


def test_quiet_leaves_warnings_and_errors(tmp_path, folder, engine):
    """This test ensures that a quiet run says nothing unless there is something to say."""
    arguments = via(engine, "notes.md", QUESTION, "--quiet")
    assert run_lctx(tmp_path, *arguments, cwd=folder).stderr == b""
    told = run_lctx(tmp_path, *via(engine, "notes.md", "gone.md", QUESTION, "--quiet"), cwd=folder).stderr
    assert told.decode().splitlines() == [
        "warning: gone.md: no such file, so it was left out (check the path)"
    ]


@pytest.mark.parametrize("wanted", ["text", "json", "ndjson"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_keeps_what_had_arrived(tmp_path, folder, wanted, number):
    """This test ensures that Ctrl-C ends with 130 and the partial answer, and the engine drops the request."""
    with ScriptedServer({CHAT: Reply((text_event("The warranty "), text_event("of"), 30.0))}) as server:
        running = start(
            server, tmp_path, "notes.md", QUESTION, "--format", wanted, cwd=folder, stdout=subprocess.PIPE
        )
        wait_until(lambda: server.requests)
        time.sleep(0.3)
        running.send_signal(number)
        out, err = running.communicate(timeout=20)
        assert running.returncode == 130
        assert server.hung_up.wait(5)
    assert b"interrupted" in err
    if wanted == "text":
        assert out.decode() == "The warranty of\n"
    else:
        last = json.loads(out.splitlines()[-1])["result"] if wanted == "ndjson" else json.loads(out)
        assert (last["error"]["code"], last["error"]["partial"]) == ("interrupted", "The warranty of")
        assert (last["answer"], last["exit_code"]) == (None, 130)


def test_ndjson_ends_with_a_result_when_the_engine_dies(tmp_path, folder):
    """This test ensures that a connection that breaks midway is 4, with what had arrived and a last event."""
    with ScriptedServer({CHAT: Reply((text_event("The warranty "), 0.2, DIE))}) as server:
        done = run_lctx(tmp_path, *via(server, "notes.md", QUESTION, "--format", "ndjson"), cwd=folder)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 4
    assert [event["event"] for event in events] == ["start", "plan", "delta", "result"]
    assert events[-1]["result"]["error"]["partial"].strip() == "The warranty"
    assert events[-1]["result"]["exit_code"] == 4


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (refusal(401, {"error": {"message": "wrong key"}}), "key"),
        (refusal(500, {"error": {"message": "out of memory"}}), "out of memory"),
        (Reply((b"<html>",), content_type="text/html"), "text/html"),
    ],
)
def test_a_refusal_is_4_with_its_reason(tmp_path, folder, reply, told):
    """This test ensures that what the engine said reaches the user, and no answer is pretended."""
    with ScriptedServer({CHAT: reply}) as server:
        done = run_lctx(tmp_path, *via(server, "notes.md", QUESTION), cwd=folder)
    assert (done.returncode, done.stdout) == (4, b"")
    assert told in done.stderr.decode()


def test_nobody_at_the_address_is_4(tmp_path, folder):
    """This test ensures that a server that is not there is an engine failure, told with its address."""
    arguments = ["ask", "notes.md", QUESTION, "--engine", "vllm", "--endpoint", "http://127.0.0.1:9"]
    done = run_lctx(tmp_path, *arguments, cwd=folder)
    assert done.returncode == 4
    assert "127.0.0.1:9" in done.stderr.decode()


def test_an_engine_that_is_loading_is_75(tmp_path, folder):
    """This test ensures that a wait that is over is told apart from a failure: try again."""
    with ScriptedServer({"/v1/models": refusal(503, {"error": {"message": "Loading model"}})}) as server:
        arguments = ["ask", "notes.md", QUESTION, "--engine", "vllm", "--endpoint", server.address]
        done = run_lctx(tmp_path, *arguments, "--wait", "1s", cwd=folder)
    assert (done.returncode, done.stdout) == (75, b"")


@pytest.mark.parametrize("wanted", ["text", "json", "ndjson"])
def test_a_fault_of_ours_is_70_in_every_format(tmp_path, folder, engine, wanted):
    """This test ensures that a crash in the middle looks like one, and machines get their last object."""
    (tmp_path / "sitecustomize.py").write_text(
        "import lctx.cli.sources as sources\n"
        "def crash(*arguments, **named):\n    raise ZeroDivisionError('a planted fault')\n"
        "sources.read_each = crash\n",
        "utf-8",
    )
    arguments = via(engine, "notes.md", QUESTION, "--format", wanted)
    done = run_lctx(tmp_path / "home", *arguments, cwd=folder, PYTHONPATH=str(tmp_path))
    assert done.returncode == 70
    assert "internal error: ZeroDivisionError" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    if wanted == "text":
        assert done.stdout == b""
    else:
        last = (
            json.loads(done.stdout.splitlines()[-1])["result"]
            if wanted == "ndjson"
            else json.loads(done.stdout)
        )
        assert last["exit_code"] == 70


def test_the_key_comes_from_the_environment(tmp_path, folder, engine):
    """This test ensures that LCTX_API_KEY wins over OPENAI_API_KEY, and a file cannot hold a key."""
    for variables, key in (
        ({"OPENAI_API_KEY": "b"}, "b"),
        ({"OPENAI_API_KEY": "b", "LCTX_API_KEY": "a"}, "a"),
    ):
        run_lctx(tmp_path, *via(engine, "notes.md", QUESTION), cwd=folder, **variables)
        assert engine.requests[-1].headers["Authorization"] == f"Bearer {key}"
    (tmp_path / "config.toml").write_text('api_key = "c"\n', "utf-8")
    assert run_lctx(tmp_path, *via(engine, "notes.md", QUESTION), cwd=folder).returncode == 2


def test_offline_refuses_other_machines(tmp_path, folder, engine):
    """This test ensures that `--offline` allows loopback and refuses the rest before anything is read or sent."""
    assert run_lctx(tmp_path, *via(engine, "notes.md", QUESTION, "--offline"), cwd=folder).returncode == 0
    arguments = ["ask", "notes.md", QUESTION, "--endpoint", "https://models.example.org/v1", "--offline"]
    done = run_lctx(tmp_path, *arguments, cwd=folder)
    assert done.returncode == 2
    assert "--offline" in done.stderr.decode()


def test_a_repository_cannot_send_documents_away(tmp_path, folder, engine):
    """This test ensures that a git tree's lctx.toml that names an endpoint is an error, and nothing is sent."""
    (folder / ".git").mkdir()
    (folder / "lctx.toml").write_text(f'engine = "endpoint"\nendpoint = "{engine.address}"\n', "utf-8")
    done = run_lctx(tmp_path, "ask", "notes.md", QUESTION, cwd=folder)
    assert done.returncode == 2
    assert "cannot be set by a project" in done.stderr.decode()
    assert engine.requests == []


def test_no_cache_keeps_nothing_of_the_sources(tmp_path, folder, engine):
    """This test ensures that the text is kept by default, privately, and not at all with `--no-cache`."""

    def kept() -> list[Path]:
        return [
            file for file in tmp_path.rglob("home*/**/*") if file.is_file() and b"room 7" in file.read_bytes()
        ]

    run_lctx(tmp_path / "home1", *via(engine, "notes.md", QUESTION, "--no-cache"), cwd=folder)
    assert kept() == []
    run_lctx(tmp_path / "home2", *via(engine, "notes.md", QUESTION), cwd=folder)
    files = [file for file in (tmp_path / "home2").rglob("*") if file.is_file()]
    assert files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_home_that_cannot_be_written_only_warns(tmp_path, folder, engine):
    """This test ensures that a cache that is no folder costs a warning, not the answer."""
    home = tmp_path / "file"
    home.write_text("no folder", "utf-8")
    done = run_lctx(home, *via(engine, "notes.md", QUESTION), cwd=folder, TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().startswith(FACT)
    assert "warning: " in done.stderr.decode()


def test_hostile_answers_reach_a_pipe_harmlessly_and_json_whole(tmp_path, folder):
    """This test ensures that escape sequences of a model are stripped for people and kept for machines."""
    hostile = "\x1b]0;owned\x07See [main.py:12] \u202eevil"
    with ScriptedServer({CHAT: answer(hostile)}) as server:
        shown = run_lctx(tmp_path, *via(server, "notes.md", QUESTION), cwd=folder).stdout.decode()
        record = json.loads(
            run_lctx(tmp_path, *via(server, "notes.md", QUESTION, "--format", "json"), cwd=folder).stdout
        )
    assert shown.startswith("See [main.py:12] evil")
    assert record["answer"]["text"] == hostile


def test_nothing_is_wrapped_on_a_pipe(tmp_path, folder):
    """This test ensures that a long line stays one line, whatever COLUMNS says."""
    long = "word " * 100 + "end."
    with ScriptedServer({CHAT: answer(long)}) as server:
        done = run_lctx(tmp_path, *via(server, "notes.md", QUESTION), cwd=folder, COLUMNS="40", TERM="xterm")
    assert done.stdout.decode().splitlines()[0].startswith(long)
    assert b"\x1b" not in done.stdout + done.stderr


def test_a_question_longer_than_the_window_does_not_fit(tmp_path, folder, engine):
    """This test ensures that nothing is cut in silence: code 3, and nothing was sent."""
    (folder / "long.txt").write_text("why " * 60_000, "utf-8")
    done = run_lctx(
        tmp_path, *via(engine, "notes.md", "--question-file", "long.txt", "--format", "json"), cwd=folder
    )
    record = json.loads(done.stdout)
    assert (done.returncode, record["error"]["code"]) == (3, "does_not_fit")
    assert [request for request in engine.requests if request.path == CHAT] == []


BAD = [
    ("gone.pdf", None, "no such file"),
    ("empty", "folder", "empty"),
    ("empty.txt", b"", "empty"),
    ("blank.md", b"  \n\n", "white space"),
    ("picture.pdf", b"\x89PNG\r\n\x1a\n" + bytes(500), "picture.pdf"),
    ("binary.bin", bytes(range(256)) * 20, "binary"),
    ("truncated.pdf", SAMPLE.read_bytes()[:3000], "truncated.pdf"),
    ("truncated.docx", CONTRACT.read_bytes()[:3000], "truncated.docx"),
]


@pytest.mark.parametrize("case", BAD, ids=[name for name, _, _ in BAD])
def test_a_source_that_is_none_is_2_and_no_engine_is_asked(tmp_path, folder, engine, case):
    """This test ensures that bad input alone is a usage error with its name, never a crash."""
    name, content, told = case
    if content == "folder":
        (folder / name).mkdir()
    elif content is not None:
        (folder / name).write_bytes(content)
    done = run_lctx(tmp_path, *via(engine, name, QUESTION), cwd=folder)
    assert (done.returncode, done.stdout) == (2, b"")
    assert name in done.stderr.decode()
    assert told in done.stderr.decode()
    assert [request for request in engine.requests if request.path == CHAT] == []


def test_every_missing_source_is_named(tmp_path, folder, engine):
    """This test ensures that two misspelt paths are two names in one error, and nothing is started."""
    done = run_lctx(tmp_path, *via(engine, "gone.pdf", "lost.pdf", QUESTION), cwd=folder)
    assert done.returncode == 2
    assert done.stderr.decode().startswith("error: gone.pdf: no such file, nor lost.pdf\n")
    assert engine.requests == []


def test_a_password_is_told(tmp_path, folder, engine):
    """This test ensures that a protected PDF is 2 and says so."""
    import pypdf

    writer = pypdf.PdfWriter(SAMPLE)
    writer.encrypt("secret")
    writer.write(folder / "locked.pdf")
    done = run_lctx(tmp_path, *via(engine, "locked.pdf", QUESTION), cwd=folder)
    assert done.returncode == 2
    assert "password" in done.stderr.decode()


@pytest.mark.parametrize("question", ["", "   "])
def test_an_empty_question_is_2(tmp_path, folder, engine, question):
    """This test ensures that an empty question is refused before anything runs."""
    done = run_lctx(tmp_path, *via(engine, "notes.md", question), cwd=folder)
    assert done.returncode == 2
    assert "the question is empty" in done.stderr.decode()


def test_odd_names_and_many_sources(tmp_path, folder, engine):
    """This test ensures that names with spaces, line ends and no UTF-8 are read and told, many at once."""
    odd = os.fsencode(folder) + b"/caf\xe9 one\n.md"
    Path(os.fsdecode(odd)).write_text(NOTES, "utf-8")
    for number in range(30):
        (folder / f"n{number}.txt").write_text(f"note {number} says nothing\n", "utf-8")
    names = [name.encode() for name in sorted(path.name for path in folder.glob("n*.txt"))]
    listed = b"\0".join([*names, odd]) + b"\0"
    done = run_lctx(
        tmp_path,
        *via(engine, "--files-from", "-", "-0", "-q", QUESTION, "--format", "json"),
        stdin=listed,
        cwd=folder,
    )
    record = json.loads(done.stdout)
    assert done.returncode == 0
    paths = {row["path"] for row in record["coverage"]["read"] + record["coverage"]["omitted"]}
    assert len(paths) == 31


def test_a_reader_that_leaves_early_is_no_error(tmp_path, folder, engine):
    """This test ensures that `| head -1` gets its line and nobody complains."""
    command = " ".join(
        f'"{word}"' for word in [LCTX, *via(engine, "notes.md", QUESTION, "--format", "ndjson")]
    )
    script = f"{command} | head -1"
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, env=environment(tmp_path), cwd=folder, check=False
    )
    assert json.loads(done.stdout)["event"] == "start"
    assert b"Broken" not in done.stderr
    assert b"error" not in done.stderr


def test_nobody_works_for_a_reader_that_left(tmp_path, folder):
    """This test ensures that the engine drops a request whose events nobody reads any more."""
    parts = [part for number in range(100) for part in (text_event(f"word{number} "), 0.1)]
    with ScriptedServer({CHAT: Reply((*parts, 30.0))}) as server:
        running = start(
            server, tmp_path, "notes.md", QUESTION, "--format", "ndjson", cwd=folder, stdout=subprocess.PIPE
        )
        while b'"delta"' not in running.stdout.readline():
            pass
        running.stdout.close()
        assert server.hung_up.wait(15)
        assert running.wait(timeout=15) == 0
        assert b"error" not in running.stderr.read()
        running.stderr.close()


def test_nothing_is_written_into_the_folder(tmp_path, folder, engine):
    """This test ensures that a folder that is asked about is as it was."""
    before = sorted(folder.rglob("*"))
    assert run_lctx(tmp_path, *via(engine, ".", QUESTION), cwd=folder).returncode == 0
    assert sorted(folder.rglob("*")) == before


def test_reasoning_is_shown_on_request_and_never_in_the_answer(tmp_path, folder):
    """This test ensures that what a model thinks reaches standard error alone, and only where it was asked for."""
    thought = f"<think>The log says 1807.</think>{FACT}"
    with ScriptedServer({CHAT: answer(thought[:20], thought[20:])}) as server:
        plain = run_lctx(tmp_path, *via(server, "notes.md", QUESTION), cwd=folder)
        shown = run_lctx(tmp_path, *via(server, "notes.md", QUESTION, "--show-reasoning"), cwd=folder)
        hidden = run_lctx(tmp_path, *via(server, "notes.md", QUESTION, "--format", "json"), cwd=folder)
    assert b"1807" not in plain.stdout + plain.stderr + hidden.stdout + shown.stdout
    assert b"The log says 1807." in shown.stderr
    assert plain.stdout == shown.stdout
    assert FACT.split(maxsplit=1)[0] in plain.stdout.decode()
