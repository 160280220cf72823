"""The model behind a run: managed or attached, and the folders it needs."""

import json
import os
import stat
from dataclasses import replace

import pytest
from cli_answers import ready
from scripted_server import MODELS, Reply, ScriptedServer, answer, document

from lctx.cli.attachment import ATTACHED_WINDOW, Attachment, api_key
from lctx.cli.folders import fallback_cache, unwritable, usable_directories
from lctx.cli.settings import Settings
from lctx.core.engine.events import Usage
from lctx.core.engine.protocol import Message, Sampling
from lctx.core.errors import EngineRefusedError, UsageError
from lctx.core.models.effective import record_effective_window
from lctx.core.models.profile import UNMEASURED, Capability, PromptStyle
from lctx.core.planning.calibration import kept_runs
from lctx.core.storage import Directories
from lctx.core.tokens.estimate import EstimatingTokenizer
from lctx.core.tokens.served import ServedTokenizer

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100, "intermediate_size": 128,
    "max_position_embeddings": 2048,
}  # fmt: skip


@pytest.fixture
def folders(tmp_path):
    """Folders of one test."""
    return Directories(tmp_path / "cache", tmp_path / "state", tmp_path / "run")


def attach(server, folders, engine="endpoint", **more):
    settings = Settings(engine=engine, endpoint=server.address, wait=1.0, **more)
    return Attachment(settings, folders, lambda _: None, lambda _: None, start=True)


def models(**more):
    return document({"object": "list", "data": [MODELS["data"][0] | more]})


def test_an_endpoint_is_counted_by_estimate(folders):
    """This test ensures that a model whose tokenizer is not at hand is never said to be counted exactly."""
    with ScriptedServer({}) as server:
        attachment = attach(server, folders)
        profile = attachment.profile
        assert isinstance(attachment.tokenizer, EstimatingTokenizer)
        assert (profile.name, profile.path, profile.native_window) == ("scripted", None, 4096)
        assert (profile.style, profile.capabilities) == (PromptStyle.CHAT, frozenset(Capability))
        assert attachment.label == f"endpoint {server.address}"
        attachment.close()


def test_a_large_window_is_trusted_so_far_only(folders):
    """This test ensures that a card's million tokens do not become the effective window unmeasured."""
    with ScriptedServer({"/v1/models": models(max_model_len=1_000_000)}) as server:
        profile = attach(server, folders).profile
    assert (profile.native_window, profile.effective_window) == (1_000_000, ATTACHED_WINDOW)


def test_a_vllm_of_this_machine_is_counted_with_its_own_files(folders, tmp_path):
    """This test ensures that the folder that the server names is used, with the server's window and name."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    with ScriptedServer({"/v1/models": models(root=str(model), max_model_len=1024)}) as server:
        profile = attach(server, folders, "vllm").profile
    assert (profile.path, profile.name) == (model, "scripted")
    assert (profile.native_window, profile.effective_window) == (1024, 1024)
    assert profile.shape is not None


@pytest.mark.parametrize("root", ["org/model", "/nowhere/at/all", None, 7, ""])
def test_a_vllm_without_files_here_counts_itself(folders, root):
    """This test ensures that the server's own ids are asked for where its files are not here."""
    script = {
        "/v1/models": models(root=root),
        "/tokenize": Reply((b'{"tokens": [1, 2, 3]}',), 200, "application/json"),
    }
    with ScriptedServer(script) as server:
        attachment = attach(server, folders, "vllm")
        assert isinstance(attachment.tokenizer, ServedTokenizer)
        assert attachment.tokenizer.encode("some text") == [1, 2, 3]
        assert attachment.profile.path is None


def served_model(folder, config=CONFIG, weights=b"weights"):
    """A model directory as a server would load it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def salts_of(folders, model, prompt, window=2048):
    """The salts that a vLLM gets which serves the model in that folder."""
    script = {
        "/v1/models": models(root=str(model), max_model_len=window),
        "/v1/completions": answer("thirty"),
        "/v1/chat/completions": answer("thirty"),
    }
    with ScriptedServer(script) as server:
        attachment = attach(server, folders, "vllm")
        fingerprint = attachment.profile.fingerprint
        for _ in range(2):
            list(attachment.engine.generate(prompt, Sampling(4)))
        sent = [one.body.get("cache_salt") for one in server.requests if "completions" in one.path]
    assert sent == [fingerprint, fingerprint]
    return sent[0]


@pytest.mark.parametrize("prompt", [[1, 2, 3], [Message("user", "How old?")]])
def test_a_vllm_gets_the_fingerprint_of_weights_and_rope_as_salt(folders, tmp_path, prompt):
    """This test ensures that both paths carry the same salt each time, and another rope or weights another."""
    salt = salts_of(folders, served_model(tmp_path / "one"), prompt)
    assert len(salt) == 16
    assert salt == salts_of(folders, served_model(tmp_path / "moved/one"), prompt)
    other_rope = served_model(tmp_path / "two", CONFIG | {"rope_theta": 1e6})
    other_weights = served_model(tmp_path / "three", weights=b"weighty")
    stretched = salts_of(folders, served_model(tmp_path / "one"), prompt, window=4096)
    salts = {salt, salts_of(folders, other_rope, prompt), salts_of(folders, other_weights, prompt), stretched}
    assert len(salts) == 4


def test_without_weights_or_a_known_rope_no_salt_is_sent(folders, tmp_path):
    """This test ensures that no salt is made up where lctx cannot tell what is served."""
    model = served_model(tmp_path / "model")
    assert salts_of(folders, model, [1], window=10_000_000) is None
    (model / "model.safetensors").unlink()
    assert salts_of(folders, model, [1]) is None


def test_a_plain_endpoint_gets_no_salt(folders):
    """This test ensures that a server that may refuse unknown fields is not sent one."""
    with ScriptedServer({"/v1/chat/completions": answer("thirty")}) as server:
        attachment = attach(server, folders, "endpoint")
        attachment.engine.salt_cache("0123456789abcdef")
        list(attachment.engine.generate([Message("user", "How old?")], Sampling(4)))
        assert "cache_salt" not in server.requests[-1].body


def test_what_was_measured_bounds_a_served_model(folders, tmp_path):
    """This test ensures that the user's measurement counts for a model behind an address, then published scores."""
    with ScriptedServer({"/v1/models": models(max_model_len=1_000_000)}) as server:
        assert attach(server, folders).profile.effective_source == UNMEASURED
        record_effective_window("scripted", 65_536, 91.0, "needle, 60 questions", folders.state)
        profile = attach(server, folders).profile
        assert (profile.effective_window, profile.native_window) == (65_536, 1_000_000)
        assert profile.effective_source.startswith("measured on this machine: needle")
    named = document({"object": "list", "data": [{"id": "Qwen/Qwen3-8B", "max_model_len": 131_072}]})
    with ScriptedServer({"/v1/models": named}) as server:
        profile = attach(server, folders, "vllm").profile
        assert (profile.effective_window, "RULER" in profile.effective_source) == (32_768, True)


RUN = replace(ready("thirty"), usage=Usage(1000, 0, 2), first_token_s=1.0, decode_s=0.1)


def test_only_a_model_whose_files_are_here_teaches(folders, tmp_path):
    """This test ensures that a run teaches this machine's rates, and neither an endpoint nor `--no-cache` does."""
    script = {"/v1/models": models(root=str(served_model(tmp_path / "model")))}
    with ScriptedServer(script) as server:
        attach(server, folders, "endpoint").learn(RUN)
        attach(server, folders, "vllm", cache=False).learn(RUN)
        assert kept_runs(folders.state)[1] == 0
        attach(server, folders, "vllm").learn(RUN)
    path, num_runs = kept_runs(folders.state)
    assert (num_runs, json.loads(path.read_text())["rows"][0]["model"]) == (1, "model")
    with ScriptedServer({"/v1/models": models(root="/nowhere")}) as server:
        attach(server, folders, "vllm").learn(RUN)
    assert kept_runs(folders.state)[1] == 1


def test_several_models_need_a_name(folders):
    """This test ensures that nobody guesses which of a server's models is meant."""
    several = document({"object": "list", "data": [{"id": "a"}, {"id": "b"}]})
    with ScriptedServer({"/v1/models": several}) as server:
        with pytest.raises(UsageError, match="several models"):
            _ = attach(server, folders, "vllm").profile
        assert attach(server, folders, "vllm", model="b").profile.name == "b"


def test_a_server_that_lists_nothing_is_refused(folders):
    """This test ensures that an address that is no such API is an engine failure."""
    with (
        ScriptedServer({"/v1/models": document({"data": []})}) as server,
        pytest.raises(EngineRefusedError),
    ):
        _ = attach(server, folders, "vllm").profile


def test_the_key_is_the_environments(monkeypatch):
    """This test ensures that lctx's own variable wins, and an empty one is none."""
    monkeypatch.setenv("LCTX_API_KEY", "")
    monkeypatch.setenv("OPENAI_API_KEY", "open")
    assert api_key() == "open"
    monkeypatch.setenv("LCTX_API_KEY", "own")
    assert api_key() == "own"
    monkeypatch.delenv("LCTX_API_KEY")
    monkeypatch.delenv("OPENAI_API_KEY")
    assert api_key() is None


def test_usual_folders_are_made_private(monkeypatch, tmp_path):
    """This test ensures that the cache can be read by this user only, and nothing is warned of."""
    monkeypatch.setenv("LCTX_HOME", str(tmp_path / "deep" / "home"))
    told = []
    folders = usable_directories(told.append)
    made = (folders.cache, folders.cache.parent, folders.cache.parent.parent)
    assert (told, [stat.S_IMODE(folder.stat().st_mode) for folder in made]) == ([], [0o700] * 3)


def test_a_cache_that_cannot_be_made_moves(monkeypatch, tmp_path):
    """This test ensures that a home that is a file costs a warning and a private folder."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("LCTX_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    told = []
    folders = usable_directories(told.append)
    assert folders.cache == tmp_path / f"lctx-{os.getuid()}" / "cache"
    assert stat.S_IMODE(folders.cache.parent.stat().st_mode) == 0o700
    assert len(told) == 1
    assert unwritable(folders.cache) is None
    assert unwritable(tmp_path / "file/below") == "not a directory"


@pytest.mark.parametrize("plant", ["link", "open", "file"])
def test_a_folder_that_somebody_planted_is_not_trusted(monkeypatch, tmp_path, plant):
    """This test ensures that in a directory that everyone can write to only our own, closed folder is used."""
    planted = tmp_path / f"lctx-{os.getuid()}"
    if plant == "link":
        (tmp_path / "theirs").mkdir()
        planted.symlink_to(tmp_path / "theirs")
    elif plant == "open":
        planted.mkdir()
        planted.chmod(0o777)
    else:
        planted.touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cache = fallback_cache()
    assert cache.parent != planted
    assert stat.S_IMODE(cache.parent.stat().st_mode) == 0o700
