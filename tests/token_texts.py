"""Texts that tokenizers disagree about, and one tiny GGUF file to write."""

import struct
from pathlib import Path

PROSE = """It was the best of times, it was the worst of times; it was the age of wisdom... "We'd never," she said,
don't you see? The cost rose from 1,234.50 to 98765 (about 12%) in Q3\u00a02024 — naïve façade, Straße, ﬁne ²³½.

  Indented, with\ttabs\t\tand  double  spaces.\r\nWindows line.\n\n\n\nFour newlines. x=y+z; a<b>c
"""
CODE = '''def encode(self, text: str) -> list[int]:
    """Return ids."""
    if not text or text[0] != "\\n":  # comment
\t\treturn [self._ids[t] for t in re.findall(r"\\s+(?!\\S)|[^\\W\\d_]+", text)]
    x_1 += 0xFF << 3; y["k"] = {**a, 'b': f"{v!r:>10}"}
#include <vector>
template<typename T> auto f(T&& t) -> std::vector<T>&& { return ++t->m_x, t != nullptr ? *t : T{}; }
'''
SCRIPTS = {
    "russian": "Согласно отчёту, выручка выросла на 12,5 % — это «рекорд».",
    "chinese": "根据年度报告，收入增长了百分之十二。“这是记录”，他说：（2024年）。",
    "japanese": "売上高は前年比１２％増加した。カタカナとひらがな、漢字を混ぜる。",
    "korean": "보고서에 따르면 매출이 12% 증가했습니다.",
    "hindi": "रिपोर्ट के अनुसार, राजस्व में १२% की वृद्धि हुई।",
    "arabic": "وفقًا للتقرير، ارتفعت الإيرادات بنسبة ١٢٪.",
    "bengali": "১৯৭১ সালে বাংলাদেশ স্বাধীন হয়; ১২শ শতাব্দী, ২টি বই।",
    "thai": "รายได้เพิ่มขึ้นร้อยละสิบสองเมื่อเทียบกับปีที่แล้ว",
    "hebrew": "ההכנסות עלו ב-12% לפי הדו״ח.",
    "greek": "Τα έσοδα αυξήθηκαν κατά 12%.",
}
SPECIALS = (
    "a<bos>b <eos><start_of_turn>user\n<end_of_turn> <|im_start|>system<|im_end|> <|endoftext|><pad><unk><unused7>"
    "<0x0A><s></s> [multimodal] <table><tr></td></h1> <start_of_image> <think>[INST]"
)
SPACES = "".join(
    f"{left}{space * number}{right}"
    for number in (1, 2, 3, 30, 31, 32, 33, 62, 63, 64, 65)
    for space in " \t\n"
    for left, right in (("a", "b"), (">", "</"), (".", "(")) # where a token joins both sides of a space
)  # fmt: skip
ODD = "\r\r\n \x0b\x0c\u2028\x00\x7f▁ ▁▁ x▁y \u3000全 e\u0301 👩‍👩‍👧‍👦 🇩🇪❤️ \U0010ffff \ufffd _snake_case__ ''''s 'LL ²x¹, >▁</"
TEXTS = {"prose": PROSE, "code": CODE, **SCRIPTS, "specials": SPECIALS, "spaces": SPACES, "odd": ODD}

Value = bool | int | float | str | list


def gguf(metadata: dict[str, Value], *, version: int = 3, tensors: tuple[tuple[int, ...], ...] = ()) -> bytes:
    """A GGUF file of `metadata` and of float tensors of the shapes given, filled with zeros."""
    head = struct.pack("<4sIQQ", b"GGUF", version, len(tensors), len(metadata))
    body = b"".join(_string(key) + _typed(value) for key, value in metadata.items())
    sizes = []
    for number, shape in enumerate(tensors):
        size = 4
        for length in shape:
            size *= length
        body += _string(f"tensor{number}") + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        body += struct.pack("<IQ", 0, sum(sizes))
        sizes.append(size)
    content = head + body
    return content + (bytes(-len(content) % 32) + bytes(sum(sizes)) if tensors else b"")


def write_gguf(path: Path, metadata: dict[str, Value], **options: object) -> Path:
    """The path of a GGUF file of `metadata`."""
    path.write_bytes(gguf(metadata, **options))
    return path


def _string(text: str) -> bytes:
    content = text.encode("utf-8", "surrogateescape")
    return struct.pack("<Q", len(content)) + content


def _typed(value: Value) -> bytes:
    if isinstance(value, list):
        kind, _ = _scalar(value[0])
        return struct.pack("<IIQ", 9, kind, len(value)) + b"".join(_scalar(one)[1] for one in value)
    kind, content = _scalar(value)
    return struct.pack("<I", kind) + content


def _scalar(value: bool | float | str) -> tuple[int, bytes]:
    if isinstance(value, bool):
        return 7, struct.pack("<?", value)
    if isinstance(value, int):
        return (4, struct.pack("<I", value)) if value >= 0 else (5, struct.pack("<i", value))
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    return 8, _string(value)
