"""Tokens that steer a model, whatever their file says of them: in a document they are ordinary text."""

import re

_MARKER = re.compile(r"\s*(<.*>|\[.*\])\s*", re.DOTALL)

CONTROL_LOOKING = frozenset(
    """
    <|eot_id|> <|im_end|> <|end|> <|return|> <|call|> <|calls|> <|flush|> <end_of_turn> <|endoftext|>
    </s> <eos> <|eom_id|> <EOT> _<EOT> [EOT] [EOS] <|end_of_text|> <end_of_utterance> <turn|> <|tool_response>
    <｜end▁of▁sentence｜> [e~[
    <|fim_prefix|> <fim-prefix> <fim_prefix> <｜fim▁begin｜> <PRE> ▁<PRE> <|code_prefix|> <|prefix|>
    <|fim_suffix|> <fim-suffix> <fim_suffix> <｜fim▁hole｜> <SUF> ▁<SUF> <|code_suffix|> <|suffix|>
    <|fim_middle|> <fim-middle> <fim_middle> <｜fim▁end｜> <MID> ▁<MID> <|code_middle|> <|middle|>
    <|fim_pad|> <fim-pad> <fim_pad> <PAD> [PAD]
    <|fim_repo|> <|repo_name|> <fim-repo> <REPO> <reponame> <|file_sep|>
    """.split()  # noqa: SIM905
)
"""Names that llama.cpp takes for control tokens even where the file calls them something else.

Source: llama.cpp, "control-looking token" in src/llama-vocab.cpp.
"""


def is_marker(token: str) -> bool:
    """Whether an added token looks like one that steers a model (`<think>`, `[INST]`)."""
    return _MARKER.fullmatch(token) is not None


_SPELLED = re.compile(
    # <|im_start|>, <｜User｜>, <start_of_turn>; and, by name, those that look like any tag
    r"<(?=[|｜][^<>\n]{0,80}>|[^<>\n]{0,80}[|｜]>|/?[A-Za-z]+(?:_[A-Za-z]+)+>|<SYS>>|</SYS>>"
    r"|/?(?:s|bos|eos|pad|unk|mask|think|EOT|PRE|SUF|MID|REPO|PAD|reponame|filename)>"
    r"|fim-[a-z]+>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS|CALL_ID|THINK|IMG"
    r"|PREFIX|SUFFIX|MIDDLE|EOT|EOS|BOS|PAD|UNK|CLS|SEP|MASK|gMASK)\]|e~\[)"
)


def spaced_out(text: str) -> str:
    """`text` with a space inside each control token that it spells, as in `< |im_end|>`.

    For messages, which a server reads for control tokens after it has put them into its template. A quote of
    such text still stands: quotes are compared without white space.
    """
    return _SPELLED.sub(r"\g<0> ", text)
