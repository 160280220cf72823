"""`lctx plan` as a process: arithmetic that adds up, every format, and nothing that runs."""

import json
import os
import re
import subprocess

import pytest
from cli_answers import CONTRACT, LCTX, SAMPLE, document, environment, plan, run_lctx
from scripted_server import ScriptedServer

from lctx.cli.plan_record import source_rows
from lctx.cli.sources import Reading

NOTES = "The pump stands in room 7. It is blue.\n"


@pytest.fixture
def folder(tmp_path):
    """Sources of several kinds."""
    here = tmp_path / "here"
    (here / "repo").mkdir(parents=True)
    (here / "notes.md").write_text(NOTES, "utf-8")
    (here / "repo/main.py").write_text("def pump():\n    return 7\n", "utf-8")
    (here / "repo/picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (here / "a.pdf").write_bytes(SAMPLE.read_bytes())
    (here / "b.docx").write_bytes(CONTRACT.read_bytes())
    return here


@pytest.fixture
def server():
    """An engine that has a window and answers nothing."""
    with ScriptedServer({}) as scripted:
        yield scripted


def via(server, *arguments) -> list[str]:
    return ["plan", *arguments, "--engine", "endpoint", "--endpoint", server.address]


def test_the_parts_of_a_plan_add_up(tmp_path, folder, server):
    """This test ensures that window, sources and totals agree to the token, for every source named."""
    done = run_lctx(
        tmp_path, *via(server, "repo", "a.pdf", "b.docx", "notes.md", "--format", "json"), cwd=folder
    )
    record = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    budget = record["plan"]["budget"]
    assert sum(budget.values()) == record["plan"]["window"]
    assert sum(row["tokens"] for row in record["sources"]) == record["total_tokens"]
    assert sum(row["read_tokens"] for row in record["sources"]) == record["read_tokens"]
    assert [row["path"] for row in record["sources"]] == ["repo/main.py", "a.pdf", "b.docx", "notes.md"]
    assert all(row["reasons"] for row in record["sources"] if row["read_tokens"] < row["tokens"])
    assert record["skipped"][0]["path"] == "repo/picture.png"
    assert (record["question"], record["error"], record["counts"]) == (None, None, "estimated")


def test_nothing_is_asked_of_a_model(tmp_path, folder, server):
    """This test ensures that a plan sends no document anywhere."""
    run_lctx(tmp_path, *via(server, "a.pdf", "Why?"), cwd=folder)
    assert {request.method for request in server.requests} == {"GET"}


def test_raw_is_one_integer(tmp_path, folder, server):
    """This test ensures that a script can read the number of tokens and nothing else."""
    done = run_lctx(tmp_path, *via(server, "a.pdf", "notes.md", "--raw"), cwd=folder)
    whole = json.loads(
        run_lctx(tmp_path, *via(server, "a.pdf", "notes.md", "--format", "json"), cwd=folder).stdout
    )
    assert re.fullmatch(rb"\d+\n", done.stdout)
    assert int(done.stdout) == whole["total_tokens"] > 10_000


def test_text_and_markdown_show_every_source(tmp_path, folder, server):
    """This test ensures that people see strategy, arithmetic and one row a source."""
    text = run_lctx(tmp_path, *via(server, "repo", "a.pdf", "Why?"), cwd=folder).stdout.decode()
    assert "window " in text
    assert re.search(r"^ *~[\d,]+ +~[\d,]+ +\d+ %  a\.pdf", text, re.MULTILINE)
    assert "not a source: repo/picture.png" in text
    table = run_lctx(
        tmp_path, *via(server, "repo", "a.pdf", "Why?", "--format", "md"), cwd=folder
    ).stdout.decode()
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) == 8, "strategies and sources: a head, a rule and two rows each"
    for some in (rows[:4], rows[4:]):
        assert len({row.count("|") - row.count("\\|") for row in some}) == 1


def test_ndjson_is_one_result(tmp_path, folder, server):
    """This test ensures that a plan that failed still ends in a `result`."""
    for source, code in (("a.pdf", 0), ("gone.pdf", 2)):
        done = run_lctx(tmp_path, *via(server, source, "Why?", "--format", "ndjson"), cwd=folder)
        (event,) = [json.loads(line) for line in done.stdout.splitlines()]
        assert (event["event"], event["result"]["exit_code"], done.returncode) == ("result", code, code)


def test_every_form_of_the_command_line_is_understood(tmp_path, folder, server):
    """This test ensures that a plan takes what ask takes and needs no question."""
    for arguments, stdin, code in (
        (["repo", "a.pdf", "b.docx"], None, 0),
        (["-"], NOTES, 0),
        (["Why?"], NOTES, 0),
        ([], NOTES, 0),
        (["--files-from", "-"], "a.pdf\nnotes.md\n", 0),
        (["notes.md", "gone.pdf", "Why?"], None, 5),
        (["--require-citations", "--seed", "3", "--max-tokens", "9", "notes.md"], None, 0),
        (["notes.md", ""], None, 2),
        (["gone.pdf"], None, 2),
    ):
        done = run_lctx(tmp_path, *via(server, *arguments), stdin=stdin, cwd=folder)
        assert done.returncode == code, (arguments, done.stderr.decode())


def test_a_plan_can_be_written_to_a_file(tmp_path, folder, server):
    """This test ensures that `-o` means here what it means to ask."""
    assert run_lctx(tmp_path, *via(server, "a.pdf", "--raw", "-o", "number"), cwd=folder).stdout == b""
    assert int((folder / "number").read_text("utf-8")) > 10_000


def test_a_reader_that_went_away_is_no_error(tmp_path, folder, server):
    """This test ensures that a closed pipe leaves no complaint."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [LCTX, *via(server, "a.pdf", "--quiet")],
        stdout=write,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
        cwd=folder,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_reasons_are_sorted_by_weight():
    """This test ensures that the reason for most of what is left out comes first."""
    source = document()
    (row,) = source_rows(plan(source), Reading((source,), (), (), ()))
    assert (row.tokens, row.read_tokens, row.reasons) == (30, 10, ["no match"])
