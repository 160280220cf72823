"""Text -> the smallest stretches worth citing: a sentence of prose, a line of a form, a line of code."""

import re

_MAX_CHARS = 600
"""A sentence longer than this is cut at a line end, so that a quote stays something a person can check."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")
_SENTENCE_END = re.compile(
    r"[.!?…][\"'”’)\]]*\s+(?=[\"'“‘(\[]?[A-Z0-9À-ÖØ-Þ\u0400-\u042f\u0370-\u03ff])|[。！？]\s*"
)
_LAST_WORD = re.compile(r"([\w.]+)[.!?…][\"'”’)\]]*\s*$")
_ABBREVIATIONS_TEXT = """
mr mrs ms dr prof sr jr st vs etc inc ltd co corp no nos fig figs eq eqs sec art arts vol pp cf al
e.g i.e approx dept est gen gov hon rev sen rep u.s u.k jan feb mar apr jun jul aug sep sept oct nov
dec
"""
_ABBREVIATIONS = frozenset(_ABBREVIATIONS_TEXT.split())
_HYPHEN = "\ufffe"
"""pdfium's mark of a word that goes on in the next line: in the text both lines are one."""
_LETTER = re.compile(r"[^\W\d_]")
_LABEL = re.compile(r"(?:^|\s)[A-Z][\w/&()' -]{1,40}:(?:\s|$)")
_LONE_LABEL = re.compile(r"[A-Z][\w/&()' -]{1,40}:")
_BULLET = re.compile(r"\s*(?:[-*•·▪◦‣|#>]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s")
_CLOSED = re.compile(r"[.!?:;。！？][\"'”’)\]]*\s*$")


def sentences(text: str, *, by_line: bool = False) -> list[tuple[int, int]]:
    """The sentences of `text`, in order.

    A line break ends a sentence where the text is not running prose: at a blank line, before a bullet, around
    a line that carries `Label: value`, after a line that is much shorter than those around it.

    Args:
        text: A chunk or a block.
        by_line: Every line by itself: source code, diffs.

    Returns:
        (start, end) pairs, half-open, without surrounding white space; none is empty, none overlap.
    """
    found: list[tuple[int, int]] = []
    for start, end in _paragraphs(text, by_line=by_line):
        begin = start
        for match in () if by_line else _SENTENCE_END.finditer(text, start, end):
            tail = text[max(begin, match.start() - 12) : match.start() + 1]
            if _is_abbreviation(tail, text[match.end() : match.end() + 1]):
                continue
            found.append((begin, match.end()))
            begin = match.end()
        found.append((begin, end))
    return [piece for start, end in found for piece in _bounded(text, *_stripped(text, start, end))]


def _paragraphs(text: str, *, by_line: bool) -> list[tuple[int, int]]:
    """Runs of lines that read on into each other."""
    lines = [(match.start(), match.end()) for match in _LINE.finditer(text) if match.end() > match.start()]
    if by_line or not lines:
        return lines
    printed = [len(part) for start, end in lines for part in text[start:end].split(_HYPHEN)]
    width = sorted(printed)[int(len(printed) * 0.9)]
    runs: list[tuple[int, int]] = []
    joined = False
    for start, end in lines:
        line = text[start:end].strip()
        # A line without a letter is a page's number, or a rule: nothing reads on into it or out of it.
        has_words = _LETTER.search(line) is not None
        if joined and has_words and not _BULLET.match(text, start, end) and not _LABEL.search(line):
            runs[-1] = (runs[-1][0], end)
        elif line:
            runs.append((start, end))
        is_full = len(text[start:end].rpartition(_HYPHEN)[2]) >= 0.6 * width
        joined = has_words and is_full and not _LABEL.search(line) and not _CLOSED.search(line)
        if joined is False and has_words and is_full and line.endswith(".") and runs[-1][0] != start:
            joined = True  # running prose: the sentence ended where the line did, the paragraph goes on
        if _LONE_LABEL.fullmatch(line):
            joined = True  # "Delaware:", and whoever stands below it
    return runs


def _is_abbreviation(tail: str, following: str) -> bool:
    word = _LAST_WORD.search(tail)
    if word is None:
        return False
    last = word.group(1)
    if last.lower() == "no":  # "No. 7" is a number, "the answer is no." an answer
        return following.isdigit()
    return last.lower() in _ABBREVIATIONS or (len(last) == 1 and last.isupper())


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _bounded(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """`text[start:end]` in pieces of at most `_MAX_CHARS`, cut at line ends, else at white space."""
    pieces = []
    while end - start > _MAX_CHARS:
        limit = start + _MAX_CHARS
        cut = max(text.rfind("\n", start + 1, limit), text.rfind("; ", start + 1, limit))
        if cut <= start:
            cut = text.rfind(" ", start + 1, limit)
        cut = cut + 1 if cut > start else limit
        pieces.append(_stripped(text, start, cut))
        start, end = _stripped(text, cut, end)
    pieces.append((start, end))
    return [(first, last) for first, last in pieces if last > first]
