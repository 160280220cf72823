"""Reads what a GGUF file says of itself: typed metadata and tensor shapes, never the weights.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3.
"""

import math
import os
import struct
import sys
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, overload

from lctx.core.errors import ModelFileError

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_HEADER_BYTES = 512 << 20
_MAX_KEY_BYTES = 65_535
_MAX_DIMENSIONS = 8
_BLOCK_BYTES = 4 << 20
_STRING, _ARRAY = 8, 9
_MIN_PAIR_BYTES = 13  # an empty key, a type and one byte
_MIN_TENSOR_BYTES = 24
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
# Tensor type -> values in a block, bytes of a block.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110),
    22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8),
    29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip

_TABLES = {"token_embd.weight": "embedding", "output.weight": "head"}


class StringArray(Sequence[str]):
    """The strings of one array, in file order; each is decoded when it is asked for.

    Bytes that are not UTF-8 come back as lone surrogates, so that no two strings become one.
    """

    def __init__(self, content: bytes, ends: "array[int]") -> None:
        """Keep `content`, where string `i` ends at `ends[i]` behind its eight bytes of length."""
        self._content = content
        self._ends = ends

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        index = range(len(self._ends))[index]
        start = (self._ends[index - 1] if index else 0) + 8
        return self._content[start : self._ends[index]].decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        start = 8
        for end in self._ends:
            yield self._content[start:end].decode("utf-8", "surrogateescape")
            start = end + 8

    @property
    def content(self) -> bytes:
        """The array's bytes as they stand in the file, lengths included: what a hash of it is made of."""
        return self._content


Value = bool | int | float | str | StringArray | Sequence[bool] | Sequence[int] | Sequence[float]


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What stands before the weights.

    Attributes:
        version: Of the format.
        metadata: Every key with its value, in file order.
        num_parameters: Values in all tensors together.
        num_embedding: Of these, the input table's.
        num_head: The output table's; 0 where the input table serves as both.
        num_routed: Those of all routed experts.
        num_vectors: Those of tensors with one dimension: norms and biases.
    """

    version: int
    metadata: dict[str, Value]
    num_parameters: int
    num_embedding: int = 0
    num_head: int = 0
    num_routed: int = 0
    num_vectors: int = 0

    @property
    def architecture(self) -> str:
        """The name that the keys of the shape begin with, such as "llama"; empty where the file has none."""
        return self.text("general.architecture") or ""

    def text(self, key: str) -> str | None:
        """The string under `key`, or None where there is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def integer(self, key: str) -> int | None:
        """The whole number under `key`, or None where there is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def flag(self, key: str) -> bool | None:
        """The truth value under `key`, or None where there is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, bool) else None

    def integers(self, key: str) -> tuple[int, ...] | None:
        """The whole numbers under `key`, a single one as a tuple of one, or None where there are none."""
        value = self.metadata.get(key)
        if isinstance(value, str | StringArray | float) or value is None:
            return None
        return (int(value),) if isinstance(value, int) else tuple(int(one) for one in value)

    def strings(self, key: str) -> StringArray | None:
        """The strings under `key`, or None where there are none."""
        value = self.metadata.get(key)
        return value if isinstance(value, StringArray) else None


class _Reader:
    """The file's beginning, read in blocks as far as it is asked for and never further than its limit."""

    def __init__(self, file: BinaryIO, path: Path, num_bytes: int) -> None:
        self._file = file
        self._path = path
        self.left = min(num_bytes, _MAX_HEADER_BYTES)
        self.buffer = bytearray()
        self.position = 0

    def wrong(self, why: str) -> ModelFileError:
        return ModelFileError(
            f"{self._path}: {why}", "fetch or copy the file again, or choose another with --model"
        )

    def need(self, num_bytes: int) -> int:
        """Make sure that `num_bytes` more are in the buffer; where they begin."""
        start = self.position
        missing = start + num_bytes - len(self.buffer)
        if missing > 0:
            if missing > self.left:
                raise self.wrong("the GGUF header is cut off or damaged")
            block = self._file.read(min(max(missing, _BLOCK_BYTES), self.left))
            self.left -= len(block)
            if len(block) < missing:
                raise self.wrong("the GGUF header is cut off")
            self.buffer += block
        self.position = start + num_bytes
        return start

    def unpack(self, kind: str) -> int:
        form = struct.Struct("<" + kind)
        value: int = form.unpack_from(self.buffer, self.need(form.size))[0]
        return value

    def bound(self, count: int, each: int, what: str) -> int:
        """`count`, unless that many of `each` bytes cannot be in this file."""
        if count * each > len(self.buffer) - self.position + self.left:
            raise self.wrong(f"the GGUF header claims {count} {what}, more than the file can hold")
        return count

    def string(self, most: int = _MAX_HEADER_BYTES) -> str:
        num_bytes = self.unpack("Q")
        if num_bytes > most:
            raise self.wrong(f"a string in the GGUF header claims {num_bytes} bytes")
        start = self.need(num_bytes)
        return bytes(self.buffer[start : self.position]).decode("utf-8", "surrogateescape")

    def strings(self) -> StringArray:
        count = self.bound(self.unpack("Q"), 8, "strings")
        ends = array("Q")
        begin = position = self.position
        length_at = struct.Struct("<Q").unpack_from
        for _ in range(count):  # a quarter of a million turns for a large vocabulary: nothing but the walk
            stop = position + 8
            if stop > len(self.buffer):
                self.position = position
                self.need(8)
            stop += length_at(self.buffer, position)[0]
            if stop > len(self.buffer):
                self.position = position
                self.need(stop - position)
            ends.append(stop - begin)
            position = stop
        self.position = position
        return StringArray(bytes(self.buffer[begin:position]), ends)

    def numbers(self, kind: int) -> Sequence[bool] | Sequence[int] | Sequence[float]:
        if kind not in _SCALARS:
            raise self.wrong(f"the GGUF header holds an array of type {kind}, which lctx does not know")
        code = _SCALARS[kind]
        values = array("B" if code == "?" else code)
        count = self.bound(self.unpack("Q"), values.itemsize, "values")
        start = self.need(count * values.itemsize)
        values.frombytes(self.buffer[start : self.position])
        if sys.byteorder == "big":
            values.byteswap()
        return [bool(value) for value in values] if code == "?" else values

    def value(self, kind: int) -> Value:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            inner = self.unpack("I")
            return self.strings() if inner == _STRING else self.numbers(inner)
        if kind not in _SCALARS:
            raise self.wrong(f"the GGUF header holds a value of type {kind}, which lctx does not know")
        return self.unpack(_SCALARS[kind])


def read_header(path: Path) -> GgufHeader:
    """The header of the GGUF file at `path`, checked to belong to a file that is there to its end.

    Raises:
        ModelFileError: There is no such file, it is not GGUF, of an unknown version, damaged or cut off.
    """
    try:
        with path.open("rb") as file:
            num_bytes = os.fstat(file.fileno()).st_size
            reader = _Reader(file, path, num_bytes)
            return _read(reader, num_bytes)
    except FileNotFoundError as error:
        raise ModelFileError(f"{path}: no such file", "check the path given to --model") from error
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror or error}") from error


def _read(reader: _Reader, num_bytes: int) -> GgufHeader:
    if num_bytes < len(MAGIC) or bytes(reader.buffer[reader.need(len(MAGIC)) :][: len(MAGIC)]) != MAGIC:
        raise reader.wrong("not a GGUF file" if num_bytes else "the file is empty")
    version = reader.unpack("I")
    if version not in _VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "big"), "little") in _VERSIONS
        why = "big-endian GGUF is not read" if swapped else f"GGUF version {version} is not known"
        raise reader.wrong(why)
    num_tensors = reader.unpack("Q")
    num_pairs = reader.unpack("Q")
    reader.bound(num_pairs, _MIN_PAIR_BYTES, "keys")
    metadata: dict[str, Value] = {}
    for _ in range(num_pairs):
        key = reader.string(_MAX_KEY_BYTES)
        metadata[key] = reader.value(reader.unpack("I"))
    counted, end = _tensors(reader, num_tensors, metadata.get("general.alignment", 32))
    if end > num_bytes:
        raise reader.wrong(f"cut off: {num_bytes} bytes are there, the header speaks of {end}")
    parts = ("embedding", "head", "routed", "vectors")
    return GgufHeader(version, metadata, counted.total(), *(counted[part] for part in parts))


def _tensors(reader: _Reader, count: int, alignment: Value) -> tuple[Counter[str], int]:
    """How many values the tensors of each part hold, and where in the file the last of them ends."""
    if not isinstance(alignment, int) or alignment <= 0:
        raise reader.wrong("the GGUF header names an impossible alignment")
    counted: Counter[str] = Counter()
    furthest = 0
    for _ in range(reader.bound(count, _MIN_TENSOR_BYTES, "tensors")):
        name = reader.string(_MAX_KEY_BYTES)
        num_dimensions = reader.unpack("I")
        if num_dimensions > _MAX_DIMENSIONS:
            raise reader.wrong(f"a tensor in the GGUF header claims {num_dimensions} dimensions")
        size = math.prod([reader.unpack("Q") for _ in range(num_dimensions)])
        per_block, block_bytes = _BLOCKS.get(reader.unpack("I"), (1, 0))  # of an unknown type: only its start
        furthest = max(furthest, reader.unpack("Q") + -(-size // per_block) * block_bytes)
        counted[_part(name, num_dimensions)] += size
    if not count:
        return counted, reader.position
    return counted, -(-reader.position // alignment) * alignment + furthest


def _part(name: str, num_dimensions: int) -> str:
    """Which of a header's counts the tensor belongs to.

    Source:
        llama.cpp, LLM_TENSOR_NAMES in src/llama-arch.cpp.
    """
    if name in _TABLES:
        return _TABLES[name]
    if "_exps." in name:
        return "routed"
    return "vectors" if num_dimensions <= 1 else "matrices"
