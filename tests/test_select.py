"""Tests of choosing what is read: the best first, with what stands beside it, within the room there is."""

import pytest
from answering_parts import PieceTokenizer, document, inputs, paged, small_model

from lctx.core.answering.layout import CompletionLayout
from lctx.core.answering.select import (
    CHUNK_TOKENS,
    SENTENCE_TOKENS,
    chunk_label,
    require_pins_fit,
    select_all,
    select_best,
    select_nothing,
)
from lctx.core.errors import DoesNotFitError
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


@pytest.mark.parametrize(
    ("profile", "room"), [(None, 1), (None, 10), (None, 50), (None, 2000), (CAPABLE, 300), (CAPABLE, 2000)]
)
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


def paths_read(selection):
    return {one.piece.chunk.document.path for one in selection.passages}


def remedies(selection, path):
    return {one.remedy for one in selection.omitted if one.piece.chunk.document.path == path}


def reasons(selection, path):
    return {one.reason for one in selection.omitted if one.piece.chunk.document.path == path}


SOURCES = [
    document(LOG, "log.txt"),
    document("The lighthouse burned again in 1950.\n", "late.txt"),
    document("Nothing to see here.\n", "other.txt"),
]


@pytest.mark.parametrize("profile", [None, CAPABLE])
def test_a_pinned_source_is_read_whole_beside_the_best_of_the_others(profile):
    """This test ensures that a pin is read however little it has to do with the question, and leaves the rest."""
    _, selection = chosen(QUESTION, SOURCES, 2000, profile, pins=("other.txt",))
    assert "Nothing to see here.\n" in [one.text for one in selection.passages]
    assert any("1911" in one.text for one in selection.passages)
    assert "other.txt" not in {one.piece.chunk.document.path for one in selection.omitted}
    _, unpinned = chosen(QUESTION, SOURCES, 2000, profile)
    assert "other.txt" not in paths_read(unpinned)


def test_a_small_model_reads_other_sources_where_the_pinned_one_ranks_best():
    """This test ensures that sentences that are read anyway take no place among the best few."""
    other = document("Keepers say that the lighthouse burned.\n", "tale.txt")
    _, selection = chosen("What burned?", [document(ANSWER * 8, "log.txt"), other], 4000, pins=("log.txt",))
    assert [one.piece.chunk.document.path for one in selection.passages].count("tale.txt") == 1


@pytest.mark.parametrize("profile", [None, CAPABLE])
def test_what_pins_leave_is_told(profile):
    """This test ensures that pins count against the room, and that what they keep out says so."""
    budget = 40 if profile else 20
    asked, selection = chosen(QUESTION, SOURCES, 10**6, profile, pins=("other.txt",), budget=budget)
    assert cost(asked, selection) <= budget
    left = budget - cost(asked, select_nothing(asked, "none"))
    told = {one.reason for one in selection.omitted}
    assert f"after the pinned sources {left} tokens are left" in told


@pytest.mark.parametrize("profile", [None, CAPABLE])
def test_pins_that_do_not_fit_are_refused_with_the_narrower_commands(profile):
    """This test ensures that a pin is never cut: exit 3, what is needed, what there is, and what would fit."""
    with pytest.raises(DoesNotFitError, match=r"the pinned sources do not fit: [\d,]+ tokens") as raised:
        chosen(QUESTION, SOURCES, 300, profile, pins=("log.txt", "late.txt"))
    assert raised.value.exit_code == 3
    assert "room for 300" in raised.value.message
    assert "pin late.txt alone" in raised.value.hint
    assert "--window" in raised.value.hint
    with pytest.raises(DoesNotFitError, match="--budget leaves 200") as raised:
        chosen(QUESTION, SOURCES, 10**6, profile, pins=("log.txt",), budget=200)
    needed = int(raised.value.hint.split()[3].replace(",", ""))
    _, selection = chosen(QUESTION, SOURCES, needed, profile, pins=("log.txt",), budget=needed)
    assert "log.txt" in paths_read(selection)  # the hint tells the truth, to the token
    with pytest.raises(DoesNotFitError):
        chosen(QUESTION, SOURCES, needed - 1, profile, pins=("log.txt",))


def test_pins_can_be_tried_before_a_strategy_is_chosen():
    """This test ensures that a plan without a question is refused for its pins like any other."""
    asked = inputs(None, SOURCES, CAPABLE, pins=("log.txt",))
    layout = CompletionLayout(asked.tokenizer, None)
    require_pins_fit(asked, layout, 10**6)
    with pytest.raises(DoesNotFitError, match="pinned"):
        require_pins_fit(asked, layout, 100)


@pytest.mark.parametrize("profile", [None, CAPABLE])
def test_a_source_of_weight_0_is_never_read(profile):
    """This test ensures that weight 0 leaves a source out, under every strategy, and is the reason told."""
    asked, selection = chosen(QUESTION, SOURCES, 10**6, profile, weights=(("log.txt", 0.0),))
    assert "late.txt" in paths_read(selection)
    for one in (selection, select_all(asked), select_nothing(asked, "no question")):
        assert "log.txt" not in paths_read(one)
        assert reasons(one, "log.txt") == {"weight 0"}
        assert remedies(one, "log.txt") == {"give it a --weight above 0"}
    assert asked.readable_tokens < asked.num_tokens


def test_a_pin_is_stronger_than_weight_0():
    """This test ensures that one source can be read alone: all others weigh nothing."""
    settings = {"weights": (("*", 0.0),), "pins": ("other.txt",)}
    _, selection = chosen(QUESTION, SOURCES, 10**6, CAPABLE, **settings)
    assert paths_read(selection) == {"other.txt"}


@pytest.mark.parametrize("profile", [None, CAPABLE])
def test_a_weight_moves_a_source_up_or_down(profile):
    """This test ensures that the factor decides which of two like sources is read where one fits."""
    twins = [document(f"The lighthouse burned, says witness {name}.\n", f"{name}.txt") for name in "ab"]
    for heavy in "ab":
        asked, selection = chosen(QUESTION, twins, 45, profile, weights=((f"{heavy}.txt", 5.0),), budget=25)
        if profile is None:
            assert asked.focused[0].chunk.document.path == f"{heavy}.txt"
        assert paths_read(selection) == {f"{heavy}.txt"}


@pytest.mark.parametrize("profile", [None, CAPABLE])
def test_a_higher_priority_fills_the_window_first(profile):
    """This test ensures that a source of higher rank is read though another answers better."""
    best = document("When did the lighthouse burn? The lighthouse burned in 1911.\n", "best.txt")
    poor = document("Some lighthouse, says the tale, once burned.\n", "poor.txt")
    budget = 30 if profile else 18
    _, plain = chosen(QUESTION, [best, poor], 10**6, profile, budget=budget)
    assert paths_read(plain) == {"best.txt"}
    _, ranked = chosen(QUESTION, [best, poor], 10**6, profile, budget=budget, priorities=(("poor.txt", 1),))
    assert paths_read(ranked) == {"poor.txt"}
    _, below = chosen(QUESTION, [best, poor], 10**6, profile, budget=budget, priorities=(("best.txt", -1),))
    assert paths_read(below) == {"poor.txt"}


def test_a_priority_is_stronger_than_a_name_in_the_question():
    """This test ensures that what the user ranks first is looked at though the question names another."""
    text = "The lighthouse burned in {}.\n" + "".join(FILLER[:30])
    named, other = document(text.format(1911), "vell.txt"), document(text.format(1950), "morra.txt")
    question = "According to the Vell log, when did the lighthouse burn?"
    _, plain = chosen(question, [named, other], 30)
    assert paths_read(plain) == {"vell.txt"}
    _, ranked = chosen(question, [named, other], 30, priorities=(("morra.txt", 1),))
    assert "morra.txt" in paths_read(ranked)


def test_the_best_chunk_is_never_passed_over_for_a_shorter_one():
    """This test ensures that room for the second best alone is refused, with the budget that holds the best."""
    sources = [document(LOG, "log.txt"), document("A lighthouse.\n", "short.txt")]
    with pytest.raises(DoesNotFitError, match="no passage is read: the best") as raised:
        chosen(QUESTION, sources, 50, CAPABLE)
    needed = int(raised.value.message.split("needs ")[1].split()[0])
    _, selection = chosen(QUESTION, sources, needed, CAPABLE)
    assert any("1911" in one.text for one in selection.passages)
    window = int(raised.value.hint.split("--window of ")[1].split()[0].replace(",", ""))
    assert window - CAPABLE.effective_window == needed - 50


def test_the_remedy_of_a_budget_tells_the_truth():
    """This test ensures that the budget that a remedy names has the chunk read, and one token less has not."""
    sources = [document(LOG, "log.txt"), document("Nothing to see here.\n", "other.txt")]
    _, selection = chosen("calm weather", sources, 10**6, CAPABLE, budget=700)
    told = [one for one in selection.omitted if "--budget" in (one.remedy or "")]
    assert len(told) > 5
    for omission in told[:: len(told) // 5]:
        budget = int(omission.remedy.removeprefix("raise --budget to ").split()[0].replace(",", ""))
        for allowed, is_read in ((budget, True), (budget - 1, False)):
            _, again = chosen("calm weather", sources, 10**6, CAPABLE, budget=allowed)
            assert (omission.piece.start in {one.piece.start for one in again.passages}) == is_read


def test_the_remedy_of_a_sentence_that_is_passed_over_tells_the_truth():
    """This test ensures that the budget that a small model is told has it read the sentence that did not fit."""
    text = f"The lighthouse {'burned and ' * 30}fell.\n\nThe lighthouse stood in Vell.\n"
    question = "What of the lighthouse that burned?"
    _, selection = chosen(question, [document(text)], 10**6, budget=15)
    remedy, other = (one.remedy for one in selection.omitted)
    assert other == "--strategy full without --budget reads everything (108 tokens)"
    budget = int(remedy.removeprefix("raise --budget to ").split()[0])
    _, again = chosen(question, [document(text)], 10**6, budget=budget)
    assert len(again.passages) == 2


def test_the_remedy_of_what_shares_no_word_is_a_pin_or_to_read_everything():
    """This test ensures that what does not rank is read by naming it, or by reading all where all fits."""
    (remedy,) = remedies(chosen(QUESTION, SOURCES, 10**6, CAPABLE)[1], "other.txt")
    assert remedy.startswith("--strategy full reads everything (")
    asked, selection = chosen(QUESTION, SOURCES, 2000, CAPABLE)
    (remedy,) = remedies(selection, "other.txt")
    assert remedy == f"--pin other.txt reads it whole ({asked.counts[-1]} tokens)"
    _, pinned = chosen(QUESTION, SOURCES, 2000, CAPABLE, pins=("other.txt",))
    assert "other.txt" in paths_read(pinned)
    apart = [document(ANSWER, "a.txt"), document("".join(FILLER), "it's long.txt")]
    assert remedies(chosen(QUESTION, apart, 300, CAPABLE)[1], "it's long.txt") == {
        "ask with words that stand in it"
    }


def test_every_omission_has_a_remedy():
    """This test ensures that whatever is left out, there is one line of what to do about it."""
    for profile in (None, CAPABLE):
        for question in (QUESTION, "calm weather"):
            for room in (300, 2000, 10**6):
                for settings in ({}, {"budget": 299}, {"weights": (("late.txt", 0.0),)}):
                    _, selection = chosen(question, SOURCES, room, profile, **settings)
                    assert selection.omitted
                    assert all(one.remedy and "\n" not in one.remedy for one in selection.omitted)
    unasked = inputs(None, SOURCES)
    assert {one.remedy for one in select_nothing(unasked, "a reason").omitted} == {"ask a question"}
