"""`lctx warm`: what was read beforehand is not read again by the question."""

import json

import pytest
from cli_answers import run_lctx

TEXT = "".join(
    f"Clause {number}. The lessee of lot {number * 7} shall pay {number * 13} pounds on the first of May.\n"
    for number in range(6)
)
QUESTIONS = ("What shall the lessee of lot 35 pay?", "Which lessee shall pay 26 pounds?")


@pytest.fixture
def source(tmp_path):
    """A short document."""
    file = tmp_path / "lease.txt"
    file.write_text(TEXT, "utf-8")
    return file


def record_of(done) -> dict:
    """The JSON of a command that ended well."""
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.engine
def test_the_first_question_finds_the_sources_read(lctx_home, gemma_gguf, source):
    """This test ensures that of what all questions have in common, 99 per cent is cached for the first of them."""
    warmed = record_of(run_lctx(lctx_home, "warm", source, "--model", gemma_gguf, "--format", "json"))
    assert (warmed["sources"], warmed["cached_tokens"], warmed["exit_code"]) == (1, 0, 0)
    assert warmed["prompt_tokens"] == warmed["prefix_tokens"] > 300
    for question in QUESTIONS:
        arguments = ["ask", source, question, "--model", gemma_gguf, "--strategy", "full", "--format", "json"]
        asked = record_of(run_lctx(lctx_home, *arguments))
        assert asked["usage"]["cached_tokens"] >= 0.99 * warmed["prefix_tokens"]
        assert asked["coverage"]["read_tokens"] == asked["coverage"]["total_tokens"]
    again = run_lctx(lctx_home, "warm", source, "--model", gemma_gguf)
    assert again.returncode == 0
    assert f"has read {warmed['prefix_tokens']:,} tokens of 1 source" in again.stdout.decode()
    assert "of them before" in again.stdout.decode()


@pytest.mark.engine
def test_the_prefix_does_not_depend_on_the_layout_of_one_model(lctx_home, smollm2_gguf, source):
    """This test ensures that with a chat template, too, what is read is what questions begin with."""
    note = source.with_name("note.txt")
    note.write_text("The rent of lot 7 was paid late.\n", "utf-8")
    model = ["--model", smollm2_gguf, "--format", "json"]
    warmed = record_of(run_lctx(lctx_home, "warm", source, note, *model))
    asked = record_of(
        run_lctx(
            lctx_home, "ask", source, note, QUESTIONS[0], *model, "--strategy", "full", "--max-tokens", "8"
        )
    )
    assert warmed["sources"] == 2
    assert asked["usage"]["cached_tokens"] >= 0.99 * warmed["prefix_tokens"]
    assert asked["usage"]["prompt_tokens"] - warmed["prefix_tokens"] < 60


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere.txt"], (2, "nowhere.txt: no such file")),
        (
            ["lease.txt", "--strategy", "retrieve"],
            (2, "--strategy retrieve: what it reads depends on the question"),
        ),
        (["lease.txt", "--window", "64"], (3, "does not fit")),
        (["lease.txt", "--format", "xml"], (2, "--format xml")),
    ],
)
def test_what_cannot_be_warmed_is_told(lctx_home, tiny_gguf, source, arguments, expected):
    """This test ensures that no engine is started for what cannot be read ahead."""
    code, told = expected
    done = run_lctx(lctx_home, "warm", *arguments, "--model", tiny_gguf, cwd=source.parent)
    assert (done.returncode, done.stdout) == (code, b"")
    assert told in done.stderr.decode()
    assert run_lctx(lctx_home, "ps").stdout == b""


@pytest.mark.engine
def test_a_source_that_cannot_be_read_is_5(lctx_home, tiny_gguf, source):
    """This test ensures that what can be read is read, and the exit code tells that it was not all."""
    broken = source.with_name("broken.pdf")
    broken.write_bytes(b"%PDF-1.7\n")
    done = run_lctx(lctx_home, "warm", source, broken, "--model", tiny_gguf, "--format", "json")
    assert done.returncode == 5
    assert json.loads(done.stdout)["sources"] == 1
    assert "broken.pdf" in done.stderr.decode()
