"""Tests of where on a page a quote is printed: what stands in the box is the quote, and silence where nobody knows."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pypdfium2
import pytest
from pdf_files import (
    CONSTITUTION,
    FONT,
    drawn_across,
    encrypted,
    pdf_of,
    pdf_of_objects,
    pdfium_pages,
    stream,
)

from lctx.core.document import Document, Location
from lctx.formats.pdf import read_pdf
from lctx.formats.pdf_boxes import Box, boxes_of
from lctx.formats.reader import ReadOptions


def squeezed(text: str) -> str:
    return re.sub(r"[\s\x02\u00ad\ufffe-]+", "", text)


def text_inside(content: bytes, page: int, box: Box) -> str:
    """What bare pypdfium2 finds inside a box, by the whole of the box and nothing around it."""
    with pypdfium2.PdfDocument(content) as opened:
        return opened[page - 1].get_textpage().get_text_bounded(*box)


def place_of(document: Document, words: str) -> tuple[int, int]:
    start = document.text.index(words)
    return start, start + len(words)


def box_of(content: bytes, words: str) -> Box | None:
    document = read_pdf("a.pdf", content)
    (box,) = boxes_of(document, content, [place_of(document, words)])
    return box


def test_what_stands_in_the_box_is_the_quote():
    """This test ensures that each paragraph of a real document lies inside its box, page by page."""
    content = CONSTITUTION.read_bytes()
    document = read_pdf("constitution.pdf", content)
    ranges = [(block.start, block.end) for block in document.blocks[::5]]
    found = boxes_of(document, content, ranges)
    assert len(found) == len(ranges) > 60
    with pypdfium2.PdfDocument(content) as opened:
        for (start, end), box in zip(ranges, found, strict=True):
            page = document.locate(start, end).pages[0]
            inside = opened[page - 1].get_textpage().get_text_bounded(*box)
            assert squeezed(document.text[start:end]) in squeezed(inside)
            width, height = opened[page - 1].get_size()
            assert 0 <= box[0] < box[2] <= width
            assert 0 <= box[1] < box[3] <= height


def test_a_box_fits_its_words_closely():
    """This test ensures that a word's box is neither the line's nor the page's, in points from the lower left corner."""
    content = pdf_of([["first line", "left right"]])
    left, right = box_of(content, "left"), box_of(content, "right")
    assert left[0] == pytest.approx(50.7, abs=0.5)
    assert left[1] == pytest.approx(736, abs=0.5)
    assert left[3] - left[1] < 11
    assert left[2] < right[0] < right[2] < 110
    assert squeezed(text_inside(content, 1, right)) == "right"
    assert all(round(edge, 2) == edge for edge in (*left, *right))


def test_a_quote_over_two_pages_has_the_box_of_its_first():
    """This test ensures that a box lies on the page that the citation names first, and holds that page's part only."""
    content = pdf_of([["one"], ["two", "three"]])
    document = read_pdf("a.pdf", content)
    (box,) = boxes_of(document, content, [(0, document.text.index("three"))])
    assert squeezed(text_inside(content, 1, box)) == "one"


def test_ranges_are_answered_in_their_order():
    """This test ensures that ranges of many pages, given in any order and twice, get their own boxes."""
    content = pdf_of([["one"], ["two"], ["three"]])
    document = read_pdf("a.pdf", content)
    words = ["three", "one", "two", "one"]
    found = boxes_of(document, content, [place_of(document, word) for word in words])
    pages = {"one": 1, "two": 2, "three": 3}
    assert [
        squeezed(text_inside(content, pages[w], box)) for w, box in zip(words, found, strict=True)
    ] == words
    assert found[1] == found[3]


def test_a_part_of_a_document_has_the_same_boxes():
    """This test ensures that a document cut to some of its pages finds its words where the whole one does."""
    content = pdf_of([["one"], ["two"], ["three"]])
    whole = read_pdf("a.pdf", content)
    offset = whole.spans[1].start
    spans = tuple(replace(span, start=span.start - offset, end=span.end - offset) for span in whole.spans[1:])
    part = replace(whole, text=whole.text[offset:], spans=spans, blocks=(), offset=offset)
    expected = boxes_of(whole, content, [place_of(whole, "three")])
    assert boxes_of(part, content, [place_of(part, "three")]) == expected != [None]


TO_UNICODE = (
    b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapType 2 def 1 begincodespacerange <00> <FF>"
    b" endcodespacerange 4 beginbfchar <41> <D83DDE00> <42> <00660069> <43> <0000> <44> <D83D> endbfchar endcmap end end"
)


def with_to_unicode(words: bytes) -> bytes:
    """A page whose font says that A is an emoji, B the letters fi, C nothing and D half a character."""
    return pdf_of_objects([
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[4 0 R]/Count 1>>",
        FONT,
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</G 6 0 R>>>>/Contents 5 0 R>>",
        stream(b"BT /G 12 Tf 50 700 Td (%s) Tj ET" % words),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 7 0 R>>",
        stream(TO_UNICODE),
    ])  # fmt: skip


def test_characters_that_count_for_two_move_no_box():
    """This test ensures that emoji, ligatures and characters without meaning before a word leave its box alone."""
    content = with_to_unicode(b"AABC word AA end")
    document = read_pdf("a.pdf", content)
    assert "\U0001f600" in document.text
    word, end = boxes_of(document, content, [place_of(document, "word"), place_of(document, "end")])
    assert squeezed(text_inside(content, 1, word)) == "word"
    assert squeezed(text_inside(content, 1, end)) == "end"


def test_half_a_character_gives_a_true_box_or_none():
    """This test ensures that text in which something was lost never gets the box of its neighbour."""
    content = with_to_unicode(b"DD word")
    box = box_of(content, "word")
    assert box is None or squeezed(text_inside(content, 1, box)) == "word"


def dark_pixels(content: bytes) -> list[tuple[int, int]]:
    """The pixels of a first page that are inked, x and y from its lower left corner as it is shown."""
    with pypdfium2.PdfDocument(content) as opened:
        bitmap = opened[0].render(scale=1, grayscale=True)
        rows = [
            bytes(bitmap.buffer)[start : start + bitmap.width]
            for start in range(0, bitmap.stride * bitmap.height, bitmap.stride)
        ]
    return [
        (x, len(rows) - y - 1) for y, row in enumerate(rows) for x, value in enumerate(row) if value < 128
    ]


@pytest.mark.parametrize("turned", [0, 90, 180, 270, 450, -90])
@pytest.mark.parametrize(
    "edges",
    [
        b"/MediaBox[0 0 600 800]", b"/MediaBox[-100 -50 600 800]", b"/CropBox[20 30 580 770]/MediaBox[0 0 600 800]",
        b"/CropBox[-500 -500 900 900]/MediaBox[600 800 10 10]",
    ],
)  # fmt: skip
def test_a_box_lies_where_the_page_shows_the_words(turned, edges):
    """This test ensures that all ink of a page is in its words' box, however the page is turned and cut."""
    plain = pdf_of([["some words"]])
    content = plain.replace(b"/MediaBox[0 0 600 800]", b"/Rotate %d%s" % (turned, edges))
    dark = dark_pixels(content)
    x0, y0, x1, y1 = box_of(content, "some words")
    assert len(dark) > 20
    assert all(x0 - 1 <= x <= x1 and y0 - 1 <= y <= y1 for x, y in dark)
    assert {True, False} == {x1 - x0 > 50, y1 - y0 > 50}


def test_a_page_that_was_put_into_order_keeps_its_boxes():
    """This test ensures that where columns are read one after the other, each word is still found where it is printed."""
    content = drawn_across(30)
    document = read_pdf("a.pdf", content)
    page = pdfium_pages(content)[0]
    assert document.text.index("the committee met") < document.text.index("nobody had expected")
    assert document.text.rstrip() != page.rstrip()
    lines = [line for line in document.text.splitlines() if line.strip()]
    found = boxes_of(document, content, [place_of(document, line) for line in lines])
    for line, box in zip(lines, found, strict=True):
        assert squeezed(text_inside(content, 1, box)) == squeezed(line)
        assert (box[0] < 300) == (box[2] < 310)


def test_a_password_opens_the_file_again():
    """This test ensures that a locked document has boxes with its password, and none without."""
    content = encrypted("AES-256", "user")
    document = read_pdf("a.pdf", content, ReadOptions(password="user"))
    place = place_of(document, "secret")
    assert boxes_of(document, content, [place]) == [None]
    (box,) = boxes_of(document, content, [place], ReadOptions(password="user"))
    assert box is not None


@pytest.mark.parametrize(
    "damage",
    [lambda pdf: b"junk\n" * 500 + pdf, lambda pdf: pdf[: pdf.rindex(b"endstream")]],
    ids=["junk before the header", "cut off"],
)
def test_a_damaged_file_is_opened_as_the_reader_opened_it(damage):
    """This test ensures that what could be read in spite of damage can be found on its page as well."""
    assert box_of(damage(pdf_of([["some words"]])), "words") == box_of(pdf_of([["some words"]]), "words")


def test_nothing_is_said_where_nobody_can_tell():
    """This test ensures that blanks, changed files, lost files, other parts and other formats have no box."""
    content = pdf_of([["one two", "three"]])
    document = read_pdf("a.pdf", content)
    place = place_of(document, "two")
    blank = document.text.index("\r\n")
    assert boxes_of(document, content, [(3, 4), (blank, blank + 2), (5, 5)]) == [None, None, None]
    assert boxes_of(document, content, []) == []
    assert boxes_of(document, pdf_of([["something else"]]), [place]) == [None]
    assert boxes_of(document, b"", [place]) == [None]
    assert boxes_of(document, b"%PDF-1.4 and no more", [place]) == [None]
    assert boxes_of(replace(document, kind="docx"), content, [place]) == [None]
    span = replace(document.spans[0], location=Location(part="page 1, note"))
    assert boxes_of(replace(document, spans=(span,)), content, [place]) == [None]


@pytest.mark.data
def test_the_gold_lines_of_real_reports_lie_in_their_boxes():
    """This test ensures that every line that answers a question about a real report is inside its box."""
    data = Path(os.environ.get("LCTX_BENCH_DATA", "")) / "ntsb"
    if not os.environ.get("LCTX_BENCH_DATA") or not data.is_dir():
        pytest.skip("LCTX_BENCH_DATA names no folder with ntsb: the evaluation data is not here")
    questions = [json.loads(line) for line in (data / "questions.jsonl").read_text("utf-8").splitlines()]
    num_found = 0
    for name in sorted({one["file"] for one in questions if one["answerable"]}):
        content = (data / "docs" / name).read_bytes()
        document = read_pdf(name, content)
        asked = [one for one in questions if one["answerable"] and one["file"] == name]
        places = []
        for one in asked:
            span = document.spans[one["page"] - 1]
            line = re.search(
                r"\s+".join(map(re.escape, one["line_text"].split())), document.text[span.start : span.end]
            )
            places.append((span.start + line.start(), span.start + line.end()))
        found = boxes_of(document, content, places)
        with pypdfium2.PdfDocument(content) as opened:
            for one, box in zip(asked, found, strict=True):
                inside = opened[one["page"] - 1].get_textpage().get_text_bounded(*box)
                assert squeezed(one["line_text"]) in squeezed(inside)
                num_found += 1
    assert num_found == 142
