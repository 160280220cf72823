"""Readers of other distributions: found by suffix and content, and never able to take lctx down."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from lctx.core.document import Block, Document, Location, Span
from lctx.core.errors import (
    DamagedSourceError,
    EmptySourceError,
    LimitError,
    SourceError,
    UnsupportedSourceError,
)
from lctx.formats import plugins, registry
from lctx.formats.format import Format
from lctx.formats.plugins import Plugins, load_plugins
from lctx.formats.registry import FORMATS, broken_plugins, claimed_suffixes, format_of, known_formats

EPUB = b"PK\x03\x04" + b"\x00" * 26 + b"mimetypeapplication/epub+zip"


def document(path: str, text: str, **more: object) -> Document:
    whole = {"path": path, "kind": "?", "reader": "?", "sha256": "?", "text": text} | more
    return Document(**{"spans": (Span(0, len(text), Location(part="all")),) if text else ()} | whole)


def read_book(path, content, options=None, /):
    return document(path, content.decode("latin-1").replace("\x00", ""))


def a_format(**more) -> Format:
    return Format(**{"name": "epub", "reader": "epub/1", "suffixes": (".epub",), "read": read_book} | more)


def exit_at_once():
    raise SystemExit(3)


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Install entry points: each a name and what its module holds under `FORMAT`."""
    monkeypatch.syspath_prepend(tmp_path)

    def installed(**formats: object) -> Plugins:
        entries = []
        for number, (name, held) in enumerate(formats.items()):
            module = f"plugin_{name}_{number}"
            monkeypatch.delitem(sys.modules, module, raising=False)
            source = (
                held if isinstance(held, str) else f"FORMAT = __import__('test_plugins').HELD[{name!r}]\n"
            )
            (tmp_path / f"{module}.py").write_text(source)
            monkeypatch.setitem(HELD, name, held)
            entries.append(EntryPoint(name, f"{module}:FORMAT", plugins.GROUP))
        found = load_plugins(entries, FORMATS, registry._is_built_in)
        monkeypatch.setattr(plugins, "_found", found)
        return found

    monkeypatch.setitem(sys.modules, "test_plugins", sys.modules[__name__])
    return installed


HELD: dict[str, object] = {}


@pytest.mark.parametrize("held", [a_format(), a_format], ids=["format", "callable"])
def test_a_reader_is_found_by_suffix(install, held):
    """This test ensures that a format, or what returns one, reads the files that it claims, binary or not."""
    install(epub=held)
    assert claimed_suffixes() == {".epub"}
    assert [one.name for one in known_formats()] == [*(one.name for one in FORMATS), "epub"]
    for content in (EPUB, b"plain words", b"\x00\x01\x02binary"):
        chosen = format_of("a.EPUB", content)
        assert (chosen.name, chosen.runs_in) == ("epub", "process")
    read = format_of("a.epub", EPUB).read("a.epub", EPUB)
    assert (read.kind, read.reader, read.path) == ("epub", "epub/1", "a.epub")
    assert len(read.sha256) == 64


def test_a_reader_is_found_by_content(install):
    """This test ensures that a source whose name says nothing is offered by its first bytes, the suffix going first."""
    sniffed: list[int] = []
    install(
        epub=a_format(sniff=lambda head: sniffed.append(len(head)) or b"epub" in head),
        other=a_format(name="other", reader="other/1", suffixes=(".book",)),
    )
    assert format_of("-", EPUB).name == "epub"
    assert format_of("download", EPUB).name == "epub"
    assert format_of("a.book", EPUB).name == "other"
    assert format_of("-", b"epub" + b"x" * 20_000).name == "epub"
    assert format_of("-", b"words").name == "text"
    assert max(sniffed) == 8192


@pytest.mark.parametrize(
    ("path", "content", "name"),
    [
        ("a.pdf", b"%PDF-1.7", "pdf"), ("a.epub", b"%PDF-1.7", "pdf"), ("a.md", b"# x", "markdown"), ("a.html", b"<p>x", "html"),
        ("a.txt", b"x", "text"), ("a.py", b"x", "code"), ("a.epub", b"x", "epub"), ("-", b"<html>x", "html"),
    ],
)  # fmt: skip
def test_what_lctx_reads_itself_comes_first(install, path, content, name):
    """This test ensures that nobody takes over a suffix or a signature of lctx."""
    install(epub=a_format(suffixes=(".epub", ".pdf", ".md", ".html", ".txt", ".py"), sniff=lambda _: True))
    assert claimed_suffixes() == {".epub"}
    assert format_of(path, content).name == name


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"), ("x = 1\n", "AttributeError"),
        ("FORMAT = 3\n", "is of type int, not a Format"), ("FORMAT = dict\n", "is of type dict, not a Format"),
        ("def FORMAT():\n    raise RuntimeError('no\\nlicence')\n", "RuntimeError: no licence"), ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("FORMAT = (\n", "SyntaxError"), (exit_at_once, "SystemExit"), (a_format(name="Bad Name"), "not in small letters"),
        (a_format(reader="epub"), "not written as name/version"), (a_format(suffixes=("epub",)), "endings with their dot"),
        (a_format(suffixes=".epub"), "endings with their dot"), (a_format(read=None), "no function"), (a_format(sniff=3), "no function"),
        (a_format(name="pdf"), "pdf (epub/1) is taken by lctx"), (a_format(reader="word/9"), "epub (word/9) is taken by lctx"),
    ],
)  # fmt: skip
def test_a_broken_plugin_is_told_and_stops_nobody_else(install, held, why):
    """This test ensures that its own sources get an error that says what is wrong, and all others are read."""
    found = install(epub=held, fine=a_format(name="fine", reader="fine/1", suffixes=(".fine",)))
    assert [one.name for one in found.formats] == ["fine"]
    assert [(one.name, why in one.why) for one in broken_plugins()] == [("epub", True)]
    for content in (EPUB, b"words"):
        with pytest.raises(UnsupportedSourceError, match="could not be loaded") as caught:
            format_of("a.epub", content)
        assert why in caught.value.message
        assert "\n" not in caught.value.message
    with pytest.raises(UnsupportedSourceError, match="an EPUB book, and a reader could not be loaded"):
        format_of("a.other", EPUB)
    assert format_of("a.fine", b"x").name == "fine"
    assert format_of("a.unknown", b"words").name == "text"


def test_two_plugins_cannot_have_one_name(install):
    """This test ensures that the second of two is told, and that a suffix of both goes to the first."""
    found = install(
        a=a_format(),
        b=a_format(reader="b/1"),
        c=a_format(name="c", reader="c/1", suffixes=(".epub", ".third")),
    )
    assert [(one.name, one.suffixes) for one in found.formats] == [("epub", (".epub",)), ("c", (".third",))]
    assert [one.name for one in found.broken] == ["b"]


def raising(error):
    def read(path, content, options=None, /):
        raise error

    return read


def returning(make):
    return lambda path, content, options=None, /: make(path)


@pytest.mark.parametrize(
    ("read", "why"),
    [
        (raising(KeyError("x")), "KeyError: 'x'"), (raising(SystemExit(1)), "SystemExit: 1"), (raising(RecursionError()), "RecursionError"),
        (lambda path: None, "TypeError"), (returning(lambda _: None), "NoneType, not a Document"),
        (returning(lambda path: document(path, "abc", spans=(Span(0, 2, Location()),))), "do not tile"),
        (returning(lambda path: document(path, "abc", blocks=(Block("paragraph", 0, 9),))), "a block lies outside the text"),
        (returning(lambda path: document(path, "abc", spans=[Span(0, 3, Location())])), "spans are not a tuple of Span"),
        (returning(lambda path: document(path, "abc", spans=(Span(0, 3, "page 1"),))), "location is no Location"),
        (returning(lambda path: document(path, "a\ud800")), "UnicodeEncodeError"), (returning(lambda path: document(path, "abc", warnings=(3,))), "a warning is no text"),
    ],
)  # fmt: skip
def test_a_reader_that_fails_is_an_error_of_the_source(install, read, why):
    """This test ensures that whatever a reader raises or returns, the user is told whose it is."""
    install(epub=a_format(read=read))
    with pytest.raises(DamagedSourceError, match="the reader of an unnamed distribution failed") as caught:
        format_of("a.epub", EPUB).read("a.epub", EPUB)
    assert why in caught.value.message
    assert caught.value.hint.startswith("report it to the authors")


def test_errors_of_ours_pass(install):
    """This test ensures that a reader which says why a source cannot be read is believed, and no text is an error."""
    install(epub=a_format(read=raising(LimitError("a.epub", "too long"))))
    with pytest.raises(LimitError, match="too long"):
        format_of("a.epub", EPUB).read("a.epub", EPUB)
    install(epub=a_format(read=returning(lambda path: document(path, " \n"))))
    with pytest.raises(EmptySourceError, match="holds no text"):
        format_of("a.epub", EPUB).read("a.epub", EPUB)


def test_a_sniffer_that_fails_takes_nothing(install):
    """This test ensures that one broken question about the content leaves every source as it was."""
    install(epub=a_format(suffixes=(), sniff=lambda _: 1 / 0))
    assert format_of("-", b"words").name == "text"
    with pytest.raises(SourceError):
        format_of("-", EPUB)


def test_the_distribution_is_named(install, tmp_path, monkeypatch):
    """This test ensures that what is installed is found with its distribution's name and version, once a process."""
    install()
    monkeypatch.setattr(plugins, "_found", None)
    info = tmp_path / "lctx_broken-2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lctx-broken\nVersion: 2.1\n")
    (info / "entry_points.txt").write_text("[lctx.formats]\nepub = no_such_module:EPUB\n")
    with pytest.raises(UnsupportedSourceError) as caught:
        format_of("a.epub", EPUB)
    assert caught.value.message == (
        "a.epub: its reader, of lctx-broken 2.1, could not be loaded"
        " (ModuleNotFoundError: No module named 'no_such_module')"
    )
    assert caught.value.hint == "install lctx-broken anew, or remove it"
    Path(info / "entry_points.txt").unlink()
    assert [one.name for one in broken_plugins()] == ["epub"]
