"""How much a running engine keeps in its KV cache, as the engine itself tells."""

import re

from lctx.core.engine.state import Phase, ServerState
from lctx.core.errors import LctxError

_ANSWER_S = 1.0
_USAGE = re.compile(r"^vllm:kv_cache_usage_perc(?:\{[^}]*\})? ([0-9.eE+-]+)$", re.MULTILINE)


def kv_used(state: ServerState) -> int | None:
    """Tokens in the KV cache now, or None where the engine does not tell.

    llama.cpp counts what its slots hold, vLLM what running requests hold: what it keeps of others counts as
    free there.

    Source:
        llama.cpp tools/server: `n_prompt_tokens` of `/slots`; vLLM v1/metrics/loggers.py: a share of 0 to 1.
    """
    if state.phase is not Phase.READY or not state.address:
        return None
    try:
        return _llama(state) if state.kind == "llama" else _vllm(state)
    except (LctxError, ValueError, TypeError, AttributeError):
        return None


def _llama(state: ServerState) -> int | None:
    from lctx.core.engine.address import parse_address
    from lctx.core.engine.connection import fetch_json

    address = parse_address(state.address)
    slots = fetch_json(address, "GET", "/slots", api_key=state.api_key, stall_s=_ANSWER_S)
    held = [slot.get("n_prompt_tokens") for slot in slots]
    return sum(held) if held and all(isinstance(one, int) for one in held) else None


def _vllm(state: ServerState) -> int | None:
    from lctx.core.engine.address import parse_address
    from lctx.core.engine.connection import fetch_text

    page = fetch_text(parse_address(state.address), "/metrics", api_key=state.api_key, stall_s=_ANSWER_S)
    shares = [float(share) for share in _USAGE.findall(page)]
    if not shares or state.kv_tokens is None:
        return None
    return round(sum(shares) / len(shares) * state.kv_tokens)
