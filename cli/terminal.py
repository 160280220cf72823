"""The answer on a terminal: Markdown while it arrives, then with its numbers, then the sources in a panel.

Nothing that a document or a model wrote is ever markup here: Rich eats `[main.py:12]`, and Markdown's link
definitions, images and HTML make text vanish.
"""

import sys
from collections.abc import Sequence
from threading import Thread
from typing import TYPE_CHECKING

from lctx.cli.clean import displayable, one_line
from lctx.cli.notes import Notes
from lctx.cli.outcome import Outcome
from lctx.cli.places import one_a_marker, place_of, verdict_of
from lctx.cli.plain import body_of, notices_of
from lctx.core.answering.answer import AnswerReady
from lctx.core.citing.citation import Citation, Status, Support
from lctx.core.engine.events import PrefillProgress
from lctx.core.planning.plan import ContextPlan

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live
    from rich.markdown import Markdown
    from rich.panel import Panel
    from rich.text import Text

_OFF = ("html_block", "html_inline", "reference", "link", "image", "autolink", "entity", "lheading")
_SPARE_LINES, _SPARE_COLUMNS = 2, 2


class TerminalView:
    """Streams to standard output through Rich, which is imported while the engine reads the prompt."""

    def __init__(self, notes: Notes, *, cite: bool = True) -> None:
        self._notes = notes
        self._cite = cite
        self._live: Live | None = None
        self._console: Console | None = None
        self._tail = Tail()

    def plan(self, plan: ContextPlan) -> None:  # noqa: ARG002 - a view's method
        """Nothing to show yet, but something to prepare."""
        Thread(target=_import_rich, daemon=True).start()

    def progress(self, event: PrefillProgress) -> None:
        """Nothing: the progress line stands on standard error."""

    def delta(self, text: str) -> None:
        """Show the answer so far."""
        self._tail.text += text
        if self._live is None:
            from rich.live import Live

            self._notes.clear()
            self._live = Live(
                self._tail, console=self.console, transient=True, auto_refresh=False, vertical_overflow="crop"
            )
            self._live.start()
        self._live.update(self._tail, refresh=True)

    def warning(self, text: str) -> None:
        """Nothing: warnings are told on standard error after the answer."""

    def finish(self, outcome: Outcome) -> None:
        """The whole answer in place of what streamed, or what had arrived of it."""
        self._notes.clear()
        if self._live:
            self._live.stop()
        if outcome.ready:
            for part in answer_parts(outcome.ready, cite=self._cite):
                self.console.print(part)
        elif outcome.partial:
            self.console.print(markdown(outcome.partial))

    @property
    def console(self) -> "Console":
        """Rich's view of standard output."""
        if self._console is None:
            self._console = new_console()
        return self._console


class Tail:
    """As much of the end of the answer as the terminal can hold."""

    def __init__(self) -> None:
        self.text = ""

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """The last lines; the whole is printed when it is whole."""
        from rich.segment import Segment

        # Lines that end short of the edge: else the terminal's own `^C` would wrap and leave a copy behind.
        narrow = options.update(width=max(options.max_width - _SPARE_COLUMNS, 1))
        lines = console.render_lines(markdown(self.text), narrow, pad=False)
        for line in lines[-max(console.height - _SPARE_LINES, 1) :]:
            while line and not line[-1].text.strip():
                line.pop()
            if line:
                yield from line[:-1]
                yield Segment(line[-1].text.rstrip(), line[-1].style)
            yield Segment.line()


def new_console() -> "Console":
    """A console that takes nothing for markup and can print whatever the locale says."""
    from rich.console import Console

    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    return Console(file=sys.stdout, markup=False, highlight=False, emoji=False)


def markdown(text: str) -> "Markdown":
    """`text` as Markdown without the parts that would make some of it vanish."""
    from markdown_it import MarkdownIt
    from rich.markdown import Markdown

    clean = displayable(text)
    rendered = Markdown("", hyperlinks=False)
    rendered.markup = clean
    rendered.parsed = MarkdownIt().enable(["strikethrough", "table"]).disable(list(_OFF)).parse(clean)
    return rendered


def answer_parts(ready: AnswerReady, *, cite: bool) -> "list[Markdown | Text | Panel]":
    """What is printed of an answer, in order: the text, what must be said beside it, the sources."""
    from rich.text import Text

    text = body_of(ready, cite=cite)
    # Passages are the sources' own words, a line each: read as Markdown they would run into one another.
    is_passages = ready.answer.found is None
    parts: list[Markdown | Text | Panel] = []
    if text:
        parts.append(Text(text.replace("\n", "\n\n") + "\n") if is_passages else markdown(text))
    parts += [Text(notice, style="yellow") for notice in notices_of(ready.answer)]
    if cite and ready.citations:
        parts.append(sources_panel(ready.citations))
    return parts


def sources_panel(citations: Sequence[Citation]) -> "Panel":
    """The sources: number and place, the quote, what checking it gave."""
    from rich.panel import Panel
    from rich.text import Text

    rows = Text()
    for group in one_a_marker(citations):
        citation = group[0]
        if rows:
            rows.append("\n")
        rows.append(f"[{citation.marker}] {place_of(citation)}\n", style="bold")
        rows.append(f"“{one_line(citation.quote)}”\n")
        rows.append(verdict_of(group), style=_style_of(group))
    return Panel(rows, title=Text("Sources"), title_align="left", padding=(0, 1))


def _style_of(group: Sequence[Citation]) -> str:
    if any(one.status is Status.UNVERIFIED or one.support is Support.NONE for one in group):
        return "red"
    if all(one.status is Status.VERIFIED and one.support is Support.SUPPORTED for one in group):
        return "green"
    return "yellow"


def _import_rich() -> None:
    import markdown_it
    import rich.live
    import rich.markdown

    del markdown_it, rich
