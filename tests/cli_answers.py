"""Answers, plans and stand-in engines for the tests of the command line."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from lctx.core.answering.answer import Answer, AnswerReady, Coverage, CoverageRow
from lctx.core.chunking.chunk import Chunk
from lctx.core.citing.citation import Attribution, Citation, Status, Support
from lctx.core.document import Block, Document, Location, Span
from lctx.core.engine.events import Usage
from lctx.core.planning.plan import ContextBudget, ContextPlan, Omission, Piece
from lctx.core.planning.strategy import StrategyEstimate

ROOT = Path(__file__).resolve().parent.parent
LCTX = Path(sys.executable).with_name("lctx")
SAMPLE = ROOT / "examples/constitution.pdf"
CONTRACT = ROOT / "examples/services-agreement.docx"


def document(text: str = "Alpha is one.\nBeta is two.\n", path: str = "notes.txt", **location) -> Document:
    """A document of one span, by default with lines."""
    place = Location(**location)
    return Document(
        path,
        "text",
        "text/1",
        hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        text,
        (Span(0, len(text), place, first_line=None if location.get("paragraph") else 1),),
        (Block("paragraph", 0, len(text)),),
    )


def citation(
    answer_chars: tuple[int, int],
    *,
    marker: int = 1,
    source: Document | None = None,
    quote: str = "Alpha is one.",
    status: Status = Status.VERIFIED,
    support: Support = Support.SUPPORTED,
    location: Location | None = None,
) -> Citation:
    """A citation of the document that `document()` makes."""
    source = source or document()
    return Citation(
        marker,
        source,
        quote,
        status,
        Attribution.LCTX,
        support,
        answer_chars,
        location or source.locate(0, min(len(quote), len(source.text))),
    )


def ready(
    text: str, *citations: Citation, found: bool | None = True, reason: str | None = None
) -> AnswerReady:
    """An answer that read ten of thirty tokens."""
    return AnswerReady(
        Answer(text, found, reason),
        citations,
        Coverage(
            True,
            (CoverageRow("notes.txt", (0, 14), 10),),
            (CoverageRow("notes.txt", (14, 27), 20, "no match"),),
        ),
        Usage(100, 90, 5),
        0.25,
    )


def plan(source: Document | None = None) -> ContextPlan:
    """A plan that reads the first line of a document and leaves out the rest."""
    source = source or document()
    cut = source.text.index("\n") + 1
    whole = Chunk(source, 0, len(source.text))
    return ContextPlan(
        "retrieve",
        "the sources do not fit the window",
        ContextBudget(4096, 40, 10, 256),
        (Piece(whole, 0, cut, 10),),
        (Omission(Piece(whole, cut, len(source.text), 20), "no match"),),
        60,
        exact=True,
        kv_cache_bytes=3 << 20,
        estimates=(StrategyEstimate("full", False, 9000, "larger than the window"),),
    )


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a command that keeps everything under `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LCTX_")}
    kept.pop("OPENAI_API_KEY", None)
    return kept | {"LCTX_HOME": str(home), "TERM": "dumb"} | more


def run_lctx(
    home: Path, *arguments: str | Path, stdin: str | bytes | None = None, cwd: Path | None = None, **more
):
    """`lctx` as a process of its own; with None as `stdin` it reads from an empty file."""
    content = stdin.encode() if isinstance(stdin, str) else stdin
    return subprocess.run(
        [LCTX, *map(str, arguments)],
        input=content if content is not None else b"",
        capture_output=True,
        cwd=cwd,
        env=environment(home, **more),
        check=False,
        timeout=120,
    )
