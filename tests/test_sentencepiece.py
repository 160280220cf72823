"""SentencePiece vocabularies: ids equal to llama.cpp's, whatever the text."""

import random
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_server import serving
from token_texts import TEXTS, write_gguf

from lctx.core.errors import ModelFileError
from lctx.core.models.gguf import read_header
from lctx.core.models.resolve import resolve_model
from lctx.core.tokens.load import load_tokenizer
from lctx.core.tokens.merging import NEVER, merge
from lctx.core.tokens.sentencepiece import SentencePieceTokenizer, build_sentencepiece
from lctx.core.tokens.table import VocabularyTable

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6


@pytest.fixture(scope="module")
def gemma(gemma_gguf):
    header = read_header(gemma_gguf)
    table = VocabularyTable(build_sentencepiece(header))
    return SentencePieceTokenizer("gemma", {}, lambda: table)


@pytest.fixture(scope="module")
def tokens(gemma_gguf):
    """What each id stands for, as bytes."""
    header = read_header(gemma_gguf)
    kinds = header.integers("tokenizer.ggml.token_type")
    return [
        bytes([int(text[3:5], 16)]) if kind == BYTE else text.replace("▁", " ").encode()
        for text, kind in zip(header.strings("tokenizer.ggml.tokens"), kinds, strict=True)
    ]


def vocabulary(tmp_path, pieces, **more):
    """A tokenizer of `pieces`: (text, score, kind) in the order of their ids."""
    texts, scores, kinds = zip(*pieces, strict=True)
    metadata = {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": list(texts),
        "tokenizer.ggml.scores": [float(score) for score in scores],
        "tokenizer.ggml.token_type": list(kinds),
        **{f"tokenizer.ggml.{key}": value for key, value in more.items()},
    }
    path = write_gguf(tmp_path / "vocabulary.gguf", metadata)
    return load_tokenizer(resolve_model(str(path), tmp_path / "cache"), tmp_path / "cache")


@pytest.mark.engine
def test_ids_are_those_of_the_engine(gemma, gemma_gguf):
    """This test ensures that prose, code, ten scripts, spaces and special tokens get llama.cpp's own ids."""
    generator = random.Random(7)
    joined = [text[start : start + 40] for text in TEXTS.values() for start in range(0, len(text), 40)]
    mixed = ["".join(generator.sample(joined, 6)) for _ in range(150)]
    with serving(gemma_gguf) as server:
        for text in [*TEXTS.values(), *mixed]:
            assert gemma.encode(text) == server.tokenize(text), text


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])) | st.text("a> </.\n\t▁1é中", max_size=60))
def test_ids_spell_the_text(gemma, tokens, text):
    """This test ensures that nothing of a text is lost or changed by encoding it."""
    spelt = b"".join(tokens[one] for one in gemma.encode(text)).decode()
    assert spelt == text.replace("▁", " ")
    assert gemma.count_batch([text, text]) == [len(gemma.encode(text))] * 2
    assert gemma.encode_batch([text]) == [gemma.encode(text)]


@settings(max_examples=200, deadline=None)
@given(text=st.text("ab>< /.▁1²é中文\u0301", max_size=80) | st.text(max_size=50))
def test_words_change_no_id(gemma, text):
    """This test ensures that cutting a text into words gives the ids of merging all of it at once."""
    plain = gemma._vocabulary
    text = text.replace("\n", " ").replace("\t", " ").replace(" ", "▁")
    pieces = [plain._plain_ids[word] for word in re.findall(plain.table.rules["plain_word"], text)]
    assert [one for piece in pieces for one in piece] == plain._merged(text)


def test_long_and_short_texts_agree(gemma_gguf, gemma):
    """This test ensures that the table and the dict that long texts use are the same vocabulary."""
    table = VocabularyTable(build_sentencepiece(read_header(gemma_gguf)))
    fresh = SentencePieceTokenizer("fresh", {}, lambda: table)
    text = "".join(TEXTS.values())
    short = fresh.encode(text)
    assert fresh._vocabulary._rank == table.rank
    long = fresh.encode(text * 30)
    assert fresh._vocabulary._rank != table.rank
    assert fresh.encode(text) == short == gemma.encode(text)
    assert fresh.count_batch([text * 30, text]) == [len(long), len(short)]


def test_words_are_forgotten_when_they_are_many(gemma, monkeypatch):
    """This test ensures that a library of documents does not fill the memory with its words, nor change an id."""
    text = "".join(TEXTS.values())
    expected = gemma.encode(text)
    monkeypatch.setattr("lctx.core.tokens.sentencepiece._MAX_WORDS", 10)
    assert gemma.encode_batch([text, text, "a b"]) == [expected, expected, gemma.encode("a b")]
    assert len(gemma._vocabulary._ids) < 500


def test_control_tokens_in_a_document_are_text(gemma, gemma_gguf):
    """This test ensures that no text ever encodes to a control token."""
    kinds = read_header(gemma_gguf).integers("tokenizer.ggml.token_type")
    texts = read_header(gemma_gguf).strings("tokenizer.ggml.tokens")
    control = {index for index, kind in enumerate(kinds) if kind == CONTROL}
    written = "".join(texts[index] + " " for index in sorted(control))
    assert not control & set(gemma.encode(written))


def test_hostile_texts_are_encoded(gemma, tokens):
    """This test ensures that a million of anything, lone surrogates and nothing at all neither hang nor crash."""
    assert gemma.encode("") == []
    assert gemma.encode_batch([]) == gemma.count_batch([]) == []
    for text in (" " * 1_000_000, "a" * 100_000, "=" * 100_000, "中" * 100_000, "\n" * 100_000):
        assert b"".join(tokens[one] for one in gemma.encode(text)).decode() == text
    assert gemma.encode("a\ud800b") == gemma.encode("a\ufffdb")


def test_a_vocabulary_without_runs_or_bytes(tmp_path):
    """This test ensures that a plain old vocabulary works: a space in front, unknown characters as unknown."""
    pieces = [
        ("<unk>", 0, UNKNOWN),
        ("<s>", 0, CONTROL),
        ("▁", -1, NORMAL),
        ("a", -2, NORMAL),
        ("b", -3, NORMAL),
    ]
    pieces += [("ab", -4, NORMAL), ("▁ab", -5, NORMAL), ("a1", -6, NORMAL), ("1", -7, NORMAL)]
    tokenizer = vocabulary(tmp_path, pieces, unknown_token_id=0)
    assert tokenizer.encode("ab") == [6]
    assert tokenizer.encode("ab ab") == [6, 6]
    assert tokenizer.encode("aba1") == [6, 7]
    assert tokenizer.encode("<s>") == [2, 0, 0, 0]  # byte by byte, each unknown
    assert tokenizer.special("<s>") == 1
    assert tokenizer.special("ab") is None


def test_user_defined_tokens_come_first(tmp_path):
    """This test ensures that tokens a maker defined are cut out before merging, the longest first."""
    pieces = [
        ("<unk>", 0, UNKNOWN),
        ("a", -1, NORMAL),
        ("b", -2, NORMAL),
        ("ab", -3, NORMAL),
        ("▁", -4, NORMAL),
    ]
    pieces += [("[x]", 0, USER_DEFINED), ("bb", 0, USER_DEFINED), ("bbb", 0, USER_DEFINED)]
    tokenizer = vocabulary(tmp_path, pieces, add_space_prefix=False)
    assert tokenizer.encode("ab[x]b") == [3, 5, 2]
    assert tokenizer.encode("abb") == [1, 6]
    assert tokenizer.encode("abbbb") == [1, 7, 2]
    assert tokenizer.encode(" bbb▁bb") == [4, 7, 4, 6]


@pytest.mark.parametrize(
    "changed",
    [
        {"tokenizer.ggml.scores": [0.5]},
        {"tokenizer.ggml.token_type": [1]},
        {"tokenizer.ggml.scores": "none"},
    ],
)
def test_a_damaged_vocabulary_is_told(changed, tmp_path):
    """This test ensures that parts that do not fit together are an error at the first text."""
    metadata = {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": ["a", "b"],
        "tokenizer.ggml.scores": [0.0, -1.0],
    }
    path = write_gguf(tmp_path / "m.gguf", metadata | changed)
    tokenizer = load_tokenizer(resolve_model(str(path), tmp_path / "cache"), None)
    with pytest.raises(ModelFileError, match="vocabulary is damaged"):
        tokenizer.encode("a")


@given(
    word=st.text("abc", min_size=1, max_size=120),
    ranked=st.lists(st.text("abc", min_size=2, max_size=5), unique=True, max_size=40),
)
def test_a_heap_merges_as_a_scan_does(word, ranked):
    """This test ensures that long words follow the same rule as short ones: lowest rank, then leftmost."""
    ranks = {text: rank for rank, text in enumerate(ranked)}
    parts = list(word)
    while True:
        pairs = [(ranks.get(left + right, NEVER), at) for at, (left, right) in enumerate(pairwise(parts))]
        lowest, at = min(pairs, default=(NEVER, 0))
        if lowest == NEVER:
            break
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    assert merge(word, ranks.get) == parts
    padded = "x" * 60  # long enough for the heap, and nothing in it merges
    assert merge(word + padded, ranks.get) == parts + list(padded)
