"""`lctx plan` on a real terminal: the bar, whole numbers, and names that are never markup."""

import re
from itertools import pairwise

import pytest
from cli_answers import LCTX, SAMPLE, environment
from terminal import Terminal, clean_environment, output_of, require_tmux

pytestmark = pytest.mark.terminal

QWEN = ("--model", "qwen3-8b", "--gpu", "h100:80gb", "--price-per-hour", "2", "--window", "6000")
NUMBER = re.compile(r"\d[\d,.]*")


@pytest.fixture(params=[80, 40])
def columns(request):
    """A usual and a narrow terminal."""
    return request.param


@pytest.fixture
def screen_of(tmp_path):
    """Run `lctx plan` on a terminal of so many columns; give what it shows."""
    require_tmux()
    here = tmp_path / "here"
    here.mkdir()
    (here / "[bold]x.py").write_text('def pump():\n    return "The pump stands in room seven"\n', "utf-8")
    (here / "a.pdf").write_bytes(SAMPLE.read_bytes())
    opened = []

    def run(columns, *arguments, **more):
        told = clean_environment(environment(tmp_path / "home", TERM="xterm-256color", **more))
        terminal = Terminal(columns, 50, told, here)
        opened.append(terminal)
        terminal.run(LCTX, "plan", *arguments)
        return output_of(terminal.wait_for("code="))

    yield run
    for terminal in opened:
        terminal.close()


def test_a_plan_is_whole_on_a_terminal(screen_of, columns):
    """This test ensures that no number is broken and no row cut on a usual and on a narrow terminal."""
    shown = screen_of(columns, ".", "Where does the pump stand?", *QWEN)
    lines = shown.splitlines()
    assert all(len(line) <= columns for line in lines)
    assert "[bold]x.py" in shown
    for name in ("full", "retrieve", "a.pdf", "left out", "remedy", "evidence", "decode", "price"):
        assert name in shown
    # A number that was broken would leave a comma or a point at the end of one line, digits on the next.
    for line, below in pairwise(lines):
        assert not (re.search(r"\d[,.]?$", line.rstrip()) and re.match(r"\d{3}\b", below)), (line, below)
        assert not re.search(r"\d[,.]$", line.rstrip()), line


def test_the_bar_is_one_line_of_the_window(screen_of, columns):
    """This test ensures that the bar never wraps, and that its legend names every part with its tokens."""
    shown = screen_of(columns, ".", "Where does the pump stand?", *QWEN)
    (bar,) = [line for line in shown.splitlines() if re.fullmatch(r"█+░+\s*", line)]
    assert len(bar.strip()) == min(columns - 2, 60)
    legend = re.findall(r"[█░] ([a-z]+) ([\d,]+)", shown)
    assert [name for name, _ in legend] == ["instructions", "sources", "question", "answer", "free"]
    window = int(re.search(r"window\s([\d,]+)\s=", shown)[1].replace(",", ""))
    assert sum(int(size.replace(",", "")) for _, size in legend) == window


def test_commands_that_fit_are_not_broken(screen_of, columns):
    """This test ensures that a suggested command is one line of output, which the terminal alone wraps."""
    shown = screen_of(columns, "a.pdf", "Where?", *QWEN, "--strategy", "full")
    (first, *_) = re.findall(r"fits: [\s\S]*?(?=\nfits: |\Z)", shown)
    rows = first.rstrip("\n").split("\n")
    assert all(len(row) == columns for row in rows[:-1])
    assert "".join(rows).startswith("fits: lctx plan a.pdf 'Where?' --model qwen3-8b")


def test_no_colour_means_none(screen_of, columns):
    """This test ensures that NO_COLOR leaves every fact where it is."""
    shown = screen_of(columns, ".", "Where does the pump stand?", *QWEN, NO_COLOR="1")
    assert "[bold]x.py" in shown
    assert NUMBER.search(shown)
    assert "\x1b" not in shown
