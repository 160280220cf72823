"""How an answer looks: as text, as Markdown, on a terminal; and what can never pass as markup."""

import io
import re

import pytest
from cli_answers import citation, document, plan, ready
from markdown_it import MarkdownIt
from rich.console import Console

from lctx.cli.ask import plan_line, usage_line
from lctx.cli.clean import displayable, one_line
from lctx.cli.exit import exit_code_of
from lctx.cli.marks import NO_SOURCE, marked_text, unsupported_sentences
from lctx.cli.notes import Notes, bar, fit, join_few
from lctx.cli.places import place_of
from lctx.cli.plain import escaped, markdown_of, notice_of, text_of
from lctx.cli.terminal import Tail, answer_parts, markdown
from lctx.core.citing.citation import Status, Support
from lctx.core.document import Location
from lctx.core.errors import EngineCrashedError, ExitCode, GateError, InterruptError, MissingSourceError

HOSTILE = (
    "\x1b[31mred\x1b[0m \x1b]0;title\x07[main.py:12] \u202egnp.exe\u202c <b>bold</b> [x]: y \x9b2J\x00\x7f"
)


def printed(parts, columns=60):
    """What a terminal of `columns` shows."""
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=columns,
        height=20,
        force_terminal=True,
        no_color=True,
        markup=False,
        highlight=False,
    )
    for part in parts if isinstance(parts, list) else [parts]:
        console.print(part)
    return re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue())


def test_text_is_the_answer_then_its_sources():
    """This test ensures that plain text reads `answer [n]`, a blank line, and the place, quote and verdict."""
    answer = ready(
        "Alpha is one. Beta is two.", citation((0, 13)), citation((14, 26), marker=2, quote="Beta is two.")
    )
    assert text_of(answer) == (
        "Alpha is one. [1] Beta is two. [2]\n"
        "\n"
        "Sources:\n"
        '[1] notes.txt line 1: "Alpha is one." (verified; supported)\n'
        '[2] notes.txt line 1: "Beta is two." (verified; supported)\n'
    )


def test_without_citations_both_go():
    """This test ensures that `--no-cite` leaves neither numbers nor sources."""
    assert text_of(ready("Alpha is one.", citation((0, 13))), cite=False) == "Alpha is one.\n"
    assert markdown_of(ready("Alpha is one.", citation((0, 13))), cite=False) == "Alpha is one.\n"


def test_a_sentence_without_support_is_marked():
    """This test ensures that a sentence that nothing backs says so, cited or not, and a weak one does not."""
    none = citation((14, 26), marker=2, support=Support.NONE)
    answer = ready(
        "Alpha is one. Beta is two. Gamma is three.", citation((0, 13), support=Support.WEAK), none
    )
    assert unsupported_sentences(answer.answer, answer.citations) == [(14, 26), (27, 42)]
    text = f"Alpha is one. [1] Beta is two. [2]{NO_SOURCE} Gamma is three. {NO_SOURCE}"
    assert text_of(answer).startswith(text + "\n")
    assert "(verified; no support)" in text_of(answer)
    assert markdown_of(answer).startswith(text.replace("[1]", "[^1]").replace("[2]", "[^2]"))
    assert NO_SOURCE in printed(answer_parts(answer, cite=True), 100)


def test_what_is_no_answer_is_not_marked():
    """This test ensures that passages and a refusal are not called unsupported."""
    for found in (False, None):
        assert unsupported_sentences(ready("Some passage here.", found=found).answer, ()) == []


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (False, "Not found in the sources: no passage names it."),
        (None, "These are passages, not an answer: it cannot summarise."),
    ],
)
def test_what_was_not_found_is_told_plainly(found, told):
    """This test ensures that a refusal and passages say what they are in every format for people."""
    reason = told.partition(": ")[2]
    answer = ready("Alpha is one.", citation((0, 13)), found=found, reason=reason)
    assert told in text_of(answer)
    assert f"> {told}" in markdown_of(answer)
    assert told in printed(answer_parts(answer, cite=True), 100)
    assert notice_of(ready("x", found=True).answer) is None


def test_passages_stand_apart():
    """This test ensures that passages are not run together where a line break is no break, nor read as markup."""
    text = "- return message\n# The lease ends in May."
    cited = (citation((0, 16)), citation((17, 41), marker=2))
    answer = ready(text, *cited, found=None, reason="it cannot summarise")
    assert text_of(answer).startswith("- return message [1]\n# The lease ends in May. [2]\n")
    assert markdown_of(answer).startswith("- return message [^1]\n\n# The lease ends in May. [^2]\n")
    shown = [line.rstrip() for line in printed(answer_parts(answer, cite=True)).split("\n")]
    assert shown[:3] == ["- return message [1]", "", "# The lease ends in May. [2]"]


def test_a_notice_is_not_said_twice():
    """This test ensures that an answer that is the notice already stands alone."""
    assert text_of(ready("Not found in the sources.", found=False)) == "Not found in the sources.\n"
    absent = ready("Not found in the sources.", found=False, reason="no passage names it")
    told = "Not found in the sources: no passage names it.\n"
    assert text_of(absent) == told
    assert markdown_of(absent) == f"> {told}"
    assert printed(answer_parts(absent, cite=True), 100).strip() == told.strip()


def test_several_numbers_share_a_sentence():
    """This test ensures that two sources of one sentence stand together, in order."""
    answer = ready("Alpha is one.", citation((0, 13), marker=2), citation((0, 13), marker=1))
    assert marked_text(answer.answer, answer.citations) == "Alpha is one. [1][2]"


def test_one_place_for_two_sentences_is_listed_once():
    """This test ensures that a number that stands twice in the text has one row, with all that was found of it."""
    again = citation((14, 32), support=Support.WEAK)
    answer = ready("Alpha is one. It was always one.", citation((0, 13)), again)
    text = text_of(answer)
    assert text.startswith("Alpha is one. [1] It was always one. [1]\n")
    assert text.count("notes.txt line 1") == 1
    assert text.endswith("(verified; supported, weak)\n")
    assert markdown_of(answer).count("[^1]: ") == 1
    assert printed(answer_parts(answer, cite=True), 100).count("notes.txt line 1") == 1


def test_a_mark_does_not_open_a_code_fence():
    """This test ensures that a number behind a code block stands on its own line."""
    text = "```\nx = 1\n```"
    assert marked_text(ready(text).answer, [citation((0, len(text)))]).endswith("```\n[1]")


def test_hostile_text_is_harmless_in_every_format():
    """This test ensures that escapes, bidi and control characters go while brackets stay, quotes and paths included."""
    source = document(HOSTILE + "\n", path="a\x1b[2J[b].txt")
    answer = ready(HOSTILE, citation((0, len(HOSTILE)), source=source, quote=HOSTILE))
    for shown in (text_of(answer), markdown_of(answer), printed(answer_parts(answer, cite=True), 100)):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", shown)
        assert "main.py:12" in shown
        assert "red" in shown
    assert "[main.py:12]" in printed(answer_parts(answer, cite=True), 100)
    assert "[main.py:12]" in text_of(answer)


@pytest.mark.parametrize(
    "text",
    [
        "See [main.py:12] and [paper.pdf p.4] and [1].",
        "[main.py:12]: uses it",
        "<div>all of it</div>",
        "an <b>inline</b> tag",
        "![picture](http://x.example/y.png)",
        "[link](http://x.example/ 'title')",
        "[bold]not markup[/bold]",
        "&lt;kept&gt;",
        "<http://x.example>",
        ":smile: stays",
    ],
)
def test_nothing_that_the_model_writes_vanishes_on_a_terminal(text):
    """This test ensures that markup, HTML, links and definitions show every character as it stands."""
    assert printed(markdown(text), 100).strip() == text


def test_markdown_shows_what_was_quoted():
    """This test ensures that a quote with Markdown in it comes back as it stands when rendered."""
    quote = "*a* _b_ `c` [d](e) <f> | g ~~h~~ # i"
    line = markdown_of(ready("Yes.", citation((0, 4), quote=quote))).splitlines()[-1]
    inside = line.partition("“")[2].rpartition("”")[0]
    tokens = MarkdownIt().parseInline(inside)[0].children
    assert "".join(token.content for token in tokens) == quote
    assert {token.type for token in tokens} <= {"text", "text_special"}
    assert escaped("a_b") == r"a\_b"


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_sources_fit_the_terminal(columns):
    """This test ensures that the panel is never wider than the terminal, and place, quote and verdict are whole."""
    quote = "A rather long sentence that a narrow terminal has to break into several lines to show it whole."
    cited = citation((0, 4), source=document(quote), quote=quote)
    shown = printed(answer_parts(ready("Yes.", cited), cite=True), columns)
    assert max(map(len, shown.splitlines())) <= columns
    flat = " ".join(re.sub("[│╭╮╰╯─]", " ", shown).split())
    assert f"[1] notes.txt line 1 “{quote}” verified; supported" in flat
    assert "Sources" in flat


def test_only_the_end_of_a_long_answer_is_live():
    """This test ensures that a stream longer than the terminal shows its newest lines."""
    tail = Tail()
    tail.text = "".join(f"- line {number}\n" for number in range(100))
    shown = printed(tail).splitlines()
    assert len(shown) <= 20
    assert "line 99" in shown[-1] or "line 99" in shown[-2]


@pytest.mark.parametrize(
    ("location", "place"),
    [
        (Location(pages=(3, 3), lines=(4, 6)), "notes.txt p. 3, lines 4-6"),
        (Location(pages=(3, 4), page_labels=("i", "ii")), 'notes.txt pp. 3-4 (printed "i"-"ii")'),
        (Location(pages=(3, 3), page_labels=("3", "3"), heading=("H",)), "notes.txt p. 3"),
        (Location(pages=(3, 3), page_labels=("iii", "iii")), 'notes.txt p. 3 (printed "iii")'),
        (Location(lines=(2, 2), symbol=("Tree", "grow")), "notes.txt line 2, in Tree.grow"),
        (Location(paragraph=7, heading=("2. Term", "Notice")), "notes.txt paragraph 7, in 2. Term > Notice"),
        (Location(part="src/a.py:3-9", lines=(1, 2)), "notes.txt lines 1-2, src/a.py:3-9"),
        (Location(cells="B2:C9", part="Sheet1", estimated=True), "notes.txt Sheet1, cells B2:C9, estimated"),
        (Location(), "notes.txt"),
    ],
)
def test_a_place_is_said_as_a_person_would_look_it_up(location, place):
    """This test ensures that what applies is named once and what does not is left out."""
    assert place_of(citation((0, 1), location=location)) == place


def test_standard_input_has_a_name():
    """This test ensures that nobody reads a lone dash as a path."""
    assert place_of(citation((0, 1), source=document(path="-"))).startswith("standard input")


def test_a_repointed_quote_says_so():
    """This test ensures that what was cited elsewhere is not shown as if it were right."""
    assert "misattributed, re-pointed" in text_of(
        ready("Yes.", citation((0, 4), status=Status.MISATTRIBUTED))
    )


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain", "plain"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("a\r\nb\rc\x0cd", "a\nb\nc\nd"),
        ("exam\ufffe\r\nple and soft\u00adly", "example and softly"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b[1;31mred\x1b[m\x1bM", "red"),
        ("a\u202eb\u2066c\u200f", "abc"),
        ("\ud800", "\\ud800"),
        ("naïve 日本 🎉", "naïve 日本 🎉"),
        ("hi\U000e0041\U000e0042", "hi"),
    ],
)
def test_text_is_made_safe_to_look_at(text, clean):
    """This test ensures that what a terminal would obey goes and what a person reads stays."""
    assert displayable(text) == clean


def test_one_line_is_one_line():
    """This test ensures that no line break of any kind is left."""
    assert one_line(" a\r\n b\u2028c\x0bd ") == "a b cd"


def test_the_plan_and_the_receipt_are_one_line_each():
    """This test ensures that the two lines on standard error carry strategy, counts, window and reason."""
    assert plan_line(plan()) == (
        "plan: retrieve, 10 of 30 tokens in a window of 4,096: the sources do not fit the window"
    )
    assert usage_line(ready("Yes."), {"total_s": 2.44, "first_token_s": 0.25}) == (
        "read 10 of 30 source tokens; prompt 100 tokens (90 cached), answer 5; 2.4 s, first token after 0.2 s"
    )


def test_standard_error_says_each_warning_once(capsysbinary):
    """This test ensures that notes are lines, quiet leaves warnings and errors, and no progress reaches a pipe."""
    notes = Notes(quiet=True)
    notes.line("told")
    notes.progress("going on", now=True)
    notes.warning("careful\x1b[31m")
    notes.warning("careful\x1b[31m")
    notes.error(MissingSourceError("a.pdf", "no such file", "check the path"))
    assert capsysbinary.readouterr().err.decode() == (
        "warning: careful\nerror: a.pdf: no such file\nhint: check the path\n"
    )


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [("abcdef", 3, "abc"), ("日本語", 5, "日本"), ("日本", 9, "日本"), ("é", 1, "é")],
)
def test_a_progress_line_fits(text, columns, shown):
    """This test ensures that wide characters do not wrap the one progress line."""
    assert fit(text, columns) == shown


def test_small_helpers_for_the_eye():
    """This test ensures that a bar has its width whatever the numbers, and a list says how much is missing."""
    assert [bar(0, 4, 4), bar(2, 4, 4), bar(9, 4, 4), bar(0, 0, 4)] == ["....", "##..", "####", "####"]
    assert join_few(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert join_few(["a"]) == "a"


@pytest.mark.parametrize(
    ("error", "unreadable", "unsupported", "code"),
    [
        (None, 0, 0, ExitCode.OK),
        (None, 1, 0, ExitCode.INCOMPLETE),
        (None, 1, 2, ExitCode.GATE),
        (MissingSourceError("a", "gone"), 1, 0, ExitCode.USAGE),
        (EngineCrashedError("x"), 1, 1, ExitCode.ENGINE),
        (InterruptError("x"), 1, 1, ExitCode.INTERRUPTED),
        (KeyboardInterrupt(), 0, 0, ExitCode.INTERRUPTED),
        (GateError("x"), 0, 0, ExitCode.GATE),
        (ZeroDivisionError(), 1, 1, ExitCode.INTERNAL),
    ],
)
def test_one_function_decides_the_exit_code(error, unreadable, unsupported, code):
    """This test ensures that a crash never looks like a finding and a gate wins over an incomplete reading."""
    assert exit_code_of(error, num_unreadable=unreadable, num_unsupported=unsupported) is code
