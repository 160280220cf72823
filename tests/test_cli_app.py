"""The console script as a process: help, usage errors, exit codes, and how fast and light it starts."""

import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_answers import LCTX, ROOT, environment, run_lctx

COMMANDS = ("ask", "plan", "ps", "stop", "doctor")


def test_help_is_plain_and_names_every_command(tmp_path):
    """This test ensures that help needs no colour, no box and no terminal."""
    done = run_lctx(tmp_path, "--help")
    assert (done.returncode, done.stderr) == (0, b"")
    assert all(re.search(rf"^  {name}\s", done.stdout.decode(), re.MULTILINE) for name in COMMANDS)
    assert done.stdout.isascii()
    assert b"\x1b" not in done.stdout


def test_no_summary_is_cut(tmp_path):
    """This test ensures that one line says what each command is for, on 80 columns."""
    assert b"..." not in run_lctx(tmp_path, "--help", COLUMNS="80").stdout.partition(b"Commands:")[2]


def test_version_is_the_packages(tmp_path):
    """This test ensures that `--version` says what is installed."""
    from lctx import __version__

    done = run_lctx(tmp_path, "--version")
    assert (done.returncode, done.stdout.decode()) == (0, f"lctx {__version__}\n")


def test_ctrl_c_before_there_is_a_command_ends_quietly(tmp_path):
    """This test ensures that Ctrl-C while the commands are still imported shows no traceback."""
    (tmp_path / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n", "utf-8")
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"sys.path.insert(0, {str(tmp_path)!r}); from lctx.cli.start import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program, "--version"], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "no command was given"),
        (["answer"], "answer: no such command"),
        (["asks"], "did you mean ask?"),
        (["ask", "--budgt", "3"], "--budgt: no such option\nhint: did you mean --budget?"),
        (["ask", "--format"], "--format: its value is missing"),
        (["ask", "--quiet=3"], "--quiet: it takes no value\nhint: lctx ask --help"),
        (["stop", "one", "two"], "two: one argument too many"),
        (["ask", "x.pdf", "why?", "-o", ""], "-o: the name is empty"),
        (["ask", "x.pdf", "why?", "--budget", "many"], "--budget many: not a whole number"),
        (["ask", "x.pdf", "why?", "--format", "xml"], "--format xml: not one of"),
        (["ask", "x.pdf", "-q", "a", "--question-file", "b"], "both name the question"),
        (["ask", "x.pdf", "-q", "a", "-0"], "add --files-from"),
        (["ask", "x.pdf", "--question-file", "nowhere"], "question file nowhere: no such file"),
        (["ask", "--files-from", "nowhere", "-q", "a"], "list of files nowhere: no such file"),
        (["ask", "--files-from", "-", "--question-file", "-"], "at once"),
        (["ps", "--format", "md"], "--format md: not one of text, json"),
        (["stop", "nobody"], "nobody: no such engine"),
    ],
)
def test_a_usage_error_is_two_lines_and_code_2(tmp_path, arguments, told):
    """This test ensures that a wrong command line says what is wrong, and stdout stays empty."""
    done = run_lctx(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    error = [line for line in done.stderr.decode().splitlines() if line.startswith("error: ")]
    assert len(error) == 1
    assert told in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.parametrize(
    "arguments", [["ask", "--nope"], ["ask", "x", "y", "--seed", "z"], ["ask", "gone.pdf", "why?"]]
)
def test_a_failure_is_json_where_json_was_asked_for(tmp_path, arguments):
    """This test ensures that even a command line that cannot be parsed ends in a `result`."""
    lines = run_lctx(tmp_path, *arguments, "--format", "ndjson").stdout.splitlines()
    last = json.loads(lines[-1])
    assert (last["event"], last["result"]["exit_code"], last["result"]["answer"]) == ("result", 2, None)
    whole = json.loads(run_lctx(tmp_path, *arguments, "--format=json").stdout)
    assert whole["error"]["code"] in {"usage", "missing_source"}


def test_a_broken_setting_is_told_by_every_command_that_reads_it(tmp_path):
    """This test ensures that a misspelt key in the user's file is an error with the nearest known one."""
    (tmp_path / "config.toml").write_text('keepalive = "1h"\n', "utf-8")
    done = run_lctx(tmp_path, "ask", ROOT / "README.md", "why?")
    assert done.returncode == 2
    assert "did you mean keep_alive?" in done.stderr.decode()
    doctor = run_lctx(tmp_path, "doctor")
    assert doctor.returncode == 2
    assert "did you mean keep_alive?" in doctor.stdout.decode()


def test_an_internal_error_is_70_and_short(tmp_path):
    """This test ensures that a crash has its own code, no traceback unless asked, and says where to report it."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import lctx.cli.servers as servers\n"
        "def crash(*arguments):\n    raise ZeroDivisionError('a planted fault')\n"
        "servers.run_ps = crash\n",
        "utf-8",
    )
    done = run_lctx(tmp_path, "ps", PYTHONPATH=str(broken))
    assert done.returncode == 70
    assert "internal error: ZeroDivisionError" in done.stderr.decode()
    assert "LCTX_DEBUG=1" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    debug = run_lctx(tmp_path, "ps", PYTHONPATH=str(broken), LCTX_DEBUG="1")
    assert (debug.returncode, "Traceback" in debug.stderr.decode()) == (70, True)


def test_ps_stop_and_doctor_speak_json(tmp_path):
    """This test ensures that the small commands have machine-readable reports with their exit code."""
    assert json.loads(run_lctx(tmp_path, "ps", "--format", "json").stdout)["servers"] == []
    assert json.loads(run_lctx(tmp_path, "stop", "--format", "json").stdout)["exit_code"] == 0
    doctor = run_lctx(tmp_path, "doctor", "--format", "json")
    record = json.loads(doctor.stdout)
    assert record["exit_code"] == doctor.returncode
    assert re.fullmatch("[0-9a-f]{64}", record["model"]["sha256"])
    assert record["model"]["licence"]
    assert [folder["name"] for folder in record["folders"]] == ["cache", "state", "runtime"]


def test_doctor_names_what_is_wrong_and_the_remedy(tmp_path):
    """This test ensures that a home that cannot be written and a damaged model are told, each with what to do."""
    blocked = tmp_path / "file"
    blocked.write_text("no folder", "utf-8")
    done = run_lctx(blocked, "doctor")
    assert done.returncode == 2
    assert "remedy: make it writable, or set LCTX_HOME" in done.stdout.decode()
    from lctx.core.models.embedded import EMBEDDED_FILE

    model = tmp_path / "home/cache/models" / EMBEDDED_FILE
    model.parent.mkdir(parents=True)
    model.write_bytes(b"GGUF")
    done = run_lctx(tmp_path / "home", "doctor")
    assert done.returncode == 4
    assert "the file is not the pinned one" in done.stdout.decode()


def test_completion_knows_commands_options_and_choices(tmp_path):
    """This test ensures that a shell can complete, and that the script for it can be shown."""
    # Which shell it is for is looked up among the parents: there must be one, and it must not give way to lctx.
    shell = ["bash", "-c", f'"{LCTX}" --show-completion; exit $?']
    shown = subprocess.run(shell, capture_output=True, env=environment(tmp_path), check=False)
    assert shown.returncode == 0
    assert b"_LCTX_COMPLETE" in shown.stdout
    for words, expected in (
        ("lctx do", b"doctor"),
        ("lctx ask --str", b"--strategy"),
        ("lctx ask --format nd", b"ndjson"),
    ):
        done = run_lctx(
            tmp_path, _LCTX_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1)
        )
        assert expected in done.stdout, (words, done.stderr)


def test_a_reader_that_went_away_is_no_error(tmp_path):
    """This test ensures that `| head -1` ends quietly, whichever command wrote."""
    for arguments in (["--help"], ["doctor"], ["doctor", "--format", "json"]):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            [LCTX, *arguments], stdout=write, stderr=subprocess.PIPE, env=environment(tmp_path), check=False
        )
        os.close(write)
        assert (done.returncode, done.stderr) == (0, b""), arguments


def test_closed_streams_are_told_or_endured(tmp_path):
    """This test ensures that a closed stdout is a usage error for an answer, and a closed stderr no crash."""
    shell = f'"{LCTX}" ask "{ROOT}/README.md" "why?" >&-'
    done = subprocess.run(["sh", "-c", shell], capture_output=True, env=environment(tmp_path), check=False)
    assert done.returncode == 2
    assert b"standard output: it is closed" in done.stderr
    silent = subprocess.run(
        ["sh", "-c", f'"{LCTX}" stop nobody 2>&-'],
        capture_output=True,
        env=environment(tmp_path),
        check=False,
    )
    assert (silent.returncode, silent.stdout) == (2, b"")


def test_a_full_standard_output_is_told(tmp_path):
    """This test ensures that an answer that could not be written is never reported as done."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [LCTX, "doctor"], stdout=full, stderr=subprocess.PIPE, env=environment(tmp_path), check=False
        )
    assert done.returncode == 2
    assert b"standard output: no space left on device" in done.stderr


def test_help_starts_fast_and_light(tmp_path):
    """This test ensures that `lctx --help` costs at most 9 bare interpreter starts and 60 MB."""
    quiet = environment(tmp_path)
    quiet.pop("COVERAGE_PROCESS_START", None)

    def seconds(*command: object) -> float:
        started = time.perf_counter()
        subprocess.run(command, capture_output=True, env=quiet, check=True)
        return time.perf_counter() - started

    # Side by side, so that a busy moment hits both.
    pairs = [(seconds(sys.executable, "-I", "-c", "pass"), seconds(LCTX, "--help")) for _ in range(9)]
    ratio = statistics.median(help_s / bare_s for bare_s, help_s in pairs)
    measure = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], capture_output=True)"
    measure += "; print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    told = subprocess.run(
        [sys.executable, "-c", measure, LCTX, "--help"], capture_output=True, text=True, env=quiet, check=True
    )
    megabytes = int(told.stdout) / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    print(f"lctx --help: {ratio:.1f} bare interpreter starts, {megabytes:.0f} MB")
    assert ratio <= 9
    assert megabytes <= 60


def test_a_command_line_is_parsed_without_heavy_imports():
    """This test ensures that no validation library, no HTTP client and no Rich delay the engine's start."""
    code = (
        "import sys; from lctx.cli.app import parse; parse(['ask', 'a.pdf', 'why?', '--seed', '3', '--quiet']);"
        "print(*sorted({'pydantic', 'rich', 'http', 'email', 'platformdirs', 'importlib.metadata'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == []
