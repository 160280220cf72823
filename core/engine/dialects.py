"""What differs between engines that speak the same API: a few fields of the request and of the answer."""

from collections.abc import Sequence
from typing import Any, ClassVar

from lctx.core.engine.events import FinishReason, PrefillProgress, Usage
from lctx.core.engine.protocol import Message, Prompt, Sampling
from lctx.core.engine.structured import StructuredOutput
from lctx.core.errors import EngineRefusedError

CHOICE_KEY = "choice"
_REASONS = {"length": FinishReason.LENGTH, "max_tokens": FinishReason.LENGTH, "abort": FinishReason.ABORT}


class Dialect:
    """Plain OpenAI-compatible: what every engine understands."""

    kind: ClassVar[str] = "endpoint"
    wraps_choice: ClassVar[bool] = True
    """Whether a choice comes back inside a JSON object."""
    has_metrics: ClassVar[bool] = False
    """Whether /metrics tells how much of a prompt has been read."""
    stall_s: ClassVar[float] = 600.0
    """Silence that is a failure. A shared server may queue a request, or read a long prompt, for minutes."""

    def request(self, model: str, prompt: Prompt, sampling: Sampling) -> tuple[str, dict[str, Any]]:
        """The path below the API's root, and the body, of a request for `prompt`."""
        body: dict[str, Any] = {
            "model": model,
            "max_tokens": sampling.total_tokens,
            "temperature": sampling.temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        if sampling.stop and sampling.reasoning is None:  # a reasoning would be stopped as well
            body["stop"] = list(sampling.stop)
        if sampling.structured is not None:
            body |= self.constrain(sampling.structured)
        messages = _messages(prompt)
        if messages is None:
            return "/completions", body | {"prompt": list(prompt)}
        return "/chat/completions", body | {"messages": messages}

    def constrain(self, structured: StructuredOutput) -> dict[str, Any]:
        """The fields that hold the answer to a form.

        Raises:
            EngineRefusedError: This engine cannot hold an answer to that.
        """
        if structured.regex is not None:
            from lctx.core.engine.gbnf import shown

            pattern = shown(structured.regex)
            raise EngineRefusedError(
                f"{pattern}: an endpoint cannot hold an answer to a pattern: its API has no field for it",
                "use a JSON schema or a choice, or an engine of kind vllm or llama",
            )
        schema = structured.json_schema
        if structured.choice is not None:
            schema = _choice_schema(structured.choice)
        return {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema, "strict": True},
            }
        }

    def gives_up(self, body: dict[str, Any], told: str) -> bool:  # noqa: ARG002  (vLLM may)
        """Whether `body` was refused for a field that is only a help; it is gone from it then."""
        return False

    def tokenize_request(self, model: str, text: str) -> dict[str, Any]:
        """The body of a request to `/tokenize`."""
        return {"model": model, "prompt": text, "add_special_tokens": False}

    def score_request(self, model: str, query: str, texts: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """The path and the body of a request for how well each text answers to the query."""
        return "/rerank", {"model": model, "query": query, "documents": list(texts), "top_n": len(texts)}

    def progress(self, message: dict[str, Any]) -> PrefillProgress | None:  # noqa: ARG002  (llama.cpp tells)
        """How much of the prompt has been read, where the message says."""
        return None

    def usage(self, message: dict[str, Any]) -> Usage | None:
        """The engine's own count, where the message carries it."""
        counts = message.get("usage")
        if not isinstance(counts, dict):
            return None
        details = counts.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else None
        return Usage(
            int(counts.get("prompt_tokens") or 0),
            int(cached or 0),
            int(counts.get("completion_tokens") or 0),
            cached_known=cached is not None,
        )


class VllmDialect(Dialect):
    """vLLM: the schema goes to its structured outputs on both paths; a salt parts the caches of two ropes."""

    kind = "vllm"
    wraps_choice = False
    has_metrics = True

    def __init__(self) -> None:
        """Without a salt, until what is served is known."""
        self.cache_salt: str | None = None
        self.holds_budget = True

    def request(self, model: str, prompt: Prompt, sampling: Sampling) -> tuple[str, dict[str, Any]]:
        """The path below the API's root, and the body, of a request for `prompt`.

        Source:
            vLLM 0.32, `cache_salt` in entrypoints/openai/completion/protocol.py and its neighbour for chat.
        """
        path, body = super().request(model, prompt, sampling)
        if sampling.reasoning_tokens is not None and self.holds_budget:
            body["thinking_token_budget"] = sampling.reasoning_tokens
        if sampling.reasoning is not None and sampling.reasoning.are_control and "prompt" in body:
            body["skip_special_tokens"] = False
        return path, body | ({"cache_salt": self.cache_salt} if self.cache_salt else {})

    def constrain(self, structured: StructuredOutput) -> dict[str, Any]:
        """The fields that hold the answer to a form.

        Source:
            vLLM 0.32, StructuredOutputsParams in sampling_params.py; `guided_*` went with 0.12.
        """
        if structured.choice is not None:
            return {"structured_outputs": {"choice": list(structured.choice)}}
        if structured.regex is not None:
            return {"structured_outputs": {"regex": structured.regex}}
        return {"structured_outputs": {"json": structured.json_schema}}

    def gives_up(self, body: dict[str, Any], told: str) -> bool:
        """Whether `body` was refused for a field that is only a help; it is gone from it then.

        A vLLM that was started without --reasoning-parser cannot hold reasoning to a budget of its own.

        Source:
            vLLM 0.32, v1/engine/input_processor.py.
        """
        if "thinking_token_budget" not in body or "thinking_token_budget" not in told:
            return False
        self.holds_budget = False
        del body["thinking_token_budget"]
        return True

    def score_request(self, model: str, query: str, texts: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """The path and the body of a request for how well each text answers to the query."""
        return "/score", {"model": model, "text_1": query, "text_2": list(texts)}


class LlamaDialect(Dialect):
    """llama.cpp: tells its progress, keeps the prefix, takes the schema as it is."""

    kind = "llama"
    wraps_choice = False
    stall_s = 15.0  # then it is asked whether it is well: a request behind another one hears nothing for long

    def request(self, model: str, prompt: Prompt, sampling: Sampling) -> tuple[str, dict[str, Any]]:
        """The path below the API's root, and the body, of a request for `prompt`."""
        path, body = super().request(model, prompt, sampling)
        return path, body | {"cache_prompt": True, "return_progress": True}

    def constrain(self, structured: StructuredOutput) -> dict[str, Any]:
        """The fields that hold the answer to a form."""
        from lctx.core.engine.gbnf import grammar_of_choice, grammar_of_regex

        if structured.choice is not None:
            return {"grammar": grammar_of_choice(structured.choice)}
        if structured.regex is not None:
            return {"grammar": grammar_of_regex(structured.regex)}
        return {"json_schema": structured.json_schema}

    def tokenize_request(self, model: str, text: str) -> dict[str, Any]:  # noqa: ARG002  (one model a server)
        """The body of a request to `/tokenize`."""
        return {"content": text, "add_special": False, "parse_special": False}

    def progress(self, message: dict[str, Any]) -> PrefillProgress | None:
        """How much of the prompt has been read, where the message says."""
        told = message.get("prompt_progress")
        if not isinstance(told, dict):
            return None
        return PrefillProgress(int(told["processed"]), int(told["total"]), int(told.get("cache", 0)))


def finish_reason(told: str) -> FinishReason:
    """The reason that an engine's word stands for.

    Raises:
        EngineRefusedError: It withheld the answer.
    """
    if told == "content_filter":
        raise EngineRefusedError("the engine withheld the answer: content filter")
    return _REASONS.get(told, FinishReason.STOP)


def _choice_schema(choice: Sequence[str]) -> dict[str, Any]:
    """An object, because strict services take no other root."""
    return {
        "type": "object",
        "properties": {CHOICE_KEY: {"type": "string", "enum": list(choice)}},
        "required": [CHOICE_KEY],
        "additionalProperties": False,
    }


def _messages(prompt: Sequence[int] | Sequence[Message]) -> list[dict[str, str]] | None:
    if not prompt:
        raise ValueError("an empty prompt")
    messages = [turn for turn in prompt if isinstance(turn, Message)]
    if not messages:
        return None
    if len(messages) != len(prompt):
        raise ValueError("a prompt is either token ids or messages")
    return [{"role": turn.role, "content": turn.content} for turn in messages]
