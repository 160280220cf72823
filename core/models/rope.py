"""What a model's own files say of its rope: how far it reaches, and what stands against stretching it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from lctx.core.models.gguf import GgufHeader


class RopeType(Enum):
    """How rotary positions are scaled, under the names that config.json and vLLM use.

    Source:
        RoPE, arXiv:2104.09864; vLLM 0.32, model_executor/layers/rotary_embedding/__init__.py.
    """

    DEFAULT = "default"
    """Not scaled."""
    LINEAR = "linear"
    """Position Interpolation: every position divided by the factor."""
    DYNAMIC = "dynamic"
    """NTK-aware: a larger base, from the length in use."""
    YARN = "yarn"
    """NTK by parts, with a temperature on the attention."""
    LONGROPE = "longrope"
    """One searched factor for each frequency, short and long."""
    LLAMA3 = "llama3"
    """Low frequencies divided by the factor, high ones left, a ramp between."""
    OTHER = "other"
    """One that lctx can run as it is and does not change."""


@dataclass(frozen=True, slots=True)
class RopeConfig:
    """What a model's files say of its rope.

    Attributes:
        kind: The scaling that the files already carry.
        positions: The smallest length that the files declare: what engines take as the limit.
        window: Tokens that the files' own rope covers; more than `positions` where they scale it.
        trained: Tokens that the rope was trained for before any scaling: what a factor multiplies.
        theta: The base of the frequencies, or None where the model has none.
        factor: The files' own factor; 1.0 where nothing is scaled.
        parameters: Everything else that a complete `rope_parameters` must repeat, by name.
        rotary_dim: Values of a head that are rotated, or None where it is not known.
        obstacle: Why no factor may stretch it further, or None.
        length_keys: The keys of config.json that declare a length.
        is_nested: Whether they stand in config.json's `text_config`.
        architecture: The prefix of a GGUF file's keys, or None for a config.json.
        is_yarn_only: Whether vLLM would lose part of the rope under any scaling but YaRN: positions with
            several axes, MLA.
        dropped_keys: Keys of config.json that vLLM can no longer load and that must be unset.
    """

    kind: RopeType
    positions: int
    window: int
    trained: int
    theta: float | None
    factor: float = 1.0
    parameters: tuple[tuple[str, Any], ...] = ()
    rotary_dim: int | None = None
    obstacle: str | None = None
    length_keys: tuple[str, ...] = ("max_position_embeddings",)
    is_nested: bool = False
    architecture: str | None = None
    is_yarn_only: bool = False
    dropped_keys: tuple[str, ...] = ()


# Source: vLLM 0.32, transformers_utils/model_arch_config_convertor.py, derive_max_model_len_and_key.
_LENGTH_KEYS = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length",
    "max_target_positions", "max_sequence_length", "max_seq_length", "seq_len",
)  # fmt: skip
_MAX_POSITIONS = 1 << 31
"""Beyond this a length is a placeholder for "none", not a window."""

# Names of old files. Source: vLLM 0.32, transformers_utils/config.py, patch_legacy_rope_type.
_OLD_NAMES = {"su": "longrope", "mrope": "default"}

# Files whose limit leaves room for an answer beyond what was trained. Source: the Qwen3-8B model card:
# "32,768 natively and 131,072 tokens with YaRN", max_position_embeddings 40,960.
_TRAINED = {
    ("qwen3", 40_960): 32_768,
    ("qwen3_moe", 40_960): 32_768,
    ("qwen3moe", 40_960): 32_768,
}

# Early files leave out the base that their code assumes. Source: transformers 5.19, `default_theta`.
_ASSUMED_THETA = {"llama": 10_000.0, "mistral": 10_000.0, "gemma": 10_000.0, "phi3": 10_000.0}

_LLAMA3_NAMES = ("llama", "llama4", "deci")
_LLAMA3_THETA, _LLAMA3_POSITIONS = 500_000.0, 8192

_PER_LAYER = "its local and its global layers have a rope each, and one factor would stretch both"
_NO_ROPE = "its layers that see the whole text carry no rope, so there is nothing to scale"
_UNKNOWN_ROPE = "its files name no rope base, so there is nothing to scale"
_DUAL_CHUNK_KEY = "dual_chunk_attention_config"
_DUAL_CHUNK = "its own way beyond is dual chunk attention, which vLLM dropped in 0.11"

# Source: transformers 5.19, each model's configuration, `rope_parameters` by layer type; vLLM 0.32,
# model_executor/models/gemma3.py.
_PER_LAYER_MODELS = (
    "gemma3",
    "gemma4",
    "modernbert",
    "mimo_v2",
    "step3p",
    "laguna",
    "olmo3",
    "plamo3",
    "rnj1",
)
# Global layers without rope, or no rope at all: Kimi-Linear (arXiv:2510.26692), Jamba (arXiv:2403.19887),
# Nemotron-H (arXiv:2504.03624), Command R7B and EXAONE 4 (vLLM 0.32, models/commandr.py, exaone4.py), Mamba,
# RWKV, Granite 4 as GGUF, which does not tell its variants apart; learned or ALiBi: GPT-2, OPT, BLOOM,
# MPT.
_NO_ROPE_MODELS = (
    "kimi_linear", "jamba", "nemotron_h", "cohere2", "exaone4", "mamba", "rwkv",
    "gpt2", "opt", "bloom", "mpt", "granitehybrid",
)  # fmt: skip
_GLOBAL_WITHOUT_ROPE_TYPES = ("nope", "alibi", "absolute", "learned_absolute")


def rope_from_config(config: Mapping[str, Any]) -> RopeConfig | None:
    """What a config.json says of its rope, or None where it declares no length.

    Both spellings are read: `rope_parameters`, and the older `rope_scaling` beside `rope_theta`. Linear and
    dynamic factors multiply the declared length, YaRN's the original one; longrope and llama3 declare the
    scaled length.

    Source:
        vLLM 0.32, config/model.py, _get_and_verify_max_len; transformers 5.19, modeling_rope_utils.py.
    """
    lengths = {key: length for key in _LENGTH_KEYS if (length := _length(config.get(key)))}
    if not lengths:
        return None
    positions = min(lengths.values())
    found = config.get("rope_parameters") or config.get("rope_scaling")
    scaling = dict(found) if isinstance(found, Mapping) else {}
    model_type = str(config.get("model_type") or "")
    theta = (
        _positive(scaling.get("rope_theta"))
        or _positive(config.get("rope_theta") or config.get("rotary_emb_base"))
        or _ASSUMED_THETA.get(model_type)
    )
    kind, factor, original = _scaling(scaling, _length(config.get("original_max_position_embeddings")))
    obstacle = _obstacle(config, scaling, model_type, theta)
    trained = original or _TRAINED.get((model_type, positions), positions)
    window = positions
    if chunked := config.get(_DUAL_CHUNK_KEY):
        own = chunked.get("original_max_position_embeddings") if isinstance(chunked, Mapping) else None
        window = trained = min(_length(own) or positions, positions)
    elif not obstacle:
        window = _covered(kind, positions, factor, original)
    return RopeConfig(
        kind,
        positions,
        window,
        trained,
        theta,
        factor,
        _repeated(config, scaling, kind),
        _rotary_dim(config, scaling),
        obstacle,
        tuple(lengths),
        isinstance(config.get("text_config"), Mapping),
        is_yarn_only=bool({"mrope_section", "rope_dim"} & scaling.keys() or config.get("kv_lora_rank")),
        dropped_keys=(_DUAL_CHUNK_KEY,) if chunked else (),
    )


def rope_from_gguf(header: GgufHeader) -> RopeConfig | None:
    """What a GGUF header says of its rope, or None where it declares no length.

    Longrope's and llama3's factors are tensors, which a header does not show: longrope is known by its
    original length, Llama 3.1 and later by the base 500,000 with more than the 8,192 tokens of Llama 3.

    Source:
        llama.cpp, src/llama-model.cpp, the `rope.scaling.*` keys, get_rope_factors; conversion of
        `rope_freqs.weight` in convert_hf_to_gguf.py; Llama 3, arXiv:2407.21783, section 3.2 (the base).
    """
    name = header.architecture
    prefix = f"{name}."
    positions = _length(header.integer(prefix + "context_length"))
    if not positions:
        return None
    theta = _positive(header.metadata.get(prefix + "rope.freq_base"))
    model_type = name.replace("-", "_")
    if theta is None and header.integer(prefix + "rope.dimension_count"):
        theta = 10_000.0  # what llama.cpp assumes where the key is left out
    declared = header.text(prefix + "rope.scaling.type")
    before = _length(header.integer(prefix + "rope.scaling.original_context_length"))
    scaling: dict[str, Any] = {
        "rope_type": declared if declared != "none" else None,
        "factor": header.metadata.get(prefix + "rope.scaling.factor"),
        "original_max_position_embeddings": before,
    }
    kind, factor, original = _scaling(scaling, None)
    if kind is RopeType.DEFAULT and before and before < positions:
        kind, original = RopeType.LONGROPE, before
    elif kind is RopeType.DEFAULT and name in _LLAMA3_NAMES and _looks_like_llama3(theta, positions):
        kind, factor, original = RopeType.LLAMA3, 1.0, None
    obstacle = _obstacle({}, {}, model_type, theta)
    if header.metadata.get(prefix + "rope.freq_base_swa") is not None:
        obstacle = _PER_LAYER
    heads = header.integers(prefix + "attention.head_count")
    embedding = header.integer(prefix + "embedding_length") or 0
    return RopeConfig(
        kind,
        positions,
        # llama.cpp takes the declared length as final for all but YaRN.
        _covered(kind, positions, factor, original) if kind is RopeType.YARN and not obstacle else positions,
        original or _TRAINED.get((model_type, positions), positions),
        theta,
        factor,
        (),
        header.integer(prefix + "rope.dimension_count")
        or header.integer(prefix + "attention.key_length")
        or (embedding // heads[0] if heads and heads[0] else 0)
        or None,
        obstacle,
        (),
        architecture=name,
        is_yarn_only=header.metadata.get(prefix + "rope.dimension_sections") is not None,
    )


def _looks_like_llama3(theta: float | None, positions: int) -> bool:
    return theta == _LLAMA3_THETA and positions > _LLAMA3_POSITIONS


def _scaling(scaling: Mapping[str, Any], outside: int | None) -> tuple[RopeType, float, int | None]:
    """The scaling that a file carries: its kind, its factor and the length before it.

    `outside` is the original length where it stands beside the rope (Phi-3, Phi-4).
    """
    named = scaling.get("rope_type") or scaling.get("type") or "default"
    name = _OLD_NAMES.get(named, named) if isinstance(named, str) else ""
    kind = RopeType(name) if name in {one.value for one in RopeType} else RopeType.OTHER
    if kind is RopeType.DEFAULT:
        return kind, 1.0, None
    factor = _positive(scaling.get("factor"))
    original = outside or _length(scaling.get("original_max_position_embeddings"))
    if kind is RopeType.LONGROPE:
        return kind, 1.0, original
    if factor is None or factor < 1 or "alpha" in scaling:
        return RopeType.OTHER, 1.0, original
    return kind, factor, original


def _covered(kind: RopeType, positions: int, factor: float, original: int | None) -> int:
    """Tokens that the files' own rope reaches."""
    if kind in {RopeType.LINEAR, RopeType.DYNAMIC}:
        return min(int(positions * factor), _MAX_POSITIONS)
    if kind is RopeType.YARN and original:
        return min(int(original * factor), _MAX_POSITIONS)
    return positions


def _obstacle(
    config: Mapping[str, Any], scaling: Mapping[str, Any], model_type: str, theta: float | None
) -> str | None:
    """Why one factor over this model's rope would be wrong, or None."""
    if config.get(_DUAL_CHUNK_KEY):
        return _DUAL_CHUNK
    local = any(config.get(key) for key in ("rope_local_base_freq", "local_rope_theta", "swa_rope_theta"))
    if isinstance(config.get("rope_theta"), list) or any(
        isinstance(one, Mapping) for one in scaling.values()
    ):
        local = True
    if local:
        return _PER_LAYER
    if model_type.startswith(_PER_LAYER_MODELS):
        return _PER_LAYER
    if model_type.startswith("exaone4") and "sliding_attention" not in (config.get("layer_types") or ()):
        # Without sliding layers EXAONE 4 turns its rope on everywhere; only config.json can tell.
        model_type = "" if config else model_type
    no_rope = config.get("mla_use_nope") or config.get("alibi")
    told = config.get("position_embedding_type") in _GLOBAL_WITHOUT_ROPE_TYPES
    if no_rope or told or model_type.startswith(_NO_ROPE_MODELS):
        return _NO_ROPE
    return None if theta else _UNKNOWN_ROPE


def _repeated(
    config: Mapping[str, Any], scaling: Mapping[str, Any], kind: RopeType
) -> tuple[tuple[str, Any], ...]:
    """What an override must say again, because vLLM replaces the whole of `rope_parameters`.

    Source:
        vLLM 0.32, config/model.py, _apply_dict_overrides; transformers_utils/config.py,
        patch_rope_parameters.
    """
    own = {"rope_type", "type", "rope_theta", "factor", "original_max_position_embeddings"}
    kept = {key: value for key, value in scaling.items() if key not in own}
    if kind is RopeType.DEFAULT:
        names = ("rope_dim", "mrope_section", "mrope_interleaved", "partial_rotary_factor")
        kept = {key: kept[key] for key in names if key in kept}
    for key in ("partial_rotary_factor", "rotary_pct", "rotary_emb_fraction"):
        if (value := _positive(config.get(key))) and "partial_rotary_factor" not in kept:
            kept["partial_rotary_factor"] = value
    return tuple(sorted(kept.items()))


def _rotary_dim(config: Mapping[str, Any], scaling: Mapping[str, Any]) -> int | None:
    """Values of a head that are rotated, or None where the config.json does not say."""
    if dim := _length(config.get("qk_rope_head_dim")) or _length(scaling.get("rope_dim")):
        return dim
    heads, hidden = _length(config.get("num_attention_heads")), _length(config.get("hidden_size"))
    head_dim = _length(config.get("head_dim")) or (hidden // heads if heads and hidden else 0)
    share = _positive(scaling.get("partial_rotary_factor") or config.get("partial_rotary_factor")) or 1.0
    return int(head_dim * min(share, 1.0)) or None


def _length(value: object) -> int | None:
    """`value` as a count, or None where it is none."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MAX_POSITIONS:
        return value
    return None


def _positive(value: object) -> float | None:
    """`value` as a positive number, or None where it is none; bases reach 1e11."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _MAX_POSITIONS**2:
        return float(value)
    return None
