"""Parts of documents: the pages that were asked for, with the places that they have in the whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lctx.core.document import Block, Document, Link, Location, Span
from lctx.core.document_part import part_of
from lctx.core.errors import EmptySourceError, UsageError

PAGES = ["Title\n", "Chapter 1\nfirst words\n", "second words\n", "", "Chapter 2\nlast words\n"]


def paged(texts=PAGES, **changed) -> Document:
    spans, start = [], 0
    for number, text in enumerate(texts, start=1):
        if text:
            spans.append(Span(start, start + len(text), Location(pages=(number, number)), 1))
        start += len(text)
    text = "".join(texts)
    return Document(
        **{
            "path": "a.pdf",
            "kind": "pdf",
            "reader": "pdf/1",
            "sha256": "0",
            "text": text,
            "spans": tuple(spans),
        }
        | changed
    )


def structured() -> Document:
    text = paged().text
    first, second, third = text.index("Chapter 1"), text.index("second"), text.index("Chapter 2")
    return paged(
        blocks=(
            Block("paragraph", 0, first),
            Block("heading", first, first + 10, ("1",)),
            Block(
                "paragraph",
                first + 10,
                second + 7,
                ("1",),
                signature=(first + 10, first + 15),
                doc=(second, second + 6),
            ),
            Block("heading", third, third + 10, ("2",)),
            Block("code", third + 10, len(text), ("2",), ("f",), signature=(third + 10, third + 14)),
        ),
        cells=(3, second + 2, third + 1),
        links=(Link(first, second + 3, "#page=1"), Link(third, third + 4, "https://a.example")),
        hidden=((0, 2), (second + 3, third + 2)),
    )


def test_a_part_is_cut_out_with_all_that_stands_in_it():
    """This test ensures that text, spans, blocks, cells, links and what is hidden move together."""
    whole = structured()
    part = part_of(whole, 3, 3)
    assert part.text == PAGES[2]
    assert part.offset == whole.text.index("second")
    assert part.spans == (Span(0, len(PAGES[2]), Location(pages=(3, 3)), 1),)
    assert part.blocks == (Block("paragraph", 0, 7, ("1",), doc=(0, 6)),)
    assert (part.cells, part.links, part.hidden) == ((2,), (Link(0, 3, "#page=1"),), ((3, len(PAGES[2])),))
    assert (part.path, part.sha256, part.reader) == (whole.path, whole.sha256, whole.reader)


def test_what_comes_first_keeps_the_headings_above_it():
    """This test ensures that a page in the middle of a chapter is still cited under the chapter."""
    whole = structured()
    tail = paged(blocks=whole.blocks[:2])
    assert (
        part_of(tail, 3, 3).locate(0, 6).heading
        == tail.locate(whole.text.index("second"), whole.text.index("second") + 6).heading
        == ("1",)
    )


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [(1, 1, PAGES[0]), (2, None, "".join(PAGES[1:])), (4, 5, PAGES[4]), (1, 5, "".join(PAGES))],
)
def test_the_pages_that_are_asked_for(first, last, text):
    """This test ensures that the ends are inclusive, open ones reach to the end, and blank pages count."""
    part = part_of(paged(), first, last)
    assert (part.text, part.warnings) == (text, ())


def test_a_range_that_ends_beyond_is_told():
    """This test ensures that pages that are not there are not missing in silence."""
    (warning,) = part_of(paged(), 4, 9).warnings
    assert "ends with page 5" in warning


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        (6, 7, "a.pdf#6-7: it has 5 pages"),
        (9, None, "a.pdf#9-: it has 5 pages"),
        (4, 4, "a.pdf#4: these pages hold no text"),
    ],
)
def test_pages_that_are_not_there(first, last, told):
    """This test ensures that the error says how many pages there are."""
    with pytest.raises(EmptySourceError, match=told):
        part_of(paged(), first, last)


def test_a_source_without_pages_has_no_parts():
    """This test ensures that `notes.md#3` is a mistake on the command line."""
    notes = Document("notes.md", "markdown", "markdown/1", "0", "words", (Span(0, 5, Location(), 1),))
    with pytest.raises(UsageError, match=r"notes.md#3: .*markdown has no pages"):
        part_of(notes, 3, 3)


@given(st.lists(st.text("ab\n", max_size=8), min_size=1, max_size=8), st.data())
def test_places_are_those_of_the_whole(texts, data):
    """This test ensures that whatever stands in a part is located as in the whole, to the character."""
    whole = paged(texts)
    first = data.draw(st.integers(1, len(texts)))
    last = data.draw(st.integers(first, len(texts)))
    try:
        part = part_of(whole, first, last)
    except (EmptySourceError, UsageError):
        assert not "".join(texts[first - 1 : last]).strip()
        return
    assert part.text == "".join(texts[first - 1 : last])
    start = data.draw(st.integers(0, len(part.text) - 1))
    end = data.draw(st.integers(start + 1, len(part.text)))
    assert part.locate(start, end) == whole.locate(start + part.offset, end + part.offset)
