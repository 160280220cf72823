"""`lctx cache`: what is kept is told by kind, removed on demand, and only what is lctx's own."""

import json
import os

import pytest
from cli_answers import run_lctx

from lctx.cli.cache import clear
from lctx.cli.cache_contents import contents_of
from lctx.cli.sizes import parse_size
from lctx.core.errors import UsageError
from lctx.core.storage import CACHE_BYTES, ByteCache


@pytest.fixture
def home(tmp_path):
    """A home whose cache holds a bit of everything, beside state that is no cache."""
    cache = tmp_path / "cache"
    ByteCache(cache / "content").put_many(
        {
            "document 1": os.urandom(200_000),
            "document 2": os.urandom(100_000),
            "counts 1": b"12345678",
            "file 1": b"x",
        }
    )
    ByteCache(cache / "profiles").put("gguf_profile 1", b"{}")
    ByteCache(cache / "templates").put("template 1", b"a template")
    (cache / "models").mkdir()
    (cache / "models/embedded.gguf").write_bytes(bytes(500_000))
    (cache / "content/ab").mkdir()
    (cache / "content/ab/cdef").write_bytes(bytes(50_000))  # of an earlier lctx
    (tmp_path / "state").mkdir()
    (tmp_path / "state/secret").write_bytes(bytes(32))
    return tmp_path


def test_what_is_kept_is_told_by_kind(home):
    """This test ensures that entries and bytes are those of the values, the largest first."""
    contents = contents_of(home / "cache", CACHE_BYTES)
    assert [(kind.name, kind.num_entries, kind.num_bytes) for kind in contents.kinds] == [
        ("models", 1, 500_000),
        ("documents", 2, 300_000),
        ("templates", 1, 10),
        ("token counts", 1, 8),
        ("models' profiles", 1, 2),
        ("files at rest", 1, 1),
    ]
    assert contents.num_bytes == sum(
        one.stat().st_size for one in (home / "cache").rglob("*") if one.is_file()
    )
    assert 300_000 < contents.bounded_bytes < contents.num_bytes


def test_clearing_leaves_the_model_and_what_is_no_cache(home):
    """This test ensures that what takes long to make again, or cannot be, stays; a second time there is nothing."""
    before = contents_of(home / "cache", CACHE_BYTES).num_bytes
    freed = clear(home / "cache", everything=False)
    after = contents_of(home / "cache", CACHE_BYTES)
    assert freed == before - after.num_bytes > 300_000
    assert [kind.name for kind in after.kinds] == ["models"]
    assert not (home / "cache/content/ab").exists()
    assert clear(home / "cache", everything=False) == 0
    assert clear(home / "cache", everything=True) == 500_000
    assert (home / "state/secret").exists()


def test_clearing_follows_no_link(home, tmp_path):
    """This test ensures that a link in the cache's folder leads to nothing being removed elsewhere."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work", "utf-8")
    (home / "cache/content/cd").symlink_to(mine)
    (home / "cache/content/notes").mkdir()
    clear(home / "cache", everything=True)
    assert (mine / "thesis.txt").exists()
    assert (home / "cache/content/notes").exists()


def test_what_cannot_be_removed_is_told(home, monkeypatch):
    """This test ensures that a failure is an error with the file's name, not a crash."""

    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self.file))

    monkeypatch.setattr(ByteCache, "clear", refuse)
    with pytest.raises(UsageError, match=r"content/kept-1.db: permission denied"):
        clear(home / "cache", everything=False)


def lctx(home, *words, **variables) -> tuple[int, str, str]:
    done = run_lctx(home, *words, **variables)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_the_command_says_removes_and_says_again(home):
    """This test ensures that the three commands print what they are for, and nothing else."""
    assert lctx(home, "cache", "path") == (0, f"{home / 'cache'}\n", "")
    code, told, noise = lctx(home, "cache", "info", LCTX_CACHE_SIZE="3gb")
    assert (code, noise) == (0, "")
    assert "at most 3.0 GiB" in told
    assert "documents         " in told
    record = json.loads(lctx(home, "cache", "info", "--format", "json")[1])
    assert record["kinds"][1] == {"kind": "documents", "entries": 2, "bytes": 300_000}
    assert (record["ceiling_bytes"], record["exit_code"]) == (CACHE_BYTES, 0)
    assert lctx(home, "cache", "clear") == (0, "0.4 MiB freed\n", "")
    assert lctx(home, "cache", "clear") == (0, "nothing was kept\n", "")


def test_an_empty_home_is_no_error_and_stays_empty(tmp_path):
    """This test ensures that looking at the cache makes none."""
    home = tmp_path / "none"
    assert lctx(home, "cache", "clear") == (0, "nothing was kept\n", "")
    assert lctx(home, "cache", "info")[0] == 0
    assert not home.exists()


def test_mistakes_are_told(tmp_path):
    """This test ensures that an unknown format and a missing command say what there is."""
    code, _, told = lctx(tmp_path, "cache", "info", "--format", "xml")
    assert code == 2
    assert "text" in told
    code, _, told = lctx(tmp_path, "cache")
    assert code == 2
    assert "lctx cache info" in told


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("100", 100),
        ("1kb", 1024),
        ("1.5 MB", 3 << 19),
        ("2gb", 2 << 30),
        ("1GiB", 1 << 30),
        ("1tb", 1 << 40),
    ],
)
def test_sizes_are_read_as_people_write_them(text, size):
    """This test ensures that units are powers of 1,024 whatever their letters."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "gb", "-1", "2 pb", "1e9", "9" * 40, "two"])
def test_what_is_no_size_is_refused(text):
    """This test ensures that a misspelt size is never taken for another."""
    with pytest.raises(ValueError, match="not a size such as 500mb"):
        parse_size(text)
