"""The answer for machines: one JSON object, or one event a line as they happen."""

from typing import Any

from lctx.cli.outcome import Outcome
from lctx.cli.output import Sink
from lctx.core.answering.wire import SCHEMA_VERSION, citation_part, encode
from lctx.core.answering.wire_plan import plan_part, utf8
from lctx.core.engine.events import PrefillProgress
from lctx.core.planning.plan import ContextPlan


class JsonView:
    """Writes one object at the end, on every path."""

    def __init__(self, sink: Sink, *, cite: bool = True) -> None:
        self._sink = sink
        self._cite = cite

    def plan(self, plan: ContextPlan) -> None:
        """Nothing: the object holds it."""

    def progress(self, event: PrefillProgress) -> None:
        """Nothing."""

    def delta(self, text: str) -> None:
        """Nothing: the object holds the answer."""

    def warning(self, text: str) -> None:
        """Nothing: the object holds them."""

    def finish(self, outcome: Outcome) -> None:
        """The object, also of a failure."""
        self._sink.write(encode(outcome.record(cite=self._cite), indent=2).decode() + "\n")
        self._sink.close()


class NdjsonView:
    """Writes events as they happen; the last is a `result`, on every path."""

    def __init__(self, sink: Sink, *, cite: bool = True) -> None:
        self._sink = sink
        self._cite = cite
        self._event("start", schema_version=SCHEMA_VERSION)

    def plan(self, plan: ContextPlan) -> None:
        """`plan`: what will be read, and of how much."""
        self._event(
            "plan", plan=plan_part(plan), read_tokens=plan.read_tokens, total_tokens=plan.total_tokens
        )

    def progress(self, event: PrefillProgress) -> None:
        """`progress`: tokens of the prompt that the engine has read."""
        self._event("progress", stage="prefill", done=event.done, total=event.total, cached=event.cached)

    def delta(self, text: str) -> None:
        """`delta`: more of the answer."""
        self._event("delta", text=utf8(text))

    def warning(self, text: str) -> None:
        """`warning`: one sentence."""
        self._event("warning", message=utf8(text))

    def finish(self, outcome: Outcome) -> None:
        """`citation` for each, then `result` with the object of `--format json`."""
        if outcome.ready and self._cite:
            for citation in outcome.ready.citations:
                self._event("citation", citation=citation_part(citation))
        self._event("result", result=outcome.record(cite=self._cite))
        self._sink.close()

    def _event(self, name: str, **fields: Any) -> None:
        self._sink.write(encode({"event": name, **fields}).decode() + "\n")
