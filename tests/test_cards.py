"""Tests of the bundled cards: every model that is known by name, where its numbers come from, and that they agree."""

import re
import subprocess
import sys

import pytest

from lctx.core.models.cards import UNVERIFIED, find_card, model_cards, near_cards
from lctx.core.models.compute import compute_from_config
from lctx.core.models.gguf import read_header
from lctx.core.models.layers import LayerKind
from lctx.core.models.parameters import count_parameters
from lctx.core.models.rope import RopeType
from lctx.core.models.shape_gguf import shape_from_gguf

PROMISED = [
    "Qwen2.5-7B-Instruct-1M", "Qwen2.5-14B-Instruct-1M", "Qwen2.5-7B", "Qwen2.5-14B", "Qwen2.5-72B", "Qwen3-4B",
    "Qwen3-8B", "Qwen3-14B", "Qwen3-32B", "Qwen3-30B-A3B", "Qwen3-30B-A3B-Instruct-2507", "Qwen3-Next-80B-A3B",
    "Llama-3.1-8B", "Llama-3.1-70B", "Llama-4-Scout", "Kimi-Linear-48B-A3B", "Kimi-K2", "DeepSeek-V2",
    "DeepSeek-V2-Lite", "DeepSeek-V3", "DeepSeek-V3.2", "gpt-oss-20b", "gpt-oss-120b", "Gemma-3-270M", "Gemma-3-1B",
    "Gemma-3-4B", "Gemma-3-12B", "Gemma-3-27B", "Mistral-7B-v0.1", "Phi-4-mini", "MiniMax-M2", "GLM-4.5", "GLM-4.6",
    "GLM-4.7", "GLM-5", "Nemotron-3-Nano-30B-A3B", "Jamba-v0.1", "SmolLM2-135M",
]  # fmt: skip
CARDS = pytest.mark.parametrize("card", model_cards(), ids=lambda card: card.name)


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
    """This test ensures that a source names states of files, one or several, or admits that none was seen."""
    place = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}:\S+|[\w.-]+==[\d.]+:\S+")
    for card in model_cards():
        assert card.source == UNVERIFIED or all(map(place.fullmatch, card.source.split(", "))), card.name
    assert sum(card.source == UNVERIFIED for card in model_cards()) < len(model_cards()) / 3


def test_no_two_cards_answer_to_one_name():
    """This test ensures that a name means one shape, however it is divided."""
    names = [
        re.sub(r"[-_: ]", "", name).casefold()
        for card in model_cards()
        for name in (card.name, *card.aliases)
    ]
    assert len(names) == len(set(names))
    assert find_card("no-such-model") is None
    assert find_card("") is None
    assert find_card("-instruct") is None


NAMES = [
    ("qwen3:8b", "Qwen3-8B"),
    ("llama3.1:8b", "Llama-3.1-8B"),
    ("gemma3:27b", "Gemma-3-27B"),
    ("GPT_OSS_20b", "gpt-oss-20b"),
    ("google/gemma-3-4b-it", "Gemma-3-4B"),
    ("meta-llama/Llama-3.1-70B-Instruct", "Llama-3.1-70B"),
    ("moonshotai/Kimi-K2-Instruct", "Kimi-K2"),
    ("mistralai/Mistral-7B-Instruct-v0.1", "Mistral-7B-v0.1"),
    ("Qwen/Qwen2.5-7B", "Qwen2.5-7B"),
    ("Qwen/Qwen2.5-7B-Instruct", "Qwen2.5-7B-Instruct"),
    ("qwen2.5:7b", "Qwen2.5-7B-Instruct"),
]


@pytest.mark.parametrize(("written", "name"), NAMES)
def test_a_name_is_understood_as_it_is_written_elsewhere(written, name):
    """This test ensures that hubs, engines and file names lead to the same card, and to the tuned one where it differs."""
    assert find_card(written).name == name


@pytest.mark.parametrize(
    "written", ["Qwen3-8B-FP8", "Qwen3-8B-Base", "Qwen3-80B", "Kimi-K2-Instruct-0905", "x" * 1_000_000]
)
def test_another_model_is_not_taken_for_a_known_one(written):
    """This test ensures that a name that stands for other weights or another window gets no card."""
    assert find_card(written) is None


def test_near_names_are_suggested():
    """This test ensures that a slip of the pen meets what was meant, first, and nonsense nothing."""
    assert near_cards("qwen3-8")[0] == "Qwen3-8B"
    assert near_cards("Qwen3-8B-FP8")[0] == "Qwen3-8B"
    assert near_cards("maker/Lama-3.1-8B")[0] == "Llama-3.1-8B"
    assert len(near_cards("gemma-3", limit=5)) == len(set(near_cards("gemma-3", limit=5))) == 5
    assert near_cards("") == near_cards("zzzz") == near_cards("x" * 1_000_000) == ()


@CARDS
def test_a_card_is_complete(card):
    """This test ensures that a card names its maker, its terms and the dtype of its weights, and answers to its origin."""
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", card.origin)
    assert find_card(card.origin) is card
    assert card.licence
    assert card.quantization in {"bfloat16", "fp8", "mxfp4"}
    assert card.config["model_type"]


@CARDS
def test_a_card_cannot_be_changed(card):
    """This test ensures that nobody who plans with a card changes it for the next one, and that it can be a key."""
    with pytest.raises(TypeError):
        card.config["vocab_size"] = 1
    assert {card: 1}[card] == 1


# Published in whole billions only, which is not within 2 %.
ROUNDED = {"Kimi-Linear-48B-A3B": 0.025, "Qwen3-Next-80B-A3B": 0.08}


@CARDS
def test_a_card_has_as_many_weights_as_its_maker_says(card):
    """This test ensures that the sizes of a card add up to the published number within 2 %."""
    within = ROUNDED.get(card.name, 0.02)
    assert count_parameters(card.config).total == pytest.approx(card.parameters_published, rel=within)


@CARDS
def test_a_card_activates_as_many_weights_as_its_maker_says(card):
    """This test ensures that experts, shared experts and experts a token are right; makers count the tables or not."""
    count, within = count_parameters(card.config), ROUNDED.get(card.name, 0.02)
    if card.active_published is None:
        assert count.routed == 0
        return
    assert 0 < count.active < count.total / 2
    with_tables = count.active + count.embedding + count.head
    assert count.active * (1 - within) <= card.active_published <= with_tables * (1 + within)


# FLOPs of one query with one key, over all layers that see everything: 2 x layers x heads x (key + value).
PAIRS = [
    ("Llama-3.1-8B", 2 * 32 * 32 * (128 + 128)),
    ("Qwen3-Next-80B-A3B", 2 * 12 * 16 * (256 + 256)),
    ("Llama-4-Scout", 2 * 12 * 40 * (128 + 128)),
    ("Gemma-3-27B", 2 * 10 * 32 * (128 + 128)),
    ("gpt-oss-120b", 2 * 18 * 64 * (64 + 64)),
    ("Nemotron-3-Nano-30B-A3B", 2 * 6 * 32 * (128 + 128)),
    ("Jamba-v0.1", 2 * 4 * 32 * (128 + 128)),
    ("Kimi-Linear-48B-A3B", 2 * 7 * 32 * (192 + 128)),
    ("DeepSeek-V3", 2 * 61 * 128 * (192 + 128)),
    ("DeepSeek-V3.2", 2 * 61 * 64 * 128),
    ("GLM-5", 2 * 78 * 32 * 128),
    ("Mistral-7B-v0.1", 0),
]


@pytest.mark.parametrize(("name", "flops"), PAIRS)
def test_a_card_knows_what_a_longer_prompt_computes(name, flops):
    """This test ensures that of a card alone the square of the length is priced right, for every kind of layer."""
    attention = compute_from_config(find_card(name).config).attention
    assert sum(cost.num_layers * cost.pair_flops for cost in attention if cost.reach is None) == flops


@CARDS
def test_a_card_says_what_a_token_computes(card):
    """This test ensures that no card lacks what the time of a prompt is predicted from."""
    compute = compute_from_config(card.config)
    assert compute.parameters == count_parameters(card.config)
    assert compute.prefill_flops(2000) > 2000 * 2 * compute.parameters.active
    assert compute.decode_flops(100_000) > compute.decode_flops(1) > 2 * compute.parameters.active


ROPES = [
    ("Llama-3.1-8B", RopeType.LLAMA3, 8192, 131_072),
    ("Phi-4-mini", RopeType.LONGROPE, 4096, 131_072),
    ("DeepSeek-V3", RopeType.YARN, 4096, 163_840),
    ("Kimi-K2", RopeType.YARN, 4096, 131_072),
    ("gpt-oss-20b", RopeType.YARN, 4096, 131_072),
    ("Qwen3-8B", RopeType.DEFAULT, 32_768, 40_960),
    ("Qwen2.5-7B-Instruct", RopeType.DEFAULT, 32_768, 32_768),
    ("Qwen2.5-7B-Instruct-1M", RopeType.DEFAULT, 262_144, 262_144),
]


@pytest.mark.parametrize(("name", "kind", "trained", "window"), ROPES)
def test_a_card_knows_its_rope(name, kind, trained, window):
    """This test ensures that a card says how its positions are scaled, from which length and to which."""
    card = find_card(name)
    assert (card.rope.kind, card.rope.trained, card.rope.window) == (kind, trained, window)
    assert card.native_window == window


def test_longrope_carries_a_factor_for_each_frequency():
    """This test ensures that the override of Phi-4-mini can be written whole: 48 factors for 96 rotated values."""
    rope = find_card("Phi-4-mini").rope
    factors = dict(rope.parameters)
    assert len(factors["long_factor"]) == len(factors["short_factor"]) == rope.rotary_dim // 2 == 48


@pytest.mark.parametrize(
    ("name", "dtype"), [("DeepSeek-V3", "fp8"), ("gpt-oss-120b", "mxfp4"), ("GLM-5", "bfloat16")]
)
def test_a_card_knows_how_its_weights_are_stored(name, dtype):
    """This test ensures that the published dtype is read from either key of the config."""
    assert find_card(name).quantization == dtype


def test_a_card_agrees_with_the_embedded_model(gemma_gguf):
    """This test ensures that the card of Gemma 3 270M says what the header of its file says."""
    check_against(find_card("gemma-3-270m"), read_header(gemma_gguf))


def test_a_card_agrees_with_the_second_model(smollm2_gguf):
    """This test ensures that the card of SmolLM2 says what the header of its file says."""
    check_against(find_card("SmolLM2-135M"), read_header(smollm2_gguf))


def check_against(card, header):
    """Shape, window, sizes and rope of the card are those of the file."""
    prefix = header.architecture
    assert card.shape == shape_from_gguf(header)
    assert card.native_window == header.integer(f"{prefix}.context_length")
    assert card.config["intermediate_size"] == header.integer(f"{prefix}.feed_forward_length")
    assert card.config["vocab_size"] == len(header.strings("tokenizer.ggml.tokens"))
    assert card.rope.theta == header.metadata[f"{prefix}.rope.freq_base"]
    assert count_parameters(card.config).total == header.num_parameters


def test_cards_are_not_read_before_they_are_asked_for():
    """This test ensures that a command that names no card does not pay for them."""
    code = (
        "import lctx.core.models.cards as cards; assert not cards.model_cards.cache_info().currsize;"
        "cards.model_cards(); assert cards.model_cards.cache_info().currsize"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
