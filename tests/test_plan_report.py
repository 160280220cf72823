"""Tests of a plan as people read it: every number of it, and a row for each source."""

from dataclasses import replace

from answering_parts import small_model
from cli_answers import document, plan
from rope_configs import SMOLLM2

from lctx.cli.plan_report import plan_report
from lctx.cli.report import Bar, Table
from lctx.cli.sources import Reading
from lctx.core.errors import DamagedSourceError
from lctx.core.models.rope import rope_from_config
from lctx.core.planning.cost import Cost
from lctx.core.planning.plan import WindowChange
from lctx.core.planning.strategy import StrategyEstimate
from lctx.core.planning.window import choose_window

SOURCE = document()
READING = Reading((SOURCE,), (DamagedSourceError("b.pdf", "cut off"),), (), (("logo.png", "a picture"),))


def lines(made, reading=READING):
    return [piece for piece in plan_report(made, reading, None) if isinstance(piece, str)]


def tables(made):
    return [piece for piece in plan_report(made, READING, None) if isinstance(piece, Table)]


def test_the_window_adds_up_on_one_line():
    """This test ensures that the parts of the window stand in one sum that is right."""
    told = lines(plan(SOURCE))
    assert "window 4,096 = instructions 40 + sources 3,790 + question 10 + answer 256 + margin 0" in told
    assert 40 + 3790 + 10 + 256 == 4096


def test_the_bar_is_the_window():
    """This test ensures that the parts of the bar add up to the window, what is free last."""
    (bar,) = [piece for piece in plan_report(plan(SOURCE), READING, None) if isinstance(piece, Bar)]
    assert sum(size for _, size in bar.parts) == 4096
    assert bar.parts[-1][0] == "free"


def test_why_this_window_and_which_rope():
    """This test ensures that the reader sees who chose the window and what is put on the rope, or that nothing is."""
    model = replace(small_model(8192), rope=rope_from_config(SMOLLM2), effective_source="a measurement")
    for asked, expected in (
        (None, "window 8,192, a measurement; rope: the model's own reaches 8,192, none is put on top"),
        (16_384, "window 16,384, as asked for; rope: yarn x2 (8,192 -> 16,384)"),
    ):
        assert expected in lines(replace(plan(SOURCE), window=choose_window(model, asked=asked)))
    bare = replace(plan(SOURCE), window=choose_window(small_model(4096)))
    assert any(line.endswith("rope: not known") for line in lines(bare))


def test_columns_appear_where_something_is_known():
    """This test ensures that time, energy and price have a column only where one strategy has them."""
    estimate = StrategyEstimate("full", True, 9000, "reads all", coverage=1.0)
    for cost, expected in (
        (None, ()),
        (Cost(1.5, 20.0), ("prefill", "decode")),
        (Cost(1.5, 20.0, 3.25), ("prefill", "decode", "energy")),
        (Cost(1.5, 20.0, 3.25, 0.0125), ("prefill", "decode", "energy", "price")),
    ):
        other = StrategyEstimate("retrieve", True, 90, "the best")
        strategies, _ = tables(replace(plan(SOURCE), estimates=(replace(estimate, cost=cost), other)))
        assert strategies.head == ("strategy", "fits", "prompt", "requests", "evidence", *expected)
        assert strategies.rows[0][5:] == ("1.50 s", "20 s", "3.25 Wh", "0.0125")[: len(expected)]
        assert strategies.rows[1][4:] == ("?",) * (1 + len(expected))


def test_every_source_has_a_row_with_what_to_do():
    """This test ensures that tokens, share, reason and remedy stand beside the source, and what is no source below."""
    made = plan(SOURCE)
    made = replace(made, omitted=(replace(made.omitted[0], remedy="raise --budget to 30 or more"),))
    _, sources = tables(made)
    assert sources.rows == [("30", "10", "33 %", "notes.txt", "no match", "raise --budget to 30 or more")]
    assert "not a source: logo.png (a picture)" in lines(made)


def test_estimated_counts_say_so():
    """This test ensures that a count that is not exact carries a tilde everywhere, and its error stands above."""
    made = replace(plan(SOURCE), exact=False)
    strategies, sources = tables(made)
    assert strategies.rows[0][2] == "~9,000"
    assert sources.rows[0][:2] == ("~30", "~10")
    assert any(line.startswith("counts with ~ are estimated: ") for line in lines(made))
    assert any(line.startswith("prompt ~60 tokens") for line in lines(made))


def test_other_windows_are_told_with_what_they_take():
    """This test ensures that another window comes with its rope and its bytes."""
    change = WindowChange(16_384, "is enough for everything", "yarn x2", 1 << 30)
    told = lines(replace(plan(SOURCE), other_windows=(change,)))
    assert "a window of 16,384 (yarn x2, KV cache 1.0 GiB): is enough for everything" in told


def test_each_strategy_says_why():
    """This test ensures that the reason of every strategy is there, not only that of the chosen one."""
    assert "full: larger than the window" in lines(plan(SOURCE))
