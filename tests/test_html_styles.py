"""Text that a page's own style sheets hide: left out and said, and nothing else."""

import contextlib
import time

import pytest

from lctx.core.document import Document
from lctx.core.errors import EmptySourceError
from lctx.formats import html_styles
from lctx.formats.html import read_html

HIDDEN = ("It holds hidden text, which was left out.",)


def read(markup: str) -> Document:
    return read_html("page.html", markup.encode())


@pytest.mark.parametrize(
    ("style", "body"),
    [
        (".s{display:none}", "<p class='a s'>SECRET"), ("#s{display:none}", "<p id=s>SECRET"), ("aside{DISPLAY:None}", "<aside>SECRET</aside>"),
        ("p.s , .t { visibility : hidden }", "<div class=t>SECRET</div>"), (".s{visibility:collapse}", "<b class=s>SECRET</b>"),
        (".s{display:block}.s{display:none}", "<p class=s>SECRET"), (".s{display:none}*{display:block}", "<p class=s>SECRET"),
        (".s{display:none!important}#s{display:block}", "<p class=s id=s style='display:block'>SECRET"),
        ("main > .s, div .s b{display:none}", "<div><p class=s>a<b>SECRET</b>"), ("[data-x=y]{display:none}", "<p data-x=y>SECRET"),
        ("/* a */ .s{color:red;/*}*/display:none}", "<p class=s>SECRET"), (r".s{dis\70lay:n\6fne}", "<p class=s>SECRET"),
        ("<!-- .s{display:none} -->", "<p class=s>SECRET"), ("@media screen, print{.s{display:none}}", "<p class=s>SECRET"),
        ("@media print{.s{display:block}}.s{display:none}", "<p class=s>SECRET"), (":is(.s,.t):not(.u){display:none}", "<p class=s>SECRET"),
        (".s{display:none}.m:hover .s{display:block}", "<div class=m><p class=s>SECRET</div>"), ("@layer u{.s{display:none}}", "<p class=s>SECRET"),
        (".s{display:none", "<p class=s>SECRET"), ("@charset 'x'; @import 'y'; .s{display:none}", "<p class=s>SECRET"),
    ],
)  # fmt: skip
def test_what_a_style_sheet_hides_is_left_out_and_said(style, body):
    """This test ensures that tags, classes, ids, and what stands around them are told as browsers tell them."""
    for page in (f"<style>{style}</style><p>before</p>{body}", f"<p>before</p>{body}<style>{style}</style>"):
        document = read(page)
        assert "SECRET" not in document.text
        assert document.text.startswith("before\n")
        assert document.warnings == HIDDEN


@pytest.mark.parametrize(
    ("style", "body"),
    [
        (".s{display:none}", "<p class=S>seen"), (".s{display:none}", "<p class=s style='display:block'>seen"),
        (".s{display:none}p.s{display:block}", "<p class=s>seen"), (".s{display:none}.s{display:var(--x)}", "<p class=s>seen"),
        ("@media screen{.s{display:none}}.s{display:block}", "<p class=s>seen"), ("div > .s{display:none}", "<div><p><b class=s>seen"),
        ("@media (max-width:9px){.s{display:none}}", "<p class=s>seen"), ("@media print{.s{display:none}}", "<p class=s>seen"),
        (".s{display:none}@media (min-width:9px){.s{display:block}}", "<p class=s>seen"), ("@supports (a:b){.s{display:none}}", "<p class=s>seen"),
        (".s{display:none}.s:first-child{display:block}", "<p class=s>seen"), (".t + .s, .s:nth-child(2){display:none}", "<p class=s>seen"),
        (".s{display:none}.t ~ .s{display:block}", "<p class=s>seen"), (".s::before{display:none}", "<p class=s>seen"),
        (".s{display:none;&.open{display:block}}", "<p class='s open'>seen"), (".a,:::x{display:none}", "<p class=a>seen"),
        ("@layer u{#s{display:none}}.s{display:block}", "<p class=s id=s>seen"), (".s{opacity:0;display:nonesuch}", "<p class=s>seen"),
        ("html,body,head,title,.up{visibility:hidden}", "<p style='visibility:visible'>seen"), ("[hidden]{display:block}", "<p hidden>seen"),
        (".s{visibility:hidden}.s b{visibility:visible}", "<div class=s><p><b>seen</b></p></div>"), (".s:hover,:not(p){display:none}", "<p class=s>seen"),
        (" ".join(f".a{n}" for n in range(30)) + " .s{display:none}", "<p class=s>seen"),
    ],
)  # fmt: skip
def test_what_leaves_a_doubt_is_taken_for_visible(style, body):
    """This test ensures that a rule which loses, holds elsewhere or cannot be judged here hides nothing."""
    assert "seen" in read(f"<body><style>{style}</style>{body}").text


@pytest.mark.parametrize(
    "sheet",
    [
        "<style media=print>{}</style>", "<style media='(max-width: 9px)'>{}</style>", "<style type=text/less>{}</style>",
        "<noscript><style>{}</style></noscript>", "<template><style>{}</style></template>", "<!-- <style>{}</style> -->",
        "<script>x = '<style>{}';</script>", "<link rel=stylesheet href=a.css><p class=x>{}</p>",
    ],
)  # fmt: skip
def test_a_sheet_that_is_not_applied_hides_nothing(sheet):
    """This test ensures that only what browsers take for a sheet, on a screen with scripts, is taken for one."""
    assert "seen" in read(f"{sheet.format('p{display:none}')}<p>seen").text


def test_own_styles_weigh_as_in_browsers():
    """This test ensures that an element's own style is worth more than `hidden`, whatever is written into it."""
    document = read(
        r"<p hidden style='display:flex'>a<p style='dis\70lay:/**/none'>SECRET<p style='display:none;display:block'>b"
    )
    assert (document.text, document.warnings) == ("a\nb\n", HIDDEN)
    veiled = "<div style='visibility:hidden'>SECRET<p style='visibility:visible'>a <b hidden>SECRET</b>b</p>SECRET</div>c"
    assert read(veiled).text == "a b\nc\n"


def test_xhtml_has_style_sheets_too():
    """This test ensures that the marks of XML around a sheet are no part of it, and that names of tags are known."""
    page = (
        '<html xmlns="http://www.w3.org/1999/xhtml"><head><style type="text/css"><![CDATA[ p.s > b {display:none} ]]></style></head>'
        '<body><p class="s">a<b>SECRET</b></p></body></html>'
    )
    assert read(page).text == "a\n"


def test_a_page_that_hides_everything_says_so():
    """This test ensures that a page of hidden text alone is an empty source with its reason."""
    with pytest.raises(EmptySourceError, match="all its text is hidden"):
        read("<style>p{display:none}</style><p>SECRET")


def test_sheets_beyond_the_ceilings_are_said(monkeypatch):
    """This test ensures that too long, too many or too costly rules hide nothing, and that the warning says so."""
    cut = ("Its style sheets are too long to be applied: text that they hide was read.",)
    page = "<style>.s{display:none}.t .s,b{display:none}</style><div class=t><p class=s>seen</div>"
    monkeypatch.setattr(html_styles, "MAX_STYLE_CHARS", 20)
    assert (read(page).text, read(page).warnings) == ("seen\n", cut)
    monkeypatch.undo()
    monkeypatch.setattr(html_styles, "MAX_RULES", 1)
    assert (read(page).text, read(page).warnings) == ("seen\n", cut)
    monkeypatch.undo()
    monkeypatch.setattr(html_styles, "MAX_TESTS", 3)
    document = read(page + "<p class=s>shown<p class=s>as well")
    assert document.text.endswith("as well\n")
    assert document.warnings[-1:] == cut


@pytest.mark.parametrize(
    ("style", "body"),
    [
        (":not(" * 3000 + "p{display:none}", "<p>x"), ("@media x{" * 3000 + "p{display:none}", "<p>x"), ("{" * 100_000, "<p>x"),
        ("a " * 100_000 + "{display:none}", "<a>" * 500 + "x"), ("*{display:none}" * 9_000, "<b>x</b>" * 9_000),
        ("i i i i i i i i p i{display:none}" * 1_000, "<i>" * 900 + "x" + "</i>" * 900 + "<i>y</i>" * 1000), (r"\\" * 200_000, "<p>x"),
        (".a{display:none}" * 9_000, "<p class='" + "a " * 50_000 + "'>x"), ("@media " + "(" * 5000 + "{p{display:none}}", "<p>x"),
        ("p" + ":is(p)" * 5_000 + "{display:none}", "<p>x</p>" * 10_000), ("p{display:none;" + "color:red;" * 50_000 + "}", "<p>x"),
    ],
)  # fmt: skip
def test_hostile_sheets_cost_no_time(style, body):
    """This test ensures that nesting, rules and selectors without end are read in a few seconds, or not applied."""
    started = time.process_time()
    with contextlib.suppress(EmptySourceError):
        read(f"<style>{style}</style>{body}")
    assert time.process_time() - started < 20  # four times what it takes: coverage looks at every line
