"""The best passages in place of an answer: what lctx shows where a model was not measured to answer."""

from lctx.core.answering.answer import Answer, AnswerReady
from lctx.core.answering.citations import numbered, quote_of
from lctx.core.answering.coverage import coverage_of_nothing
from lctx.core.answering.inputs import Inputs
from lctx.core.answering.plan_answer import Planned
from lctx.core.citing.citation import Attribution, Citation, Support
from lctx.core.models.profile import Capability
from lctx.core.retrieval.focus import Sentence, sentences_of

_MOST = 5
_DOING = {
    Capability.LIST: "list",
    Capability.SUMMARY: "summarise",
    Capability.COMPARE: "compare",
    Capability.REVIEW: "review",
    Capability.LOOKUP: "look up",
}


def show_passages(inputs: Inputs, planned: Planned, needed: Capability) -> AnswerReady:
    """The best passages, each cited, labelled as no answer; the first of each source where none ranks."""
    shown = _best(inputs)
    lines: list[str] = []
    citations: list[Citation] = []
    position = 0
    for sentence in shown:
        line = " ".join(sentence.text.replace("\ufffe", "").split())
        citations.append(
            quote_of(sentence, (position, position + len(line)), Support.SUPPORTED, Attribution.LCTX)
        )
        lines.append(line)
        position += len(line) + 1
    why = (
        f"{inputs.profile.name} was not measured to {_DOING[needed]}; an instruction-tuned model of 3 "
        "billion parameters or more could answer (--model FILE.gguf, or --engine vllm --endpoint ADDRESS)"
    )
    return AnswerReady(
        Answer("\n".join(lines), found=None, reason=why),
        tuple(numbered(citations)),
        coverage_of_nothing(planned.plan, inputs.documents, "no model was asked"),
        usage=None,
        first_token_s=None,
    )


def _best(inputs: Inputs) -> list[Sentence]:
    """What ranks best, then the openings of the sources, of their parts where there are few sources."""
    shown = [sentence for sentence in inputs.focused if sentence.score > 0][:_MOST]
    seen = {(id(sentence.chunk.document), sentence.start) for sentence in shown}
    seen_chunks = [chunk for chunk in inputs.chunks if not chunk.is_hidden]
    firsts = list({id(chunk.document): chunk for chunk in reversed(seen_chunks)}.values())[::-1]
    for chunk in (*firsts, *seen_chunks):
        if len(shown) >= _MOST:
            break
        for sentence in sentences_of(chunk)[:1]:
            if (id(chunk.document), sentence.start) not in seen:
                seen.add((id(chunk.document), sentence.start))
                shown.append(sentence)
    return shown
