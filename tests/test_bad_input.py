"""Bad input: whatever is named or found is read, or listed with its reason; nothing hangs, and nothing stops the rest."""

import json
import os
import shutil
import socket
import subprocess
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from cli_answers import LCTX, SAMPLE, environment, run_lctx
from readings import read_found
from scripted_server import ScriptedServer
from source_trees import git, own_git_settings, write

from lctx.core.document_cache import DocumentCache
from lctx.core.errors import DamagedSourceError, LimitError, MissingSourceError, SourceError
from lctx.core.storage import ByteCache
from lctx.formats.pdf import read_pdf
from lctx.formats.sources import SourceFile, find_sources, read_bytes, read_with_status

__all__ = ["own_git_settings"]

ODD_NAMES = {
    b"new\nline.txt": r"new\nline.txt",
    b"\x1b]0;red\x07.txt": r"\x1b]0;red\x07.txt",
    b"caf\xe9.txt": r"caf\xe9.txt",
    "\u202etxt.exe.txt".encode(): r"\u202etxt.exe.txt",
    b"[bold]x.txt": "[bold]x.txt",
    b"-q": "-q",
    b"odd#1-2": "odd#1-2",
}


@contextmanager
def zoo(root: Path):
    """A folder of all that a folder may hold; what it should become: paths read, and those that give a reason."""
    write(
        root,
        {
            "ok.txt": "The pump is blue.\n", "empty.txt": "", "blob": b"\x00\x01\x02" * 99, "photo.jpg": b"\xff\xd8\xff\xe0",
            "cut.pdf": SAMPLE.read_bytes()[:3000], "fake.docx": b"PK\x03\x04 no more of it", "lies.pdf": "no PDF at all",
            "deep/" + "d/" * 60 + "z.txt": "deep\n", "folder#3/f.txt": "x\n", "latin.txt": "caf\xe9\n".encode("latin-1"),
        },
    )  # fmt: skip
    for name in ODD_NAMES:
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_bytes(b"odd\n")
    (root / "hollow").mkdir()
    (root / "loop").symlink_to(".")
    (root / "circle").symlink_to("circle")
    (root / "out").symlink_to("/etc/hostname")
    os.mkfifo(root / "pipe")
    (root / "giant.txt").write_text("words\n" * 2000)
    os.truncate(root / "giant.txt", 10**9)
    os.truncate(write(root, {"zeros.txt": ""}) / "zeros.txt", 10**9)
    here = Path.cwd()
    os.chdir(root)  # the path of a socket must be short
    try:
        with closing(socket.socket(socket.AF_UNIX)) as listening:
            listening.bind("socket")
            yield
    finally:
        os.chdir(here)


READ = {"ok.txt", "deep/" + "d/" * 60 + "z.txt", "folder#3/f.txt", "latin.txt", *ODD_NAMES.values()}
SKIPPED = {"empty.txt", "blob", "photo.jpg", "loop", "circle", "out", "pipe", "socket", "zeros.txt"}
UNREADABLE = {"cut.pdf", "fake.docx", "lies.pdf", "giant.txt"}


@pytest.mark.parametrize("prepare", [None, "git"])
def test_every_animal_of_the_zoo_is_accounted_for(tmp_path, prepare):
    """This test ensures that `lctx read` of a hostile folder reads what can be read and names all else, once, with its reason."""
    root = tmp_path / "zoo"
    with zoo(root):
        if prepare:
            git(root, "init", "-q")
        skipped = (
            SKIPPED - {"pipe", "socket"} if prepare else SKIPPED
        )  # git keeps neither, and does not list them
        done = run_lctx(tmp_path, "read", "zoo", "--format", "json", cwd=tmp_path)
    record = json.loads(done.stdout)
    assert {row["path"] for row in record["sources"]} == {f"zoo/{name}" for name in READ}
    assert {row["path"] for row in record["skipped"]} == {f"zoo/{name}" for name in skipped}
    assert {row["path"] for row in record["unreadable"]} == {f"zoo/{name}" for name in UNREADABLE}
    assert len(record["sources"] + record["skipped"] + record["unreadable"]) == len(
        READ | skipped | UNREADABLE
    )
    assert all(row["reason"] for row in record["skipped"] + record["unreadable"])
    assert (done.returncode, record["exit_code"]) == (5, 5)
    assert not set(done.stderr.decode()) & set("\x1b\x07\u202e")


def test_a_plan_of_bad_names_keeps_the_good_one(tmp_path):
    """This test ensures that each bad name is one reason in `lctx plan`, the order holds, and the good one is planned."""
    bad = [
        "pipe",
        "socket",
        "circle",
        "hollow",
        "giant.txt",
        "zeros.txt",
        "empty.txt",
        "/dev/zero",
        "gone",
        "lies.pdf",
    ]
    with zoo(tmp_path / "zoo"), ScriptedServer({}) as server:
        engine = ["--engine", "endpoint", "--endpoint", server.address, "--format", "json"]
        some = run_lctx(
            tmp_path, "plan", *bad[:5], "ok.txt", *bad[5:], "-q", "Why?", *engine, cwd=tmp_path / "zoo"
        )
        none = run_lctx(tmp_path, "plan", *bad, "-q", "Why?", *engine, cwd=tmp_path / "zoo")
    record = json.loads(some.stdout)
    assert [row["path"] for row in record["sources"]] == ["ok.txt"]
    assert {row["path"] for row in record["unreadable"]} == set(bad)
    assert (some.returncode, record["exit_code"]) == (5, 5)
    assert (none.returncode, json.loads(none.stdout)["exit_code"]) == (2, 2)
    assert b"Traceback" not in some.stderr + none.stderr


@pytest.mark.parametrize("name", ["pipe", "hollow", "circle", "giant.txt", "lies.pdf"])
def test_a_bad_name_alone_is_exit_2(tmp_path, name):
    """This test ensures that what cannot be read is, named alone, an error with its name in it and exit 2."""
    with zoo(tmp_path / "zoo"):
        done = run_lctx(tmp_path, "read", name, cwd=tmp_path / "zoo")
    assert (done.returncode, done.stdout) == (2, b"")
    assert f"error: {name}: ".encode() in done.stderr
    assert b"Traceback" not in done.stderr


def without_privileges() -> list[str]:
    """What goes in front of a command so that permissions hold for it, whoever runs the tests."""
    if os.geteuid() != 0:
        return []
    for prefix in (["setpriv", "--bounding-set=-dac_override,-dac_read_search"], ["unshare", "-U", "--"]):
        if (
            shutil.which(prefix[0])
            and subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
        ):
            return prefix
    pytest.skip("root may read everything, and there is neither setpriv nor unshare to give that up")


@pytest.mark.parametrize("prepare", [None, "git"])
def test_what_may_not_be_read_costs_only_itself(tmp_path, prepare):
    """This test ensures that files and folders without permission are named, and the rest is read."""
    root = write(
        tmp_path / "r", {"a.txt": "a\n", "b.txt": "b\n", "closed/c.txt": "c\n", "sealed.pdf": "%PDF-1.4"}
    )
    if prepare:
        git(root, "init", "-q")
    for name in ("b.txt", "closed", "sealed.pdf"):
        (root / name).chmod(0)
    command = [*without_privileges(), LCTX, "read", "r", "r/sealed.pdf", "--format", "json"]
    try:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    finally:
        (root / "closed").chmod(0o700)
    record = json.loads(done.stdout)
    assert [row["path"] for row in record["sources"]] == ["r/a.txt"]
    assert {row["path"] for row in record["unreadable"]} == {"r/b.txt", "r/closed", "r/sealed.pdf"}
    assert done.returncode == 5


def test_what_vanishes_after_it_was_found_costs_only_itself(tmp_path):
    """This test ensures that files that are deleted, cut or replaced before they are read are told, and the rest is read."""
    root = write(tmp_path / "r", {f"{name}.txt": name for name in "abcd"} | {"e.pdf": SAMPLE.read_bytes()})
    for look_inside in (True, False):
        found = find_sources([str(root)], look_inside=look_inside)
        (root / "a.txt").unlink()
        (root / "b.txt").unlink()
        (root / "b.txt").symlink_to("c.txt")
        os.mkfifo(root / "a.txt.new")
        (root / "c.txt").unlink()
        (root / "a.txt.new").rename(root / "c.txt")
        os.truncate(root / "e.pdf", 2000)
        reading = read_found(found, stdin=False, cache=DocumentCache(ByteCache(None)))
        assert [Path(one.path).name for one in reading.documents] == ["d.txt"]
        told = {Path(error.path).name: error for error in reading.unreadable}
        assert sorted(told) == ["a.txt", "b.txt", "c.txt", "e.pdf"]
        assert isinstance(told["a.txt"], MissingSourceError)
        assert isinstance(told["e.pdf"], DamagedSourceError)
        for name in "abc":
            (root / f"{name}.txt").unlink(missing_ok=True)
            (root / f"{name}.txt").write_text(name)
        (root / "e.pdf").write_bytes(SAMPLE.read_bytes())


def test_a_file_that_is_written_while_it_is_read_is_never_half_read(tmp_path):
    """This test ensures that a reader beside a real writer gets a whole state of the file or is told that it changed."""
    file = tmp_path / "log.txt"
    line = b"one line of the log\n"
    file.write_bytes(line * 50_000)
    stop = threading.Event()

    def keep_writing():
        with file.open("ab", buffering=0) as stream:
            while not stop.is_set() and stream.tell() < 2**26:
                stream.write(line)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    told = 0
    try:
        for _ in range(2000):
            try:
                content = read_bytes(SourceFile("log.txt", str(file)))
                assert content == line * (len(content) // len(line))
            except SourceError as error:
                told += "changed" in error.why
            if told:
                break
    finally:
        stop.set()
        writer.join()
    assert told


def test_a_hundred_thousand_files_are_all_found(tmp_path):
    """This test ensures that a folder of 100,000 files is listed whole, in order, and each can be read."""
    root = tmp_path / "many"
    for folder in range(100):
        first = write(root, {f"{folder:02}/000.txt": f"{folder}\n"}) / f"{folder:02}"
        here = os.open(first, os.O_RDONLY)
        for number in range(1, 1000):
            os.link("000.txt", f"{number:03}.txt", src_dir_fd=here, dst_dir_fd=here)
        os.close(here)
    try:
        found = find_sources([str(root)], look_inside=False)
        assert (len(found.files), found.skipped, found.errors) == (100_000, (), ())
        assert [one.path for one in found.files] == sorted(one.path for one in found.files)
        assert all(
            read_with_status(found.files[place])[0] == b"%d\n" % (place // 1000)
            for place in range(7, 100_000, 997)
        )
    finally:
        shutil.rmtree(root)


def pdf_of_many_pages(count: int) -> bytes:
    """A PDF whose pages share one content; each page costs a hundred bytes."""
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Resources<</Font<</F 3 0 R>>>>/Contents 4 0 R>>"
    drawn = b"BT /F 9 Tf 5 50 Td (a page) Tj ET"
    kids = b" ".join(b"%d 0 R" % number for number in range(5, 5 + count))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, count),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        b"<</Length %d>>\nstream\n%s\nendstream" % (len(drawn), drawn),
        *[page] * count,
    ]
    parts, offsets, length = [b"%PDF-1.4\n"], [], 9
    for number, content in enumerate(objects, start=1):
        parts.append(b"%d 0 obj\n%s\nendobj\n" % (number, content))
        offsets.append(b"%010d 00000 n \n" % length)
        length += len(parts[-1])
    table = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, b"".join(offsets))
    end = b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, length)
    return b"".join([*parts, table, end])


def test_a_hundred_thousand_pages_are_read_and_more_are_refused(tmp_path):
    """This test ensures that the last page of 100,000 is read and placed, and a page more is a ceiling that is named."""
    write(tmp_path, {"many.pdf": pdf_of_many_pages(100_000)})
    done = run_lctx(tmp_path, "read", "many.pdf#100000", "--format", "json", "--no-cache", cwd=tmp_path)
    (source,) = json.loads(done.stdout)["sources"]
    assert [(span["text"].strip(), span["location"]["pages"]) for span in source["spans"]] == [
        ("a page", [100_000] * 2)
    ]
    with pytest.raises(LimitError, match="100,001 pages"):
        read_pdf("more.pdf", pdf_of_many_pages(100_001))


def test_the_list_of_sources_may_be_bad_too(tmp_path):
    """This test ensures that odd and missing paths of --files-from are each read or named, as raw bytes between NULs."""
    with zoo(tmp_path / "zoo"):
        names = b"\0".join([*ODD_NAMES, b"gone\xff", b"ok.txt", b"pipe"])
        done = run_lctx(
            tmp_path, "read", "--files-from", "-", "-0", "--format", "json", stdin=names, cwd=tmp_path / "zoo"
        )
    record = json.loads(done.stdout)
    assert [row["path"] for row in record["sources"]] == [*ODD_NAMES.values(), "ok.txt"]
    assert [row["path"] for row in record["unreadable"]] == [r"gone\xff", "pipe"]
    assert done.returncode == 5
