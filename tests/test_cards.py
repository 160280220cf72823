"""Tests of the bundled cards: every model that is known by name, where its numbers come from, and that they agree."""

import re

import pytest

from lctx.core.models.cards import UNVERIFIED, find_card, model_cards
from lctx.core.models.gguf import read_header
from lctx.core.models.layers import LayerKind
from lctx.core.models.shape_gguf import shape_from_gguf

PROMISED = [
    "Qwen2.5-7B-Instruct-1M", "Qwen2.5-14B-Instruct-1M", "Qwen2.5-7B", "Qwen2.5-72B", "Qwen3-4B", "Qwen3-8B",
    "Qwen3-32B", "Qwen3-30B-A3B", "Qwen3-30B-A3B-Instruct-2507", "Qwen3-Next-80B-A3B", "Llama-3.1-8B",
    "Llama-3.1-70B", "Llama-4-Scout", "Kimi-Linear-48B-A3B", "Kimi-K2", "DeepSeek-V2", "DeepSeek-V2-Lite",
    "DeepSeek-V3", "DeepSeek-V3.2", "gpt-oss-20b", "gpt-oss-120b", "Gemma-3-270M", "Gemma-3-1B", "Gemma-3-4B",
    "Gemma-3-12B", "Gemma-3-27B", "Mistral-7B-v0.1", "Phi-4-mini", "MiniMax-M2", "GLM-4.7", "GLM-5",
    "Nemotron-3-Nano-30B-A3B", "Jamba-v0.1", "SmolLM2-135M",
]  # fmt: skip


@pytest.mark.parametrize("name", PROMISED)
def test_a_promised_model_is_known(name):
    """This test ensures that a model is found by its name, in any case and with its maker, with layers and window."""
    card = find_card(name)
    assert card is not None
    assert find_card(f"maker/{name.upper()}") is card
    assert card.native_window >= 8192
    assert all(group.num_layers > 0 for group in card.shape.layers)


def test_every_kind_of_layer_is_among_them():
    """This test ensures that the cards cover what layers can be."""
    assert {group.kind for card in model_cards() for group in card.shape.layers} == set(LayerKind)


def test_each_card_says_where_its_numbers_come_from():
    """This test ensures that a source names one state of one file, or admits that none was seen."""
    place = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}:\S+|[\w.-]+==[\d.]+:\S+")
    for card in model_cards():
        assert card.source == UNVERIFIED or place.fullmatch(card.source), card.name
    assert sum(card.source == UNVERIFIED for card in model_cards()) < len(model_cards()) / 3


def test_no_two_cards_answer_to_one_name():
    """This test ensures that a name means one shape."""
    names = [name.casefold() for card in model_cards() for name in (card.name, *card.aliases)]
    assert len(names) == len(set(names))
    assert find_card("no-such-model") is None
    assert find_card("") is None


def test_a_card_agrees_with_the_embedded_model(gemma_gguf):
    """This test ensures that the card of Gemma 3 270M says what the header of its file says."""
    card = find_card("gemma-3-270m")
    assert card.shape == shape_from_gguf(read_header(gemma_gguf))


def test_a_card_agrees_with_the_second_model(smollm2_gguf):
    """This test ensures that the card of SmolLM2 says what the header of its file says."""
    header = read_header(smollm2_gguf)
    card = find_card("SmolLM2-135M")
    assert card.shape == shape_from_gguf(header)
    assert card.native_window == header.integer("llama.context_length")
