"""Which format a source is: by its bytes first, then by its name, and in words where it is none."""

import subprocess
import sys
from pathlib import Path

import pytest
from word_files import packed, paragraph, word_file

from lctx.core.errors import EmptySourceError, EncryptedSourceError, UnsupportedSourceError
from lctx.formats.registry import FORMATS, format_of

EXAMPLES = Path(__file__).parent.parent / "examples"
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 50
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600


@pytest.mark.parametrize(
    ("path", "content", "name"),
    [
        ("a.pdf", b"%PDF-1.7\n", "pdf"), ("-", b"%PDF-1.7\n", "pdf"), ("a.txt", b"%PDF-1.7\n", "pdf"),
        ("a.pdf", b"junk before %PDF-1.4", "pdf"), ("a.docx", word_file(paragraph("x")), "docx"),
        ("-", word_file(paragraph("x")), "docx"), ("a.docx", b"broken", "docx"), ("a.MD", b"# x", "markdown"),
        ("a.py", b"x = 1", "code"), ("Makefile", b"all:\n", "code"), ("run", b"#!/usr/bin/env python3\nx", "code"),
        ("a.txt", b"x", "text"), ("unknown.xyz", b"x", "text"), ("-", b"x", "text"), ("a.csv", b"a,b\n", "text"),
        ("x.patch", b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", "diff"), ("x.patch", b"notes only", "text"),
        ("x.txt", b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", "text"), ("a.txt", "x".encode("utf-16"), "text"),
        ("ID3", b"ID3 tags are told below", "text"), ("a.txt", b"GIF89a".replace(b"89", b" "), "text"),
    ],
)  # fmt: skip
def test_formats_are_told_apart(path, content, name):
    """This test ensures that each source gets the reader that its bytes, then its name, ask for."""
    assert format_of(path, content).name == name


@pytest.mark.parametrize(
    ("path", "content", "why"),
    [
        ("a.pdf", PNG, "a PNG image named .pdf"), ("a.docx", PNG, "a PNG image named .docx"), ("a", PNG, "a PNG image"),
        ("a.xlsx", packed({"xl/workbook.xml": "<x/>"}), "an Excel workbook"), ("a.zip", packed({"x": "y"}), "a ZIP archive"),
        ("a.odt", packed({"mimetype": "application/vnd.oasis.opendocument.text"}), "ZIP"), ("a.doc", OLE, "before 2007"),
        ("a.rtf", b"{\\rtf1 x}", "an RTF document"), ("a.gz", b"\x1f\x8b\x08\x00", "gzip"), ("a", b"\x00\x01\x02" * 9, "binary"),
        ("a.py", b"\x7fELF\x02", "a program"), ("a", b"RIFF\x00\x00\x00\x00WEBPVP8 ", "a WebP image"),
        ("a", b"\x00\x00\x00\x18ftypmp42", "a recording"), ("a", b"x" * 257 + b"ustar\x00", "a tar archive"), ("a.txt", b"\x00" * 5000, "binary"),
    ],
)  # fmt: skip
def test_what_no_reader_knows_is_named(path, content, why):
    """This test ensures that the error says what the file is, and the hint what to do."""
    with pytest.raises(UnsupportedSourceError, match=why) as caught:
        format_of(path, content)
    assert caught.value.hint


def test_an_empty_standard_input_is_told_by_name():
    """This test ensures that `lctx ask "why?"` in a script says what was forgotten."""
    with pytest.raises(EmptySourceError) as raised:
        format_of("-", b"")
    assert raised.value.message == "standard input: it is empty"
    assert raised.value.hint == "name a source before the question, or pipe something in"
    assert raised.value.path == "-"


def test_empty_and_encrypted_sources_have_their_own_errors():
    """This test ensures that nothing, white space, and a password are told apart from damage."""
    for content in (b"", b" \n\t\r\n"):
        with pytest.raises(EmptySourceError):
            format_of("a.txt", content)
    with pytest.raises(EncryptedSourceError, match="password"):
        format_of("a.xlsx", OLE + "EncryptedPackage".encode("utf-16-le"))
    assert format_of("a.docx", OLE + "EncryptedPackage".encode("utf-16-le")).name == "docx"


def test_every_reader_names_itself_as_the_registry_does():
    """This test ensures that a document's kind and reader version are those that caches were told."""
    samples = {
        "pdf": ("a.pdf", (EXAMPLES / "constitution.pdf").read_bytes()),
        "docx": ("a.docx", (EXAMPLES / "services-agreement.docx").read_bytes()),
        "markdown": ("a.md", b"# x\n"),
        "html": ("a.html", b"<p>x"),
        "notebook": ("a.ipynb", b'{"nbformat": 4, "cells": [{"cell_type": "raw", "source": "x"}]}'),
        "diff": ("-", b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"),
        "code": ("a.py", b"x = 1\n"),
        "text": ("a.txt", b"x\n"),
    }
    assert samples.keys() == {each.name for each in FORMATS}
    for path, content in samples.values():
        chosen = format_of(path, content)
        document = chosen.read(path, content)
        assert (document.kind, document.reader, document.path) == (chosen.name, chosen.reader, path)


def test_finding_out_costs_no_reader():
    """This test ensures that the registry and the walk import none of the heavy libraries, nor look for plugins."""
    code = (
        "import sys; from lctx.formats.registry import format_of; import lctx.formats.sources as s;"
        "format_of('a.py', b'x'); s.find_sources(['.'], include=[]);"
        "heavy = {'lxml', 'tinycss2', 'docx', 'pypdf', 'pypdfium2', 'charset_normalizer', 'importlib.metadata'};"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=EXAMPLES, check=True
    )
    assert done.stdout.strip() == ""
