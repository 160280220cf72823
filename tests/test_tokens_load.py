"""From a model's files to its tokenizer: what is kept, what is built again, what is refused."""

import json

import pytest
from token_texts import TEXTS, write_gguf

from lctx.core.errors import ModelFileError
from lctx.core.models.profile import Capability, ModelProfile, PromptStyle
from lctx.core.models.resolve import resolve_model
from lctx.core.storage import ByteCache
from lctx.core.tokens.load import load_tokenizer

SENTENCEPIECE = {
    "general.architecture": "llama",
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": ["<unk>", "<s>", "▁", "a", "b", "ab", "<unused9>"],
    "tokenizer.ggml.scores": [0.0, 0.0, -1.0, -2.0, -3.0, -4.0, 0.0],
    "tokenizer.ggml.token_type": [2, 3, 1, 1, 1, 1, 3],
}


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path):
    return write_gguf(tmp_path / "m.gguf", SENTENCEPIECE)


def load(path, cache):
    return load_tokenizer(resolve_model(str(path), cache), cache)


def kept_files(cache):
    return [one for one in (cache / "tokenizers").rglob("*") if one.is_file()]


def num_kept(cache) -> int:
    return sum(number for number, _ in ByteCache(cache / "tokenizers").usage().kinds.values())


def test_hash_and_specials_are_known_without_the_vocabulary(model, cache):
    """This test ensures that a plan's cached counts cost no vocabulary: only facts are kept until a text comes."""
    tokenizer = load(model, cache)
    assert tokenizer.exact
    assert tokenizer.special("<s>") == 1
    assert tokenizer.special("a") is tokenizer.special("<unused9>") is tokenizer.special("") is None
    assert num_kept(cache) == 1
    assert tokenizer.encode("ab") == [2, 5]
    assert num_kept(cache) == 2
    again = load(model, cache)
    assert (again.hash, again.special("<s>")) == (tokenizer.hash, 1)


def test_a_kept_vocabulary_is_used(model, cache, monkeypatch):
    """This test ensures that the next process opens what the first one built, and builds nothing."""
    load(model, cache).encode("a")
    monkeypatch.setattr("lctx.core.tokens.source_gguf.read_header", None)
    assert load(model, cache).encode("ab") == [2, 5]


@pytest.mark.parametrize("content", [b"", b"x" * 40, None], ids=["empty", "other", "flipped"])
def test_what_is_damaged_is_built_again(content, model, cache):
    """This test ensures that a damaged cache changes nothing but the time."""
    load(model, cache).encode("a")
    for path in kept_files(cache):
        before = path.read_bytes()
        path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]) if content is None else content)
    assert load(model, cache).encode("ab") == [2, 5]


def test_without_a_cache_it_works(model, tmp_path):
    """This test ensures that keeping nothing, and a cache that cannot be written, only cost time."""
    profile = resolve_model(str(model), tmp_path / "cache")
    assert load_tokenizer(profile, None).encode("ab") == [2, 5]
    (tmp_path / "file").write_text("in the way")
    assert load_tokenizer(profile, tmp_path / "file").encode("ab") == [2, 5]


def test_the_hash_names_the_vocabulary(model, tmp_path, cache):
    """This test ensures that equal vocabularies share counts, and that any difference in rules parts them."""
    first = load(model, cache).hash
    copy = write_gguf(tmp_path / "copy.gguf", SENTENCEPIECE | {"llama.block_count": 3})
    assert load(copy, cache).hash == first
    changes = [
        {"tokenizer.ggml.tokens": ["<unk>", "<s>", "▁", "a", "b", "ba", "<unused9>"]},
        {"tokenizer.ggml.scores": [0.0, 0.0, -1.0, -2.0, -3.0, -5.0, 0.0]},
        {"tokenizer.ggml.token_type": [2, 3, 1, 1, 1, 4, 3]},
        {"tokenizer.ggml.add_space_prefix": False},
    ]
    hashes = {
        load(write_gguf(tmp_path / f"{n}.gguf", SENTENCEPIECE | one), cache).hash
        for n, one in enumerate(changes)
    }
    assert len(hashes | {first}) == 1 + len(changes)


def test_a_model_that_changes_meanwhile_is_told(model, cache):
    """This test ensures that one model's vocabulary is never kept under another's hash."""
    load(model, cache).encode("a")
    tokenizer = load(model, cache)
    for path in kept_files(cache):
        path.unlink()
    write_gguf(model, SENTENCEPIECE | {"tokenizer.ggml.scores": [0.0, 0.0, -1.0, -2.0, -3.0, -5.0, 0.0]})
    with pytest.raises(ModelFileError, match="changed while"):
        tokenizer.encode("a")


def test_a_model_without_files_is_our_mistake():
    """This test ensures that nobody asks for the files of a model behind an address."""
    profile = ModelProfile("m", None, "", "", 1, 1, PromptStyle.CHAT, frozenset({Capability.LOOKUP}))
    with pytest.raises(ValueError, match="no files here"):
        load_tokenizer(profile, None)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "neither tokenizer.json nor tiktoken.model"),
        ("", "damaged"),
        ("[]", "damaged"),
        ("{}", "damaged: no model"),
        ('{"model": {"type": "BPE"}, "added_tokens": 3}', "damaged: no model"),
    ],
)
def test_a_directory_without_a_tokenizer_is_told(content, told, tmp_path, cache):
    """This test ensures that a missing or broken tokenizer.json is named."""
    (tmp_path / "config.json").write_text("{}")
    profile = resolve_model(str(tmp_path), cache)
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ModelFileError, match=told):
        load_tokenizer(profile, cache)


@pytest.mark.parametrize(
    "model",
    [
        {"type": "BPE", "vocab": {}, "merges": []},
        {"type": "BPE", "vocab": {"a": -1}, "merges": []},
        {"type": "BPE", "vocab": {"a": "x"}, "merges": ["a"]},
        {"type": "BPE", "vocab": 3, "merges": []},
        {"type": "BPE"},
        {"type": "BPE", "vocab": {"a": 1}, "merges": [["a"]]},
        {"type": "Unheard"},
    ],
)
def test_a_broken_vocabulary_is_told(model, tmp_path, cache):
    """This test ensures that hostile vocabularies are an error with the file's name, never a crash."""
    pre_tokenizer = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": model, "pre_tokenizer": pre_tokenizer}))
    tokenizer = load(tmp_path, cache)
    with pytest.raises(ModelFileError, match="damaged"):
        tokenizer.encode("a")


def test_a_broken_pattern_is_told(tmp_path, cache):
    """This test ensures that a way of cutting words that is no pattern is an error, not a crash."""
    step = {"type": "Split", "pattern": {"Regex": "(?<"}, "behavior": "Isolated", "invert": False}
    last = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    described = {
        "model": {"type": "BPE", "vocab": {"a": 1}, "merges": []},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [step, last]},
    }
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "tokenizer.json").write_text(json.dumps(described))
    with pytest.raises(ModelFileError, match="damaged"):
        load(tmp_path, cache).encode("a")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A directory with a tokenizer.json of another kind: BPE over words with a SentencePiece space."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    folder = tmp_path_factory.mktemp("trained")
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=["<unk>", "<s>", *bytes_], show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS.values(), trainer)
    tokenizer.add_tokens(["<think>"])
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text("{}")
    return folder


def test_any_other_kind_goes_through_the_library(trained, cache):
    """This test ensures that a tokenizer of another make gets the library's ids, whole and unpadded."""
    from tokenizers import Tokenizer

    tokenizer = load(trained, cache)
    library = Tokenizer.from_file(str(trained / "tokenizer.json"))
    library.no_truncation()
    library.no_padding()
    texts = [text for name, text in TEXTS.items() if name != "specials"]
    expected = [library.encode(text, add_special_tokens=False).ids for text in texts]
    assert tokenizer.encode_batch(texts) == expected
    assert [tokenizer.encode(text) for text in texts] == expected
    assert tokenizer.count_batch(texts) == [len(ids) for ids in expected]
    assert load(trained, cache).encode_batch(texts) == expected


def test_control_tokens_are_text_in_the_library_too(trained, cache):
    """This test ensures that neither special tokens nor markers that were merely added are matched in a document."""
    tokenizer = load(trained, cache)
    control = {tokenizer.special("<s>"), tokenizer.special("<unk>"), tokenizer.special("<think>")}
    assert None not in control
    assert not control & set(tokenizer.encode("a <s> b <unk> <think> c"))
    assert tokenizer.encode("a\ud800b") == tokenizer.encode("a\ufffdb")
    assert tokenizer.encode("") == []
