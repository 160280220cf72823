"""Tests of a PDF page's layout: columns and tables in the order of reading, cells, and what pages repeat."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pdf_files import (
    CONSTITUTION,
    FONT,
    one_page,
    outline,
    pdf_of,
    pdf_of_objects,
    pdfium_pages,
    stream,
    text_of_page,
)

from lctx.core.document import Document
from lctx.formats import pdf_pdfium
from lctx.formats.pdf import read_pdf
from lctx.formats.pdf_furniture import furniture_of
from lctx.formats.pdf_layout import page_text
from lctx.formats.pdf_library import document_of, pdfium
from lctx.formats.reader import ReadOptions

LEFT = [
    "The committee met on the first day of the month",
    "and heard what the engineers had to say about the",
    "bridge, which had been closed since the storm that",
    "broke two of its cables and bent the railing over",
    "the river. They asked for more time, and for money",
    "to pay the divers who would look at the piers from",
    "below; nobody could tell how long that would take,",
    "since the water was high and the current was swift.",
]
RIGHT = [
    "Those who lived on the far side had to walk around",
    "by the old mill, an hour more in each direction, as",
    "long as the ferry was not running. The ferryman was",
    "ill, and his son too young to be trusted with ropes",
    "in such weather. So the school stayed empty, and in",
    "the market the prices of bread and of milk went up",
    "until the council sent a cart with flour every other",
    "morning, which was paid for by the mayor himself.",
]


def shown(words: str, x: float, y: float, size: float = 9) -> bytes:
    return b"BT /F %g Tf %g %g Td (%s) Tj ET\n" % (size, x, y, words.encode("latin-1"))


def page_of(*drawn: bytes) -> bytes:
    return one_page(stream(b"".join(drawn)), b"")


def rows(columns: list[list[str]], lefts: list[float], top: float = 700, step: float = 12) -> list[bytes]:
    """The cells of `columns`, drawn row by row."""
    return [
        shown(column[row], left, top - step * row)
        for row in range(max(map(len, columns)))
        for column, left in zip(columns, lefts, strict=True)
        if row < len(column)
    ]


def by_columns(columns: list[list[str]], lefts: list[float], top: float = 700) -> list[bytes]:
    """The same, drawn column by column."""
    return [
        shown(cell, left, top - 12 * row)
        for column, left in zip(columns, lefts, strict=True)
        for row, cell in enumerate(column)
    ]


def lines_of(content: bytes) -> list[str]:
    return read_pdf("a.pdf", content).text.split("\r\n")


def is_pdfiums(content: bytes) -> bool:
    expected = [page if page.endswith("\n") else page + "\n" for page in pdfium_pages(content)]
    document = read_pdf("a.pdf", content)
    return [text_of_page(document, number + 1) for number in range(len(expected))] == expected


# Columns


def test_columns_drawn_row_by_row_are_read_one_after_the_other():
    """This test ensures that two columns of prose are read left first, between the lines above and below them."""
    content = page_of(
        shown(
            "A report to all who are concerned with the bridge and with what it will cost the town", 50, 730
        ),
        *rows([LEFT, RIGHT], [50, 310]),
        shown("Signed by all members of the committee, with the exception of those who had left", 50, 560),
    )
    assert "day of the month Those who" in pdfium_pages(content)[0]
    first, *inner, last = lines_of(content)
    assert first.startswith("A report")
    assert last.startswith("Signed by")
    assert inner == LEFT + RIGHT


def test_three_columns_and_unequal_ends():
    """This test ensures that gutters are found inside of sides, and that a column may be shorter than another."""
    narrow = [[line[:32].rstrip() for line in column] for column in (LEFT, RIGHT)]
    third = [line[:30].rstrip() for line in reversed(LEFT)]
    content = page_of(*rows([narrow[0], narrow[1][:7], third], [40, 220, 400]))
    assert [line for line in lines_of(content) if line.strip()] == narrow[0] + narrow[1][:7] + third


def test_a_hyphen_at_the_end_of_a_right_column_joins_its_own_next_line():
    """This test ensures that pdfium's mark for a broken word stands between the halves of that word."""
    right = [*RIGHT[:3], RIGHT[3][:-5] + "ro-", "pes " + RIGHT[4], *RIGHT[5:]]
    text = read_pdf("a.pdf", page_of(*rows([LEFT, right], [50, 310]))).text
    assert "with ro\ufffepes in such" in text
    assert text.startswith("\r\n".join(LEFT[:5]))


def test_each_character_has_its_place_in_pdfiums_text():
    """This test ensures that a moved character can be traced back, and that only white space is added."""
    content = page_of(*rows([LEFT, RIGHT], [50, 310]))
    document = document_of(content)
    page = pdfium().FPDF_LoadPage(document, 0)
    textpage = pdfium().FPDFText_LoadPage(page)
    found = page_text(textpage)
    (own,) = pdfium_pages(content)
    assert found.origins is not None
    assert len(found.origins) == len(found.text)
    for char, origin in zip(found.text, found.origins, strict=True):
        assert char == own[origin] if origin >= 0 else char in "\r\n "
    moved = [origin for origin in found.origins if origin >= 0]
    assert len(set(moved)) == len(moved)
    assert {own[index] for index in range(len(own)) if index not in set(moved)} <= {" ", "\r", "\n"}
    pdfium().FPDFText_ClosePage(textpage)
    pdfium().FPDF_ClosePage(page)
    pdfium().FPDF_CloseDocument(document)


@pytest.mark.parametrize(
    "columns",
    [
        [[f"Name of part {number}:" for number in range(8)], ["Made by the same firm as before"] * 8],
        [["Cash and cash equivalents", "Short term investments", "Trade receivables, net", "Inventories of goods",
          "Prepaid expenses and others", "Property and equipment", "Goodwill from purchases", "Other assets of all kinds"],
         [f"{number},{number}45 {number},207 (1,3{number}2)" for number in range(1, 9)]],
        [["Alice Adams and others", "Bob Brown", "Carol Clark of Leeds", "Dan Davis", "Eve Evans", "Frank Ford", "Grace", "Hal"],
         ["Head of the whole office", "Clerk", "Clerk in the third year", "Cook", "Driver of cars", "Guard", "Nurse", "None"]],
        [LEFT[:4], RIGHT[:4]],
    ],
    ids=["labels", "numbers", "short", "few"],
)  # fmt: skip
def test_what_may_be_a_form_or_a_table_stays_in_rows(columns):
    """This test ensures that rows whose cells belong together are left exactly as pdfium gives them."""
    assert is_pdfiums(page_of(*rows(columns, [50, 310])))


def test_columns_drawn_one_after_the_other_are_left_alone():
    """This test ensures that what is right already stays pdfium's own text, to the character."""
    assert is_pdfiums(page_of(*by_columns([LEFT, RIGHT], [50, 310])))


# Tables

NAMES = ["Region", "North", "South", "East", "West"]
VALUES = [["2021", "1,204", "88", "(310)", "7.5%"], ["2022", "1,377", "91", "-", "8.1%"]]


def test_a_table_drawn_column_by_column_is_read_row_by_row():
    """This test ensures that a row's cells stand on one line, parted, with what is above and below in its place."""
    content = page_of(
        shown("Sales by region in thousands, as the auditors found them.", 50, 730),
        *by_columns([NAMES, *VALUES], [50, 200, 300]),
        shown("Source: the annual report of the company.", 50, 600),
    )
    document = read_pdf("a.pdf", content)
    assert document.text.split("\r\n") == [
        "Sales by region in thousands, as the auditors found them.",
        "Region 2021 2022", "North 1,204 1,377", "South 88 91", "East (310) -", "West 7.5% 8.1%",
        "Source: the annual report of the company.\n",
    ]  # fmt: skip
    assert [document.text[cell:].split()[0] for cell in document.cells] == [
        cell for pair in zip(*VALUES, strict=True) for cell in pair
    ]


def test_names_and_addresses_side_by_side_stay_together():
    """This test ensures that columns without numbers are no table: each is read to its end."""
    authors = [["Alice Adams", "Leeds", "a@example.org"], ["Bob Brown", "York", "b@example.org"]]
    assert is_pdfiums(page_of(*by_columns(authors, [50, 310])))


def test_numbers_that_stand_on_lines_of_their_own_stay():
    """This test ensures that columns whose cells do not stand side by side are not mixed."""
    content = page_of(
        *by_columns([["1", "2", "3", "4", "5"]], [50], 700),
        *by_columns([["10", "20", "30", "40"]], [200], 705),
    )
    assert is_pdfiums(content)


def test_cells_of_a_form_begin_after_its_gaps():
    """This test ensures that a line of labels and values is parted where they stand apart, prose nowhere."""
    content = page_of(
        shown("Weather: clear", 50, 700), shown("Wind: calm", 250, 700), shown("Light: day", 400, 700),
        shown("A line of prose that is as long as lines are, and drawn in one go by the program.", 50, 680),
    )  # fmt: skip
    document = read_pdf("a.pdf", content)
    assert [document.text[cell : cell + 5] for cell in document.cells] == ["Wind:", "Light"]


def test_words_drawn_one_by_one_are_no_cells():
    """This test ensures that a program that places each word does not make a table of its prose."""
    words = [
        shown(word, 50 + 40 * index, 700 - 12 * row)
        for row in range(9)
        for index, word in enumerate(["Dragon"] * 9)
    ]
    tight = [
        shown(word, 50 + 33 * index, 500 - 12 * row)
        for row in range(9)
        for index, word in enumerate(["Dragon"] * 9)
    ]
    document = read_pdf("a.pdf", page_of(*words, *tight))
    assert document.cells
    assert max(document.cells) < len(document.text) // 2 + 10


# What pages repeat


def furniture(document: Document) -> list[str]:
    return [
        document.text[block.start : block.end].strip()
        for block in document.blocks
        if block.kind == "furniture"
    ]


def body(number: int) -> list[str]:
    """Lines that stand on no other page."""
    return [f"{line} (said {number * 7 + index} of them)." for index, line in enumerate(LEFT)]


def book(num_pages: int = 6) -> list[list[str]]:
    return [
        [
            "A History of Bridges" if number % 2 else "The Storm",
            *body(number),
            f"- {number + 10} -",
        ]
        for number in range(num_pages)
    ]


def test_running_headers_and_page_numbers_are_furniture():
    """This test ensures that what left and right pages repeat is told apart from text, which stays whole."""
    document = read_pdf("a.pdf", pdf_of(book()))
    numbers = [f"- {number + 10} -" for number in range(6)]
    headers = ["The Storm", "A History of Bridges"] * 3
    assert furniture(document) == [line for pair in zip(headers, numbers, strict=True) for line in pair]
    assert is_pdfiums(pdf_of(book()))
    assert not any(
        line in document.text[block.start : block.end]
        for block in document.blocks
        if block.kind == "paragraph"
        for line in (*headers, *numbers)
    )


@pytest.mark.parametrize(
    "pages",
    [
        book(2),
        [
            [f"Invoice {number * number * 37 + 5}", *body(number), f"Total {number * 13 % 7}"]
            for number in range(6)
        ],
        [["One line", "and another"]] * 6,
        [[*body(number), f"End of {'abcdef'[number]}"] for number in range(6)],
    ],
    ids=["two pages", "other numbers", "few lines", "other lines"],
)
def test_what_does_not_repeat_is_text(pages):
    """This test ensures that numbers that do not count pages, short pages and short documents have no furniture."""
    assert furniture(read_pdf("a.pdf", pdf_of(pages))) == []


def test_roman_numbers_count_pages_too():
    """This test ensures that the foot of a preface is furniture."""
    romans = ["viii", "ix", "x", "xi", "xii"]
    pages = [body(number) for number in range(5)]
    document = read_pdf("a.pdf", pdf_of([[*page, roman] for page, roman in zip(pages, romans, strict=True)]))
    assert furniture(document) == romans


def test_a_title_is_found_below_the_running_header_that_repeats_it():
    """This test ensures that a chapter's heading is its own line, not the header above it."""
    pages = [
        ["Of Storms", *LEFT, "Of Storms", *RIGHT],
        *(["Of Storms", *body(number)] for number in range(3)),
    ]
    catalog, _ = outline()
    objects = (
        b"<</Type/Outlines/First 13 0 R/Last 13 0 R/Count 1>>",
        b"<</Title(Of Storms)/Parent 12 0 R/Dest[4 0 R/Fit]>>",
    )
    document = read_pdf("a.pdf", pdf_of(pages, catalog.replace(b"8 0", b"12 0"), objects))
    (heading,) = [block for block in document.blocks if block.kind == "heading"]
    assert document.text[: heading.start].count("Of Storms") == 1
    assert furniture(document) == ["Of Storms"] * 4


@given(st.lists(st.text(st.sampled_from("ab1 ivx\r\n\ufffe"), max_size=40), min_size=1, max_size=9))
def test_furniture_is_whole_lines_in_order(pages):
    """This test ensures that any text gives lines that are sorted, apart and within one page."""
    texts = [page + "\n" for page in pages]
    starts = [sum(map(len, texts[:index])) for index in range(len(texts) + 1)]
    text, position = "".join(texts), 0
    for start, end in furniture_of(text, starts):
        assert position <= start < end
        assert text[start:end].strip()
        assert not any(start < edge < end for edge in starts)
        position = end


# Pages without text


def test_scans_pictures_and_blank_pages_are_told_apart():
    """This test ensures that only a page that a picture covers is called scanned, strips and forms included."""
    image = stream(
        b"\x00" * 3, b"/Type/XObject/Subtype/Image/Width 1/Height 1/ColorSpace/DeviceRGB/BitsPerComponent 8"
    )
    form = stream(
        b"600 0 0 800 0 0 cm /I Do",
        b"/Type/XObject/Subtype/Form/BBox[0 0 600 800]/Resources<</XObject<</I 4 0 R>>>>",
    )
    contents = [
        b"BT /F 11 Tf 50 700 Td (some words) Tj ET",
        b"q 600 0 0 800 0 0 cm /I Do Q",
        b"".join(b"q 600 0 0 80 0 %d cm /I Do Q " % (80 * strip) for strip in range(10)),
        b"/X Do",
        b"q 60 0 0 80 100 100 cm /I Do Q",
        b"100 100 m 300 300 l S",
        b"",
    ]
    kids = b" ".join(b"%d 0 R" % (6 + 2 * number) for number in range(len(contents)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, len(contents)),
        FONT,
        image,
        form,
    ]
    for number, content in enumerate(contents):
        objects += [
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</F 3 0 R>>/XObject<</I 4 0 R/X 5 0 R>>>>"
            b"/Contents %d 0 R>>" % (7 + 2 * number),
            stream(content),
        ]
    assert read_pdf("a.pdf", pdf_of_objects(objects)).warnings == (
        "pages 2-4 are scanned: no text; OCR them first",
        "pages 5-6: pictures or drawings, but no text that can be read",
        "page 7: blank",
    )


# Several processes


def many_pages(num_pages: int) -> bytes:
    """A PDF large enough for several processes to share it."""
    labels = b"/PageLabels<</Nums[0<</S/r>>5<</S/D>>]>>"
    pages = [
        [f"Page {number}", *(f"{line} {number}-{part}" for part in range(40) for line in LEFT[:2])]
        for number in range(num_pages)
    ]
    return pdf_of(pages, labels)


@pytest.mark.parametrize("num_pages", [15, 16, 17, 70])
def test_the_document_does_not_depend_on_how_many_read_it(num_pages, monkeypatch):
    """This test ensures that pages, labels, headings and warnings are the same from one process or five."""
    monkeypatch.setattr("lctx.formats.pdf._SHARE_BYTES", 1000)
    content = many_pages(num_pages)
    alone = read_pdf("a.pdf", content)
    for processes in (2, 3, 5):
        assert read_pdf("a.pdf", content, ReadOptions(processes=processes)) == alone
    assert [span.location.pages for span in alone.spans] == [
        (number, number) for number in range(1, num_pages + 1)
    ]


def test_more_text_than_the_ceiling_is_refused_however_many_read(monkeypatch):
    """This test ensures that a ceiling counts the text of all processes together."""
    monkeypatch.setattr("lctx.formats.pdf._SHARE_BYTES", 1000)
    content = many_pages(40)
    monkeypatch.setattr("lctx.formats.pdf.MAX_CHARS", len(read_pdf("a.pdf", content).text) - 1000)
    for processes in (1, 2):
        with pytest.raises(Exception, match="characters of text"):
            read_pdf("a.pdf", content, ReadOptions(processes=processes))


def test_shares_together_are_all_pages():
    """This test ensures that each page is read by exactly one process, and the outline by one."""
    content = many_pages(40)
    alone = list(pdf_pdfium.read_pages(content))
    shares = [list(pdf_pdfium.read_pages(content, None, share, 3)) for share in range(3)]
    assert sorted(record["text"] for share in shares for record in share) == sorted(
        record["text"] for record in alone
    )


# Files of the wild


@pytest.mark.data
def test_forms_keep_pdfiums_text(bench_folder):
    """This test ensures that not one character of the investigators' forms is moved."""
    files = sorted((bench_folder / "ntsb/docs").glob("*.pdf"))
    assert len(files) == 10
    for file in [*files, CONSTITUTION]:
        assert is_pdfiums(file.read_bytes())


@pytest.mark.data
def test_forms_have_cells(bench_folder):
    """This test ensures that labels and values that stand on one line of a form are parted."""
    document = read_pdf("a.pdf", (bench_folder / "ntsb/docs/20080102X00002.pdf").read_bytes())
    assert len(document.cells) > 50


@pytest.fixture(scope="module")
def bench_folder() -> Path:
    found = os.environ.get("LCTX_BENCH_DATA")
    folder = Path(found) if found else Path(__file__).parent.parent.parent / "shared/data"
    if not folder.is_dir():
        pytest.skip("LCTX_BENCH_DATA names no folder: the evaluation data is not here")
    return folder
