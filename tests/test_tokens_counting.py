"""Counting long texts: line by line, through tiktoken, in shares; always what the ids say."""

import random
import signal
import subprocess
import sys

import pytest

from lctx.core.models.gguf import read_header
from lctx.core.tokens import sentencepiece, shares
from lctx.core.tokens.line_counts import LineCounter, most_newlines
from lctx.core.tokens.sentencepiece import SentencePieceTokenizer, build_sentencepiece, count_alone
from lctx.core.tokens.table import VocabularyTable

PARTS = (
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    "a",
    "Hello",
    " hello",
    "> ",
    "<table>",
    "▁",
    "é",
    "1",
    "23",
    "::",
    ">>",
    "\r",
)
PARTS += (
    "\x01",
    "漢字",
    "\ufffd",
    "\ud800",
    "antidisestablishment",
    "_name_of",
    "x" * 50,
    "\0",
    "\x7f",
    "()",
)


@pytest.fixture(scope="module")
def table(gemma_gguf):
    return VocabularyTable(build_sentencepiece(read_header(gemma_gguf)))


@pytest.fixture(scope="module")
def texts():
    generator = random.Random(5)
    made = ["".join(generator.choices(PARTS, k=generator.randint(1, 60))) for _ in range(400)]
    made += ["".join(chr(generator.randint(0, 127)) for _ in range(60)) for _ in range(400)]
    return [
        *made,
        *made[:100],
        *("\n" * number for number in (0, 1, 2, 30, 31, 32, 62, 63)),
        "a\n\n\nb",
        "\na",
        "a\n",
    ]


@pytest.fixture(scope="module")
def expected(table, texts):
    tokenizer = SentencePieceTokenizer("gemma", {}, lambda: table)
    return [len(tokenizer.encode(text)) for text in texts]


def test_counts_of_lines_are_those_of_ids(table, texts, expected):
    """This test ensures that texts counted line by line have as many tokens as they have ids."""
    assert count_alone(table, texts) == expected


def test_tiktoken_changes_no_count_and_no_id(table, texts, expected, monkeypatch):
    """This test ensures that words whose parts tiktoken tells get the same ids."""
    plain = SentencePieceTokenizer("gemma", {}, lambda: table)
    wanted = plain.encode_batch(texts)
    monkeypatch.setattr(sentencepiece, "_LONG_TEXT", 0)
    monkeypatch.setattr(sentencepiece, "_VERY_LONG_TEXT", 0)
    fast = SentencePieceTokenizer("gemma", {}, lambda: table)
    assert fast.encode_batch(texts) == wanted
    assert fast._vocabulary._merge_ascii is not None
    assert count_alone(table, texts) == expected


@pytest.mark.parametrize("num_shares", [1, 2, 3])
def test_shares_change_no_count(table, texts, expected, num_shares, monkeypatch):
    """This test ensures that several processes count what one does, in the same order."""
    monkeypatch.setattr(shares, "_SHARE", 1000)
    monkeypatch.setattr(shares, "available_cores", lambda: num_shares)
    started = []
    monkeypatch.setattr(subprocess.Popen, "__init__", noted(started))
    tokenizer = SentencePieceTokenizer("gemma", {}, lambda: table)
    assert tokenizer.count_batch(texts) == expected
    assert len(started) == num_shares - 1
    assert all(child.returncode is not None for child in started)


def noted(started):
    """`Popen.__init__` that remembers what it started."""
    begin = subprocess.Popen.__init__

    def init(self, *arguments, **more):
        begin(self, *arguments, **more)
        started.append(self)

    return init


@pytest.mark.parametrize("end", ["killed", "no interpreter"])
def test_a_share_that_is_lost_is_counted_here(table, texts, expected, end, monkeypatch):
    """This test ensures that counts are whole where a process dies, or cannot be started."""
    monkeypatch.setattr(shares, "_SHARE", 1000)
    monkeypatch.setattr(shares, "available_cores", lambda: 2)
    if end == "killed":
        give = shares._give

        def kill_and_give(child, *order):
            child.send_signal(signal.SIGKILL)
            give(child, *order)

        monkeypatch.setattr(shares, "_give", kill_and_give)
    else:
        monkeypatch.setattr(sys, "executable", "/no/such/interpreter")
    assert SentencePieceTokenizer("gemma", {}, lambda: table).count_batch(texts) == expected


def test_few_texts_stay_in_this_process(table, monkeypatch):
    """This test ensures that no process is started for what is counted before one would have begun."""
    monkeypatch.setattr(shares, "_Counting", None)
    assert SentencePieceTokenizer("gemma", {}, lambda: table).count_batch(["one two"] * 100) == [2] * 100
    assert SentencePieceTokenizer("gemma", {}, lambda: table).count_batch([]) == []


@pytest.mark.parametrize(
    ("tokens", "longest"),
    [
        ((), 0),
        (("\n",), 1),
        (("\n", "\n\n", "<b>"), 2),
        (("\n", "\n\n\n"), 0),
        (("\n", "a\nb"), 0),
        (("\n\n",), 0),
    ],
)
def test_newlines_that_part_lines(tokens, longest):
    """This test ensures that lines are counted apart only where no token can join them."""
    assert most_newlines(tokens) == longest


def test_slices_of_lines_are_independent(monkeypatch):
    """This test ensures that texts too long to be looked at together are counted all the same."""
    monkeypatch.setattr("lctx.core.tokens.line_counts._SLICE", 10)
    texts = ["ab\nab\ncd", "", "ab", "\n\n", "ab\n\ncd\n" * 3]
    counted = LineCounter(lambda text: len(text.replace("\n\n", "\n")), 2).count_batch(texts)
    assert counted == [8, 0, 2, 1, 18]
