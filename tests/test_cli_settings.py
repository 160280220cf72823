"""Settings in layers, and what a project may not decide."""

from pathlib import Path

import pytest

from lctx.cli.durations import parse_duration, short_duration
from lctx.cli.settings import KEYS, Settings, load_settings, own_config_file
from lctx.core.errors import ConfigError, UsageError


@pytest.fixture
def project(tmp_path):
    """The root of a git tree."""
    root = tmp_path / "project"
    (root / ".git").mkdir(parents=True)
    (root / "deep/er").mkdir(parents=True)
    return root


def load(tmp_path, flags=None, *, own="", project=None, toml="", **variables):
    file = tmp_path / "config.toml"
    file.write_text(own, "utf-8")
    if project:
        (project / "lctx.toml").write_text(toml, "utf-8")
    return load_settings(
        flags or {}, environ=variables, directory=(project or tmp_path) / "deep/er", own_file=file
    )


def test_without_anything_the_defaults_hold(tmp_path):
    """This test ensures that nothing has to be configured."""
    assert load(tmp_path) == (Settings(), [])


def test_each_layer_wins_over_the_next(tmp_path, project):
    """This test ensures that options win over variables, those over the project, that over the user's file."""
    own = 'max_tokens = 1\nbudget = 1\nseed = 1\nkeep_alive = "1s"\n'
    toml = "max_tokens = 2\nbudget = 2\nseed = 2\n"
    settings, _ = load(
        tmp_path,
        {"max_tokens": "4", "wait": None},
        own=own,
        project=project,
        toml=toml,
        LCTX_BUDGET="3",
        LCTX_MAX_TOKENS="3",
    )
    assert (settings.max_tokens, settings.budget, settings.seed, settings.keep_alive) == (4, 3, 2, 1.0)


def test_every_key_can_be_set_everywhere(tmp_path):
    """This test ensures that a flag, a variable and a file know the same settings."""
    values = {
        "model": "m", "engine": "vllm", "endpoint": "http://127.0.0.1:1", "endpoints": "http://a:1,http://b:2", "format": "md", "max_tokens": "5",
        "budget": "6", "strategy": "full", "keep_alive": "-1", "wait": "1h30m", "seed": "0", "no_cite": "yes",
        "require_citations": "1", "quiet": "on", "show_reasoning": "on", "offline": "true", "no_cache": "TRUE", "window": "7",
        "gpu": "2xh200", "kv_dtype": "fp8", "price_per_hour": "2.50", "vllm_python": "/opt/vllm/bin/python", "cache_size": "1.5gb",
    }  # fmt: skip
    assert set(values) == set(KEYS)
    expected = Settings(
        model="m", engine="vllm", endpoint="http://127.0.0.1:1", endpoints=("http://a:1", "http://b:2"), format="md", max_tokens=5, budget=6,
        strategy="full", keep_alive=None, wait=5400.0, seed=0, cite=False, require_citations=True, quiet=True, show_reasoning=True,
        offline=True, cache=False, window=7, gpu="2xh200", kv_dtype="fp8", price_per_hour=2.5,
        vllm_python=Path("/opt/vllm/bin/python"), cache_size=3 << 29,
    )  # fmt: skip
    toml = "".join(f'{key} = "{value}"\n' for key, value in values.items() if not value.isdigit())
    toml += "max_tokens = 5\nbudget = 6\nseed = 0\nwindow = 7\nrequire_citations = true\n"
    assert load(tmp_path, own=toml)[0] == expected
    assert load(tmp_path, **{f"LCTX_{key.upper()}": value for key, value in values.items()})[0] == expected
    assert load(tmp_path, values)[0] == expected


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ("max_tokns = 3", "did you mean max_tokens"),
        ('colour = "red"', "known keys: model, "),
        ("budget = -3", "not a whole number"),
        ("budget = true", "not a whole number"),
        ("budget = 99999999999", "not a whole number"),
        ('offline = "perhaps"', "neither true nor false"),
        ('strategy = "retreive"', "did you mean retrieve"),
        ('keep_alive = "soon"', "not a duration"),
        ("wait = true", "not a duration"),
        ("model = 3", "not a text"),
        ("= 3", "not TOML"),
        ("model = [", "not TOML"),
        ("[ask]\nmodel = 'x'", "known keys"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_place(tmp_path, own, told):
    """This test ensures that a misspelt or unusable setting is never ignored, and the file is named."""
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, own=own)
    assert str(tmp_path / "config.toml") in raised.value.message
    assert told in f"{raised.value.message} {raised.value.hint}"


def test_a_misspelt_variable_is_told(tmp_path):
    """This test ensures that LCTX_KEEPALIVE does not silently do nothing, and other programs' names may."""
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, LCTX_KEEPALIVE="1h")
    assert "LCTX_KEEP_ALIVE" in raised.value.hint
    others = ("HOME", "API_KEY", "DEBUG", "BENCH_DATA", "PYTHON", "MIN_COVERAGE", "VERSION")
    assert load(tmp_path, **{f"LCTX_{name}": "x" for name in others}) == (Settings(), [])
    _, warnings = load(tmp_path, LCTX_MAX_TIME="3")
    assert warnings == ["LCTX_MAX_TIME: no setting is called that; did you mean LCTX_MAX_TOKENS?"]


def test_an_empty_variable_is_none(tmp_path):
    """This test ensures that `LCTX_MODEL= lctx ask` is as if it were not set."""
    assert load(tmp_path, LCTX_MODEL="")[0].model is None


@pytest.mark.parametrize(
    "toml",
    [
        'endpoint = "http://127.0.0.1:9"',
        'engine = "endpoint"',
        "offline = false",
        "no_cache = false",
        'model = "../evil.gguf"',
        'model = "~/evil.gguf"',
    ],
)
def test_a_project_cannot_decide_where_documents_go(tmp_path, project, toml):
    """This test ensures that a repository that is asked about cannot name an endpoint or loosen a rule."""
    own = 'endpoint = "https://models.example.org/v1"\noffline = true\n'
    with pytest.raises(ConfigError, match="cannot be set by a project"):
        load(tmp_path, own=own, project=project, toml=toml)


def test_a_project_may_tighten(tmp_path, project):
    """This test ensures that a project can ask for less: offline, no cache, citations."""
    toml = (
        'offline = true\nno_cache = true\nrequire_citations = true\nmodel = "gemma-3-270m"\nengine = "llama"'
    )
    settings, _ = load(tmp_path, project=project, toml=toml)
    assert (settings.offline, settings.cache, settings.require_citations) == (True, False, True)


def test_a_project_file_outside_a_git_tree_is_not_read(tmp_path):
    """This test ensures that only the root of the git tree around the command counts."""
    (tmp_path / "lctx.toml").write_text("budget = 5", "utf-8")
    assert load(tmp_path)[0].budget is None


def test_odd_files_are_told(tmp_path, project):
    """This test ensures that a directory, a huge file or bytes that are no text are errors with a name."""
    (project / "lctx.toml").mkdir()
    with pytest.raises(ConfigError, match="not a configuration file"):
        load_settings({}, environ={}, directory=project, own_file=tmp_path / "none.toml")
    file = tmp_path / "config.toml"
    file.write_bytes(b"#" * (1 << 21))
    with pytest.raises(ConfigError, match="not a configuration file"):
        load_settings({}, environ={}, directory=tmp_path, own_file=file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not TOML"):
        load_settings({}, environ={}, directory=tmp_path, own_file=file)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"budget": "many"}, "--budget many: not a whole number"),
        ({"max_tokens": "0"}, "at least 1"),
        ({"format": "xml"}, "not one of text, md, json, ndjson"),
        ({"keep_alive": "-2"}, "--keep-alive -2: not a duration"),
        ({"engine": "vllm"}, "needs a model or an address"),
        ({"engine": "endpoint"}, "needs an address"),
        ({"engine": "llama", "endpoint": "http://127.0.0.1:1"}, "no address to name"),
    ],
)
def test_an_unusable_option_is_a_usage_error(tmp_path, flags, told):
    """This test ensures that an option is told as it was typed."""
    with pytest.raises(UsageError, match=told) as raised:
        load(tmp_path, flags)
    assert not isinstance(raised.value, ConfigError)


def test_an_endpoint_alone_means_the_endpoint_engine(tmp_path):
    """This test ensures that `--endpoint` needs no second option, and one from a file starts nothing by itself."""
    assert load(tmp_path, {"endpoint": "http://127.0.0.1:1"})[0].engine == "endpoint"
    assert load(tmp_path, own='endpoint = "http://127.0.0.1:1"')[0].engine == "llama"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("1h", 3600),
        ("1h30m", 5400),
        ("0", 0),
        ("-1", None),
        ("2.5", 2.5),
        ("1d", 86400),
        ("50ms", 0.05),
    ],
)
def test_durations_are_read_as_people_write_them(text, seconds):
    """This test ensures that units, bare seconds and `-1` mean what they say."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "5 m", "-5", "5x", "1e9", "9" * 50, "1h" * 40, "nan", "inf", "٣s"])
def test_what_is_no_duration_is_refused(text):
    """This test ensures that odd durations never pass as numbers."""
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(("seconds", "text"), [(3, "3 s"), (300, "5 min"), (7200, "2 h")])
def test_durations_are_written_short(seconds, text):
    """This test ensures that a person reads minutes, not three hundred seconds."""
    assert short_duration(seconds) == text


def test_the_users_file_follows_the_folders(monkeypatch, tmp_path):
    """This test ensures that LCTX_HOME moves the configuration too, and XDG is followed without it."""
    monkeypatch.setenv("LCTX_HOME", str(tmp_path))
    assert own_config_file() == tmp_path / "config.toml"
    monkeypatch.delenv("LCTX_HOME")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert own_config_file() == tmp_path / "xdg/lctx/config.toml"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert own_config_file().parts[-2:] == ("lctx", "config.toml")
    assert isinstance(own_config_file(), Path)
