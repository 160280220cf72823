"""Embeddings and scores from an engine that serves such a model: texts in, numbers out, in batches."""

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

from lctx.core.errors import EngineError, EngineRefusedError

BATCH_TEXTS = 32
"""Texts in one request: an engine without a GPU answers these in seconds, and a step costs one round trip."""

Ask = Callable[[str, dict[str, Any]], Any]
"""One request to the common API: a path below its root, a body; the JSON value that came back."""


def embed(ask: Ask, model: str, texts: Sequence[str]) -> list[list[float]]:
    """One vector for each text, in order, all of one length.

    Raises:
        EngineRefusedError: The engine has no embeddings, a text is too long, or it answered something else.
    """
    vectors: list[list[float]] = []
    for start in range(0, len(texts), BATCH_TEXTS):
        batch = list(texts[start : start + BATCH_TEXTS])
        body = {"model": model, "input": batch, "encoding_format": "float"}
        answer = _asked(ask, "/embeddings", body, "embeddings")
        vectors += [_vector(item.get("embedding")) for item in _in_order(answer, "data", len(batch))]
    if len({len(vector) for vector in vectors}) > 1:
        raise EngineRefusedError("the engine's embeddings differ in length")
    return vectors


def score(
    ask: Ask,
    request: Callable[[str, Sequence[str]], tuple[str, dict[str, Any]]],
    query: str,
    texts: Sequence[str],
) -> list[float]:
    """How well each text answers to the query, in order: higher is better, the scale is the model's own.

    Args:
        ask: See `Ask`.
        request: The engine's own path and body for a query and its texts.
        query: What is looked for.
        texts: What may answer to it.

    Raises:
        EngineRefusedError: The engine has no scores, a text is too long, or it answered something else.
    """
    scores: list[float] = []
    for start in range(0, len(texts), BATCH_TEXTS):
        batch = texts[start : start + BATCH_TEXTS]
        path, body = request(query, batch)
        answer = _asked(ask, path, body, "scores")
        key = "results" if isinstance(answer, dict) and "results" in answer else "data"
        items = _in_order(answer, key, len(batch))
        scores += [_number(item.get("relevance_score", item.get("score"))) for item in items]
    return scores


def _asked(ask: Ask, path: str, body: dict[str, Any], what: str) -> Any:
    try:
        return ask(path, body)
    except EngineRefusedError as error:
        if not any(f"answered {status}:" in error.message for status in (404, 405, 501)):
            raise
        kind = "an embedding model" if what == "embeddings" else "a reranking model"
        raise EngineRefusedError(
            f"this engine has no {what}: {error.message}",
            f"serve {kind}, and name its address",
        ) from error


def _in_order(answer: Any, key: str, count: int) -> list[dict[str, Any]]:
    """The items by their index: engines may sort them by score."""
    items = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise EngineRefusedError(f"the engine's answer has no {key}")
    by_index = {_index(item.get("index", number)): item for number, item in enumerate(items)}
    if len(items) != count or set(by_index) != set(range(count)):
        raise EngineRefusedError(f"the engine answered for {len(items)} of {count} texts")
    return [by_index[number] for number in range(count)]


def _index(value: Any) -> int:
    return value if isinstance(value, int) else -1


def _vector(value: Any) -> list[float]:
    if not isinstance(value, list) or not value:
        raise EngineRefusedError("the engine's embedding is no list of numbers")
    return [_number(one) for one in value]


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise EngineError("the engine gave something that is no number where one was due")
    return float(value)
