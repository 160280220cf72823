"""Planned length -> rope: as the model has it, the smallest factor that covers it, or the reason why not."""

import hashlib
import json
import math
import struct
from dataclasses import dataclass
from typing import Any

from lctx.core.errors import DoesNotFitError
from lctx.core.models.rope import RopeConfig, RopeType

FACTOR_STEPS = 64
"""A factor is a whole number of 64ths: exact in floating point, and nearly equal plans share an engine."""

MAX_FACTOR = 8.0
"""No untrained factor beyond this: twice the largest that a publisher recommends (4, Qwen2.5 and Qwen3)."""

# Up to here a factor without training is known to hold. YaRN: the Qwen2.5 and Qwen3 model cards. The others:
# what arXiv:2309.00071 reports for scaling at inference time; linear was made to be fine-tuned .
_KNOWN_FACTOR = {RopeType.YARN: 4.0, RopeType.DYNAMIC: 2.0, RopeType.LLAMA3: 2.0, RopeType.LINEAR: 1.0}

# The bounds of Llama 3.1's ramp. Source: its config.json; transformers 5.19, _compute_llama3_parameters.
_LLAMA3_RAMP = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}

_MIN_ROTARY_DIM = 4
"""Two frequencies: with one, dynamic scaling divides by nothing."""

_DTYPES = {"bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32", "float": "float32"}


@dataclass(frozen=True, slots=True)
class RopeChoice:
    """The rope that an engine is started with, for its whole life.

    Attributes:
        rope: What the model's files say.
        method: The scaling that is put on top, or None where the files' own rope covers the window.
        factor: How far it stretches `rope.trained`; the files' own factor where `method` is None.
        window: Tokens that the engine is started for: its `--max-model-len`, its `--ctx-size`.
        warnings: Where quality is known to fall, one line each.
    """

    rope: RopeConfig
    method: RopeType | None
    factor: float
    window: int
    warnings: tuple[str, ...] = ()

    @property
    def covered(self) -> int:
        """Tokens that the rope reaches: at least `window`."""
        return int(self.rope.trained * self.factor) if self.method else self.rope.window


def choose_rope(rope: RopeConfig, num_tokens: int, method: RopeType = RopeType.YARN) -> RopeChoice:
    """The rope for a window of `num_tokens`: the files' own where it covers them, else the smallest factor.

    Static scaling is paid by every prompt, short ones too, so nothing is scaled that fits as it is.

    Args:
        rope: What the model's files say.
        num_tokens: Prompt and answer together.
        method: What to scale by where the files' own rope is too short: yarn, dynamic, linear or llama3.

    Raises:
        DoesNotFitError: The length is out of reach and scaling would be wrong; the message says why.

    Source:
        Qwen2.5 and Qwen3 model cards, "Processing Long Texts" (a static factor may hurt short texts).
    """
    if num_tokens < 1:
        raise ValueError(f"num_tokens must be >= 1, got {num_tokens}")
    if num_tokens <= rope.window:
        return RopeChoice(rope, None, rope.factor, num_tokens, _own_warnings(rope, num_tokens))
    if why := _refusal(rope, method):
        raise _out_of_reach(rope, num_tokens, why)
    factor = covering_factor(rope.trained, num_tokens)
    if factor > MAX_FACTOR:
        why = f"that is {factor:.1f} times the {rope.trained:,} it was trained for, more than {MAX_FACTOR:g}"
        reach = int(rope.trained * MAX_FACTOR)
        raise DoesNotFitError(
            _out_of_reach(rope, num_tokens, why).message,
            f"plan for at most {reach:,} tokens with {method.value}, or choose a model with a larger window",
        )
    return RopeChoice(rope, method, factor, num_tokens, _scaling_warnings(method, factor))


def covering_factor(trained: int, num_tokens: int) -> float:
    """The smallest factor, in 64ths, by which `trained` positions cover `num_tokens`; never below 1.

    Source:
        s = L' / L: Position Interpolation, arXiv:2306.15595; YaRN, arXiv:2309.00071.
    """
    if trained < 1 or num_tokens < 1:
        raise ValueError(f"lengths must be >= 1, got {trained} and {num_tokens}")
    return max(-(-num_tokens * FACTOR_STEPS // trained), FACTOR_STEPS) / FACTOR_STEPS


def yarn_attention_factor(factor: float) -> float:
    """What YaRN multiplies cosines and sines by: 0.1 ln(s) + 1.

    Source:
        YaRN, arXiv:2309.00071, section 3.4 (the square root of 1/t); vLLM 0.32, rotary_embedding/common.py,
        yarn_get_mscale.
    """
    return 0.1 * math.log(factor) + 1.0 if factor > 1 else 1.0


def dynamic_ntk_base(theta: float, factor: float, window: int, trained: int, rotary_dim: int) -> float:
    """The base of dynamic NTK scaling for a length of `window`: theta (s L'/L - (s - 1))^(d / (d - 2)).

    Source:
        vLLM 0.32, rotary_embedding/dynamic_ntk_scaling_rope.py; transformers 5.19,
        _compute_dynamic_ntk_parameters.
    """
    stretch = factor * max(window, trained) / trained - (factor - 1)
    return float(theta * stretch ** (rotary_dim / (rotary_dim - 2)))


def vllm_overrides(choice: RopeChoice) -> dict[str, Any]:
    """What vLLM's `--hf-overrides` must hold for the choice; empty where it needs none.

    A dict-valued override replaces the whole of `rope_parameters`, so it is complete: kind, base, factor as a
    float, and all that the model's own had. Since 0.32 YaRN's factor raises no limit by itself, so
    `max_position_embeddings` (and every other length that the config.json declares) rises with it. Linear's
    factor does raise the limit, so there it must stay. Dynamic's table has `max_position_embeddings` rows,
    and without `max_trained_positions` it scales nothing; the limit that vLLM derives for it is too high, so
    `--max-model-len` must be `window`.

    Source:
        vLLM 0.32, config/model.py, _apply_dict_overrides and _get_and_verify_max_len;
        model_executor/layers/rotary_embedding/__init__.py and the class of each kind.
    """
    rope = choice.rope
    found: dict[str, Any] = {}
    if parameters := _override_parameters(choice):
        found["rope_parameters"] = parameters
        if choice.method is not RopeType.LINEAR:
            keys = rope.length_keys or ("max_position_embeddings",)
            found |= dict.fromkeys(keys, choice.covered if choice.method else choice.window)
    if rope.dropped_keys:
        found |= dict.fromkeys(rope.dropped_keys)
    if not found:
        return {}
    return {"text_config": found} if rope.is_nested else found


def llama_flags(choice: RopeChoice) -> list[str]:
    """llama.cpp's server flags for the choice, the size of the window included.

    The server caps a window at the file's `context_length` unless YaRN is asked for, so the other kinds must
    raise that key. It has no dynamic NTK: the base for the planned length is fixed instead.

    Raises:
        DoesNotFitError: The scaling is one that llama.cpp reads from the file only.

    Source:
        llama.cpp, common/arg.cpp (`--rope-scale`, `--yarn-orig-ctx`, `--override-kv`); src/llama-context.cpp,
        "custom YaRN scaling detected"; https://github.com/ggml-org/llama.cpp/issues/17459.
    """
    rope = choice.rope
    flags = ["--ctx-size", str(choice.window)]
    if choice.method is RopeType.LLAMA3:
        raise _llama3_from_file(choice)
    if choice.method is RopeType.YARN:
        flags += ["--rope-scaling", "yarn", "--rope-scale", f"{_reaching_scale(choice)}"]
        return [*flags, "--yarn-orig-ctx", str(rope.trained)]
    if choice.method is RopeType.LINEAR:
        flags += ["--rope-scaling", "linear", "--rope-scale", f"{choice.factor}"]
    elif choice.method is RopeType.DYNAMIC:
        flags += ["--rope-scaling", "none", "--rope-freq-base", f"{_fixed_base(choice):.1f}"]
    if choice.window > rope.positions:
        if rope.architecture is None:
            raise ValueError("flags for llama.cpp need a rope that was read from a GGUF header")
        flags += ["--override-kv", f"{rope.architecture}.context_length=int:{choice.covered}"]
    return flags


def llama_parameters(choice: RopeChoice) -> dict[str, Any]:
    """The same as fields of llama.cpp's parameters, where no key can be overridden; empty for the file's own.

    The cap on the window rises for YaRN alone, to `yarn_orig_ctx / rope_freq_scale`, once that scale is not
    the file's. So all kinds go by that name. With a `yarn_ext_factor` of 0 YaRN divides every position, which
    is linear scaling. Dynamic NTK is its base, and a scale of 1 less a bit, which moves the cap alone.

    Raises:
        DoesNotFitError: The scaling is one that llama.cpp reads from the file only.

    Source:
        llama.cpp, src/llama-context.cpp, llama_init_from_model, "custom YaRN scaling detected"; rope_yarn in
        ggml/src/ggml-cpu/ops.cpp (an `ext_factor` of 0 skips the ramp and the temperature).
    """
    rope, original = choice.rope, choice.rope.trained
    if choice.method is RopeType.LLAMA3:
        raise _llama3_from_file(choice)
    if choice.method is None and choice.window <= rope.positions:
        return {}
    kept = _single(1 / _single(_reaching_scale(choice) if choice.method else choice.factor))
    found: dict[str, Any] = {"rope_scaling_type": "yarn"}
    if choice.method is RopeType.DYNAMIC:
        original, kept = choice.covered, _bit_less(1.0)
        found |= {"rope_freq_base": _fixed_base(choice)}
    elif choice.method is None:  # the file's own YaRN: another scale than its own, or nothing is lifted
        kept = _bit_less(kept)
    if choice.method in {RopeType.LINEAR, RopeType.DYNAMIC}:
        found |= {"yarn_ext_factor": 0.0}
    return found | {"rope_freq_scale": kept, "yarn_orig_ctx": original}


def rope_label(choice: RopeChoice) -> str | None:
    """The scaling in a few words, "yarn x2 (8,192 -> 16,384)", or None where the rope is the files' own."""
    if choice.method is None:
        return None
    return f"{choice.method.value} x{choice.factor:.8g} ({choice.rope.trained:,} -> {choice.covered:,})"


def rope_fingerprint(model: str, choice: RopeChoice, dtype: str) -> str:
    """Sixteen hex digits that differ wherever keys and values of one rope are wrong under another.

    The salt of a KV cache. The window is in it only where it changes the rope: dynamic scaling fixes its base
    from it, and longrope takes the long factors for every request once it exceeds the original length.

    Args:
        model: What names the weights for good: a content hash or a revision, rather than a path.
        choice: The rope that the engine runs.
        dtype: Of the weights and the KV cache, as the engine names it.

    Source:
        vLLM 0.32, rotary_embedding/phi3_long_rope_scaled_rope.py, use_long_rope.
    """
    rope = choice.rope
    kind = choice.method or rope.kind
    told: dict[str, Any] = {
        "model": model,
        "dtype": _DTYPES.get(dtype.lower(), dtype.lower()),
        "kind": kind.value,
        "theta": rope.theta,
        "factor": choice.factor,
        "trained": rope.trained,
        "parameters": rope.parameters,
    }
    if kind is RopeType.DYNAMIC and choice.window > rope.positions:
        told["window"] = choice.covered if choice.method else choice.window
    if kind is RopeType.LONGROPE:
        told["long"] = choice.window > rope.trained
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _override_parameters(choice: RopeChoice) -> dict[str, Any]:
    """The complete `rope_parameters`, or nothing where vLLM reads the right ones from the config.json."""
    rope = choice.rope
    kind = choice.method
    if kind is None:
        if rope.kind not in {RopeType.YARN, RopeType.DYNAMIC} or choice.window <= rope.positions:
            return {}
        kind = rope.kind
    found: dict[str, Any] = {"rope_type": kind.value, "rope_theta": rope.theta, "factor": choice.factor}
    if kind in {RopeType.YARN, RopeType.LLAMA3}:
        found["original_max_position_embeddings"] = rope.trained
    if kind is RopeType.DYNAMIC:
        found["max_trained_positions"] = rope.trained
    if kind is RopeType.LLAMA3:
        found |= _LLAMA3_RAMP
    return found | dict(rope.parameters)


def _reaching_scale(choice: RopeChoice) -> float:
    """The factor, with the few millionths more that llama.cpp's own arithmetic may need to reach the window.

    It keeps 1/factor in single precision and divides the trained length by it: 1.625 x 8,192 becomes 13,311.

    Source:
        llama.cpp, src/llama-context.cpp, `n_ctx_train = n_ctx_orig_yarn / rope_freq_scale`.
    """
    scale = choice.factor
    while int(_single(choice.rope.trained / _single(1 / _single(scale)))) < choice.window:
        scale += 2**-20
    return scale


def _single(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


def _bit_less(value: float) -> float:
    """The next single-precision number below a positive one."""
    return float(struct.unpack("f", struct.pack("I", struct.unpack("I", struct.pack("f", value))[0] - 1))[0])


def _fixed_base(choice: RopeChoice) -> float:
    rope = choice.rope
    if rope.theta is None or rope.rotary_dim is None:
        raise ValueError("dynamic scaling was chosen for a rope without a base or a dimension")
    return dynamic_ntk_base(rope.theta, choice.factor, choice.covered, rope.trained, rope.rotary_dim)


def _refusal(rope: RopeConfig, method: RopeType) -> str | None:
    """Why `method` must not be put on this rope, or None."""
    if method not in _KNOWN_FACTOR:
        return f"{method.value} factors come with a model and cannot be computed for one"
    if rope.obstacle:
        return rope.obstacle
    if rope.kind is RopeType.LONGROPE:
        return "its longrope factors were searched for that length and none exist beyond it"
    if rope.kind is not RopeType.DEFAULT:
        return f"its rope is scaled already ({rope.kind.value})".replace(" (other)", ", in a way of its own")
    if rope.is_yarn_only and method is not RopeType.YARN:
        return f"engines scale its kind of attention by yarn only, not by {method.value}"
    if method is RopeType.DYNAMIC and (rope.rotary_dim or 0) < _MIN_ROTARY_DIM:
        return "dynamic scaling needs the rotary dimension, which its files do not give"
    return None


def _llama3_from_file(choice: RopeChoice) -> DoesNotFitError:
    why = "llama.cpp takes llama3 scaling from the model's file only"
    return _out_of_reach(choice.rope, choice.window, why)


def _out_of_reach(rope: RopeConfig, num_tokens: int, why: str) -> DoesNotFitError:
    return DoesNotFitError(
        f"a window of {num_tokens:,} tokens: the model's own reaches {rope.window:,}, and {why}",
        f"plan for at most {rope.window:,} tokens, or choose a model with a larger window",
    )


def _own_warnings(rope: RopeConfig, num_tokens: int) -> tuple[str, ...]:
    """Where the files' own rope is known to be weaker than its length says."""
    if rope.kind is RopeType.LONGROPE and num_tokens > rope.trained:
        told = f"beyond {rope.trained:,} tokens longrope takes its long factors for every prompt"
        return (f"{told}: short ones may be answered worse",)
    if rope.kind is RopeType.DEFAULT and num_tokens > rope.trained:
        return (
            f"the model was trained for {rope.trained:,} tokens; the rest of its window is room for answers",
        )
    if rope.kind in {RopeType.LINEAR, RopeType.DYNAMIC} and num_tokens > rope.positions:
        told = (
            f"its {rope.kind.value} factor {rope.factor:g} stretches the declared {rope.positions:,} tokens"
        )
        return (f"{told}: whether it was trained beyond them is not told",)
    return ()


def _scaling_warnings(method: RopeType, factor: float) -> tuple[str, ...]:
    """Where a factor that the model was not trained with is known to cost quality."""
    found = [
        f"{method.value} scaling by {factor:.8g} holds for every prompt: short ones may be answered worse"
    ]
    known = _KNOWN_FACTOR[method]
    if method is RopeType.LINEAR:
        found.append(
            "Position Interpolation was made to be fine-tuned: without it answers are worse at any factor"
        )
    elif factor > known:
        found.append(f"{method.value} without training is known to hold up to a factor of {known:g} only")
    return tuple(found)
