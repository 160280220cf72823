"""Look-ups in the prose of this repository's own samples, asked of a warm engine, with the answers as printed.

    python tests/bench/prose.py examples [--model FILE.gguf] [--show]

An answer counts where it holds the expected words (a pattern in prose.jsonl beside this file).
"""

import json
import re
import statistics
from pathlib import Path

from common import arguments, asker, norm, ratio

from lctx.formats.registry import format_of


def main():
    given = arguments(__doc__).parse_args()
    lines = (Path(__file__).parent / "prose.jsonl").read_text("utf-8").splitlines()
    rows = []
    documents = {}
    with asker(given) as one:
        for asked in map(json.loads, lines[:: given.every]):
            name = asked["source"]
            if name not in documents:
                content = (given.data / name).read_bytes()
                documents[name] = format_of(name, content).read(name, content)
            _, ready, seconds = one.ask(asked["question"], [documents[name]])
            text = ready.answer.text
            right = any(re.search(asked["answer"], form) for form in (text.lower(), norm(text)))
            rows.append((asked["question"], text, right, bool(ready.warnings), seconds))
    if given.show:
        for question, text, right, _, _ in rows:
            print("  " if right else "x ", question, "|", text)
    print("holds the expected words    ", ratio(sum(row[2] for row in rows), len(rows)))
    print("passage quoted for an answer", ratio(sum(row[3] for row in rows), len(rows)))
    print(f"median seconds               {statistics.median(row[4] for row in rows):.2f}")


if __name__ == "__main__":
    main()
