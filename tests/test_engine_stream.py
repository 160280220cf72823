"""Server-sent events: whole lines, whole characters, whole messages, however the bytes arrive."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lctx.core.engine import stream
from lctx.core.engine.client import whole_characters
from lctx.core.engine.stream import read_lines, read_messages
from lctx.core.errors import EngineCrashedError


def reader(*parts: bytes):
    left = list(parts)
    return lambda: left.pop(0) if left else b""


def cut(content: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(content) + 1) for place in places}), len(content)]
    return [content[start:end] for start, end in itertools.pairwise(edges) if start < end]


@given(st.lists(st.dictionaries(st.text(max_size=8), st.text())), st.lists(st.integers(0, 10_000)))
def test_messages_do_not_depend_on_how_bytes_arrive(messages, places):
    """This test ensures that a cut anywhere, inside a character too, changes nothing."""
    content = "".join(f"data: {json.dumps(one, ensure_ascii=False)}\n\n" for one in messages).encode()
    assert list(read_messages(reader(*cut(content, places)))) == messages


def test_comments_heartbeats_and_other_fields_are_skipped():
    """This test ensures that what keeps a connection open is no message."""
    content = b': ping\n\n:\n\nevent: x\nid: 7\nretry: 10\ndata: {"a":\ndata: 1}\n\n: ping\n\n'
    assert list(read_messages(reader(content))) == [{"a": 1}]


def test_line_ends_of_windows_are_understood():
    """This test ensures that CRLF, and a cut between CR and LF, end a line once."""
    assert list(read_messages(reader(b"data: 1\r", b"\n\r", b"\ndata: 2\r\n\r\n"))) == [1, 2]


def test_done_ends_the_stream():
    """This test ensures that nothing behind [DONE] is read."""
    assert list(read_messages(reader(b"data: 1\n\ndata: [DONE]\n\ndata: 2\n\n"))) == [1]


def test_a_last_event_without_its_empty_line_counts():
    """This test ensures that an engine that closes right after its last line is understood."""
    assert list(read_messages(reader(b"data: 1\n\ndata: 2"))) == [1, 2]
    assert list(read_messages(reader(b"data: 1\n\ndata: [DONE]"))) == [1]


def test_a_long_line_is_read_whole():
    """This test ensures that a line may be larger than any buffer."""
    text = "ä" * 3_000_000
    content = f"data: {json.dumps(text, ensure_ascii=False)}\n\n".encode()
    parts = [content[start : start + 65_536] for start in range(0, len(content), 65_536)]
    assert list(read_messages(reader(*parts))) == [text]


def test_a_line_without_end_is_given_up(monkeypatch):
    """This test ensures that a hostile endpoint cannot fill the memory."""
    monkeypatch.setattr(stream, "MAX_LINE_BYTES", 100_000)
    with pytest.raises(EngineCrashedError, match="line of more than"):
        list(read_lines(lambda: b"x" * 60_000))


@pytest.mark.parametrize(
    "content", [b"data: {\n\n", b"data: <html>\n\n", b"data: " + b"[" * 100_000 + b"\n\n"]
)
def test_what_is_not_json_is_an_error(content):
    """This test ensures that garbage is told as such, nesting beyond any stack included."""
    with pytest.raises(EngineCrashedError, match="not JSON"):
        list(read_messages(reader(content)))


def test_half_a_character_waits_for_the_other_half():
    """This test ensures that an escape pair cut by the engine comes out as one character."""
    whole, held = whole_characters("a" + json.loads('"\\ud83d"'))
    assert (whole, len(held)) == ("a", 1)
    assert whole_characters(held + json.loads('"\\ude00"') + "b") == ("😀b", "")
    assert whole_characters(held + "b") == ("\N{REPLACEMENT CHARACTER}b", "")


@given(st.text(st.characters(), max_size=20))
def test_whole_characters_can_always_be_encoded(text):
    """This test ensures that no lone surrogate ever leaves the engine room."""
    whole, held = whole_characters(text)
    whole.encode()
    assert len(held) <= 1
