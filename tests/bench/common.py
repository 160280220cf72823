"""What the question benchmarks share: one warm engine, every question in one process, gold compared in words."""

import argparse
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lctx.core.answering.ask import AskSettings, answer_question
from lctx.core.engine.open import EngineSettings, start_engine
from lctx.core.engine.servers import stop_servers
from lctx.core.models.resolve import resolve_model
from lctx.core.storage import ByteCache, directories
from lctx.core.tokens.load import load_tokenizer


def arguments(description: str) -> argparse.ArgumentParser:
    """The options of every benchmark of questions."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("data", type=Path, help="the set's folder")
    parser.add_argument("--model", help="a GGUF file instead of the embedded model")
    parser.add_argument("--every", type=int, default=1, help="ask every Nth question")
    parser.add_argument("--strategy", choices=("full", "retrieve"))
    parser.add_argument("--budget", type=int)
    parser.add_argument("--show", action="store_true", help="print what went wrong")
    return parser


class Asker:
    """Asks one question after another of one engine."""

    def __init__(self, given: argparse.Namespace, runtime: Path) -> None:
        folders = directories()
        self.profile = resolve_model(given.model, folders.cache)
        self._tokenizer = load_tokenizer(self.profile, folders.cache)
        self._cache = ByteCache(folders.cache / "content")
        self._settings = AskSettings(given.strategy, given.budget, seed=0)
        window = self.profile.native_window if given.strategy == "full" else self.profile.effective_window
        self.engine = start_engine(
            EngineSettings(
                kind="llama", model=self.profile.path, model_name=self.profile.name, window=window,
                keep_alive_s=300, wait_s=300,
            ),
            runtime,
        ).ready()  # fmt: skip

    def ask(self, question, documents):
        """The plan, the last event, and the seconds between question and answer."""
        begun = time.monotonic()
        events = list(
            answer_question(
                question, documents, profile=self.profile, tokenizer=self._tokenizer, cache=self._cache,
                settings=self._settings, engine=lambda: self.engine,
            )
        )  # fmt: skip
        return events[0].plan, events[-1], time.monotonic() - begun


@contextmanager
def asker(given: argparse.Namespace) -> Iterator[Asker]:
    """An `Asker` whose engine ends with it."""
    with tempfile.TemporaryDirectory() as folder:
        one = Asker(given, Path(folder))
        try:
            yield one
        finally:
            one.engine.close()
            stop_servers(Path(folder), None)


def norm(text):
    """Words only, in lower case."""
    return re.sub(r"\W+", " ", text or "").lower().strip()


def squeeze(text):
    """Without white space and the marks of hyphenation."""
    return re.sub(r"[\s\u00ad\ufffe]+", "", text)


def ratio(part, whole):
    """`part` of `whole` with its share."""
    return f"{part}/{whole} ({part / whole:.1%})" if whole else "0/0"
