"""From a name to a profile: the embedded model, GGUF files, model directories, and what is none of them."""

import json
import time

import pytest
from token_texts import write_gguf

from lctx.core.errors import ModelFileError, UsageError
from lctx.core.models import derive, effective, embedded
from lctx.core.models.effective import record_effective_window
from lctx.core.models.layers import LayerGroup, LayerKind, StateSize
from lctx.core.models.profile import UNMEASURED, AttentionShape, Capability, PromptStyle
from lctx.core.models.resolve import resolve_model, weights_identity

LLAMA = {
    "general.architecture": "llama",
    "general.name": "Some Model",
    "general.license": "mit",
    "llama.context_length": 131_072,
    "llama.block_count": 4,
    "llama.embedding_length": 256,
    "llama.attention.head_count": 8,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.model": "gpt2",
}
TEMPLATE = {"tokenizer.chat_template": "{{ messages }}"}


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def test_the_embedded_model_is_known(gemma_gguf, cache):
    """This test ensures that the default is Gemma 270M base, asked by completion, for look-ups, with its terms."""
    (cache / "models").parent.mkdir(parents=True)
    (cache / "models").symlink_to(gemma_gguf.parent)
    profile = resolve_model(None, cache)
    assert profile == resolve_model("gemma-3-270m", cache)
    assert profile.name == "gemma-3-270m"
    assert profile.style is PromptStyle.COMPLETION
    assert profile.capabilities == {Capability.LOOKUP}
    assert (profile.native_window, profile.effective_window) == (32_768, embedded.EMBEDDED_EFFECTIVE_WINDOW)
    assert profile.shape == AttentionShape.uniform(18, 1, 256, 512, 15)
    assert profile.add_bos
    assert profile.licence == "Gemma Terms of Use"
    assert "third party" in profile.origin


def test_a_chat_model_is_known(smollm2_gguf, cache):
    """This test ensures that an instruction-tuned GGUF is asked through its template."""
    profile = resolve_model(str(smollm2_gguf), cache)
    assert profile.name == smollm2_gguf.stem
    assert profile.style is PromptStyle.CHAT
    assert (profile.native_window, profile.effective_window) == (8192, 8192)
    assert profile.shape == AttentionShape.uniform(30, 3, 64)
    assert not profile.add_bos
    assert profile.licence == "apache-2.0"


def test_a_known_profile_costs_milliseconds(smollm2_gguf, cache):
    """This test ensures that the header is read once, however often a question is asked."""
    first = resolve_model(str(smollm2_gguf), cache)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        assert resolve_model(str(smollm2_gguf), cache) == first
        times.append(time.perf_counter() - start)
    assert min(times) < 0.005


GGUFS = [
    ({}, {"style": PromptStyle.COMPLETION, "effective_window": 8192, "add_bos": False}),
    (TEMPLATE, {"style": PromptStyle.CHAT, "licence": "mit", "origin": "Some Model"}),
    (TEMPLATE | {"general.name": "Some Model Base"}, {"style": PromptStyle.COMPLETION}),
    (TEMPLATE | {"general.name": "some-model-pt"}, {"style": PromptStyle.COMPLETION}),
    ({"general.organization": "Makers"}, {"origin": "Some Model, by Makers"}),
    ({"tokenizer.ggml.model": "llama"}, {"add_bos": True}),
    ({"tokenizer.ggml.pre": "llama-bpe"}, {"add_bos": True}),
    ({"tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.add_bos_token": False}, {"add_bos": False}),
    ({"llama.context_length": 2048}, {"native_window": 2048, "effective_window": 2048}),
    ({}, {"shape": AttentionShape.uniform(4, 2, 32)}),
    ({"llama.attention.key_length": 128}, {"shape": AttentionShape.uniform(4, 2, 128)}),
    ({"llama.attention.head_count_kv": [2, 2, 0, 2]}, {"shape": None}),
    ({"llama.attention.head_count_kv": [2, 2, 2, 2]}, {"shape": AttentionShape.uniform(4, 2, 32)}),
    ({"llama.attention.kv_lora_rank": 512}, {"shape": None}),
    ({"llama.ssm.state_size": 16}, {"shape": None}),
    ({"llama.attention.head_count": 0}, {"shape": None}),
    ({"llama.attention.sliding_window": 512}, {"shape": AttentionShape.uniform(4, 2, 32)}),
    (
        {"llama.attention.sliding_window": 512, "llama.attention.sliding_window_pattern": [True, True, False, True]},
        {"shape": AttentionShape.uniform(4, 2, 32, 512, 3)},
    ),
    (
        {"llama.attention.sliding_window": 512, "llama.attention.sliding_window_pattern": 4},
        {"shape": AttentionShape.uniform(4, 2, 32, 512, 3)},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "expected"), GGUFS)
def test_a_header_becomes_a_profile(changed, expected, tmp_path, cache):
    """This test ensures that each key of a header ends up where planning looks for it."""
    profile = resolve_model(str(write_gguf(tmp_path / "m.gguf", LLAMA | changed)), cache)
    assert {name: getattr(profile, name) for name in expected} == expected
    assert profile.capabilities == {Capability.LOOKUP}


def test_a_large_instructed_model_may_be_asked_more(tmp_path, cache, monkeypatch):
    """This test ensures that family, size and tuning together open the other kinds of question."""
    monkeypatch.setattr(derive, "_LARGE", 1000)
    path = write_gguf(tmp_path / "m.gguf", LLAMA | TEMPLATE, tensors=((10, 100),))
    assert resolve_model(str(path), cache).capabilities == set(Capability)
    for name, changed, size in [("base", {}, 1000), ("small", TEMPLATE, 999)]:
        path = write_gguf(tmp_path / f"{name}.gguf", LLAMA | changed, tensors=((size,),))
        assert resolve_model(str(path), cache).capabilities == {Capability.LOOKUP}


CONFIG = {
    "model_type": "qwen2",
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "vocab_size": 152_064,
    "max_position_embeddings": 32_768,
}
DIRECTORIES = [
    (
        {},
        {},
        {"shape": AttentionShape.uniform(28, 4, 128), "native_window": 32_768, "effective_window": 8192},
    ),
    (
        {"sliding_window": 4096, "use_sliding_window": False},
        {},
        {"shape": AttentionShape.uniform(28, 4, 128)},
    ),
    (
        {"model_type": "mistral", "sliding_window": 4096},
        {},
        {"shape": AttentionShape.uniform(28, 4, 128, 4096, 28)},
    ),
    (
        {"sliding_window": 128, "layer_types": ["sliding_attention", "full_attention"] * 14, "head_dim": 64},
        {},
        {"shape": AttentionShape.uniform(28, 4, 64, 128, 14)},
    ),
    ({"layer_types": ["linear_attention", "full_attention"] * 14}, {}, {"shape": None}),
    (
        {"sliding_window": 512, "sliding_window_pattern": 6},
        {},
        {"shape": AttentionShape.uniform(28, 4, 128, 512, 24)},
    ),
    ({"kv_lora_rank": 512}, {}, {"shape": None}),
    (
        {"layer_types": ["linear_attention", "full_attention"] * 14, "linear_conv_kernel_dim": 4}
        | dict.fromkeys(("linear_num_key_heads", "linear_num_value_heads"), 2)
        | dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim"), 8),
        {},
        {
            "shape": AttentionShape(
                (
                    *AttentionShape.uniform(14, 4, 128).layers,
                    LayerGroup(LayerKind.STATE, 14, state=StateSize(48, 4, 128)),
                )
            )
        },
    ),
    ({}, {"chat_template": "{{ x }}"}, {"style": PromptStyle.CHAT, "capabilities": frozenset(Capability)}),
    (
        {"num_hidden_layers": 2},
        {"chat_template": "{{ x }}"},
        {"capabilities": frozenset({Capability.LOOKUP})},
    ),
    ({}, {"add_bos_token": True}, {"add_bos": True, "style": PromptStyle.COMPLETION}),
    ({"max_position_embeddings": None}, {"model_max_length": 1024}, {"native_window": 1024}),
    ({"max_position_embeddings": None}, {"model_max_length": int(1e30)}, {"native_window": 2048}),
]


@pytest.mark.parametrize(("config", "tokenizer", "expected"), DIRECTORIES)
@pytest.mark.parametrize("nested", [False, True], ids=["plain", "text_config"])
def test_a_directory_becomes_a_profile(config, tokenizer, expected, nested, tmp_path):
    """This test ensures that config.json is read, also where the decoder is one part of a larger model."""
    folder = tmp_path / "model"
    folder.mkdir()
    config = CONFIG | config
    if nested:
        config = {"model_type": "outer", "text_config": config}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    cache = tmp_path / "cache"
    profile = resolve_model(str(folder), cache)
    assert {name: getattr(profile, name) for name in expected} == expected
    assert resolve_model(str(folder), cache) == profile


def test_a_post_processor_that_begins_a_prompt_is_seen(tmp_path, cache):
    """This test ensures that a begin-of-sequence token is known where only tokenizer.json speaks of it."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"bos_token": {"content": "<|begin|>"}}))
    for processor, expected in [(None, False), ({"single": [{"SpecialToken": {"id": "<|begin|>"}}]}, True)]:
        (tmp_path / "tokenizer.json").write_text(json.dumps({"post_processor": processor}))
        assert resolve_model(str(tmp_path), cache).add_bos is expected


def test_a_window_that_was_measured_anew_is_seen(tmp_path, cache, monkeypatch):
    """This test ensures that a kept profile does not outlive the rule it was derived by."""
    path = str(write_gguf(tmp_path / "m.gguf", LLAMA))
    assert resolve_model(path, cache).effective_window == 8192
    monkeypatch.setattr(effective, "UNMEASURED_WINDOW", 1234)
    assert resolve_model(path, cache).effective_window == 1234


def test_a_changed_file_is_read_again(tmp_path, cache):
    """This test ensures that a kept profile never speaks for another file."""
    path = write_gguf(tmp_path / "m.gguf", LLAMA)
    assert resolve_model(str(path), cache).native_window == 131_072
    write_gguf(path, LLAMA | {"llama.context_length": 99_999, "more": "bytes"})
    assert resolve_model(str(path), cache).native_window == 99_999


def test_a_damaged_kept_profile_is_derived_again(tmp_path, cache):
    """This test ensures that a cache can hold anything without being believed."""
    path = write_gguf(tmp_path / "m.gguf", LLAMA)
    first = resolve_model(str(path), cache)
    for kept in [one for one in cache.rglob("*") if one.is_file()]:
        kept.write_bytes(b"x" * 50)
    assert resolve_model(str(path), cache) == first


def test_a_damaged_model_is_told_and_its_repair_is_seen(tmp_path, cache):
    """This test ensures that damage is an error each time, and that nothing of it is remembered."""
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF and then nothing of use")
    for _ in range(2):
        with pytest.raises(ModelFileError):
            resolve_model(str(path), cache)
    write_gguf(path, LLAMA)
    assert resolve_model(str(path), cache).native_window == 131_072


def test_what_is_no_language_model_is_told(tmp_path, cache):
    """This test ensures that other GGUF files and other directories are refused by name."""
    with pytest.raises(ModelFileError, match="no architecture"):
        resolve_model(str(write_gguf(tmp_path / "m.gguf", {"a": 1})), cache)
    with pytest.raises(ModelFileError, match=r"without config\.json"):
        resolve_model(str(tmp_path), cache)
    for content in ("", "[]", "{", "[" * 100_000):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ModelFileError, match="damaged"):
            resolve_model(str(tmp_path), cache)


def test_an_unknown_name_gets_suggestions(tmp_path, cache, monkeypatch):
    """This test ensures that a misspelt name is answered with what it may have meant, a path with its absence."""
    monkeypatch.chdir(tmp_path)
    write_gguf(tmp_path / "other-model.gguf", LLAMA)
    with pytest.raises(UsageError) as caught:
        resolve_model("gemma-3-270", cache)
    assert caught.value.hint == "did you mean gemma-3-270m?"
    with pytest.raises(UsageError) as caught:
        resolve_model("other-modl", cache)
    assert "other-model.gguf" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        resolve_model("xyz", cache)
    assert "--endpoint" in caught.value.hint
    for path in ("absent.gguf", "absent/model"):
        with pytest.raises(ModelFileError, match="no such file or directory"):
            resolve_model(path, cache)


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path):
    """This test ensures that a model is known without any cache at all."""
    (tmp_path / "file").write_text("in the way")
    path = write_gguf(tmp_path / "m.gguf", LLAMA)
    for _ in range(2):
        assert resolve_model(str(path), tmp_path / "file" / "cache").native_window == 131_072


def test_a_read_only_cache_has_the_model_assembled_elsewhere(gemma_gguf, tmp_path, monkeypatch):
    """This test ensures that the embedded model works where the cache may only be read, in a folder of the user's own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    folders = []

    def refused(folder, on_progress=None):
        folders.append(folder)
        if folder.is_relative_to(tmp_path / "cache"):
            raise ModelFileError("no") from PermissionError(13, "Permission denied")
        return gemma_gguf

    monkeypatch.setattr(embedded, "assemble", refused)
    assert resolve_model(None, tmp_path / "cache").path == gemma_gguf
    own = folders[1].parent
    assert own.parent == tmp_path
    assert own.stat().st_mode & 0o777 == 0o700
    own.chmod(0o777)  # as if someone else had made it first
    with pytest.raises(ModelFileError):
        resolve_model(None, tmp_path / "cache")


QWEN = CONFIG | {"model_type": "qwen3", "max_position_embeddings": 40_960}
QUANTISED = {"quant_method": "awq", "bits": 4, "group_size": 128}


def directory(folder, config):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return str(folder)


def test_a_directory_has_the_window_that_its_model_was_published_with(tmp_path, cache):
    """This test ensures that the scores of the very weights count, by name, and not those of quantised ones."""
    whole = resolve_model(directory(tmp_path / "Qwen3-8B", QWEN | {"torch_dtype": "bfloat16"}), cache)
    assert whole.effective_window == 32_768
    assert whole.effective_source.startswith("RULER")
    renamed = QWEN | {"torch_dtype": "bfloat16", "_name_or_path": "Qwen/Qwen3-8B"}
    assert resolve_model(directory(tmp_path / "mine", renamed), cache).effective_window == 32_768
    packed = QWEN | {"torch_dtype": "bfloat16", "quantization_config": QUANTISED}
    for name, config in (("four/Qwen3-8B", packed), ("Qwen3-8B-AWQ", packed), ("unknown", QWEN)):
        profile = resolve_model(directory(tmp_path / name, config), cache)
        assert (profile.effective_window, profile.effective_source) == (8192, UNMEASURED)


@pytest.mark.parametrize(("file_type", "expected"), [(32, 32_768), (15, 8192), (20, 8192)])
def test_a_gguf_has_the_published_window_as_long_as_it_is_not_quantised(tmp_path, cache, file_type, expected):
    """This test ensures that the name in the header counts for 16-bit weights, and for Q4_K_M and IQ not."""
    header = LLAMA | TEMPLATE | {"general.name": "Qwen3 8B", "general.file_type": file_type}
    assert resolve_model(str(write_gguf(tmp_path / "m.gguf", header)), cache).effective_window == expected


def test_a_measurement_counts_at_once_and_is_not_frozen(tmp_path, cache):
    """This test ensures that a kept profile follows what the user measured, a quantised one and below the score too."""
    state = tmp_path / "state"
    packed = QWEN | {"torch_dtype": "bfloat16", "quantization_config": QUANTISED}
    folder = directory(tmp_path / "Qwen3-8B", packed)
    assert resolve_model(folder, cache, state=state).effective_window == 8192
    for tokens in (16_384, 4096, 200_000):
        record_effective_window("Qwen3-8B", tokens, 90.0, "needle, 60 questions", state)
        profile = resolve_model(folder, cache, state=state)
        assert profile.effective_window == min(tokens, 40_960)
        assert profile.effective_source.startswith("measured on this machine")
    assert resolve_model(folder, cache).effective_window == 8192


def test_the_embedded_model_keeps_its_own_window(gemma_gguf, cache, tmp_path):
    """This test ensures that the length that ships with the embedded model is the one that was tested."""
    cache.mkdir(parents=True)
    (cache / "models").symlink_to(gemma_gguf.parent)
    record_effective_window("gemma-3-270m", 16_384, 99.0, "needle", tmp_path / "state")
    profile = resolve_model(None, cache, state=tmp_path / "state")
    assert profile.effective_window == embedded.EMBEDDED_EFFECTIVE_WINDOW


def test_a_card_can_be_planned_for_and_not_be_asked(cache):
    """This test ensures that a model without weights here is refused with what would do, and planned with its scores."""
    with pytest.raises(UsageError, match="lctx knows its shape but has not its weights") as caught:
        resolve_model("Qwen3-8B", cache)
    assert "lctx plan takes it" in caught.value.hint
    profile = resolve_model("Qwen3-8B", cache, cards=True)
    assert (profile.path, profile.effective_window) == (None, 32_768)


def test_weights_are_named_by_what_they_are(tmp_path):
    """This test ensures that a folder's name does not count, and a changed tail, size or file does."""

    def named(folder, files):
        (tmp_path / folder).mkdir()
        for name, content in files.items():
            (tmp_path / folder / name).write_bytes(content)
        return weights_identity(tmp_path / folder)

    large = bytes(1 << 18)
    one = named("one", {"a.safetensors": large + b"1", "b.safetensors": b"2", "readme.md": b"x"})
    assert one == named("two", {"a.safetensors": large + b"1", "b.safetensors": b"2"})
    others = [{"a.safetensors": large + b"2", "b.safetensors": b"2"}, {"a.safetensors": large + b"1"}]
    others += [{"a.safetensors": large + b"11", "b.safetensors": b"2"}]
    assert len({one, *(named(f"other{number}", files) for number, files in enumerate(others))}) == 4
    assert named("empty", {}) is None
    assert weights_identity(tmp_path / "nowhere") is None
