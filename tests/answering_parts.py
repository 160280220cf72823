"""Documents, a tokenizer, models and an engine that says what it is told, for the tests of answering."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from lctx.core.answering.answer import AnswerDelta, AnswerEvent, AnswerReady
from lctx.core.answering.ask import AskSettings, answer_question
from lctx.core.answering.inputs import Inputs
from lctx.core.citing.citation import Status
from lctx.core.document import Block, Document, Location, Span
from lctx.core.engine.events import EngineEvent, Finished, FinishReason, PrefillProgress, TextDelta, Usage
from lctx.core.engine.protocol import Prompt, Sampling
from lctx.core.models.profile import AttentionShape, Capability, ModelProfile, PromptStyle
from lctx.core.planning.plan import ContextPlan
from lctx.core.storage import ByteCache

NO_CACHE = ByteCache(None)
EXAMPLES = Path(__file__).parent.parent / "examples"
CONTROL = ("<bos>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def document(
    text: str,
    path: str = "notes.txt",
    kind: str = "text",
    *,
    cells: tuple[int, ...] = (),
    headings: Sequence[str] = (),
) -> Document:
    """A document of one span with lines; each of `headings` is a block from its line to the next."""
    starts = [text.index(title) for title in headings]
    blocks = tuple(
        Block("heading", start, start + len(title), (title,))
        for start, title in zip(starts, headings, strict=True)
    )
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    spans = (Span(0, len(text), Location(), first_line=1),)
    return Document(path, kind, f"{kind}/1", digest, text, spans, blocks, cells=cells)


def paged(*pages: str, path: str = "report.pdf") -> Document:
    """A document of pages."""
    spans, start = [], 0
    for number, page in enumerate(pages, start=1):
        spans.append(Span(start, start + len(page), Location(pages=(number, number)), first_line=1))
        start += len(page)
    text = "".join(pages)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Document(path, "pdf", "pdf/1", digest, text, tuple(spans))


class PieceTokenizer:
    """An exact tokenizer whose ids can be read back: up to four letters, or one other character, an id."""

    hash = "pieces/1"
    exact = True
    _PIECE = re.compile(r" ?\w{1,4}|[\s\S]")

    def __init__(self) -> None:
        self._pieces: list[str] = list(CONTROL)
        self._ids: dict[str, int] = {}

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, none of them a control token."""
        ids = []
        for piece in self._PIECE.findall(text):
            if piece not in self._ids:
                self._ids[piece] = len(self._pieces)
                self._pieces.append(piece)
            ids.append(self._ids[piece])
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text."""
        return [self.encode(text) for text in texts]

    def count_batch(self, texts: Sequence[str]) -> list[int]:
        """How many ids each text has."""
        return [len(self.encode(text)) for text in texts]

    def special(self, token: str) -> int | None:
        """The id of a control token."""
        return CONTROL.index(token) if token in CONTROL else None

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, control tokens included."""
        return "".join(self._pieces[one] for one in ids)


class ScriptedEngine:
    """An engine in this process: it keeps what it was asked, and answers what the test wrote.

    Attributes:
        prompts: Every prompt, in order.
        sampling: That of each prompt.
        num_open: Streams that were begun and neither ended nor closed.
    """

    label = "scripted"

    def __init__(
        self,
        *deltas: str,
        window: int = 100_000,
        reason: FinishReason = FinishReason.STOP,
        miscount: int = 0,
        ends: bool = True,
        known: bool = True,
    ) -> None:
        self.window = window
        self.prompts: list[Prompt] = []
        self.sampling: list[Sampling] = []
        self.num_open = 0
        self._deltas = deltas
        self._reason = reason
        self._miscount = miscount
        self._ends = ends
        self._known = known

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        """The scripted answer."""
        self.prompts.append(prompt)
        self.sampling.append(sampling)
        self.num_open += 1
        try:
            yield PrefillProgress(len(prompt), len(prompt))
            for delta in self._deltas:
                yield TextDelta(delta)
            if self._ends:
                counted = len(prompt) + self._miscount if self._known else 0
                yield Finished(self._reason, Usage(counted, 0, len(self._deltas), known=self._known))
        finally:
            self.num_open -= 1

    def tokenize(self, text: str) -> list[int]:
        """Nothing: plans do not ask engines."""
        raise AssertionError(f"nobody should ask this engine for the ids of {text!r}")

    def close(self) -> None:
        """Nothing to let go of."""


def small_model(window: int = 4096, effective: int | None = None) -> ModelProfile:
    """A base model that can look things up."""
    return ModelProfile(
        "small",
        None,
        "a test",
        "none",
        window,
        effective or window,
        PromptStyle.COMPLETION,
        frozenset({Capability.LOOKUP}),
        AttentionShape.uniform(num_layers=2, num_kv_heads=1, head_dim=8),
        add_bos=True,
    )


def chat_model(
    folder: Path | None, window: int = 8192, *, capabilities: Sequence[Capability] = tuple(Capability)
) -> ModelProfile:
    """A chat model whose template stands in `folder`; without a folder only the server knows it."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text('{"model_type": "llama"}')
        told = {"chat_template": TEMPLATE, "bos_token": "<bos>"}
        (folder / "tokenizer_config.json").write_text(json.dumps(told))
    return ModelProfile(
        "chatty",
        folder,
        "a test",
        "none",
        window,
        window,
        PromptStyle.CHAT,
        frozenset(capabilities),
        add_bos=True,
        cites=True,
    )


def inputs(
    question: str | None,
    documents: Sequence[Document],
    profile: ModelProfile | None = None,
    tokenizer: PieceTokenizer | None = None,
    **settings,
) -> Inputs:
    """A question about documents, for a small model unless told otherwise."""
    chosen = profile or small_model()
    return Inputs(
        question, documents, chosen, tokenizer or PieceTokenizer(), NO_CACHE, AskSettings(**settings)
    )


def ask(
    question: str,
    documents: Sequence[Document],
    engine: ScriptedEngine,
    profile: ModelProfile | None = None,
    tokenizer: PieceTokenizer | None = None,
    **settings,
) -> list[AnswerEvent]:
    """All events of one answer."""
    return list(
        answer_question(
            question,
            documents,
            profile=profile or small_model(),
            tokenizer=tokenizer or PieceTokenizer(),
            cache=NO_CACHE,
            settings=AskSettings(**settings),
            engine=lambda: engine,
        )
    )


def ready(events: Sequence[AnswerEvent]) -> AnswerReady:
    """The last event, after checking what holds of every stream."""
    last = events[-1]
    assert isinstance(last, AnswerReady)
    assert sum(isinstance(event, AnswerReady) for event in events) == 1
    streamed = "".join(event.text for event in events if isinstance(event, AnswerDelta))
    assert last.answer.text.startswith(streamed)
    for citation in last.citations:
        start, end = citation.location.chars or (0, 0)
        if citation.status is not Status.UNVERIFIED:  # that one is the model's own words
            assert citation.document.text[start:end] == citation.quote
        first, stop = citation.answer_chars
        assert 0 <= first < stop <= len(last.answer.text)
    return last


def assert_tiles(plan: ContextPlan, documents: Sequence[Document]) -> None:
    """Every character of every document is in exactly one of the pieces that are read and left out."""
    pieces = [*plan.included, *(omission.piece for omission in plan.omitted)]
    for source in documents:
        own = sorted((one.start, one.end) for one in pieces if one.chunk.document is source)
        assert [start for start, _ in own] == [0, *(end for _, end in own)][: len(own)]
        assert (own[-1][1] if own else 0) == len(source.text)
    assert all(omission.reason for omission in plan.omitted)
