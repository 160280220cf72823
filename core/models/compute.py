"""What a model computes: the FLOPs of reading a prompt and of writing a token, by kind of layer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lctx.core.models.gguf import GgufHeader
from lctx.core.models.layers import LayerGroup, LayerKind, StateSize
from lctx.core.models.layers_config import layers_from_config, whole, with_defaults
from lctx.core.models.layers_gguf import layers_from_gguf
from lctx.core.models.mixer_weights import num_indexers
from lctx.core.models.parameters import ParameterCount, count_parameters, parameters_from_gguf

# FLOPs for each value of a recurrent state and token: decay 1, update 2, reading 2; a delta rule reads twice.
# Source: the recurrences of Mamba 2 (arXiv:2405.21060) and of gated delta nets (arXiv:2412.06464).
_SCAN_FLOPS, _DELTA_FLOPS = 5, 7


@dataclass(frozen=True, slots=True)
class AttentionCost:
    """What so many layers compute in order to mix tokens, their weights apart.

    Attributes:
        num_layers: Layers that cost this.
        pair_flops: FLOPs of one query with one key in one layer, over all heads.
        reach: Keys that a query meets at most, or None for all before it.
        is_chunked: Whether `reach` is the length of a chunk, at whose beginning a query meets itself alone.
        decode_pair_flops: The same while writing, or None where it is `pair_flops`.
        token_flops: FLOPs of one token in one layer, however many are before it.
    """

    num_layers: int
    pair_flops: int
    reach: int | None = None
    is_chunked: bool = False
    decode_pair_flops: int | None = None
    token_flops: int = 0

    def pairs(self, num_tokens: int) -> int:
        """How many pairs of a query and a key one layer computes for `num_tokens` tokens."""
        reach = num_tokens if self.reach is None else min(self.reach, num_tokens)
        whole_chunk = reach * (reach + 1) // 2
        if not self.is_chunked or not reach:
            return whole_chunk + (num_tokens - reach) * reach
        chunks, rest = divmod(num_tokens, reach)
        return chunks * whole_chunk + rest * (rest + 1) // 2


@dataclass(frozen=True, slots=True)
class ComputeShape:
    """What decides how much a model computes for a token.

    Attributes:
        parameters: Its weights: two FLOPs for each that a token is multiplied with.
        attention: What comes on top, kind by kind.
    """

    parameters: ParameterCount
    attention: tuple[AttentionCost, ...]

    def prefill_flops(self, num_tokens: int, cached: int = 0) -> int:
        """FLOPs of reading a prompt of `num_tokens`, the first `cached` of which have been read before.

        The tokens behind a cached prefix attend over it. The output table is computed for the last one only.

        Raises:
            ValueError: If not `0 <= cached <= num_tokens`.

        Source:
            2 FLOPs a weight and token: Kaplan et al., arXiv:2001.08361, section 2.1; attention counted alike.
        """
        if not 0 <= cached <= num_tokens:
            raise ValueError(f"{cached} cached tokens of {num_tokens}")
        if cached == num_tokens:
            return 0
        flops = 2 * self.parameters.active * (num_tokens - cached) + self._head_flops()
        for cost in self.attention:
            pairs = cost.pairs(num_tokens) - cost.pairs(cached)
            tokens = cost.token_flops * (num_tokens - cached)
            flops += cost.num_layers * (pairs * cost.pair_flops + tokens)
        return flops

    def decode_flops(self, context: int) -> int:
        """FLOPs of writing one token behind `context` tokens.

        Raises:
            ValueError: If `context` is negative.
        """
        if context < 0:
            raise ValueError(f"context must be >= 0, got {context}")
        flops = 2 * self.parameters.active + self._head_flops()
        for cost in self.attention:
            each = cost.pair_flops if cost.decode_pair_flops is None else cost.decode_pair_flops
            pairs = cost.pairs(context + 1) - cost.pairs(context)
            flops += cost.num_layers * (pairs * each + cost.token_flops)
        return flops

    def _head_flops(self) -> int:
        return 2 * (self.parameters.head or self.parameters.embedding)


def compute_from_config(config: Mapping[str, Any]) -> ComputeShape | None:
    """What a model of this config.json computes, or None where it does not say enough."""
    config = with_defaults(config)
    parameters, groups = count_parameters(config), layers_from_config(config)
    heads = whole(config, "num_attention_heads") or 0
    if parameters is None or groups is None:
        return None
    is_delta = bool(config.get("linear_attn_config") or config.get("linear_num_value_heads"))
    costs: list[AttentionCost] = []
    for group in groups:
        if group.kind is LayerKind.LATENT:
            plain_dim, value_dim = (whole(config, key) or 0 for key in ("qk_nope_head_dim", "v_head_dim"))
            costs.extend(_latent(group, heads, plain_dim + group.rope_dim, value_dim, config))
        else:
            costs.append(_cost(group, heads, is_delta))
    return ComputeShape(parameters, tuple(costs))


def compute_from_gguf(header: GgufHeader) -> ComputeShape | None:
    """What the model of a GGUF file computes, or None where its header does not say enough."""
    parameters, groups = parameters_from_gguf(header), layers_from_gguf(header)
    prefix = f"{header.architecture}.attention."
    heads = max(header.integers(f"{prefix}head_count") or (0,))
    if parameters is None or groups is None or heads <= 0:
        return None
    costs: list[AttentionCost] = []
    for group in groups:
        if group.kind is LayerKind.LATENT:
            key_dim, value_dim = (header.integer(f"{prefix}{one}_length_mla") for one in ("key", "value"))
            if not key_dim or not value_dim:
                return None
            costs.extend(_latent(group, heads, key_dim, value_dim, {}))
        else:
            costs.append(_cost(group, heads, is_delta=False))
    return ComputeShape(parameters, tuple(costs))


def _cost(group: LayerGroup, heads: int, is_delta: bool) -> AttentionCost:
    if group.state is not None:
        return AttentionCost(group.num_layers, 0, token_flops=_state_flops(group.state, is_delta))
    return AttentionCost(
        group.num_layers,
        2 * heads * (group.key_dim + group.value_dim),
        group.reach,
        is_chunked=group.kind is LayerKind.CHUNKED,
    )


def _state_flops(state: StateSize, is_delta: bool) -> int:
    channels = state.channels + state.num_groups * state.group_channels
    return state.recurrent * (_DELTA_FLOPS if is_delta else _SCAN_FLOPS) + 2 * channels * state.kernel


def _latent(
    group: LayerGroup, heads: int, key_dim: int, value_dim: int, config: Mapping[str, Any]
) -> list[AttentionCost]:
    """Latents are widened to heads for a prompt, and attended to as they are for a token that is written.

    Where attention is sparse, a small indexer meets all tokens, and the heads meet those it chose as latents.

    Source:
        vLLM 0.32, model_executor/layers/attention/mla_attention.py, its opening comment; for the indexer
        model_executor/models/deepseek_v2.py and DeepSeek-V3.2's report, arXiv:2512.02556, section 2.1.
    """
    latent_flops = 2 * heads * (2 * group.key_dim - group.rope_dim)
    chosen = whole(config, "index_topk")
    index_flops = 2 * (whole(config, "index_n_heads") or 0) * (whole(config, "index_head_dim") or 0)
    if not chosen or not index_flops:
        widened = 2 * heads * (key_dim + value_dim)
        return [AttentionCost(group.num_layers, widened, decode_pair_flops=latent_flops)]
    return [
        AttentionCost(num_indexers(config, group.num_layers), index_flops),
        AttentionCost(group.num_layers, latent_flops, reach=chosen),
    ]
