"""How a model marks what it says to itself before it answers, read from its chat template."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReasoningMarkers:
    """What stands around a model's reasoning.

    Attributes:
        start: Before it; a template may put this into the prompt, so that the answer begins inside.
        end: Behind it, before the answer.
        in_channels: Whether each message names its channel and the answer is the one called "final".
        are_control: Whether the markers are control tokens, which an engine leaves out unless it is asked.
        answer_start: Before the answer, where it has a marker of its own.
        answer_ends: Any of these may close the answer; they are none of its text.
    """

    start: str
    end: str
    in_channels: bool = False
    are_control: bool = False
    answer_start: str = ""
    answer_ends: tuple[str, ...] = ()

    def opened_by(self, prompt_end: str) -> bool:
        """Whether a prompt that ends so leaves the model inside its reasoning.

        Args:
            prompt_end: What the template wrote behind the last message; never a document's text.
        """
        if self.in_channels:
            return bool(re.search(r"<\|channel\|>analysis<\|message\|>\s*$", prompt_end))
        return prompt_end.rfind(self.start) > prompt_end.rfind(self.end)


HARMONY = ReasoningMarkers(
    "<|channel|>analysis<|message|>",
    "<|end|>",
    in_channels=True,
    are_control=True,
    answer_ends=("<|end|>", "<|return|>", "<|call|>"),
)
"""gpt-oss. Source: openai-harmony, docs/format.md: channels analysis, commentary and final."""

THINK = ReasoningMarkers("<think>", "</think>")
"""Qwen, DeepSeek, GLM, MiniMax, Nemotron and most others."""

# Source: the models' own chat templates, and the reasoning parsers of vLLM 0.32.
_TAGS = (
    THINK,
    ReasoningMarkers("<seed:think>", "</seed:think>"),
    ReasoningMarkers("[THINK]", "[/THINK]", are_control=True),
    ReasoningMarkers(
        "<|START_THINKING|>",
        "<|END_THINKING|>",
        are_control=True,
        answer_start="<|START_RESPONSE|>",
        answer_ends=("<|END_RESPONSE|>",),
    ),
    ReasoningMarkers("<|channel>thought", "<channel|>", are_control=True),
    ReasoningMarkers("<mm:think>", "</mm:think>"),
    ReasoningMarkers("<thought>", "</thought>"),
    ReasoningMarkers("◁think▷", "◁/think▷"),
)


def reasoning_of(template: str | None) -> ReasoningMarkers | None:
    """The markers of the model whose chat template this is, or None where it writes no reasoning.

    Only the template's own words count, not its comments.
    """
    if not template:
        return None
    if "<|channel|>" in template and "<|start|>assistant" in template:
        return HARMONY
    spoken = re.sub(r"\{#.*?#\}", "", template, flags=re.DOTALL)
    return next((tags for tags in _TAGS if tags.end in spoken), None)
