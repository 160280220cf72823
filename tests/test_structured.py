"""Answers held to a form: what each engine is sent, patterns as grammars, and what comes back."""

import json
import re

import pytest
from scripted_server import ScriptedServer, answer
from test_engine_client import CHAT, COMPLETIONS, connect, text_of

from lctx.core.engine.dialects import Dialect, LlamaDialect, VllmDialect
from lctx.core.engine.gbnf import grammar_of_choice, grammar_of_regex
from lctx.core.engine.open import EngineSettings, start_engine
from lctx.core.engine.protocol import Message, Sampling
from lctx.core.engine.servers import stop_servers
from lctx.core.engine.structured import StructuredOutput
from lctx.core.errors import EngineRefusedError

SCHEMA = {"type": "object", "properties": {"year": {"type": "integer"}}}
ASK = [Message("user", "q")]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"choice": ()},
        {"choice": ("a", "")},
        {"json_schema": SCHEMA, "regex": "a"},
        {"choice": ("a",), "regex": "a"},
    ],
)
def test_a_form_is_exactly_one_thing(given):
    """This test ensures that a form that says nothing, or two things, is caught where it is made."""
    with pytest.raises(ValueError):
        StructuredOutput(**given)


@pytest.mark.parametrize(
    ("dialect", "form", "sent"),
    [
        (VllmDialect(), StructuredOutput(SCHEMA), {"structured_outputs": {"json": SCHEMA}}),
        (
            VllmDialect(),
            StructuredOutput(choice=("a", "b")),
            {"structured_outputs": {"choice": ["a", "b"]}},
        ),
        (VllmDialect(), StructuredOutput(regex="a+"), {"structured_outputs": {"regex": "a+"}}),
        (LlamaDialect(), StructuredOutput(SCHEMA), {"json_schema": SCHEMA}),
        (LlamaDialect(), StructuredOutput(choice=("a", "b")), {"grammar": 'root ::= "a" | "b"\n'}),
        (LlamaDialect(), StructuredOutput(regex="a+"), {"grammar": 'root ::= "a"+\n'}),
    ],
)
def test_each_engine_is_told_in_its_own_words(dialect, form, sent):
    """This test ensures that the one type becomes the fields that each engine reads."""
    _, body = dialect.request("m", [1], Sampling(5, structured=form))
    assert {name: body.get(name) for name in sent} == sent


def test_an_endpoint_gets_a_strict_schema():
    """This test ensures that the common API's field carries the schema, and a choice as an object."""
    for form in (StructuredOutput(SCHEMA), StructuredOutput(choice=("yes", "no"))):
        _, body = Dialect().request("m", ASK, Sampling(5, structured=form))
        told = body["response_format"]["json_schema"]
        assert told["strict"] is True
        if form.choice is None:
            assert told["schema"] == SCHEMA
        else:
            assert told["schema"]["properties"]["choice"]["enum"] == ["yes", "no"]
            assert told["schema"]["additionalProperties"] is False


def test_an_endpoint_refuses_a_pattern():
    """This test ensures that what the common API cannot say is told before anything is sent."""
    with pytest.raises(EngineRefusedError, match="no field for it") as caught:
        Dialect().request("m", ASK, Sampling(5, structured=StructuredOutput(regex="a+")))
    assert "vllm" in caught.value.hint


@pytest.mark.parametrize(
    "texts",
    [('{"choice"', ': "yes"}'), ('"yes"',), ("yes",), (" yes\n",), ('<think>hm</think>{"choice":"yes"}',)],
)
def test_a_choice_comes_back_as_its_text(texts):
    """This test ensures that the same choice reads the same from an endpoint, whatever it wrapped it in."""
    sampling = Sampling(5, structured=StructuredOutput(choice=("yes", "no")))
    with ScriptedServer({CHAT: answer(*texts)}) as server:
        engine = connect(server, "endpoint", model_name="m")
        assert text_of(engine.generate(ASK, sampling)) == "yes"


@pytest.mark.parametrize("text", ["maybe", '{"choice": "maybe"}', "{}", "[" * 5000, '{"choice": ["yes"]}'])
def test_what_is_none_of_the_choices_is_refused(text):
    """This test ensures that an endpoint that ignores the form is caught."""
    sampling = Sampling(5, structured=StructuredOutput(choice=("yes", "no")))
    with (
        ScriptedServer({CHAT: answer(text)}) as server,
        pytest.raises(EngineRefusedError, match="none of the"),
    ):
        list(connect(server, "endpoint", model_name="m").generate(ASK, sampling))


def test_a_refused_pattern_sends_nothing():
    """This test ensures that llama.cpp is not asked for what its grammars cannot say."""
    with ScriptedServer({COMPLETIONS: answer("a")}) as server:
        engine = connect(server, "endpoint", model_name="m")
        with pytest.raises(EngineRefusedError):
            list(engine.generate([1], Sampling(5, structured=StructuredOutput(regex="a"))))
        assert server.requests == []


def test_a_choice_is_a_grammar_of_its_texts():
    """This test ensures that quotes, backslashes, line ends and every script are spelled so that they are read."""
    assert grammar_of_choice(["grün", 'a"b', "a\\b", "a\nb", "😀"]) == (
        'root ::= "grün" | "a\\"b" | "a\\\\b" | "a\\x0Ab" | "😀"\n'
    )


@pytest.mark.parametrize(
    ("pattern", "grammar"),
    [
        ("abc", '"a" "b" "c"'),
        ("", '""'),
        ("^a|b$", '"a" | "b"'),
        ("(a|)b", '("a" | "") "b"'),
        ("(?:ab)+?", '("a" "b")+'),
        ("(?P<year>1[89])", '("1" [89])'),
        ("a{2}b{1,}c{0,3}", '"a"{2} "b"{1,} "c"{0,3}'),
        ("{x}{,3}y{,}z{}", '"{" "x" "}"{0,3} "y"{0,} "z" "{" "}"'),
        (r"\d\W.", r"[0-9] [^A-Za-z0-9_] [^\n]"),
        (r"[\d\-\]^a-f]", r"[0-9\x2D\x5D\x5Ea-f]"),
        ("[^]a]", r"[^\x5Da]"),
        ("[a-]", r"[a\x2D]"),
        (r"\.\*\\\"\x41\u00e9\t", '"." "*" "\\\\" "\\"" "A" "é" "\\x09"'),
        ("[ä-ü]", "[ä-ü]"),
    ],
)
def test_a_pattern_becomes_a_grammar(pattern, grammar):
    """This test ensures that each construct is translated, or refused where it would mean something else."""
    assert grammar_of_regex(pattern) == f"root ::= {grammar}\n"


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)b", "(?!a)b", "(?<=a)b", r"(a)\1", "(?i)a", r"\bword\b", r"\Aa\Z", "a^b", "a$b", r"[\D]", "a++",
        "a{3000}", "(" * 200 + "a" + ")" * 200, "(a", "[a", "*a", "a{2,1}", "(?P=x)",
    ],
)  # fmt: skip
def test_what_a_grammar_cannot_say_is_refused(pattern):
    """This test ensures that no pattern is quietly taken for another one."""
    with pytest.raises(EngineRefusedError) as caught:
        grammar_of_regex(pattern)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300
    assert caught.value.hint


PATTERNS = [
    r"[A-Z][a-z]{2,6} \d{4}",
    r"(yes|no)(, \w+){1,2}\.",
    r"\d{3}-\d{2}[a-f\-\]]",
    r"«[^»\n]{1,12}»",
    r"(grün|你好|😀){2}\t\"\\",
    r"^\s?[+\-]?\d+(\.\d{1,2})? ?€$",
]


@pytest.fixture(scope="module")
def llama(gemma_gguf, tmp_path_factory):
    """A running llama.cpp."""
    runtime = tmp_path_factory.mktemp("r")
    engine = start_engine(EngineSettings("llama", model=gemma_gguf, window=512), runtime).ready()
    yield engine
    engine.close()
    stop_servers(runtime)


@pytest.fixture(scope="module")
def vllm(vllm_server, tmp_path_factory):
    """A running vLLM."""
    settings = EngineSettings("vllm", address=vllm_server.address, api_key=vllm_server.api_key)
    engine = start_engine(settings, tmp_path_factory.mktemp("r")).ready()
    yield engine
    engine.close()


def held_to(engine, seed=7, max_tokens=60, **form):
    """What the engine answers, drawn at random so that only the form holds it."""
    sampling = Sampling(max_tokens, temperature=1.0, seed=seed, structured=StructuredOutput(**form))
    return text_of(engine.generate(engine.tokenize("The harbour was built in"), sampling))


@pytest.mark.engine
@pytest.mark.parametrize("pattern", PATTERNS)
def test_llama_keeps_to_a_pattern(llama, pattern):
    """This test ensures that the translated grammar is read by the real engine, and means what the pattern does."""
    for seed in (1, 2):
        assert re.fullmatch(pattern, held_to(llama, seed, regex=pattern))


@pytest.mark.engine
def test_llama_keeps_to_a_choice_and_a_schema(llama):
    """This test ensures that the other two forms hold on the real engine."""
    choice = ('grün, 😀 "x" \\ und\n你好', "other")
    assert held_to(llama, choice=choice) in choice
    assert json.loads(held_to(llama, json_schema={"enum": ['a"b', 7]})) in {'a"b', 7}


@pytest.mark.vllm
@pytest.mark.timeout(600)
def test_vllm_keeps_to_each_form(vllm):
    """This test ensures that schema, choice and pattern hold on the real engine."""
    choice = ('grün, 😀 "x" \\ und 你好', "other")
    assert held_to(vllm, choice=choice) in choice
    for pattern in PATTERNS[:4]:
        assert re.fullmatch(pattern, held_to(vllm, regex=pattern))
    assert json.loads(held_to(vllm, json_schema={"enum": ['a"b', 7]})) in {'a"b', 7}
