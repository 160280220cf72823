"""One long document asked twice through a vLLM of lctx's own, in a stretched window: what the second time costs.

    python tests/bench/vllm_prefix.py DIRECTORY --python PYTHON [--window 16384] [--source FILE]

DIRECTORY is a model as vLLM reads it, PYTHON the interpreter that has vLLM. The document is the sample, which is read
whole. Each row is one `lctx ask`: the first starts the server, the second asks the same again, the third another
question of the same document.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLE = ROOT / "examples/constitution.pdf"
LCTX = Path(sys.executable).with_name("lctx")
FIRST = "At what age is a person eligible to the Office of President?"
OTHER = "How many witnesses are needed to convict a person of treason?"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--python", type=Path, default=os.environ.get("LCTX_VLLM_PYTHON", sys.executable))
    parser.add_argument("--window", type=int, default=16_384)
    parser.add_argument("--source", type=Path, default=SAMPLE)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lctx-b-") as home:
        environment = os.environ | {"LCTX_HOME": home}
        try:
            rows = [asked(given, environment, question) for question in (FIRST, FIRST, OTHER)]
        finally:
            subprocess.run([LCTX, "stop"], env=environment, capture_output=True, check=False)
    print("| | prompt tokens | cached | first token, s | of the first | command, s |")
    print("|---|---:|---:|---:|---:|---:|")
    first = rows[0]["first_s"]
    for name, row in zip(("the first time", "again", "another question"), rows, strict=True):
        share = row["cached"] / row["prompt"]
        print(
            f"| {name} | {row['prompt']:,} | {row['cached']:,} ({share:.1%}) | {row['first_s']:.2f} "
            f"| {row['first_s'] / first:.1%} | {row['command_s']:.1f} |"
        )
    print(f"\n{rows[0]['engine']}; rope: {rows[0]['rope']}")


def asked(given, environment, question):
    """One `lctx ask`, measured."""
    command = [LCTX, "ask", given.source, question, "--strategy", "full", "--engine", "vllm"]
    command += ["--model", given.model, "--vllm-python", given.python.absolute(), "--window", given.window]
    command += ["--max-tokens", "32", "--format", "json", "--offline", "--keep-alive", "10m"]
    begun = time.monotonic()
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - begun
    if done.returncode not in (0, 1):
        sys.exit(done.stderr)
    record = json.loads(done.stdout)
    if record["error"]:
        sys.exit(done.stdout)
    usage = record["usage"]
    listed = subprocess.run(
        [LCTX, "ps", "--format", "json"], env=environment, capture_output=True, text=True, check=True
    )
    return {
        "prompt": usage["prompt_tokens"],
        "cached": usage["cached_tokens"],
        "first_s": record["timings"]["first_token_s"],
        "command_s": seconds,
        "engine": record["engine"],
        "rope": json.loads(listed.stdout)["servers"][0]["rope"],
    }


if __name__ == "__main__":
    main()
