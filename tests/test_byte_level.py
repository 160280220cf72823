"""Byte-level vocabularies: ids equal to the engine's and to the tokenizers library's, whatever the text."""

import base64
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_server import serving
from token_texts import TEXTS, write_gguf

from lctx.core.errors import ModelFileError
from lctx.core.models.gguf import read_header
from lctx.core.models.resolve import resolve_model
from lctx.core.tokens.byte_level import byte_alphabet, cut
from lctx.core.tokens.load import load_tokenizer
from lctx.core.tokens.patterns import (
    DIGITS_GPT2,
    GPT2,
    GPT4O,
    KIMI_K2,
    LLAMA3,
    PATTERN_OF,
    QWEN2,
    QWEN35,
    TEKKEN,
    grouped,
)

ALPHABET = byte_alphabet()
SPLITS = {
    "llama3": LLAMA3,
    "qwen2": QWEN2,
    "qwen35": QWEN35,
    "tekken": TEKKEN,
    "gpt4o": GPT4O,
    "kimi": KIMI_K2,
}


@pytest.fixture(scope="module")
def smollm2(smollm2_gguf, model_cache):
    return load_tokenizer(resolve_model(str(smollm2_gguf), model_cache), model_cache)


@pytest.fixture(scope="module")
def parts(smollm2_gguf):
    """SmolLM2's vocabulary, merges and kinds."""
    header = read_header(smollm2_gguf)
    tokens = header.strings("tokenizer.ggml.tokens")
    merges = [line.split(" ") for line in header.strings("tokenizer.ggml.merges")]
    kinds = header.integers("tokenizer.ggml.token_type")
    return {text: index for index, text in enumerate(tokens)}, merges, kinds


def described(parts, pre_tokenizer, **more):
    """A tokenizer.json of SmolLM2's vocabulary."""
    vocabulary, merges, kinds = parts
    model = {
        "type": "BPE",
        "vocab": vocabulary,
        "merges": merges,
        "ignore_merges": False,
        "byte_fallback": False,
    }
    added = [
        {"id": index, "content": text, "special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        for text, index in vocabulary.items()
        if kinds[index] == 3
    ]  # fmt: skip
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "model": model | more,
    }


def byte_level(*, use_regex):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def split_by(pattern):
    step = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [step, byte_level(use_regex=False)]}


PRE_TOKENIZERS = {
    "gpt2": byte_level(use_regex=True),
    "digits": {
        "type": "Sequence",
        "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level(use_regex=True)],
    },
    **{name: split_by(pattern) for name, pattern in SPLITS.items()},
}


def from_directory(folder, tokenizer_json=None, config=None):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config or {"model_type": "llama"}))
    if tokenizer_json is not None:
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json))
    cache = folder.parent / "cache"
    return load_tokenizer(resolve_model(str(folder), cache), cache)


@pytest.mark.engine
def test_ids_are_those_of_the_engine(smollm2, smollm2_gguf):
    """This test ensures that prose, code, ten scripts, spaces and special tokens get llama.cpp's own ids."""
    generator = random.Random(8)
    joined = [text[start : start + 40] for text in TEXTS.values() for start in range(0, len(text), 40)]
    mixed = ["".join(generator.sample(joined, 6)) for _ in range(150)]
    with serving(smollm2_gguf) as server:
        for text in [*TEXTS.values(), *mixed]:
            assert smollm2.encode(text) == server.tokenize(text), text


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])) | st.text("a 1'\n\té中", max_size=60))
def test_ids_spell_the_text(smollm2, parts, text):
    """This test ensures that nothing is lost, but for bytes that the vocabulary has no token for."""
    texts = list(parts[0])
    held = {text for text in texts if len(text) == 1}
    spelt = "".join(texts[one] for one in smollm2.encode(text))
    expected = "".join(ALPHABET[byte] for byte in text.encode())
    assert spelt == "".join(one for one in expected if one in held)
    assert smollm2.count_batch([text]) == [len(smollm2.encode(text))]


@pytest.mark.parametrize("name", PRE_TOKENIZERS)
def test_a_tokenizer_json_gets_the_librarys_ids(name, parts, tmp_path):
    """This test ensures that tiktoken, with our reading of the file, equals the library that the file is for."""
    from tokenizers import Tokenizer

    tokenizer_json = described(parts, PRE_TOKENIZERS[name])
    ours = from_directory(tmp_path / "model", tokenizer_json)
    assert type(ours).__name__ == "ByteLevelTokenizer"
    library = Tokenizer.from_str(json.dumps(tokenizer_json))
    library.encode_special_tokens = True
    texts = list(TEXTS.values())
    assert ours.encode_batch(texts) == [library.encode(text, add_special_tokens=False).ids for text in texts]
    assert ours.special("<|im_end|>") == 2


@pytest.mark.parametrize(
    ("pre", "pattern"), [("gpt-2", GPT2), ("smollm", DIGITS_GPT2), *SPLITS.items()], ids=lambda one: one[:8]
)
def test_patterns_tile_any_text(pre, pattern, parts, tmp_path):
    """This test ensures that no pattern leaves a character between two words."""
    import tiktoken

    alphabet = {bytes([byte]): byte for byte in range(256)}
    encoding = tiktoken.Encoding(pre, pat_str=pattern, mergeable_ranks=alphabet, special_tokens={})
    for text in TEXTS.values():
        assert bytes(encoding.encode_ordinary(text)) == text.encode()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"a|b|c(?!d)|e", r"(?:a|b)|c(?!d)|e"),
        (r"a(b|c)|[|(]|\(|\\|\||(?<=x)y|(z|\)|)", r"(?:a(b|c)|[|(]|\(|\\|\|)|(?<=x)y|(z|\)|)"),
        (r"[a&&[^b|]]|(?i:x|y)|(?=z)", r"(?:[a&&[^b|]]|(?i:x|y))|(?=z)"),
        (r"a|b", r"a|b"),
        (r"a(?=b|c|d)", r"a(?=b|c|d)"),
        (r"a|(?=b)", r"a|(?=b)"),
        (r"(?i)a|b|(?=c)", r"(?i)a|b|(?=c)"),
        (r"a|b)|(c|(?=d)", r"a|b)|(c|(?=d)"),
        (r"a|b|[c|(?=d)", r"a|b|[c|(?=d)"),
        (r"[]|]a|b|(?=c)", r"[]|]a|b|(?=c)"),
        ("", ""),
    ],
)
def test_alternatives_that_look_nowhere_are_grouped(pattern, expected):
    """This test ensures that a pattern stays the same for whoever reads it, and is faster where that is certain."""
    assert grouped(pattern) == expected


@pytest.mark.parametrize("pattern", sorted(set(PATTERN_OF.values())))
def test_every_pattern_in_use_is_grouped(pattern):
    """This test ensures that all but the alternatives for white space are found in one go."""
    first, _, rest = grouped(pattern).partition(r")|\s+(?")
    assert first == f"(?:{pattern[: len(first) - 3]}"
    assert {"L", "N"} <= set(first)
    assert "L" not in rest


def test_a_file_and_a_directory_of_one_model_agree(smollm2, parts, tmp_path):
    """This test ensures that a model's GGUF and its tokenizer.json give the same ids."""
    directory = from_directory(tmp_path / "model", described(parts, PRE_TOKENIZERS["digits"]))
    texts = list(TEXTS.values())
    assert directory.encode_batch(texts) == smollm2.encode_batch(texts)


def test_ids_need_not_follow_the_order_of_merging(smollm2, parts, tmp_path):
    """This test ensures that a vocabulary in any order merges as its merges say."""
    vocabulary, merges, kinds = parts
    order = list(range(len(vocabulary)))
    random.Random(1).shuffle(order)
    shuffled = {text: order[index] for text, index in vocabulary.items()}
    pre_tokenizer = PRE_TOKENIZERS["digits"]
    tokenizer_json = described((vocabulary, merges, kinds), pre_tokenizer, vocab=shuffled)
    for one in tokenizer_json["added_tokens"]:
        one["id"] = order[one["id"]]
    ours = from_directory(tmp_path / "model", tokenizer_json)
    for text in TEXTS.values():
        assert ours.encode(text) == [order[one] for one in smollm2.encode(text)]


def test_text_is_normalised_where_the_file_says_so(smollm2, parts, tmp_path):
    """This test ensures that NFC, which Qwen asks for, is applied and nothing else is."""
    tokenizer_json = described(parts, PRE_TOKENIZERS["digits"]) | {"normalizer": {"type": "NFC"}}
    ours = from_directory(tmp_path / "model", tokenizer_json)
    assert ours.encode("cafe\u0301 ﬁ") == smollm2.encode("caf\u00e9 ﬁ") != smollm2.encode("cafe\u0301 ﬁ")


def test_added_words_are_matched_and_markers_are_text(smollm2, parts, tmp_path):
    """This test ensures that an added run of spaces is one token, and that `<think>` in a document is none."""
    tokenizer_json = described(parts, PRE_TOKENIZERS["digits"])
    rest = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    tokenizer_json["added_tokens"] += [
        rest | {"id": 50_000, "content": "      "},
        rest | {"id": 50_001, "content": "<think>"},
    ]
    ours = from_directory(tmp_path / "model", tokenizer_json)
    assert ours.encode("a      b") == [*smollm2.encode("a"), 50_000, *smollm2.encode("b")]
    assert ours.encode("<think>") == smollm2.encode("<think>")
    assert ours.special("<think>") == 50_001


def test_user_defined_tokens_of_a_file_are_matched(tmp_path):
    """This test ensures that GGUF's user-defined runs are one token, and its markers are text in a document."""
    metadata = {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": [*ALPHABET, "    ", "<think>", "</s>", "ab"],
        "tokenizer.ggml.token_type": [1] * 256 + [4, 4, 1, 1],
        "tokenizer.ggml.merges": ["a b"],
    }
    profile = resolve_model(str(write_gguf(tmp_path / "m.gguf", metadata)), tmp_path)
    tokenizer = load_tokenizer(profile, tmp_path)
    assert tokenizer.encode("ab    b") == [259, 256, ord("b")]
    assert tokenizer.encode("<think></s>") == list(b"<think></s>")
    assert (tokenizer.special("<think>"), tokenizer.special("</s>"), tokenizer.special("    ")) == (
        257,
        258,
        None,
    )
    metadata["tokenizer.ggml.token_type"] = [1]
    profile = resolve_model(str(write_gguf(tmp_path / "n.gguf", metadata)), tmp_path)
    with pytest.raises(ModelFileError, match="differ in number"):
        load_tokenizer(profile, tmp_path).encode("a")


def test_a_tiktoken_file_gets_the_same_ids(smollm2, parts, tmp_path):
    """This test ensures that ranks in tiktoken's own format are read, and cut as the family does."""
    vocabulary, _, kinds = parts
    byte_of = {character: byte for byte, character in enumerate(ALPHABET)}
    lines = [
        f"{base64.b64encode(bytes(map(byte_of.get, text))).decode()} {index}\n"
        for text, index in vocabulary.items()
        if kinds[index] != 3
    ]
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "tiktoken.model").write_text("".join(lines))
    added = {"2": {"content": "<|im_end|>"}, "x": {"content": "never"}}
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}))
    ours = from_directory(folder, config={"model_type": "qwen"})
    as_qwen = from_directory(tmp_path / "other", described(parts, PRE_TOKENIZERS["qwen2"]))
    texts = list(TEXTS.values())
    assert ours.encode_batch(texts) == as_qwen.encode_batch(texts)
    assert (ours.special("<|im_end|>"), ours.special("never")) == (2, None)


def test_a_tiktoken_file_of_an_unknown_family_is_refused(tmp_path):
    """This test ensures that no pattern is guessed."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "tiktoken.model").write_text("IQ== 0\n")
    with pytest.raises(ModelFileError, match="how 'strange' models cut words"):
        from_directory(tmp_path / "model", config={"model_type": "strange"})
    (tmp_path / "model" / "tiktoken.model").write_text("!!!! x\n")
    broken = from_directory(tmp_path / "model", config={"model_type": "llama"})
    with pytest.raises(ModelFileError, match="damaged"):
        broken.encode("a")


@settings(max_examples=50, deadline=None)
@given(text=st.text("a b\n", max_size=30), times=st.integers(1, 30_000))
def test_cuts_lose_nothing(text, times):
    """This test ensures that pieces add up to the text and are never long enough to make tiktoken panic."""
    whole = text * times
    pieces = list(cut(whole))
    assert "".join(pieces) == whole
    assert all(len(piece) <= 100_000 for piece in pieces)


def test_cuts_change_no_id_where_there_are_words(smollm2):
    """This test ensures that a long text gets the ids of the uncut text."""
    text = TEXTS["prose"] * 900
    assert len(text) > 200_000
    assert smollm2.encode(text) == smollm2._vocabulary._encoding.encode_ordinary(text)


def test_control_tokens_in_a_document_are_text(smollm2, parts):
    """This test ensures that no text ever encodes to a control token."""
    vocabulary, _, kinds = parts
    control = {index for index, kind in enumerate(kinds) if kind == 3}
    written = " ".join(text for text, index in vocabulary.items() if index in control)
    assert not control & set(smollm2.encode(written))


def test_hostile_texts_are_encoded(smollm2):
    """This test ensures that a million of anything, lone surrogates and nothing at all neither hang nor crash."""
    assert smollm2.encode("") == []
    assert smollm2.encode_batch([]) == smollm2.count_batch([]) == []
    for text in (" " * 1_000_000, "\n" * 300_000, "a" * 300_000, "=" * 300_000, "\u3000" * 200_000):
        assert len(smollm2.encode(text)) > 0
    assert smollm2.encode("a\ud800b") == smollm2.encode("a\ufffdb")


def test_batches_keep_their_order(smollm2):
    """This test ensures that work on several cores comes back in the order of the texts."""
    texts = [f"{number} " * (number % 50) for number in range(5000)]
    assert sum(map(len, texts)) > 200_000
    one_by_one = [smollm2.encode(text) for text in texts]
    assert smollm2.encode_batch(texts) == one_by_one
    assert smollm2.count_batch(texts) == [len(ids) for ids in one_by_one]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"tokenizer.ggml.pre": "unheard-of"}, "'unheard-of'"),
        ({"tokenizer.ggml.model": "rwkv"}, "'rwkv'"),
        ({"tokenizer.ggml.tokens": "none"}, "no vocabulary"),
    ],
)
def test_an_unknown_kind_is_refused_with_a_way_out(changed, told, tmp_path):
    """This test ensures that a tokenizer which lctx does not know is named, and that an engine can count instead."""
    metadata = {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": list(ALPHABET),
    }
    path = write_gguf(tmp_path / "m.gguf", metadata)
    assert load_tokenizer(resolve_model(str(path), tmp_path), None).encode("é") == list("é".encode())
    path = write_gguf(tmp_path / "n.gguf", metadata | changed)
    with pytest.raises(ModelFileError, match=told) as caught:
        load_tokenizer(resolve_model(str(path), tmp_path), None)
    assert "--endpoint" in caught.value.hint
