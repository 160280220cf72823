"""What lctx itself takes beside a warm engine: to the request, from a token to stdout, from the last byte to the end.

    python tests/bench/overhead.py [--runs 21]

Two engines. A stand-in that notes when a request has come and when it sends each token: it shows what a token costs
on its way. And the embedded model behind a relay that notes the same: it shows the whole way of a real question.
All clocks are this process's own.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

LCTX = Path(sys.executable).with_name("lctx")
ROOT = Path(__file__).resolve().parent.parent.parent
WORDS = ["The", "board", "approved", "the", "budget", "of", "1,200", "euros", "on", "3", "March", "[S1]", "."]
QUESTION = "Who approved the budget?"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=21)
    given = parser.parse_args()
    print(f"load before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory(prefix="lctx-") as folder:
        home = Path(folder)
        note = home / "note.txt"
        note.write_text("The board approved the budget of 1,200 euros on the third of March.\n", "utf-8")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LCTX_")}
        environment |= {"LCTX_HOME": str(home), "TERM": "dumb"}
        show("bare interpreter", bare(given.runs))
        standing_in(given.runs, note, environment)
        embedded(given.runs, note, environment)


def bare(runs):
    """Milliseconds of an interpreter that does nothing."""
    taken = []
    for _ in range(runs):
        begun = time.monotonic()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        taken.append(1000 * (time.monotonic() - begun))
    return taken


def show(what, values):
    """The median, and the span of the middle nine tenths."""
    ordered = sorted(values)
    low, high = ordered[len(ordered) // 20], ordered[-1 - len(ordered) // 20]
    print(f"{what}: median {statistics.median(ordered):.1f} ms ({low:.1f} to {high:.1f}, n={len(ordered)})")


class StandIn(BaseHTTPRequestHandler):
    """An endpoint that streams `WORDS`, one every 30 ms."""

    protocol_version = "HTTP/1.1"
    marks: ClassVar[dict] = {}

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.marks["request"] = time.monotonic()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for word in WORDS:
            time.sleep(0.03)
            self.marks.setdefault("tokens", []).append((word, time.monotonic()))
            self.event({"choices": [{"index": 0, "delta": {"content": word + " "}, "finish_reason": None}]})
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self.marks["last"] = time.monotonic()
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def event(self, value):
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")
        self.wfile.flush()

    def log_message(self, *_):
        pass


def standing_in(runs, note, environment):
    """Each figure against the stand-in, as NDJSON: the format that passes tokens on into a pipe."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    command = [LCTX, "ask", note, QUESTION, "--engine", "endpoint", "--model", "m", "--format", "ndjson"]
    command += ["--endpoint", f"http://127.0.0.1:{server.server_port}"]
    to_request, to_stdout, to_exit = [], [], []
    for number in range(runs + 2):
        StandIn.marks.clear()
        begun = time.monotonic()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        arrived = [
            (event["text"], time.monotonic())
            for line in process.stdout
            if (event := json.loads(line)).get("event") == "delta"
        ]
        assert process.wait() == 0
        ended = time.monotonic()
        if number < 2:
            continue  # the first writes bytecode and caches
        to_request.append(1000 * (StandIn.marks["request"] - begun))
        to_exit.append(1000 * (ended - StandIn.marks["last"]))
        to_stdout += [1000 * late for late in delays(arrived, StandIn.marks["tokens"])]
    server.shutdown()
    show("stand-in: process start to request on the wire", to_request)
    show("stand-in: token sent to token on stdout", to_stdout)
    show("stand-in: last byte sent to process ended", to_exit)


def delays(arrived, sent):
    """Seconds between the sending of the token that completes each piece and the piece's arrival."""
    text, number, whole = "", 0, ""
    for piece, when in arrived:
        text += piece
        while number < len(sent) and len(whole.replace(" [S1]", "")) < len(text.rstrip()):
            whole += sent[number][0] + " "
            number += 1
        yield when - sent[number - 1][1]


class Relay:
    """Passes bytes on to a server, and notes when a question came and when the last byte of its answer did."""

    def __init__(self, target):
        self.target, self.marks = target, {}
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client = self.listener.accept()[0]
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(self.target)
            threading.Thread(target=self.up, args=(client, upstream), daemon=True).start()
            threading.Thread(target=self.down, args=(client, upstream), daemon=True).start()

    def up(self, client, upstream):
        while data := receive(client):
            if data.startswith(b"POST /v1/completions"):
                self.marks["request"] = time.monotonic()
            upstream.sendall(data)

    def down(self, client, upstream):
        while data := receive(upstream):
            self.marks["last"] = time.monotonic()
            try:
                client.sendall(data)
            except OSError:
                break
        client.close()
        upstream.close()


def receive(side):
    """Bytes, or nothing once that side is gone."""
    try:
        return side.recv(65536)
    except OSError:
        return b""


def embedded(runs, note, environment):
    """The way to the request and from the last byte with the embedded model, warm, a process each."""
    command = [LCTX, "ask", note, QUESTION, "--format", "json", "--keep-alive", "10m"]
    subprocess.run(command, env=environment, capture_output=True, check=True)
    (file,) = (Path(environment["LCTX_HOME"]) / "run").glob("*.json")
    state = json.loads(file.read_bytes())
    relay = Relay(state["address"].removeprefix("unix://"))
    address = "http://{}:{}".format(*relay.listener.getsockname())
    to_request, to_exit, whole = [], [], []
    try:
        for number in range(runs + 2):
            time.sleep(0.6)  # the server writes its state anew when it becomes idle; then it is ours
            file.write_text(json.dumps(json.loads(file.read_bytes()) | {"address": address}))
            relay.marks.clear()
            begun = time.monotonic()
            subprocess.run(command, env=environment, capture_output=True, check=True)
            ended = time.monotonic()
            if number < 2 or "request" not in relay.marks:
                continue
            to_request.append(1000 * (relay.marks["request"] - begun))
            to_exit.append(1000 * (ended - relay.marks["last"]))
            whole.append(1000 * (ended - begun))
    finally:
        subprocess.run([LCTX, "stop"], env=environment, capture_output=True, check=False)
    show("embedded: process start to request on the wire", to_request)
    show("embedded: last byte to process ended", to_exit)
    show("embedded: the whole command", whole)


if __name__ == "__main__":
    main()
