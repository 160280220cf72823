"""Where the numbers stand: each [n] behind its sentence, and a mark behind a sentence without support."""

from collections.abc import Callable, Sequence

from lctx.core.answering.answer import Answer
from lctx.core.citing.citation import Citation
from lctx.core.citing.gate import unsupported

NO_SOURCE = "[no source]"
_FENCE = "```"


def unsupported_sentences(answer: Answer, citations: Sequence[Citation]) -> list[tuple[int, int]]:
    """The sentences of an answer that no quote supports, even weakly; none where there is no answer."""
    if answer.found is not True:
        return []
    return unsupported(answer.text, citations)


def marked_text(
    answer: Answer, citations: Sequence[Citation], number: Callable[[int], str] = "[{}]".format
) -> str:
    """The answer with a number behind each cited sentence and `[no source]` behind each unsupported one.

    Args:
        answer: What is said.
        citations: Those of the answer, in any order.
        number: How a marker is written; Markdown's footnotes write `[^1]`.
    """
    marks: dict[int, list[str]] = {}
    for citation in sorted(citations, key=lambda one: one.marker):
        marks.setdefault(citation.answer_chars[1], []).append(number(citation.marker))
    for _, end in unsupported_sentences(answer, citations):
        marks.setdefault(end, []).append(NO_SOURCE)
    text, parts, start = answer.text, [], 0
    for end in sorted(marks):
        parts.append(text[start:end])
        # Behind a closed code fence a mark would open it again.
        glue = "\n" if text[:end].endswith(_FENCE) else " "
        parts.append(glue + "".join(dict.fromkeys(marks[end])))
        start = end
    return "".join([*parts, text[start:]])
