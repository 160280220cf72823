"""Attention shapes from a GGUF header: what planning needs of the KV cache."""

from lctx.core.models.gguf import GgufHeader
from lctx.core.models.layers_gguf import layers_from_gguf
from lctx.core.models.profile import AttentionShape


def shape_from_gguf(header: GgufHeader) -> AttentionShape | None:
    """What the header says its layers keep, or None where that is not known.

    Where there is a sliding window but nothing tells which layers slide, all count as full: an upper bound.
    """
    layers = layers_from_gguf(header)
    return AttentionShape(layers) if layers else None
