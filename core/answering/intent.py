"""What kind of question is it? A model is asked only what it was measured to be able to do."""

import re

from lctx.core.models.profile import Capability

_ABOUT = r"(?:document|file|text|report|paper|contract|repo|repository|code|book)"
_SAID: tuple[tuple[Capability, tuple[str, ...]], ...] = (
    (
        Capability.REVIEW,
        (
            r"\breview (?:this|the|my|it)\b",
            r"\b(?:find|any|are there|spot) (?:any )?(?:bugs?|vulnerabilit\w+)",
            r"\b(?:is|are) (?:this|it|these|the changes?) (?:\w+ )?(?:safe|secure|correct)\b",
        ),
    ),
    (
        Capability.COMPARE,
        (
            r"\bcompar(?:e|es|ed|ing|ison)\b|\bcontrast\b|\bdiffer(?:s|ences?)?\b|\bversus\b|\bvs\b",
            r"\bwhat (?:has |have |was |were |is |are )?(?:\w+ )?chang(?:e|es|ed)\b",
            r"\bhow (?:does|do|did) .+ (?:change|differ)\b",
        ),
    ),
    (
        Capability.SUMMARY,
        (
            r"\bsummar(?:y|ise|ize|ised|ized)\b|\boverview\b|\btl;?dr\b",
            r"\b(?:main|key|central) (?:points?|ideas?|themes?|findings?|takeaways?)\b",
            rf"\bwhat (?:is|are|does) (?:this|these|the) {_ABOUT}s? (?:about|say|do)\b",
            r"\bexplain (?:this|the)\b",
        ),
    ),
    (
        Capability.LIST,
        (
            r"\b(?:list|enumerate|name|find|give|show)(?: me)? (?:all|every|each)\b",
            r"\blist (?:the|of)\b|^\s*list\b|\ball (?:of )?the \w+ (?:that|which|who|where)\b",
            r"\bhow many (?:different|distinct)\b|\bwhich (?:\w+ )+are there\b",
            r"\bhow (?:many times|often) .*(?:mention|appear|occur|repeat)",
        ),
    ),
)
_KINDS = tuple((kind, re.compile("|".join(said), re.IGNORECASE)) for kind, said in _SAID)


def capability_needed(question: str) -> Capability:
    """The kind of question that `question` is; a look-up where nothing says otherwise."""
    return next((kind for kind, pattern in _KINDS if pattern.search(question)), Capability.LOOKUP)
