"""`lctx read`: text under its places for people and grep, JSON for machines, an outline, and what was not read."""

import io
import json
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import jsonschema
import pytest
from cli_answers import CONTRACT, LCTX, SAMPLE, environment, run_lctx
from hypothesis import given
from hypothesis import strategies as st
from pdf_files import pdf_of, pdfium_pages

from lctx.cli.clean import visible
from lctx.cli.read_outline import outline_of, summary
from lctx.cli.read_record import num_lines, read_schema, source_part
from lctx.cli.read_text import numbered_text_of, outline_text_of, text_of
from lctx.core.document import Block, Document, Link, Location, Span
from lctx.core.errors import ExitCode

NOTES = "Alpha is one.\nBeta is two.\n"
CODE = '''"""A module."""


class Engine:
    """Runs a model. And more."""

    def start(self, port: int) -> str:
        # Opens the port
        # before the model.
        return f"{port}"
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a note, a module and a PDF of two pages."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "notes.txt").write_text(NOTES, "utf-8")
    (work / "engine.py").write_text(CODE, "utf-8")
    (work / "two.pdf").write_bytes(pdf_of([["First page", "second line"], ["Last page"]]))
    monkeypatch.chdir(work)
    return work


def document(text: str, *spans: Span, blocks: tuple[Block, ...] = (), **more) -> Document:
    spans = spans or ((Span(0, len(text), Location(), first_line=1),) if text else ())
    return Document("a.txt", "text", "text/1", "0" * 64, text, spans, blocks, **more)


def test_text_stands_under_its_places(folder, lctx):
    """This test ensures that every page has a head line, and lines stand as they are."""
    code, out, err = lctx("two.pdf", "notes.txt")
    assert code == ExitCode.OK
    assert out == (
        "==> two.pdf p. 1 <==\nFirst page\nsecond line\n\n==> two.pdf p. 2 <==\nLast page\n"
        f"\n==> notes.txt <==\n{NOTES}"
    )
    assert re.fullmatch(r"read 2 sources, \d+ characters\n", err)


def test_every_line_can_stand_behind_its_place(folder, lctx):
    """This test ensures that grep on `-n` gives what a citation needs: path, page, line."""
    _, out, _ = lctx("two.pdf", "notes.txt", "-n")
    assert out.splitlines() == [
        "two.pdf:1:1:First page",
        "two.pdf:1:2:second line",
        "two.pdf:2:1:Last page",
        "notes.txt:1:Alpha is one.",
        "notes.txt:2:Beta is two.",
    ]


def test_paragraphs_of_word_stand_under_their_headings(lctx):
    """This test ensures that a file without pages is told by headings and paragraph numbers."""
    _, out, _ = lctx(str(CONTRACT))
    assert re.search(
        r"^==> \S+\.docx paragraphs 9-12, in Services Agreement > 2\. Term and termination <==$\n2\. Term",
        out,
        re.MULTILINE,
    )
    _, out, _ = lctx(str(CONTRACT), "-n")
    assert f"{CONTRACT}:10:This Agreement begins on 1 April 2025" in out


def test_a_page_of_a_pdf_can_be_named(folder, lctx):
    """This test ensures that `a.pdf#2` shows that page alone, with the characters of the whole file."""
    _, out, _ = lctx("two.pdf#2")
    assert out == "==> two.pdf p. 2 <==\nLast page\n"
    whole, part = (json.loads(lctx(name, "--format", "json")[1]) for name in ("two.pdf", "two.pdf#2"))
    assert part["sources"][0]["spans"] == whole["sources"][0]["spans"][1:]
    code, _, err = lctx("two.pdf#7")
    assert code == ExitCode.USAGE
    assert "2 pages" in err


def test_standard_input_is_read(folder, lctx, monkeypatch):
    """This test ensures that piped text is a source, named or not, and has a name for people."""
    for arguments in (["-"], []):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"piped"), isatty=lambda: False))
        assert lctx(*arguments)[1] == "==> standard input <==\npiped\n"


def test_json_holds_all_of_the_text_and_its_places(folder, lctx):
    """This test ensures that spans tile the text of every source, and the object keeps its schema."""
    code, out, _ = lctx("two.pdf", "notes.txt", "engine.py", "gone.txt", "--format", "json")
    record = json.loads(out)
    jsonschema.validate(record, read_schema())
    assert code == record["exit_code"] == ExitCode.INCOMPLETE
    pdf, notes, code_source = record["sources"]
    pages = pdfium_pages((folder / "two.pdf").read_bytes())
    assert len(pages) == pdf["pages"] == 2
    assert [span["location"]["pages"] for span in pdf["spans"]] == [[1, 1], [2, 2]]
    for source in record["sources"]:
        text = "".join(span["text"] for span in source["spans"])
        assert len(text) == source["chars"]
        edges = [span["location"]["chars"] for span in source["spans"]]
        assert [text[slice(*edge)] for edge in edges] == [span["text"] for span in source["spans"]]
    assert notes["spans"][0]["text"] == NOTES
    assert (notes["lines"], notes["pages"], pdf["lines"]) == (2, None, None)
    assert code_source["spans"][0]["location"]["symbol"] is None
    assert record["unreadable"] == [
        {"path": "gone.txt", "code": "missing_source", "reason": "no such file", "hint": "check the path"}
    ]
    assert record["error"] is None


def test_ndjson_has_an_event_for_each_source_and_ends_with_a_result(folder, lctx):
    """This test ensures that machines get sources one by one, and what was not read at the end."""
    (folder / "yarn.lock").write_text("a lock\n", "utf-8")
    (folder / "more").mkdir()
    (folder / "more/package-lock.json").write_text("{}\n", "utf-8")
    (folder / "more/b.txt").write_text("b\n", "utf-8")
    _, out, err = lctx("notes.txt", "two.pdf", "more", "--format", "ndjson")
    events = [json.loads(line) for line in out.splitlines()]
    assert [one["event"] for one in events] == ["start", "source", "source", "source", "result"]
    assert [one["source"]["path"] for one in events[1:4]] == ["notes.txt", "two.pdf", "more/b.txt"]
    result = events[-1]["result"]
    jsonschema.validate(result, read_schema())
    assert result["sources"] is None
    assert [one["path"] for one in result["skipped"]] == ["more/package-lock.json"]
    assert "1 left out by rule" in err


@pytest.mark.parametrize("wanted", ["text", "json", "ndjson"])
def test_nothing_readable_is_2_in_every_format(folder, lctx, wanted):
    """This test ensures that each unreadable source is listed where none can be read."""
    code, out, err = lctx("gone.txt", "away.pdf", "--format", wanted)
    assert code == ExitCode.USAGE
    assert "error: gone.txt: no such file" in err
    if wanted == "text":
        assert out == ""
        return
    last = json.loads(out if wanted == "json" else out.splitlines()[-1])
    record = last if wanted == "json" else last["result"]
    assert [one["path"] for one in record["unreadable"]] == ["gone.txt", "away.pdf"]
    assert (record["error"]["code"], record["exit_code"]) == ("missing_source", 2)


def test_a_folder_is_shown_in_one_order_whatever_is_passed_over(folder, lctx):
    """This test ensures that what turns out to be no text when it is opened is listed, and the rest is in order."""
    more = folder / "more"
    more.mkdir()
    names = [f"{number}.txt" for number in range(30)]
    for name in names:
        (more / name).write_text(f"note {name}\n", "utf-8")
    (more / "3.txt").write_bytes(b"\x00\x01\x02" * 99)
    (folder / "bare").mkdir()
    (folder / "bare/picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\x00" * 99)
    code, out, err = lctx("more", "bare", "notes.txt", "--format", "json")
    record = json.loads(out)
    shown = [source["path"] for source in record["sources"]]
    assert shown == [*(f"more/{name}" for name in sorted(names) if name != "3.txt"), "notes.txt"]
    assert {one["path"] for one in record["skipped"]} == {"more/3.txt", "bare/picture.txt"}
    assert [one["path"] for one in record["unreadable"]] == ["bare"]
    assert code == ExitCode.INCOMPLETE
    assert "2 left out by rule" in err


def test_what_is_ignored_can_be_read_all_the_same(folder, lctx):
    """This test ensures that `--no-ignore` has a folder read whatever its .gitignore says."""
    (folder / ".gitignore").write_text("notes.txt\n", "utf-8")
    assert "==> notes.txt <==" not in lctx(".")[1]
    assert "==> notes.txt <==" in lctx(".", "--no-ignore")[1]
    assert "==> notes.txt <==" not in lctx(".", "--no-ignore", "--exclude", "*.txt")[1]


def test_an_outline_tells_what_is_where(folder, lctx):
    """This test ensures that headings come with pages, definitions with lines, nested as they are."""
    _, out, _ = lctx(str(SAMPLE), "engine.py", "--outline")
    lines = out.splitlines()
    assert lines[0] == f"==> {SAMPLE} <=="
    assert "  Article I  [p. 9]" in lines
    assert "    Section 1  [p. 9]" in lines
    start = lines.index("==> engine.py <==")
    assert re.match(r"(class )?Engine\S*  \[line 4\]", lines[start + 1])
    assert re.match(r"  .*start.*\[line 7\]", lines[start + 2])
    record = json.loads(lctx("engine.py", "--outline", "--format", "json")[1])
    jsonschema.validate(record, read_schema())
    assert [(row["level"], row["title"]) for row in record["sources"][0]["outline"]] == [
        (0, "Engine"),
        (1, "start"),
    ]
    assert record["sources"][0]["spans"] is None


def test_an_outline_has_signatures_and_first_sentences():
    """This test ensures that what a definition takes and is for stands beside its name."""
    signature = (CODE.index("def start"), CODE.index(":\n        # Opens"))
    doc = (CODE.index("# Opens"), CODE.index("        return"))
    begin, method = CODE.index("class Engine"), CODE.index("    def start")
    blocks = (
        Block("code", 0, begin),
        Block(
            "code", begin, method, symbol=("Engine",), signature=(begin, begin + 12), doc=(begin + 18, method)
        ),
        Block("code", method, len(CODE), symbol=("Engine", "start"), signature=signature, doc=doc),
    )
    source = document(CODE, blocks=blocks)
    assert "".join(outline_text_of(source, outline_of(source))) == (
        "==> a.txt <==\n"
        "class Engine  [line 4]  Runs a model.\n"
        "  def start(self, port: int) -> str  [line 7]  Opens the port before the model.\n"
    )


def test_a_signature_over_several_lines_is_one():
    """This test ensures that an outline has a line for each definition, however it was folded."""
    text = "def f(\n    a: int,\n    b: dict[\n        str, int\n    ],\n) -> None:\n    pass\n"
    block = Block("code", 0, len(text), symbol=("f",), signature=(0, text.index(":\n    pass")))
    (entry,) = outline_of(document(text, blocks=(block,)))
    assert entry.signature == "def f(a: int, b: dict[str, int]) -> None"


def test_an_outline_names_what_stands_around_and_repeats():
    """This test ensures that a chapter without a line of its own is there, and two of one name are two."""
    text = "One\nbody\nTwo\nbody\nTwo\nbody\n"
    blocks = (
        Block("heading", 0, 4, ("Part", "One")),
        Block("paragraph", 4, 9, ("Part", "One")),
        Block("heading", 9, 13, ("Part", "Two")),
        Block("heading", 18, 22, ("Part", "Two")),
        Block("paragraph", 22, 27, ("Appendix",)),
    )
    found = [(one.level, one.title, one.start) for one in outline_of(document(text, blocks=blocks))]
    assert found == [(0, "Part", 0), (1, "One", 0), (1, "Two", 9), (1, "Two", 18), (0, "Appendix", 22)]
    assert outline_of(document(text)) == []


@pytest.mark.parametrize(
    ("doc", "told"),
    [
        ('"""The answer. More."""', "The answer."),
        ("r'''One\n    line.\n\n    More.'''", "One line."),
        ("/**\n * Opens it.\n * @param x\n */", "Opens it."),
        ("/// Opens it\n/// for e.g. you. And more", "Opens it for e.g."),
        ("# Opens it", "Opens it"),
        ('"""\n"""', None),
        ("", None),
    ],
)
def test_the_first_sentence_is_told(doc, told):
    """This test ensures that comment marks and quotes are no part of what a definition is for."""
    assert summary(doc) == told


def test_links_and_hidden_text_are_in_the_record():
    """This test ensures that machines learn where a link leads and what nobody can see, in the whole's characters."""
    text = "see the terms\nwhite on white\n"
    source = document(text, links=(Link(8, 13, "https://example.org/"),), hidden=((14, 28),), offset=100)
    part = source_part(source)
    assert [(link.text, link.target, link.location.chars) for link in part.links] == [
        ("terms", "https://example.org/", (108, 113))
    ]
    assert part.hidden == [(114, 128)]


def test_what_a_terminal_would_obey_is_shown():
    """This test ensures that escapes, controls and bidirectional marks are seen, and no line is gained or lost."""
    text = "a\x1b[31mred\x9b\U000e0041\r\nb\u202egnp.exe\rc\x0cd\u2028e\x07\ncon\ufffe\nnected co\u00adop \ud800\tend"
    assert visible(text) == (
        "a\\x1b[31mred\\x9b\\U000e0041\nb\\u202egnp.exe\nc\\x0cd\\u2028e\\x07\ncon-\nnected coop \\ud800\tend"
    )


@pytest.mark.parametrize("at", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20 - 1])
def test_a_large_text_is_clean_all_through(at):
    """This test ensures that no part of a large text is passed over."""
    text = "plain\n" * 2**19
    assert visible(text) is text
    assert visible(f"{text[:at]}\x1b{text[at + 1 :]}") == f"{text[:at]}\\x1b{text[at + 1 :]}"


@pytest.mark.parametrize("around", ["", "plain\n\ttext", "naïve – 汉字 \U0001f600"])
def test_no_sign_is_unseen_whatever_stands_around_it(around):
    """This test ensures that text is told to be clean only where it holds none of what a person cannot see."""
    unseen = [*range(9), *range(0x0B, 0x20), *range(0x7F, 0xA0), 0xAD, 0x61C, 0x200E, 0x200F, 0xFFFE]
    unseen += [*range(0x2028, 0x202F), *range(0x2066, 0x206A), *range(0xFFF9, 0xFFFC)]
    unseen += [*range(0xD800, 0xE000), *range(0xE0000, 0xE0080)]
    assert visible(around) == around
    assert not [sign for sign in map(chr, unseen) if sign in visible(f"{around}{sign}{around}")]


@given(st.text("ab\r\n\x0b\x0c\x1c\x85\u2028\ufffe\u00ad\x1b", max_size=40))
def test_lines_are_those_that_editors_count(text):
    """This test ensures that the number before a line is that of the location, whatever the text holds."""
    source = document(text)
    shown = "".join(numbered_text_of(source))
    assert shown.count("\n") == num_lines(text)
    assert [line.split(":")[1] for line in shown.split("\n")[:-1]] == [
        str(number + 1) for number in range(num_lines(text))
    ]
    body = "".join(text_of(source)).removeprefix("==> a.txt <==\n")
    assert body.count("\n") == num_lines(text)


def test_a_line_that_looks_like_a_head_is_told_from_one():
    """This test ensures that a document cannot pass a line of its own off as a page of another."""
    source = document("==> b.pdf p. 9 <==\n\\==> c\nx ==> y\n")
    assert "".join(text_of(source)) == "==> a.txt <==\n\\==> b.pdf p. 9 <==\n\\\\==> c\nx ==> y\n"


def test_the_cells_of_a_notebook_are_told():
    """This test ensures that parts are named before lines, in both forms of the text."""
    source = document(
        "one\ntwo\nthree",
        Span(0, 8, Location(part="cell 1"), first_line=1),
        Span(8, 13, Location(part="cell 2"), first_line=1),
    )
    assert "".join(text_of(source)) == "==> a.txt cell 1 <==\none\ntwo\n\n==> a.txt cell 2 <==\nthree\n"
    assert (
        "".join(numbered_text_of(source)) == "a.txt:cell 1:1:one\na.txt:cell 1:2:two\na.txt:cell 2:1:three\n"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--format", "md"], "--format md: not one of text, json, ndjson"),
        (["--outline", "--where", "x"], "--where and --outline"),
        (["-n", "--where", "x"], "-n and --where"),
        (["-n", "--outline"], "-n and --outline"),
        (["-n", "--format", "json"], "-n and --format json"),
        (["--where", " "], "--where: the quote is empty"),
        (["-0"], "add --files-from"),
        (["-o", "nowhere/out.txt"], "its directory does not exist"),
    ],
)
def test_a_wrong_command_line_is_2(folder, lctx, arguments, told):
    """This test ensures that no option is passed over without a word."""
    code, out, err = lctx("notes.txt", *arguments)
    assert code == ExitCode.USAGE
    assert told in err + out


def test_a_terminal_without_sources_is_told_what_to_name(folder, lctx, monkeypatch):
    """This test ensures that read waits for no input that nobody sends."""
    monkeypatch.setattr(sys, "stdin", None)
    code, _, err = lctx()
    assert code == ExitCode.USAGE
    assert "hint: name a file, a directory or -" in err


def test_a_format_that_only_answers_have_is_passed_over(folder, lctx, lctx_home):
    """This test ensures that `format = "md"` in a user's file, meant for answers, does not stop a read."""
    lctx_home.mkdir(parents=True, exist_ok=True)
    (lctx_home / "config.toml").write_text('format = "md"\n', "utf-8")
    assert lctx("notes.txt")[:2] == (ExitCode.OK, f"==> notes.txt <==\n{NOTES}")


def test_a_file_of_output_is_whole_or_as_it_was(folder, lctx):
    """This test ensures that `-o` replaces a file only with something that was read."""
    target = folder / "out.json"
    assert lctx("notes.txt", "-o", "out.json", "--format", "json")[1] == ""
    assert json.loads(target.read_text("utf-8"))["sources"][0]["path"] == "notes.txt"
    target.write_text("as it was", "utf-8")
    assert lctx("gone.txt", "-o", "out.json")[0] == ExitCode.USAGE
    assert target.read_text("utf-8") == "as it was"


def test_nothing_is_kept_where_nothing_may_be(folder, lctx, lctx_home):
    """This test ensures that `--no-cache` leaves no trace of a source."""
    lctx("two.pdf", "--no-cache", "--quiet")
    assert not [one for one in lctx_home.rglob("*") if one.is_file()]


def test_a_reader_that_went_away_ends_it(folder, tmp_path):
    """This test ensures that `lctx read . | head -1` ends soon and quietly."""
    done = subprocess.run(
        ["sh", "-c", f'"{LCTX}" read "{SAMPLE}" "{SAMPLE}" notes.txt --quiet | head -1'],
        capture_output=True,
        cwd=folder,
        env=environment(tmp_path / "home"),
        check=True,
    )
    assert (done.stdout, done.stderr) == (f"==> {SAMPLE} p. 1 <==\n".encode(), b"")


def test_a_full_disk_is_told(folder, tmp_path):
    """This test ensures that text that could not be written is never reported as done."""
    done = subprocess.run(
        ["sh", "-c", f'"{LCTX}" read notes.txt --format json > /dev/full'],
        capture_output=True,
        cwd=folder,
        env=environment(tmp_path / "home"),
        check=False,
    )
    assert done.returncode == 2
    assert b"standard output: no space left on device" in done.stderr


def test_an_interruption_is_130_and_still_an_object(folder, tmp_path):
    """This test ensures that Ctrl-C while a source is read leaves JSON that can be parsed."""
    command = [LCTX, "read", "-", "--format", "json"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path / "home"),
    ) as process:
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
        process.stdin.close()
    assert process.returncode == 130
    assert json.loads(out)["error"]["code"] == "interrupted"
    assert b"error: interrupted" in err
    assert b"Traceback" not in err


def test_the_command_is_one_of_lctx(folder, tmp_path):
    """This test ensures that the installed command reads, with a name that no terminal can be fooled by."""
    (folder / "odd\x1b[2Jname.txt").write_text("odd\n", "utf-8")
    done = run_lctx(tmp_path / "home", "read", ".", "--include", "odd*", cwd=folder)
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"odd" in done.stdout
