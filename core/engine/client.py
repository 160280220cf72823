"""An engine behind an address: one request at a time becomes one stream of events."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lctx.core.engine.address import Address
from lctx.core.engine.answer_text import AnswerText
from lctx.core.engine.connection import Connection, error_message, fetch_json, fetch_text
from lctx.core.engine.dialects import Dialect, VllmDialect, finish_reason
from lctx.core.engine.events import EngineEvent, Finished, FinishReason, PrefillProgress, Usage
from lctx.core.engine.protocol import Prompt, Sampling
from lctx.core.engine.stream import read_messages
from lctx.core.errors import EngineCrashedError, EngineError, EngineLoadingError, EngineRefusedError

_RETRY_S = 0.5
_POLL_S = 0.5
_MOST_FAILURES = 2
_UNKNOWN_USAGE = Usage(0, 0, 0, known=False)


class ServedEngine:
    """An `Engine` that speaks the OpenAI-compatible API at `address`."""

    def __init__(
        self,
        dialect: Dialect,
        address: Address,
        *,
        model: str,
        window: int,
        label: str,
        api_key: str | None = None,
        is_healthy: Callable[[], bool] | None = None,
        on_failure: Callable[[EngineError], EngineError] | None = None,
        on_close: Callable[[], None] | None = None,
        wait_s: float = 0.0,
    ) -> None:
        """Name everything; nothing is connected before the first request.

        Args:
            dialect: What the engine says differently.
            address: Where it listens.
            model: As it calls its model.
            window: Tokens of prompt and answer together.
            label: The engine and its version or address.
            api_key: Sent as a bearer token.
            is_healthy: Asked when the engine is silent for long; where True the request waits on.
            on_failure: Told of each failure of a request; returns the error to raise.
            on_close: Called once, when the engine is let go.
            wait_s: How long an engine is asked again that is loading, or that names a time to come back.
        """
        self._dialect = dialect
        self._address = address
        self._model = model
        self._window = window
        self._label = label
        self._api_key = api_key
        self._is_healthy = is_healthy
        self._on_failure = on_failure
        self._on_close = on_close
        self._wait_s = wait_s

    @property
    def label(self) -> str:
        """The engine and its version or address, as answers report it."""
        return self._label

    @property
    def model(self) -> str:
        """The model, as the engine calls it."""
        return self._model

    @property
    def window(self) -> int:
        """Tokens of prompt and answer together that one request may hold."""
        return self._window

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        """The events of the answer to `prompt`; closing the iterator drops the request.

        Raises:
            EngineError: The engine refused, or the stream ended before the answer did.
        """
        path, body = self._dialect.request(self._model, prompt, sampling)
        try:
            try:
                yield from self._answered(path, body, prompt, sampling)
            except EngineRefusedError as error:
                # A field that this engine refuses, told before the first token: the answer can do without.
                if not self._dialect.gives_up(body, error.message):
                    raise
                yield from self._answered(path, body, prompt, sampling)
        except EngineError as error:
            if (translated := self._translated(error)) is error:
                raise
            raise translated from error

    def _answered(
        self, path: str, body: dict[str, Any], prompt: Prompt, sampling: Sampling
    ) -> Iterator[EngineEvent]:
        connection, content_type = self._sent(path, body)
        try:
            if content_type != "text/event-stream":
                raise EngineRefusedError(
                    f"{self._address.text}: the engine sent {content_type} instead of a stream of events",
                    "check that the address is an OpenAI-compatible API",
                )
            if self._dialect.has_metrics and "prompt" in body:
                yield from self._read_so_far(connection, len(prompt))
            yield from self._events(connection, sampling)
        finally:
            connection.close()

    def _sent(self, path: str, body: dict[str, Any]) -> tuple[Connection, str]:
        """The connection that the answer comes on, and what kind of content it is.

        Sent again only where the engine said, before it answered anything, that it cannot answer now.
        """
        deadline = time.monotonic() + self._wait_s
        while True:
            connection = Connection(self._address, self._api_key, self._dialect.stall_s, self._is_healthy)
            try:
                response = connection.send("POST", self._address.api + path, body)
                return connection, response.headers.get_content_type()
            except BaseException as error:
                pause = connection.retry_after_s
                connection.close()
                if isinstance(error, EngineLoadingError):
                    pause = _RETRY_S if pause is None else pause
                elif not isinstance(error, EngineRefusedError) or pause is None:
                    raise
                if time.monotonic() + pause >= deadline:
                    raise
            time.sleep(pause)

    def _read_so_far(self, connection: Connection, total: int) -> Iterator[PrefillProgress]:
        """The progress that the engine's metrics tell of, until the first of the answer is there."""
        if connection.arrives(_POLL_S):
            return  # most answers come at once: what follows is not even imported for them
        from lctx.core.engine.progress import PrefillMeter

        meter, failures = PrefillMeter(total), 0
        deadline = time.monotonic() + self._dialect.stall_s
        while not connection.arrives(_POLL_S):
            try:
                page = fetch_text(self._address, f"{self._address.root}/metrics", api_key=self._api_key)
            except (EngineError, EngineLoadingError):
                failures += 1
                if failures == _MOST_FAILURES:
                    return
                continue
            if (progress := meter.reading(page)) is not None:
                deadline = time.monotonic() + self._dialect.stall_s
                yield progress
            if time.monotonic() > deadline:
                raise connection.broken(TimeoutError())

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text, in order.

        Raises:
            EngineError: See `vectors.embed`.
        """
        from lctx.core.engine.vectors import embed

        return embed(self._post_api, self._model, texts)

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers to the query, in order; higher is better.

        Raises:
            EngineError: See `vectors.score`.
        """
        from functools import partial

        from lctx.core.engine.vectors import score

        return score(self._post_api, partial(self._dialect.score_request, self._model), query, texts)

    def tokenize(self, text: str) -> list[int]:
        """The engine's own ids of `text`, without a begin-of-sequence id.

        llama.cpp takes special tokens as ordinary text; vLLM does as its tokenizer is configured.
        """
        answer = self.post("/tokenize", self._dialect.tokenize_request(self._model, text))
        tokens = answer.get("tokens") if isinstance(answer, dict) else None
        if not isinstance(tokens, list):
            raise EngineRefusedError(f"{self._address.text}: the engine's /tokenize gave no tokens")
        return tokens

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """What the engine answers to a request outside of the common API; `path` stands beside `/v1`."""
        return self._post(self._address.root + path, body)

    def _post_api(self, path: str, body: dict[str, Any]) -> Any:
        return self._post(self._address.api + path, body)

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        try:
            return fetch_json(self._address, "POST", path, body, api_key=self._api_key)
        except EngineError as error:
            if (translated := self._translated(error)) is error:
                raise
            raise translated from error

    def salt_cache(self, salt: str) -> None:
        """Have a vLLM keep what later requests leave in its KV cache apart from all with another salt."""
        if isinstance(self._dialect, VllmDialect):
            self._dialect.cache_salt = salt

    def close(self) -> None:
        """Let go of the engine. A server that lctx manages stays warm."""
        if self._on_close is not None:
            on_close, self._on_close = self._on_close, None
            on_close()

    def _translated(self, error: EngineError) -> EngineError:
        return self._on_failure(error) if self._on_failure is not None else error

    def _events(self, connection: Connection, sampling: Sampling) -> Iterator[EngineEvent]:
        reason: FinishReason | None = None
        usage = _UNKNOWN_USAGE
        answer = AnswerText(sampling, wraps_choice=self._dialect.wraps_choice)
        held = held_reasoning = ""
        for message in read_messages(connection.read):
            self._require_sound(message)
            if (progress := self._dialect.progress(message)) is not None:
                yield progress
            said, text, told = _choice(message)
            if said is not None:
                said, held_reasoning = whole_characters(held_reasoning + said)
                yield from answer.reasoning(said)
            text, held = whole_characters(held + text)
            if text:
                yield from answer.feed(text)
            if told:
                if told == "error":
                    raise EngineCrashedError(f"{self._address.text}: the engine failed midway")
                reason = finish_reason(told)
            usage = self._dialect.usage(message) or usage
        if reason is None:
            raise EngineCrashedError(
                f"{self._address.text}: the stream ended before the answer did",
                "see whether the engine still runs, and try again",
            )
        if held:
            yield from answer.feed("\N{REPLACEMENT CHARACTER}")
        yield from answer.finish()
        if answer.has_reasoning and not answer.has_answer:
            raise _only_reasoning(reason, usage)
        yield Finished(FinishReason.STOP if answer.is_stopped else reason, usage)

    def _require_sound(self, message: Any) -> None:
        if not isinstance(message, dict):
            raise EngineCrashedError(f"{self._address.text}: the engine sent an event that is no object")
        if message.get("error") or message.get("object") == "error":
            raise EngineRefusedError(
                f"{self._address.text}: the engine failed midway: {error_message(message)}"
            )


def _only_reasoning(reason: FinishReason, usage: Usage) -> EngineError:
    if reason is not FinishReason.LENGTH:
        return EngineError(
            "the model reasoned, and ended without an answer", "ask again, or ask another model"
        )
    spent = f"all {usage.completion_tokens:,} tokens" if usage.known else "all of its tokens"
    return EngineError(
        f"the model spent {spent} on reasoning and came to no answer",
        "raise --max-tokens, or ask a model that does not reason",
    )


def _choice(message: dict[str, Any]) -> tuple[str | None, str, str | None]:
    """The reasoning, the text and the finish reason of the first choice, on either path of the API."""
    choices = message.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return None, "", None
    choice = choices[0]
    delta = choice.get("delta")
    text = delta.get("content") if isinstance(delta, dict) else choice.get("text")
    # vLLM says "reasoning" (before 0.14 "reasoning_content", as llama.cpp and others do).
    said = (delta.get("reasoning") or delta.get("reasoning_content")) if isinstance(delta, dict) else None
    told = choice.get("finish_reason")
    return (
        said if isinstance(said, str) else None,
        text if isinstance(text, str) else "",
        told if isinstance(told, str) else None,
    )


def whole_characters(text: str) -> tuple[str, str]:
    r"""`text` without half a character, and the half that its end may hold until more arrives.

    JSON spells characters beyond U+FFFF as two `\u` escapes, and an engine may cut between them.
    """
    if not any("\ud800" <= char <= "\udfff" for char in text):
        return text, ""
    cut = len(text) - 1 if "\ud800" <= text[-1] <= "\udbff" else len(text)
    whole = text[:cut].encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole, text[cut:]
