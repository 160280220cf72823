"""Constant states of linear-attention and Mamba layers: their sizes from a config.json."""

from collections.abc import Mapping
from typing import Any

from lctx.core.models.layers import StateSize

_WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}


def state_from_config(config: Mapping[str, Any]) -> StateSize | None:
    """What a layer of the config.json keeps in place of tokens, or None where it does not say enough.

    Source:
        vLLM 0.32, model_executor/layers/mamba/mamba_utils.py, `MambaStateShapeCalculator` for the sizes and
        `MambaStateDtypeCalculator` for what each part is kept as.
    """
    linear = config.get("linear_attn_config")
    if isinstance(linear, Mapping):
        return _kda(linear)
    if config.get("linear_num_value_heads"):
        return _gated_delta_net(config)
    if config.get("mamba_d_state") and config.get("mamba_expand") and not config.get("mamba_n_heads"):
        return _mamba(config)
    return _mamba2(config)


def _sizes(config: Mapping[str, Any], *keys: str) -> tuple[int, ...] | None:
    values = tuple(config.get(key) for key in keys)
    sizes = tuple(value for value in values if type(value) is int and value > 0)
    return sizes if len(sizes) == len(keys) else None


def _kda(config: Mapping[str, Any]) -> StateSize | None:
    sizes = _sizes(config, "num_heads", "head_dim", "short_conv_kernel_size")
    if sizes is None:
        return None
    heads, head_dim, kernel = sizes
    return StateSize(3 * heads * head_dim, kernel, heads * head_dim * head_dim, recurrent_bytes=4)


def _gated_delta_net(config: Mapping[str, Any]) -> StateSize | None:
    names = ("num_key_heads", "num_value_heads", "key_head_dim", "value_head_dim", "conv_kernel_dim")
    sizes = _sizes(config, *(f"linear_{name}" for name in names))
    if sizes is None:
        return None
    key_heads, value_heads, key_dim, value_dim, kernel = sizes
    return StateSize(
        2 * key_heads * key_dim + value_heads * value_dim,
        kernel,
        value_heads * value_dim * key_dim,
        recurrent_bytes=_WIDTHS.get(str(config.get("mamba_ssm_dtype"))),
    )


def _mamba(config: Mapping[str, Any]) -> StateSize | None:
    sizes = _sizes(config, "hidden_size", "mamba_expand", "mamba_d_state", "mamba_d_conv")
    if sizes is None:
        return None
    hidden, expand, state, kernel = sizes
    return StateSize(expand * hidden, kernel, expand * hidden * state)


def _mamba2(config: Mapping[str, Any]) -> StateSize | None:
    """Mamba 2 as Nemotron-H names it, or as Granite does."""
    nemotron = ("mamba_num_heads", "mamba_head_dim", "n_groups", "ssm_state_size", "conv_kernel")
    granite = ("mamba_n_heads", "mamba_d_head", "mamba_n_groups", "mamba_d_state", "mamba_d_conv")
    sizes = _sizes(config, *nemotron)
    # Nemotron-H without a word keeps its recurrent state in float32, all others as the model computes.
    said = config.get("mamba_ssm_cache_dtype", "float32" if sizes else None)
    sizes = sizes or _sizes(config, *granite)
    if sizes is None:
        return None
    heads, head_dim, num_groups, state, kernel = sizes
    return StateSize(
        heads * head_dim,
        kernel,
        heads * head_dim * state,
        num_groups,
        2 * state,
        recurrent_bytes=_WIDTHS.get(str(said)),
    )
