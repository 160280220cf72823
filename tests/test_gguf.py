"""GGUF headers: what is read, what is refused, and that it is what the engine reads too."""

import struct

import pytest
from llama_server import serving
from token_texts import gguf, write_gguf

from lctx.core.errors import ModelFileError
from lctx.core.models.gguf import read_header

METADATA = {
    "general.architecture": "llama",
    "llama.context_length": 4096,
    "llama.rope.freq_base": 0.5,
    "negative": -7,
    "yes": True,
    "empty": "",
    "words": ["a", "", "ä▁", "last"],
    "numbers": [1, 2, 3],
    "floats": [0.25, -1.0],
    "flags": [True, False, True],
}


def test_values_come_back_with_their_types(tmp_path):
    """This test ensures that every kind of value reads as what it was written as."""
    header = read_header(write_gguf(tmp_path / "m.gguf", METADATA, tensors=((8, 4), (5,))))
    assert header.architecture == "llama"
    assert header.integer("llama.context_length") == 4096
    assert header.metadata["llama.rope.freq_base"] == 0.5
    assert header.integer("negative") == -7
    assert header.flag("yes") is True
    assert header.integer("yes") is None
    assert header.text("empty") == ""
    words = header.strings("words")
    assert list(words) == METADATA["words"] == words[:]
    assert (words[-1], words[0], words[1:3]) == ("last", "a", ["", "ä▁"])
    with pytest.raises(IndexError):
        words[4]
    assert header.integers("numbers") == (1, 2, 3)
    assert header.integers("llama.context_length") == (4096,)
    assert list(header.metadata["floats"]) == [0.25, -1.0]
    assert header.metadata["flags"] == [True, False, True]
    assert header.text("absent") is header.integer("words") is header.strings("negative") is None
    assert header.num_parameters == 37


def test_strings_that_are_not_utf8_stay_apart(tmp_path):
    """This test ensures that two different byte strings never become one text."""
    path = write_gguf(tmp_path / "m.gguf", {"words": ["\udcff", "\udcfe", "ÿ"]})
    assert len(set(read_header(path).strings("words"))) == 3


def test_a_file_cut_anywhere_is_refused(tmp_path):
    """This test ensures that no cut, at any byte, reads as a model, hangs or crashes."""
    whole = gguf(METADATA, tensors=((8, 4), (5,)))
    path = tmp_path / "cut.gguf"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFileError) as caught:
            read_header(path)
        assert str(path) in caught.value.message
        assert caught.value.hint


def test_a_real_file_cut_short_is_refused(gemma_gguf, tmp_path):
    """This test ensures that a download that stopped is told from a model, in the header and in the weights."""
    size = gemma_gguf.stat().st_size
    path = tmp_path / "cut.gguf"
    for length in (100, 5000, 4 << 20, (4 << 20) + 3, 6_500_000, 6_511_168, 20 << 20):
        with gemma_gguf.open("rb") as file:
            path.write_bytes(file.read(length))
        with pytest.raises(ModelFileError, match=r"cut off|more than the file can hold"):
            read_header(path)
    with path.open("r+b") as file:  # sparse: as long as the model, less a byte
        file.truncate(size - 1)
    with pytest.raises(ModelFileError, match="cut off"):
        read_header(path)


HUGE = 1 << 62
BROKEN = [
    (b"", "the file is empty"),
    (b"GG", "not a GGUF file"),
    (b"%PDF-1.7 and so on, longer than a header", "not a GGUF file"),
    (struct.pack("<4sIQQ", b"GGUF", 1, 0, 0), "version 1"),
    (struct.pack("<4sIQQ", b"GGUF", 99, 0, 0), "version 99"),
    (struct.pack(">4sIQQ", b"GGUF", 3, 0, 0), "big-endian"),
    (struct.pack("<4sIQQ", b"GGUF", 3, 0, HUGE), "claims"),
    (struct.pack("<4sIQQ", b"GGUF", 3, HUGE, 0), "claims"),
    (struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + struct.pack("<Q", HUGE) + bytes(50), "claims"),
    (struct.pack("<4sIQQQ1sI", b"GGUF", 3, 0, 1, 1, b"k", 8) + struct.pack("<Q", HUGE) + bytes(50), "claims"),
    (struct.pack("<4sIQQQ1sI", b"GGUF", 3, 0, 1, 1, b"k", 77) + bytes(50), "type 77"),
    (struct.pack("<4sIQQQ1sIIQ", b"GGUF", 3, 0, 1, 1, b"k", 9, 8, HUGE) + bytes(50), "claims"),
    (struct.pack("<4sIQQQ1sIIQ", b"GGUF", 3, 0, 1, 1, b"k", 9, 10, HUGE) + bytes(50), "claims"),
    (struct.pack("<4sIQQQ1sIIQ", b"GGUF", 3, 0, 1, 1, b"k", 9, 9, 1) + bytes(50), "array of type 9"),
    (struct.pack("<4sIQQQ1sI", b"GGUF", 3, 1, 0, 1, b"t", 4000) + bytes(50), "4000 dimensions"),
    (struct.pack("<4sIQQQ1sIQIQ", b"GGUF", 3, 1, 0, 1, b"t", 1, HUGE, 0, 0) + bytes(50), "cut off"),
]


@pytest.mark.parametrize(("content", "told"), BROKEN, ids=[told for _, told in BROKEN])
def test_what_is_no_model_is_named(content, told, tmp_path):
    """This test ensures that each kind of damage is refused in its own words, whatever sizes it claims."""
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=told):
        read_header(path)


def test_what_cannot_be_opened_is_refused(tmp_path):
    """This test ensures that a missing file and a directory are told, not raised as they come."""
    with pytest.raises(ModelFileError, match="no such file"):
        read_header(tmp_path / "absent.gguf")
    with pytest.raises(ModelFileError, match="directory"):
        read_header(tmp_path)


def test_an_impossible_alignment_is_refused(tmp_path):
    """This test ensures that no arithmetic on a hostile header divides by zero."""
    with pytest.raises(ModelFileError, match="alignment"):
        read_header(write_gguf(tmp_path / "m.gguf", {"general.alignment": 0}, tensors=((4,),)))


@pytest.mark.engine
@pytest.mark.parametrize("model", ["gemma_gguf", "smollm2_gguf"])
def test_the_header_says_what_the_engine_reads(model, request):
    """This test ensures that vocabulary, windows and sizes are those that llama.cpp reports for the same file."""
    path = request.getfixturevalue(model)
    header = read_header(path)
    with serving(path) as server:
        told = server.ask("/v1/models")["data"][0]["meta"]
    assert len(header.strings("tokenizer.ggml.tokens")) == told["n_vocab"]
    assert header.integer(f"{header.architecture}.context_length") == told["n_ctx_train"]
    assert header.integer(f"{header.architecture}.embedding_length") == told["n_embd"]
    assert header.num_parameters == told["n_params"]
