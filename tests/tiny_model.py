"""A GGUF model of a few hundred kilobytes with random weights: what is tested is the engine's life, not its wit."""

import random
import struct
from array import array
from pathlib import Path
from typing import Any

EMBEDDING, FEED_FORWARD, WINDOW, WORDS = 64, 128, 8192, 200
_UINT32, _FLOAT32, _STRING, _ARRAY, _INT32 = 4, 6, 8, 9, 5
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
_ALIGNMENT = 32


def write_tiny_model(path: Path, more: dict[str, Any] | None = None) -> Path:
    """A llama of one layer at `path`; its answers are words of two letters, the same every time.

    `more` are keys of its header besides, or instead.
    """
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    types = [_UNKNOWN, _CONTROL, _CONTROL, *[_BYTE] * 256, *[_NORMAL] * WORDS]
    first_word = len(tokens)
    tokens += [f"\u2581{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(WORDS)]
    metadata = {
        "general.architecture": "llama",
        "llama.context_length": WINDOW,
        "llama.embedding_length": EMBEDDING,
        "llama.block_count": 1,
        "llama.feed_forward_length": FEED_FORWARD,
        "llama.attention.head_count": 2,
        "llama.attention.head_count_kv": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": EMBEDDING // 2,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [float(-number) for number in range(len(tokens))],
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    }
    path.write_bytes(_file(metadata | (more or {}), _tensors(len(tokens), first_word)))
    return path


def _tensors(vocabulary: int, first_word: int) -> dict[str, tuple[tuple[int, ...], array]]:
    draw = random.Random(7)

    def weights(*shape: int, zeros: int = 0) -> tuple[tuple[int, ...], array]:
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        values = array("f", [0.0] * zeros) + array("f", [draw.gauss(0, 0.3) for _ in range(count - zeros)])
        return shape, values

    ones = ((EMBEDDING,), array("f", [1.0] * EMBEDDING))
    square = (EMBEDDING, EMBEDDING)
    return {
        "token_embd.weight": weights(EMBEDDING, vocabulary),
        "output_norm.weight": ones,
        # A logit of 0 for bytes and control tokens: some word is always likelier.
        "output.weight": weights(EMBEDDING, vocabulary, zeros=EMBEDDING * first_word),
        "blk.0.attn_norm.weight": ones,
        "blk.0.attn_q.weight": weights(*square),
        "blk.0.attn_k.weight": weights(*square),
        "blk.0.attn_v.weight": weights(*square),
        "blk.0.attn_output.weight": weights(*square),
        "blk.0.ffn_norm.weight": ones,
        "blk.0.ffn_gate.weight": weights(EMBEDDING, FEED_FORWARD),
        "blk.0.ffn_up.weight": weights(EMBEDDING, FEED_FORWARD),
        "blk.0.ffn_down.weight": weights(FEED_FORWARD, EMBEDDING),
    }


def _file(metadata: dict[str, Any], tensors: dict[str, tuple[tuple[int, ...], array]]) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    head += b"".join(_string(key) + _value(value) for key, value in metadata.items())
    offset = 0
    for name, (shape, values) in tensors.items():
        head += _string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset)
        offset += _padded(len(values) * 4)
    head += bytes(_padded(len(head)) - len(head))
    body = (values.tobytes().ljust(_padded(len(values) * 4), b"\0") for _, values in tensors.values())
    return head + b"".join(body)


def _padded(num_bytes: int) -> int:
    return -(-num_bytes // _ALIGNMENT) * _ALIGNMENT


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _string(value)
    if isinstance(value, float):
        return struct.pack("<If", _FLOAT32, value)
    if isinstance(value, int):
        return struct.pack("<II", _UINT32, value)
    kind, pack = {
        str: (_STRING, _string),
        float: (_FLOAT32, lambda one: struct.pack("<f", one)),
        int: (_INT32, lambda one: struct.pack("<i", one)),
    }[type(value[0])]
    return struct.pack("<IIQ", _ARRAY, kind, len(value)) + b"".join(map(pack, value))
