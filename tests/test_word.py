"""Word files: everything that a reader of the file sees is in the text, with its paragraph and headings."""

import hashlib
import io
import os
import re
import zipfile
from collections import Counter
from html import unescape
from pathlib import Path

import pytest
from word_files import OFFICE, packed, paragraph, relationships, root, table, word_file

from lctx.core.document import Document
from lctx.core.errors import (
    DamagedSourceError,
    EmptySourceError,
    EncryptedSourceError,
    LimitError,
    ScannedSourceError,
    SourceError,
)
from lctx.formats import word, word_encrypted, word_package
from lctx.formats.reader import ReadOptions
from lctx.formats.registry import format_of
from lctx.formats.word import read_word

AGREEMENT = Path(__file__).parent.parent / "examples/services-agreement.docx"
STYLES = root(
    "styles",
    '<w:style w:type="paragraph" w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Klausel"><w:name w:val="Klausel"/><w:basedOn w:val="berschrift1"/>'
    '<w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="Circle"><w:name w:val="C"/><w:basedOn w:val="Circle"/></w:style>',
)
NUMBERING = root(
    "numbering",
    '<w:abstractNum w:abstractNumId="0">'
    '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>'
    '<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1.%2"/></w:lvl>'
    '<w:lvl w:ilvl="2"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="(%3)"/></w:lvl>'
    "</w:abstractNum>"
    '<w:abstractNum w:abstractNumId="1">'
    '<w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val="&#xF0B7;"/></w:lvl></w:abstractNum>'
    '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
    '<w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>'
    '<w:num w:numId="3"><w:abstractNumId w:val="0"/>'
    '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="7"/></w:lvlOverride></w:num>',
)


def numbered(text: str, level: int, numbering: int = 1) -> str:
    return paragraph(
        text, properties=f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{numbering}"/></w:numPr>'
    )


def read(body: str, **parts: str) -> Document:
    return read_word("a.docx", word_file(body, **parts))


def lines(document: Document) -> list[str]:
    return document.text.splitlines()


def place_of(document: Document, quote: str) -> tuple[int | None, tuple[str, ...] | None, str | None]:
    start = document.text.index(quote)
    location = document.locate(start, start + len(quote))
    assert location.lines is None
    assert location.pages is None
    return location.paragraph, location.heading, location.part


def test_the_sample_is_read_with_headings_lists_and_tables():
    """This test ensures that the agreement in examples comes out whole, each kind of block under its heading."""
    content = AGREEMENT.read_bytes()
    assert format_of(str(AGREEMENT), content).name == "docx"
    document = read_word(str(AGREEMENT), content)
    assert (document.kind, document.reader, document.warnings) == ("docx", "word/3", ())
    assert "Maintenance, per quarter | 9,500 | in advance\n" in document.text
    assert "• a weekly forecast for each route" in document.text
    assert place_of(document, "ninety days' written notice")[1] == (
        "Services Agreement",
        "2. Term and termination",
    )
    assert {block.kind for block in document.blocks} == {"heading", "paragraph", "list", "table"}


def test_paragraphs_are_counted_whether_they_hold_text_or_not():
    """This test ensures that a paragraph's number is its place in the file, empty ones and cells included."""
    document = read(paragraph("one") + "<w:p/>" + table(("a", "b"), ("c", "d")) + paragraph("last"))
    assert lines(document) == ["one", "a | b", "c | d", "last"]
    assert [span.location.paragraph for span in document.spans] == [1, 3, 5, 7]


def test_headings_are_known_in_every_language():
    """This test ensures that a localized style id, a derived style and a stated outline level make headings."""
    document = read(
        paragraph("Erstens", style="berschrift1")
        + paragraph("Absatz")
        + paragraph("Genauer", style="Klausel")
        + paragraph("Text")
        + paragraph("Zweitens", properties='<w:outlineLvl w:val="0"/>')
        + paragraph("Ende", style="Circle"),
        styles=STYLES,
    )
    assert place_of(document, "Absatz")[1] == ("Erstens",)
    assert place_of(document, "Text")[1] == ("Erstens", "Genauer")
    assert place_of(document, "Ende")[1] == ("Zweitens",)


def test_numbers_that_word_prints_are_in_the_text():
    """This test ensures that clauses carry the numbers by which people cite them, restarts and bullets included."""
    document = read(
        numbered("Term", 0)
        + numbered("Start", 1)
        + numbered("End", 1)
        + numbered("early", 2)
        + numbered("late", 2)
        + numbered("Fees", 0)
        + numbered("Rate", 1)
        + numbered("point", 0, 2)
        + numbered("Again", 0, 3)
        + numbered("unknown list", 0, 99),
        numbering=NUMBERING,
    )
    assert lines(document) == [
        "1. Term", "1.1 Start", "1.2 End", "(a) early", "(b) late", "2. Fees", "2.1 Rate", "• point", "7. Again",
        "unknown list",
    ]  # fmt: skip


def test_numbers_of_contracts_are_those_of_word():
    """This test ensures that articles in Roman numbers, sections in digits, and counts that go on are right."""
    levels = (
        '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="upperRoman"/><w:lvlText w:val="Article %1"/></w:lvl>'
        '<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="decimalZero"/><w:isLgl/>'
        '<w:lvlText w:val="%1.%2"/></w:lvl>'
        '<w:lvl w:ilvl="2"><w:start w:val="1"/><w:lvlRestart w:val="0"/><w:numFmt w:val="decimal"/>'
        '<w:lvlText w:val="§ %3"/></w:lvl>'
    )
    numbering = root(
        "numbering",
        f'<w:abstractNum w:abstractNumId="4"><w:styleLink w:val="Legal"/>{levels}</w:abstractNum>'
        '<w:abstractNum w:abstractNumId="5"><w:numStyleLink w:val="Legal"/></w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="5"/></w:num>',
    )
    body = "".join(numbered("x", level) for level in (0, 1, 1, 2, 0, 1, 2))
    assert [line.removesuffix(" x") for line in lines(read(body, numbering=numbering))] == [
        "Article I", "1.01", "1.02", "§ 1", "Article II", "2.01", "§ 2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "kind", "written"),
    [
        (4, "lowerRoman", "iv"), (1994, "upperRoman", "MCMXCIV"), (27, "lowerLetter", "aa"), (28, "upperLetter", "BB"),
        (3, "decimalZero", "03"), (9, "none", ""), (0, "lowerLetter", "0"), (12, "japaneseCounting", "12"),
    ],
)  # fmt: skip
def test_counts_are_written_as_word_writes_them(count, kind, written):
    """This test ensures that each kind of number is printed as Word does, and unknown ones as decimals."""
    from lctx.formats.word_styles import formatted

    assert formatted(count, kind) == written


def test_tracked_changes_are_read_as_accepted_and_said():
    """This test ensures that deleted text is gone, inserted text is there, and a warning tells of both."""
    document = read(
        "<w:p><w:r><w:t>pay </w:t></w:r><w:del><w:r><w:delText>100</w:delText></w:r></w:del>"
        "<w:ins><w:r><w:t>200</w:t></w:r></w:ins><w:moveFrom><w:r><w:t>gone</w:t></w:r></w:moveFrom></w:p>"
    )
    assert lines(document) == ["pay 200"]
    assert any("tracked changes" in warning for warning in document.warnings)


def test_paragraphs_whose_mark_was_deleted_are_one():
    """This test ensures that accepted, text goes on in the next paragraph, under the first one's number and with its link."""
    gone = "<w:pPr><w:rPr><w:del w:id='1' w:author='A'/></w:rPr></w:pPr>"
    document = read(
        f"<w:p>{gone}<w:r><w:t xml:space='preserve'>The contrac</w:t></w:r></w:p>"
        f"<w:p>{gone}<w:del><w:r><w:delText>old</w:delText></w:r></w:del></w:p>"
        f"<w:p>{gone}<w:r><w:t xml:space='preserve'>tor pays </w:t></w:r></w:p>"
        "<w:p><w:pPr><w:pStyle w:val='Heading1'/></w:pPr><w:r><w:t>now.</w:t></w:r></w:p>"
        f"<w:p>{gone}<w:r><w:t>Before a table</w:t></w:r></w:p>{table(('a', 'b'))}"
        f"<w:p>{gone}<w:r><w:t>The last</w:t></w:r></w:p>"
    )
    assert lines(document) == ["The contractor pays now.", "Before a table", "a | b", "The last"]
    assert [span.location.paragraph for span in document.spans] == [1, 5, 6, 8]
    assert any("tracked changes" in warning for warning in document.warnings)


def test_what_stands_in_frames_is_read_once():
    """This test ensures that text boxes, content controls, links, fields and fallbacks are read, none twice."""
    box = f"<w:txbxContent>{paragraph('in the box')}</w:txbxContent>"
    document = read(
        "<w:p><w:r><w:t>before </w:t></w:r><w:hyperlink><w:r><w:t>a link</w:t></w:r></w:hyperlink>"
        "<w:r><mc:AlternateContent><mc:Choice Requires='wps'><w:drawing><wps:txbx>"
        f"{box}</wps:txbx></w:drawing></mc:Choice><mc:Fallback><w:pict><v:textbox>{box}</v:textbox></w:pict>"
        "</mc:Fallback></mc:AlternateContent></w:r>"
        "<w:r><w:instrText> PAGE </w:instrText></w:r><w:fldSimple w:instr='DATE'><w:r><w:t> today</w:t></w:r></w:fldSimple></w:p>"
        f"<w:sdt><w:sdtPr/><w:sdtContent>{paragraph('controlled')}</w:sdtContent></w:sdt>"
        "<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t>"
        "<w:noBreakHyphen/><w:t>c</w:t><w:sym w:font='Wingdings' w:char='F0FE'/></w:r></w:p>"
    )
    assert lines(document) == ["before a link today", "in the box", "controlled", "a\tb-c☒"]
    assert any("hidden" in warning for warning in document.warnings)


def test_tables_keep_their_rows_and_what_is_nested_in_them():
    """This test ensures that cells stay side by side, nested rows follow, and frames of one cell read as prose."""
    document = read(
        table(("Name", "Fee"), (paragraph("Design") + paragraph("of models") + table(("x", "y")), "48,000"))
        + table((paragraph("Framed one") + paragraph("Framed two"),))
    )
    assert lines(document) == ["Name | Fee", "Design of models | 48,000", "x | y", "Framed one", "Framed two"]
    assert [block.kind for block in document.blocks] == ["table", "paragraph", "paragraph"]


def cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(text) if text else '<w:p/>'}</w:tc>"


def test_merged_cells_stand_in_each_row_and_column_that_they_fill():
    """This test ensures that every row says by itself what holds of it, in its columns."""
    down, on, wide = '<w:vMerge w:val="restart"/>', "<w:vMerge/>", '<w:gridSpan w:val="2"/>'
    rows = (
        cell("Fees of 2025", '<w:gridSpan w:val="3"/>'),
        cell("Region") + cell("Amounts", wide),
        cell("North", down) + cell("January") + cell("10"),
        cell("", on) + cell("February") + cell("20"),
        cell("", on) + cell("") + cell(""),
        cell("South") + cell("", on) + cell("30"),
        '<w:trPr><w:gridBefore w:val="1"/></w:trPr>'
        + cell("late")
        + cell("older", '<w:hMerge w:val="restart"/>'),
        cell("x") + cell("both", '<w:hMerge w:val="restart"/>') + cell("", '<w:hMerge w:val="continue"/>'),
        cell("huge", '<w:gridSpan w:val="999999999"/>') + cell("y"),
    )
    document = read("<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in rows) + "</w:tbl>")
    assert lines(document)[:-1] == [
        "Fees of 2025",
        "Region | Amounts | Amounts",
        "North | January | 10",
        "North | February | 20",
        "South |  | 30",
        " | late | older",
        "x | both | both",
    ]
    assert lines(document)[-1].count("huge") == 63
    assert place_of(document, "North | February")[0] == 7


CHART = (
    '<c:chartSpace xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><c:chart>'
    "<c:title><a:p><a:r><a:t>Sales</a:t></a:r><a:r><a:t> by year</a:t></a:r></a:p></c:title><c:plotArea>{}"
    "</c:plotArea></c:chart></c:chartSpace>"
)


def series(name: str, xs: list[str], ys: list[str], *, x: str = "cat", y: str = "val") -> str:
    def points(values: list[str]) -> str:
        return "".join(
            f'<c:pt idx="{place}"><c:v>{one}</c:v></c:pt>' for place, one in enumerate(values) if one
        )

    told = (
        f"<c:tx><c:strRef><c:strCache><c:pt idx='0'><c:v>{name}</c:v></c:pt></c:strCache></c:strRef></c:tx>"
    )
    return (
        f"<c:ser>{told}<c:{x}><c:strCache>{points(xs)}</c:strCache></c:{x}>"
        f"<c:{y}><c:numCache>{points(ys)}</c:numCache></c:{y}></c:ser>"
    )


def with_chart(chart: str, kind: str = "chart", tag: str = '<c:chart r:id="r0"/>') -> Document:
    drawing = (
        (
            '<w:drawing xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart" '
            f'xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram"><w:p>{tag}</w:p></w:drawing>'
        )
        .replace("<w:p>", "<w:graphic>")
        .replace("</w:p>", "</w:graphic>")
    )
    body = paragraph("Before") + f"<w:p><w:r>{drawing}</w:r></w:p>" + paragraph("After")
    return read(body, **{kind: chart})


def test_a_chart_is_read_as_the_table_that_it_was_drawn_from():
    """This test ensures that series, categories and values are rows where the chart stands, as people write numbers."""
    years = ["2023", "2024", "2025"]
    drawn = "".join(
        (series("North", years, ["4.2999999999999998", "", "5"]), series("South", years, ["1", "2", "3"]))
    )
    document = with_chart(CHART.format(f"<c:bar3DChart>{drawn}</c:bar3DChart>"))
    assert lines(document) == [
        "Before", "Bar chart: Sales by year", "| North | South", "2023 | 4.3 | 1", "2024 |  | 2", "2025 | 5 | 3", "After",
    ]  # fmt: skip
    assert place_of(document, "2024 |")[0] == 2
    assert document.blocks[1].kind == "table"
    assert document.warnings == ()


def test_points_of_a_scatter_chart_keep_their_own_places():
    """This test ensures that series with different x are read point by point."""
    drawn = series("a", ["1", "2"], ["7", "8"], x="xVal", y="yVal") + series(
        "b", ["3"], ["9"], x="xVal", y="yVal"
    )
    document = with_chart(CHART.format(f"<c:scatterChart>{drawn}</c:scatterChart>"))
    assert lines(document)[1:-1] == ["Scatter chart: Sales by year", "a | 1 | 7", "a | 2 | 8", "b | 3 | 9"]


def test_a_chart_without_numbers_is_told():
    """This test ensures that what a chart shows is never lost in silence."""
    assert any("charts" in text for text in with_chart("<c/>").warnings)
    assert any("charts" in text for text in with_chart("<broken").warnings)


def test_the_words_of_a_diagram_are_read():
    """This test ensures that SmartArt gives a line for each of its nodes."""
    spaces = (
        'xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram" '
        'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    )
    nodes = "".join(
        f"<dgm:pt><dgm:t><a:p><a:r><a:t>{one}</a:t></a:r></a:p></dgm:t></dgm:pt>"
        for one in ("Plan", "Build", "")
    )
    data = f"<dgm:dataModel {spaces}><dgm:ptLst>{nodes}</dgm:ptLst></dgm:dataModel>"
    document = with_chart(data, "diagramData", '<dgm:relIds r:dm="r0"/>')
    assert lines(document) == ["Before", "Plan", "Build", "After"]


def test_links_lead_from_their_words():
    """This test ensures that a hyperlink's words carry its address, whatever stands before them."""
    linked = (
        '<w:p><w:r><w:t xml:space="preserve"> See the terms: </w:t></w:r>'
        '<w:hyperlink r:id="x1"><w:r><w:t>terms</w:t></w:r></w:hyperlink>'
        '<w:hyperlink w:anchor="part2"><w:r><w:t xml:space="preserve"> and part 2</w:t></w:r></w:hyperlink></w:p>'
    )
    content = word_file(linked + table((linked, "b")), header=root("hdr", linked))
    external = f'<Relationship Id="x1" Type="{OFFICE}/hyperlink" Target="https://example.org/terms" TargetMode="External"/>'
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    related = "word/_rels/document.xml.rels"
    parts[related] = parts[related].replace(b"</Relationships>", external.encode() + b"</Relationships>")
    document = read_word("a.docx", packed(parts))
    told = [(document.text[one.start : one.end], one.target) for one in document.links]
    address = "https://example.org/terms"
    assert told == [("terms", address), ("and part 2", "#part2")] * 2 + [("and part 2", "#part2")]
    assert document.links[0].start == document.text.index("terms and")


def test_notes_have_the_numbers_that_the_page_shows():
    """This test ensures that footnotes count their references in the text, not the ids of the file."""
    notes = "".join(
        f'<w:footnote w:id="{number}">{paragraph(f"note {number}")}</w:footnote>' for number in (7, 4, 9)
    )
    referring = "".join(
        f'<w:p><w:r><w:t>clause</w:t></w:r><w:r><w:footnoteReference w:id="{number}"/></w:r></w:p>'
        for number in (4, 7)
    )
    document = read(referring, footnotes=root("footnotes", notes))
    assert [place_of(document, f"note {number}")[2] for number in (4, 7, 9)] == [
        "footnote 1", "footnote 2", "footnote 9",
    ]  # fmt: skip


def encrypted(password: str) -> bytes:
    from msoffcrypto.format.ooxml import OOXMLFile

    found = io.BytesIO()
    OOXMLFile(io.BytesIO(AGREEMENT.read_bytes())).encrypt(password, found)
    return found.getvalue()


def test_a_password_opens_a_file():
    """This test ensures that the right password opens an encrypted file, and no other does, nor none."""
    locked = encrypted("corréct")
    opened = read_word("a.docx", locked, ReadOptions(password="corréct"))
    assert opened.text == read_word("a.docx", AGREEMENT.read_bytes()).text
    assert opened.sha256 == hashlib.sha256(locked).hexdigest()
    with pytest.raises(EncryptedSourceError, match="does not open it"):
        read_word("a.docx", locked, ReadOptions(password="wrong"))
    with pytest.raises(EncryptedSourceError, match="protected by a password") as caught:
        read_word("a.docx", locked)
    assert "--password" in (caught.value.hint or "")


@pytest.mark.parametrize("cut", [600, 1500, 3000])
def test_a_damaged_encrypted_file_says_so(cut):
    """This test ensures that a truncated or overwritten container is an error of ours."""
    locked = encrypted("x")
    for broken in (locked[:-cut], locked[:cut] + b"\xff" * 200 + locked[cut + 200 :]):
        try:
            read_word("a.docx", broken, ReadOptions(password="x"))
        except SourceError as error:
            assert error.hint  # noqa: PT017 - some bytes of a container mean nothing


def test_hashing_without_end_is_refused(monkeypatch):
    """This test ensures that a file cannot ask for hours of hashing."""
    monkeypatch.setattr(word_encrypted, "MAX_SPINS", 1000)
    with pytest.raises(LimitError):
        read_word("a.docx", encrypted("x"), ReadOptions(password="x"))


def run(text: str, properties: str) -> str:
    return f"<w:r><w:rPr>{properties}</w:rPr><w:t>{text}</w:t></w:r>"


def test_what_nobody_can_see_is_left_out_and_told():
    """This test ensures that hidden, tiny and white text stays out, and white text on a colour does not."""
    white, tiny = '<w:color w:val="ffffff"/>', '<w:sz w:val="1"/>'
    document = read(
        "<w:p>"
        + run("seen", "")
        + run("white", white)
        + run("tiny", tiny)
        + run("vanished", "<w:vanish/>")
        + "</w:p>"
        "<w:p><w:pPr><w:shd w:fill='1F3864'/></w:pPr>" + run("on blue", white) + "</w:p>"
        "<w:p>"
        + run("marked", white + '<w:shd w:fill="000000"/>')
        + run(" small", '<w:sz w:val="8"/>')
        + "</w:p>"
        + table((f"<w:p>{run('head', white)}</w:p>", "x"))
    )
    assert lines(document) == ["seen", "on blue", "marked small", "head | x"]
    assert document.warnings == ("It holds hidden text, which was left out.",)


def math(name: str, **parts: str) -> str:
    """An equation's element with its parts in order; a part that begins with "<" is XML, else text."""
    written = "".join(
        f"<m:{part}>{content if content.startswith('<') else f'<m:r><m:t>{content}</m:t></m:r>'}</m:{part}>"
        for part, content in parts.items()
    )
    return f"<m:{name}>{written}</m:{name}>"


@pytest.mark.parametrize(
    ("equation", "line"),
    [
        (
            math("sSup", e="x", sup="2") + math("r", t="<!---->=") + math("f", num="a+b", den="c"),
            "x^2=(a+b)/c",
        ),
        (math("sSubSup", e="N", sub="s", sup="10"), "N_s^(10)"),
        (math("nary", naryPr='<m:chr m:val="∑"/>', sub="n=1", sup="∞", e="a"), "∑_(n=1)^∞ a"),
        (math("nary", e="f"), "∫ f"),
        (math("rad", deg="3", e="x"), "3√(x)"),
        (math("d", e="x"), "(x)"),
        (math("d", dPr='<m:begChr m:val="["/><m:endChr m:val=""/>', e="x"), "[x"),
        (math("m", mr=math("e", r="<m:t>1</m:t>") + math("e", r="<m:t>0</m:t>")), "[1 & 0]"),
        (math("func", fName="log", e="x"), "log x"),
        ("<m:r><m:t>a=b</m:t></m:r></m:oMath><m:oMath><m:r><m:t>c=d</m:t></m:r>", "a=b c=d"),
    ],
)
def test_equations_read_on_one_line(equation, line):
    """This test ensures that fractions, scripts, roots, sums and brackets keep their structure as text."""
    assert lines(read(f"<w:p><m:oMath>{equation}</m:oMath></w:p>")) == [line]
    assert lines(read(f"<m:oMathPara><m:oMath>{equation}</m:oMath></m:oMathPara>")) == [line]


def test_whole_blocks_can_be_tracked_alternative_or_foreign():
    """This test ensures that changes to paragraphs and rows are accepted, and what is not read is said."""
    document = read(
        f"<w:ins>{paragraph('new')}</w:ins><w:del>{paragraph('old')}</w:del>"
        f"<mc:AlternateContent><mc:Choice Requires='w14'>{paragraph('one')}</mc:Choice>"
        f"<mc:Fallback>{paragraph('one')}</mc:Fallback></mc:AlternateContent>"
        "<w:tbl><w:tr><w:trPr><w:del/></w:trPr><w:tc><w:p/></w:tc></w:tr>"
        f"<w:sdt><w:sdtContent><w:tr><w:tc>{paragraph('a')}</w:tc><w:tc><w:sdt><w:sdtContent>{paragraph('b')}"
        "</w:sdtContent></w:sdt></w:tc></w:tr></w:sdtContent></w:sdt></w:tbl><w:altChunk/>",
        chartEx="<c/>",
    )
    assert lines(document) == ["new", "one", "a | b"]
    assert [warning.split()[2] for warning in document.warnings] == ["tracked", "another", "charts"]


def test_what_stands_around_the_body_follows_it_by_name():
    """This test ensures that headers, footnotes and comments are read after the body, each named in its place."""
    note = f'<w:footnote w:id="2">{paragraph("see Annex B")}</w:footnote>'
    separator = f'<w:footnote w:id="0" w:type="separator">{paragraph("-")}</w:footnote>'
    comment = f'<w:comment w:id="5" w:author="Jane&#9;Doe">{paragraph("too low?")}</w:comment>'
    document = read(
        paragraph("Body", properties='<w:outlineLvl w:val="0"/>'),
        header=root("hdr", paragraph("Confidential")),
        footnotes=root("footnotes", separator + note),
        comments=root("comments", comment),
    )
    assert lines(document) == ["Body", "Confidential", "see Annex B", "too low?"]
    assert place_of(document, "Confidential") == (1, None, "header")
    assert place_of(document, "see Annex B") == (1, None, "footnote 2")
    assert place_of(document, "too low?") == (1, None, r"comment 5 by Jane\tDoe")


def test_strict_files_are_read():
    """This test ensures that ISO Strict, which uses other namespaces, gives the same text."""
    assert lines(read_word("s.docx", word_file(paragraph("strictly"), strict=True))) == ["strictly"]


def test_damage_outside_the_body_is_a_warning():
    """This test ensures that a broken styles part, or a relationship into nowhere, costs headings, not the text."""
    document = read(paragraph("still here"), styles="<w:styles", numbering="")
    assert lines(document) == ["still here"]
    assert len(document.warnings) == 2
    dangling = packed(
        {
            "_rels/.rels": relationships(
                ("officeDocument", "NULL"), ("officeDocument", "/word/document.xml")
            ),
            "word/document.xml": root("document", f"<w:body>{paragraph('found')}</w:body>"),
            "word/_rels/document.xml.rels": relationships(
                ("header", "../../../etc/passwd"), ("image", "NULL")
            ),
        }
    )
    assert lines(read_word("d.docx", dangling)) == ["found"]


def test_damaged_files_say_so():
    """This test ensures that truncation, broken XML and foreign content are DamagedSourceError, never a crash."""
    whole = word_file(paragraph("text " * 5000))
    for content in (
        whole[: len(whole) // 2],
        b"PK\x03\x04" + os.urandom(400),
        whole.replace(b"PK\x01\x02", b"XX\x01\x02"),
        packed({"word/document.xml": "<w:document"}),
        packed({"word/document.xml": root("document", "")}),
        packed({"other.xml": "<a/>"}),
        b"not a zip at all",
    ):
        with pytest.raises(DamagedSourceError, match=r"^x\.docx: "):
            read_word("x.docx", content)


def test_any_single_broken_byte_is_an_error_of_ours():
    """This test ensures that flipped bytes all through a file are read or refused, with no other exception."""
    whole = bytearray(word_file(paragraph("word " * 200), styles=STYLES, numbering=NUMBERING))
    outcomes = Counter()
    for place in range(0, len(whole), 7):
        broken = bytes(whole[:place]) + bytes([whole[place] ^ 0xFF]) + bytes(whole[place + 1 :])
        try:
            outcomes[type(read_word("x.docx", broken)).__name__] += 1
        except (DamagedSourceError, EncryptedSourceError, EmptySourceError, LimitError) as error:
            outcomes[type(error).__name__] += 1
    assert outcomes["DamagedSourceError"] > 0
    assert outcomes["Document"] > 0


def test_entities_are_refused():
    """This test ensures that a file cannot make lctx read other files or expand a billion laughs."""
    for declaration in ('<!ENTITY e SYSTEM "file:///etc/passwd">', '<!ENTITY e "boom">'):
        part = f"<!DOCTYPE d [{declaration}]>" + root(
            "document", "<w:body><w:p><w:r><w:t>&e;</w:t></w:r></w:p></w:body>"
        )
        with pytest.raises(DamagedSourceError, match="entities"):
            read_word("x.docx", packed({"word/document.xml": part}))


def test_bombs_hit_named_ceilings(monkeypatch):
    """This test ensures that what inflates without end, lists too much or nests too deeply is stopped."""
    monkeypatch.setattr(word_package, "MAX_PART_BYTES", 1_000_000)
    with pytest.raises(LimitError, match="inflates"):
        read_word("x.docx", word_file(paragraph("A" * 2_000_000)))
    monkeypatch.setattr(word, "MAX_PARAGRAPHS", 100)
    with pytest.raises(LimitError, match="paragraphs"):
        read_word("x.docx", word_file("<w:p/>" * 101))
    monkeypatch.setattr(word_package, "MAX_ENTRIES", 3)
    with pytest.raises(LimitError, match="parts"):
        read_word("x.docx", word_file(paragraph("a")))


def test_nesting_without_end_is_refused():
    """This test ensures that thousands of tables inside each other neither crash nor hang."""
    deep = "<w:tbl><w:tr><w:tc>" * 3000 + paragraph("core") + "</w:tc></w:tr></w:tbl>" * 3000
    with pytest.raises((LimitError, DamagedSourceError)):
        read_word("x.docx", word_file(deep))
    bearable = "<w:tbl><w:tr><w:tc>" * 40 + paragraph("core") + "</w:tc></w:tr></w:tbl>" * 40
    assert lines(read(bearable)) == ["core"]


def test_nothing_to_read_is_an_error():
    """This test ensures that no text is never a silent success, and pictures alone are told apart."""
    with pytest.raises(EmptySourceError):
        read("<w:p/>")
    with pytest.raises(ScannedSourceError):
        read("<w:p><w:r><w:drawing/></w:r></w:p>")


def test_a_password_is_told():
    """This test ensures that entries encrypted as ZIP does it are named as such."""
    content = bytearray(word_file(paragraph("secret")))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = 0
        while (start := content.find(signature, start)) >= 0:
            content[start + offset] |= 1
            start += 4
    with pytest.raises(EncryptedSourceError, match="password"):
        read_word("x.docx", bytes(content))


def test_external_targets_are_not_followed():
    """This test ensures that a part which is said to be elsewhere is not looked for."""
    rels = relationships(("header", "http://example.invalid/h.xml")).replace("/>", ' TargetMode="External"/>')
    content = packed(
        {
            "_rels/.rels": relationships(("officeDocument", "word/document.xml"), base=OFFICE),
            "word/document.xml": root("document", f"<w:body>{paragraph('body')}</w:body>"),
            "word/_rels/document.xml.rels": rels,
        }
    )
    assert lines(read_word("x.docx", content)) == ["body"]


@pytest.mark.data
def test_word_recall_against_another_tool():
    """This test ensures that the docling files lose few of the words that docling finds in them."""
    data = Path(os.environ.get("LCTX_BENCH_DATA", "")) / "docling-tests/tests/data/docx"
    if not os.environ.get("LCTX_BENCH_DATA") or not data.is_dir():
        pytest.skip("needs LCTX_BENCH_DATA with docling-tests")
    recalls = []
    for file in sorted(data.glob("sources/*.docx")):
        markdown = unescape((data / "groundtruth" / f"{file.name}.md").read_text())
        wanted = Counter(re.findall(r"\w+", re.sub(r"<!--.*?-->", "", markdown).lower()))
        got = Counter(re.findall(r"\w+", read_word(file.name, file.read_bytes()).text.lower()))
        recalls.append((wanted & got).total() / max(wanted.total(), 1) if wanted else 1.0)
        print(f"{recalls[-1]:.3f} {file.name}")
    print(f"mean word recall {sum(recalls) / len(recalls):.3f} over {len(recalls)} files")
    assert len(recalls) >= 30
    assert sum(recalls) / len(recalls) >= 0.935
