"""Counting long texts: by pieces, through tiktoken, on all cores; always what word by word says."""

import random
import time
from itertools import chain

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from token_texts import TEXTS, write_gguf

from lctx.core.models.gguf import read_header
from lctx.core.storage import ByteCache
from lctx.core.tokens import sentencepiece, shares
from lctx.core.tokens.pieces import PieceEncoder, piece_rules
from lctx.core.tokens.sentencepiece import SentencePieceTokenizer, _Vocabulary, build_sentencepiece
from lctx.core.tokens.shares import on_all_cores
from lctx.core.tokens.table import VocabularyTable
from lctx.core.tokens.words import SPACE

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6
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
def pieces(table):
    return PieceEncoder(table, piece_rules(table))


def encoded(pieces, text):
    (ids,) = pieces.encode_all([text])
    return ids


def counted(pieces, text):
    """Its count, alone and between others."""
    number, *_, between = pieces.count_all([text, "(a", "é", text])
    assert number == between
    return number


@pytest.fixture(scope="module")
def words(table):
    """The ids of a text word by word, as llama.cpp has them (see test_sentencepiece.py)."""
    vocabulary = _Vocabulary(table)
    vocabulary._rank = table.ranks().get
    return lambda text: list(chain.from_iterable(vocabulary._words(text)))


@pytest.fixture(scope="module")
def texts():
    generator = random.Random(5)
    made = ["".join(generator.choices(PARTS, k=generator.randint(1, 60))) for _ in range(400)]
    made += ["".join(chr(generator.randint(0, 127)) for _ in range(60)) for _ in range(400)]
    made += ["\n" * number for number in (0, 1, 2, 30, 31, 32, 62, 63)]
    return [*made, *TEXTS.values(), "a" * 10_000]


def test_long_texts_have_the_ids_of_short_ones(table, words, texts, monkeypatch):
    """This test ensures that whatever way a text is taken, it gets the same ids, and as many as are counted."""
    expected = list(map(words, texts))
    monkeypatch.setattr(sentencepiece, "_VERY_LONG_TEXT", 0)
    monkeypatch.setattr(shares, "_SHARE", 1000)
    tokenizer = SentencePieceTokenizer("gemma", {}, lambda: table)
    assert tokenizer.encode_batch(texts) == expected
    assert tokenizer.count_batch(texts) == list(map(len, expected))
    assert tokenizer.encode_batch([]) == tokenizer.count_batch([]) == []


@pytest.mark.parametrize(
    ("text", "falls"),
    [
        ("", True),
        ("plain <b>words</b>, 漢字 and Ünïcode", True),
        ("what SentencePiece ▁ writes", False),
        ("half of a pair \ud800", False),
        ("a character without an id \u1e36", False),
        ("all of it at once " * 1000, False),
    ],
)
def test_what_does_not_fall_into_pieces_is_told(pieces, words, text, falls):
    """This test ensures that a text is either encoded as it should be, or not at all."""
    assert encoded(pieces, text) == (words(text) if falls else None)
    assert counted(pieces, text) == (len(words(text)) if falls else None)


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]))
    | st.lists(st.sampled_from(PARTS)).map("".join)
    | st.text("a> </.\n\t1é中", max_size=60)
)
def test_pieces_change_no_id(pieces, words, text):
    """This test ensures that cutting a text into pieces gives the ids of any other way."""
    ids = encoded(pieces, text)
    assert ids in (None, words(text))
    assert counted(pieces, text) == (None if ids is None else len(ids))


def test_tokens_get_the_ids_of_their_characters(table, pieces, words):
    """This test ensures that a token which merging does not arrive at is not taken whole, and all others are."""
    written = [text.decode().replace(SPACE, " ") for text in table.texts()]
    never = [written[one] for one in piece_rules(table).never]
    assert " yyyy" in never
    for text in [*never, *random.Random(3).sample(written, 5000)]:
        for around in (text, f"{text}{text}", f"({text})"):
            assert encoded(pieces, around) in (None, words(around)), around


TOKENS = st.text("ab1>/é中▁", min_size=1, max_size=4).filter(lambda text: text != "▁")
USER = st.sampled_from(["\n", "\n\n", "  ", "   ", "\t", "<b>", "bb", "{", "é", "\nb", " a", "\x00"])


@settings(max_examples=300, deadline=None)
@given(
    tokens=st.lists(TOKENS, min_size=1, max_size=25, unique=True),
    user=st.lists(USER, max_size=6, unique=True),
    space_prefix=st.booleans(),
    texts=st.lists(st.text("ab1>/é中▁ \n\t{<\x00", max_size=40), min_size=5, max_size=20),
)
@example(tokens=["ab", "a", "b", "▁a"], user=[" a", "  "], space_prefix=True, texts=["a", " ab", "b  a ab"])
@example(tokens=["ab", "▁▁", "▁▁a"], user=["  "], space_prefix=False, texts=["a", "  ab", "b  a   ab"])
@example(tokens=["aé"], user=["é", "\n"], space_prefix=False, texts=["aé", "éa", "a\né"])
@example(tokens=["1>", "> <", "<é", ">中"], user=["  "], space_prefix=False, texts=["1> <é>中 >> < <"])
@example(
    tokens=[">▁<", "<é", "é>", "a中", "中1"], user=["  "], space_prefix=False, texts=["a> <é> <中1 a> < é"]
)
def test_any_vocabulary_falls_into_its_own_pieces(tmp_path_factory, tokens, user, space_prefix, texts):
    """This test ensures that where words may be cut is read off the vocabulary, whatever it joins."""
    pieces = [
        ("<unk>", UNKNOWN),
        ("▁", NORMAL),
        *((text, NORMAL) for text in tokens),
        *((text, USER_DEFINED) for text in user),
    ]
    metadata = {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [text for text, _ in pieces],
        "tokenizer.ggml.scores": [-float(number) for number in range(len(pieces))],
        "tokenizer.ggml.token_type": [kind for _, kind in pieces],
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.add_space_prefix": space_prefix,
    }
    path = write_gguf(tmp_path_factory.mktemp("vocabulary") / "vocabulary.gguf", metadata)
    table = VocabularyTable(build_sentencepiece(read_header(path)))
    rules = piece_rules(table)
    event(f"pieces: {rules is not None}")
    if rules is not None:
        encoder, vocabulary = PieceEncoder(table, rules), _Vocabulary(table)
        for text in texts:
            assert encoded(encoder, text) in (None, list(chain.from_iterable(vocabulary._words(text))))


@pytest.mark.parametrize("num_cores", [1, 2, 3])
@pytest.mark.parametrize("lengths", [(), (30,), (1,) * 5, (7, 0, 9, 10, 0, 0, 25, 1), range(50)])
def test_shares_keep_the_order(num_cores, lengths, monkeypatch):
    """This test ensures that several cores do what one does, in the same order, of texts that are still coming."""
    monkeypatch.setattr(shares, "available_cores", lambda: num_cores)
    monkeypatch.setattr(shares, "_SHARE", 10)
    texts = ("a" * length for length in lengths)
    assert on_all_cores(lambda share: list(map(len, share)), texts) == list(lengths)


@pytest.mark.parametrize("fails", ["work", "texts"])
def test_a_failure_ends_the_work(fails, monkeypatch):
    """This test ensures that what goes wrong in a thread, or on the way to it, is told, and the rest is not done."""
    monkeypatch.setattr(shares, "available_cores", lambda: 2)
    monkeypatch.setattr(shares, "_SHARE", 10)
    begun = []

    def work(share):
        begun.append(share)
        time.sleep(0.01)
        if fails == "work":
            raise OSError("it went wrong")
        return [0] * len(share)

    def texts():
        yield from ["a" * 10] * 500
        if fails == "texts":
            raise OSError("it went wrong")

    with pytest.raises(OSError, match="it went wrong"):
        on_all_cores(work, texts())
    assert 0 < len(begun) < 100


def test_few_texts_need_no_second_vocabulary(table):
    """This test ensures that nothing is loaded for what is counted before it would have been."""
    tokenizer = SentencePieceTokenizer("gemma", {}, lambda: table)
    assert tokenizer.count_batch(["one two"] * 100) == [2] * 100
    assert "_pieces" not in vars(tokenizer._vocabulary)
    assert tokenizer.count_batch(["one two"] * 250_000) == [2] * 250_000
    assert "_pieces" in vars(tokenizer._vocabulary)


@pytest.mark.parametrize("falls", [True, False])
def test_what_long_texts_need_is_kept(table, falls, tmp_path, monkeypatch):
    """This test ensures that a vocabulary is looked through once for all processes, whatever is found."""
    asked = []
    rules = piece_rules(table) if falls else None
    monkeypatch.setattr(sentencepiece, "piece_rules", lambda one: asked.append(one) or rules)
    monkeypatch.setattr(sentencepiece, "_VERY_LONG_TEXT", 10)
    for _ in range(2):
        tokenizer = SentencePieceTokenizer("gemma", {}, lambda: table, ByteCache(tmp_path))
        assert tokenizer.count_batch(["one two", "one two"]) == [2, 2]
        assert (tokenizer._vocabulary._pieces is not None) == falls
    assert asked == [table]
