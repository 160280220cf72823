"""vLLM's own arithmetic over the bundled cards: the same block tables, the same capacity, the same states."""

import json
import subprocess

import pytest

from lctx.core.models.cards import model_cards
from lctx.core.models.layers import LayerGroup, LayerKind
from lctx.core.models.profile import AttentionShape
from lctx.core.planning.kv_blocks import KvSettings, plan_blocks
from lctx.core.planning.kv_cache import KvDtype, state_bytes, token_bytes

pytestmark = pytest.mark.vllm


def heads(kind, num_layers, num_heads=4, reach=None, dim=64):
    return LayerGroup(kind, num_layers, num_heads, dim, dim, reach)


# What no card has: tables that are nearly even, other heads in a kind, several windows, windows alone.
UNCOMMON = {
    "8 + 9": (heads(LayerKind.FULL, 8), heads(LayerKind.SLIDING, 9, reach=512)),
    "4 + 6": (heads(LayerKind.FULL, 4), heads(LayerKind.SLIDING, 6, reach=512)),
    "10 + 14 + 3": (
        heads(LayerKind.FULL, 10),
        heads(LayerKind.SLIDING, 14, reach=512),
        heads(LayerKind.CHUNKED, 3, reach=1024),
    ),
    "other heads": (heads(LayerKind.FULL, 3, 8), heads(LayerKind.FULL, 5, 4)),
    "fewer heads": (heads(LayerKind.FULL, 3, 4), heads(LayerKind.SLIDING, 9, 16, 512)),
    "other sizes": (heads(LayerKind.FULL, 3, 4, dim=192), heads(LayerKind.SLIDING, 9, 8, 512, dim=64)),
    "uneven pages": (heads(LayerKind.FULL, 3, 4, dim=160), heads(LayerKind.SLIDING, 9, 4, 512, dim=64)),
    "two windows": (heads(LayerKind.SLIDING, 4, reach=512), heads(LayerKind.SLIDING, 8, reach=4096)),
    "one window": (heads(LayerKind.SLIDING, 7, reach=777),),
    "one chunk": (heads(LayerKind.CHUNKED, 7, reach=777),),
}
MEMORY, WINDOW, IN_FLIGHT = 64 << 30, 100_000, 8192
ORACLE = """
import json, sys
from types import SimpleNamespace as N
import torch
from vllm.v1 import kv_cache_interface as spec
from vllm.v1.core import kv_cache_utils as utils
from vllm.v1.kv_cache_layout import KVCacheLayout
from vllm.model_executor.layers.mamba.mamba_utils import MambaStateShapeCalculator as States

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32, "fp8": torch.float8_e4m3fn}

def layer(group, asked):
    heads = dict(block_size=asked["block_size"], num_kv_heads=group["heads"], head_size=group["key_dim"],
                 dtype=DTYPES[asked["dtype"]])
    if group["kind"] == "full":
        return [spec.FullAttentionSpec(**heads, head_size_v=group["value_dim"])]
    if group["kind"] == "sliding":
        return [spec.SlidingWindowSpec(**heads, sliding_window=group["reach"])]
    if group["kind"] == "chunked":
        return [spec.ChunkedLocalAttentionSpec(**heads, attention_chunk_size=group["reach"])]
    if group["kind"] == "latent":
        latent = [spec.MLAAttentionSpec(**heads)]
        index = dict(heads, head_size=group["index_bytes"], dtype=torch.uint8)
        return latent + [spec.MLAAttentionSpec(**index)] * bool(group["index_bytes"])
    return [spec.MambaSpec(block_size=asked["block_size"], shapes=((group["page"],),), dtypes=(torch.uint8,),
                           page_size_padded=asked["padded"])]

def capacity(asked):
    layers = {}
    for g, group in enumerate(asked["groups"]):
        for i in range(group["num_layers"]):
            for s, one in enumerate(layer(group, asked)):
                layers[f"{g}.{i}.{s}"] = one
    cache = N(get_resolved_kv_cache_layout=lambda: KVCacheLayout.LBNHC, mamba_cache_mode="align",
              num_gpu_blocks_override=None, prefix_cache_retention_interval=0)
    config = N(model_config=N(max_model_len=asked["window"]), cache_config=cache, speculative_config=None,
               scheduler_config=N(disable_hybrid_kv_cache_manager=False), attention_config=N(hisparse_config=None),
               parallel_config=N(decode_context_parallel_size=asked["parts"]), max_in_flight_tokens=asked["in_flight"])
    groups = utils.get_kv_cache_groups(config, layers)
    made = utils.get_kv_cache_config_from_groups(config, groups, asked["memory"])
    needed = utils._max_memory_usage_bytes_from_groups(config, groups)
    return [made.num_blocks, utils.get_kv_cache_capacity(config, made)[0], needed]

def product(shape):
    total = 1
    for one in shape:
        total *= one
    return total

asked = json.load(sys.stdin)
states = {
    "gdn": States.gated_delta_net_state_shape(4, 16, 32, 128, 128, 4),
    "kda": States.kda_state_shape(4, 32, 128, conv_kernel_size=4),
    "mamba": States.mamba1_state_shape(4, 8192, 16, 4),
    "mamba2": States.mamba2_state_shape(4, 4096, 8, 64, 64, 128, 4),
    "mamba2 over 16": States.mamba2_state_shape(16, 4096, 8, 64, 64, 128, 4),
}
print(json.dumps([[capacity(one) for one in asked], {name: list(map(product, one)) for name, one in states.items()}]))
"""


def asked_of(shape, settings):
    """The question to vLLM: these layers, as one GPU of `settings` has them, under the same conditions."""
    pool = plan_blocks(shape, settings)
    groups = []
    for group in shape.layers:
        is_state = group.kind is LayerKind.STATE
        page = state_bytes(group.state, settings.model_dtype, settings.tensor_parallel) if is_state else 0
        heads = max(1, group.num_kv_heads // settings.tensor_parallel)
        groups.append(
            {
                "kind": group.kind,
                "num_layers": group.num_layers,
                "heads": heads,
                "key_dim": group.key_dim,
                "value_dim": group.value_dim,
                "reach": group.reach,
                "index_bytes": group.index_bytes,
                "page": page,
            }
        )
    attention = next(group for group in shape.layers if group.kind is not LayerKind.STATE)
    per_token = token_bytes(attention, settings.dtype, settings.tensor_parallel)
    return {
        "groups": groups,
        "block_size": pool.settings.block_size,
        "padded": pool.settings.block_size * per_token,
        "dtype": settings.dtype,
        "parts": settings.context_parallel,
        "in_flight": settings.max_in_flight_tokens,
        "window": WINDOW,
        "memory": MEMORY,
    }


def test_vllm_makes_the_same_pools_and_states(vllm_python):
    """This test ensures that for every card and some uncommon shapes vLLM gives the same blocks, capacity, need and states."""
    ways = [
        KvSettings(max_in_flight_tokens=IN_FLIGHT),
        KvSettings(64, KvDtype.FP8, max_in_flight_tokens=IN_FLIGHT),
        KvSettings(128, KvDtype.FP32, KvDtype.FP32, max_in_flight_tokens=IN_FLIGHT),
        KvSettings(tensor_parallel=4, max_in_flight_tokens=IN_FLIGHT),
        KvSettings(tensor_parallel=16, context_parallel=2, max_in_flight_tokens=IN_FLIGHT),
    ]
    plans = [(name, AttentionShape(layers), way) for name, layers in UNCOMMON.items() for way in ways[:4]]
    for card in model_cards():
        odd_heads = any(group.num_kv_heads % 2 and group.num_kv_heads > 1 for group in card.shape.layers)
        for settings in ways[:3] if odd_heads else ways:
            whole = all(group.kind in {LayerKind.FULL, LayerKind.LATENT} for group in card.shape.layers)
            many = max(group.num_kv_heads for group in card.shape.layers)
            if settings.context_parallel == 1 or (whole and many * 2 <= settings.tensor_parallel):
                plans.append((card.name, card.shape, settings))
    done = subprocess.run(
        [vllm_python, "-c", ORACLE],
        input=json.dumps([asked_of(shape, settings) for _, shape, settings in plans]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers, states = json.loads(done.stdout.splitlines()[-1])
    for (name, shape, settings), answer in zip(plans, answers, strict=True):
        pool = plan_blocks(shape, settings)
        planned = [pool.num_blocks(MEMORY), pool.capacity_tokens(MEMORY, WINDOW), pool.bytes_for(WINDOW)]
        assert planned == answer, (name, settings)
    cards = {card.name: card.shape.layers[-1].state for card in model_cards()}
    for kind, name, gpus in [
        ("gdn", "Qwen3-Next-80B-A3B", 4),
        ("kda", "Kimi-Linear-48B-A3B", 4),
        ("mamba", "Jamba-v0.1", 4),
        ("mamba2", "Nemotron-3-Nano-30B-A3B", 4),
        ("mamba2 over 16", "Nemotron-3-Nano-30B-A3B", 16),
    ]:
        conv, recurrent = states[kind]
        assert state_bytes(cards[name], KvDtype.BF16, gpus) == conv * 2 + recurrent * (
            cards[name].recurrent_bytes or 2
        )
