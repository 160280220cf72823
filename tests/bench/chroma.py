"""Questions about five long texts, by character overlap of the cited quotes with the gold passages.

    python tests/bench/chroma.py DATA/chroma-chunking [--every N] [--show]

A first citation counts where it overlaps any gold passage. Precision is the share of cited characters inside gold
passages, recall the share of gold characters that are cited, both averaged over the questions.
"""

import csv
import json
import statistics

from common import arguments, asker, ratio

from lctx.formats.markdown import read_markdown


def main():
    given = arguments(__doc__).parse_args()
    with (given.data / "questions_df.csv").open(encoding="utf-8", newline="") as file:
        questions = list(csv.DictReader(file))[:: given.every]
    documents = {}
    for name in {question["corpus_id"] for question in questions}:
        content = (given.data / f"{name}.md").read_bytes()
        documents[name] = read_markdown(f"{name}.md", content)
    rows = []
    with asker(given) as one:
        for question in questions:
            document = documents[question["corpus_id"]]
            _, ready, seconds = one.ask(question["question"], [document])
            gold = [(span["start_index"], span["end_index"]) for span in json.loads(question["references"])]
            rows.append(row_of(question["question"], ready, gold, seconds))
    report(rows, show=given.show)


def row_of(question, ready, gold, seconds):
    cited = [citation.location.chars for citation in ready.citations if citation.status.value == "verified"]
    gold_chars = {offset for start, end in gold for offset in range(start, end)}
    cited_chars = {offset for start, end in cited for offset in range(start, end)}
    return {
        "question": question,
        "answer": ready.answer.text,
        "found": ready.answer.found,
        "first": bool(cited) and not gold_chars.isdisjoint(range(*cited[0])),
        "any": not gold_chars.isdisjoint(cited_chars),
        "precision": len(gold_chars & cited_chars) / len(cited_chars) if cited_chars else 0.0,
        "recall": len(gold_chars & cited_chars) / len(gold_chars),
        "exact": all(one.document.text[slice(*one.location.chars)] == one.quote for one in ready.citations),
        "words": len(ready.answer.text.split()),
        "seconds": seconds,
    }


def report(rows, *, show):
    if show:
        for row in rows:
            if not row["first"]:
                print(row["found"], row["question"], "|", row["answer"])
    print("first citation in a gold passage ", ratio(sum(row["first"] for row in rows), len(rows)))
    print("any citation in a gold passage   ", ratio(sum(row["any"] for row in rows), len(rows)))
    print(f"precision, recall of characters   {mean(rows, 'precision'):.3f}, {mean(rows, 'recall'):.3f}")
    print("quotes at their exact characters ", ratio(sum(row["exact"] for row in rows), len(rows)))
    print("refused                          ", ratio(sum(not row["found"] for row in rows), len(rows)))
    print(
        "median words, seconds            ",
        *(statistics.median(row[of] for row in rows) for of in ("words", "seconds")),
    )


def mean(rows, name):
    return statistics.fmean(row[name] for row in rows)


if __name__ == "__main__":
    main()
