"""Word recall of lctx on Word files, file by file, beside python-docx and docx2python.

    python tests/bench/word.py DOCLING_TESTS [--losses]

DOCLING_TESTS is the folder that holds tests/data/docx. The reference is docling's own Markdown: another tool's
reading, not a person's. A word is a run of letters and digits in lower case; recall is the share of the
reference's words that were read, each as often as it stands there. python-docx is given every `w:p` of the body's
XML, which is more than its `.paragraphs`. --losses names the words that lctx did not read.
"""

import argparse
import contextlib
import io
import re
import statistics
import time
from collections import Counter
from html import unescape
from pathlib import Path

from lctx.core.errors import SourceError
from lctx.formats.word import read_word

_SHOWN = 12


def words(text):
    return Counter(re.findall(r"\w+", text.lower()))


def with_lctx(file):
    with contextlib.suppress(SourceError):
        return read_word(file.name, file.read_bytes()).text
    return ""


def with_python_docx(file):
    import docx
    from docx.oxml.ns import qn

    body = docx.Document(file).element.body
    paragraphs = body.iter(qn("w:p"))
    return "\n".join("".join(run.text or "" for run in one.iter(qn("w:t"))) for one in paragraphs)


def with_docx2python(file):
    from docx2python import docx2python

    with docx2python(file) as read:
        return read.text


READERS = {"lctx": with_lctx, "python-docx": with_python_docx, "docx2python": with_docx2python}


def reading(name, file):
    """Text and seconds; no text where the library fails, None where it is not installed."""
    begun = time.perf_counter()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            text = READERS[name](file)
    except ImportError:
        return None, 0.0
    except Exception:  # noqa: BLE001  # a library that fails on a file has read nothing of it
        text = ""
    return text, time.perf_counter() - begun


def recall(wanted, got):
    return (wanted & got).total() / wanted.total() if wanted else 1.0


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--losses", action="store_true", help="name what lctx did not read")
    given = parser.parse_args()
    folder = given.data / "tests/data/docx"
    rows, losses, seconds = [], [], Counter()
    for file in sorted(folder.glob("sources/*.docx")):
        markdown = (folder / "groundtruth" / f"{file.name}.md").read_text("utf-8")
        wanted = words(re.sub(r"<!--.*?-->", "", unescape(markdown)))
        row = []
        for name in READERS:
            text, spent = reading(name, file)
            seconds[name] += spent
            row.append(None if text is None else recall(wanted, words(text)))
            if name == "lctx":
                lost = wanted - words(text)
                losses.append((file.name, lost.total(), wanted.total(), lost.most_common(_SHOWN)))
        rows.append((file.name, wanted.total(), row))
    names = list(READERS)
    print("| file | words | " + " | ".join(names) + " |")
    print("|---|---|" + "---|" * len(names))
    for name, total, row in rows:
        print(
            f"| {name} | {total:,} | "
            + " | ".join("-" if one is None else f"{one:.3f}" for one in row)
            + " |"
        )
    means = [[row[place] for _, _, row in rows if row[place] is not None] for place in range(len(names))]
    shown = " | ".join(f"{statistics.mean(one):.3f}" if one else "-" for one in means)
    print(f"| mean of {len(rows)} | | {shown} |")
    print("seconds in all: " + ", ".join(f"{name} {seconds[name]:.2f}" for name in names))
    for name, lost, total, common in losses if given.losses else ():
        if lost:
            named = ", ".join(f"{word} x{count}" if count > 1 else word for word, count in common)
            print(f"{name}: {lost} of {total}: {named}")


if __name__ == "__main__":
    main()
