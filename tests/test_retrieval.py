"""Tests of retrieval: terms, which document is named, what is asked of it, and the sentences that answer."""

from dataclasses import replace

import pytest
from answering_parts import document
from hypothesis import given, settings
from hypothesis import strategies as st

from lctx.core.chunking.split import split_document
from lctx.core.document import Block
from lctx.core.retrieval.focus import focus, sentences_of
from lctx.core.retrieval.identity import identify
from lctx.core.retrieval.question import understand
from lctx.core.retrieval.rank import Retriever
from lctx.core.retrieval.terms import is_compound, terms

PLACES = ("Tallahassee", "Denver", "Boise", "Juneau", "Topeka")
PAGE = (
    "National Board\nLocation: {place}\nAccident Number: NYC08CA05{number}\n"
    "Pilot Age: {age}\nThe airplane landed hard and the nose gear collapsed on the runway.\n"
)


def report(number: int):
    """One of several reports of one form."""
    filler = "".join(f"Witness {line} saw nothing that the others had not seen.\n" for line in range(30))
    text = PAGE.format(place=PLACES[number], number=number, age=40 + number) + filler
    return document(text, f"reports/{number}.txt")


REPORTS = [report(number) for number in range(len(PLACES))]
RETRIEVER = Retriever([chunk for one in REPORTS for chunk in split_document(one)])


# Terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The pilots landed", ["pilot", "land"]),
        ("on 12/08/2007", ["12/08/2007", "12", "08", "2007"]),
        ("NYC08CA055-2", ["nyc08ca055-2", "nyc08ca055", "2"]),
        ("readFile", ["readfile", "read", "file"]),
        ("read_file", ["read_file", "read", "file"]),
        ("Brandt's", ["brandt"]),
        ("don’t", ["don"]),
        ("a b c 7", ["7"]),
        ("of the and who", []),
        ("", []),
        ("— … ?", []),
        ("naïve Ångström", ["naïv", "ångström"]),
        ("東京", ["東京"]),
    ],
)
def test_words_become_terms(text, expected):
    """This test ensures that words are stemmed, and compounds kept whole beside their parts."""
    assert terms(text) == expected


@given(st.text(max_size=200))
@settings(max_examples=150, deadline=None)
def test_terms_fit_the_index(text):
    """This test ensures that no term is empty or holds the white space that parts terms."""
    for term in terms(text):
        assert term
        assert not any(character.isspace() for character in term)


def test_a_compound_is_told_from_a_word():
    """This test ensures that a date or a part number is known as one: it must match whole."""
    assert [is_compound(term) for term in terms("12/08/2007 pilot")] == [True, False, False, False, False]


# Which document


def test_a_document_is_named_by_what_few_share():
    """This test ensures that a rare word among a document's first lines chooses it, a word of all does not."""
    holders = {term: {2} for term in terms("Boise")} | {term: set(range(5)) for term in terms("pilot")}
    found = identify("How old was the pilot at Boise?", REPORTS, holders)
    assert max(range(5), key=found.scores.__getitem__) == 2
    assert found.terms == frozenset(terms("Boise"))
    nothing = identify("How old was the pilot?", REPORTS, {})
    assert (set(nothing.scores), nothing.terms) == ({0.0}, frozenset())


def test_one_document_needs_no_name():
    """This test ensures that with a single source its own words are not mistaken for its name."""
    assert identify("Tallahassee", REPORTS[:1], {}).terms == frozenset()
    assert identify("Tallahassee", [], {}).scores == ()


def test_a_path_names_its_document():
    """This test ensures that the file's name counts though the text never says it."""
    contract = document("The rent is due in May.\n", "leases/holm.txt")
    other = document("The rent is due in June.\n", "leases/brandt.txt")
    ranking = Retriever([*split_document(other), *split_document(contract)]).rank(
        "When is the rent due for Holm?"
    )
    assert ranking.named is contract
    assert ranking.best[0].chunk.document is contract


def test_a_name_in_code_is_asked_for_and_no_address():
    """This test ensures that a constant at the top of one of several files is looked up, not taken for its name."""
    filler = "".join(f"def step_{number}(row):\n    return row\n\n" for number in range(60))
    first = document("_MAX_WORKERS = 4\n" + filler, "pool.py", "code")
    other = document("_DEPTH = 9\n" + filler, "tree.py", "code")
    ranking = Retriever([*split_document(other), *split_document(first)]).rank("What value has _MAX_WORKERS?")
    assert "max_workers" in ranking.query.weights
    assert ranking.best[0].chunk.text.startswith("_MAX_WORKERS = 4")


# What is asked


def test_the_address_is_told_from_the_question():
    """This test ensures that the clause that names a file does not pull up the page that carries its name."""
    question = "For the accident at Tallahassee, FL: how old was the pilot?"
    query = understand(question, terms("Tallahassee"))
    assert query.asked == "FL: how old was the pilot?"
    assert query.weights["pilot"] == 1.0
    assert query.weights["accid"] < 0.5
    assert "tallahasse" not in query.weights
    assert "age" in query.weights


def test_a_question_without_address_is_left_as_it_is():
    """This test ensures that the model sees what the user wrote, and every word counts in full."""
    query = understand("  When, and where, was it built?  ")
    assert query.asked == "When, and where, was it built?"
    assert {"date", "locat", "place", "built"} <= query.weights.keys()
    assert set(query.weights.values()) == {1.0}
    assert understand("").weights == {}


@given(st.text("ab Tallahassee,;:?é", max_size=60), st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_question_is_understood(question, named):
    """This test ensures that what is asked is never lost: it is part of the question, or all of it."""
    query = understand(question, terms("Tallahassee") if named else ())
    words, asked = question.casefold().split(), query.asked.casefold().split()
    assert asked == words[len(words) - len(asked) :]
    assert bool(asked) == bool(words)
    assert all(weight > 0 for weight in query.weights.values())


# Ranking


@pytest.mark.parametrize(("number", "place"), list(enumerate(PLACES)))
def test_files_of_one_form_are_told_apart(number, place):
    """This test ensures that the right report is read among reports that share every other word."""
    ranking = RETRIEVER.rank(f"For the accident at {place}: how old was the pilot?")
    assert ranking.named is REPORTS[number]
    assert ranking.best[0].chunk.document is REPORTS[number]
    best = [one for one in ranking.best if one.chunk.document is ranking.named]
    assert focus(ranking.query, best)[0].text == f"Pilot Age: {40 + number}"


def test_a_number_names_its_report():
    """This test ensures that a compound that one file holds chooses it."""
    assert RETRIEVER.rank("What happened in NYC08CA053?").best[0].chunk.document is REPORTS[3]


def test_ranking_is_the_same_every_time():
    """This test ensures that equal scores do not fall by chance: by path, then by place."""
    question = "What did the witness see?"
    orders = []
    for _ in range(3):
        retriever = Retriever([chunk for one in REPORTS for chunk in split_document(one)])
        best = retriever.rank(question).best
        orders.append([(one.chunk.document.path, one.chunk.start, one.score) for one in best])
        keys = [(-score, path, start) for path, start, score in orders[-1]]
        assert keys == sorted(keys)
    assert orders[0] == orders[1] == orders[2]
    assert {path for path, _, _ in orders[0]} == {one.path for one in REPORTS}


def test_what_nothing_speaks_of_ranks_nowhere():
    """This test ensures that a chunk is never offered for a question that it shares no word with."""
    for retriever in (RETRIEVER, Retriever([])):
        assert retriever.rank("zebra").best == ()
        assert retriever.rank("").best == ()
        assert retriever.rank('AND OR NOT " * ( ) : ^ ~ \\').best == ()


def test_covering_weighs_rare_words_more():
    """This test ensures that the share of a question that a passage holds runs from none to all."""
    ranking = RETRIEVER.rank("Did the nose gear collapse before a witness saw it?")
    assert ranking.covered(()) == 0.0
    assert ranking.covered(ranking.query.weights) == pytest.approx(1.0)
    assert ranking.covered(terms("nose gear")) > ranking.covered(terms("witness"))


# Sentences


def test_focus_orders_all_sentences():
    """This test ensures that no sentence of the best chunks is lost, and the one that answers comes first."""
    ranking = RETRIEVER.rank("What happened to the nose gear?")
    found = focus(ranking.query, ranking.best)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert "nose gear collapsed" in found[0].text
    every = {(id(one.chunk), one.start) for scored in ranking.best for one in sentences_of(scored.chunk)}
    assert {(id(one.chunk), one.start) for one in found} == every
    assert focus(ranking.query, ()) == []


def test_a_field_beats_a_label_without_value():
    """This test ensures that of two fields of one name the one that was filled in is read first."""
    source = document("Runway Length:\nElevation: 20 ft\nRunway Length: 4,200 ft\n")
    ranking = Retriever(split_document(source)).rank("What is the runway length?")
    assert focus(ranking.query, ranking.best)[0].text == "Runway Length: 4,200 ft"


def test_code_is_found_by_the_parts_of_its_names():
    """This test ensures that a question in words finds a name in camel case, a line by itself."""
    code = "def makeTea(cup):\n    return cup\n\n\ndef retryLimit():\n    return 7\n"
    ranking = Retriever(split_document(document(code, "a.py", "code"))).rank("Where is the retry limit set?")
    assert focus(ranking.query, ranking.best)[0].text == "def retryLimit():"


def test_the_row_of_a_table_answers_under_its_column_names():
    """This test ensures that a row whose first cell is asked for beats a sentence that repeats the question's words."""
    text = (
        "Item | Fee | Payable\nMaintenance, per quarter | 9,500 | in advance\nTraining | 850 | in arrears\n"
        "The Customer receives a part of that quarter's maintenance fee, up to one quarter of the fee.\n"
    )
    table = Block("table", 0, text.index("The Customer"))
    source = replace(document(text), blocks=(table,))
    ranking = Retriever(split_document(source)).rank("What is the fee for maintenance per quarter?")
    assert focus(ranking.query, ranking.best)[0].text == "Maintenance, per quarter | 9,500 | in advance"
