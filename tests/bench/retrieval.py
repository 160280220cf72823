"""Where answers stand among the ranked passages, and how much of a question they hold; no model is asked.

    python tests/bench/retrieval.py DATA

DATA holds the sets `ntsb` and `chroma-chunking`. Prints the tables of docs/benchmarks/retrieval.md and abstention.md.
"""

import argparse
import csv
import json
import statistics
from pathlib import Path

from common import norm, ratio

from lctx.core.answering.absence import why_absent
from lctx.core.answering.inputs import AskSettings, Inputs
from lctx.core.retrieval.terms import terms
from lctx.core.storage import ByteCache
from lctx.formats.markdown import read_markdown
from lctx.formats.pdf import read_pdf

PERCENTILES = (5, 10, 25, 50, 90, 95)
DEPTHS = (1, 2, 3, 5, 10, 15, 20)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    given = parser.parse_args()
    ntsb(given.data / "ntsb")
    chroma(given.data / "chroma-chunking")


def inputs_of(question, documents):
    """What is ranked; neither profile nor tokenizer is needed for that."""
    return Inputs(question, documents, None, None, ByteCache(None), AskSettings())


def ntsb(folder):
    documents = [read_pdf(path.name, path.read_bytes()) for path in sorted((folder / "docs").glob("*.pdf"))]
    questions = [json.loads(line) for line in (folder / "questions.jsonl").open(encoding="utf-8")]
    asked = [question for question in questions if question["answerable"]]
    chunks, sentences, shares = [], [], []
    for question in asked:
        inputs = inputs_of(question["question"], documents)
        gold = (question["file"], question["page"])
        ranked = [
            page_of(scored.chunk, scored.chunk.start, scored.chunk.end) for scored in inputs.ranking.best
        ]
        chunks.append(ranked.index(gold) if gold in ranked else None)
        holds = (
            page_of(one.chunk, one.start, one.end) == gold and norm(question["answer"]) in norm(one.text)
            for one in inputs.focused
        )
        sentences.append(next((position for position, right in enumerate(holds) if right), None))
        shares.append(share_of(inputs))
    print("ntsb, gold page in the first 1, 3 chunks:     ", *(within(chunks, most) for most in (1, 3)))
    print(
        "ntsb, answer in the first 1, 3, 4, 5 sentences:", *(within(sentences, most) for most in (1, 3, 4, 5))
    )
    print("ntsb, share of the question held:             ", *percentiles(shares))
    blank = [inputs_of(one["question"], documents) for one in questions if not one["answerable"]]
    print(
        "ntsb, blank fields seen:                      ",
        ratio(sum(why_absent(one) is not None for one in blank), len(blank)),
    )
    refused = sum(why_absent(inputs_of(one["question"], documents)) is not None for one in asked)
    print("ntsb, answerable questions refused:           ", ratio(refused, len(asked)))


def chroma(folder):
    with (folder / "questions_df.csv").open(encoding="utf-8", newline="") as file:
        questions = list(csv.DictReader(file))
    names = sorted({question["corpus_id"] for question in questions})
    documents = {name: read_markdown(f"{name}.md", (folder / f"{name}.md").read_bytes()) for name in names}
    chunks, sentences, own, others = [], [], [], []
    shares: dict[int, list[float]] = {depth: [] for depth in DEPTHS}
    for number, question in enumerate(questions[::4]):
        name = question["corpus_id"]
        inputs = inputs_of(question["question"], [documents[name]])
        gold = [(span["start_index"], span["end_index"]) for span in json.loads(question["references"])]
        chunks.append(first_overlap([scored.chunk for scored in inputs.ranking.best], gold))
        sentences.append(first_overlap(inputs.focused, gold))
        for depth in DEPTHS:
            shares[depth].append(read_share([one.chunk for one in inputs.ranking.best[:depth]], gold))
        own.append(inputs)
        other = names[(names.index(name) + 1 + number % (len(names) - 1)) % len(names)]
        others.append(inputs_of(question["question"], [documents[other]]))
    print("chroma, gold in the first 1, 3 chunks:        ", *(within(chunks, most) for most in (1, 3)))
    print(
        "chroma, gold in the first 1, 3, 4, 5 sentences:", *(within(sentences, most) for most in (1, 3, 4, 5))
    )
    means = (f"{depth}: {statistics.mean(found):.3f}" for depth, found in shares.items())
    print("chroma, share of the gold in the first chunks:", *means)
    print("chroma, share held by its own text:           ", *percentiles(map(share_of, own)))
    print("chroma, share held by another text:           ", *percentiles(map(share_of, others)))
    for what, asked in (("its own", own), ("another", others)):
        refused = sum(why_absent(inputs) is not None for inputs in asked)
        print(f"chroma, refused of {what} text:              ", ratio(refused, len(asked)))


def page_of(chunk, start, end):
    return chunk.document.path, chunk.document.locate(start, end).pages[0]


def share_of(inputs):
    held = ({*terms(one.chunk.text), *terms(" ".join(one.chunk.heading))} for one in inputs.ranking.best[:6])
    return max(map(inputs.ranking.covered, held), default=0.0)


def first_overlap(pieces, gold):
    for position, piece in enumerate(pieces):
        if any(piece.start < end and piece.end > start for start, end in gold):
            return position
    return None


def read_share(chunks, gold):
    """The share of the gold characters that the chunks hold."""
    held = sum(max(0, min(one.end, end) - max(one.start, start)) for one in chunks for start, end in gold)
    return held / sum(end - start for start, end in gold)


def within(positions, most):
    return ratio(sum(position is not None and position < most for position in positions), len(positions))


def percentiles(values):
    cuts = statistics.quantiles(values, n=100)
    return [f"{percent}%: {cuts[percent - 1]:.2f}" for percent in PERCENTILES]


if __name__ == "__main__":
    main()
