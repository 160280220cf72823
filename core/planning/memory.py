"""What of a device's memory goes to what, what remains for the KV cache, and how long a window that holds."""

from collections.abc import Callable
from dataclasses import dataclass

from lctx.core.errors import DoesNotFitError

_GIB = 2**30
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class MemoryTerm:
    """A part of the memory that is not KV cache.

    Attributes:
        name: What it is for, one or two words.
        bytes: Its size on each device.
        why: How it was worked out, one line.
    """

    name: str
    bytes: int
    why: str


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The memory of one device: what is taken, and what remains for keys and values.

    Attributes:
        total_bytes: All of it; of a CPU, what is available.
        terms: What is taken, in the order in which an engine takes it.
        host_bytes: Of a GPU's machine, main memory that the engine takes besides and that grows with the
            window.
    """

    total_bytes: int
    terms: tuple[MemoryTerm, ...]
    host_bytes: int = 0

    @property
    def taken_bytes(self) -> int:
        """Bytes of all terms; more than the total where the model does not fit."""
        return sum(term.bytes for term in self.terms)

    @property
    def kv_bytes(self) -> int:
        """Bytes that remain for the KV cache on each device; 0 where nothing does."""
        return max(0, self.total_bytes - self.taken_bytes)

    def term(self, name: str) -> MemoryTerm:
        """The term called `name`.

        Raises:
            KeyError: There is none.
        """
        for term in self.terms:
            if term.name == name:
                return term
        raise KeyError(name)


def largest_window(
    memory_at: Callable[[int], MemoryPlan], kv_at: Callable[[int], int], ceiling: int, step: int = 1
) -> int:
    """The longest window up to `ceiling` whose KV cache fits beside all else; 0 where none does.

    Terms such as block tables grow with the window too, so both sides are asked anew for each length; neither
    may shrink as the window grows.

    Args:
        memory_at: The plan for a window of so many tokens.
        kv_at: Bytes of KV cache that a window of so many tokens needs on each device.
        ceiling: Tokens; taken as it is where it fits.
        step: A shorter window is a whole multiple of this, the size of a block.
    """
    if ceiling < 0 or step < 1:
        raise ValueError(f"ceiling must be >= 0 and step >= 1, got {ceiling} and {step}")

    def fits(window: int) -> bool:
        memory = memory_at(window)
        return memory.taken_bytes <= memory.total_bytes and kv_at(window) <= memory.kv_bytes

    if not ceiling or fits(ceiling):
        return ceiling
    fitting, too_many = 0, -(-ceiling // step)
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        if fits(middle * step):
            fitting = middle
        else:
            too_many = middle
    return fitting * step


def does_not_fit(window: int, kv_bytes: int, memory: MemoryPlan, largest: int) -> DoesNotFitError:
    """The error that says by how much a window is too long, and which one would do.

    Args:
        window: Tokens that were asked for.
        kv_bytes: What its KV cache needs on each device.
        memory: The plan for that window.
        largest: What `largest_window` found; 0 for none.
    """
    if not largest:
        parts = sorted(memory.terms, key=lambda term: -term.bytes)[:2]
        told = ", ".join(f"{term.name} {format_bytes(term.bytes)}" for term in parts)
        return DoesNotFitError(
            f"the model on this device: takes {format_bytes(memory.taken_bytes)} before the KV cache "
            f"({told}), {format_bytes(memory.total_bytes)} are there",
            "choose a smaller or a quantised model, or a larger device with --gpu",
        )
    return DoesNotFitError(
        f"a window of {window:,} tokens: needs {format_bytes(kv_bytes)} for the KV cache, "
        f"{format_bytes(memory.kv_bytes)} available: largest window {largest:,}",
        f"ask for --window {largest}, keep the KV cache in fewer bytes with --kv-dtype, or plan for a larger "
        "device with --gpu",
    )


def format_bytes(num_bytes: int) -> str:
    """`num_bytes` in GiB, in MiB below one of those."""
    if num_bytes < _GIB:
        return f"{num_bytes / _MIB:.1f} MiB"
    return f"{num_bytes / _GIB:.1f} GiB"
