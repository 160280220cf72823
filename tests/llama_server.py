"""A real llama.cpp server in a process of its own, for tests that compare lctx with what an engine says."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

PROGRAM = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx, params.n_parallel, params.warmup, params.port = 512, 1, False, 0
params.cpuparams.n_threads = 1
params.verbosity = 0
params.use_jinja = True
server = xllamacpp.Server(params)
print("listening", server.listening_address, flush=True)
sys.stdin.read()
"""


class LlamaServer:
    """Where the server listens, and one way to ask it."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(self, path: str, body: dict | None = None) -> dict:
        """The server's answer to a POST of `body`, or to a GET."""
        content = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.address + path, content, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def tokenize(self, text: str, *, parse_special: bool = False) -> list[int]:
        """The server's own ids of `text`."""
        body = {"content": text, "add_special": False, "parse_special": parse_special}
        return self.ask("/tokenize", body)["tokens"]


@contextmanager
def serving(model: Path) -> Iterator[LlamaServer]:
    """A server of `model` that ends with the block."""
    if find_spec("xllamacpp") is None:
        pytest.skip("the embedded engine is not installed: pip install 'lctx[cpu]'")
    command = [sys.executable, "-c", PROGRAM, str(model)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("listening "):
                    yield LlamaServer(line.split()[1])
                    break
            else:
                raise RuntimeError(f"no server of {model.name}")
        finally:
            process.kill()
