"""Reasoning told apart from the answer: every marker, every cut, and documents that spell markers."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import Reply, ScriptedServer, answer, event, refusal, text_event, usage_event
from test_engine_client import CHAT, COMPLETIONS, DONE, connect, text_of

from lctx.core.engine.events import Finished, FinishReason, ReasoningDelta, TextDelta
from lctx.core.engine.protocol import Message, Sampling
from lctx.core.engine.reasoning import ReasoningSplitter
from lctx.core.engine.structured import StructuredOutput
from lctx.core.errors import EngineError, EngineRefusedError
from lctx.core.models.reasoning import HARMONY, THINK, ReasoningMarkers, reasoning_of

# The ends of the models' own templates, as they are published.
QWEN3 = (
    "{%- if '</think>' in content %}…{%- endif %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}"
    "{%- endif %}{%- endif %}"
)
DEEPSEEK_R1 = "{% if '</think>' in content %}…{% endif %}{% if add_generation_prompt %}{{'<｜Assistant｜><think>\\n'}}{% endif %}"
GPT_OSS = "{{- '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|end|>' }}{{- '<|start|>assistant' }}"
COHERE = ReasoningMarkers(
    "<|START_THINKING|>",
    "<|END_THINKING|>",
    are_control=True,
    answer_start="<|START_RESPONSE|>",
    answer_ends=("<|END_RESPONSE|>",),
)
LLAMA = "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}"


def split(text, *args, places=(), **options):
    """The reasoning and the answer of a text that arrives in pieces."""
    splitter = ReasoningSplitter(*args, **options)
    edges = [0, *sorted({place % (len(text) + 1) for place in places}), len(text)]
    said = [one for start, end in itertools.pairwise(edges) for one in splitter.feed(text[start:end])]
    said += splitter.finish()
    assert all(one.text for one in said)
    kinds = [type(one) for one in said]
    assert kinds == sorted(
        kinds, key=lambda kind: kind is TextDelta
    )  # reasoning never comes behind the answer
    return (
        "".join(one.text for one in said if isinstance(one, ReasoningDelta)),
        "".join(one.text for one in said if isinstance(one, TextDelta)),
    )


@pytest.mark.parametrize(
    ("template", "markers"),
    [
        (QWEN3, THINK),
        (DEEPSEEK_R1, THINK),
        (GPT_OSS, HARMONY),
        ("[SYSTEM_PROMPT]…[THINK]…[/THINK]", ReasoningMarkers("[THINK]", "[/THINK]", are_control=True)),
        ("<|START_THINKING|>{{ x }}<|END_THINKING|><|START_RESPONSE|>", COHERE),
        (LLAMA, None),
        ("{# no </think> here #}" + LLAMA, None),
        ("", None),
        (None, None),
    ],
)
def test_the_template_tells_the_markers(template, markers):
    """This test ensures that a model reasons by its own template's word, and by nothing else."""
    assert reasoning_of(template) == markers


@pytest.mark.parametrize(
    ("prompt_end", "is_open"),
    [
        ("<|im_end|>\n<|im_start|>assistant\n", False),
        ("<|im_end|>\n<|im_start|>assistant\n<think>\n", True),
        ("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n", False),
        ("", False),
    ],
)
def test_a_prompt_may_open_the_reasoning(prompt_end, is_open):
    """This test ensures that each way to end a prompt is understood: nothing, opened, opened and shut."""
    assert THINK.opened_by(prompt_end) is is_open
    assert HARMONY.opened_by("<|end|><|start|>assistant") is False
    assert HARMONY.opened_by("<|start|>assistant<|channel|>analysis<|message|>") is True


TAGGED = (
    '<think>\nThe source says "<thin" and <b>, so…\n</think>\n\nIn 1807. It quotes <think>x</think> as text.'
)
OPENED = TAGGED.removeprefix("<think>")
HARMONIC = (
    "<|channel|>analysis<|message|>The text has <|end|> and <|channel|>final in it.<|end|>"
    "<|start|>assistant<|channel|>commentary<|message|>Looking.<|end|>"
    "<|start|>assistant<|channel|>final <|constrain|>json<|message|>It says <|end|> and <|channel|>analysis<|message|> too.<|return|>"
)
SPLIT_TAGS = (
    '\nThe source says "<thin" and <b>, so…\n',
    "In 1807. It quotes <think>x</think> as text.",
)
SPLIT_CHANNELS = (
    "The text has <|end|> and <|channel|>final in it.Looking.",
    "It says <|end|> and <|channel|>analysis<|message|> too.",
)


@given(st.lists(st.integers(0, 10_000), max_size=40))
def test_markers_are_found_however_the_text_is_cut(places):
    """This test ensures that a marker cut at any character is one, and that a quoted marker stays in the answer."""
    assert split(TAGGED, THINK, places=places) == SPLIT_TAGS
    assert split(TAGGED, None, places=places) == SPLIT_TAGS
    assert split(OPENED, THINK, is_open=True, places=places) == SPLIT_TAGS
    assert split(TAGGED, THINK, is_open=True, places=places) == SPLIT_TAGS
    assert split(HARMONIC, HARMONY, places=places) == SPLIT_CHANNELS


def test_every_single_character_may_come_alone():
    """This test ensures that the smallest pieces give the same, channels without their end marks too."""
    for text, markers, wanted in ((TAGGED, THINK, SPLIT_TAGS), (HARMONIC, HARMONY, SPLIT_CHANNELS)):
        assert split(text, markers, places=range(len(text))) == wanted
    shorn = HARMONIC.replace("<|end|><|start|>", "<|start|>").removesuffix("<|return|>")
    assert split(shorn, HARMONY, places=range(len(shorn))) == SPLIT_CHANNELS


def test_an_answer_may_have_markers_of_its_own():
    """This test ensures that they are none of its text, with a reasoning before it and without."""
    answered = "<|START_RESPONSE|>It says <|END_RESPONSE|> here.<|END_RESPONSE|>"
    wanted = "It says <|END_RESPONSE|> here."
    thought = "<|START_THINKING|>hm<|END_THINKING|>\n"
    for places in ((), range(200)):
        assert split(answered, COHERE, places=places) == ("", wanted)
        assert split(thought + answered, COHERE, places=places) == ("hm", wanted)
        assert split(f"{thought}plain", COHERE, places=places) == ("hm", "plain")


@pytest.mark.parametrize("markers", [None, THINK, HARMONY, COHERE])
@given(
    text=st.text("<|>/think channelstart\n", max_size=60), places=st.lists(st.integers(0, 100), max_size=9)
)
def test_nothing_is_lost_and_cuts_change_nothing(markers, text, places):
    """This test ensures that any text at all comes out the same in one piece and in many."""
    assert split(text, markers, places=places) == split(text, markers)


@pytest.mark.parametrize(
    "text", ["In 1807.", "  <b>bold</b>", "x <think>y</think>", "<", "<|channel|", "</think>x"]
)
def test_an_answer_without_reasoning_is_untouched(text):
    """This test ensures that only a marker at the very beginning begins a reasoning."""
    for markers in (None, THINK, HARMONY):
        assert split(text, markers, places=range(len(text))) == ("", text)


def test_what_comes_in_order_is_told_at_once():
    """This test ensures that neither reasoning nor answer waits for its end."""
    splitter = ReasoningSplitter(THINK, is_open=True)
    assert list(splitter.feed("one two")) == [ReasoningDelta("one two")]
    assert list(splitter.feed(" three</thi")) == [ReasoningDelta(" three")]
    assert list(splitter.feed("nk>\n\nfour")) == [TextDelta("four")]
    channels = ReasoningSplitter(HARMONY)
    assert list(channels.feed("<|channel|>analysis<|message|>one two")) == [ReasoningDelta("one two")]


def test_an_open_reasoning_that_may_be_none_is_decided_by_its_end():
    """This test ensures that an answer held to a form, which an engine holds from the first token, is an answer."""
    assert split('{"a": 1}', THINK, is_open=True, is_certain=False) == ("", '{"a": 1}')
    assert split('hm</think>\n{"a": 1}', THINK, is_open=True, is_certain=False) == ("hm", '{"a": 1}')
    whole = '{"a": "' + "b" * 50
    assert split(whole, HARMONY, is_open=True, is_certain=False, places=range(40)) == ("", whole)


def events_of(reply, sampling, path=COMPLETIONS, prompt=(1,), kind="vllm"):
    with ScriptedServer({path: reply}) as server:
        engine = connect(server, kind, model_name="scripted")
        events = list(engine.generate(prompt, sampling))
        return events, server.requests[-1].body


def reasoning_in(events):
    return "".join(one.text for one in events if isinstance(one, ReasoningDelta))


def test_a_reasoning_model_behind_ids():
    """This test ensures that the request has room for both parts, its stops spare the reasoning, and the parts part."""
    sampling = Sampling(50, stop=("\n\n",), reasoning=THINK, reasoning_open=True, reasoning_tokens=200)
    reply = answer("\nFirst\n\nsecond", "\n</th", "ink>\n\nIn 18", "07.\n", "\nMore text", " and more")
    events, body = events_of(reply, sampling)
    assert reasoning_in(events) == "\nFirst\n\nsecond\n"
    assert text_of(events) == "In 1807."
    assert events[-1].reason is FinishReason.STOP
    assert (body["max_tokens"], body["thinking_token_budget"]) == (250, 200)
    assert "stop" not in body
    assert "skip_special_tokens" not in body


def test_channels_ask_for_their_marks():
    """This test ensures that vLLM is asked for the control tokens that tell the channels apart."""
    events, body = events_of(answer(HARMONIC), Sampling(50, reasoning=HARMONY))
    assert (reasoning_in(events), text_of(events)) == SPLIT_CHANNELS
    assert body["skip_special_tokens"] is False
    assert body["max_tokens"] == 50


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_a_server_that_splits_by_itself(field):
    """This test ensures that its word is taken, and that its answer may then begin with any marker."""
    parts = [event({"choices": [{"delta": {field: text, "content": None}}]}) for text in ("one ", "two")]
    reply = Reply((*parts, text_event("<think>"), text_event("</think> is a tag", "stop"), DONE))
    events, _ = events_of(reply, Sampling(9), CHAT, [Message("user", "q")], "endpoint")
    assert events[:2] == [ReasoningDelta("one "), ReasoningDelta("two")]
    assert text_of(events) == "<think></think> is a tag"


def test_a_hosted_answer_that_begins_with_its_thoughts():
    """This test ensures that <think> is understood where nothing is known of the model."""
    events, body = events_of(
        answer("<think>hm", "</think>In 1807."), Sampling(9), CHAT, [Message("user", "q")], "endpoint"
    )
    assert (reasoning_in(events), text_of(events)) == ("hm", "In 1807.")
    assert body["max_tokens"] == 9


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (answer("<think>hm", finish_reason="length", usage=(5, 77, 0)), "all 77 tokens on reasoning"),
        (answer("<think>hm", finish_reason="length", usage=None), "all of its tokens on reasoning"),
        (answer("<think>hm</think>\n\n"), "without an answer"),
    ],
)
def test_reasoning_alone_is_no_answer(reply, told):
    """This test ensures that a spent budget is told, with the way on, and is never an empty answer."""
    with pytest.raises(EngineError, match=told) as caught:
        events_of(reply, Sampling(9, reasoning=THINK))
    assert caught.value.hint


BUDGET_REFUSED = "thinking_token_budget is set but reasoning_config is not configured"


@pytest.mark.parametrize(
    "refused",
    [
        refusal(400, {"error": {"message": BUDGET_REFUSED}}),
        Reply((event({"error": {"message": BUDGET_REFUSED, "code": 400}}), DONE)),
    ],
)
def test_a_vllm_that_keeps_no_budget_is_asked_without(refused):
    """This test ensures that a server without a reasoning parser answers all the same, and is told so once."""
    with ScriptedServer({COMPLETIONS: [refused, answer("a")]}) as server:
        engine = connect(server)
        sampling = Sampling(5, reasoning=THINK, reasoning_tokens=7)
        assert text_of(engine.generate([1], sampling)) == "a"
        list(engine.generate([1], sampling))
        bodies = [request.body for request in server.requests if request.path == COMPLETIONS]
    assert ["thinking_token_budget" in body for body in bodies] == [True, False, False]
    assert {body["max_tokens"] for body in bodies} == {12}
    with (
        ScriptedServer({COMPLETIONS: refusal(400, {"error": BUDGET_REFUSED})}) as server,
        pytest.raises(EngineRefusedError),
    ):
        list(connect(server).generate([1], Sampling(5)))


def test_a_form_and_a_reasoning_do_not_fight():
    """This test ensures that an answer held to a schema is one where the prompt had opened the reasoning."""
    sampling = Sampling(9, structured=StructuredOutput(json_schema={}), reasoning=THINK, reasoning_open=True)
    events, _ = events_of(answer('{"a"', ": 1}"), sampling)
    assert (reasoning_in(events), text_of(events)) == ("", '{"a": 1}')
    assert isinstance(events[-1], Finished)


def test_half_characters_of_a_reasoning_are_never_told():
    """This test ensures that no lone surrogate leaves the engine room in a reasoning either."""
    parts = (
        b'data: {"choices": [{"delta": {"reasoning": "a\\ud83d"}}]}\n\n',
        b'data: {"choices": [{"delta": {"reasoning": "\\ude00b"}}]}\n\n',
        text_event("x", "stop"),
        usage_event(1, 1),
        DONE,
    )
    events, _ = events_of(Reply(parts), Sampling(9), CHAT, [Message("user", "q")], "endpoint")
    assert reasoning_in(events) == "a😀b"
