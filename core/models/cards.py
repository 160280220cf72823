"""Bundled cards: what is known of models without their files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lctx.core.models.profile import AttentionShape
from lctx.core.models.rope import RopeConfig, rope_from_config
from lctx.core.models.shape import shape_from_config

UNVERIFIED = "unverified"
"""The source of a card whose numbers were not seen where they are published."""

# What names add to a model whose sizes and rope stay the same.
_TUNED = ("-instruct", "-it", "-pt", "-chat")
_MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What planning knows of a model that is not on this machine.

    Attributes:
        name: The model's usual name, without its maker.
        aliases: Other names of the same shape.
        source: Where its numbers were read: repository@commit:path or package==version:path, several divided
            by commas; or `UNVERIFIED`.
        native_window: Tokens that the rope of its config.json covers.
        shape: For KV-cache bytes.
        config: What its config.json says of sizes, rope and weights; not to be changed.
        rope: For longer windows.
        origin: Its maker's repository.
        licence: The terms of the weights, as they are called.
        parameters_published: Weights in all, as its maker states them.
        active_published: Weights that one token meets, as its maker states them, or None for a dense model.
    """

    name: str
    aliases: tuple[str, ...]
    source: str
    native_window: int
    shape: AttentionShape
    config: Mapping[str, Any] = field(hash=False, repr=False)
    rope: RopeConfig = field(hash=False, repr=False)
    origin: str
    licence: str
    parameters_published: int
    active_published: int | None = None

    @property
    def quantization(self) -> str:
        """The dtype of the weights as they are published: bfloat16, fp8, mxfp4."""
        quantized = self.config.get("quantization_config")
        if isinstance(quantized, Mapping):
            return str(quantized["quant_method"])
        return str(self.config.get("torch_dtype") or self.config["dtype"])


@cache
def model_cards() -> tuple[ModelCard, ...]:
    """Every bundled card, in the order of the file."""
    import tomllib

    content = tomllib.loads((Path(__file__).parent / "cards.toml").read_text("utf-8"))
    return tuple(map(_card, content["card"]))


def find_card(name: str) -> ModelCard | None:
    """The card of the model called `name`, or None.

    With or without its maker, in any case, however its parts are divided, and with or without "-Instruct".
    A name with a tag, as Ollama writes it (qwen3:8b), means the tuned model where the two have a card each.
    """
    plain = _divided(name)
    wanted = [f"{plain}-instruct", plain] if ":" in name else [plain]
    wanted += [plain.removesuffix(ending) for ending in _TUNED if plain.endswith(ending)]
    return next((card for one in wanted if (card := _by_key().get(_key(one)))), None)


def near_cards(name: str, limit: int = 3) -> tuple[str, ...]:
    """Names of at most `limit` cards that look like `name`, the nearest first."""
    from difflib import get_close_matches

    cards = _by_key()
    found = get_close_matches(_key(_divided(name)), cards, n=len(cards), cutoff=0.6)
    return tuple(dict.fromkeys(cards[key].name for key in found))[:limit]


@cache
def _by_key() -> Mapping[str, ModelCard]:
    return {_key(_divided(name)): card for card in model_cards() for name in (card.name, *card.aliases)}


def _divided(name: str) -> str:
    """The name in lower case without its maker, its parts divided by hyphens."""
    return re.sub(r"[_:\s]", "-", name[-_MAX_NAME:].rpartition("/")[2].casefold())


def _key(divided: str) -> str:
    return divided.replace("-", "")


def _card(kept: Mapping[str, Any]) -> ModelCard:
    config, source = kept["config"], kept["source"]
    shape, rope = shape_from_config(config), rope_from_config(config)
    if shape is None or rope is None:
        raise ValueError(f"the card of {kept['name']} has no shape or no window")
    return ModelCard(
        kept["name"],
        tuple(kept.get("aliases", ())),
        source if isinstance(source, str) else ", ".join(source),
        rope.window,
        shape,
        MappingProxyType(config),
        rope,
        kept["origin"],
        kept["licence"],
        kept["parameters_published"],
        kept.get("active_published"),
    )
