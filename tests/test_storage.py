"""Tests of what lctx keeps: whole or not at all, never more than the ceiling, by many processes at once."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lctx.core import kept as kept_file
from lctx.core.storage import ByteCache

PAGE = 8192


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kept"


@pytest.fixture
def kept(folder):
    return ByteCache(folder)


def run_python(code: str, *words: str, **options) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], text=True, stderr=subprocess.PIPE, **options
    )


def ended_well(*processes) -> None:
    told = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), told


def test_what_is_put_is_found(kept, folder):
    """This test ensures that values of any size come back from another opening, and the last one put counts."""
    values = {f"kind {size}": os.urandom(size) for size in (0, 1, 100, PAGE - 1, PAGE, 100_000, 3_000_000)}
    kept.put_many(values)
    kept.put("kind 1", b"another")
    again = ByteCache(folder)
    assert again.get_many(list(values)) == [*(values | {"kind 1": b"another"}).values()]
    assert again.get_many([]) == []
    assert again.get("kind 2") is None
    assert kept.broken is None


def test_nothing_is_kept_without_a_folder():
    """This test ensures that `--no-cache` neither keeps nor finds."""
    kept = ByteCache(None)
    kept.put("a", b"b")
    assert kept.get("a") is kept.usage() is kept.file is None
    assert kept.clear() == 0
    assert not kept.is_kept


def test_only_this_user_reads_it(kept, folder):
    """This test ensures that neither the file nor its folder can be read by others, whatever the mask is."""
    before = os.umask(0)
    try:
        kept.put("a", b"b")
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o777 for file in folder.iterdir()] == [0o600]


def test_it_stays_below_its_ceiling(folder):
    """This test ensures that what was used longest ago makes room, and the disk is never filled beyond."""
    kept = ByteCache(folder, ceiling_bytes=2_000_000)
    for number in range(100):
        kept.put(f"a {number}", bytes([number]) * 100_000)
        assert kept.file.stat().st_size < 2_000_000 + 100 * PAGE
    found = kept.get_many([f"a {number}" for number in range(100)])
    have = [number for number, value in enumerate(found) if value]
    assert have == list(range(have[0], 100))
    assert 10 < len(have) < 20


def test_what_is_used_stays(folder, monkeypatch):
    """This test ensures that a value that is looked at outlives those that are not."""
    kept = ByteCache(folder, ceiling_bytes=2_000_000)
    now = time.time()
    for number in range(15):
        monkeypatch.setattr(kept_file.time, "time", lambda number=number: now + number)
        kept.put(f"a {number}", bytes(100_000))
    monkeypatch.setattr(kept_file.time, "time", lambda: now + 10_000)
    assert kept.get("a 0")
    for number in range(15, 25):
        kept.put(f"a {number}", bytes(100_000))
    assert kept.get("a 0")
    assert kept.get("a 1") is None


def test_a_lower_ceiling_gives_the_disk_back(folder):
    """This test ensures that a smaller LCTX_CACHE_SIZE holds from the next value on."""
    ByteCache(folder).put_many({f"a {number}": os.urandom(50_000) for number in range(100)})
    small = ByteCache(folder, ceiling_bytes=1_000_000)
    small.put("a last", b"x")
    assert small.file.stat().st_size < 1_000_000 + 100 * PAGE
    assert small.get("a last") == b"x"


def test_what_is_too_large_is_left(folder):
    """This test ensures that one huge value neither pushes everything out nor breaks the cache."""
    kept = ByteCache(folder, ceiling_bytes=1_000_000)
    kept.put_many({"a": b"small", "b": bytes(900_000), "c": b"small too"})
    assert kept.get_many(["a", "b", "c"]) == [b"small", None, b"small too"]
    assert kept.broken is None


@pytest.mark.parametrize("content", [b"", b"x" * 10, b"SQLite format 3\0" + b"x" * 20_000, None, "cut"])
def test_a_damaged_file_is_made_anew(kept, folder, content):
    """This test ensures that whatever stands in the file costs the values only, and only once."""
    kept.put_many({f"a {number}": os.urandom(3_000) for number in range(200)})
    whole = kept.file.read_bytes()
    if content is None:
        kept.file.write_bytes(whole[:PAGE] + os.urandom(len(whole) - PAGE))
    else:
        kept.file.write_bytes(whole[: len(whole) // 2] if content == "cut" else content)
    found = kept.get_many([f"a {number}" for number in range(200)])
    assert all(value is None or len(value) == 3_000 for value in found)
    kept.put("b", b"c")
    assert (kept.get("b"), kept.broken) == (b"c", None)


def test_every_changed_byte_is_noticed(kept):
    """This test ensures that a value is what was put, or nothing, wherever its file was changed."""
    value = bytes(range(256)) * 8
    kept.put("a", value)
    whole = kept.file.read_bytes()
    for place in range(0, len(whole), 97):
        kept.file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert kept.get("a") in {value, None}
        if not kept.file.exists():
            kept.file.write_bytes(whole)


def test_a_value_in_anothers_place_is_none(kept):
    """This test ensures that entries which point to each other's values are not believed."""
    kept.put_many({"a": b"1", "b": b"2"})
    with closing(sqlite3.connect(kept.file)) as connection:
        connection.execute("UPDATE entries SET place = 3 - place")
        connection.commit()
    assert kept.get_many(["a", "b"]) == [None, None]


def test_a_file_in_the_way_is_told(tmp_path):
    """This test ensures that a cache that cannot be there is silent, and says why once asked."""
    (tmp_path / "kept").write_text("in the way")
    kept = ByteCache(tmp_path / "kept")
    kept.put("a", b"b")
    assert kept.get("a") is None
    assert str(tmp_path / "kept") in (kept.broken or "")


def test_a_cache_of_someone_else_still_serves():
    """This test ensures that a cache that cannot be written is read, and why nothing is kept is told."""
    code = """
import os, sqlite3, sys
from pathlib import Path
from tempfile import TemporaryDirectory
from lctx.core.storage import ByteCache
if os.geteuid() == 0:
    os.setuid(65534)
kept = ByteCache(Path(sys.argv[1]))
assert kept.get("a") == b"b"
kept.put("c", b"d")
assert kept.get_many(["a", "c"]) == [b"b", None]
assert "readonly" in kept.broken, kept.broken
"""
    with TemporaryDirectory() as made:
        folder = Path(made)
        kept = ByteCache(folder)
        kept.put("a", b"b")
        kept.file.chmod(0o444)
        folder.chmod(0o555)
        try:
            ended_well(run_python(code, made))
        finally:
            folder.chmod(0o700)


def test_a_full_disk_is_silent(folder):
    """This test ensures that a put that does not fit leaves what was kept before, and says why."""
    code = """
import resource, sys
from pathlib import Path
from tempfile import TemporaryDirectory
from lctx.core.storage import ByteCache
kept = ByteCache(Path(sys.argv[1]))
kept.put("a", b"before")
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))  # as if the disk were full
kept.put_many({"b": bytes(1_000_000), "c": b"with it"})
assert kept.broken and sys.argv[1] in kept.broken, kept.broken
assert kept.get_many(["a", "b", "c"]) == [b"before", None, None]
kept.put("d", b"after it broke")
assert kept.get("d") is None
"""
    ended_well(run_python(code, str(folder)))
    again = ByteCache(folder)
    again.put("d", b"when there is room")
    assert again.get_many(["a", "d"]) == [b"before", b"when there is room"]


def test_a_folder_that_is_removed_comes_back(kept, folder):
    """This test ensures that `rm -r` of the cache while lctx runs costs what was in it."""
    kept.put("a", b"b")
    kept.file.unlink()
    assert kept.get("a") is None
    folder.rmdir()
    kept.put("c", b"d")
    assert (kept.get("c"), kept.broken) == (b"d", None)


WRITER = """
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from lctx.core.storage import ByteCache
kept = ByteCache(Path(sys.argv[1]), ceiling_bytes=600_000)
for number in range(60):
    kept.put_many({f"a {number} {part}": f"{number} {part} ".encode() * 500 for part in range(5)})
    for place, value in enumerate(kept.get_many([f"a {number} {part}" for part in range(5)])):
        assert value in (None, f"{number} {place} ".encode() * 500)
    if number % 20 == int(sys.argv[2]):
        kept.clear()
assert kept.broken is None, kept.broken
"""


def test_many_processes_share_it(kept, folder):
    """This test ensures that reading, writing, making room and clearing at once mix up no value."""
    ended_well(*(run_python(WRITER, str(folder), str(number)) for number in range(4)))
    kept.put("b", b"c")
    assert kept.get("b") == b"c"
    assert sorted(file.name for file in folder.iterdir()) == [kept.file.name]


def test_many_threads_share_it(kept):
    """This test ensures that one opening serves all threads of a process."""
    wrong: list[int] = []

    def work(number: int) -> None:
        for part in range(20):
            kept.put(f"a {number} {part}", bytes([number, part]) * 1000)
            if kept.get(f"a {number} {part}") != bytes([number, part]) * 1000:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (wrong, kept.broken) == ([], None)


def test_a_process_that_is_killed_leaves_a_sound_cache(kept, folder):
    """This test ensures that a SIGKILL in the middle of writing costs what was being written."""
    code = """
import os, sys
from pathlib import Path
from tempfile import TemporaryDirectory
from lctx.core.storage import ByteCache
kept = ByteCache(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    kept.put_many({f"a {number} {part}": os.urandom(200_000) for part in range(20)})
    print(number, flush=True)
"""
    kept.put("b", b"before")
    for _ in range(3):
        process = run_python(code, str(folder), stdout=subprocess.PIPE)
        assert process.stdout.readline()
        time.sleep(0.03)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert kept.get("b") == b"before"
    kept.put("b", b"after")
    assert (ByteCache(folder).get("b"), kept.broken) == (b"after", None)


def test_clearing_tells_what_it_gave_back(kept):
    """This test ensures that the figure is the file's, and that a cleared cache is used again."""
    kept.put_many({f"a {number}": os.urandom(50_000) for number in range(20)})
    assert kept.clear() > 1_000_000
    assert kept.clear() == 0
    assert kept.usage().kinds == {}
    assert kept.file.stat().st_size < 3 * PAGE
    kept.put("a", b"b")
    assert kept.get("a") == b"b"


def test_usage_counts_by_kind(kept):
    """This test ensures that the report can name what takes the room."""
    kept.put_many({"document one": bytes(10), "document two": bytes(20), "counts one": bytes(5)})
    usage = kept.usage()
    assert usage.kinds == {"counts": (1, 5), "document": (2, 30)}
    assert usage.file_bytes == kept.file.stat().st_size
    assert usage.file == kept.file


def test_the_limit_of_files_is_no_reason_to_wait(kept):
    """This test ensures that a cache that cannot even be opened is nothing, not an exception."""
    kept.put("a", b"b")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(one.name) for one in Path("/dev/fd").iterdir()) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
    fillers = []
    try:
        while True:
            fillers.append(os.dup(0))
    except OSError:
        assert kept.get("a") is None
    finally:
        for one in fillers:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert kept.get("a") == b"b"
