"""Attention shapes from a config.json: what planning needs of the KV cache."""

from collections.abc import Mapping
from typing import Any

from lctx.core.models.layers_config import layers_from_config
from lctx.core.models.profile import AttentionShape


def shape_from_config(config: Mapping[str, Any]) -> AttentionShape | None:
    """What a config.json says its layers keep, or None where that is not known."""
    layers = layers_from_config(config)
    return AttentionShape(layers) if layers else None
