"""The commands that keep engines: open one to other programs, read its log, have it read sources now."""

from collections.abc import Callable

import typer

from lctx.cli import options
from lctx.cli.commands_sources import request_of
from lctx.cli.light import LightCommand
from lctx.cli.settings import KEYS
from lctx.core.errors import ExitCode

Job = Callable[[float], ExitCode]


def serve(
    model: options.ServedModel = None,
    *,
    engine: options.Engine = None,
    window: options.Window = None,
    host: options.Host = "127.0.0.1",
    port: options.Port = "8000",
    keep_alive: options.ServeKeepAlive = None,
    foreground: options.Foreground = False,
    wait: options.Wait = None,
    vllm_python: options.VllmPython = None,
    kv_dtype: options.KvDtype = None,
    dtype: options.Dtype = None,
    max_num_seqs: options.MaxNumSeqs = None,
    max_num_batched_tokens: options.MaxNumBatchedTokens = None,
    kv_cache_memory_bytes: options.KvCacheMemoryBytes = None,
    pipeline_parallel: options.PipelineParallel = None,
    context_parallel: options.ContextParallel = None,
    quantization: options.Quantization = None,
    load_format: options.LoadFormat = None,
    enforce_eager: options.EnforceEager = None,
    batch_invariant: options.BatchInvariant = None,
    quiet: options.Quiet = None,
    format: options.ReportFormat = "text",  # noqa: A002 - named as the option is
) -> Job:
    """Start an engine for other programs too; print address and key.

    It speaks OpenAI's API, stays until lctx stop, and ask finds it as well. Its key is LCTX_API_KEY, else
    random.
    """
    given = locals()

    def job(started: float) -> ExitCode:
        from lctx.cli.serve import ServeRequest, run_serve

        flags = {key: given.get(key) for key in KEYS if key not in {"format", "keep_alive"}}
        wishes = {name: given[name] for name in WISHES if given[name] is not None}
        request = ServeRequest(flags, host, port, keep_alive, foreground=foreground, wishes=wishes)
        return run_serve(request, format, started)

    return job


WISHES = (
    "dtype",
    "max_num_seqs",
    "max_num_batched_tokens",
    "kv_cache_memory_bytes",
    "pipeline_parallel",
    "context_parallel",
    "quantization",
    "load_format",
    "enforce_eager",
    "batch_invariant",
)
"""What `VllmWishes` calls the options of `serve` that decide about a vLLM."""


def logs(
    server: options.LoggedServer = None, *, follow: options.Follow = False, lines: options.Lines = None
) -> Job:
    """Print what an engine said, also one that did not start."""

    def job(started: float) -> ExitCode:
        from lctx.cli.logs import run_logs

        return run_logs(server, lines, started, follow=follow)

    return job


def warm(
    sources: options.Sources = None,
    *,
    files_from: options.FilesFrom = None,
    null: options.Null = False,
    include: options.Include = None,
    exclude: options.Exclude = None,
    no_ignore: options.NoIgnore = False,
    password: options.Password = None,
    strategy: options.WarmStrategy = None,
    model: options.Model = None,
    engine: options.Engine = None,
    endpoint: options.Endpoint = None,
    vllm_python: options.VllmPython = None,
    window: options.Window = None,
    keep_alive: options.KeepAlive = None,
    wait: options.Wait = None,
    quiet: options.Quiet = None,
    offline: options.Offline = None,
    no_cache: options.NoCache = None,
    format: options.ReportFormat = "text",  # noqa: A002 - named as the option is
) -> Job:
    """Have an engine read sources before they are asked about.

    For questions that read everything:

        lctx warm report.pdf && lctx ask report.pdf "What changed?" --strategy full
    """
    request = request_of({**locals(), "arguments": sources} | {"format": None})

    def job(started: float) -> ExitCode:
        from lctx.cli.warm import run_warm

        return run_warm(request, format, started)

    return job


def register(app: typer.Typer) -> None:
    """Make these commands of `app`."""
    for command in (serve, logs, warm):
        app.command(cls=LightCommand)(command)
