"""The arguments and options that commands share, each described once."""

from collections.abc import Callable
from typing import Annotated

import typer

from lctx.cli.settings import ENGINES, FORMATS, KV_DTYPES, STRATEGIES
from lctx.core.errors import UsageError


def _of(names: tuple[str, ...]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


def _choice(names: tuple[str, ...]) -> str:
    return "|".join(names)


REPORT_FORMATS = ("text", "json")
READ_FORMATS = ("text", "json", "ndjson")

Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCE|QUESTION",
        help="Files, directories, - for standard input; the question is last, unless it is an existing path.",
        show_default=False,
    ),
]
Question = Annotated[
    str | None,
    typer.Option("-q", "--question", metavar="TEXT", help="The question; then all arguments are sources."),
]
QuestionFile = Annotated[
    str | None,
    typer.Option("--question-file", metavar="FILE", help="Read the question from a file, or from -."),
]
FilesFrom = Annotated[
    str | None,
    typer.Option("--files-from", metavar="FILE", help="Read paths of sources from a file, or from -."),
]
Null = Annotated[
    bool, typer.Option("-0", "--null", help="Paths of --files-from end with NUL, not with a line.")
]
Include = Annotated[
    list[str] | None,
    typer.Option("--include", metavar="PATTERN", help="Of directories read only these; as in .gitignore."),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="PATTERN", help="Of directories leave these out; as in .gitignore."),
]
NoIgnore = Annotated[
    bool, typer.Option("--no-ignore", help="Of directories also read what .gitignore and its like leave out.")
]
Password = Annotated[
    str | None,
    typer.Option(
        "--password",
        metavar="TEXT",
        help="Opens protected sources. Other users may see it here: LCTX_PASSWORD hides it.",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar=_choice(FORMATS),
        help="How the answer is written. [default: text]",
        autocompletion=_of(FORMATS),
    ),
]
ReportFormat = Annotated[
    str,
    typer.Option(
        "--format",
        metavar=_choice(REPORT_FORMATS),
        help="How the report is written.",
        autocompletion=_of(REPORT_FORMATS),
    ),
]
ReadFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar=_choice(READ_FORMATS),
        help="How the text is written. [default: text]",
        autocompletion=_of(READ_FORMATS),
    ),
]
Numbered = Annotated[
    bool, typer.Option("-n", "--line-number", help="Put its place before each line: path:page:line:text.")
]
Outline = Annotated[
    bool, typer.Option("--outline", help="Only headings and definitions, with their pages and lines.")
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where", metavar="QUOTE", help="Only where a quote stands; exit 1 where it stands nowhere."
    ),
]
Output = Annotated[
    str | None,
    typer.Option("-o", "--output", metavar="FILE", help="Write to a file instead of standard output."),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="NAME|FILE", help="A GGUF file, or a model's name. [default: the embedded one]"
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar=_choice(ENGINES),
        help="What runs the model. [default: llama]",
        autocompletion=_of(ENGINES),
    ),
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        "--endpoint", metavar="URL", help="The address of a running engine; its key is LCTX_API_KEY."
    ),
]
VllmPython = Annotated[
    str | None,
    typer.Option("--vllm-python", metavar="FILE", help="The interpreter whose vLLM is started."),
]
MaxTokens = Annotated[
    str | None, typer.Option("--max-tokens", metavar="N", help="At most this many tokens of answer.")
]
Budget = Annotated[
    str | None, typer.Option("--budget", metavar="N", help="At most this many tokens of the sources.")
]
Strategy = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        metavar=_choice(STRATEGIES),
        help="Read everything, or the passages that match. [default: what fits]",
        autocompletion=_of(STRATEGIES),
    ),
]
Window = Annotated[
    str | None,
    typer.Option(
        "--window",
        metavar="N",
        help="Tokens of prompt and answer together. [default: as far as the model was measured]",
    ),
]
Pin = Annotated[
    list[str] | None,
    typer.Option("--pin", metavar="PATTERN", help="Sources that are read whole, before all others."),
]
Weight = Annotated[
    list[str] | None,
    typer.Option("--weight", metavar="PATTERN=N", help="Rank these sources N times as high; 0 leaves out."),
]
Priority = Annotated[
    list[str] | None,
    typer.Option("--priority", metavar="PATTERN=N", help="Higher ones are read first; the others are 0."),
]
Gpu = Annotated[
    str | None,
    typer.Option(
        "--gpu",
        metavar="NAME",
        help="Plan for this device: h100:80gb, 2xh200, rtx4090, none. [default: this machine's]",
    ),
]
KvDtype = Annotated[
    str | None,
    typer.Option(
        "--kv-dtype",
        metavar=_choice(KV_DTYPES),
        help="What the KV cache is kept as. [default: as the engine has it]",
        autocompletion=_of(KV_DTYPES),
    ),
]
PricePerHour = Annotated[
    str | None,
    typer.Option("--price-per-hour", metavar="N", help="What the device costs an hour, for prices."),
]
Compare = Annotated[
    bool,
    typer.Option("--compare", help="A table of models and devices: --model and --gpu take lists, a,b,c."),
]
KeepAlive = Annotated[
    str | None,
    typer.Option(
        "--keep-alive", metavar="TIME", help="How long the engine stays warm; -1 forever. [default: 5m]"
    ),
]
Wait = Annotated[
    str | None, typer.Option("--wait", metavar="TIME", help="How long to wait for the engine. [default: 10m]")
]
Seed = Annotated[str | None, typer.Option("--seed", metavar="N", help="The same seed gives the same answer.")]
NoCite = Annotated[bool | None, typer.Option("--no-cite", help="Leave out the numbers and the sources.")]
RequireCitations = Annotated[
    bool | None,
    typer.Option("--require-citations", help="Exit with 1 unless a verified quote supports every sentence."),
]
ShowReasoning = Annotated[
    bool | None,
    typer.Option("--show-reasoning", help="Show on standard error what a model thinks before it answers."),
]
Quiet = Annotated[bool | None, typer.Option("--quiet", help="Only warnings and errors on standard error.")]
Offline = Annotated[
    bool | None, typer.Option("--offline", help="Refuse every connection except to this machine.")
]
NoCache = Annotated[bool | None, typer.Option("--no-cache", help="Keep nothing of the sources.")]
Raw = Annotated[bool, typer.Option("--raw", help="Print one integer: the tokens of all sources.")]
All = Annotated[bool, typer.Option("--all", help="Stop all of them, as without a name.")]
Server = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME", help="An engine, as lctx ps names it; all without one.", show_default=False
    ),
]
TABLE_FORMATS = ("text", "json", "md")
TableFormat = Annotated[
    str,
    typer.Option(
        "--format",
        metavar=_choice(TABLE_FORMATS),
        help="How the report is written.",
        autocompletion=_of(TABLE_FORMATS),
    ),
]
ModelFilter = Annotated[
    str | None,
    typer.Argument(metavar="PART", help="Of a name: only models that hold it.", show_default=False),
]
ModelName = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME|FILE|DIR",
        help="A name that models ls lists, a GGUF file, a directory with config.json; else the embedded one.",
        show_default=False,
    ),
]
ModelNames = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME|FILE|DIR",
        help="Names that models ls lists, GGUF files, directories; else ten of different kinds.",
        show_default=False,
    ),
]
Gpus = Annotated[
    str | None,
    typer.Option(
        "--gpu",
        metavar="LIST",
        help="Devices, divided by commas: h100:80gb,2xh200,rtx4090,none. [default: this machine's]",
    ),
]
FitWindow = Annotated[
    str | None,
    typer.Option(
        "--window", metavar="N", help="Tokens of prompt and answer together. [default: the largest that fits]"
    ),
]
ServedModel = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        help="A GGUF file, a Hugging Face directory, or a model's name; else the embedded one.",
        show_default=False,
    ),
]
Host = Annotated[
    str, typer.Option("--host", metavar="ADDRESS", help="Where to listen; 0.0.0.0 is every network.")
]
Port = Annotated[str, typer.Option("--port", metavar="N", help="The port to listen on; 0 is a free one.")]
ServeKeepAlive = Annotated[
    str | None,
    typer.Option(
        "--keep-alive", metavar="TIME", help="How long it stays without lctx using it. [default: -1, forever]"
    ),
]
Foreground = Annotated[
    bool, typer.Option("--foreground", help="Stay until Ctrl-C, and take the engine along then.")
]
Dtype = Annotated[
    str | None,
    typer.Option("--dtype", metavar="TYPE", help="What vLLM computes in. [default: as the model has it]"),
]
MaxNumSeqs = Annotated[
    str | None, typer.Option("--max-num-seqs", metavar="N", help="Requests at once. [default: planned]")
]
MaxNumBatchedTokens = Annotated[
    str | None,
    typer.Option(
        "--max-num-batched-tokens",
        metavar="N",
        help="Tokens of a step of vLLM: how finely progress shows and a request can be dropped.",
    ),
]
KvCacheMemoryBytes = Annotated[
    str | None,
    typer.Option(
        "--kv-cache-memory-bytes", metavar="N", help="KV cache of each device. [default: what memory is left]"
    ),
]
PipelineParallel = Annotated[
    str | None,
    typer.Option(
        "--pipeline-parallel-size", metavar="N", help="Stages of layers; the other GPUs divide the heads."
    ),
]
ContextParallel = Annotated[
    str | None,
    typer.Option(
        "--decode-context-parallel-size", metavar="N", help="GPUs that divide the tokens, not the heads."
    ),
]
Quantization = Annotated[
    str | None,
    typer.Option("--quantization", metavar="NAME", help="Quantise weights while they are loaded, as fp8."),
]
LoadFormat = Annotated[
    str | None,
    typer.Option("--load-format", metavar="NAME", help="Where vLLM's weights come from; dummy is random."),
]
EnforceEager = Annotated[
    bool | None, typer.Option("--enforce-eager", help="Compile nothing: starts sooner, decodes slower.")
]
BatchInvariant = Annotated[
    bool | None,
    typer.Option("--batch-invariant", help="The same answer whatever runs beside it; slower."),
]
LoggedServer = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME",
        help="An engine, as lctx ps names it; the one that spoke last without one.",
        show_default=False,
    ),
]
Follow = Annotated[bool, typer.Option("-f", "--follow", help="Go on until the engine ends, or Ctrl-C.")]
Lines = Annotated[
    str | None, typer.Option("-n", "--lines", metavar="N", help="Only the last N lines. [default: all]")
]
Sources = Annotated[
    list[str] | None,
    typer.Argument(metavar="SOURCE", help="Files, directories, - for standard input.", show_default=False),
]
WarmStrategy = Annotated[
    str | None,
    typer.Option("--strategy", metavar="full", help="Whose prefix is read. [default: full]"),
]


def checked_table_format(wanted: str) -> str:
    """`wanted`, if a table can be written in it.

    Raises:
        UsageError: It cannot.
    """
    if wanted not in TABLE_FORMATS:
        raise UsageError(f"--format {wanted}: not one of {', '.join(TABLE_FORMATS)}")
    return wanted
