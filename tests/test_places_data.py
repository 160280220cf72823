"""Places of real texts: what was marked by hand is found again in the lines that lctx names for it."""

import csv
import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from lctx.core.document import Document
from lctx.formats.registry import format_of

pytestmark = pytest.mark.data

Gold = tuple[Path, int, int, str]


def data(name: str) -> Path:
    found = os.environ.get("LCTX_BENCH_DATA")
    folder = Path(found or "", name)
    if not found or not folder.is_dir():
        pytest.skip(f"LCTX_BENCH_DATA names no folder with {name}: the evaluation data is not here")
    return folder


def evidence_spans() -> Iterator[Gold]:
    """What doctors marked as evidence in clinical trials."""
    folder = data("evidence-inference")
    for line in (folder / "questions.jsonl").read_text("utf-8").splitlines():
        question = json.loads(line)
        for span in question["evidence"]:
            yield folder / "txt" / f"{question['doc']}.txt", span["start"], span["end"], span["text"]


def chroma_spans() -> Iterator[Gold]:
    """The passages that answer questions about five long texts."""
    folder = data("chroma-chunking")
    with (folder / "questions_df.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for span in json.loads(row["references"]):
                yield (
                    folder / f"{row['corpus_id']}.md",
                    span["start_index"],
                    span["end_index"],
                    span["content"],
                )


@cache
def read(file: Path) -> tuple[Document, str, list[int]]:
    """The document, and apart from lctx: the file's characters and where its lines begin."""
    content = file.read_bytes()
    raw = content.decode("utf-8")
    starts = [0, *(end.end() for end in re.finditer(r"\r\n|\r|\n", raw))]
    return format_of(str(file), content).read(str(file), content), raw, [*starts, len(raw) + 1]


@pytest.mark.parametrize(
    ("spans", "least"),
    [(evidence_spans, 250), (chroma_spans, 790)],
    ids=["evidence-inference", "chroma-chunking"],
)
def test_every_gold_span_survives_locating_and_back(spans, least):
    """This test ensures that the lines of a place, looked up in the raw file, hold the span at its exact offsets."""
    checked, lost = 0, []
    for file, start, end, gold in spans():
        document, raw, line_starts = read(file)
        location = document.locate(start, end)
        first, last = location.lines
        window = raw[line_starts[first - 1] : line_starts[last]]
        back = [line_starts[first - 1] + found.start() for found in re.finditer(re.escape(gold), window)]
        exact = (
            line_starts[first - 1] <= start < line_starts[first]
            and line_starts[last - 1] < end <= line_starts[last]
        )
        if (
            document.text[start:end] != gold
            or location.chars != (start, end)
            or not exact
            or start not in back
        ):
            lost.append((file.name, start, end, location))
        checked += 1
    assert lost == []
    assert checked >= least
