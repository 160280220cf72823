"""Bytes of a model's weights: as a quantisation keeps them, and as they lie on the disk."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any

from lctx.core.errors import ModelFileError
from lctx.core.models.config_json import read_json
from lctx.core.models.layers_config import whole
from lctx.core.models.parameters import ParameterCount

_BYTE = 8


class Quantization(StrEnum):
    """What the weights of the layers are kept as."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    FP8 = "fp8"
    """One byte, and a float32 scale for each block of 128 x 128, or fewer."""
    INT8 = "int8"
    """One byte, and a scale for each row, which is not counted."""
    INT4 = "int4"
    """Four bits in groups with a 16-bit scale and, but for symmetric ones, a zero point: AWQ and GPTQ."""
    MXFP4 = "mxfp4"
    """Four bits in groups of 32 with a scale of one byte."""
    NVFP4 = "nvfp4"
    """Four bits in groups of 16 with a scale of one byte."""


# Bits of one weight with its share of the scales.
# Source: fp8: weight_block_size of DeepSeek-V3's config.json; int4: qweight, qzeros and scales of
# vLLM 0.32, model_executor/layers/quantization/auto_awq.py; mxfp4: OCP Microscaling Formats 1.0, section 5.3;
# nvfp4: vLLM 0.32, model_executor/layers/quantization/modelopt.py, weight_scale.
_BITS = {
    Quantization.FLOAT32: Fraction(32),
    Quantization.BFLOAT16: Fraction(16),
    Quantization.FLOAT16: Fraction(16),
    Quantization.FP8: 8 + Fraction(32, 128 * 128),
    Quantization.INT8: Fraction(8),
    Quantization.INT4: 4 + Fraction(16 + 4, 128),
    Quantization.MXFP4: 4 + Fraction(8, 32),
    Quantization.NVFP4: 4 + Fraction(8, 16),
}
_DTYPES = {
    "float32": Quantization.FLOAT32,
    "float": Quantization.FLOAT32,
    "bfloat16": Quantization.BFLOAT16,
    "float16": Quantization.FLOAT16,
    "half": Quantization.FLOAT16,
}
# By kind, bits and values in a group, as compressed-tensors says it.
_FLOAT4 = {16: Quantization.NVFP4, 32: Quantization.MXFP4}
_WHOLE = {4: Quantization.INT4, 8: Quantization.INT8}
_METHODS = {
    "fp8": Quantization.FP8,
    "fbgemm_fp8": Quantization.FP8,
    "mxfp4": Quantization.MXFP4,
    "nvfp4": Quantization.NVFP4,
    "modelopt_fp4": Quantization.NVFP4,
}
_GROUPED = frozenset(("awq", "awq_marlin", "gptq", "gptq_marlin", "auto-round", "auto_round"))
_UNQUANTISED = ("modules_to_not_convert", "ignore", "exclude_modules", "ignored_layers")


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """How a checkpoint keeps its weights.

    Attributes:
        quantization: Of what is quantised; tables, norms, biases and routers stay in 16 bits.
        bits: Of one quantised weight, its share of the scales included.
        experts_only: Whether the routed experts alone are quantised.
    """

    quantization: Quantization
    bits: Fraction
    experts_only: bool = False


def weight_bytes(count: ParameterCount, kept_as: Quantization | WeightFormat) -> int:
    """Bytes of all weights, both tables included.

    A bare `MXFP4` means the experts alone where there are any, as gpt-oss is published; a bare `INT4` means
    groups of 128 with zero points.
    """
    kind = _format(count, kept_as)
    layers = count.total - count.embedding - count.head
    narrow = count.routed if kind.experts_only else layers - count.kept
    return _bytes(kind, narrow, count.total - narrow)


def active_weight_bytes(count: ParameterCount, kept_as: Quantization | WeightFormat) -> int:
    """Bytes that are read to write one token: what it meets of the layers, and the output table."""
    kind = _format(count, kept_as)
    others = count.total - count.embedding - count.head - count.routed
    narrow = count.active - others if kind.experts_only else count.active - count.kept
    return _bytes(kind, narrow, count.active - narrow + (count.head or count.embedding))


def quantization_of(config: Mapping[str, Any]) -> Quantization | None:
    """What a config.json keeps its weights as, or None for a way that lctx does not know."""
    kind = weight_format_of(config)
    return kind.quantization if kind else None


def weight_format_of(config: Mapping[str, Any]) -> WeightFormat | None:
    """How a config.json keeps its weights, or None for a way that lctx does not know.

    Without a word of it they are bfloat16.
    """
    told = config.get("quantization_config")
    if not isinstance(told, Mapping):
        dtype = str(config.get("dtype") or config.get("torch_dtype") or "bfloat16").removeprefix("torch.")
        return WeightFormat(_DTYPES[dtype], _BITS[_DTYPES[dtype]]) if dtype in _DTYPES else None
    method = str(told.get("quant_method") or told.get("quant_algo") or "").lower()
    if method.startswith("modelopt"):
        method = str(told.get("quant_algo") or method).lower()
    if isinstance(groups := told.get("config_groups"), Mapping) and method not in _METHODS:
        return _compressed(groups, experts_only=_spares_attention(told))
    found = _METHODS.get(method)
    if method in _GROUPED:
        found = _WHOLE.get(whole(told, "bits") or whole(told, "w_bit") or 4)
    if found is None:
        return None
    bits = _BITS[found]
    if found is Quantization.INT4:
        group = whole(told, "group_size") or whole(told, "q_group_size") or 128
        bits = 4 + Fraction(16 + 4, group)
    return WeightFormat(found, bits, _spares_attention(told))


def _compressed(groups: Mapping[str, Any], *, experts_only: bool) -> WeightFormat | None:
    """The first group of a compressed-tensors configuration, whose weights are nearly all."""
    first = next(iter(groups.values()), None)
    weights = first.get("weights") if isinstance(first, Mapping) else None
    if not isinstance(weights, Mapping):
        return None
    num_bits, group = whole(weights, "num_bits"), whole(weights, "group_size")
    if weights.get("type") == "float":
        found = Quantization.FP8 if num_bits == _BYTE else _FLOAT4.get(group or 0)
        return WeightFormat(found, _BITS[found], experts_only) if found else None
    found = _WHOLE.get(num_bits or 0)
    if found is None:
        return None
    bits = _BITS[found]
    if found is Quantization.INT4:
        zero_point = 0 if weights.get("symmetric", True) else 4
        bits = 4 + Fraction(16 + zero_point, group or 128)
    return WeightFormat(found, bits, experts_only)


def _spares_attention(told: Mapping[str, Any]) -> bool:
    """Whether a pattern leaves the attention of every layer as it is: then only experts are quantised."""
    names: list[Any] = next((told[key] for key in _UNQUANTISED if isinstance(told.get(key), list)), [])
    return any("self_attn" in name and "*" in name for name in names if isinstance(name, str))


def _format(count: ParameterCount, kept_as: Quantization | WeightFormat) -> WeightFormat:
    if isinstance(kept_as, WeightFormat):
        # Without experts there is nothing else that could be meant than the layers.
        experts_only = kept_as.experts_only and count.routed > 0
        return WeightFormat(kept_as.quantization, kept_as.bits, experts_only)
    experts_only = kept_as is Quantization.MXFP4 and count.routed > 0
    return WeightFormat(kept_as, _BITS[kept_as], experts_only)


def _bytes(kind: WeightFormat, narrow: int, wide: int) -> int:
    wide_bits = max(_BITS[Quantization.BFLOAT16], kind.bits)
    return math.ceil((kind.bits * narrow + wide_bits * wide) / _BYTE)


def stored_weight_bytes(path: Path) -> int | None:
    """Bytes of the weights in a GGUF file, all its parts together, or in a model directory; None without any.

    Of a directory those files count that its index names, or where there is none, the first kind that is
    there: safetensors, the same under the name that Mistral gives them, pickled weights.
    """
    if path.is_file():
        return _total(_gguf_parts(path)) if path.suffix == ".gguf" else None
    for kind in ("model.safetensors", "pytorch_model.bin"):
        if named := _indexed(path, f"{kind}.index.json"):
            return _total(named)
    for pattern in ("model*.safetensors", "consolidated*.safetensors", "*.safetensors", "pytorch_model*.bin"):
        found = [file for file in _listed(path, pattern) if not file.name.startswith("adapter_")]
        if found:
            return _total(found)
    return None


def _gguf_parts(path: Path) -> Iterator[Path]:
    """All parts of a split file, or the file alone."""
    name, _, last = path.stem.rpartition("-of-")
    stem, _, number = name.rpartition("-")
    if not (stem and (last + number).isdecimal() and last.isascii() and len(last) == len(number)):
        yield path
        return
    for part in range(1, int(last) + 1):
        yield path.with_name(f"{stem}-{part:0{len(last)}}-of-{last}.gguf")


def _indexed(folder: Path, name: str) -> set[Path]:
    try:
        index = read_json(folder / name) or {}
    except ModelFileError:
        return set()  # what cannot be read names nothing: the files themselves are counted
    names = index.get("weight_map")
    if not isinstance(names, dict):
        return set()
    return {folder / one for one in names.values() if isinstance(one, str) and Path(one).name == one}


def _listed(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def _total(files: Iterable[Path]) -> int | None:
    """Bytes of all files together, or None where one of them is missing."""
    try:
        return sum(file.stat().st_size for file in files)
    except OSError:
        return None
