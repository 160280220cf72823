"""How long a window the sources of a comparison take, for each model by its own tokenizer."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from lctx.cli.ask import read_all, require_one, told_error
from lctx.cli.folders import content_cache
from lctx.cli.notes import Notes
from lctx.cli.request import Request, ask_settings, invocation_of
from lctx.cli.settings import Settings
from lctx.core.answering.ask import plan_question
from lctx.core.planning.window import WINDOW_STEP
from lctx.core.tokens.estimate import EstimatingTokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from lctx.core.models.profile import ModelProfile
    from lctx.core.storage import Directories
    from lctx.core.tokens.tokenizer import Tokenizer


def measure_sources(
    request: Request,
    settings: Settings,
    folders: "Directories",
    notes: Notes,
    warn: Callable[[str], None],
) -> tuple[Callable[["ModelProfile"], tuple[int, bool]], int]:
    """A model -> tokens of a window that holds all sources, whether exact; and how many were unreadable.

    Raises:
        UsageError: No source is named, or none can be read.
    """
    invocation = invocation_of(request, needs_question=False)
    for text in invocation.warnings:
        warn(text)
    require_one(invocation)
    asked = replace(
        ask_settings(request, settings),
        strategy=None,
        window=None,
        budget=None,
        max_tokens=None,
        pins=(),
        priorities=(),
    )
    cache = content_cache(folders, settings)
    reading = read_all(request, invocation, cache, notes)
    for text in (*(told_error(error) for error in reading.unreadable), *reading.warnings):
        warn(text)
    known: dict[tuple[Path | None, object], tuple[int, bool]] = {}

    def needed(profile: "ModelProfile") -> tuple[int, bool]:
        # What is known by its card alone is counted by one estimate.
        key = (profile.path, profile.capabilities)
        if key not in known:
            notes.progress(f"counting tokens for {profile.name}", now=True)
            tokenizer = _tokenizer(profile, folders)
            # Without a question nothing is ranked: what everything takes does not depend on it.
            plan = plan_question(
                None, reading.documents, profile=profile, tokenizer=tokenizer, cache=cache, settings=asked
            )
            full = next(one for one in plan.estimates if one.strategy == "full")
            question = sum(tokenizer.count_batch([invocation.question])) if invocation.question else 0
            tokens = full.prompt_tokens + question + (settings.max_tokens or full.answer_tokens)
            known[key] = (-(-tokens // WINDOW_STEP) * WINDOW_STEP, plan.exact)
        return known[key]

    return needed, len(reading.unreadable)


def _tokenizer(profile: "ModelProfile", folders: "Directories") -> "Tokenizer":
    if profile.path is None:
        return EstimatingTokenizer()
    from lctx.core.tokens.load import load_tokenizer

    return load_tokenizer(profile, folders.cache)
