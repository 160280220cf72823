"""Passwords of protected sources: given, from the environment, typed at the terminal; never shown, never kept."""

import io
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pypdf
import pytest
from cli_answers import LCTX, environment, run_lctx
from msoffcrypto.format.ooxml import OOXMLFile
from pdf_files import encrypted, pdf_of

from lctx.cli import passwords, reading_run
from lctx.cli.commands_sources import request_of
from lctx.cli.notes import Notes
from lctx.cli.passwords import Passwords
from lctx.cli.reading_run import Run
from lctx.core.document import Document
from lctx.core.document_cache import DocumentCache
from lctx.core.storage import ByteCache
from lctx.formats.reader import ReadOptions
from lctx.formats.sources import find_sources

# A session of its own, whose terminal is standard error; standard input is no terminal.
ON_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(2, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
SECRET = "open sesame"
AGREEMENT = Path(__file__).parents[1] / "examples" / "services-agreement.docx"


@pytest.fixture
def folder(tmp_path):
    """Two protected PDFs with one password, and a note."""
    work = tmp_path / "work"
    work.mkdir()
    for name in ("a.pdf", "b.pdf"):
        (work / name).write_bytes(encrypted("AES-256", SECRET))
    (work / "notes.txt").write_text("a note\n", "utf-8")
    return work


def on_terminal(folder, tmp_path, *arguments: str, typed: list[bytes]) -> tuple[int, str, str]:
    """Exit code, standard output, and what a person at the terminal sees, who types at each colon."""
    master, slave = pty.openpty()
    command = [sys.executable, "-c", ON_TERMINAL, LCTX, *arguments]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=slave,
        cwd=folder,
        env=environment(tmp_path / "home"),
    )
    os.close(slave)
    seen, left, answered = b"", list(typed), 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.1)[0]:
            try:
                piece = os.read(master, 4096)
            except OSError:  # the last who had the terminal open is gone
                break
            if not piece:
                break
            seen += piece
        asked = len(re.findall(rb"password for [^\n]*: ", seen))
        if left and asked > answered:
            answered = asked
            os.write(master, left.pop(0))
    out = process.stdout.read().decode()
    process.stdout.close()
    os.close(master)
    return process.wait(30), out, seen.decode()


def test_a_password_opens_what_it_is_for(folder, tmp_path):
    """This test ensures that ask's family reads a protected source by option and by variable alike."""
    done = run_lctx(tmp_path / "home", "read", "a.pdf", "--password", SECRET, cwd=folder)
    assert (done.returncode, done.stdout) == (0, b"==> a.pdf p. 1 <==\na secret\n")
    done = run_lctx(tmp_path / "home", "plan", "a.pdf", "--raw", cwd=folder, LCTX_PASSWORD=SECRET)
    assert done.returncode == 0
    assert int(done.stdout) > 0
    assert SECRET.encode() not in done.stdout + done.stderr


@pytest.mark.parametrize("more", [[], ["--password", "wrong"]])
def test_without_the_right_one_a_script_is_told(folder, tmp_path, more):
    """This test ensures that nobody is asked where nobody sits, and what to do is said."""
    done = run_lctx(tmp_path / "home", "read", "a.pdf", "notes.txt", "--format", "json", *more, cwd=folder)
    record = json.loads(done.stdout)
    assert done.returncode == 5
    (unreadable,) = record["unreadable"]
    assert unreadable["code"] == "encrypted_source"
    assert "LCTX_PASSWORD" in unreadable["hint"]
    assert b"wrong" not in done.stdout + done.stderr
    assert run_lctx(tmp_path / "home", "read", "a.pdf", *more, cwd=folder).returncode == 2


def test_a_password_is_nowhere_but_where_it_was_given(folder, tmp_path):
    """This test ensures that it is no setting of a file, that nothing read with it is kept, and that help warns."""
    home = tmp_path / "home"
    run_lctx(home, "read", "a.pdf", cwd=folder, LCTX_PASSWORD=SECRET)
    kept = [one.read_bytes() for one in home.rglob("*") if one.is_file()]
    assert not any(secret in content for content in kept for secret in (SECRET.encode(), b"a secret"))
    (home / "config.toml").write_text(f'password = "{SECRET}"\n', "utf-8")
    done = run_lctx(home, "read", "a.pdf", cwd=folder)
    assert done.returncode == 2
    assert b"unknown key 'password'" in done.stderr
    assert SECRET.encode() not in done.stderr
    for command in ("ask", "plan", "read"):
        told = " ".join(run_lctx(tmp_path, command, "--help").stdout.decode().split())
        assert "Other users may see it here: LCTX_PASSWORD hides it." in told


@pytest.mark.parametrize("cores", [1, 2])
def test_what_a_password_opened_says_so(folder, tmp_path, cores, monkeypatch):
    """This test ensures that what is worked out of it later knows, too, that nothing may be kept."""
    monkeypatch.setattr(reading_run, "MIN_BYTES", 0)
    cache = DocumentCache(ByteCache(tmp_path / "cache"))
    found = find_sources([str(folder)])
    options = ReadOptions(password=SECRET)
    documents = list(Run(found.files, cache, options, lambda _: None, cores=cores))
    assert [one.is_protected for one in documents] == [True] * 3  # the note was read with it as well
    again = list(Run(found.files, cache, ReadOptions(), lambda _: None, cores=cores))
    assert [isinstance(one, Document) and one.is_protected for one in again] == [False] * 3


def test_an_engine_inherits_no_password(monkeypatch):
    """This test ensures that the variable is taken out of the environment before anything is started."""
    monkeypatch.setenv("LCTX_PASSWORD", SECRET)
    given = dict.fromkeys(("arguments", "files_from", "include", "exclude", "password"))
    flags = {"null": False, "no_ignore": False}
    assert request_of(given | flags).password == SECRET
    assert "LCTX_PASSWORD" not in os.environ
    monkeypatch.setenv("LCTX_PASSWORD", SECRET)
    assert request_of(given | flags | {"password": "stronger"}).password == "stronger"


def test_a_command_that_is_proposed_holds_no_password(folder, tmp_path):
    """This test ensures that what is printed to be pasted leaves the password out, and keeps --no-ignore."""
    from lctx.cli.narrower import command_of
    from lctx.cli.request import Request

    request = Request(("a.pdf",), password=SECRET, use_ignores=False)
    assert command_of(request) == "lctx plan a.pdf --no-ignore"
    assert SECRET not in repr(request)


def test_a_person_is_asked_and_one_password_opens_all(folder, tmp_path):
    """This test ensures that a mistyped password may be typed again, is not echoed, and is tried on the next."""
    code, out, seen = on_terminal(
        folder, tmp_path, "read", "b.pdf", "notes.txt", "a.pdf", typed=[b"wrong\n", SECRET.encode() + b"\n"]
    )
    assert code == 0
    assert re.findall("==> (\\S+)", out) == ["b.pdf", "notes.txt", "a.pdf"]
    assert seen.count("password for b.pdf") == 2
    assert "that was not it" in seen
    assert "password for a.pdf" not in seen
    assert SECRET not in seen
    assert "wrong" not in seen


def test_a_mistyped_password_of_a_word_file_may_be_typed_again(folder, tmp_path):
    """This test ensures that a protected Word file is asked for as a PDF is, and that what opened it opens the next."""
    with AGREEMENT.open("rb") as plain, (folder / "c.docx").open("wb") as locked:
        OOXMLFile(plain).encrypt(SECRET, locked)
    code, out, seen = on_terminal(
        folder, tmp_path, "read", "c.docx", "a.pdf", typed=[b"wrong\n", SECRET.encode() + b"\n"]
    )
    assert code == 0
    assert list(dict.fromkeys(re.findall("==> (\\S+)", out))) == ["c.docx", "a.pdf"]
    assert seen.count("password for c.docx") == 2
    assert "password for a.pdf" not in seen


def test_three_wrong_passwords_are_enough(folder, tmp_path):
    """This test ensures that the source is then left out, with the rest read."""
    code, out, seen = on_terminal(folder, tmp_path, "read", "a.pdf", "notes.txt", typed=[b"x\n"] * 9)
    assert code == 5
    assert re.findall("==> (\\S+)", out) == ["notes.txt"]
    assert seen.count("password for a.pdf") == 3
    assert "so it was left out" in seen


def test_nothing_typed_leaves_it_out(folder, tmp_path):
    """This test ensures that an empty line is a decision, for plan as well."""
    code, out, seen = on_terminal(folder, tmp_path, "plan", "a.pdf", "--raw", typed=[b"\n"])
    assert (code, out) == (2, "")
    assert seen.count("password for") == 1
    assert "error: a.pdf" in seen


def test_an_interruption_of_the_question_is_130(folder, tmp_path):
    """This test ensures that Ctrl-C at the prompt ends the command, with the terminal as it was."""
    code, _, seen = on_terminal(folder, tmp_path, "read", "a.pdf", typed=[b"\x03"])
    assert code == 130
    assert "error: interrupted" in seen


def test_the_right_password_is_known_afterwards(folder, monkeypatch):
    """This test ensures that a source can be opened again with what opened it, and no other gets its password."""
    monkeypatch.setattr(passwords, "_somebody_is_there", lambda: True)
    monkeypatch.setattr(passwords, "_typed_password", lambda _: SECRET)
    monkeypatch.chdir(folder)
    opener = Passwords(None, Notes(quiet=True))
    reading = opener.read(
        find_sources(["notes.txt", "a.pdf"]), stdin=False, cache=DocumentCache(ByteCache(None))
    )
    assert [one.path for one in reading.documents] == ["notes.txt", "a.pdf"]
    assert not reading.unreadable
    assert opener.options_for("a.pdf").password == SECRET
    assert opener.options_for("notes.txt").password is None


def test_each_part_of_a_protected_file_is_read(folder, monkeypatch):
    """This test ensures that two ranges of pages of one protected file are both opened, in their order."""
    monkeypatch.setattr(passwords, "_somebody_is_there", lambda: True)
    monkeypatch.setattr(passwords, "_typed_password", lambda _: "secret")
    monkeypatch.chdir(folder)
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf_of([["One"], ["Two"], ["Three"]])))
    writer.encrypt("secret", algorithm="AES-256")
    writer.write("parts.pdf")
    reading = Passwords(None, Notes(quiet=True)).read(
        find_sources(["parts.pdf#3", "notes.txt", "parts.pdf#1"]),
        stdin=False,
        cache=DocumentCache(ByteCache(None)),
    )
    assert sorted(one.text.strip() for one in reading.documents) == ["One", "Three", "a note"]
