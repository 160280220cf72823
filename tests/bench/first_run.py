"""The README's first command on a machine without a compiler, then first tokens, cold and warm.

    python tests/bench/first_run.py [--python python3]

Clones this repository, runs the command with a PATH that holds an interpreter and the shell's own tools only, and
asks the sample with the engine cold, warm, and twice over the same prefix.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TOOLS = ("sh", "env", "uname", "ls", "cat", "mkdir", "rm", "dirname", "readlink", "git")
SAMPLE = "examples/constitution.pdf"
SMALL = "examples/services-agreement.docx"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        environment = bare_environment(work, given.python)
        checkout = work / "lctx"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(checkout)], check=True)
        lines = (checkout / "README.md").read_text("utf-8").splitlines()
        command = next(line[2:] for line in lines if line.startswith("$ python3") and "lctx ask" in line)
        begun = time.monotonic()
        done = subprocess.run(
            ["sh", "-c", f"{command} --format json"],
            cwd=checkout, env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        seconds = time.monotonic() - begun
        first = json.loads(done.stdout[done.stdout.index("{") :])["citations"][0]
        print(
            f"clone to citation: {seconds:.0f} s, {first['status']}, {first['support']}, page {first['location']['pages'][0]}"
        )
        print(
            f"environment: {megabytes(checkout / '.venv'):.0f} MB, cache: {megabytes(work / 'home'):.0f} MB"
        )
        stop(checkout, environment)
        print(
            "retrieve, cold:",
            asked(
                checkout,
                environment,
                SAMPLE,
                "At what age is a person eligible to the Office of President?",
            ),
        )
        print(
            "retrieve, warm:",
            asked(
                checkout, environment, SAMPLE, "How many witnesses are needed to convict a person of treason?"
            ),
        )
        stop(checkout, environment)
        print(
            "full, cold:    ",
            asked(
                checkout,
                environment,
                SMALL,
                "To what amount is the total liability of either party limited?",
                "--strategy",
                "full",
            ),
        )
        print(
            "full, again:   ",
            asked(checkout, environment, SMALL, "When does the agreement begin?", "--strategy", "full"),
        )
        stop(checkout, environment)


def bare_environment(work, python):
    """An environment whose PATH holds an interpreter and a few tools: no compiler, no linker."""
    tools = work / "bin"
    tools.mkdir()
    for tool in TOOLS:
        (tools / tool).symlink_to(shutil.which(tool))
    real = subprocess.run(
        [python, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True, check=True
    )
    for name in ("python3", "python"):
        (tools / name).symlink_to(real.stdout.strip())
    kept = {
        name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))
    }
    return kept | {
        "PATH": str(tools),
        "HOME": str(work),
        "LCTX_HOME": str(work / "home"),
        "LC_ALL": "C.UTF-8",
    }


def stop(checkout, environment):
    subprocess.run([checkout / ".venv/bin/lctx", "stop"], env=environment, capture_output=True, check=False)


def asked(checkout, environment, *words):
    """First token after the request, whole command, tokens read from the cache."""
    begun = time.monotonic()
    done = subprocess.run(
        [checkout / ".venv/bin/lctx", "ask", *words, "--format", "json"],
        cwd=checkout, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = time.monotonic() - begun
    answer = json.loads(done.stdout)
    usage = answer["usage"] or {"prompt_tokens": 0, "cached_tokens": 0}
    return (
        f"first token {answer['timings']['first_token_s']} s, command {seconds:.1f} s, "
        f"{usage['cached_tokens']} of {usage['prompt_tokens']} tokens cached"
    )


def megabytes(folder):
    return (
        sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
        / 1e6
    )


if __name__ == "__main__":
    main()
