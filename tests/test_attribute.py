"""Tests of finding the evidence for a claim: the best place, and an honest word on whether it backs the claim."""

import time

import pytest
from answering_parts import document
from hypothesis import given, settings
from hypothesis import strategies as st

from lctx.core.chunking.chunk import Chunk
from lctx.core.citing.attribute import find_evidence
from lctx.core.citing.citation import Support
from lctx.core.retrieval.focus import Sentence, sentences_of

TEXT = (
    "The harbour of Vell was built in 1807 by Anna Brandt. It has two piers of granite. "
    "The lighthouse burned in 1911. A new lamp was bought from a dealer in Hamburg for 4,200 marks. "
    "The mayor resigned in March. Registration number NYC08CA055 was given to the pilot boat."
)


def pool_of(text: str, scores: tuple[float, ...] = ()) -> list[Sentence]:
    source = document(text)
    found = sentences_of(Chunk(source, 0, len(text)))
    padded = [*scores, *[0.0] * len(found)]
    return [Sentence(one.chunk, one.start, one.end, score) for one, score in zip(found, padded, strict=False)]


POOL = pool_of(TEXT)
LAMP = "A new lamp was bought from a dealer in Hamburg for 4,200 marks."


def backing(claim, pool=POOL, asked=None):
    evidence = find_evidence(claim, pool, asked or ())
    return evidence and (evidence.sentence.text, evidence.support)


@pytest.mark.parametrize(
    ("claim", "quote"),
    [
        ("The harbour was built in 1807.", "The harbour of Vell was built in 1807 by Anna Brandt."),
        ("Anna Brandt", "The harbour of Vell was built in 1807 by Anna Brandt."),
        ("1911", "The lighthouse burned in 1911."),
        ("ANNA BRANDT.", "The harbour of Vell was built in 1807 by Anna Brandt."),
        ("The lamp was bought for 4,200 marks", LAMP),
        ("NYC08CA055", "Registration number NYC08CA055 was given to the pilot boat."),
    ],
)
def test_a_claim_is_tied_to_the_sentence_that_says_it(claim, quote):
    """This test ensures that the quote is the one sentence that backs the claim, no more."""
    assert backing(claim) == (quote, Support.SUPPORTED)


@pytest.mark.parametrize(
    "claim",
    [
        "The harbour of Vell was built in 1808 by Anna Brandt.",
        "The lamp was bought from a dealer in Hamburg for 4,300 marks.",
        "Registration number NYC08CA056 was given to the pilot boat.",
    ],
)
def test_another_number_is_never_supported(claim):
    """This test ensures that all words being right does not excuse a wrong figure."""
    evidence = find_evidence(claim, POOL, ())
    assert evidence is None or evidence.support is not Support.SUPPORTED


def test_a_number_inside_another_is_no_evidence():
    """This test ensures that "80" does not stand in "1807", nor "art" in "part"."""
    for claim in ("80", "180", "807", "rand"):
        assert backing(claim) is None


def test_letters_that_fold_to_two_are_looked_through():
    """This test ensures that word edges are seen in text whose letters grow when their case is folded."""
    pool = pool_of("Die Straße nach Vell wurde 1807 gebaut, die Maße stehen im İzmirer Buch.")
    assert backing("die STRASSE nach Vell", pool)[1] is Support.SUPPORTED
    assert backing("1807", pool)[1] is Support.SUPPORTED
    assert backing("80", pool) is None
    assert backing("trass", pool) is None


def test_half_a_claim_is_weak_and_less_is_none():
    """This test ensures that support is told by how much of the claim the quote holds."""
    text, support = backing("The lighthouse burned and was never rebuilt")
    assert (text, support) == ("The lighthouse burned in 1911.", Support.WEAK)
    _, support = backing("The mayor sold seven green bicycles to Orsk")
    assert support is Support.NONE


@pytest.mark.parametrize("claim", ["Zebras graze quietly.", "", " .,;", "the of and"])
def test_what_shares_nothing_has_no_evidence(claim):
    """This test ensures that nothing is quoted for a claim that no source speaks of."""
    assert find_evidence(claim, POOL, ()) is None
    assert find_evidence(claim, [], ()) is None


def test_two_sentences_together_back_what_neither_does():
    """This test ensures that a claim drawn from neighbours is tied to both, as one stretch of text."""
    text, support = backing("The harbour of Vell was built in 1807 and has two piers of granite")
    assert support is Support.SUPPORTED
    assert text == TEXT[: TEXT.index(" The lighthouse")]


def test_sentences_are_joined_only_where_nothing_stands_between():
    """This test ensures that a quote never holds text that the model did not read."""
    pool = [POOL[0], POOL[3]]
    evidence = find_evidence("The harbour of Vell was built in 1807, a lamp was bought in Hamburg", pool, ())
    assert evidence.sentence.text in {POOL[0].text, POOL[3].text}


def test_a_neighbour_that_adds_nothing_is_not_quoted():
    """This test ensures that a word beside the sentence that answers does not borrow that sentence's standing."""
    pool = pool_of(TEXT, (9.0, 0.5, 0.5))
    assert find_evidence("1911", pool, ()).sentence == pool[2]
    assert find_evidence("granite", pool, ()).sentence == pool[1]
    assert find_evidence("It has two piers. The lighthouse burned", pool, ()).sentence.start == pool[1].start


def test_the_sentence_that_answers_best_wins_a_tie():
    """This test ensures that of two places with the same words the one that the question points to is quoted."""
    text = "The fee is due in May. The rent is due in May."
    assert backing("in May", pool_of(text, (1.0, 5.0)))[0] == "The rent is due in May."
    assert backing("in May", pool_of(text, (5.0, 1.0)))[0] == "The fee is due in May."


def test_a_short_answer_needs_the_question_beside_it():
    """This test ensures that a word that stands somewhere is no proof where nobody speaks of what was asked."""
    assert backing("1911", asked={"lighthous"})[1] is Support.SUPPORTED
    assert backing("1911", asked={"zebra"})[1] is Support.WEAK


@given(st.text("abc 1.é\ufffe-", max_size=40), st.text("abc 1.é\ufffe-\n", max_size=200))
@settings(max_examples=150, deadline=None)
def test_evidence_always_stands_in_the_pool(claim, text):
    """This test ensures that a quote is a stretch of its chunk, whatever the claim, and a verbatim one holds it."""
    evidence = find_evidence(claim, pool_of(text), ())
    if evidence is not None:
        start, end = evidence.sentence.start, evidence.sentence.end
        assert 0 <= start < end <= len(text)
        assert evidence.sentence.text == text[start:end].strip()


def test_many_claims_over_a_long_source_are_checked_in_time():
    """This test ensures that an answer of ten sentences over a hundred pages does not wait for its citations."""
    pages = "".join(f"{TEXT} Line {number} of the log says nothing new. " for number in range(400))
    pool = pool_of(pages)
    begun = time.monotonic()
    for number in range(10):
        assert find_evidence(f"Line {number} of the log says nothing new", pool, ()) is not None
    assert time.monotonic() - begun < 20
