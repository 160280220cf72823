"""Reading the sources of a run: side by side, in order, from the cache the second time."""

import io
import sys
from types import SimpleNamespace

import pytest
from cli_answers import SAMPLE

from lctx.cli import sources
from lctx.cli.sources import read_document, read_sources
from lctx.core.document_cache import DocumentCache
from lctx.core.errors import EmptySourceError, MissingSourceError
from lctx.core.storage import ByteCache
from lctx.formats.sources import find_sources


@pytest.fixture
def folder(tmp_path):
    """Twenty short notes and a PDF, named out of order."""
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text(f"note {number}\n", "utf-8")
    (tmp_path / "a.pdf").write_bytes(SAMPLE.read_bytes())
    return tmp_path


def names(folder) -> list[str]:
    return [str(folder / "a.pdf"), *(str(folder / f"{number}.txt") for number in (7, 3, 19, 0, 11, 5))]


def no_cache() -> DocumentCache:
    return DocumentCache(ByteCache(None))


def test_sources_come_in_the_order_in_which_they_were_named(folder):
    """This test ensures that reading side by side never changes what the plan sees."""
    told = []
    reading = read_sources(
        find_sources(names(folder)),
        stdin=False,
        cache=no_cache(),
        on_progress=lambda *step: told.append(step),
    )
    assert [one.path for one in reading.documents] == names(folder)
    assert [step[:2] for step in told] == [(done, 7) for done in range(1, 8)]
    assert {step[2] for step in told} == set(names(folder))


def test_standard_input_comes_first(folder, monkeypatch):
    """This test ensures that piped text is a source beside the files, named by a dash."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"piped text\n")))
    reading = read_sources(find_sources(names(folder)), stdin=True, cache=no_cache())
    assert [one.path for one in reading.documents] == ["-", *names(folder)]
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(EmptySourceError, match="closed"):
        read_sources(find_sources([]), stdin=True, cache=no_cache())


def test_what_cannot_be_read_stands_beside_what_can(folder):
    """This test ensures that one bad file costs itself only, and all bad is the first one's error."""
    (folder / "empty.txt").touch()
    bad = [str(folder / "gone.txt"), str(folder / "empty.txt")]
    reading = read_sources(find_sources([*names(folder), *bad]), stdin=False, cache=no_cache())
    assert [type(error) for error in reading.unreadable] == [MissingSourceError, EmptySourceError]
    assert len(reading.documents) == 7
    with pytest.raises(MissingSourceError, match=r"nor could the others be read: .*empty.txt: it is empty"):
        read_sources(find_sources(bad), stdin=False, cache=no_cache())
    with pytest.raises(EmptySourceError):
        read_sources(find_sources([str(folder)], exclude=["*"]), stdin=False, cache=no_cache())


def test_a_document_is_read_once(folder, tmp_path, monkeypatch):
    """This test ensures that the second question takes the document from the cache, under its new name too."""
    cache = DocumentCache(ByteCache(tmp_path / "cache"))
    content = SAMPLE.read_bytes()
    first = read_document("a.pdf", content, cache)
    kind = sources.format_of("a.pdf", content)

    def never(path, content):
        raise AssertionError("it was read again")

    monkeypatch.setattr(
        sources, "format_of", lambda path, content: SimpleNamespace(reader=kind.reader, read=never)
    )
    again = read_document("b.pdf", content, cache)
    assert (again.path, again.text, again.spans) == ("b.pdf", first.text, first.spans)


@pytest.mark.parametrize("fault", [ZeroDivisionError, KeyboardInterrupt])
def test_a_fault_in_a_reader_is_not_swallowed(folder, monkeypatch, fault):
    """This test ensures that a crash in one of the threads reaches the command, and no document is missing in silence."""

    def crash(file):
        raise fault

    monkeypatch.setattr(sources, "read_bytes", crash)
    with pytest.raises(fault):
        read_sources(find_sources(names(folder)), stdin=False, cache=no_cache())
