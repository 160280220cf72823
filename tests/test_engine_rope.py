"""The rope of the managed llama.cpp server, for real: stretched, told, taken up, replaced, and refused where wrong."""

import ctypes
import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from managed_servers import answers, servers_of, start, state_of, wait_until
from rope_configs import SMOLLM2
from tiny_model import write_tiny_model

from lctx.cli.report import text_report
from lctx.cli.servers import table_of
from lctx.core.engine.events import Finished, TextDelta
from lctx.core.engine.llama_rope import LlamaRope, llama_rope
from lctx.core.engine.protocol import Sampling
from lctx.core.engine.servers import list_servers
from lctx.core.engine.state import ServerFiles, read_state
from lctx.core.errors import (
    DoesNotFitError,
    EngineCrashedError,
    EngineLoadingError,
    EngineRefusedError,
)
from lctx.core.models.gguf import read_header
from lctx.core.models.rope import RopeType, rope_from_config, rope_from_gguf
from lctx.core.planning.rope import choose_rope, dynamic_ntk_base, llama_parameters, rope_label

METHODS = (RopeType.YARN, RopeType.LINEAR, RopeType.DYNAMIC)
BASE = dynamic_ntk_base(10_000.0, 2.0, 16_384, 8192, 32)
"""The tiny model's base at twice its window."""

PROMPT = [1, *(300 + number % 150 for number in range(600))]
PROGRAM = """
import json, os, sys, time, urllib.request, xllamacpp
from argparse import Namespace
from pathlib import Path
from lctx.core.engine.llama_child import parameters
from lctx.core.engine.llama_rope import LlamaRope
from lctx.core.engine.state import ServerFiles

model, folder, window, given = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
rope = LlamaRope.from_json(given["rope"]) if "rope" in given else None
arguments = Namespace(model=model, name="m", window=window, rope=rope, threads=1, threads_batch=1, poll=0, host=None, port=0)
params = parameters(arguments, ServerFiles(folder, "x"), "key")
params.hostnames, params.warmup, params.verbosity = ["127.0.0.1"], False, 4
for name, value in given.get("fields", {}).items():
    named = xllamacpp.llama_rope_scaling_type[value] if name == "rope_scaling_type" else value
    setattr(params, name, named)
server = xllamacpp.Server(params)


def ask(path, body=None):
    headers = {"Authorization": "Bearer key", "Content-Type": "application/json"}
    content = json.dumps(body).encode() if body else None
    request = urllib.request.Request(server.listening_address + path, content, headers)
    return json.load(urllib.request.urlopen(request, timeout=60))


told = {"n_ctx": ask("/slots")[0]["n_ctx"]}
if prompt := given.get("prompt"):
    answer = ask("/completion", {"prompt": prompt, "n_predict": 1, "temperature": 0, "n_probs": 8})
    told["top"] = {one["id"]: one["logprob"] for one in answer["completion_probabilities"][0]["top_logprobs"]}
print("told", json.dumps(told), flush=True)
time.sleep(0.3)  # llama.cpp logs from a thread of its own
os._exit(0)
"""


def tiny_rope(model):
    return rope_from_gguf(read_header(model))


def stretched(model, window=16_384, method=RopeType.YARN):
    """Settings that ask for `window` tokens, with the rope that reaches them."""
    return {"window": window, "rope": choose_rope(tiny_rope(model), window, method)}


def served(model, folder, window, **given):
    """What a server says of its window and of the next token, and its log; started with what the child is told."""
    program = [sys.executable, "-c", PROGRAM, str(model), str(folder), str(window), json.dumps(given)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("told ")), None)
    assert line, done.stderr[-2000:]
    return json.loads(line.removeprefix("told ")), done.stderr


def cap(parameters):
    """What llama.cpp makes of its cap on the window, in its own single precision."""
    original = ctypes.c_float(parameters["yarn_orig_ctx"]).value
    return int(ctypes.c_float(original / ctypes.c_float(parameters["rope_freq_scale"]).value).value)


def test_the_fields_of_llama_cpp():
    """This test ensures that each kind of scaling is asked for so that the window is lifted, and nothing else is."""
    rope = rope_from_config(SMOLLM2)
    yarn = {"rope_scaling_type": "yarn", "rope_freq_scale": 0.5, "yarn_orig_ctx": 8192}
    assert llama_parameters(choose_rope(rope, 16_384)) == yarn
    assert llama_parameters(choose_rope(rope, 16_384, RopeType.LINEAR)) == yarn | {"yarn_ext_factor": 0.0}
    dynamic = llama_parameters(choose_rope(rope, 16_384, RopeType.DYNAMIC))
    assert dynamic.pop("rope_freq_base") == pytest.approx(100_000 * 3 ** (64 / 62))
    assert dynamic.pop("rope_freq_scale") == 1 - 2**-24
    assert dynamic == {"rope_scaling_type": "yarn", "yarn_ext_factor": 0.0, "yarn_orig_ctx": 16_384}
    assert llama_parameters(choose_rope(rope, 8192)) == {}
    with pytest.raises(DoesNotFitError, match="from the model's file only"):
        llama_parameters(choose_rope(rope, 16_384, RopeType.LLAMA3))


@given(st.integers(8193, 65_536), st.sampled_from(METHODS))
@example(13_312, RopeType.YARN)
def test_the_cap_never_costs_the_last_token(num_tokens, method):
    """This test ensures that llama.cpp's single precision reaches every window, with whole single-precision fields."""
    found = llama_parameters(choose_rope(rope_from_config(SMOLLM2), num_tokens, method))
    assert cap(found) >= num_tokens
    assert ctypes.c_float(found["rope_freq_scale"]).value == found["rope_freq_scale"]


@given(st.integers(2048, 65_536), st.sampled_from([1.625, 3.0, 4.0, 40.0]))
def test_a_files_own_yarn_reaches_beyond_its_declared_length(original, factor):
    """This test ensures that the cap is lifted where a file declares less than its own scaling reaches."""
    rope = replace(
        rope_from_config(SMOLLM2), kind=RopeType.YARN, factor=factor, trained=original,
        positions=original, window=int(original * factor),
    )  # fmt: skip
    choice = choose_rope(rope, rope.window)
    found = llama_parameters(choice)
    assert cap(found) >= rope.window
    own = ctypes.c_float(1 / ctypes.c_float(factor).value).value
    assert (
        own * (1 - 2**-22) < found["rope_freq_scale"] < own
    )  # another than the file's, or nothing is lifted
    assert llama_rope(choice, "id").fingerprint is None


def test_the_rope_in_a_few_words():
    """This test ensures that people see the kind, the factor and both lengths, and nothing where nothing is scaled."""
    rope = rope_from_config(SMOLLM2)
    assert rope_label(choose_rope(rope, 16_384)) == "yarn x2 (8,192 -> 16,384)"
    assert rope_label(choose_rope(rope, 10_000, RopeType.DYNAMIC)) == "dynamic x1.234375 (8,192 -> 10,112)"
    assert rope_label(choose_rope(rope, 4096)) is None


def test_a_rope_survives_the_command_line():
    """This test ensures that the server is told exactly what was chosen."""
    rope = llama_rope(choose_rope(rope_from_config(SMOLLM2), 13_312, RopeType.DYNAMIC), "llama-1")
    assert LlamaRope.from_json(rope.to_json()) == rope


@pytest.mark.engine
def test_a_rope_bounds_the_window(runtime, tiny_gguf):
    """This test ensures that no more is set aside than the plan's rope reaches, and a small window is not raised."""
    choice = choose_rope(tiny_rope(tiny_gguf), 12_288)
    start(runtime, tiny_gguf, window=9000, rope=choice).ready().close()
    assert state_of(runtime).window == 9216
    start(runtime, tiny_gguf, window=2_000_000_000, rope=choice).ready().close()
    assert (state_of(runtime).window, state_of(runtime).asked_window) == (12_288, 12_288)


def test_a_state_of_an_older_version_is_read(tmp_path):
    """This test ensures that a server which never heard of ropes is known, and known as unscaled."""
    older = {"id": "x", "kind": "llama", "name": "x", "model": "x", "asked_window": 1, "window": 1, "pid": 7}
    older |= {"pid_started": 1, "address": "", "api_key": "", "version": "", "started_at": 0.0}
    files = ServerFiles(tmp_path, "llama-1")
    files.state.write_text(json.dumps(older | {"phase": "ready"}))
    state = read_state(files)
    assert (state.pid, state.rope, state.rope_fingerprint) == (7, None, None)


@pytest.mark.engine
@pytest.mark.parametrize("method", METHODS)
def test_a_real_model_is_served_at_twice_its_window(smollm2_gguf, tmp_path, method):
    """This test ensures that SmolLM2 (8,192) takes 16,384 tokens with each kind of scaling, in llama.cpp's words."""
    choice = choose_rope(tiny_rope(smollm2_gguf), 16_384, method)
    told, log = served(smollm2_gguf, tmp_path, 16_384, rope=llama_rope(choice, "x").to_json())
    assert told["n_ctx"] == 16_384
    assert "n_ctx_train adjusted to 16384" in log
    assert "exceeds the training context" not in log
    scale, base = ("1", "310822.4") if method is RopeType.DYNAMIC else ("0.5", "100000.0")
    fields = dict(re.findall(r"llama_context: (freq_\w+) += (\S+)", log))
    assert (fields["freq_scale"], fields["freq_base"]) == (scale, base)


@pytest.mark.engine
def test_each_kind_computes_what_its_name_says(tiny_gguf, tmp_path):
    """This test ensures that linear and dynamic under YaRN's name give llama.cpp's own linear and NTK logits."""
    kinds = {
        RopeType.LINEAR: {"rope_scaling_type": "LLAMA_ROPE_SCALING_TYPE_LINEAR", "rope_freq_scale": 0.5},
        RopeType.DYNAMIC: {"rope_scaling_type": "LLAMA_ROPE_SCALING_TYPE_NONE", "rope_freq_base": BASE},
    }
    tops = [served(tiny_gguf, tmp_path, 4096, prompt=PROMPT)[0]["top"]]
    for method in METHODS:
        choice = choose_rope(tiny_rope(tiny_gguf), 16_384, method)
        told, _ = served(tiny_gguf, tmp_path, 16_384, prompt=PROMPT, rope=llama_rope(choice, "x").to_json())
        tops.append(told["top"])
        if method in kinds:  # a scale of 1 less a bit moves keys by the rounding of half precision
            near = 2e-3 if method is RopeType.DYNAMIC else 1e-6
            own, _ = served(tiny_gguf, tmp_path, 4096, prompt=PROMPT, fields=kinds[method])
            assert told["top"] == pytest.approx(own["top"], abs=near)
    for number, top in enumerate(tops):
        for other in tops[:number]:
            assert top.keys() != other.keys() or max(abs(top[one] - other[one]) for one in top) > 1e-2


@pytest.mark.engine
def test_a_long_prompt_is_answered_by_a_stretched_server(runtime, tiny_gguf):
    """This test ensures that 9,000 tokens, refused by a window of 8,192, are read and answered at 16,384."""
    prompt = [1, *(300 + number % 150 for number in range(8999))]
    native = start(runtime, tiny_gguf, window=8192).ready()
    with pytest.raises(EngineRefusedError):
        list(native.generate(prompt, Sampling(3)))
    native.close()
    engine = start(runtime, tiny_gguf, **stretched(tiny_gguf)).ready()
    assert engine.window == 16_384
    events = list(engine.generate(prompt, Sampling(3)))
    assert isinstance(events[-1], Finished)
    assert events[-1].usage.prompt_tokens == 9000
    assert any(isinstance(event, TextDelta) for event in events)
    assert len(servers_of(runtime)) == 1
    (server,) = list_servers(runtime)
    assert server.rope == "yarn x2 (8,192 -> 16,384)"
    assert "yarn x2 (8,192 -> 16,384)" in text_report([table_of([server], now=0.0)])


@pytest.mark.engine
@pytest.mark.parametrize("method", METHODS)
def test_any_window_within_reach_is_served(runtime, tiny_gguf, method):
    """This test ensures that a window which is no round number is not cut by llama.cpp's rounding."""
    engine = start(runtime, tiny_gguf, **stretched(tiny_gguf, 13_313, method)).ready()
    assert 13_313 <= engine.window <= 13_568
    assert answers(engine)


@pytest.mark.engine
def test_only_a_server_with_the_wanted_rope_is_taken_up(runtime, tiny_gguf):
    """This test ensures that what fits natively is not answered under a scaling, nor the other way round."""
    start(runtime, tiny_gguf, window=4096).ready().close()
    (first,) = servers_of(runtime)
    engine = start(runtime, tiny_gguf, **stretched(tiny_gguf)).ready()
    (second,) = servers_of(runtime)
    assert second != first
    again = start(runtime, tiny_gguf, **stretched(tiny_gguf))
    assert again.warm
    again.close()
    waiting = start(runtime, tiny_gguf, window=4096, wait_s=0.5)
    with pytest.raises(EngineLoadingError, match=r"used by another command with yarn x2 \(8,192 -> 16,384\)"):
        waiting.ready()
    assert answers(engine)  # nobody loses an answer to another's plan
    engine.close()
    statuses = []
    start(runtime, tiny_gguf, statuses, window=8192).ready().close()
    assert any("ending an idle one with yarn x2" in status for status in statuses)
    (third,) = servers_of(runtime)
    assert third != second
    assert state_of(runtime).rope is None
    smaller = start(runtime, tiny_gguf, window=2048, rope=choose_rope(tiny_rope(tiny_gguf), 2048))
    assert smaller.warm  # a window of its own needs no new one, planned or not
    smaller.close()


@pytest.mark.engine
def test_two_ropes_of_one_window_are_two(runtime, tiny_gguf):
    """This test ensures that a kind of scaling is not taken for another that reaches as far."""
    start(runtime, tiny_gguf, **stretched(tiny_gguf)).ready().close()
    (before,) = servers_of(runtime)
    start(runtime, tiny_gguf, **stretched(tiny_gguf, method=RopeType.LINEAR)).ready().close()
    assert servers_of(runtime) != [before]
    assert state_of(runtime).rope == "linear x2 (8,192 -> 16,384)"


@pytest.mark.engine
def test_a_scaling_that_llama_cpp_cannot_do_is_refused(runtime, tiny_gguf):
    """This test ensures that llama3 scaling is told as out of reach, before anything is started."""
    pending = start(runtime, tiny_gguf, **stretched(tiny_gguf, method=RopeType.LLAMA3))
    with pytest.raises(DoesNotFitError, match="from the model's file only") as caught:
        pending.ready()
    assert caught.value.hint
    assert servers_of(runtime) == []


@pytest.mark.engine
def test_a_rope_that_does_not_take_is_no_smaller_window(runtime, tmp_path, tiny_gguf):
    """This test ensures that a choice made for another file fails, rather than cut the window in silence."""
    scaled = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 2.0}
    model = write_tiny_model(tmp_path / "scaled.gguf", scaled)
    with pytest.raises(EngineCrashedError, match="its window ends at 8192 tokens with this rope"):
        start(runtime, model, **stretched(tiny_gguf)).ready()
    assert wait_until(lambda: servers_of(runtime) == [])
    with pytest.raises(DoesNotFitError, match="scaled already"):
        choose_rope(tiny_rope(model), 16_384)


@pytest.mark.engine
def test_a_window_beyond_all_numbers_is_told(runtime, tmp_path):
    """This test ensures that a header with an absurd length is an error in one line."""
    model = write_tiny_model(tmp_path / "huge.gguf", {"llama.context_length": 2**32 - 1})
    with pytest.raises(EngineCrashedError, match="cannot serve huge") as caught:
        start(runtime, model, window=2**32 - 1).ready()
    assert "\n" not in caught.value.message
    assert wait_until(lambda: servers_of(runtime) == [])
