"""The JSON Schema of a record, as `docs/reference` holds it."""

import inspect
from typing import Any

import msgspec


def schema_of(record: type[msgspec.Struct], title: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `record`; the same whatever release of msgspec writes it."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    schema = head | msgspec.json.schema(record)
    for one in schema.get("$defs", {}).values():
        if "description" in one:
            # Docstrings: msgspec 0.23 takes their indentation away, and those before leave it.
            one["description"] = inspect.cleandoc(one["description"])
    return schema
