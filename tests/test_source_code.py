"""Source code as a document: its languages, its blocks, its warnings."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lctx.formats import outliner
from lctx.formats.languages import language_of
from lctx.formats.registry import CODE
from lctx.formats.source_code import READER, read_code


def test_the_registry_knows_the_version():
    """This test ensures that what was kept of an older reader is read again."""
    assert CODE.reader == READER == read_code("a.py", b"x = 1\n").reader


@pytest.mark.parametrize(
    ("path", "content", "language"),
    [
        ("a.py", b"", "python"), ("a.pyi", b"", "python"), ("a.mjs", b"", "javascript"), ("a.jsx", b"", "javascript"),
        ("a.ts", b"", "typescript"), ("a.tsx", b"", "tsx"), ("a.hpp", b"", "cpp"), ("a.h", b"int f(void);\n", "c"),
        ("a.h", b"#pragma once\nnamespace a {\n}\n", "cpp"), ("a.h", b"#include <string>\n", "cpp"),
        ("a.h", b"#include <string.h>\n/* no class of its own */\nint f();\n", "c"), ("a.cs", b"", "csharp"),
        ("a.vue", b"", "other"), ("a.lua", b"", "other"), ("run", b"#!/usr/bin/env node\n", "javascript"),
        ("run", b"#!/bin/sh\n", "bash"), ("run", b"#!/usr/bin/perl\n", "other"), ("Gemfile", b"", "ruby"),
        ("notes.txt", b"", None),
    ],
)  # fmt: skip
def test_a_language_is_told_by_name_and_content(path, content, language):
    """This test ensures that each grammar gets the files that it is for, and headers the one they are in."""
    assert language_of(path, content) == language


def test_a_block_says_what_begins_there():
    """This test ensures that signature, documentation and symbol reach the document, in code points."""
    content = '\ufeff# é\r\nimport os\r\n\r\ndef größe(a):\r\n    """Gr\u00f6\u00dfe \U0001f4d0."""\r\n    return a\r\n'
    document = read_code("a.py", content.encode())
    assert document.text == content[1:]
    block = document.blocks[-1]
    assert block.symbol == ("größe",)
    assert document.text.startswith("def", block.start)
    assert document.text[slice(*block.signature)] == "def größe(a)"
    assert document.text[slice(*block.doc)] == '"""Größe \U0001f4d0."""'
    at = document.text.index("return")
    assert document.locate(at, at + 6).symbol == ("größe",)
    assert document.locate(at, at + 6).lines == (6, 6)


def test_another_encoding_keeps_its_places():
    """This test ensures that offsets are right where the bytes of the file are not those that are parsed."""
    text = "// ñandú\nfunction año() {\n}\n"
    for encoding in ("latin-1", "utf-16", "utf-8-sig"):
        document = read_code("a.js", text.encode(encoding))
        assert [(one.start, one.end, one.symbol) for one in document.blocks] == [(0, len(text), ("año",))], (
            encoding
        )


def test_without_a_grammar_there_is_one_block():
    """This test ensures that data files and unknown languages are read by line, without a warning."""
    for path, content in (("a.json", b'{"a": 1}\n'), ("a.lua", b"function f()\nend\n")):
        document = read_code(path, content)
        assert [(one.start, one.end, one.symbol) for one in document.blocks] == [(0, len(content), ())]
        assert document.warnings == ()


def test_a_file_that_is_not_what_it_says_is_read():
    """This test ensures that prose under a program's suffix keeps its text and its lines."""
    text = "Dear reader,\n\nthis is (not) a program; it's prose.\n" * 50
    document = read_code("letter.java", text.encode())
    assert document.text == text
    assert document.locate(len(text) - 6, len(text)).lines == (150, 150)


def test_what_the_parser_gives_up_on_is_said(monkeypatch):
    """This test ensures that a file past the ceiling is whole, in one block, with a warning."""
    monkeypatch.setattr(outliner, "MAX_BYTES", 1000)
    document = read_code("a.py", b"def f(): pass\n" * 100)
    assert [(one.start, one.end) for one in document.blocks] == [(0, 1400)]
    assert len(document.warnings) == 1


@given(
    text=st.text(alphabet="def x():\n\r\"'# {}[],=é\U0001f4d0", min_size=1, max_size=120).filter(str.strip),
    suffix=st.sampled_from([".py", ".js", ".rb", ".sh", ".rs"]),
)
@settings(max_examples=80, deadline=None)
def test_any_text_is_a_document(text, suffix):
    """This test ensures that no text breaks what a document promises about its blocks."""
    document = read_code(f"a{suffix}", text.encode())
    assert document.blocks[-1].end <= len(document.text)
