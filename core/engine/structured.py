"""The form that an answer is held to, one type for every engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class StructuredOutput:
    """A JSON Schema, a choice or a pattern: exactly one of them.

    Attributes:
        json_schema: The answer is JSON that this schema describes.
        choice: The answer is one of these texts.
        regex: The answer, from its first character to its last, matches this pattern.
    """

    json_schema: Mapping[str, Any] | None = None
    choice: tuple[str, ...] | None = None
    regex: str | None = None

    def __post_init__(self) -> None:
        given = [one for one in (self.json_schema, self.choice, self.regex) if one is not None]
        if len(given) != 1:
            raise ValueError("structured output is a schema, a choice or a pattern: exactly one")
        if self.choice is not None and (not self.choice or "" in self.choice):
            raise ValueError("a choice is among texts that are not empty")
