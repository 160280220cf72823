"""`lctx plan` over a million tokens: wall time, processor time and peak memory, cold and warm.

    LCTX_BENCH_DATA=data python tests/bench/plan_scale.py [--tokens 1000000] [--runs 5] [--json plan.json]

Puts the long texts of the `gutenberg` set beside sources of the running interpreter's own library until lctx counts
the tokens that are asked for, then runs the command in processes of its own, as a user does.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

QUESTION = "Who commands the Russian army at the battle of Borodino?"
COMMAND = "import sys; from lctx.cli.start import main; sys.exit(main())"
CHARS_A_TOKEN = 3.0  # of code, at first; the set is widened until lctx's own count is reached


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-prose", action="store_true", help="code alone: many small files")
    parser.add_argument("--json", type=Path, help="keep the plans here, to compare them")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        # An installed command has its bytecode at hand; that of a checkout is kept here, whatever is set outside.
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment = kept | {
            "LCTX_HOME": str(work / "home"),
            "LC_ALL": "C.UTF-8",
            "PYTHONPYCACHEPREFIX": str(work / "bytecode"),
        }
        total, num_files = sources(
            work / "sources", given.tokens, environment, work, prose=not given.no_prose
        )
        print(f"{total:,} tokens in {num_files:,} files")
        plans = {}
        for name, words in (("no question", []), ("a question", ["-q", QUESTION])):
            shutil.rmtree(work / "home", ignore_errors=True)
            if words:  # bytecode of what only a question imports
                planned(work, environment, [*words, "--no-cache"])
                shutil.rmtree(work / "home", ignore_errors=True)
            measured = [planned(work, environment, words) for _ in range(given.runs + 1)]
            same = {json.dumps(comparable(one["plan"]), sort_keys=True) for one in measured}
            print(f"{name}, cold: {line(measured[:1])}")
            print(f"{name}, warm: {line(measured[1:])}")
            print(f"{name}: {'every plan is the same' if len(same) == 1 else 'THE PLANS DIFFER'}")
            plans[name] = comparable(measured[0]["plan"])
        if given.json:
            given.json.write_text(json.dumps(plans, sort_keys=True, indent=1), "utf-8")


def sources(folder, wanted, environment, work, *, prose):
    """Make `folder` with at least `wanted` tokens by lctx's own count; how many they are, in how many files."""
    (folder / "prose").mkdir(parents=True)
    for file in long_texts() if prose else ():
        shutil.copy(file, folder / "prose" / file.name)
    library = Path(sysconfig.get_path("stdlib"))
    code = iter(
        sorted(
            file
            for file in library.rglob("*.py")
            if not {"site-packages", "test", "tests", "idle_test", "lib2to3"}
            & set(file.relative_to(library).parts)
        )
    )
    total = counted(work, environment) if prose else 0
    while total < wanted:
        chars = 0
        while chars < (wanted - total) * CHARS_A_TOKEN:
            file = next(code, None)
            if file is None:
                sys.exit(f"{library}: its sources and the prose hold only {total:,} tokens")
            kept = folder / "code" / file.relative_to(library)
            kept.parent.mkdir(parents=True, exist_ok=True)
            chars += len(shutil.copyfile(file, kept).read_bytes())
        total = counted(work, environment)
    return total, sum(file.is_file() for file in folder.rglob("*"))


def long_texts():
    data = os.environ.get("LCTX_BENCH_DATA")
    found = sorted(Path(data, "gutenberg").glob("*.txt")) if data else []
    if not found:
        sys.exit("LCTX_BENCH_DATA: no folder with gutenberg/*.txt in it")
    return found


def counted(work, environment):
    return planned(work, environment, [])["plan"]["total_tokens"]


def planned(work, environment, words):
    """One run of the command: its plan, wall and processor seconds, and peak memory in MB."""
    output = work / "plan.json"
    begun = time.monotonic()
    with output.open("wb") as stdout, (work / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "plan", "sources", *words, "--format", "json"],
            cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - begun
    if process.returncode:
        sys.exit((work / "stderr").read_text("utf-8", "replace"))
    # ru_maxrss counts kilobytes on Linux and bytes on macOS; of children that were waited for, the largest.
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "plan": json.loads(output.read_bytes()),
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "rss": usage.ru_maxrss * unit / 1e6,
    }


def comparable(plan):
    """All of a plan but the time it took and the memory that happened to be free on this machine."""
    return {name: value for name, value in plan.items() if name not in {"timings", "fit"}}


def line(measured):
    wall, cpu = ([one[name] for one in measured] for name in ("wall", "cpu"))
    rss = max(one["rss"] for one in measured)
    return (
        f"wall {statistics.median(wall):.2f} s (least {min(wall):.2f}), "
        f"processor {statistics.median(cpu):.2f} s (least {min(cpu):.2f}), peak {rss:.0f} MB"
    )


if __name__ == "__main__":
    main()
