"""The rope of a managed llama.cpp server: from the plan's choice to the process that serves with it."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from lctx.core.planning.rope import RopeChoice, llama_parameters, rope_fingerprint, rope_label

_KV_DTYPE = "float16"
"""Of keys and values, as the managed server keeps them."""


@dataclass(frozen=True, slots=True)
class LlamaRope:
    """What a server is told of its rope, for its whole life.

    Attributes:
        label: The scaling in a few words, or None where the rope is the file's own.
        fingerprint: Differs wherever keys and values of one rope are wrong under another; None where the rope
            is the file's own.
        parameters: Fields of llama.cpp's parameters, by name.
    """

    label: str | None
    fingerprint: str | None
    parameters: dict[str, Any]

    def to_json(self) -> str:
        """One argument of a command line. Nothing in it is secret."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "LlamaRope":
        """What `to_json` wrote."""
        return cls(**json.loads(text))


def llama_rope(choice: RopeChoice, server_id: str) -> LlamaRope:
    """The rope of the server `server_id`, whose id names its model's content.

    Raises:
        DoesNotFitError: llama.cpp cannot scale that way.
    """
    fingerprint = rope_fingerprint(server_id, choice, _KV_DTYPE) if choice.method else None
    return LlamaRope(rope_label(choice), fingerprint, llama_parameters(choice))
