"""`lctx read --where`: each place of a quote, in words and as a whole location, and what comes near."""

import json
import os
from collections import defaultdict
from pathlib import Path

import jsonschema
import pypdfium2
import pytest
from cli_answers import CONTRACT, SAMPLE, run_lctx

from lctx.cli.read_record import read_schema
from lctx.core.errors import ExitCode

TRIAL = "the right of trial by jury shall be preserved"


@pytest.fixture
def notes(tmp_path):
    """A note that says one thing twice."""
    file = tmp_path / "notes.txt"
    file.write_text("The fee is due.\nIt is small.\nThe fee\nis due.\n", "utf-8")
    return str(file)


def test_every_place_is_a_line_in_words(lctx, notes):
    """This test ensures that source, page or line, and what stands there can be read and grepped."""
    code, out, _ = lctx(str(SAMPLE), notes, "--where", TRIAL, "--where", "the fee is due")
    assert code == ExitCode.GATE
    assert out == f'{SAMPLE} p. 28, line 13: "{TRIAL}"\n'
    code, out, _ = lctx(str(SAMPLE), notes, "--where", "The fee is due")
    assert code == ExitCode.OK
    assert out == f'{notes} line 1: "The fee is due"\n{notes} lines 3-4: "The fee is due"\n'


def test_a_place_is_a_whole_location_with_its_box(lctx):
    """This test ensures that page, line, heading and characters are told, and ink stands in the box."""
    code, out, _ = lctx(str(SAMPLE), str(CONTRACT), "--where", TRIAL, "--format", "json")
    record = json.loads(out)
    jsonschema.validate(record, read_schema())
    assert code == ExitCode.OK
    assert [source["spans"] for source in record["sources"]] == [None, None]
    (quote,) = record["quotes"]
    (place,) = quote["places"]
    assert (quote["quote"], quote["found"]) == (TRIAL, True)
    assert (place["path"], place["status"], place["share"]) == (str(SAMPLE), "verified", 1.0)
    location = place["location"]
    assert (location["pages"], location["lines"]) == ([28, 28], [13, 13])
    assert location["heading"][-1] == "Amendment VII"
    with pypdfium2.PdfDocument(SAMPLE) as pdf:
        inside = pdf[27].get_textpage().get_text_bounded(*location["box"])
    assert "trial by jury" in " ".join(inside.split())


def test_a_place_in_word_is_a_paragraph(lctx):
    """This test ensures that a source without pages is cited by heading and paragraph."""
    _, out, _ = lctx(str(CONTRACT), "--where", "ninety days' written notice")
    assert "paragraph 11, in Services Agreement > 2. Term and termination: " in out


def test_what_comes_near_is_told_as_such(lctx, notes):
    """This test ensures that a misquotation is no proof, and what really stands there is shown with its share."""
    wrong = "Either party may terminate it by given ninety days written notices"
    code, out, _ = lctx(str(CONTRACT), notes, "--where", wrong)
    assert code == ExitCode.GATE
    assert "(approximate, 9" in out
    assert '"Either party may terminate it by giving ninety days' in out
    record = json.loads(lctx(str(CONTRACT), notes, "--where", wrong, "--format", "json")[1])
    (place,) = record["quotes"][0]["places"]
    assert (place["status"], record["quotes"][0]["found"]) == ("approximate", False)
    assert 0.9 < place["share"] < 1


@pytest.mark.parametrize("wanted", ["text", "json", "ndjson"])
def test_a_quote_that_stands_nowhere_is_1(lctx, notes, wanted):
    """This test ensures that a script can ask whether a quote stands, and is told which does not."""
    code, out, err = lctx(
        notes, "--where", "It is small", "--where", "green cheese on the moon", "--format", wanted
    )
    assert code == ExitCode.GATE
    assert 'error: --where: it stands nowhere word for word: "green cheese on the moon"' in err
    if wanted == "text":
        assert out == f'{notes} line 2: "It is small"\n'
        return
    record = json.loads(out) if wanted == "json" else json.loads(out.splitlines()[-1])["result"]
    assert [(one["quote"], one["found"]) for one in record["quotes"]] == [
        ("It is small", True),
        ("green cheese on the moon", False),
    ]
    assert (record["error"]["code"], record["exit_code"]) == ("gate", 1)
    if wanted == "ndjson":
        events = [json.loads(line)["event"] for line in out.splitlines()]
        assert events == ["start", "source", "quote", "quote", "result"]


def test_a_source_that_was_not_read_is_no_proof(lctx, notes):
    """This test ensures that 5 is returned where a quote was found and a source was not read, 2 where none was."""
    assert lctx(notes, "gone.txt", "--where", "It is small")[0] == ExitCode.INCOMPLETE
    assert lctx("gone.txt", "--where", "It is small")[0] == ExitCode.USAGE


def test_a_part_of_a_file_is_searched_alone(lctx):
    """This test ensures that pages that were not named hold nothing, and characters are those of the file."""
    whole = json.loads(lctx(str(SAMPLE), "--where", TRIAL, "--format", "json")[1])
    part = json.loads(lctx(f"{SAMPLE}#28-29", "--where", TRIAL, "--format", "json")[1])
    assert part["quotes"][0]["places"][0]["location"] == whole["quotes"][0]["places"][0]["location"]
    assert lctx(f"{SAMPLE}#1-27", "--where", TRIAL)[0] == ExitCode.GATE


@pytest.mark.data
def test_every_gold_line_is_found_on_its_page(lctx, tmp_path):
    """This test ensures that each answerable question's line is found on the page that answers it, with a box."""
    data = Path(os.environ.get("LCTX_BENCH_DATA", "")) / "ntsb"
    if not os.environ.get("LCTX_BENCH_DATA") or not data.is_dir():
        pytest.skip("LCTX_BENCH_DATA names no folder with ntsb: the evaluation data is not here")
    lines = (data / "questions.jsonl").read_text("utf-8").splitlines()
    gold: dict[str, set[tuple[str, int]]] = defaultdict(set)
    answerable = [one for one in map(json.loads, lines) if one["answerable"]]
    for question in answerable:
        gold[question["file"]].add((question["line_text"], question["page"]))
    assert len(answerable) == 142
    missed = []
    for number, (file, wanted) in enumerate(sorted(gold.items())):
        quotes = [word for line, _ in sorted(wanted) for word in ("--where", line)]
        arguments = [str(data / "docs" / file), *quotes, "--format", "json"]
        if number:
            out = lctx(*arguments)[1]
        else:  # once as a process of its own
            out = run_lctx(tmp_path / "other", "read", *arguments).stdout.decode()
        places = {quote["quote"]: quote["places"] for quote in json.loads(out)["quotes"]}
        for line, page in sorted(wanted):
            here = [one["location"] for one in places[line] if one["location"]["pages"] == [page, page]]
            if not here or any(one["box"] is None for one in here):
                missed.append((file, page, line))
    assert missed == []
