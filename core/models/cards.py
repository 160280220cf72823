"""Bundled cards: the shapes of models that are known without their files."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lctx.core.models.profile import AttentionShape
from lctx.core.models.shape import shape_from_config, whole

UNVERIFIED = "unverified"
"""The source of a card whose numbers were not seen where they are published."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What planning knows of a model that is not on this machine.

    Attributes:
        name: The model's usual name, without its maker.
        aliases: Other names of the same shape.
        source: Where its numbers were read: repository@commit:path or package==version:path; or `UNVERIFIED`.
        native_window: Tokens that its config.json declares.
        shape: For KV-cache bytes.
    """

    name: str
    aliases: tuple[str, ...]
    source: str
    native_window: int
    shape: AttentionShape


@cache
def model_cards() -> tuple[ModelCard, ...]:
    """Every bundled card, in the order of the file."""
    import tomllib

    content = tomllib.loads((Path(__file__).parent / "cards.toml").read_text("utf-8"))
    return tuple(map(_card, content["card"]))


def find_card(name: str) -> ModelCard | None:
    """The card of the model called `name`, with or without its maker and in any case, or None."""
    wanted = name.rpartition("/")[2].casefold()
    for card in model_cards():
        if wanted in {one.casefold() for one in (card.name, *card.aliases)}:
            return card
    return None


def _card(kept: Mapping[str, Any]) -> ModelCard:
    shape, window = shape_from_config(kept["config"]), whole(kept["config"], "max_position_embeddings")
    if shape is None or window is None:
        raise ValueError(f"the card of {kept['name']} has no shape or no window")
    return ModelCard(kept["name"], tuple(kept.get("aliases", ())), kept["source"], window, shape)
