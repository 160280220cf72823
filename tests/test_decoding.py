"""Bytes become the characters that were meant, or it is said that they were guessed."""

import io
import os
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lctx.core.errors import EmptySourceError, LimitError, SourceError, UnsupportedSourceError
from lctx.formats import decoding
from lctx.formats.decoding import decode

FRENCH = "Le présent contrat est régi par le droit français. À défaut, la clause pénale s’appliquera : forêt, cœur.\n"
RUSSIAN = (
    "Настоящий договор регулируется законодательством. Стороны обязуются исполнять свои обязательства.\n" * 4
)
JAPANESE = (
    "この契約は日本法に準拠する。当事者は誠実に義務を履行するものとする。支払期限は三十日とする。\n" * 4
)
CHINESE = "本协议受中华人民共和国法律管辖。双方应当诚实信用地履行各自的义务。付款期限为三十日。\n" * 4
KOREAN = "이 계약은 대한민국 법률에 따른다. 당사자는 신의성실의 원칙에 따라 의무를 이행하여야 한다.\n" * 4
POLISH = "Strony zobowiązują się wykonywać swoje obowiązki w dobrej wierze. Żółć, źdźbło, łąka.\n" * 3
GREEK = "Η παρούσα σύμβαση διέπεται από το ελληνικό δίκαιο. Τα μέρη υποχρεούνται.\n" * 3


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("text", [FRENCH, "café\r\n", RUSSIAN, CHINESE], ids=["fr", "short", "ru", "zh"])
def test_unicode_is_decoded_exactly_with_and_without_a_mark(text, encoding):
    """This test ensures that every Unicode encoding gives the same text, newlines kept, no mark left in it."""
    decoded = decode("a.txt", text.encode(encoding))
    assert decoded.text == text
    assert decoded.warnings == ()


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (FRENCH, "cp1252"), ("café\n", "latin-1"), ("# José Núñez\nimport os\n" * 9, "latin-1"),
        ("The “Agreement” — the parties’ § 4 duties.\n", "cp1252"), (RUSSIAN, "cp1251"), (RUSSIAN, "koi8-r"),
        (JAPANESE, "shift_jis"), (JAPANESE, "euc-jp"), (CHINESE, "gb18030"), (KOREAN, "euc-kr"),
        (POLISH, "cp1250"), (POLISH, "iso8859-2"), (GREEK, "iso8859-7"),
    ],
)  # fmt: skip
def test_other_encodings_are_guessed_and_said(text, encoding):
    """This test ensures that text of one encoding is read as what it is, with a warning that it was a guess."""
    decoded = decode("a.txt", text.encode(encoding))
    assert decoded.text == text
    assert len(decoded.warnings) == 1
    assert "guess" in decoded.warnings[0]


def test_a_guess_looks_where_the_bytes_are_not_ascii():
    """This test ensures that an accent after megabytes of ASCII is still read for what it is."""
    text = "plain line of words\n" * 100_000 + RUSSIAN
    assert decode("a.txt", text.encode("cp1251")).text == text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (FRENCH.encode() * 3 + "é".encode()[:1], FRENCH * 3 + "\ufffd"),
        (FRENCH.encode() * 9 + b"\xff\n", FRENCH * 9 + "\ufffd\n"),
    ],
    ids=["cut", "stray"],
)
def test_a_fault_in_utf8_stays_where_it_is(content, text):
    """This test ensures that one broken sequence does not turn the rest into another encoding."""
    decoded = decode("a.txt", content)
    assert decoded.text == text == content.decode(errors="replace")
    assert "U+FFFD" in decoded.warnings[0]


def test_text_equals_what_python_reads():
    """This test ensures that lines of UTF-8 hold what `Path.read_text(errors="replace")` gives, so that an outside check agrees."""
    content = "a\r\nb\rc\nd\x0ce\u2028f\n é".encode() * 50 + b"\xe9 x\n"
    ours = decode("a.txt", content).text
    assert (
        ours.replace("\r\n", "\n").replace("\r", "\n")
        == io.TextIOWrapper(io.BytesIO(content), "utf-8", "replace").read()
    )


def test_what_is_no_text_is_refused():
    """This test ensures that binary content, white space and oversize have their own errors."""
    for content in (
        b"\x00\x01\x02" * 50,
        b"a/one.txt\x00b/three.txt\x00" * 50,
        os.urandom(5000),
        b"\x7fELF\x02\x01\x01\x00" + b"\x00" * 100,
    ):
        with pytest.raises(UnsupportedSourceError):
            decode("x", content)
    for content in (b"", b" \n\t\r\n", b"\xef\xbb\xbf \n", " \n".encode("utf-16")):
        with pytest.raises(EmptySourceError):
            decode("x", content)


def test_the_ceiling_is_named(monkeypatch):
    """This test ensures that more text than the ceiling is a LimitError that says how much there is."""
    monkeypatch.setattr(decoding, "MAX_TEXT_BYTES", 2 * 1024 * 1024)
    with pytest.raises(LimitError, match="3 MiB of text, more than the 2 MiB"):
        decode("x", b"a" * (3 * 1024 * 1024))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_give_text_or_an_error_of_ours(content):
    """This test ensures that no bytes whatever escape as another exception or as lone surrogates."""
    with suppress(SourceError):
        decode("x", content).text.encode("utf-8")


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=300))
def test_utf8_comes_back_whole(text):
    """This test ensures that all text that is written in UTF-8 is read unchanged."""
    if not text.isspace() and not text.startswith("\ufeff"):
        assert decode("x", text.encode()).text == text
