"""Reading the sources of a run: side by side, in order, from the cache the second time."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from cli_answers import SAMPLE
from pdf_files import pdf_of
from readings import read_found, read_sources

from lctx.cli import reading, reading_process, reading_run, stamps
from lctx.cli.sources import read_document, read_each
from lctx.core.document import Document
from lctx.core.document_cache import DocumentCache
from lctx.core.errors import EmptySourceError, LimitError, MissingSourceError
from lctx.core.storage import ByteCache
from lctx.formats import outliner
from lctx.formats.reader import ReadOptions
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


def test_a_pdf_from_standard_input_can_be_looked_at_again(monkeypatch):
    """This test ensures that the bytes of what cannot be opened a second time are handed on; text needs none."""
    for content, kept in ((SAMPLE.read_bytes(), {"-": SAMPLE.read_bytes()}), (b"words", {})):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        assert read_sources(find_sources([]), stdin=True, cache=no_cache()).contents == kept


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
    read_nothing(monkeypatch)
    again = read_document("b.pdf", content, cache)
    assert (again.path, again.text, again.spans) == ("b.pdf", first.text, first.spans)


def read_nothing(monkeypatch) -> None:
    """From here on a reader that is asked fails."""

    def never(self, options):
        raise AssertionError("it was read again")

    monkeypatch.setattr(reading.Opened, "read", never)


def open_nothing(monkeypatch) -> None:
    """From here on a file that is opened is a failure."""

    def never(file):
        raise AssertionError(f"{file.path} was opened again")

    monkeypatch.setattr(reading, "read_with_status", never)


def at_rest(*files) -> None:
    """The clock of the file system is past the last write: what follows is told from it."""
    for file in files:
        while time.time_ns() - file.stat().st_ctime_ns <= stamps._AT_REST_NS:
            time.sleep(0.02)


@pytest.fixture
def quick_clock(monkeypatch):
    """A file system that tells writes apart at once, so that no test waits."""
    monkeypatch.setattr(stamps, "_AT_REST_NS", 30_000_000)


@pytest.mark.parametrize("fault", [ZeroDivisionError, KeyboardInterrupt])
def test_a_fault_in_a_reader_is_not_swallowed(folder, monkeypatch, fault):
    """This test ensures that a crash in one of the threads reaches the command, and no document is missing in silence."""

    def crash(file):
        raise fault

    monkeypatch.setattr(reading, "read_with_status", crash)
    with pytest.raises(fault):
        read_sources(find_sources(names(folder)), stdin=False, cache=no_cache())


def test_untouched_files_are_not_even_opened(folder, tmp_path, monkeypatch, quick_clock):
    """This test ensures that a second question asks the system for times, not for content, skipped files included."""
    (folder / "made.py").write_text("# generated by x, do not edit\npass\n", "utf-8")
    cache = DocumentCache(ByteCache(tmp_path / "cache"))
    found = find_sources([str(folder)], look_inside=False)
    at_rest(*folder.iterdir())
    first = read_found(found, stdin=False, cache=cache)
    assert [path for path, _ in first.skipped] == [str(folder / "made.py")]
    open_nothing(monkeypatch)
    assert read_found(found, stdin=False, cache=cache) == first


def test_a_touched_file_is_opened_and_found_by_its_content(folder, tmp_path, monkeypatch, quick_clock):
    """This test ensures that a checkout with new times costs a hash, and nothing is read anew."""
    cache = DocumentCache(ByteCache(tmp_path / "cache"))
    found = find_sources(names(folder))
    first = read_found(found, stdin=False, cache=cache)
    for name in names(folder):
        os.utime(name)
    read_nothing(monkeypatch)
    assert read_found(found, stdin=False, cache=cache) == first


@pytest.mark.parametrize("keeps_its_time", [False, True])
def test_a_changed_file_is_read(tmp_path, keeps_its_time, quick_clock):
    """This test ensures that a file of the same size is read again, even with its time put back."""
    note = tmp_path / "note.txt"
    note.write_text("one\n", "utf-8")
    before = note.stat()
    at_rest(note)
    cache = DocumentCache(ByteCache(tmp_path / "cache"))
    found = find_sources([str(note)])
    assert read_found(found, stdin=False, cache=cache).documents[0].text == "one\n"
    note.write_text("two\n", "utf-8")
    if keeps_its_time:
        os.utime(note, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read_found(found, stdin=False, cache=cache).documents[0].text == "two\n"


def test_a_file_that_was_just_written_is_not_trusted(tmp_path):
    """This test ensures that a second write in the same tick of the clock is seen: git's racy entries."""
    note = tmp_path / "note.txt"
    cache = DocumentCache(ByteCache(tmp_path / "cache"))
    found = None
    for word in ("one", "two", "six"):
        note.write_text(f"{word}\n", "utf-8")
        found = found or find_sources([str(note)])
        assert read_found(found, stdin=False, cache=cache).documents[0].text == f"{word}\n"


def test_what_was_read_with_a_password_is_not_kept(folder, tmp_path):
    """This test ensures that no trace of it is in the cache's folder."""
    cache = DocumentCache(ByteCache(tmp_path / "cache"))
    found = find_sources(names(folder))
    reading = read_found(found, stdin=False, cache=cache, options=ReadOptions(password="secret"))
    assert len(reading.documents) == 7
    assert not (tmp_path / "cache").exists()


def test_a_cache_of_another_lctx_is_not_believed(folder, tmp_path, monkeypatch, quick_clock):
    """This test ensures that a file's format is asked for again by a version that may know better."""
    cache = DocumentCache(ByteCache(tmp_path / "cache"))
    found = find_sources(names(folder))
    at_rest(*folder.iterdir())
    read_found(found, stdin=False, cache=cache)
    monkeypatch.setattr(stamps, "__version__", "next")
    open_nothing(monkeypatch)
    with pytest.raises(AssertionError, match="opened again"):
        read_found(found, stdin=False, cache=cache)


def test_a_part_of_a_file_is_cut_from_the_whole(tmp_path, monkeypatch):
    """This test ensures that "a.pdf#2-3" is read once for all its parts, and keeps its places."""
    paper = tmp_path / "a.pdf"
    paper.write_bytes(pdf_of([[f"words of page {number}"] for number in range(1, 5)]))
    cache = DocumentCache(ByteCache(tmp_path / "cache"))
    (whole,) = read_found(find_sources([str(paper)]), stdin=False, cache=cache).documents
    read_nothing(monkeypatch)
    reading = read_found(find_sources([f"{paper}#2-3", f"{paper}#4", f"{paper}#9"]), stdin=False, cache=cache)
    middle, last = reading.documents
    assert middle.text == whole.text[middle.offset : middle.offset + len(middle.text)]
    assert [span.location.pages for span in middle.spans] == [(2, 2), (3, 3)]
    assert last.locate(0, 5) == whole.locate(last.offset, last.offset + 5)
    (error,) = reading.unreadable
    assert "a.pdf#9: it has 4 pages" in error.message


# Several processes. The threshold is far above what a test should read.


@pytest.fixture
def in_processes(monkeypatch):
    """Reads with so many processes, however little there is to read."""

    def read(found, cores=2, cache=None, **options):
        monkeypatch.setattr(reading_run, "MIN_BYTES", 0)
        monkeypatch.setattr(reading_run, "available_cores", lambda: cores)
        return read_found(found, stdin=False, cache=cache or no_cache(), **options)

    return read


@pytest.fixture
def tree(folder):
    """Files of many kinds: some that cannot be read, some that nobody would read, one that has no bytes."""
    for number in range(150):
        code = f'def f{number}(a, b):\n    """Add."""\n    return a + b\n\n\n' * 20
        (folder / f"code{number}.py").write_text(code, "utf-8")
        (folder / f"page{number}.md").write_text(f"# Title {number}\n\nSome words.\n" * 10, "utf-8")
    (folder / "blank.txt").write_text("\n", "utf-8")
    (folder / "latin.txt").write_bytes("Größe und Maß\n".encode("latin-1") * 5)
    (folder / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (folder / "made.py").write_text("# generated by x, do not edit\npass\n", "utf-8")
    (folder / "bad.docx").write_bytes(b"PK\x03\x04 and nothing more")
    (folder / "paper.txt").write_bytes(SAMPLE.read_bytes())
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("coffee\n", "utf-8")
    return folder


def comparable(reading):
    unreadable = [(type(one), one.message, one.hint) for one in reading.unreadable]
    return reading.documents, unreadable, reading.warnings, reading.skipped


@pytest.mark.parametrize("look_inside", [True, False])
def test_the_number_of_processes_changes_nothing(tree, tmp_path, in_processes, look_inside):
    """This test ensures that documents, errors, warnings and their order are the same with 1, 2 and 4."""
    bad = [
        str(tree / "bad.docx"),
        str(tree / "blank.txt"),
        str(tree / "gone.txt"),
        str(tree / os.fsdecode(b"caf\xe9.txt")),
    ]
    found = find_sources([*bad, str(tree)], look_inside=look_inside)
    one = comparable(in_processes(found, 1))
    assert len(one[0]) > 320
    assert len(one[1]) == 3
    cache = DocumentCache(ByteCache(tmp_path / "cache"))
    assert comparable(in_processes(found, 2, cache)) == one
    assert comparable(in_processes(found, 4, cache)) == one
    assert comparable(in_processes(found, 4)) == one


def test_what_processes_read_is_kept(tree, tmp_path, in_processes, monkeypatch, quick_clock):
    """This test ensures that the next reading finds all of it without a process."""
    cache = DocumentCache(ByteCache(tmp_path / "cache"))
    (tree / "bad.docx").unlink()  # why a file cannot be read is not kept
    found = find_sources([str(tree)], look_inside=False)
    at_rest(*tree.iterdir())
    first = in_processes(found, 2, cache)
    monkeypatch.setattr(reading_run.Run, "_start", None)
    read_nothing(monkeypatch)
    assert in_processes(found, 2, cache) == first


def test_a_process_never_waits_to_be_asked(tree, in_processes, monkeypatch):
    """This test ensures that the next files are asked for while these are read, and none is left unanswered."""
    said: dict[int, list[str]] = {}

    def noting(name, honest):
        def note(self, *files, **more):
            said.setdefault(id(self), []).extend(name * len(files[0]) if files else name)
            return honest(self, *files, **more)

        return note

    process = reading_process.ReadingProcess
    monkeypatch.setattr(process, "ask", noting("?", process.ask))
    monkeypatch.setattr(process, "answer", noting("!", process.answer))
    in_processes(find_sources([str(tree)]))
    told = ["".join(one) for one in said.values()]
    assert all(one.count("?") == one.count("!") for one in told)
    assert max(len(one.partition("!")[0]) for one in told) > reading_run._MAX_BATCH_FILES


@pytest.fixture
def deadly_format(tmp_path, monkeypatch):
    """A folder of packages where reading Markdown that says so kills, hangs or fails."""
    packages = tmp_path / "deadly"
    packages.mkdir()
    (packages / "deadly.py").write_text(
        "import os, signal, sys, time\n"
        "from lctx.formats import markdown\n"
        "honest = markdown.read_markdown\n"
        "def read(path, content, options):\n"
        "    if b'kill me' in content: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    if b'exit me' in content: os._exit(3)\n"
        "    if b'hang me' in content: time.sleep(60)\n"
        "    if b'fail me' in content: raise ZeroDivisionError('our mistake')\n"
        "    print('what a library prints')\n"
        "    return honest(path, content, options)\n"
        "markdown.read_markdown = read\n",
        "utf-8",
    )
    start = reading_process._START.replace(
        "from lctx.cli.reading_child", "import deadly\nfrom lctx.cli.reading_child"
    )
    monkeypatch.setattr(reading_process, "_START", start)
    monkeypatch.syspath_prepend(str(packages))


@pytest.mark.usefixtures("deadly_format")
def test_a_file_that_kills_its_reader_costs_itself_only(tree, in_processes):
    """This test ensures that all other files are read by another process, and the reason is told."""
    for number in (0, 1, 70, 149):
        (tree / f"page{number}.md").write_text("kill me\n", "utf-8")
    (tree / "page2.md").write_text("exit me\n", "utf-8")
    reading = in_processes(find_sources([str(tree)]))
    told = {Path(one.path).name: one.why for one in reading.unreadable if one.path.endswith(".md")}
    assert told == dict.fromkeys(
        ("page0.md", "page1.md", "page149.md", "page70.md"), "it ends its reader (signal 9)"
    ) | {"page2.md": "it ends its reader (exit code 3)"}
    assert sum(one.path.endswith(".md") for one in reading.documents) == 145


@pytest.fixture
def deadly_parser(tmp_path, monkeypatch):
    """A folder of packages where parsing code that says so kills or fails."""
    packages = tmp_path / "deadly"
    packages.mkdir()
    (packages / "deadly_parser.py").write_text(
        "import os, signal\n"
        "from lctx.formats import outline_here\n"
        "honest = outline_here.outline\n"
        "def outline(content, language):\n"
        "    if b'kill me' in content: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    if b'exit me' in content: os._exit(3)\n"
        "    if b'fill me' in content: raise MemoryError\n"
        "    return honest(content, language)\n"
        "outline_here.outline = outline\n",
        "utf-8",
    )
    for module, first in ((reading_process, "from lctx.cli"), (outliner, "from lctx.formats")):
        start = module._START.replace(first, f"import deadly_parser\n{first}")
        monkeypatch.setattr(module, "_START", start)
    monkeypatch.syspath_prepend(str(packages))
    outliner.end_children()
    yield
    outliner.end_children()


@pytest.mark.usefixtures("deadly_parser")
def test_code_that_ends_its_parser_is_read_by_line(tree, tmp_path, in_processes):
    """This test ensures that it is told as in one process: the first, two in a row, the last, one kept."""
    deadly = {"0.py": "exit", "code70.py": "kill", "code71.py": "fill", "code72.py": "kill", "z.py": "kill"}
    for name, what in deadly.items():
        (tree / name).write_text(f"# {what} me\ndef f(): pass\n", "utf-8")
    cache = DocumentCache(ByteCache(tmp_path / "cache"))
    found = find_sources([str(tree / name) for name in ("0.py", "code69.py", *deadly, "code73.py", "z.py")])
    one = in_processes(found, 1)
    told = [Path(text.partition(": ")[0]).name for text in one.warnings if "Its parser gives up" in text]
    assert sorted(told) == sorted(deadly)
    assert {len(document.blocks) for document in one.documents} == {1, 20}
    assert comparable(in_processes(found, 2, cache)) == comparable(one)
    assert comparable(in_processes(found, 2, cache)) == comparable(one)


@pytest.mark.usefixtures("deadly_format")
def test_a_file_that_takes_too_long_is_given_up(tree, in_processes, monkeypatch):
    """This test ensures that one file cannot hold up the command."""
    monkeypatch.setattr(reading_process, "MAX_FILE_S", 3.0)
    (tree / "page7.md").write_text("hang me\n", "utf-8")
    reading = in_processes(
        find_sources([str(tree / "page6.md"), str(tree / "page7.md"), str(tree / "page8.md")])
    )
    assert [Path(one.path).name for one in reading.documents] == ["page6.md", "page8.md"]
    assert [type(one) for one in reading.unreadable] == [LimitError]


@pytest.mark.usefixtures("deadly_format")
def test_our_own_mistake_in_a_process_is_not_swallowed(tree, in_processes):
    """This test ensures that a fault is raised here, with where it was made."""
    (tree / "page7.md").write_text("fail me\n", "utf-8")
    with pytest.raises(RuntimeError, match=r"(?s)page7.md.*ZeroDivisionError: our mistake"):
        in_processes(find_sources([str(tree)]))


def test_a_process_that_does_not_start_is_our_mistake(tree, in_processes, monkeypatch):
    """This test ensures that a broken installation is not blamed on the first file."""
    monkeypatch.setattr(reading_process, "_START", "raise SystemExit(1)")
    with pytest.raises(RuntimeError, match="did not start"):
        in_processes(find_sources([str(tree)]))


def test_no_process_is_left_behind(tree, in_processes, monkeypatch):
    """This test ensures that whoever stops listening ends the processes and the threads."""
    started = []
    begin = reading_process.ReadingProcess.__init__

    def note(self, order):
        begin(self, order)
        started.append(self._process)

    monkeypatch.setattr(reading_process.ReadingProcess, "__init__", note)
    in_processes(find_sources([str(tree)]))
    results = read_each(find_sources([str(tree)]), stdin=False, cache=no_cache())
    assert isinstance(next(results), Document)
    results.close()
    deadline = time.monotonic() + 20
    while any(one.poll() is None for one in started) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(started) >= 3
    assert all(one.poll() is not None for one in started)


def test_an_interrupt_ends_everything(tree, tmp_path):
    """This test ensures that Ctrl-C, which reaches every process, leaves none and prints nothing of theirs."""
    code = """
import os, signal, sys, threading
from lctx.cli import reading_run
from lctx.cli.sources import read_each
from lctx.core.document_cache import DocumentCache
from lctx.core.storage import ByteCache
from lctx.formats.sources import find_sources
reading_run.MIN_BYTES = 0
reading_run.available_cores = lambda: 2
def stop(done, total, name):
    if done == 100:
        os.killpg(0, signal.SIGINT)
try:
    list(read_each(find_sources(sys.argv[1:]), stdin=False, cache=DocumentCache(ByteCache(None)), on_progress=stop))
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tree)],
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


def test_a_reader_that_gets_slow_is_waited_for(folder, monkeypatch):
    """This test ensures that a listener that takes its time bounds what is read ahead."""
    monkeypatch.setattr(reading_run, "_MAX_AHEAD_BYTES", 10)
    monkeypatch.setattr(reading_run, "_MAX_BATCH_FILES", 1)
    done = []
    results = read_each(
        find_sources([str(folder)]),
        stdin=False,
        cache=no_cache(),
        on_progress=lambda *step: done.append(step),
    )
    next(results)
    time.sleep(0.3)
    assert len(done) < 10
    assert len(list(results)) == 20
