"""Tests of the cache of documents: what comes back is what went in, or nothing."""

import hashlib
import time
from dataclasses import fields, replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lctx.core import document_cache
from lctx.core.document import Block, Document, Link, Location, Span
from lctx.core.document_cache import DocumentCache, Wanted, decode_document, encode_document
from lctx.core.storage import ByteCache

SHA = hashlib.sha256(b"the bytes").hexdigest()
EVERYWHERE = Location(
    pages=(1, 2),
    page_labels=("ii", "iii"),
    lines=(3, 4),
    heading=("A", "A.1"),
    symbol=("Class", "method"),
    paragraph=5,
    part="Sheet 1",
    cells="B2:C9",
    box=(0.0, 0.5, 10.25, 20.0),
    estimated=True,
    chars=(0, 6),
    lines_of_part=True,
)


def a_document(**changed) -> Document:
    document = Document(
        path="a.pdf",
        kind="pdf",
        reader="pdf/1",
        sha256=SHA,
        text="häuser\ufffe\r\n\x00𝔘\n",
        spans=(Span(0, 6, EVERYWHERE), Span(6, 12, Location(pages=(2, 2)), first_line=1)),
        blocks=(
            Block("heading", 0, 6, ("A",)),
            Block("code", 6, 9, (), ("f",), signature=(7, 8), doc=(0, 0)),
        ),
        warnings=("page 3 could not be read",),
        cells=(3, 5),
        links=(Link(1, 4, "#page=2"),),
        hidden=((0, 2), (5, 6)),
        offset=17,
    )
    return replace(document, **changed)


@pytest.fixture
def bytes_kept(tmp_path) -> ByteCache:
    return ByteCache(tmp_path / "documents")


@pytest.fixture
def cache(bytes_kept) -> DocumentCache:
    return DocumentCache(bytes_kept)


def test_a_document_comes_back_whole(cache):
    """This test ensures that every field survives, with every kind of place filled in."""
    assert all(getattr(EVERYWHERE, part.name) for part in fields(Location))
    kept = [part.name for part in fields(Document) if part.name != "is_protected"]  # such a one is not kept
    assert all(getattr(a_document(), name) for name in kept)
    cache.put(a_document())
    assert cache.get(SHA, "pdf/1", "a.pdf") == a_document()


def test_the_path_is_the_one_that_was_asked_for(cache):
    """This test ensures that the same bytes under another name are cited by that name."""
    cache.put(a_document())
    found = cache.get(SHA, "pdf/1", "copy.pdf")
    assert found == a_document(path="copy.pdf")


@pytest.mark.parametrize(("sha256", "reader"), [("0" * 64, "pdf/1"), (SHA, "pdf/2")])
def test_other_bytes_or_another_reader_find_nothing(cache, sha256, reader):
    """This test ensures that offsets of one reader's version are never used with another's."""
    cache.put(a_document())
    assert cache.get(sha256, reader, "a.pdf") is None


def test_another_layout_of_the_nouns_finds_nothing(cache, monkeypatch):
    """This test ensures that what an earlier lctx kept is read again once a noun has another field."""
    cache.put(a_document())
    monkeypatch.setattr(document_cache, "_LAYOUT", document_cache._LAYOUT + ",tables")
    assert cache.get(SHA, "pdf/1", "a.pdf") is None


@pytest.mark.parametrize(
    "damage",
    [lambda _: b"", lambda kept: kept[: len(kept) // 2], lambda kept: flipped(kept, "häuser".encode())],
)
def test_a_damaged_file_is_nothing_and_is_made_anew(cache, tmp_path, damage):
    """This test ensures that a file cut short or altered on disk costs a reading, and then serves again."""
    cache.put(a_document())
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    file.write_bytes(damage(file.read_bytes()))
    assert cache.get(SHA, "pdf/1", "a.pdf") is None
    cache.put(a_document())
    assert cache.get(SHA, "pdf/1", "a.pdf") == a_document()


def flipped(kept: bytes, place: bytes) -> bytes:
    """`kept` with one bit of the first `place` in it turned."""
    position = kept.index(place)
    return kept[:position] + bytes([kept[position] ^ 1]) + kept[position + 1 :]


def altered(**changed) -> bytes:
    """A kept document whose head says something else."""
    kept = encode_document(a_document())
    size = int.from_bytes(kept[:8], "little")
    head = msgspec.msgpack.decode(kept[8 : 8 + size])
    names = document_cache._Head.__struct_fields__
    packed = msgspec.msgpack.encode(
        [changed.get(name, value) for name, value in zip(names, head, strict=True)]
    )
    return len(packed).to_bytes(8, "little") + packed + kept[8 + size :]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode("a text"),
        (1 << 60).to_bytes(8, "little") + b"x",
        encode_document(a_document(sha256="0" * 64)),
        encode_document(a_document(reader="word/1")),
        encode_document(a_document())[:-1],
        encode_document(a_document()) + b"!",
        altered(num_blocks=3),
        altered(num_blocks=-1),
        altered(num_cells=1 << 40),
        altered(num_hidden=-1),
        altered(kinds=["heading"]),
        altered(paths=[]),
        altered(spans=None, links=7),
    ],
)
def test_a_whole_file_that_holds_something_else_is_nothing(cache, bytes_kept, value):
    """This test ensures that a value with a right checksum is still checked: type, spans, hash and reader."""
    assert altered() == encode_document(a_document())
    bytes_kept.put(document_cache.key_of(SHA, "pdf/1"), value)
    assert cache.get(SHA, "pdf/1", "a.pdf") is None


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_any_document_comes_back_whole(data):
    """This test ensures that what is packed into arrays is unpacked as it was, whatever the document."""
    text = data.draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
    edge = st.integers(0, len(text))
    ranges = st.tuples(edge, edge)
    paths = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), max_size=3).map(tuple)
    edges = sorted(data.draw(st.lists(edge, max_size=12)))
    blocks = tuple(
        Block(
            data.draw(st.sampled_from(["code", "hunk", "table"])),
            start,
            end,
            data.draw(paths),
            data.draw(paths),
            data.draw(st.none() | ranges),
            data.draw(st.none() | ranges),
        )
        for start, end in zip(edges[::2], edges[1::2], strict=False)
    )
    document = a_document(
        text=text,
        spans=(Span(0, len(text), Location(), 1),) if text else (),
        blocks=blocks,
        cells=tuple(data.draw(st.lists(edge, max_size=5))),
        links=(),
        hidden=tuple(data.draw(st.lists(ranges, max_size=3))),
    )
    kept = encode_document(document)
    assert decode_document(kept, Wanted(SHA, "pdf/1", "a.pdf")) == document


def test_blocks_are_made_when_they_are_asked_for(monkeypatch):
    """This test ensures that who wants a text alone does not wait for its blocks, and who wants them has them."""
    made = []

    def make(*columns):
        made.append(columns)
        return honest(*columns)

    honest = document_cache._blocks
    monkeypatch.setattr(document_cache, "_blocks", make)
    kept = encode_document(a_document())
    document = decode_document(kept, Wanted(SHA, "pdf/1", "a.pdf"))
    assert document.text == a_document().text
    assert not made
    assert document.block_at(7) == a_document().blocks[1]
    assert replace(document, path="b.pdf") == a_document(path="b.pdf")
    assert document == a_document()
    assert hash(document) == hash(a_document())
    assert len(made) == 1
    assert Document("a", "text", "text/1", SHA, "", ()).blocks == ()


@pytest.mark.parametrize("ends", [(7, 9), (13, 9)])
def test_kept_blocks_that_overlap_are_nothing(ends):
    """This test ensures that blocks are checked before they are made."""
    first, second = a_document().blocks
    whole = a_document(blocks=(first, second))
    object.__setattr__(first, "end", ends[0])
    assert decode_document(encode_document(whole), Wanted(SHA, "pdf/1", "a.pdf")) is None


def test_many_are_found_in_their_order(cache):
    """This test ensures that looking for many at once mixes up none of them, nor stops at one that is missing."""
    names = [f"{number:064x}" for number in range(600)]
    for name in names[::7]:
        cache.put(a_document(sha256=name))
    found = list(cache.get_many([Wanted(name, "pdf/1", name) for name in names]))
    assert [one and one.path for one in found] == [
        name if number % 7 == 0 else None for number, name in enumerate(names)
    ]


def test_a_text_without_bytes_is_not_kept(cache, bytes_kept):
    """This test ensures that a lone surrogate in a text does not stop the answer."""
    text = "a\ud800b"
    cache.put(a_document(text=text, spans=(Span(0, 3, Location()),), blocks=()))
    assert cache.get(SHA, "pdf/1", "a.pdf") is None
    assert bytes_kept.broken is None


def test_a_cache_that_cannot_be_written_says_so_and_goes_on(tmp_path):
    """This test ensures that a file where the folder should be is no reason to fail."""
    (tmp_path / "documents").write_text("in the way")
    kept = ByteCache(tmp_path / "documents")
    cache = DocumentCache(kept)
    cache.put(a_document())
    assert cache.get(SHA, "pdf/1", "a.pdf") is None
    assert str(tmp_path) in (kept.broken or "")


def test_no_cache_keeps_nothing(tmp_path):
    """This test ensures that `--no-cache` leaves no file behind."""
    cache = DocumentCache(ByteCache(None))
    cache.put(a_document())
    assert cache.get(SHA, "pdf/1", "a.pdf") is None
    assert list(tmp_path.rglob("*")) == []


def test_a_hundred_pages_come_back_within_milliseconds(cache):
    """This test ensures that a second question over a long document does not wait for the document."""
    page = "".join(f"Line {number} of a page that is about as long as others are.\n" for number in range(50))
    size = len(page)
    document = a_document(
        text=page * 100,
        spans=tuple(
            Span(number * size, (number + 1) * size, Location(pages=(number + 1, number + 1)), 1)
            for number in range(100)
        ),
        blocks=tuple(
            Block("paragraph", start, start + size // 10, ("Chapter 1", "Section 2"))
            for start in range(0, size * 100 - size // 10, size // 10)
        ),
    )
    cache.put(document)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        assert cache.get(SHA, "pdf/1", "a.pdf") is not None
        times.append(time.perf_counter() - start)
    assert min(times) < 0.025
