"""An engine's own tokenizer, asked over its address."""

import pytest
from llama_server import serving
from token_texts import TEXTS

from lctx.core.models.resolve import resolve_model
from lctx.core.tokens.load import load_tokenizer
from lctx.core.tokens.served import ServedTokenizer


@pytest.mark.engine
def test_a_served_tokenizer_is_exact(smollm2_gguf, model_cache):
    """This test ensures that counting through an engine and through its files gives the same ids."""
    ours = load_tokenizer(resolve_model(str(smollm2_gguf), model_cache), model_cache)
    texts = list(TEXTS.values())
    with serving(smollm2_gguf) as server:
        served = ServedTokenizer(server.tokenize, "http://localhost smollm2")
        assert served.exact
        assert served.encode_batch(texts) == ours.encode_batch(texts)
        assert served.count_batch(texts) == ours.count_batch(texts)
    assert served.special("<|im_end|>") is None
    assert "smollm2" in served.hash


def test_nothing_is_not_asked():
    """This test ensures that an empty text costs no request."""
    served = ServedTokenizer(lambda text: 1 / 0, "nowhere")
    assert served.encode("") == []
    assert served.count_batch([""]) == [0]
