"""Embeddings and scores: order, batches, what an engine without them says, and one real engine."""

import json
import subprocess
import sys
from contextlib import contextmanager

import pytest
from scripted_server import ScriptedServer, document, refusal
from test_engine_client import connect

from lctx.core.engine.open import EngineSettings, start_engine
from lctx.core.engine.vectors import BATCH_TEXTS
from lctx.core.errors import EngineError, EngineRefusedError

EMBEDDINGS, SCORE, RERANK = "/v1/embeddings", "/v1/score", "/v1/rerank"
# A server of its own: what lctx manages answers questions and embeds nothing.
PROGRAM = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx, params.n_parallel, params.warmup, params.port = 512, 1, False, 0
params.cpuparams.n_threads = 1
params.verbosity = 0
params.embedding = sys.argv[2] == "embeddings"
if params.embedding:
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
server = xllamacpp.Server(params)
print("listening", server.listening_address, flush=True)
sys.stdin.read()
"""


@contextmanager
def llama(model, mode):
    """An engine behind a real llama.cpp server of `model`."""
    command = [sys.executable, "-c", PROGRAM, str(model), mode]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            told = next(line for line in process.stdout if line.startswith("listening "))
            yield start_engine(
                EngineSettings("endpoint", model_name="tiny", address=told.split()[1]), model.parent
            ).ready()
        finally:
            process.kill()


def embedded(request):
    """A vector for each text that says which text it was, in reverse order."""
    texts = request.body["input"]
    items = [{"index": number, "embedding": [float(text), 1]} for number, text in enumerate(texts)]
    return document({"data": items[::-1]})


def test_each_text_gets_its_own_vector():
    """This test ensures that many texts go out in batches, and that vectors come back in the order of the texts."""
    texts = [str(number) for number in range(2 * BATCH_TEXTS + 3)]
    with ScriptedServer({EMBEDDINGS: embedded}) as server:
        vectors = connect(server).embed(texts)
        sizes = [len(one.body["input"]) for one in server.requests if one.path == EMBEDDINGS]
        assert server.requests[-1].body["model"] == "scripted"
    assert vectors == [[float(text), 1.0] for text in texts]
    assert sizes == [BATCH_TEXTS, BATCH_TEXTS, 3]


def test_no_texts_ask_nothing():
    """This test ensures that nothing is sent for nothing."""
    with ScriptedServer({}) as server:
        engine = connect(server)
        asked = len(server.requests)
        assert engine.embed([]) == []
        assert engine.score("q", []) == []
        assert len(server.requests) == asked


def test_scores_are_asked_for_in_each_engines_words():
    """This test ensures that vLLM's score and the common rerank give the same, best first or not."""
    told = document({"data": [{"index": 0, "score": 0.25}, {"index": 1, "score": 2}]})
    with ScriptedServer({SCORE: told}) as server:
        assert connect(server).score("q", ["a", "b"]) == [0.25, 2.0]
        body = server.requests[-1].body
    assert (body["text_1"], body["text_2"]) == ("q", ["a", "b"])
    ranked = document(
        {"results": [{"index": 1, "relevance_score": 2}, {"index": 0, "relevance_score": -0.25}]}
    )
    with ScriptedServer({RERANK: ranked}) as server:
        assert connect(server, "endpoint", model_name="m").score("q", ["a", "b"]) == [-0.25, 2.0]
        body = server.requests[-1].body
    assert (body["query"], body["documents"], body["top_n"]) == ("q", ["a", "b"], 2)


@pytest.mark.parametrize(
    "reply", [refusal(404, {"detail": "Not Found"}), refusal(501, {"error": "no --embeddings"})]
)
def test_an_engine_without_them_is_told(reply):
    """This test ensures that the way on is to serve such a model."""
    with ScriptedServer({EMBEDDINGS: reply, SCORE: reply}) as server:
        with pytest.raises(EngineRefusedError, match="has no embeddings") as caught:
            connect(server).embed(["a"])
        assert "embedding model" in caught.value.hint
        with pytest.raises(EngineRefusedError, match="has no scores") as caught:
            connect(server).score("q", ["a"])
        assert "reranking model" in caught.value.hint


def test_another_refusal_stays_what_it_is():
    """This test ensures that a text that is too long is not told as a missing feature."""
    with (
        ScriptedServer({EMBEDDINGS: refusal(400, {"error": "input is too long"})}) as server,
        pytest.raises(EngineRefusedError, match="400: input is too long"),
    ):
        connect(server).embed(["a"])


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {"data": None},
        {"data": [7]},
        {"data": []},
        {"data": [{"index": 0, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 5, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": [], "embedding": [1.0]}]},
        {"data": [{"embedding": [1.0]}, {"embedding": []}]},
        {"data": [{"embedding": [1.0]}, {"embedding": "AAAA"}]},
        {"data": [{"embedding": [1.0]}, {"embedding": ["1"]}]},
        {"data": [{"embedding": [1.0]}, {"embedding": [True]}]},
        {"data": [{"embedding": [1.0]}, {"embedding": [1.0, 2.0]}]},
    ],
)
def test_an_odd_answer_is_an_error(told):
    """This test ensures that a vector is never given to the wrong text, nor made of something else."""
    with ScriptedServer({EMBEDDINGS: document(told)}) as server, pytest.raises(EngineError):
        connect(server).embed(["a", "b"])


@pytest.mark.parametrize("score", ["NaN", "Infinity", '"1"', "null", "true"])
def test_a_score_is_a_number(score):
    """This test ensures that no text is ranked by something that cannot be compared."""
    told = document(json.loads(f'{{"data": [{{"index": 0, "score": {score}}}]}}'))
    with ScriptedServer({SCORE: told}) as server, pytest.raises(EngineError):
        connect(server).score("q", ["a"])


@pytest.mark.engine
def test_a_real_llama_embeds(tiny_gguf):
    """This test ensures that a real server's vectors are read, the same for the same text, and one a text."""
    with llama(tiny_gguf, "embeddings") as engine:
        first, second, again = engine.embed(["a", "b a b", "a"])
    assert len(first) == len(second) > 1
    assert first == pytest.approx(again, abs=1e-4)
    assert first != pytest.approx(second, abs=1e-4)


@pytest.mark.engine
def test_a_real_llama_without_them_says_so(tiny_gguf):
    """This test ensures that a server for answers is told apart from a broken one."""
    with llama(tiny_gguf, "answers") as engine:
        with pytest.raises(EngineRefusedError, match="has no embeddings"):
            engine.embed(["a"])
        with pytest.raises(EngineRefusedError, match="has no scores"):
            engine.score("q", ["a"])


@pytest.mark.vllm
@pytest.mark.timeout(600)
def test_a_real_vllm_without_them_says_so(vllm_server, tmp_path):
    """This test ensures that a vLLM for answers is told as one."""
    settings = EngineSettings("vllm", address=vllm_server.address, api_key=vllm_server.api_key)
    engine = start_engine(settings, tmp_path).ready()
    with pytest.raises(EngineRefusedError, match="has no embeddings"):
        engine.embed(["a"])
    with pytest.raises(EngineRefusedError, match="has no scores"):
        engine.score("q", ["a"])
