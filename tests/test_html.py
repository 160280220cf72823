"""HTML: what can be seen, each paragraph with its number and the headings above it."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lctx.core.document import Document
from lctx.core.errors import EmptySourceError, LimitError, SourceError
from lctx.formats import html, html_flow
from lctx.formats.html import read_html
from lctx.formats.registry import format_of

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title> Annual
 report </title><base href="https://example.org/2024/"><style>p { color: red }</style></head>
<body><nav><ul><li><a href="home.html">Home</a></li><li>News</li></ul></nav>
<h1>Results &amp; <em>outlook</em></h1>
<p>Revenue   grew
 by 4&nbsp;%.<br>Costs fell.<br><br>See <a href="notes.html#n1">the <b>notes</b></a>.</p>
<h2>Segments</h2>
<table><caption>In millions</caption><tr><th>Segment</th><th>2024</th></tr>
<tr><td>Pumps</td><td><a href="pumps">10</a></td></tr><tr><td>Valves<td><p>7</p><p>net</p></table>
<h2>Method</h2><ol start="3" type="i"><li>Weigh<li>Count</ol>
<pre>
x = 1
    y = 2
</pre></body></html>
"""


def read(markup: str | bytes, path: str = "page.html") -> Document:
    return read_html(path, markup if isinstance(markup, bytes) else markup.encode())


def lines(markup: str | bytes) -> list[str]:
    return read(markup).text.splitlines()


def test_a_page_is_read_paragraph_by_paragraph():
    """This test ensures that title, lists, paragraphs, rows and code come out in order, each as a person sees it."""
    document = read(PAGE)
    assert document.text.splitlines() == [
        "Annual report", "• Home", "• News", "Results & outlook", "Revenue grew by 4\xa0%.", "Costs fell.",
        "See the notes.", "Segments", "In millions", "Segment | 2024", "Pumps | 10", "Valves | 7 net", "Method",
        "iii. Weigh", "iv. Count", "x = 1", "    y = 2",
    ]  # fmt: skip
    assert (document.kind, document.reader, document.warnings) == ("html", "html/2", ())


def test_a_quote_is_found_by_headings_and_paragraph():
    """This test ensures that a place is the path of headings and the paragraph's number, and has no lines."""
    document = read(PAGE)
    places = {}
    for quote in ("Annual", "Costs", "See the", "Pumps", "y = 2"):
        start = document.text.index(quote)
        place = document.locate(start, start + len(quote))
        assert place.lines is None
        places[quote] = (place.part, place.heading, place.paragraph)
    results = "Results & outlook"
    assert places == {
        "Annual": ("title", ("Annual report",), None),
        "Costs": (None, (results,), 4),
        "See the": (None, (results,), 5),
        "Pumps": (None, (results, "Segments"), 9),
        "y = 2": (None, (results, "Method"), 14),
    }


def test_blocks_are_told_apart():
    """This test ensures that a list and a table are one block each, two tables two."""
    document = read(
        "<ul><li>a<li>b</ul><p>c<table><tr><td>1<td>2</table><table><tr><td>3<td>4</table><pre>d</pre>"
    )
    found = [(block.kind, document.text[block.start : block.end]) for block in document.blocks]
    assert found == [
        ("list", "• a\n• b\n"), ("paragraph", "c\n"), ("table", "1 | 2\n"), ("table", "3 | 4\n"), ("code", "d\n"),
    ]  # fmt: skip


def test_links_keep_their_words_and_their_target():
    """This test ensures that a link is found in lists, text and cells; scripts and jumps within the page are none."""
    document = read(PAGE.replace("</body>", '<a href="javascript:x()">no</a> <a href="#top">up</a></body>'))
    assert [(document.text[link.start : link.end], link.target) for link in document.links] == [
        ("Home", "https://example.org/2024/home.html"),
        ("the notes", "https://example.org/2024/notes.html#n1"),
        ("10", "https://example.org/2024/pumps"),
    ]


@pytest.mark.parametrize(
    "hidden",
    [
        "<p hidden>SECRET</p>", "<div aria-hidden='true'>SECRET</div>", "<p style='color:red; display : none'>SECRET</p>",
        "<div style='VISIBILITY:hidden'><p>SECRET<b>SECRET</b></div>", "<dialog>SECRET</dialog>",
        "<div hidden><div>SECRET</div><script>x</script>SECRET</div>",
    ],
)  # fmt: skip
def test_what_the_markup_hides_is_left_out_and_said(hidden):
    """This test ensures that hidden text enters no document, that the warning names it, and the rest stays."""
    document = read(f"<p>before</p>{hidden}<p>after</p>")
    assert document.text == "before\nafter\n"
    assert document.warnings == ("It holds hidden text, which was left out.",)


@pytest.mark.parametrize(
    "unseen",
    [
        "<script>SECRET</script>", "<style>SECRET</style>", "<template><p>SECRET</template>", "<noscript>SECRET</noscript>",
        "<!-- SECRET -->", "<input type=hidden value=SECRET>", "<select><option>SECRET</select>", "<iframe>SECRET</iframe>",
        "<svg><title>SECRET</title></svg>", "<p title=SECRET>", "<script>if (a</b) {SECRET}</script>",
    ],
)  # fmt: skip
def test_what_is_no_text_of_the_page_is_left_out(unseen):
    """This test ensures that scripts, styles, fallbacks, comments and attributes are no text."""
    document = read(f"<p>before</p>{unseen}<p>after</p>")
    assert (document.text, document.warnings) == ("before\nafter\n", ())


def test_what_a_template_shows_where_it_stands_is_read():
    """This test ensures that a declared shadow root, as pages are saved with, is text, and that its style stays inside."""
    page = "<p>a</p><x-card><template shadowrootmode=open><style>p{display:none}</style><b>in card</b></template></x-card><p>b"
    assert lines(page) == ["a", "in card", "b"]


def test_forms_show_what_is_filled_in():
    """This test ensures that the values a person sees in a saved form are read."""
    assert lines("<p>Name <input value='Ann Lee'> <select><option>a<option selected>b</select><textarea>x\ny</textarea>") == [
        "Name Ann Lee", "b", "x y",
    ]  # fmt: skip


def test_a_table_that_lays_out_a_page_is_read_cell_by_cell():
    """This test ensures that headings, inner tables and long columns are not pressed into one row."""
    columns = f"<table><tr><td>{'long ' * 500}</td><td>side</td></tr></table>"
    assert lines(columns) == [("long " * 500).strip(), "side"]
    nested = "<table><tr><td>menu<td><h2>Head</h2><p>text</p><table><tr><td>1<td>2</table></table><p>end"
    assert lines(nested) == ["menu", "Head", "text", "1 | 2", "end"]
    assert read(nested).locate(read(nested).text.index("1 |"), 20).heading == ("Head",)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("<tr><th rowspan=2>Year<th colspan=2>Sales<tr><th>EU<th>US<tr><td>2024<td>1<td>2", ["Year | Sales | Sales", "Year | EU | US", "2024 | 1 | 2"]),
        ("<tr><td>a<td rowspan=2>b<tr><td>c", ["a | b", "c | b"]), ("<tr><td>a<td rowspan=0>b<tr><td>c<tr><td>d", ["a | b", "c | b", "d | b"]),
        ("<thead><tr><th rowspan=0>a<th>b<tbody><tr><td>c<td>d", ["a | b", "c | d"]), ("<tr><td colspan=3>caption<tr><td>a<td><td>c", ["caption", "a |  | c"]),
        ("<tr><td rowspan=3 colspan=2>a<td>b<tr><td>c<tr><td>", ["a | a | b", "a | a | c"]), ("<tr><td rowspan=2>a<tr><td rowspan=2>b<td>c<tr><td>d", ["a", "a | b | c", "d | b"]),
        ("<tr><td colspan=2><a href=x>a</a><td>b<tr><td rowspan=9>c<td>d", ["a | a | b", "c | d"]), ("<tr><td rowspan=-3 colspan=x>a<td>b", ["a | b"]),
        (f"<tr><td rowspan=2>{'long ' * 50}<td>b<tr><td>c", [f"{('long ' * 50).strip()} | b", " | c"]),
    ],
)  # fmt: skip
def test_a_cell_stands_in_each_row_and_column_that_it_fills(rows, expected):
    """This test ensures that every row says by itself which values belong to which heads, as in Word files."""
    document = read(f"<table>{rows}</table>")
    assert document.text.splitlines() == expected
    assert [document.text[link.start : link.end] for link in document.links] == ["a"] * ("href" in rows)


def test_repeated_cells_do_not_grow_without_end():
    """This test ensures that cells which claim to go on for ever add a bounded number of characters to a page."""
    markup = f"<table><tr><td colspan=1000 rowspan=65534>{'x' * 200}<td>a" + "<tr><td>b" * 20_000
    text = read(markup).text
    assert text.count("b") == 20_000
    assert len(text) < len(markup) + 1_500_000


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("just text", ["just text"]), ("a<p>b<p>c", ["a", "b", "c"]), ("<b>a<p>b</b>c", ["a", "bc"]),
        ("<table>stray<tr><td>1</table>x", ["stray", "1", "x"]), ("a &lt; b &copy c &unknown; &#x1f600;", ["a < b © c &unknown; 😀"]),
        ("<p>a</body></html>b", ["a", "b"]), ("<p>a<!-- no end", ["a"]),
        ("<p a='1' b=>x</p", ["x"]), ("<td>a<td>b", ["a", "b"]), ("x" * 9000 + "a\x00b", ["x" * 9000 + "a\ufffdb"]), ("<h1>a<h2>b</h1>", ["a", "b"]),
        ("<table><tr><td>a<tr><td>b<td>c</td></tr>", ["a", "b | c"]), ("<li>a<li>b", ["• a", "• b"]), ("<ul>x<li>a</ul>", ["x", "• a"]),
        ("<dl><dt>t<dd>d</dl>", ["t", "d"]), ("<ol><li value=7>a<li>b</ol>", ["7. a", "8. b"]), ("<a href=x>a<a href=y>b", ["ab"]),
    ],
)  # fmt: skip
def test_broken_markup_loses_no_text(markup, expected):
    """This test ensures that what authors leave open, close twice or put in the wrong place is read."""
    assert lines(markup) == expected


def test_xhtml_ends_its_elements_itself():
    """This test ensures that <script/> swallows nothing where the page is XML, and that its named characters are known."""
    page = (
        '<?xml version="1.0" encoding="iso-8859-1"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "x">'
        '<html xmlns="http://www.w3.org/1999/xhtml"><head><title>T</title><script src="x"/></head>'
        "<body><p>caf\xe9&nbsp;&eacute;<br/>b</p><table><tr><td><tr><td>in</td></tr></td><td>x</td></tr></table></body></html>"
    )
    assert lines(page.encode("latin-1")) == ["T", "café\xa0é", "b", "in | x"]


def test_entities_of_a_document_type_do_not_grow():
    """This test ensures that a page which defines entities by each other is read as it stands, at once."""
    bombs = "".join(f'<!ENTITY a{level} "{f"&a{level - 1};" * 10}">' for level in range(1, 12))
    page = f'<?xml version="1.0"?><!DOCTYPE html [<!ENTITY a0 "x">{bombs}]><html xmlns="http://www.w3.org/1999/xhtml"><p>a&a11;b</p></html>'
    started = time.process_time()
    assert len(read(page).text) < len(page)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("content", "text", "is_guess"),
    [
        ('<meta charset="iso-8859-1"><p>caf\xe9 \x93q\x94'.encode("latin-1"), "café “q”", False),
        (b'<meta http-equiv=Content-Type content="text/html; charset=Shift_JIS"><p>' + "日本語①".encode("cp932"), "日本語①", False),
        (b"<meta charset=iso-2022-jp><p>" + "日本語".encode("iso-2022-jp"), "日本語", False),
        (b"<meta charset=iso-8859-1><p>" + "café".encode(), "café", False), ("<p>naïve".encode("utf-16"), "naïve", False),
        (b"<!-- <meta charset=koi8-r> --><meta charset=windows-1251><p>" + "Договор".encode("cp1251"), "Договор", False),
        (b"<meta charset=nonsense><p>" + "Le présent contrat".encode("latin-1"), "Le présent contrat", True),
        (b"<meta charset=rot13><p>plain", "plain", False), (b"<meta charset=utf-16><p>caf\xc3\xa9", "café", False),
    ],
)  # fmt: skip
def test_the_encoding_is_the_one_that_the_page_names(content, text, is_guess):
    """This test ensures that <meta> is believed as browsers believe it, unless the bytes themselves say otherwise."""
    document = read(content)
    assert document.text.rstrip("\n") == text
    assert bool(document.warnings) == is_guess


@pytest.mark.parametrize(
    ("path", "content", "name"),
    [
        ("-", PAGE.encode(), "html"), ("a.html", b"<p>x", "html"), ("a.HTM", b"x", "html"), ("page", b"\n<html>x", "html"),
        ("-", b"<!-- a --><?xml?>", "text"), ("-", b"<!-- a -->\n<!DOCTYPE html>x", "html"), ("a.txt", PAGE.encode(), "text"),
        ("-", b"<?xml version='1.0'?>\n<html xmlns='x'>y", "html"), ("a.xhtml", b"<p>x</p>", "html"), ("-", b"<htmlx>", "text"),
        ("a.html", b"<p>{% if a %}x{% endif %}", "code"), ("a.html", b"<p>{{ user.name }}", "code"),
        ("a.html", b"<?php echo 1 ?>", "code"), ("a.html", b"<script>x={a:{}};</script>100 % {}", "html"),
    ],
)  # fmt: skip
def test_pages_are_recognised_and_templates_are_code(path, content, name):
    """This test ensures that a page is known by its suffix or opening, and that what makes pages is read by line."""
    assert format_of(path, content).name == name


def test_a_page_that_shows_nothing_says_so():
    """This test ensures that a page made by its scripts is read as its source with a warning, and a hidden one is none."""
    markup = "<div id=app></div>\n<script>\nrender('x')\n</script>\n"
    document = read(markup)
    assert document.text == markup
    assert document.warnings == ("It shows no text by itself: its source was read.",)
    start = markup.index("render")
    assert document.locate(start, start + 6).lines == (3, 3)
    with pytest.raises(EmptySourceError, match="all its text is hidden"):
        read("<p hidden>x</p><script>y</script>")
    assert "script" in read("<title>App</title><body><script>x</script>").warnings[0]


def test_ceilings_are_named(monkeypatch):
    """This test ensures that depth, number and size have their own errors, each with a hint."""
    assert read("<div>" * 900 + "x").text == "x\n"
    with pytest.raises(LimitError, match="nested more than 1,000 deep"):
        read("<div>" * 1001 + "x")
    monkeypatch.setattr(html_flow, "MAX_PARAGRAPHS", 10)
    with pytest.raises(LimitError, match="more than 10 paragraphs"):
        read("<p>x" * 11)
    monkeypatch.setattr(html, "MAX_HTML_BYTES", 1024 * 1024)
    with pytest.raises(LimitError, match="2 MiB of HTML, more than the 1 MiB"):
        read(b"x" * (2 * 1024 * 1024))


@pytest.mark.parametrize(
    "markup",
    [
        "<table><tr><td>" * 300 + "x", "<table>" * 900, "<!--" * 100_000, "<" * 200_000, "&" * 200_000, "<p a='" * 50_000,
        "<b>" * 900 + "</x>" * 100_000, "<a href=x>" * 50_000, "<p " + " ".join(f"a{n}=1" for n in range(50_000)) + ">x",
        "<br>" * 200_000 + "x", "<!DOCTYPE[" * 20_000, "<!---->" * 100_000 + "<html>x", "<ul>" * 400 + "<li>x" * 20_000, " " * 1_000_000 + "x",
    ],
)  # fmt: skip
def test_hostile_markup_costs_no_time(markup):
    """This test ensures that marks without end are read in linear time, or refused."""
    started = time.process_time()
    try:
        format_of("-", markup.encode())
        read('<?xml version="1.0"?>' + markup)
        read(markup)
    except SourceError:
        pass
    assert time.process_time() - started < 4


TAGS = "p div b a ul ol li table tr td th h1 h2 pre br span title script svg text textarea select option dl dt body html"
PIECES = st.one_of(
    st.sampled_from([f"<{tag}>" for tag in TAGS.split()] + [f"</{tag}>" for tag in TAGS.split()]),
    st.sampled_from(
        ["<a href='x y'>", "<p hidden>", "<!--", "-->", "&nbsp;", "&#0;", "\n", " ", "<", ">", "<li value=3>"]
    ),
    st.text(max_size=8),
)


@settings(max_examples=250, deadline=None)
@given(st.lists(PIECES, max_size=40), st.booleans())
def test_any_markup_gives_a_document_that_tiles(pieces, is_xml):
    """This test ensures that whatever stands where it may not, places, blocks and links stay within the text."""
    markup = "".join(pieces).encode("utf-8", "replace")
    try:
        document = read((b'<?xml version="1.0"?>' if is_xml else b"") + markup)
    except SourceError:
        return
    if document.spans[0].first_line is not None:
        return  # it shows nothing: its source was read
    numbers = [span.location.paragraph for span in document.spans if span.location.part is None]
    assert numbers == list(range(1, len(numbers) + 1))
    assert all(document.text[span.start : span.end].strip() for span in document.spans)
    assert all(0 <= link.start < link.end <= len(document.text) for link in document.links)
    assert [block.start for block in document.blocks][:1] in ([0], [])
    assert document.blocks[-1].end == len(document.text)
