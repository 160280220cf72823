"""Typesets constitution.pdf from two public-domain texts, with groff.

    python examples/make_constitution.py us-declaration us-constitution examples/constitution.pdf

The words are set exactly as they stand in the files; only paragraphs are filled and headings are set apart.
`examples/README.md` says where the two files come from.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_TITLES = (
    "The Declaration of Independence of the Thirteen Colonies",
    "The Constitution of the United States of America",
)
_DIVISION = re.compile(r"Preamble|Article [IVX]+|Amendments?(?: [IVX]+)?")
_SECTION = re.compile(r"Section \d+")
_PREFACE = r""".nr PS 12
.nr VS 15
.nr LL 4.2i
.nr PO 0.65i
.nr HM 0.8i
.nr FM 0.8i
.nr PI 0
.nr PD 0.6v
.kern 0
.pdfview /PageMode /UseOutlines
.pdfinfo /Title The Declaration of Independence and the Constitution of the United States
.ds LH
.ds CH
.ds RH
.ds CF %
.LP
.sp 1.5i
.ce 100
.ps 20
.vs 26
\fBThe Declaration of Independence
.br
and the
.br
Constitution of the United States\fP
.ps 12
.vs 15
.sp 1i
with all amendments, I to XXVII
.ce 0
"""


def escaped(line: str) -> str:
    """`line` as groff text: no request, no escape."""
    line = re.sub(" +", " ", line).replace("\\", "\\e")
    return "\\&" + line if line.startswith((".", "'")) else line


def heading(level: int, text: str, size: int) -> str:
    """A heading and its entry in the outline; it stays with what follows."""
    return f".ne 6v\n.sp 1v\n.pdfbookmark {level} {text}\n.LP\n.ps {size}\n\\fB{text}\\fP\n.ps 12\n.br\n"


def typeset(text: str) -> Iterator[str]:
    """The groff source of one text, paragraph by paragraph."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in paragraph.strip().splitlines()]
        first = lines[0]
        if first in _TITLES:
            yield f".bp\n{heading(1, first, 16)}"
        elif _DIVISION.fullmatch(first):
            yield heading(2, first, 14)
        elif _SECTION.fullmatch(first):
            yield heading(3, first, 12)
        elif first.endswith(":") and len(lines) > 1:
            yield ".LP\n.ne 3v\n" + "\n.br\n".join([escaped(first), " ".join(map(escaped, lines[1:]))]) + "\n"
        else:
            yield ".LP\n" + "\n".join(map(escaped, lines)) + "\n"


def main(declaration: Path, constitution: Path, output: Path) -> None:
    """Write `output`."""
    source = _PREFACE + "".join(
        part for path in (declaration, constitution) for part in typeset(path.read_text(encoding="ascii"))
    )
    command = ["groff", "-ms", "-Tpdf", "-dpaper=a5", "-P-pa5"]
    done = subprocess.run(command, input=source.encode(), capture_output=True, check=True)
    output.write_bytes(done.stdout)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
