"""Tests of reading PDFs: the text is pdfium's, and page, line, label and heading are right."""

import hashlib

import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pdf_files import CONSTITUTION, heading_texts, outline, pdf_of, pdfium_pages, text_of_page

from lctx.core.document import Document
from lctx.formats.pdf import READER, read_pdf
from lctx.formats.pdf_structure import blocks_of, paragraphs
from lctx.formats.pdf_wire import Entry


@pytest.fixture(scope="module")
def constitution() -> Document:
    return read_pdf("constitution.pdf", CONSTITUTION.read_bytes())


# Text and places


def test_the_text_is_pdfiums_own(constitution):
    """This test ensures that anyone can check a quote against pypdfium2, page by page and to the character."""
    content = CONSTITUTION.read_bytes()
    expected = pdfium_pages(content)
    assert len(expected) == len(constitution.spans) == 43
    for number, page in enumerate(expected, start=1):
        assert text_of_page(constitution, number) == (page if page.endswith("\n") else page + "\n")
    assert constitution.sha256 == hashlib.sha256(content).hexdigest()
    assert (constitution.kind, constitution.reader, constitution.path) == ("pdf", READER, "constitution.pdf")
    assert constitution.warnings == ()


def test_a_sentence_is_found_on_its_page_line_and_heading(constitution):
    """This test ensures that a place is what a person would look up: page, line on the page, headings above."""
    start = constitution.text.index("No Person except a natural born")
    place = constitution.locate(start, constitution.text.index("United States.", start))
    assert (place.pages, place.page_labels, place.lines) == ((19, 19), None, (22, 26))
    assert place.heading == ("The Constitution of the United States of America", "Article II", "Section 1")


def test_every_entry_of_the_outline_is_a_heading_on_its_own_line(constitution):
    """This test ensures that the outline's titles are found where they are printed, and make the path above."""
    with pypdfium2.PdfDocument(CONSTITUTION.read_bytes()) as opened:
        titles = [entry.get_title() for entry in opened.get_toc()]
    headings = [block for block in constitution.blocks if block.kind == "heading"]
    assert len(titles) > 50
    assert sorted(block.heading[-1] for block in headings) == sorted(titles)
    for block in headings:
        shown = " ".join(constitution.text[block.start : block.end].split())
        assert shown.startswith(block.heading[-1])


def test_blocks_keep_to_their_page_and_begin_lines(constitution):
    """This test ensures that chunks cut at blocks end at line ends and never run on into the next page."""
    ends = {span.end for span in constitution.spans}
    for block in constitution.blocks:
        assert block.start == 0 or constitution.text[block.start - 1] == "\n"
        assert not any(block.start < end < block.end for end in ends)
    assert 200 < len(constitution.blocks) < 1000


def test_printed_labels_are_kept_where_they_differ():
    """This test ensures that page ii is cited as such, and page 3 that prints "3" without a label."""
    labels = b"/PageLabels<</Nums[0<</S/r>>2<</S/D/St 3>>3<</P(A-)/S/D>>]>>"
    document = read_pdf("a.pdf", pdf_of([["one"], ["two"], ["three"], ["four"]], labels))
    assert [span.location.pages for span in document.spans] == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert [span.location.page_labels for span in document.spans] == [
        ("i", "i"), ("ii", "ii"), None, ("A-1", "A-1"),
    ]  # fmt: skip


def test_lines_are_counted_anew_on_each_page():
    """This test ensures that a line number is the line of the page."""
    document = read_pdf("a.pdf", pdf_of([["one", "two", "three"], ["four", "five"]]))
    start = document.text.index("five")
    assert document.locate(start, start + 4).lines == (2, 2)
    assert text_of_page(document, 1) == "one\r\ntwo\r\nthree\n"


def test_paragraphs_part_where_the_lines_say_so():
    """This test ensures that a broken-off line, a bullet or a closed short line ends a paragraph, prose does not."""
    text = (
        "A title\r\n"
        "This is the first line of a paragraph that runs on for a\r\n"
        "second line, and for a third one, which is quite a bit\r\n"
        "shorter.\r\n"
        "Another paragraph begins here and is as wide as the page\r\n"
        "allows; it ends with hyphens like sepa\ufffering two words on two\r\n"
        "lines.\r\n"
        "1. A point\r\n"
        "2. Another point\r\n"
        "\r\n"
        "after a blank line\n"
    )
    shown = [text[start:end].split(maxsplit=1)[0] for start, end in paragraphs(text, 0, len(text))]
    assert shown == ["A", "This", "Another", "1.", "2.", "after"]


def test_a_page_without_text_keeps_its_number_and_is_named():
    """This test ensures that a blank page moves no other page's number and that its silence is told."""
    document = read_pdf("a.pdf", pdf_of([["one"], [], ["three"], [], []]))
    assert document.locate(document.text.index("three"), len(document.text)).pages == (3, 5)
    (warning,) = document.warnings
    assert warning == "pages 2, 4-5: blank"
    assert text_of_page(document, 2) == "\n"


def test_a_page_that_cannot_be_read_costs_only_itself():
    """This test ensures that a page object that is missing leaves the other pages readable and is named."""
    document = read_pdf("a.pdf", pdf_of([["one"], ["two"]], kids=b" 999 0 R"))
    assert text_of_page(document, 2) == "two\n"
    (warning,) = document.warnings
    assert warning.startswith("page 3: could not be read")


# Outlines


def test_headings_stand_where_their_titles_do():
    """This test ensures that numbering is seen, repeats go in order, and a run-in title cuts but is no heading."""
    catalog, more = outline(
        (b"2 Scope", b"4 0 R"), (b"Terms", b"4 0 R"), (b"Terms", b"4 0 R"), (b"Not printed", b"5 0 R"), (b"Price", b"5 0 R")
    )  # fmt: skip
    pages = [
        ["What the Scope is", "1. SCOPE", "Text of the scope.", "Terms", "First.", "Terms", "Second."],
        ["Top of the page.", "Price. It is paid within thirty days of the invoice."],
    ]
    document = read_pdf("a.pdf", pdf_of(pages, catalog, more))
    assert heading_texts(document) == ["1. SCOPE", "Terms", "Terms"]

    def heading_of(words: str) -> tuple[str, ...] | None:
        start = document.text.index(words)
        return document.locate(start, start + 1).heading

    assert heading_of("What the Scope") is None
    assert heading_of("Text of the") == ("2 Scope",)
    assert heading_of("Second.") == ("Terms",)
    assert heading_of("Top of the page") == ("Not printed",)
    assert heading_of("It is paid") == ("Price",)


@pytest.mark.parametrize(
    "entry",
    [
        b"<</Title(Loop)/Parent 8 0 R/Dest[4 0 R/Fit]/Next 9 0 R/First 9 0 R>>",
        b"<</Title(Nowhere)/Parent 8 0 R/Dest[999 0 R/Fit]>>",
        b"<</Title(No target)/Parent 8 0 R>>",
        b"<</Title(\x00\x1b[2J\xff\xfe)/Parent 8 0 R/Dest[4 0 R/Fit]>>",
        b"<</Title<FEFFD800>/Parent 8 0 R/Dest[4 0 R/Fit]>>",
        b"<</Title(" + b"long " * 5000 + b")/Parent 8 0 R/Dest[4 0 R/Fit]>>",
        b"(not a dictionary)",
    ],
)
def test_a_broken_outline_never_costs_the_text(entry):
    """This test ensures that loops, missing targets and hostile titles leave the pages and no control character."""
    document = read_pdf("a.pdf", pdf_of([["one"], ["two"]], *outline((b"x", b"4 0 R"))[:1], (
        b"<</Type/Outlines/First 9 0 R/Last 9 0 R>>", entry,
    )))  # fmt: skip
    assert [text_of_page(document, number) for number in (1, 2)] == ["one\n", "two\n"]
    titles = [title for block in document.blocks for title in block.heading]
    assert all(title.isprintable() and len(title) <= 200 for title in titles)


@given(
    pages=st.lists(st.text(st.sampled_from("aB1 .:\r\n\ufffe-é文"), max_size=60), min_size=1, max_size=5),
    entries=st.lists(
        st.builds(
            Entry,
            level=st.integers(0, 4),
            title=st.text(st.sampled_from("aB1 .\n"), max_size=6),
            page=st.none() | st.integers(-2, 7),
        ),
        max_size=8,
    ),
)
def test_blocks_are_sorted_apart_and_hold_all_that_is_printed(pages, entries):
    """This test ensures that any text with any outline gives blocks that a document accepts and that lose nothing."""
    texts = [page + "\n" for page in pages]
    starts = [sum(len(text) for text in texts[:index]) for index in range(len(texts) + 1)]
    text = "".join(texts)
    blocks = blocks_of(text, starts, entries)
    position = 0
    for block in blocks:
        assert position <= block.start < block.end
        assert text[position : block.start].strip() == ""
        assert not any(block.start < edge < block.end for edge in starts)
        position = block.end
    assert text[position:].strip() == ""
