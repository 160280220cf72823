"""The answer as plain text and as Markdown: for pipes, files, and terminals that can do no more."""

import re

from lctx.cli.clean import displayable, one_line
from lctx.cli.marks import marked_text
from lctx.cli.outcome import Outcome
from lctx.cli.output import Sink
from lctx.cli.places import one_a_marker, place_of, verdict_of
from lctx.core.answering.answer import Answer, AnswerReady
from lctx.core.engine.events import PrefillProgress
from lctx.core.planning.plan import ContextPlan

_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~$&])")


def text_of(ready: AnswerReady, *, cite: bool = True) -> str:
    """The answer with [n] behind its sentences, a blank line, and the sources; one newline at the end."""
    parts = [body_of(ready, cite=cite), *notices_of(ready.answer)]
    if cite and ready.citations:
        rows = [
            f'[{one.marker}] {place_of(one)}: "{one_line(one.quote)}" ({verdict_of(group)})'
            for group in one_a_marker(ready.citations)
            for one in group[:1]
        ]
        parts.append("\n".join(["Sources:", *rows]))
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_of(ready: AnswerReady, *, cite: bool = True) -> str:
    """The answer as Markdown with footnotes; one newline at the end."""
    body = body_of(ready, "[^{}]", cite=cite)
    if ready.answer.found is None:  # passages, a line each, which Markdown would run together
        body = body.replace("\n", "\n\n")
    parts = [body, *(f"> {text}" for text in notices_of(ready.answer))]
    if cite and ready.citations:
        rows = [
            f"[^{one.marker}]: {escaped(place_of(one))}: "
            f"“{escaped(one_line(one.quote))}” ({verdict_of(group)})"
            for group in one_a_marker(ready.citations)
            for one in group[:1]
        ]
        parts.append("\n".join(rows))
    return "\n\n".join(part for part in parts if part) + "\n"


def notice_of(answer: Answer) -> str | None:
    """What must be said beside an answer that is none: it was not found, or these are passages."""
    if answer.found is True:
        return None
    head = "Not found in the sources" if answer.found is False else "These are passages, not an answer"
    reason = one_line(answer.reason or "").rstrip(".")
    return f"{head}: {reason}." if reason else f"{head}."


def escaped(text: str) -> str:
    """`text` so that Markdown shows it as it stands."""
    return _MARKDOWN.sub(r"\\\1", text)


class PlainView:
    """Writes once, at the end: numbers stand inside the text, so the text has to be whole first."""

    def __init__(self, sink: Sink, *, markdown: bool = False, cite: bool = True) -> None:
        self._sink = sink
        self._markdown = markdown
        self._cite = cite

    def plan(self, plan: ContextPlan) -> None:
        """Nothing: the plan is told on standard error."""

    def progress(self, event: PrefillProgress) -> None:
        """Nothing: progress is told on standard error."""

    def delta(self, text: str) -> None:
        """Nothing: the outcome keeps what has arrived."""

    def warning(self, text: str) -> None:
        """Nothing: warnings are told on standard error."""

    def finish(self, outcome: Outcome) -> None:
        """The answer, or what had arrived of it."""
        if outcome.ready:
            render = markdown_of if self._markdown else text_of
            self._sink.write(render(outcome.ready, cite=self._cite))
        elif outcome.partial:
            self._sink.write(displayable(outcome.partial).rstrip("\n") + "\n")
        if outcome.ready or outcome.partial:
            self._sink.close()


def body_of(ready: AnswerReady, number: str = "[{}]", *, cite: bool) -> str:
    """The answer with its numbers as a person reads it; nothing where the notice says the same and why."""
    notice = notice_of(ready.answer)
    if notice is not None and notice.startswith(ready.answer.text.strip().rstrip(".") + ":"):
        return ""
    text = marked_text(ready.answer, ready.citations, number.format) if cite else ready.answer.text
    return displayable(text).strip("\n")


def notices_of(answer: Answer) -> list[str]:
    """What stands beside an answer that is none, unless it says the same already."""
    notice = notice_of(answer)
    if notice is None or one_line(answer.text).rstrip(".").casefold() == notice.rstrip(".").casefold():
        return []
    return [notice]
