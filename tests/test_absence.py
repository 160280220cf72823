"""Tests of seeing, before any model is asked, that the sources do not hold the answer."""

import pytest
from answering_parts import EXAMPLES, document, inputs

from lctx.core.answering.absence import why_absent
from lctx.formats.pdf import read_pdf
from lctx.formats.word import read_word

VELL = document(
    "The harbour of Vell was built in 1807 by Anna Brandt, who also drew the plans of its lighthouse.\n"
    "The lighthouse burned in 1911 and a new lamp was bought from a dealer in Hamburg.\n"
    "The mayor resigned in March over the price of bread, and the council elected Ida Holm.\n"
)
FORM = document(
    "Pilot Age: 42, Male Certificate: Private\nFlight Plan Filed: None Runway Length:\nDamage: Substantial\n",
    cells=tuple(
        "Pilot Age: 42, Male Certificate: Private\nFlight Plan Filed: None Runway Length:\n".index(cell)
        for cell in ("42", "Certificate:", "Private", "Flight", "None", "Runway")
    ),
)


@pytest.fixture(scope="module")
def samples():
    """Both sample documents."""
    pdf, word = "constitution.pdf", "services-agreement.docx"
    return (
        read_pdf(pdf, (EXAMPLES / pdf).read_bytes()),
        read_word(word, (EXAMPLES / word).read_bytes()),
    )


@pytest.mark.parametrize(
    "question", ["When was the harbour built?", "Who drew the plans?", "Why did the mayor resign?"]
)
def test_what_stands_there_may_be_answered(question):
    """This test ensures that no model is kept from a question that the source answers."""
    assert why_absent(inputs(question, [VELL])) is None


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("Where do zebras graze?", "no word of the question stands in the sources"),
        ("What is it?", "the question holds no word that could be looked up"),
        ("??!", "the question holds no word that could be looked up"),
        (
            "Which zebra, gnu, lion, crocodile or giraffe was elected?",
            "no passage holds enough of what is asked",
        ),
    ],
)
def test_what_does_not_stand_there_is_told_why(question, why):
    """This test ensures that "not found" has a reason: no such word, nothing to look for, too little in common."""
    assert why_absent(inputs(question, [VELL])) == why


def test_a_name_that_stands_nowhere_is_told():
    """This test ensures that a short question about a name is refused by that name, a long one is not."""
    assert (
        why_absent(inputs("Where is the harbour of Orsk?", [VELL])) == "“Orsk” stands nowhere in the sources"
    )
    long = "Did Orsk hear that the lighthouse burned and a new lamp was bought from a dealer in Hamburg?"
    assert why_absent(inputs(long, [VELL])) is None


def test_a_source_of_white_space_holds_no_answer():
    """This test ensures that a document without a word is no trouble."""
    assert why_absent(inputs("When was it built?", [document("\n \n")])) is not None
    assert why_absent(inputs("When was it built?", [])) is not None


def test_a_blank_field_is_told_as_blank():
    """This test ensures that a form that was not filled in answers "not found", not with its neighbour's value."""
    assert why_absent(inputs("What is the runway length?", [FORM])) == "the field “Runway Length” is blank"


@pytest.mark.parametrize(
    "question", ["What is the pilot's age?", "Which certificate?", "What damage was there?"]
)
def test_a_field_with_a_value_is_not_blank(question):
    """This test ensures that a value behind the label, and a field of another name, are left to the model."""
    assert why_absent(inputs(question, [FORM])) is None


def test_a_line_of_code_is_no_blank_field():
    """This test ensures that `class ByteCache:` is not taken for a label whose value is missing."""
    code = "class ByteCache:\n    size = 4\n\n    def put(self, key):\n        return key\n"
    assert why_absent(inputs("What does ByteCache do?", [document(code, "cache.py", "code")])) is None


def test_a_filled_field_of_the_same_name_is_found():
    """This test ensures that one blank copy of a field does not hide another that was filled in."""
    text = "Runway Length:\nRunway Length: 4,200 ft\n"
    assert why_absent(inputs("What is the runway length?", [document(text)])) is None


@pytest.mark.parametrize(
    "question",
    [
        "At what age is a person eligible to the Office of President?",
        "Above what value in controversy is the right of trial by jury preserved?",
        "On what date was Amendment XXVI ratified?",
        "Who signed the Declaration for Delaware?",
        "How many days' written notice must a party give to terminate the agreement?",
        "To what amount is the total liability of either party limited?",
    ],
)
def test_no_sample_question_is_refused(samples, question):
    """This test ensures that none of the questions that the samples answer is taken for absent."""
    assert why_absent(inputs(question, samples)) is None


@pytest.mark.parametrize("question", ["Where do zebras graze?", "Who won the football match?"])
def test_what_neither_sample_speaks_of_is_refused(samples, question):
    """This test ensures that a question from another world is told as not found, without a model."""
    assert why_absent(inputs(question, samples)) is not None


REPORT = document(
    "Aviation Accident Report\nLocation: Vell Harbour Accident Number: VEL08CA055\n"
    "The pilot, age 42, was landing on the old runway when the airplane struck a fence.\n"
)


def test_an_address_is_not_what_is_asked():
    """This test ensures that the clause that names one report does not pull up the line with the report's name."""
    asked = inputs("For accident VEL08CA055: How old was the pilot?", [REPORT])
    assert why_absent(asked) is None
    assert "age 42" in asked.focused[0].text
    assert asked.ranking.query.asked == "How old was the pilot?"


@pytest.mark.parametrize("address", ["For accident NYC99XX001", "For the accident at Brockton, ZZ"])
def test_an_address_that_no_source_has_is_told(address):
    """This test ensures that a question about another report is refused, not answered from this one."""
    assert why_absent(inputs(f"{address}: How old was the pilot?", [REPORT])) is not None
