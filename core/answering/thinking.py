"""A model that reasons before it answers: the room that this gets, and whether the prompt begins it."""

from dataclasses import replace

from lctx.core.answering.layout import ChatLayout
from lctx.core.answering.plan_answer import Planned
from lctx.core.engine.protocol import Sampling
from lctx.core.tokens.template import Turn

MOST_REASONING_TOKENS = 8192
"""Tokens of reasoning: what is longer is a loop more often than a thought."""


def with_reasoning(sampling: Sampling, planned: Planned, window: int) -> Sampling:
    """The sampling for a model that reasons; as it was for any other, and where the server sets the prompt.

    Reasoning comes on top of the answer's tokens, from what prompt and answer leave of the window.

    Args:
        sampling: Of the answer.
        planned: Its prompt and model.
        window: The engine's.
    """
    markers = planned.situation.inputs.profile.reasoning
    layout = planned.situation.layout
    if markers is None or not isinstance(layout, ChatLayout) or layout.template is None:
        return sampling
    parts = layout.template.render((Turn("user", "?"),))
    room = window - planned.plan.prompt_tokens - sampling.max_tokens
    return replace(
        sampling,
        reasoning=markers,
        reasoning_open=parts[-1].message is None and markers.opened_by(parts[-1].text),
        reasoning_tokens=max(min(MOST_REASONING_TOKENS, room), 0),
    )
