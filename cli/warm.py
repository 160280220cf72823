"""`lctx warm`: sources are read into an engine's KV cache now, so that the first question finds them."""

from contextlib import closing
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, cast

from lctx.cli.ask import interruption, read_all, require_one, told_error
from lctx.cli.endpoints import with_endpoint
from lctx.cli.exit import exit_code_of
from lctx.cli.failure import checked_format
from lctx.cli.notes import Notes, bar
from lctx.cli.output import open_sink
from lctx.cli.request import Request, ask_settings, invocation_of, settings_of
from lctx.cli.signals import interruptible
from lctx.core.engine.events import EngineEvent, Finished, PrefillProgress, Usage
from lctx.core.errors import DoesNotFitError, EngineError, ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from lctx.cli.attachment import Attachment
    from lctx.core.answering.inputs import Inputs
    from lctx.core.answering.plan_answer import Planned
    from lctx.core.engine.protocol import Prompt

_ROOM = "word " * 256
"""Kept for the question to come: a window that it would not fit would be another window, read anew."""

_OTHER = "?"
"""A second question: what the prompts of both begin with is what every question's begins with."""


def run_warm(request: Request, wanted: str, started: float) -> ExitCode:
    """Have the engine read the sources as `ask --strategy full` would, and say how much it keeps.

    Raises:
        UsageError: No source, or a strategy whose prompt depends on the question.
        DoesNotFitError: The sources do not fit the window.
        EngineError: The engine failed.
    """
    from lctx.cli.attachment import Attachment
    from lctx.cli.folders import content_cache, usable_directories
    from lctx.cli.looking import Looking
    from lctx.cli.passwords import Passwords
    from lctx.core.answering.inputs import Inputs

    checked_format(wanted)
    settings, warnings = settings_of(request)
    if settings.strategy not in {None, "full"}:
        raise UsageError(
            f"--strategy {settings.strategy}: what it reads depends on the question",
            "leave it out: full reads everything, whatever is asked",
        )
    settings = replace(settings, strategy="full")
    notes = Notes(quiet=settings.quiet)
    # With a question given, every argument is a source.
    invocation = invocation_of(replace(request, question=_OTHER), needs_question=False)
    require_one(invocation)
    settings = with_endpoint(settings, invocation.sources, notes.warning)
    folders = usable_directories(notes.warning)
    for text in warnings:
        notes.warning(text)
    cache = content_cache(folders, settings)
    with interruptible():
        attachment = Attachment(settings, folders, notes.progress, notes.warning, start=True)
        try:
            passwords = Passwords(request.password, notes)
            reading = read_all(request, invocation, cache, notes, passwords)
            for error in reading.unreadable:
                notes.warning(told_error(error))
            inputs = Inputs(
                _ROOM,
                reading.documents,
                attachment.profile,
                attachment.tokenizer,
                cache,
                ask_settings(request, settings),
                Looking(cache, reading.files, passwords.options_for, reading.contents, notes.warning).unseen,
            )
            planned, prefix = plan_prefix(inputs)
            attachment.needs(planned.plan)
            usage = _prefill(attachment, prefix, notes)
        except KeyboardInterrupt:
            raise interruption("") from None
        finally:
            notes.clear()
            attachment.close()
    code = exit_code_of(num_unreadable=len(reading.unreadable))
    _show(attachment, planned, prefix, usage, len(reading.documents), monotonic() - started, wanted, code)
    return code


def plan_prefix(inputs: "Inputs") -> "tuple[Planned, Prompt]":
    """The plan of everything, and the prompt as far as it is the same for every question.

    A prompt of messages, whose template only the server knows, is taken whole.

    Raises:
        DoesNotFitError: The sources do not fit the window, not even beside the shortest question.
    """
    from lctx.core.answering.plan_answer import plan_answer

    try:
        planned = plan_answer(inputs)
    except DoesNotFitError:
        planned = plan_answer(replace(inputs, question=_OTHER))
    first = planned.laid_out.prompt
    other = planned.situation.layout.lay_out(planned.passages, "Which?").prompt
    if not (_is_ids(first) and _is_ids(other)):
        return planned, planned.situation.layout.lay_out(planned.passages, _OTHER).prompt
    num_same = next(
        (number for number, (one, two) in enumerate(zip(first, other, strict=False)) if one != two),
        min(len(first), len(other)),
    )
    return planned, cast("Sequence[int]", first)[:num_same]


def _is_ids(prompt: "Prompt") -> bool:
    return bool(prompt) and isinstance(prompt[0], int)


def _prefill(attachment: "Attachment", prefix: "Prompt", notes: Notes) -> Usage:
    """The engine's own count of a request for one token.

    Raises:
        DoesNotFitError: The engine's window is smaller.
        EngineError: It failed, or ended without a count.
    """
    from lctx.core.engine.protocol import Sampling

    notes.progress("waiting for the engine", now=True)
    engine = attachment.engine
    if _is_ids(prefix) and len(prefix) >= engine.window:
        raise DoesNotFitError(
            f"the engine's window is too small: {len(prefix):,} tokens to read, {engine.window:,} served",
            "start it with a larger window",
        )
    events = engine.generate(prefix, Sampling(1))
    with closing(cast("Generator[EngineEvent]", events)):
        for event in events:
            if isinstance(event, PrefillProgress):
                told = f"{event.done:,} of {event.total:,} tokens"
                notes.progress(f"reading the sources [{bar(event.done, event.total)}] {told}")
            elif isinstance(event, Finished):
                return event.usage
    raise EngineError("the engine's answer has no end: the stream was closed", "try again")


def _show(  # noqa: PLR0917 - what is told of one reading
    attachment: "Attachment",
    planned: "Planned",
    prefix: "Prompt",
    usage: Usage,
    num_sources: int,
    seconds: float,
    wanted: str,
    code: ExitCode,
) -> None:
    sink = open_sink(None)
    read = usage.prompt_tokens if usage.known else planned.plan.prompt_tokens
    if wanted == "json":
        from lctx.core.answering.wire import SCHEMA_VERSION, encode

        record = {
            "schema_version": SCHEMA_VERSION,
            "model": attachment.profile.name,
            "engine": attachment.label,
            "window": planned.plan.budget.window,
            "sources": num_sources,
            "prefix_tokens": len(prefix) if _is_ids(prefix) else None,
            "prompt_tokens": usage.prompt_tokens if usage.known else None,
            "cached_tokens": usage.cached_tokens if usage.known and usage.cached_known else None,
            "total_s": round(seconds, 3),
            "exit_code": int(code),
        }
        sink.write(encode(record, indent=2).decode() + "\n")
        return
    about = "" if usage.known else "~"
    before = f", {usage.cached_tokens:,} of them before" if usage.known and usage.cached_tokens else ""
    what = "1 source" if num_sources == 1 else f"{num_sources} sources"
    sink.write(
        f"{attachment.profile.name} has read {about}{read:,} tokens of {what}{before}; {seconds:.1f} s\n"
    )
