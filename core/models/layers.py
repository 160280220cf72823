"""What a layer keeps of the tokens that it has read: the kinds, and their sizes as plain numbers."""

from dataclasses import dataclass
from enum import StrEnum


class LayerKind(StrEnum):
    """How much a layer keeps as the prompt grows."""

    FULL = "full"
    """K and V of every token: multi-head, grouped-query and multi-query attention."""
    LATENT = "latent"
    """One compressed vector of every token, the same for all heads: multi-head latent attention (MLA)."""
    SLIDING = "sliding"
    """K and V of the last `reach` tokens."""
    CHUNKED = "chunked"
    """K and V of the tokens since the last multiple of `reach`."""
    STATE = "state"
    """A state of constant size: Mamba, gated delta nets (GDN), Kimi delta attention (KDA)."""


@dataclass(frozen=True, slots=True)
class StateSize:
    """What one layer keeps instead of tokens: the last inputs of a short convolution, and a recurrent state.

    Attributes:
        channels: Channels of the convolution that tensor parallelism divides.
        kernel: Inputs that the convolution sees; all but the newest are kept.
        recurrent: Values of the recurrent state.
        num_groups: Groups of B and C (Mamba 2); where they are fewer than the GPUs, each GPU has one.
        group_channels: Channels of the convolution in one group.
        conv_bytes: Bytes of a kept input, or None for the model's own dtype.
        recurrent_bytes: Bytes of a value of the recurrent state, or None for the model's own dtype.
    """

    channels: int
    kernel: int
    recurrent: int
    num_groups: int = 0
    group_channels: int = 0
    conv_bytes: int | None = None
    recurrent_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """So many layers of a model that keep the same.

    Attributes:
        kind: What grows with the prompt, and what does not.
        num_layers: How many layers they are.
        num_kv_heads: Heads of K and V in a layer; 1 for a latent, 0 for a state.
        key_dim: Values kept of a head's K; of a latent, all of it with its rotary part.
        value_dim: Values kept of a head's V; 0 for a latent, which serves as both.
        reach: Tokens of the window or of the chunk.
        rope_dim: How many of a latent's values are its rotary part.
        index_bytes: Bytes a token that the indexer of sparse attention (DSA) keeps beside the latent.
        state: The constant state, for `LayerKind.STATE` alone.
    """

    kind: LayerKind
    num_layers: int
    num_kv_heads: int = 0
    key_dim: int = 0
    value_dim: int = 0
    reach: int | None = None
    rope_dim: int = 0
    index_bytes: int = 0
    state: StateSize | None = None
