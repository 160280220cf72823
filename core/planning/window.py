"""How long a window, and with which rope: as asked, as measured, or as long as everything needs."""

from dataclasses import dataclass

from lctx.core.errors import DoesNotFitError
from lctx.core.models.profile import ModelProfile
from lctx.core.planning.rope import RopeChoice, choose_rope

WINDOW_STEP = 1024
"""A window that is worked out is a whole multiple of this, so that plans of like size share an engine."""


@dataclass(frozen=True, slots=True)
class Window:
    """The length that an engine is started for, and why that one.

    Attributes:
        tokens: Prompt and answer together, a hard ceiling.
        rope: How positions reach it, or None where the model's files do not say.
        why: One clause: who decided the length.
    """

    tokens: int
    rope: RopeChoice | None
    why: str

    @property
    def is_stretched(self) -> bool:
        """Whether a scaling is put on top of the model's own rope."""
        return self.rope is not None and self.rope.method is not None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where quality is known to fall, one line each."""
        return self.rope.warnings if self.rope else ()


def choose_window(profile: ModelProfile, *, asked: int | None = None, needed: int | None = None) -> Window:
    """The window for a plan.

    A length that the user names counts as it is. Where everything is to be read the window is as long as that
    needs, at least the effective one, beyond the native one by the smallest factor. Otherwise it is the
    effective one.

    Args:
        profile: The model's.
        asked: Tokens that the user named, or None.
        needed: Tokens of prompt and answer where everything is to be read, or None.

    Raises:
        DoesNotFitError: The length is out of the model's reach; the message says why.
    """
    if asked is not None:
        return _reaching(profile, asked, "as asked for")
    if needed is None:
        return _reaching(profile, profile.effective_window, profile.effective_source)
    rounded = -(-needed // WINDOW_STEP) * WINDOW_STEP
    if needed <= profile.native_window:
        # No longer than needed: memory is planned for the whole window, and an engine is started with it.
        tokens = min(max(profile.effective_window, rounded), profile.native_window)
        is_effective = tokens == profile.effective_window
        return _reaching(profile, tokens, profile.effective_source if is_effective else "as everything needs")
    return _reaching(profile, rounded, "as everything needs")


def _reaching(profile: ModelProfile, tokens: int, why: str) -> Window:
    if profile.rope is not None:
        return Window(tokens, choose_rope(profile.rope, tokens), why)
    if tokens > profile.native_window:
        raise DoesNotFitError(
            f"a window of {tokens:,} tokens: that of {profile.name} has {profile.native_window:,}",
            f"plan for at most {profile.native_window:,} tokens, or choose a model with a larger window",
        )
    return Window(tokens, None, why)
