"""How far vLLM has read a prompt, taken from its own metrics while the first token is waited for."""

import re

from lctx.core.engine.events import PrefillProgress

_SAMPLE = re.compile(r'^vllm:(\w+)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})? (\S+)', re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_RUNNING, _WAITING, _USAGE = "num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"
_CACHE = "cache_config_info"

Samples = dict[str, dict[str, tuple[dict[str, str], float]]]


class PrefillMeter:
    """What the KV cache holds of one prompt, as the metrics page tells it step by step.

    A share of the cache is a prompt's only while it is alone: with another request beside it nothing is told.
    What an earlier request left on the page is passed over: a count is believed once it has moved.

    Source:
        vLLM 0.32, v1/metrics/loggers.py: gauges set after each step of the scheduler, in steps of
        `max_num_batched_tokens`; block 0 is never used (v1/core/block_pool.py): usage is of one block less.
    """

    def __init__(self, total: int) -> None:
        """Begin with a prompt of `total` tokens."""
        self._total = total
        self._first: tuple[float, ...] | None = None
        self._done = 0

    def reading(self, page: str) -> PrefillProgress | None:
        """The progress that this metrics page tells of, where it is more than the one before it did."""
        samples = _parsed(page)
        running = samples.get(_RUNNING, {})
        state = tuple(value for _, value in samples.get(_USAGE, {}).values())
        if self._first is None:
            self._first = state
        if state == self._first or sum(value for _, value in running.values()) != 1:
            return None
        if any(value for _, value in samples.get(_WAITING, {}).values()):
            return None
        engine = next(engine for engine, (_, value) in running.items() if value)
        usage, config = (samples.get(name, {}).get(engine) for name in (_USAGE, _CACHE))
        if usage is None or config is None:
            return None
        done = min(round(usage[1] * _usable_tokens(config[0])), self._total)
        if done <= self._done:
            return None
        self._done = done
        return PrefillProgress(done, self._total)


def _parsed(page: str) -> Samples:
    """The samples by name and engine."""
    found: Samples = {}
    for name, labels, value in _SAMPLE.findall(page):
        if name not in {_RUNNING, _WAITING, _USAGE, _CACHE}:
            continue
        named = dict(_LABEL.findall(labels))
        try:
            found.setdefault(name, {})[named.get("engine", "0")] = (named, float(value))
        except ValueError:
            continue
    return found


def _usable_tokens(config: dict[str, str]) -> int:
    """Tokens that the whole of the KV cache holds; 0 where the page does not say."""
    blocks, size = (_whole(config.get(name)) for name in ("num_gpu_blocks", "block_size"))
    told = _whole(config.get("kv_cache_size_tokens"))
    if told and told != blocks * size:
        return told  # layers of several kinds share the blocks
    return max(blocks - 1, 0) * size


def _whole(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0
