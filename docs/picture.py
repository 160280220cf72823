"""Draws `docs/_static/ask.svg`: what a terminal shows of one question, by the code that shows it.

    python docs/picture.py

It asks the sample with the embedded engine, so it takes what the first question takes.
"""

import io
import os
import sys
import tempfile
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.text import Text

from lctx.cli.ask import Asking
from lctx.cli.notes import Notes
from lctx.cli.outcome import Outcome
from lctx.cli.request import Request, settings_of
from lctx.cli.terminal import TerminalView, answer_parts

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs/_static/ask.svg"
SOURCE = "examples/constitution.pdf"
QUESTION = "Above what value in controversy is the right of trial by jury preserved?"
COLUMNS = 108

# Rich's own template fetches a font from the network; a reader's machine has one.
_TEMPLATE = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class Drawing(TerminalView):
    """The terminal's view, but the answer is kept for the drawing."""

    ready = None

    def delta(self, text: str) -> None:
        """Nothing streams in a picture."""

    def finish(self, outcome: Outcome) -> None:
        """Keep what would be printed."""
        self.ready = outcome.ready


class Lines(Notes):
    """Standard error, kept."""

    def __init__(self) -> None:
        super().__init__()
        self.is_terminal = False
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        """One line of what is going on."""
        self.lines.append(text)


def draw() -> str:
    """The picture as SVG."""
    os.chdir(ROOT)
    request = Request((SOURCE, QUESTION), flags={"keep_alive": "0"})
    notes = Lines()
    view = Drawing(notes)
    asking = Asking(settings_of(request)[0], view, notes, monotonic())
    asking.run(request)
    code = asking.finish()
    if code or view.ready is None:
        raise SystemExit(int(code))
    console = Console(
        record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, markup=False, highlight=False
    )
    console.print(Text.assemble(("$ ", "green"), f'lctx ask {SOURCE} "{QUESTION}"'))
    console.print(Text(notes.lines[0], style="dim"))
    for part in answer_parts(view.ready, cite=True):
        console.print(part)
    console.print(Text(notes.lines[-1], style="dim"))
    return console.export_svg(title="lctx", code_format=_TEMPLATE, unique_id="lctx")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ.setdefault("LCTX_HOME", home)
        TARGET.parent.mkdir(exist_ok=True)
        TARGET.write_text(draw(), "utf-8")
    sys.stdout.write(f"{TARGET}\n")
