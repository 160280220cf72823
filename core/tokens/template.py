"""Chat templates: the model's own way of writing a conversation, with what is quoted kept apart from it.

A template is a program that came with the model, so it runs in a sandbox. What a message says is ordinary
text even where it spells a control token: contents travel through the template between two marks, and only
what the template itself wrote is read for control tokens.
"""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lctx.core.errors import ModelFileError
from lctx.core.models.config_json import read_directory
from lctx.core.models.gguf import GgufHeader, read_header
from lctx.core.models.profile import ModelProfile
from lctx.core.models.resolve import model_state
from lctx.core.storage import ByteCache
from lctx.core.tokens.tokenizer import Tokenizer

if TYPE_CHECKING:
    from jinja2 import Template

_VERSION = 1
_CONTROL = re.compile(r"<[^<>]{1,80}>|\[[^\[\]]{1,80}\]")
# Noncharacters of Unicode: reserved for use inside a program, in no document.
_OPEN, _SHUT, _END = "\ufdd0", "\ufdd1", "\ufdd2"


class MessageLike(Protocol):
    """One turn of a conversation. Its content may be given as token ids that were counted before."""

    @property
    def role(self) -> str:
        """Who speaks: "system", "user" or "assistant"."""
        ...

    @property
    def content(self) -> str | Sequence[int]:
        """What is said."""
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """A `MessageLike` of its own."""

    role: str
    content: str | Sequence[int]


@dataclass(frozen=True, slots=True)
class TemplatePart:
    """A stretch of a rendered conversation.

    Attributes:
        text: Its characters; empty where the content was given as ids.
        message: The number of the message whose content this is, or None for what the template wrote.
    """

    text: str
    message: int | None = None


@dataclass(frozen=True)
class ChatTemplate:
    """A model's chat template.

    Attributes:
        source: The template, in Jinja.
        bos_token: The begin-of-sequence token as text, or empty.
        eos_token: The end-of-sequence token as text, or empty.
        model: The model's name, for messages.
    """

    source: str
    bos_token: str = ""
    eos_token: str = ""
    model: str = "the model"

    def render(
        self, messages: Sequence[MessageLike], *, add_generation_prompt: bool = True
    ) -> list[TemplatePart]:
        """The conversation as the model expects it, in parts: joined, they are the prompt's text.

        A system message that the template refuses is put in front of the first user message.

        Args:
            messages: In order.
            add_generation_prompt: End with the beginning of the answer's turn.

        Raises:
            ModelFileError: The template is damaged, refuses these messages, or rewrites what they say.
        """
        mark = self._unused_mark(messages)
        marked = [
            {"role": message.role, "content": _marked(message.content, f"{mark}{number}{_END}")}
            for number, message in enumerate(messages)
        ]
        try:
            text = self._rendered(marked, add_generation_prompt)
        except ModelFileError:
            if len(marked) < 2 or marked[0]["role"] != "system":  # noqa: PLR2004
                raise
            joined = f"{marked[0]['content']}\n\n{marked[1]['content']}"
            text = self._rendered([marked[1] | {"content": joined}, *marked[2:]], add_generation_prompt)
        return self._parted(text, mark)

    def _unused_mark(self, messages: Sequence[MessageLike]) -> str:
        texts = [message.content for message in messages if isinstance(message.content, str)]
        marks = (f"{number}" for number in count())
        texts.append(self.source)
        return next(
            mark
            for mark in marks
            if not any(sign + mark in text for text in texts for sign in (_OPEN, _SHUT))
        )

    @cached_property
    def _compiled(self) -> "Template":
        from jinja2 import TemplateError

        try:
            template: Template = _environment().from_string(self.source)
        except (TemplateError, RecursionError) as error:
            raise self._failed(error) from error
        return template

    def _rendered(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        template = self._compiled
        try:
            return template.render(
                messages=messages,
                add_generation_prompt=add_generation_prompt,
                bos_token=self.bos_token,
                eos_token=self.eos_token,
                tools=None,
                documents=None,
            )
        except Exception as error:  # whatever a program that came with a model may raise
            raise self._failed(error) from error

    def _failed(self, error: BaseException) -> ModelFileError:
        why = " ".join(str(error).split()) or type(error).__name__
        return ModelFileError(
            f"{self.model}: its chat template cannot be used: {why}", "choose another model with --model"
        )

    def _parted(self, text: str, mark: str) -> list[TemplatePart]:
        pattern = re.compile(f"{_OPEN}{mark}([0-9]+){_END}(.*?){_SHUT}{mark}\\1{_END}", re.DOTALL)
        parts, start = [], 0
        for found in pattern.finditer(text):
            parts.append(TemplatePart(text[start : found.start()]))
            parts.append(TemplatePart(found[2], int(found[1])))
            start = found.end()
        parts.append(TemplatePart(text[start:]))
        if any(_OPEN + mark in part.text or _SHUT + mark in part.text for part in parts):
            raise self._failed(ValueError("it rewrites what a message says"))
        return [part for part in parts if part.text or part.message is not None]


def encode_chat(
    tokenizer: Tokenizer,
    template: ChatTemplate,
    messages: Sequence[MessageLike],
    *,
    add_bos: bool = False,
    add_generation_prompt: bool = True,
) -> list[int]:
    """The token ids of a conversation; a control token counts as one only where the template wrote it.

    Args:
        tokenizer: The model's own.
        template: The model's own.
        messages: In order; a content given as ids stands in the prompt as it is.
        add_bos: Begin with the begin-of-sequence id, unless the template wrote it.
        add_generation_prompt: End with the beginning of the answer's turn.

    Raises:
        ModelFileError: See `ChatTemplate.render`.
    """
    ids: list[int] = []
    for part in template.render(messages, add_generation_prompt=add_generation_prompt):
        content = messages[part.message].content if part.message is not None else None
        if content is None:
            ids += encode_template_text(tokenizer, part.text)
        else:
            ids += tokenizer.encode(part.text) if isinstance(content, str) else content
    first = tokenizer.special(template.bos_token) if add_bos else None
    return ids if first is None or ids[:1] == [first] else [first, *ids]


def encode_template_text(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of text that lctx or a template wrote, control tokens recognised: never for a document."""
    ids: list[int] = []
    start = 0
    for found in _CONTROL.finditer(text):
        if (special := tokenizer.special(found[0])) is not None:
            if found.start() > start:
                ids += tokenizer.encode(text[start : found.start()])
            ids.append(special)
            start = found.end()
    return ids + tokenizer.encode(text[start:]) if start < len(text) else ids


def load_chat_template(profile: ModelProfile, cache: Path | None = None) -> ChatTemplate | None:
    """The chat template in the model's files, or None where there is none.

    Args:
        profile: Of any model; one without files has no template here.
        cache: Where it is kept, so that a large header is read once.

    Raises:
        ModelFileError: The model's files are damaged.
    """
    path = profile.path
    if path is None:
        return None
    kept = ByteCache(cache / "templates" if cache else None)
    key = f"template {_VERSION} {model_state(path)}"
    found: list[str] | None = None
    if (value := kept.get(key)) is not None:
        with suppress(ValueError, TypeError):
            found = json.loads(value)
    if found is None:
        found = _from_directory(path) if path.is_dir() else _from_gguf(read_header(path))
        kept.put(key, json.dumps(found).encode())
    return ChatTemplate(found[0], found[1], found[2], profile.name) if found else None


def _from_gguf(header: GgufHeader) -> list[str]:
    source = header.text("tokenizer.chat_template")
    tokens = header.strings("tokenizer.ggml.tokens") or ()
    names = []
    for name in ("bos", "eos"):
        index = header.integer(f"tokenizer.ggml.{name}_token_id")
        names.append(tokens[index] if index is not None and 0 <= index < len(tokens) else "")
    return [source, *names] if source else []


def _from_directory(path: Path) -> list[str]:
    model = read_directory(path)
    names = []
    for name in ("bos_token", "eos_token"):
        token = model.tokenizer_config.get(name)
        token = token.get("content") if isinstance(token, dict) else token
        names.append(token if isinstance(token, str) else "")
    return [model.chat_template, *names] if model.chat_template else []


def _marked(content: str | Sequence[int], mark: str) -> str:
    """`content` between its marks; white space around it stays outside, for the template to strip."""
    text = content if isinstance(content, str) else ""
    core = text.strip()
    if not core and isinstance(content, str):
        return text
    start = text.find(core)
    return f"{text[:start]}{_OPEN}{mark}{core}{_SHUT}{mark}{text[start + len(core) :]}"


def _environment() -> Any:
    """Jinja as the templates' authors know it.

    Source: transformers, `_compile_jinja_template` in src/transformers/utils/chat_template_utils.py.
    """
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks what training looks at: here it is nothing."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> list[nodes.Node]:
            next(parser.stream)
            body: list[nodes.Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return body

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {"raise_exception": raise_exception, "strftime_now": _now}
    return environment


def _to_json(value: Any, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, **options)


def _now(form: str) -> str:
    from datetime import datetime

    return datetime.now().astimezone().strftime(form)
