"""Questions about ten look-alike reports, asked in one process of a warm engine; prints the figures.

    python tests/bench/ntsb.py DATA/ntsb [--model FILE.gguf] [--every N] [--show] [--json FILE]

The answer counts where the gold answer stands in it on word boundaries, the citation where the first one names
the gold file and page. A verified quote counts where pypdfium2, called directly, finds it on its page.
"""

import json
import re
import statistics
from pathlib import Path

import pypdfium2
from common import arguments, asker, norm, ratio, squeeze

from lctx.formats.pdf import read_pdf


def main():
    parser = arguments(__doc__)
    parser.add_argument("--own", action="store_true", help="ask each question of its own report alone")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    documents = {
        path.name: read_pdf(str(path), path.read_bytes())
        for path in sorted((given.data / "docs").glob("*.pdf"))
    }
    questions = [json.loads(line) for line in (given.data / "questions.jsonl").open(encoding="utf-8")]
    rows = []
    with asker(given) as one:
        for question in questions[:: given.every]:
            sources = [documents[question["file"]]] if given.own else list(documents.values())
            rows.append(row_of(question, *one.ask(question["question"], sources)))
    if given.json:
        given.json.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    report(rows, show=given.show)


def row_of(question, plan, ready, seconds):
    first = next(iter(ready.citations), None)
    gold = norm(question.get("answer", ""))
    quotes = [one for one in ready.citations if one.status.value == "verified"]
    return {
        "question": question["question"],
        "gold": question.get("answer"),
        "answerable": question["answerable"],
        "answer": ready.answer.text,
        "found": ready.answer.found,
        "hit": bool(gold) and bool(re.search(rf"\b{re.escape(gold)}\b", norm(ready.answer.text))),
        "cited": first is not None
        and Path(first.document.path).name == question["file"]
        and first.location.pages[0] == question["page"],
        "support": first.support.value if first else None,
        "quoted": bool(ready.warnings),
        "quotes": len(quotes),
        "quotes_found": sum(stands(one) for one in quotes),
        "words": len(ready.answer.text.split()),
        "planned": plan.prompt_tokens,
        "counted": ready.usage.prompt_tokens if ready.usage else None,
        "seconds": seconds,
    }


def stands(citation):
    page = pypdfium2.PdfDocument(citation.document.path)[citation.location.pages[0] - 1]
    return squeeze(citation.quote) in squeeze(page.get_textpage().get_text_range())


def report(rows, *, show):
    asked = [row for row in rows if row["answerable"]]
    blank = [row for row in rows if not row["answerable"]]
    if show:
        for row in asked:
            if not (row["hit"] and row["cited"]):
                print(row["hit"], row["cited"], row["question"], "| gold:", row["gold"], "|", row["answer"])
        for row in blank:
            if row["found"]:
                print("blank:", row["question"], "|", row["answer"])
    supported = [row for row in asked if row["support"] == "supported" and row["found"]]
    counted = [row for row in rows if row["counted"] is not None]
    right = lambda name: ratio(sum(bool(row[name]) for row in asked), len(asked))  # noqa: E731
    middle = lambda name: statistics.median(row[name] for row in asked)  # noqa: E731
    print("answer holds the gold answer     ", right("hit"))
    print("first citation on file and page  ", right("cited"))
    print(
        "both                             ",
        ratio(sum(row["hit"] and row["cited"] for row in asked), len(asked)),
    )
    print("passage quoted for an answer     ", right("quoted"))
    print(
        "verified quotes found again      ",
        ratio(*(sum(row[of] for row in rows) for of in ("quotes_found", "quotes"))),
    )
    print("supported, and right             ", ratio(sum(row["hit"] for row in supported), len(supported)))
    print("refused of the unanswerable      ", ratio(sum(not row["found"] for row in blank), len(blank)))
    print("false refusals                   ", ratio(sum(not row["found"] for row in asked), len(asked)))
    print(
        "plan equals usage                ",
        ratio(sum(row["planned"] == row["counted"] for row in counted), len(counted)),
    )
    print(
        f"median words, prompt, seconds     {middle('words')}, {middle('planned')}, {middle('seconds'):.2f}"
    )


if __name__ == "__main__":
    main()
