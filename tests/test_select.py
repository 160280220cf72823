"""Tests of choosing what is read: the best first, with what stands beside it, within the room there is."""

import pytest
from answering_parts import PieceTokenizer, document, inputs, paged, small_model

from lctx.core.answering.layout import CompletionLayout
from lctx.core.answering.select import (
    CHUNK_TOKENS,
    SENTENCE_TOKENS,
    chunk_label,
    select_all,
    select_best,
    select_nothing,
)
from lctx.core.models.profile import Capability, ModelProfile, PromptStyle

QUESTION = "When did the lighthouse burn?"
FILLER = [
    f"Entry {number} of the log tells of calm weather and of ships that passed.\n" for number in range(200)
]
ANSWER = "It stood on the pier.\nThe lighthouse burned in 1911.\nA new lamp was bought.\n"
LOG = "".join([*FILLER[:100], ANSWER, *FILLER[100:]])
CAPABLE = ModelProfile(
    "capable", None, "", "", 8192, 8192, PromptStyle.CHAT, frozenset(Capability), cites=True
)


def chosen(question, sources, room, profile=None, **settings):
    asked = inputs(question, sources, profile or small_model(), **settings)
    return asked, select_best(asked, CompletionLayout(asked.tokenizer, None), room)


def cost(asked, selection):
    layout = CompletionLayout(asked.tokenizer, None)
    return sum(
        len(asked.tokenizer.encode(one.text)) + layout.label_tokens(one.label) for one in selection.passages
    )


def test_a_small_model_reads_the_sentence_that_answers():
    """This test ensures that single sentences are read, the one that answers among them however little fits."""
    for room in (12, 30, 200):
        _, selection = chosen(QUESTION, [document(LOG)], room)
        assert "The lighthouse burned in 1911." in [one.text for one in selection.passages]
        assert all(one.label == "" and one.text == one.piece.text for one in selection.passages)


def test_a_sentence_that_does_not_fit_makes_room_for_a_shorter_one():
    """This test ensures that one long line does not end the search."""
    text = f"The lighthouse {'burned and ' * 30}fell.\n\nThe lighthouse stood in Vell.\n"
    _, selection = chosen("What of the lighthouse that burned?", [document(text)], 15)
    assert [one.text for one in selection.passages] == ["The lighthouse stood in Vell."]


@pytest.mark.parametrize("room", [1, 10, 50, 200, 2000])
@pytest.mark.parametrize("profile", [None, CAPABLE])
def test_the_room_is_never_exceeded(profile, room):
    """This test ensures that passages and labels together cost at most what there is."""
    asked, selection = chosen(QUESTION, [document(LOG), document(LOG, "b.txt")], room, profile)
    assert cost(asked, selection) <= room
    most = CHUNK_TOKENS if profile else SENTENCE_TOKENS
    _, open_ended = chosen(QUESTION, [document(LOG)], 10**6, profile)
    assert cost(asked, open_ended) <= most


def test_a_budget_replaces_the_habit():
    """This test ensures that who allows more than the habit gets more, and who allows less gets less."""
    wide, selection = chosen("calm weather", [document(LOG)], 10**6, CAPABLE, budget=3500)
    assert CHUNK_TOKENS < cost(wide, selection) <= 3500
    for profile, budget in ((None, 60), (CAPABLE, 400)):
        narrow, selection = chosen("calm weather", [document(LOG)], 10**6, profile, budget=budget)
        assert 0 < cost(narrow, selection) <= budget


def test_a_capable_model_reads_whole_chunks_with_their_neighbours():
    """This test ensures that chunks are whole, carry their id, and bring what stands beside them."""
    asked, selection = chosen(QUESTION, [document(LOG)], 10**6, CAPABLE)
    starts = [one.piece.start for one in selection.passages]
    holding = next(chunk for chunk in asked.chunks if "1911" in chunk.text)
    position = asked.chunks.index(holding)
    assert {asked.chunks[number].start for number in (position - 1, position, position + 1)} <= set(starts)
    for passage in selection.passages:
        number = asked.chunks.index(passage.piece.chunk)
        assert passage.label == chunk_label(number, passage.piece.chunk)
        assert passage.text == passage.piece.chunk.text


def test_neighbours_are_of_the_same_source():
    """This test ensures that the end of one file does not bring the beginning of the next."""
    sources = [
        document("Calm.\n", "a.txt"),
        document("The lighthouse burned.\n", "b.txt"),
        document("Calm.\n", "c.txt"),
    ]
    _, selection = chosen(QUESTION, sources, 10**6, CAPABLE)
    assert [one.piece.chunk.document.path for one in selection.passages] == ["b.txt"]


def test_the_label_says_where_a_passage_stands():
    """This test ensures that a model sees the id, the file's name and the headings above, in one line."""
    source = document("Damages\nThe lighthouse burned.\n", "log/vell.md", headings=("Damages",))
    asked = inputs(QUESTION, [source])
    assert chunk_label(6, asked.chunks[0]) == "[S7] log/vell.md › Damages\n"


def test_the_order_is_the_sources_own():
    """This test ensures that passages stand in the prompt as in the sources, not by score."""
    sources = [paged(LOG, LOG), document(LOG, "b.txt")]
    for profile in (None, CAPABLE):
        _, selection = chosen("Which ships passed the lighthouse?", sources, 3000, profile, budget=3000)
        places = [(one.piece.chunk.document.path == "b.txt", one.piece.start) for one in selection.passages]
        assert places == sorted(places)
        assert len(places) > 3


def test_lines_of_code_are_read_as_they_stand():
    """This test ensures that a line of code is read with those around it, a line each."""
    code = "import os\n\n\ndef lighthouse():\n    if os.name:\n        return 1911\n"
    asked, selection = chosen("Where is lighthouse defined?", [document(code, "a.py", "code")], 10**6)
    texts = [one.text for one in selection.passages]
    assert texts[-3:] == ["def lighthouse():", "    if os.name:", "        return 1911"]
    assert cost(asked, selection) <= SENTENCE_TOKENS


def test_prose_is_read_as_one_line():
    """This test ensures that line ends and parted words of the page do not reach the model."""
    prose = (
        "In Suits at common law, where the value in controversy shall\r\n"
        "exceed twenty dollars, the right of trial by jury shall be pre\ufffeserved, and no fact tried by a jury,"
        " shall be otherwise re-exam\ufffeined in any Court of the United States, than according to the\r\n"
        "rules of the common law.\r\n"
    )
    _, selection = chosen("What right is there in suits at common law?", [document(prose)], 10**6)
    (passage,) = selection.passages
    assert passage.text == " ".join(prose.replace("\ufffe", "").split())


def test_all_and_nothing_are_complete():
    """This test ensures that `full` reads every chunk, and a plan without a question leaves each out."""
    asked = inputs(QUESTION, [document(LOG)], tokenizer=PieceTokenizer())
    whole, nothing = select_all(asked), select_nothing(asked, "a reason")
    assert "".join(one.text for one in whole.passages) == LOG
    assert whole.omitted == ()
    assert nothing.passages == ()
    assert "".join(one.piece.text for one in nothing.omitted) == LOG
    assert {one.reason for one in nothing.omitted} == {"a reason"}


def test_the_sources_have_one_size_whatever_is_asked():
    """This test ensures that what is read and what is left out of a chunk are together the chunk's tokens."""
    for question in (QUESTION, "What was bought?", "What of calm weather and ships?"):
        asked, selection = chosen(question, [document(LOG)], 60)
        assert selection.passages
        read = sum(one.piece.num_tokens for one in selection.passages)
        assert read + sum(one.piece.num_tokens for one in selection.omitted) == asked.num_tokens
