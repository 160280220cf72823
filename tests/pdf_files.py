"""PDFs for the tests, written object by object, and what bare pypdfium2 sees in them."""

import io
from pathlib import Path

import pypdf
import pypdfium2

from lctx.core.document import Document

CONSTITUTION = Path(__file__).parent.parent / "examples/constitution.pdf"
FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"


def pdf_of_objects(objects: list[bytes], trailer: bytes = b"") -> bytes:
    """A PDF of numbered objects; the first is its catalog."""
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return body + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (
        size, table, size, trailer, len(body),
    )  # fmt: skip


def stream(content: bytes, extra: bytes = b"") -> bytes:
    return b"<<%s/Length %d>>\nstream\n%s\nendstream" % (extra, len(content), content)


def drawn(lines: list[str]) -> bytes:
    shown = b"".join(b"(%s) Tj 0 -14 Td\n" % line.encode("latin-1") for line in lines)
    return stream(b"BT /F 11 Tf 50 750 Td\n" + shown + b"ET")


def pdf_of(
    pages: list[list[str]], catalog: bytes = b"", more: tuple[bytes, ...] = (), kids: bytes = b""
) -> bytes:
    """A PDF with one page for each list of lines; `more` objects are numbered from 4 + 2 * len(pages)."""
    count = len(pages)
    numbers = b" ".join(b"%d 0 R" % (4 + index) for index in range(count)) + kids
    objects = [
        b"<</Type/Catalog/Pages 2 0 R%s>>" % catalog,
        b"<</Type/Pages/Kids[%s]/Count %d>>" % (numbers, count + kids.count(b"R")),
        FONT,
    ]
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</F 3 0 R>>>>/Contents %d 0 R>>"
    objects += [page % (4 + count + index) for index in range(count)]
    objects += [drawn(lines) for lines in pages]
    return pdf_of_objects([*objects, *more])


def pdfium_pages(content: bytes) -> list[str]:
    """The text of each page as bare pypdfium2 gives it."""
    with pypdfium2.PdfDocument(content) as opened:
        return [opened[index].get_textpage().get_text_range() for index in range(len(opened))]


def one_page(content: bytes, resources: bytes, more: tuple[bytes, ...] = ()) -> bytes:
    page = (
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</F 3 0 R>>%s>>/Contents 5 0 R>>"
    )
    tree = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[4 0 R]/Count 1>>", FONT, page % resources]
    return pdf_of_objects([*tree, content, *more])


def outline(*titles: tuple[bytes, bytes]) -> tuple[bytes, tuple[bytes, ...]]:
    """A flat outline for a PDF of two pages (its objects are numbered from 8)."""
    entries = tuple(
        b"<</Title(%s)/Parent 8 0 R/Dest[%s/Fit]%s>>"
        % (title, page, b"/Next %d 0 R" % (10 + index) if index + 1 < len(titles) else b"")
        for index, (title, page) in enumerate(titles)
    )
    root = b"<</Type/Outlines/First 9 0 R/Last %d 0 R/Count %d>>" % (8 + len(titles), len(titles))
    return b"/Outlines 8 0 R", (root, *entries)


def encrypted(algorithm: str, user: str) -> bytes:
    writer = pypdf.PdfWriter(io.BytesIO(pdf_of([["a secret"]])))
    writer.encrypt(user, "owner", algorithm=algorithm)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def text_of_page(document: Document, number: int) -> str:
    span = document.spans[number - 1]
    return document.text[span.start : span.end]


def heading_texts(document: Document) -> list[str]:
    return [
        document.text[block.start : block.end].strip() for block in document.blocks if block.kind == "heading"
    ]


LEFT = "the committee met again in spring and heard what was said of the harbour and the ships that lay there"
RIGHT = "nobody had expected so many letters from the villages whose people wished for a road over the hills"


def drawn_across(num_lines: int, annotations: tuple[bytes, ...] = ()) -> bytes:
    """A page of two columns of prose whose lines were drawn from left to right, over both."""
    shown = b""
    for line in range(num_lines):
        for x, prose in ((50, LEFT), (320, RIGHT)):
            words = prose.split()
            turned = " ".join(words[line % len(words) :] + words[: line % len(words)])
            shown += b"BT /F 10 Tf %d %d Td (%s) Tj ET\n" % (x, 740 - 14 * line, turned[:46].encode())
    numbers = b" ".join(b"%d 0 R" % (6 + index) for index in range(len(annotations)))
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</F 3 0 R>>>>/Annots[%s]/Contents 5 0 R>>"
    tree = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[4 0 R]/Count 1>>", FONT, page % numbers]
    return pdf_of_objects([*tree, stream(shown), *annotations])
