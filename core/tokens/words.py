"""Where a text may be cut without changing an id: between characters that no token of the vocabulary joins.

Derived from the vocabulary itself: a pair of characters that stands in no token can never be merged across.
"""

import re
from collections.abc import Collection, Iterable

SPACE = "▁"
"""What SentencePiece writes for a space."""

_JOINT = re.compile(f"(?=([^{SPACE}]{SPACE}+[^{SPACE}]))")
_OPEN_END = re.compile(f"[^{SPACE}]{SPACE}+$")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DIGITS = frozenset("0123456789")


def split_runs(user_defined: Collection[str]) -> tuple[list[str], list[str]]:
    r"""User-defined tokens as patterns for runs of one character (`\n{1,31}`), and the rest as they are.

    A run pattern stands for tokens of every length from one character (two, for spaces) to the longest.
    """
    lengths: dict[str, set[int]] = {}
    for text in user_defined:
        if text == text[0] * len(text):
            lengths.setdefault(text[0], set()).add(len(text))
    patterns, characters = [], set()
    for character, found in sorted(lengths.items()):
        first = 2 if character == " " else 1
        if found == set(range(first, max(found) + 1)):
            patterns.append(f"{re.escape(character)}{{{first},{max(found)}}}")
            characters.add(character)
    return patterns, [text for text in user_defined if not (set(text) <= characters and len(set(text)) == 1)]


def any_of(texts: Iterable[str]) -> str:
    """A pattern for any of `texts`, the longest first, as one group; empty where there are none."""
    alternatives = "|".join(map(re.escape, sorted(texts, key=len, reverse=True)))
    return f"({alternatives})" if alternatives else ""


def word_pattern(pairs: Collection[str], runs: Collection[str], *, with_runs: bool) -> str:
    """A pattern whose matches tile any text, and whose ids never depend on each other.

    Args:
        pairs: All two neighbouring characters within any token that merging can make.
        runs: The patterns of `split_runs`: where such a run begins, a word ends.
        with_runs: Match the runs as well; otherwise the text holds none, and `SPACE` twice is just that.
    """
    stops = "".join(run[: run.rindex("{")] for run in runs if not _is_spaces(run))
    # Characters after which a space is not the beginning of a word, because some token joins them.
    joined = _class_of(pair[0] for pair in pairs if pair[1] == SPACE and pair[0] != SPACE)
    single = f"(?!{SPACE})" if with_runs and any(map(_is_spaces, runs)) else ""
    inner_space = f"(?<=[{joined}]){SPACE}{single}" if joined else ""
    many = "" if single else f"{SPACE}*"
    more = f"(?:{inner_space}{many}[^{SPACE}{stops}]*)*" if joined else ""
    coarse = f"{SPACE}*[^{SPACE}{stops}]+{more}|{SPACE}+"
    first = [run.replace(" ", SPACE) for run in runs] if with_runs else []
    if not _ascii_falls_apart(pairs):
        return "|".join([*first, coarse])
    foreign = f"[^\\x00-\\x7f{SPACE}]"
    signs = f"[^A-Za-z0-9\\x80-\\U0010ffff{stops}]"
    sign_end = f"(?!{signs}|{foreign}{'|' + inner_space if joined else ''})"
    return "|".join(
        (
            *first,
            f"{SPACE}*[A-Za-z]+(?![A-Za-z]|{foreign})",
            f"{SPACE}*{signs}+{sign_end}",
            f"{SPACE}*[0-9]+(?![0-9]|{foreign})",
            coarse,
        )
    )


def piece_pattern(texts: Iterable[str], pairs: Collection[str], runs: Collection[str]) -> str:
    """A pattern for tiktoken: its matches tile any text with real spaces, and never depend on each other.

    It does not look ahead, which takes long; empty where there is no such pattern.

    Args:
        texts: All tokens that merging can make.
        pairs: See `word_pattern`.
        runs: See `word_pattern`.
    """
    has_runs_of_spaces = any(map(_is_spaces, runs))
    ends = {run[: run.rindex("{")][-1]: run[run.rindex("{") :] for run in runs}
    stops = set(ends) - {" "}
    possible = [
        text
        for text in texts
        if SPACE in text[1:] and stops.isdisjoint(text) and not (has_runs_of_spaces and SPACE * 2 in text)
    ]
    joints = {joint for text in possible for joint in _JOINT.findall(text)}
    lefts, rights = {joint[0] for joint in joints}, {joint[-1] for joint in joints}
    if any(_OPEN_END.search(text) for text in possible) or lefts & rights:
        return ""
    joined = "".join(f"{escaped(joint.replace(SPACE, ' '))}|" for joint in sorted(joints))
    spaces = r"\x{20}?" if has_runs_of_spaces else r"\x{20}*"
    inside = f"[^{escaped(' ', *sorted(stops))}]"
    first = [f"{escaped(character)}{length}" for character, length in sorted(ends.items())]
    signs = [char for char in map(chr, range(128)) if _kind(char) == "sign" and char not in {" ", *stops}]
    if not _ascii_falls_apart(pairs) or not (lefts | rights).issubset(signs):
        return "|".join((*first, f"{spaces}(?:{joined}{inside})+", r"\x{20}+"))
    # ASCII letters, signs and digits fall apart where they meet; what is beyond ASCII may join each of them.
    kinds = ("[A-Za-z]+", f"(?:{joined}[{escaped(*signs)}])+", "[0-9]+")
    foreign, one = f"[^\\x00-\\x7f{escaped(*sorted(stops))}]+", f"(?:{'|'.join(kinds)})"
    alternatives = (f"{one}?{foreign}(?:{one}{foreign})*{one}?", *kinds)
    return "|".join((*first, *(f"{spaces}{alternative}" for alternative in alternatives), r"\x{20}+"))


def escaped(*texts: str) -> str:
    """`texts` one after the other for a pattern of tiktoken's, whatever their characters mean there."""
    return "".join(f"\\x{{{ord(character):x}}}" for text in texts for character in text)


def _is_spaces(run: str) -> bool:
    return run.startswith(("\\ ", " "))


def _ascii_falls_apart(pairs: Collection[str]) -> bool:
    """Whether no token joins ASCII letters, digits and signs to each other, nor the first two to a space."""
    for pair in pairs:
        left, right = pair[0], pair[1]
        if left < "\x80" and right < "\x80" and _kind(left) != _kind(right):
            return False
        if right == SPACE and left < "\x80" and _kind(left) != "sign":
            return False
    return True


def _kind(character: str) -> str:
    return "letter" if character in _LETTERS else "digit" if character in _DIGITS else "sign"


def _class_of(characters: Iterable[str]) -> str:
    return "".join(map(re.escape, sorted(set(characters))))
