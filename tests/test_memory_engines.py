"""Planned memory against real engines: what llama.cpp logs and holds, what vLLM makes and holds."""

import json
import os
import re
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest
from rope_configs import DEEPSEEK_V3, PHI4_MINI, SMOLLM2

from lctx.core.models.cards import find_card
from lctx.core.models.gguf import read_header
from lctx.core.models.rope import rope_from_config
from lctx.core.models.shape_gguf import shape_from_gguf
from lctx.core.models.widths import ActivationWidths, widths_from_config, widths_from_gguf
from lctx.core.planning.activations import context_rows_of
from lctx.core.planning.kv_blocks import KvSettings, plan_blocks
from lctx.core.planning.kv_cache import KvDtype
from lctx.core.planning.llama_memory import llama_kv_bytes, plan_memory_llama
from lctx.core.planning.rope import choose_rope
from lctx.core.planning.vllm_memory import CPU_SETTINGS, block_table_bytes, plan_memory_cpu, rope_table_bytes

MIB, GIB = 2**20, 2**30
SERVER = """
import os, sys
from argparse import Namespace
from pathlib import Path
import xllamacpp
from lctx.core.engine.llama_child import parameters
from lctx.core.engine.state import ServerFiles

arguments = Namespace(model=sys.argv[1], window=int(sys.argv[2]), name="x", threads=2, threads_batch=2, poll=0, rope=None, host=None, port=0)
params = parameters(arguments, ServerFiles(Path(sys.argv[3]), "x"), "a key for the tests")
params.verbosity = 4  # the sizes of its buffers
server = xllamacpp.Server(params)
status = Path("/proc/self/status")
anonymous = next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("RssAnon")) if status.exists() else 0
print("anonymous", anonymous, flush=True)
os._exit(0)
"""


def logged(model, window, folder):
    """What the embedded engine sets aside as its log says it, by name, and its own memory; in bytes."""
    done = subprocess.run(
        [sys.executable, "-c", SERVER, model, str(window), folder],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    log = done.stderr + done.stdout
    assert done.returncode == 0, log[-2000:]

    def total(pattern):
        sizes = [float(size) for size in re.findall(pattern, log)]
        assert sizes, (pattern, log[-4000:])
        return sum(sizes) * MIB

    return {
        "kv": total(r"llama_kv_cache: size = +([\d.]+) MiB"),
        "compute": total(r"compute buffer size = +([\d.]+) MiB"),
        "output": total(r"output buffer size = +([\d.]+) MiB"),
        "repacked": sum(float(size) for size in re.findall(r"REPACK model buffer size = +([\d.]+) MiB", log))
        * MIB,
        "anonymous": int(re.search(r"anonymous (\d+)", log)[1]) * 1024,
    }


@pytest.mark.engine
@pytest.mark.parametrize(
    ("fixture", "window"),
    [("gemma_gguf", 1000), ("gemma_gguf", 16_384), ("smollm2_gguf", 1000), ("smollm2_gguf", 8192)],
)
def test_llama_cpp_sets_aside_what_is_planned(request, tmp_path, fixture, window):
    """This test ensures that KV bytes are exact, buffers right within 1 %, and the process no larger than planned."""
    model = request.getfixturevalue(fixture)
    header = read_header(model)
    shape, widths = shape_from_gguf(header), widths_from_gguf(header)
    found = logged(model, window, tmp_path)
    memory = plan_memory_llama(8 * GIB, model.stat().st_size, shape, widths, window=window)
    assert llama_kv_bytes(shape, window) == found["kv"]
    compute = memory.term("compute buffer").bytes
    assert 0.99 * compute <= found["compute"] <= compute
    assert memory.term("output buffer").bytes == pytest.approx(found["output"], abs=0.01 * MIB)
    if found["anonymous"]:
        # Weights are mapped from the file but for those that this processor wants in another order.
        own = found["anonymous"] - found["repacked"]
        planned = compute + llama_kv_bytes(shape, window) + memory.term("output buffer").bytes
        assert own <= planned + memory.term("process").bytes
        assert own > 0.9 * planned


VLLM_TABLES = """
import json, sys
from types import SimpleNamespace as N
import torch
from vllm.config import VllmConfig, set_current_vllm_config
from vllm.model_executor.layers.attention import mla_attention
from vllm.model_executor.layers.rotary_embedding import get_rope
from vllm.v1.worker.block_table import get_block_table_width

asked = json.load(sys.stdin)
mla_attention.align_mla_chunked_context_workspace_size = lambda config, rows: rows  # a rounding up to the block
rows = [mla_attention.MLACommonMetadataBuilder.determine_chunked_prefill_workspace_size(N(
    scheduler_config=N(max_num_seqs=one["requests"]), cache_config=N(block_size=one["block_size"]),
    model_config=N(max_model_len=one["window"]))) for one in asked["rows"]]
widths = [get_block_table_width(-(-window // block), block) for window, block in asked["widths"]]
config = VllmConfig()
config.model_config = N(max_model_len=1000)  # what longrope looks at
with set_current_vllm_config(config):
    tables = [get_rope(one["dim"], one["positions"], True, one["rope"], torch.bfloat16) for one in asked["ropes"]]
def num_bytes(rope):
    found = [value for name, value in vars(rope)["_buffers"].items() if value is not None]
    return sum(value.numel() * value.element_size() for value in found)
print("told", json.dumps({"rows": rows, "widths": widths, "ropes": list(map(num_bytes, tables))}))
"""


@pytest.mark.vllm
def test_vllm_makes_tables_of_the_planned_sizes(vllm_python):
    """This test ensures that vLLM's own functions give the same rope tables, block tables and rows of latents."""
    smol, phi = (
        rope_from_config(SMOLLM2),
        rope_from_config({**PHI4_MINI, "hidden_size": 3072, "num_attention_heads": 24}),
    )
    yarn = {"rope_type": "yarn", "rope_theta": 1e5, "factor": 2.0, "original_max_position_embeddings": 8192}
    long = dict.fromkeys(("short_factor", "long_factor"), [1.0] * 48)
    ropes = [
        (choose_rope(smol, 1000), 64, {"dim": 64, "positions": 8192, "rope": {"rope_type": "default", "rope_theta": 1e5}}),
        (choose_rope(smol, 16_384), 64, {"dim": 64, "positions": 16_384, "rope": yarn}),
        (choose_rope(phi, 1000), 96, {"dim": 128, "positions": 131_072, "rope": {
            "rope_type": "longrope", "rope_theta": 1e4, "partial_rotary_factor": 0.75,
            "original_max_position_embeddings": 4096, **long}}),
    ]  # fmt: skip
    rows = [{"window": window, "requests": requests, "block_size": block}
            for window in (100, 4096, 1_000_000) for requests in (1, 8, 256) for block in (16, 64)]  # fmt: skip
    widths = [(window, block) for window in (1, 1000, 1_000_000) for block in (16, 128, 1072)]
    asked = {"rows": rows, "widths": widths, "ropes": [one[-1] for one in ropes]}
    done = subprocess.run(
        [vllm_python, "-c", VLLM_TABLES], input=json.dumps(asked), capture_output=True, text=True, check=False,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR"},
        timeout=240,
    )  # fmt: skip
    line = next((line for line in done.stdout.splitlines() if line.startswith("told ")), None)
    assert line, done.stderr[-3000:]
    told = json.loads(line.removeprefix("told "))
    latent = ActivationWidths(1, 1, 1, 1, 1, 1, latent=DEEPSEEK_V3["kv_lora_rank"])
    assert told["rows"] == [
        context_rows_of(latent, one["window"], one["requests"], one["block_size"]) for one in rows
    ]
    assert told["ropes"] == [rope_table_bytes(choice, dim, 2) for choice, dim, _ in ropes]
    shape = find_card("SmolLM2-135M").shape
    for (window, block), width in zip(widths, told["widths"], strict=True):
        pool = plan_blocks(shape, KvSettings(block))
        assert block_table_bytes(pool, window, 8, 0) == 2 * 4 * 8 * width, (window, block)


def metrics_of(server):
    """What the server on a Unix socket counts, as text."""
    connection = HTTPConnection("localhost", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(server.address.removeprefix("unix://"))
    try:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {server.api_key}"})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def processes_of(path):
    """The processes of the server that listens on `path`: the one that names it, and all below it."""
    parents, found = {}, set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if path.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
            except (OSError, ValueError):
                continue  # it has ended
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def own_bytes(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) * 1024


@pytest.mark.vllm
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="no /proc: a process's own memory is not told here"
)
def test_vllm_on_a_cpu_holds_what_is_planned(vllm_server):
    """This test ensures that blocks are as planned, and all processes together take no more, and most of what is planned."""
    config = json.loads((vllm_server.model_dir / "config.json").read_text())
    pool = plan_blocks(find_card("SmolLM2-135M").shape, KvSettings(128, KvDtype.FP32, KvDtype.FP32))
    kv_bytes = 256 * MIB
    weights = 4 * 134_515_008
    memory = plan_memory_cpu(
        8 * GIB, weights, pool, widths_from_config(config),
        rope=choose_rope(rope_from_config(config), 4096), window=4096, settings=CPU_SETTINGS,
    )  # fmt: skip
    planned = memory.taken_bytes - memory.term("kept free").bytes + kv_bytes
    held = sum(map(own_bytes, processes_of(vllm_server.address.removeprefix("unix://"))))
    assert 0.75 * planned < held <= planned
    cache = next(
        line for line in metrics_of(vllm_server).splitlines() if line.startswith("vllm:cache_config_info")
    )
    assert f'num_gpu_blocks="{pool.num_blocks(kv_bytes)}"' in cache
    assert 'block_size="128"' in cache
