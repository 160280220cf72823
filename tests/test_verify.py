"""Tests of checking quotes: verified only where the words stand, and of the gate that asks for it."""

from dataclasses import replace
from itertools import pairwise

import pytest
from answering_parts import document, paged
from cli_answers import citation
from hypothesis import given, settings
from hypothesis import strategies as st

from lctx.core.citing.citation import Status, Support
from lctx.core.citing.gate import unproven, unsupported
from lctx.core.citing.squeeze import squeeze
from lctx.core.citing.verify import MIN_QUOTE_CHARS, verify_quote
from lctx.core.document import Block

SOURCE = document(
    "The harbour of Vell was built in 1807 by Anna Brandt.\n"
    "She also drew the plans of its light-\nhouse, which “burned” in 1911.\n",
    "vell.txt",
)
OTHER = document("The mayor of Orsk resigned in March over the price of bread.\n", "orsk.txt")
WHOLE = (SOURCE, 0, len(SOURCE.text))
TEXTS = st.lists(
    st.sampled_from(["abc", "de", "f", "é1", "g’h", "i\ufffek", " ", "\n", "-"]), min_size=30, max_size=120
).map("".join)


def verdict_on(quote, *others):
    found = verify_quote(quote, *WHOLE, others)
    assert 0 <= found.start <= found.end <= len(found.document.text)
    return found


@given(TEXTS, st.data())
@settings(max_examples=80, deadline=None)
def test_a_copied_stretch_is_verified_where_it_stands(text, data):
    """This test ensures that any stretch, reset in other lines, is found, and that its place says the same."""
    start = data.draw(st.integers(0, len(text) // 3))
    end = data.draw(st.integers(2 * len(text) // 3, len(text)))
    quote = text[start:end].strip("- \n").replace(" ", "\r\n  ").replace("\ufffe", "")
    if len(squeeze(quote).text) < MIN_QUOTE_CHARS:
        return
    found = verify_quote(quote, document(text), 0, len(text))
    assert found.status is Status.VERIFIED
    assert squeeze(text[found.start : found.end]).text == squeeze(quote).text


@given(st.text("abcdef gh", min_size=15, max_size=60), st.text("abcdef gh", min_size=0, max_size=200))
@settings(max_examples=150, deadline=None)
def test_verified_means_that_the_words_are_there(quote, text):
    """This test ensures that no quote is ever verified, nor re-pointed, to a place that says something else."""
    found = verify_quote(quote, document(text), 0, len(text), [WHOLE])
    words = squeeze(found.document.text[found.start : found.end]).text
    exact = found.status in {Status.VERIFIED, Status.MISATTRIBUTED}
    assert exact == (words == squeeze(quote).text and len(words) >= MIN_QUOTE_CHARS)


def test_a_quote_across_a_parted_word_is_verified():
    """This test ensures that hyphenation, line ends and quote marks do not break a quote, and the place is exact."""
    found = verdict_on('the plans of its lighthouse, which "burned"')
    assert found.status is Status.VERIFIED
    assert SOURCE.text[found.start : found.end] == "the plans of its light-\nhouse, which “burned”"


def test_only_the_cited_stretch_is_searched():
    """This test ensures that a quote from beyond the cited passage is not verified there."""
    first_line = SOURCE.text.index("\n")
    quote = "She also drew the plans"
    assert verify_quote(quote, SOURCE, 0, first_line).status is Status.UNVERIFIED
    assert verify_quote(quote, SOURCE, first_line, len(SOURCE.text)).status is Status.VERIFIED


def test_a_quote_from_another_source_is_re_pointed():
    """This test ensures that a wrong address is corrected and told, the first further stretch that holds it wins."""
    others = [(OTHER, 0, 5), (OTHER, 0, len(OTHER.text)), (OTHER, 4, len(OTHER.text))]
    found = verdict_on("the price of bread", *others)
    assert (found.status, found.document) == (Status.MISATTRIBUTED, OTHER)
    assert OTHER.text[found.start : found.end] == "the price of bread"


def test_a_verbatim_quote_elsewhere_beats_a_similar_one_here():
    """This test ensures that the exact place is preferred to a place that nearly says it."""
    near = document("The harbour of Vell was built in 1808 by Anna Brandt.")
    found = verdict_on("harbour of Vell was built in 1808 by Anna", (near, 0, len(near.text)))
    assert (found.status, found.document) == (Status.MISATTRIBUTED, near)


def test_a_slip_of_the_pen_is_approximate():
    """This test ensures that a quote with a few wrong letters is told from an exact one, place included."""
    found = verdict_on("The harbour of Vell was buildt in 1807 by Ana Brandt")
    assert found.status is Status.APPROXIMATE
    assert SOURCE.text[found.start : found.end].startswith("The harbour of Vell")


@pytest.mark.parametrize(
    "quote",
    [
        "Dragons built the harbour of Orsk in 1612 by night",
        "was built in 1911 by Anna Brandt who",
        f"{SOURCE.text} and a great deal more that nobody wrote {'anywhere ' * 40}",
        "1807",
        "by Anna",
        " \n\t ",
        "",
    ],
)
def test_what_stands_nowhere_is_unverified(quote):
    """This test ensures that inventions, and quotes too short to be evidence, are not called verified."""
    found = verdict_on(quote, (OTHER, 0, len(OTHER.text)))
    assert (found.status, found.start, found.end) == (Status.UNVERIFIED, 0, len(SOURCE.text))


def test_an_empty_source_verifies_nothing():
    """This test ensures that a source without text is no trouble."""
    assert verify_quote("a quote that is long", document(""), 0, 0).status is Status.UNVERIFIED


# The gate


def test_the_gate_names_each_sentence_without_proof():
    """This test ensures that only a verified and supported quote proves a sentence, and each is judged alone."""
    text = "Alpha is one. Beta is two. Gamma is three. Delta is four."
    spans = [(0, 13), (14, 26), (27, 42), (43, 57)]
    proof = citation(spans[0])
    weak = citation(spans[1], support=Support.WEAK)
    elsewhere = citation(spans[2], status=Status.APPROXIMATE)
    assert unproven(text, [proof, weak, elsewhere]) == spans[1:]
    assert unproven(text, [citation((0, len(text)))]) == []
    assert unproven(text, []) == spans
    assert unproven("", []) == []


def test_what_is_marked_is_never_proven():
    """This test ensures that the marks and the gate agree: a weak quote is no proof, and no missing source either."""
    text = "Alpha is one. Beta is two. Gamma is three."
    given = [
        citation((0, 13)),
        citation((14, 26), support=Support.WEAK),
        citation((27, 42), support=Support.NONE),
    ]
    assert unsupported(text, given) == [(27, 42)]
    assert set(unsupported(text, given)) < set(unproven(text, given)) == {(14, 26), (27, 42)}


def test_a_weak_quote_does_not_undo_a_proof():
    """This test ensures that a second, weaker citation of a proven sentence changes nothing."""
    assert unproven("Alpha is one.", [citation((0, 13)), citation((0, 13), support=Support.NONE)]) == []


FOOTER, HEADER = "Annual report 2025   page 7\n", "ACME Ltd   confidential\n"
PAGES = (
    "The board of directors resolved that the dividend of\n" + FOOTER,
    HEADER + "four crowns is paid in May.\n",
)
"""Two pages that a sentence runs over."""


def two_pages(kind):
    """The pages as a document whose footer and header are blocks of `kind`."""
    plain = paged(*PAGES)
    start = len(PAGES[0]) - len(FOOTER)
    edges = (0, start, len(PAGES[0]), len(PAGES[0]) + len(HEADER), len(plain.text))
    kinds = ("paragraph", kind, kind, "paragraph")
    blocks = tuple(Block(one, first, last) for one, (first, last) in zip(kinds, pairwise(edges), strict=True))
    return replace(plain, blocks=blocks)


@pytest.mark.parametrize("page", [0, 1])
def test_a_quote_over_a_page_end_is_verified(page):
    """This test ensures that running headers and footers do not break a quote, from whichever page it is cited."""
    source = two_pages("furniture")
    span = source.spans[page]
    found = verify_quote("the dividend of four crowns is paid", source, span.start, span.end)
    assert found.status is Status.VERIFIED
    assert source.locate(found.start, found.end).pages == (1, 2)
    assert source.text[found.start : found.end].startswith("the dividend of\nAnnual")
    assert source.text[found.start : found.end].endswith("crowns is paid")


def test_what_stands_between_two_halves_breaks_a_quote():
    """This test ensures that only furniture is passed over: any other words between make it another quote."""
    source = two_pages("paragraph")
    span = source.spans[0]
    assert verify_quote("the dividend of four crowns is paid", source, span.start, span.end).status is not (
        Status.VERIFIED
    )


def test_a_quote_may_run_over_the_edge_of_a_chunk():
    """This test ensures that a quote is verified where it begins in the chunk that was cited and ends in the next."""
    text = "The harbour was built in 1807. The lighthouse followed in 1850. Both stand."
    edge = text.index("lighthouse")
    found = verify_quote("The lighthouse followed in 1850", document(text), 0, edge)
    assert found.status is Status.VERIFIED
    assert verify_quote("followed in 1850. Both stand", document(text), 0, 10).status is Status.UNVERIFIED
