"""How many threads llama.cpp should compute with, beside other work and without.

    python tests/bench/threads.py [--busy 0 1] [--prompt 512] [--answer 16] > docs/benchmarks/threads.md

Each row is a fresh server. "busy" processes run a loop on a core each while the request is answered.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lctx.core.engine.address import parse_address
from lctx.core.engine.client import ServedEngine
from lctx.core.engine.dialects import LlamaDialect
from lctx.core.engine.events import PrefillProgress, TextDelta
from lctx.core.engine.locks import try_lock, unlock
from lctx.core.engine.processes import end_servers, launch
from lctx.core.engine.protocol import Sampling
from lctx.core.engine.state import Phase, ServerFiles, raise_keep_alive, read_state
from lctx.core.models.embedded import assemble
from lctx.core.storage import directories

BUSY = "while True: pass"
HEAD = """# Threads of the embedded engine

llama.cpp's threads wait for each other in a busy loop after every operation. Decode has thousands of tiny ones a
second: with a thread on every core, anything else that runs takes a core from one of them and all stand still.
Prefill has few and long ones: beside other work it loses about half, alone it gains most of the last core.

lctx therefore decodes with one thread less than the cores that it may use and reads the prompt with all of them
(`core/engine/llama_child.py`), without polling between requests. Physical cores count, and a container's quota.

    {command}

The embedded model on {cores} cores ({cpu}), {prompt} tokens of prompt, {answer} of answer; tokens/s as the client
sees them, median of {repeat} on a fresh server. "Busy" processes run an endless loop meanwhile; the machine had
other light work as well, so that rows of one kind differ by a third.

| threads for decode | threads for prefill | poll | busy | prefill | decode |
|---:|---:|---:|---:|---:|---:|"""


def cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return "unknown"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def speeds(engine: ServedEngine, prompt: int, answer: int) -> tuple[float, float]:
    """Tokens a second of prefill and of decode, as the client sees them."""
    start = time.perf_counter()
    first = last = start
    count = 0
    ids = [random.randrange(1000, 200_000) for _ in range(prompt)]
    for event in engine.generate(ids, Sampling(answer)):
        last = time.perf_counter()
        if isinstance(event, PrefillProgress) or count == 0:
            first = last
        count += isinstance(event, TextDelta)
    return prompt / (first - start), max(count - 1, 1) / (last - first)


def measure(model: Path, row: tuple[int, int, int, int], asked: argparse.Namespace) -> str:
    threads, batch, poll, busy = row
    with tempfile.TemporaryDirectory(prefix="lctx-threads-") as folder:
        files = ServerFiles(Path(folder), "bench")
        lock, lease = try_lock(files.lock), try_lock(files.lease, shared=True)
        raise_keep_alive(files, 0)
        options = ["--threads", str(threads), "--threads-batch", str(batch), "--poll", str(poll)]
        launch(
            files,
            lock,
            "lctx.core.engine.llama_child",
            [*options, "--", folder, "bench", str(model), "4096", "m"],
        )
        os.close(lock)
        while (state := read_state(files)) is None or state.phase is not Phase.READY:
            time.sleep(0.05)
        address = parse_address(state.address)
        engine = ServedEngine(
            LlamaDialect(), address, model="m", window=4096, label="", api_key=state.api_key
        )
        loops = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(busy)]
        try:
            pairs = sorted(speeds(engine, asked.prompt, asked.answer) for _ in range(asked.repeat))
        finally:
            for loop in loops:
                loop.kill()
                loop.wait()
            end_servers([(files, state)])
            unlock(lease)
    prefill = sorted(pair[0] for pair in pairs)[len(pairs) // 2]
    decode = sorted(pair[1] for pair in pairs)[len(pairs) // 2]
    return f"| {threads} | {batch} | {poll} | {busy} | {prefill:.0f} | {decode:.1f} |"


def main() -> None:
    cores = len(os.sched_getaffinity(0))
    fewer = max(cores - 1, 1)
    parser = argparse.ArgumentParser()
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--answer", type=int, default=16)
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    model = assemble(directories().cache / "models")
    command = " ".join(["python", "tests/bench/threads.py", *sys.argv[1:]])
    told = {"cores": cores, "cpu": cpu(), "command": command}
    print(HEAD.format(**told, prompt=asked.prompt, answer=asked.answer, repeat=asked.repeat), flush=True)
    for busy in asked.busy:
        for threads, batch in ((cores, cores), (fewer, cores), (fewer, fewer)):
            for poll in (50, 0):
                print(measure(model, (threads, batch, poll, busy), asked), flush=True)


if __name__ == "__main__":
    main()
