"""How byte-level vocabularies cut text into words before they merge, by the names that GGUF files give.

Source: llama.cpp, `llm_tokenizer_bpe` in src/llama-vocab.cpp, and the tokenizer.json files that it follows.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_LINES = r"\s*[\r\n]+|\s+(?!\S)|\s+"

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# Two steps upstream: every digit alone, then GPT-2's pattern on what lies between. A run of white space
# before a digit ends its piece there, hence the third alternative from the end.
DIGITS_GPT2 = r"\p{N}|'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?=\p{N})|\s+(?!\S)|\s+"
LLAMA3 = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_LINES}"
)
QWEN2 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_LINES}"
QWEN35 = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_LINES}"
)
TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
    rf"|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_LINES}"
)
GPT4O = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTIONS}?"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTIONS}?"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_LINES}"
)
_HAN_UPPER, _HAN_LOWER = (rf"{one[:-1]}&&[^\p{{Han}}]]" for one in (_UPPER, _LOWER))
KIMI_K2 = (
    rf"[\p{{Han}}]+|[^\r\n\p{{L}}\p{{N}}]?{_HAN_UPPER}*{_HAN_LOWER}+{_CONTRACTIONS}?"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_HAN_UPPER}+{_HAN_LOWER}*{_CONTRACTIONS}?"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_LINES}"
)

_NAMES = {
    GPT2: "gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gpt2 roberta-bpe gigachat",
    DIGITS_GPT2: "smollm starcoder refact command-r codeshell exaone minerva-7b",
    LLAMA3: "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 dbrx smaug-bpe glm4",
    QWEN2: "qwen2 stablelm2 hunyuan solar-open megrez deepseek-r1-qwen grok-2",
    QWEN35: "qwen35",
    TEKKEN: "tekken",
    GPT4O: "gpt-4o llama4 minimax-m2",
    KIMI_K2: "kimi-k2",
}
PATTERN_OF: Mapping[str, str] = {name: pattern for pattern, names in _NAMES.items() for name in names.split()}
"""The pattern of each `tokenizer.ggml.pre` that is known here."""

IGNORES_MERGES = frozenset(
    ("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "tekken")
)
"""Names under which a word that is in the vocabulary is never merged from its parts."""


def pattern_of_json(pre_tokenizer: Any) -> str | None:
    """The pattern that a tokenizer.json's `pre_tokenizer` amounts to, or None where it is of another kind."""
    if not isinstance(pre_tokenizer, dict):
        return None
    if pre_tokenizer.get("type") != "Sequence":
        return GPT2 if _is_byte_level(pre_tokenizer, use_regex=True) else None
    steps = pre_tokenizer.get("pretokenizers")
    if not isinstance(steps, list) or len(steps) != 2:  # noqa: PLR2004
        return None
    first, last = steps
    if first == {"type": "Digits", "individual_digits": True} and _is_byte_level(last, use_regex=True):
        return DIGITS_GPT2
    if not _is_byte_level(last, use_regex=False) or first.get("type") != "Split":
        return None
    pattern = first.get("pattern", {}).get("Regex")
    if first.get("behavior") != "Isolated" or first.get("invert") or not isinstance(pattern, str):
        return None
    return pattern


def _is_byte_level(step: Any, *, use_regex: bool) -> bool:
    return (
        isinstance(step, dict)
        and step.get("type") == "ByteLevel"
        and step.get("add_prefix_space") is False
        and step.get("use_regex", True) is use_regex
    )


_LOOKS = re.compile(r"\(\?<?[=!]")
_FLAGS = re.compile(r"\(\?[a-zA-Z-]+\)")
_SIGN = re.compile(r"\\.|[][()|]", re.DOTALL)


def grouped(pattern: str) -> str:
    """The same pattern with the first alternatives that look neither ahead nor behind in one group.

    tiktoken tries a group that looks nowhere in one go, and alternatives beside one that does one by one:
    most words are found in a half of the time.
    """
    alternatives = list(_alternatives(pattern))
    plain = list(takewhile(lambda one: _LOOKS.search(one) is None, alternatives))
    if len(plain) in {0, 1, len(alternatives)} or _FLAGS.search(pattern):  # flags hold to a group's end
        return pattern
    return "|".join((f"(?:{'|'.join(plain)})", *alternatives[len(plain) :]))


def _alternatives(pattern: str) -> Iterator[str]:
    """`pattern` cut at each `|` that stands in no group and in no class; whole where these do not close."""
    start = groups = classes = 0
    cuts = []
    for found in _SIGN.finditer(pattern):
        sign = found[0]
        if sign == "[":
            classes += 1
        elif sign == "]":
            classes -= 1
        elif not classes:
            groups += {"(": 1, ")": -1}.get(sign, 0)
            if sign == "|" and not groups:
                cuts.append(found.start())
        if min(groups, classes) < 0:
            break
    if groups or classes:
        cuts = []
    for cut in cuts:
        yield pattern[start:cut]
        start = cut + 1
    yield pattern[start:]
