"""Counts without a vocabulary: how far off they may be."""

from pathlib import Path

import pytest
from token_texts import SCRIPTS

from lctx.core.models.resolve import resolve_model
from lctx.core.tokens.estimate import EstimatingTokenizer
from lctx.core.tokens.load import load_tokenizer

ROOT = Path(__file__).resolve().parent.parent


def exact_counts(path, cache, texts):
    return sum(load_tokenizer(resolve_model(str(path), cache), cache).count_batch(texts))


@pytest.mark.parametrize(("pattern", "error"), [("core/**/*.py", 0.15), ("docs/**/*.md", 0.15)])
def test_english_and_code_are_near(pattern, error, gemma_gguf, smollm2_gguf, model_cache):
    """This test ensures that English and Python stay within the stated error of two unlike vocabularies."""
    texts = [path.read_text("utf-8") for path in sorted(ROOT.glob(pattern))]
    estimate = sum(EstimatingTokenizer().count_batch(texts))
    for path in (gemma_gguf, smollm2_gguf):
        assert estimate == pytest.approx(exact_counts(path, model_cache, texts), rel=error)


def test_other_scripts_are_within_half(gemma_gguf, model_cache):
    """This test ensures that no script is taken for something that costs nothing, even in a sentence or two."""
    tokenizer = load_tokenizer(resolve_model(str(gemma_gguf), model_cache), model_cache)
    for name, text in SCRIPTS.items():
        estimate = EstimatingTokenizer().count_batch([text])[0]
        assert estimate == pytest.approx(len(tokenizer.encode(text)), rel=0.5), name


def test_an_estimate_says_so():
    """This test ensures that nobody takes an estimate for a count, or for ids."""
    tokenizer = EstimatingTokenizer()
    assert not tokenizer.exact
    assert tokenizer.special("<bos>") is None
    assert tokenizer.count_batch(["", "a", "\ud800", "word " * 1000]) == [0, 1, 1, 790]
    with pytest.raises(ValueError, match="no token ids"):
        tokenizer.encode("a")
    with pytest.raises(ValueError, match="no token ids"):
        tokenizer.encode_batch(["a"])
