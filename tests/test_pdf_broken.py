"""Tests of PDFs that are broken, locked, hostile or odd: text, or one clear line; never a hang or a crash."""

import hashlib
import io
import logging
import os
import random
import subprocess
import sys
import time
import warnings
import zlib
from pathlib import Path

import pypdf
import pypdfium2
import pytest
from pdf_files import (
    CONSTITUTION,
    FONT,
    drawn,
    encrypted,
    heading_texts,
    one_page,
    outline,
    pdf_of,
    pdf_of_objects,
    pdfium_pages,
    stream,
    text_of_page,
)

from lctx.core.document import Document
from lctx.core.errors import (
    DamagedSourceError,
    EmptySourceError,
    EncryptedSourceError,
    LimitError,
    ScannedSourceError,
    SourceError,
)
from lctx.formats import pdf, pdf_pdfium
from lctx.formats.pdf import read_pdf
from lctx.formats.reader import ReadOptions


def read_or_refuse(path: str, content: bytes) -> Document | SourceError:
    try:
        return read_pdf(path, content)
    except SourceError as error:
        return error


# Files that are not what they should be


@pytest.mark.parametrize(
    ("content", "error", "told"),
    [
        (b"", EmptySourceError, "a.pdf: the file is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), DamagedSourceError, "a.pdf: it is a PNG image, not a PDF"),
        (b"\xff\xd8\xff\xe0" + bytes(100), DamagedSourceError, "a.pdf: it is a JPEG image, not a PDF"),
        (b" <html><body>no</body></html>", DamagedSourceError, "a.pdf: it is HTML or XML, not a PDF"),
        (
            b"PK\x03\x04" + bytes(100),
            DamagedSourceError,
            "a.pdf: it is a ZIP archive or an office document, not a PDF",
        ),
        (
            b"PK\x03\x04" + bytes(2000) + pdf_of([["in an archive"]]),
            DamagedSourceError,
            "a.pdf: it is a ZIP archive",
        ),
        (random.Random(1).randbytes(5000), DamagedSourceError, "a.pdf: it is something else, not a PDF"),
        (b"%PDF-1.7\n", DamagedSourceError, "a.pdf: it is damaged, or not a PDF"),
        (
            b"%PDF-1.7\n" + random.Random(2).randbytes(5000),
            DamagedSourceError,
            "a.pdf: it is damaged, or not a PDF",
        ),
        (pdf_of([]), DamagedSourceError, "a.pdf: "),
        (pdf_of([[], []]), ScannedSourceError, "a.pdf: its 2 pages hold no text, only pictures or nothing"),
        (
            pdf_of_objects([b"<</Type/Catalog/Pages 1 0 R/Kids[1 0 R]/Count 9>>"]),
            DamagedSourceError,
            "a.pdf: ",
        ),
    ],
)
def test_what_holds_no_text_is_an_error_with_a_hint(content, error, told):
    """This test ensures that nothing is ever read as an empty document, and that the next step is named."""
    with pytest.raises(SourceError) as caught:
        read_pdf("a.pdf", content)
    assert type(caught.value) is error
    assert caught.value.message.startswith(told)
    assert caught.value.hint


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-128", "AES-256"])
def test_a_password_is_asked_for_only_where_one_is_needed(algorithm):
    """This test ensures that a locked file says so, and one that only forbids printing is read."""
    assert "a secret" in read_pdf("a.pdf", encrypted(algorithm, "")).text
    with pytest.raises(EncryptedSourceError, match=r"a\.pdf: it is protected by a password") as caught:
        read_pdf("a.pdf", encrypted(algorithm, "user"))
    assert "--password" in caught.value.hint
    assert "LCTX_PASSWORD" in caught.value.hint


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-128", "AES-256"])
@pytest.mark.parametrize("reader", [pdf._PDFIUM, pdf._PYPDF[0]])
def test_a_password_opens_what_it_belongs_to(algorithm, reader, monkeypatch):
    """This test ensures that both libraries open a file with either password, and that a wrong one is told."""
    monkeypatch.setattr(pdf, "_PDFIUM", reader)
    content = encrypted(algorithm, "geheim")
    for right in ("geheim", "owner"):
        assert read_pdf("a.pdf", content, ReadOptions(password=right)).text == "a secret\n"
    for wrong in ("", "Geheim", "\udcff", "x" * 5000):
        with pytest.raises(EncryptedSourceError, match=r"a\.pdf: the password does not open it") as caught:
            read_pdf("a.pdf", content, ReadOptions(password=wrong))
        assert caught.value.hint


def test_a_password_that_is_not_needed_does_no_harm():
    """This test ensures that one password given for many files spoils none that has none."""
    assert read_pdf("a.pdf", pdf_of([["one"]]), ReadOptions(password="unused")).text == "one\n"
    locked = encrypted("AES-256", "")
    assert read_pdf("a.pdf", locked, ReadOptions(password="unused")).text == "a secret\n"


def test_junk_before_the_header_is_skipped():
    """This test ensures that a mail header of several kilobytes in front does not hide the file."""
    content = b"X-Junk: yes\r\n" * 400 + pdf_of([["one"], ["two"]])
    document = read_pdf("a.pdf", content)
    assert document.text == "one\ntwo\n"
    assert document.sha256 == hashlib.sha256(content).hexdigest()


def test_a_file_without_its_end_is_read_as_far_as_it_goes():
    """This test ensures that a download that broke off gives its pages, and says that some may be missing."""
    content = pdf_of([["one"], ["two"], ["three"]])
    document = read_pdf("a.pdf", content[: content.index(b"(three)")])
    assert text_of_page(document, 1) == "one\n"
    assert "its end may be missing" in document.warnings[0]
    assert document.warnings[1] == "page 3: blank"


def test_damage_anywhere_gives_text_or_a_named_error():
    """This test ensures that cuts and flipped bytes end in a document that says what is missing, or in one line."""
    content = CONSTITUTION.read_bytes()
    chance = random.Random(3)
    cuts = [content[: chance.randrange(len(content))] for _ in range(5)]
    flips = []
    for _ in range(5):
        flipped = bytearray(content)
        for _ in range(200):
            flipped[chance.randrange(len(flipped))] = chance.randrange(256)
        flips.append(bytes(flipped))
    for damaged in (*cuts, *flips):
        outcome = read_or_refuse("a.pdf", damaged)
        assert outcome.hint if isinstance(outcome, SourceError) else outcome.text.strip()


def test_pypdf_reads_on_where_pdfium_breaks_down(tmp_path, monkeypatch):
    """This test ensures that a crash of pdfium costs neither lctx nor the document, and that it is told."""
    (tmp_path / "crashing_reader.py").write_text(
        "import os\ndef read(content, password):\n    yield os.abort()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(pdf, "_PDFIUM", "crashing_reader:read")
    monkeypatch.setattr(pdf, "_CUT_OFF", ("crashing_reader:read", ""))
    labels = b"/PageLabels<</Nums[0<</S/r>>]>>"
    catalog, more = outline((b"First", b"4 0 R"), (b"Second", b"5 0 R"))
    document = read_pdf("a.pdf", pdf_of([["First", "one"], ["Second", "two"]], labels + catalog, more))
    assert [text_of_page(document, number).split() for number in (1, 2)] == [
        ["First", "one"],
        ["Second", "two"],
    ]
    assert heading_texts(document) == ["First", "Second"]
    assert document.spans[1].location.page_labels == ("ii", "ii")
    assert document.warnings[0].startswith("read by pypdf")
    with pytest.raises(EncryptedSourceError):
        read_pdf("a.pdf", encrypted("AES-256", "user"))
    with pytest.raises(DamagedSourceError, match="crashes its reader"):
        read_pdf("a.pdf", b"%PDF-1.7\n")


# Ceilings


def test_more_pages_than_the_ceiling_are_refused_at_once():
    """This test ensures that a file of 100,001 pages is an error before any page is read."""
    count = pdf_pdfium.MAX_PAGES + 1
    kids = b" ".join([b"4 0 R"] * count)
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</F 3 0 R>>>>/Contents 5 0 R>>"
    content = pdf_of_objects(
        [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, count), FONT, page, drawn(["x"])]
    )  # fmt: skip
    with pytest.raises(LimitError, match="100,001 pages, more than the 100,000") as caught:
        read_pdf("a.pdf", content)
    assert caught.value.hint


def test_more_text_than_the_ceiling_is_refused_before_it_is_copied(monkeypatch):
    """This test ensures that text is counted over all pages."""
    content = pdf_of([["0123456789"], ["0123456789"], ["0123456789"]])
    monkeypatch.setattr(pdf_pdfium, "MAX_CHARS", 30)
    assert len([page for page in pdf_pdfium.read_pages(content) if page["type"] == "page"]) == 3
    monkeypatch.setattr(pdf_pdfium, "MAX_CHARS", 29)
    with pytest.raises(LimitError, match="more than 29 characters"):
        list(pdf_pdfium.read_pages(content))


def test_a_flate_bomb_is_read_within_five_seconds():
    """This test ensures that 200 MB of blanks in 200 kB around a word cost neither the time nor the word."""
    packed = zlib.compress(b" " * 200_000_000 + b"BT /F 11 Tf 50 700 Td (inside) Tj ET", 1)
    content = one_page(stream(packed, b"/Filter/FlateDecode"), b"")
    start = time.perf_counter()
    document = read_pdf("a.pdf", content)
    assert document.text == "inside\n"
    assert time.perf_counter() - start < 5 * load_factor()


def test_forms_inside_forms_are_stopped(tmp_path):
    """This test ensures that ten times ten times ten copies of a word end at a ceiling, in seconds."""
    levels = 9
    forms = []
    for level in range(levels):
        inner = b"/X%d Do " % (level + 1) * 10 if level + 1 < levels else b"BT /F 11 Tf 9 9 Td (word) Tj ET"
        inside = b"/Resources<</Font<</F 3 0 R>>/XObject<</X%d %d 0 R>>>>" % (level + 1, 7 + level)
        forms.append(stream(inner, b"/Type/XObject/Subtype/Form/BBox[0 0 600 800]" + inside))
    content = one_page(stream(b"/X0 Do " * 10), b"/XObject<</X0 6 0 R>>", tuple(forms))
    (tmp_path / "a.pdf").write_bytes(content)
    # In a process of its own: a child begins with the peak of its parent, and that of many tests is large.
    script = (
        "import sys, pathlib\n"
        "from lctx.core.errors import LimitError\n"
        "from lctx.formats.pdf import read_pdf\n"
        "try:\n"
        "    read_pdf('a.pdf', pathlib.Path(sys.argv[1]).read_bytes())\n"
        "except LimitError as error:\n"
        "    print(error.hint)\n"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a.pdf"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() not in {"", "None"}
    assert time.perf_counter() - start < 30 * load_factor()


def load_factor() -> float:
    """How much longer than alone something may take on this machine right now."""
    return max(1.0, 2 * os.getloadavg()[0] / (os.cpu_count() or 1))


# Files of the wild


@pytest.fixture(scope="module")
def bench_data() -> Path:
    found = os.environ.get("LCTX_BENCH_DATA")
    folder = Path(found) if found else Path(__file__).parent.parent.parent / "shared/data"
    if not folder.is_dir():
        pytest.skip("LCTX_BENCH_DATA names no folder: the evaluation data is not here")
    return folder


READABLE_BROKEN = {
    "good.pdf": (3, 0),
    "truncated-half.pdf": (1, 2),
    "truncated-no-eof.pdf": (3, 0),
    "bad-startxref.pdf": (3, 0),
    "junk-before-header.pdf": (3, 0),
    "junk-after-eof.pdf": (3, 0),
    "xref-corrupted.pdf": (3, 0),
    "stream-bitflips.pdf": (2, 1),
    "wrong-length.pdf": (3, 0),
    "huge-count.pdf": (3, 0),
    "flate-bomb-200mb.pdf": (1, 0),
    "two-column.pdf": (1, 0),
    "hidden-injection.pdf": (1, 0),
}
UNREADABLE_BROKEN = {
    "empty.pdf": EmptySourceError,
    "not-a-pdf.pdf": DamagedSourceError,
    "header-only.pdf": DamagedSourceError,
    "cyclic-pages.pdf": DamagedSourceError,
    "image-only.pdf": ScannedSourceError,
}


@pytest.mark.data
@pytest.mark.parametrize(("name", "pages"), READABLE_BROKEN.items())
def test_a_broken_file_is_read_and_says_what_is_missing(bench_data, name, pages):
    """This test ensures that each page that can be read is, and that a warning stands for the others."""
    start = time.perf_counter()
    document = read_pdf(name, (bench_data / "malformed-pdf" / name).read_bytes())
    assert time.perf_counter() - start < 5 * load_factor()
    texts = [text_of_page(document, number).strip() for number in range(1, len(document.spans) + 1)]
    assert (sum(map(bool, texts)), sum(not text for text in texts)) == pages
    assert bool(document.warnings) == bool(pages[1])
    if pages == (3, 0):
        assert [len(text.split("\r\n")) for text in texts] == [30, 30, 30]


@pytest.mark.data
@pytest.mark.parametrize(("name", "error"), UNREADABLE_BROKEN.items())
def test_a_file_beyond_repair_is_one_clear_line(bench_data, name, error):
    """This test ensures that each file without text ends in the error that fits, with a hint, in seconds."""
    start = time.perf_counter()
    with pytest.raises(SourceError) as caught:
        read_pdf(name, (bench_data / "malformed-pdf" / name).read_bytes())
    assert type(caught.value) is error
    assert caught.value.hint
    assert time.perf_counter() - start < 5 * load_factor()


@pytest.mark.data
def test_columns_are_read_one_after_the_other(bench_data):
    """This test ensures that a page of two columns is read left column first."""
    document = read_pdf("a.pdf", (bench_data / "malformed-pdf/two-column.pdf").read_bytes())
    sides = [line.split()[0][0] for line in document.text.splitlines() if line.strip()]
    assert sides == sorted(sides)


def other_text(content: bytes) -> str:
    """What pypdfium2 reads, else what pypdf reads, "" where neither does."""
    try:
        text = "".join(pdfium_pages(content))
    except pypdfium2.PdfiumError:
        text = ""
    if text.strip():
        return text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            return "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(content)).pages)
        except Exception:  # noqa: BLE001  # whatever it raises, it has read nothing
            return ""
        finally:
            logging.disable(logging.NOTSET)


@pytest.mark.data
def test_odd_files_are_read_wherever_a_library_reads_them(bench_data):
    """This test ensures that no file that pypdfium2 or pypdf reads is refused; the others are named with why."""
    files = sorted((bench_data / "py-pdf-sample-files").rglob("*.pdf"))
    assert len(files) >= 25
    refused = {}
    for file in files:
        outcome = read_or_refuse(file.name, file.read_bytes())
        if isinstance(outcome, SourceError):
            refused[file.name] = outcome
        else:
            assert outcome.text.strip()
    for file in files:
        if error := refused.get(file.name):
            print(f"{type(error).__name__}: {error.message}")
            assert other_text(file.read_bytes()).strip() == ""
            assert error.message.startswith(file.name)
            assert error.hint
    assert type(refused["libreoffice-writer-password.pdf"]) is EncryptedSourceError
    for file in (file for file in files if file.name == "libreoffice-writer-password.pdf"):
        assert read_pdf(file.name, file.read_bytes(), ReadOptions(password="openpassword")).text.strip()
    assert type(refused["cmyk-image.pdf"]) is ScannedSourceError
