"""The model and the engine of a run: managed, and starting while sources are read, or behind an address."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lctx.cli.folders import fallback_cache
from lctx.cli.settings import Settings
from lctx.core.errors import DoesNotFitError, LctxError, ModelFileError
from lctx.core.models.profile import UNMEASURED, Capability, ModelProfile, PromptStyle

if TYPE_CHECKING:
    from lctx.core.answering.answer import AnswerReady
    from lctx.core.engine.open import PendingEngine
    from lctx.core.engine.protocol import Engine
    from lctx.core.planning.plan import ContextPlan
    from lctx.core.planning.window import Window
    from lctx.core.storage import Directories
    from lctx.core.tokens.tokenizer import Tokenizer

ATTACHED_WINDOW = 32_768
"""The most that a model behind an address is trusted with while nobody measured it."""


class Attachment:
    """What a run needs of its model: the profile, the tokenizer and, when the plan stands, the engine.

    Args:
        settings: Which model, which engine.
        folders: Where models and counts are kept, and where servers are.
        on_status: Told what the engine is doing.
        warn: Told what the reader of the answer must know.
        start: Whether the engine is started at once; a plan of a managed model needs none.
    """

    def __init__(
        self,
        settings: Settings,
        folders: "Directories",
        on_status: Callable[[str], None],
        warn: Callable[[str], None],
        *,
        start: bool,
    ) -> None:
        self._settings = settings
        self._folders = folders
        self._on_status = on_status
        self._warn = warn
        self._is_plan = not start
        self._managed = settings.is_managed
        self._local = self._resolve(settings.model) if self._managed else None
        self._window: Window | None = None
        if self._local is not None and settings.window is not None:
            from lctx.core.planning.window import choose_window

            self._window = choose_window(self._local, asked=settings.window)
        # How large a window `full` takes is known when the plan stands: a warm engine stays until then.
        is_sized_later = self._managed and settings.strategy == "full"
        at_once = (start and not is_sized_later) or not self._managed
        self._pending = self._start() if at_once else None

    def needs(self, plan: "ContextPlan") -> None:
        """Say what is planned, before the engine is asked for."""
        self._window = plan.window

    @cached_property
    def engine(self) -> "Engine":
        """The engine; waits until it is ready."""
        if self._pending is None:
            self._pending = self._start()
        try:
            return self._pending.ready()
        except ModelFileError:
            self._forget_model_check()
            raise

    @cached_property
    def profile(self) -> ModelProfile:
        """What the model is; for one behind an address the engine is asked."""
        return self._local or self._attached_profile()

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """The served model's own tokenizer, or the engine's, or an estimate."""
        if self.profile.path is not None:
            from lctx.core.tokens.load import load_tokenizer

            return load_tokenizer(self.profile, self._folders.cache)
        if self._settings.engine == "vllm":
            from lctx.core.tokens.served import ServedTokenizer

            return ServedTokenizer(
                self.engine.tokenize, f"served {self._settings.endpoint} {self.profile.name}"
            )
        from lctx.core.tokens.estimate import EstimatingTokenizer

        return EstimatingTokenizer()

    @property
    def label(self) -> str | None:
        """The engine's label, once it is ready."""
        return self.engine.label if "engine" in self.__dict__ else None

    def learn(self, ready: "AnswerReady") -> None:
        """Keep how fast this machine was, for the next plan; `--no-cache` keeps nothing."""
        usage, engine = ready.usage, self._settings.engine
        if usage is None or not usage.known or not self._settings.cache or engine == "endpoint":
            return
        if self.profile.path is None:
            return  # a vLLM elsewhere: what it reached says nothing of this machine
        from lctx.cli.learning import learn_from

        with suppress(LctxError, OSError):
            learn_from(ready, self.profile, engine, self._folders.state)

    def close(self) -> None:
        """Let go of the engine; a managed one stays warm."""
        if "engine" in self.__dict__:
            self.engine.close()
        elif self._pending is not None:
            self._pending.close()

    def _start(self) -> "PendingEngine":
        settings = self._settings
        if self._local is not None:
            return self._start_managed(self._local)
        from lctx.core.engine.open import EngineSettings, start_engine

        return start_engine(
            EngineSettings(
                kind=settings.engine,
                model_name=settings.model,
                address=settings.endpoint,
                api_key=api_key(),
                window=ATTACHED_WINDOW,
                keep_alive_s=settings.keep_alive,
                wait_s=settings.wait_s,
                offline=settings.offline,
            ),
            self._folders.runtime,
            self._on_status,
        )

    def _start_managed(self, profile: ModelProfile) -> "PendingEngine":
        from lctx.cli.launching import start_managed
        from lctx.core.engine.state import usable_runtime
        from lctx.core.planning.window import choose_window

        runtime, warning = usable_runtime(self._folders.runtime)
        if warning:
            self._warn(warning)
        window = self._window or choose_window(profile)
        return start_managed(profile, window, self._settings, self._folders, self._on_status, runtime=runtime)

    def _resolve(self, name: str | None) -> ModelProfile:
        from lctx.core.models.resolve import resolve_model

        def told(done: int, total: int) -> None:
            self._on_status(f"putting the embedded model together: {100 * done // max(total, 1)} %")

        try:
            return resolve_model(
                name, self._folders.cache, told, cards=self._is_plan, state=self._folders.state
            )
        except ModelFileError as error:
            if not isinstance(error.__cause__, OSError) or os.access(self._folders.cache, os.W_OK):
                raise
            return resolve_model(name, fallback_cache(), told, cards=self._is_plan, state=self._folders.state)

    def _attached_profile(self) -> ModelProfile:
        from lctx.core.engine.client import ServedEngine
        from lctx.core.models.resolve import with_effective_window

        engine = self.engine
        name = getattr(engine, "model", None) or self._settings.model or "unknown"
        if (folder := self._served_folder(name)) is not None:
            with suppress(LctxError):
                known = self._served_profile(str(folder), name, engine.window)
                if known.fingerprint is not None and isinstance(engine, ServedEngine):
                    engine.salt_cache(known.fingerprint)
                return known
        attached = ModelProfile(
            name=name,
            path=None,
            origin=str(self._settings.endpoint),
            licence="not known: the model lives behind an address",
            native_window=engine.window,
            effective_window=min(engine.window, ATTACHED_WINDOW),
            style=PromptStyle.CHAT,
            # Nobody measured it: whoever named it chose it for the question.
            capabilities=frozenset(Capability),
        )
        return with_effective_window(attached, self._folders.state)

    def _served_profile(self, folder: str, name: str, window: int) -> ModelProfile:
        """What is served from a folder of this machine, with the window and the name that the server told."""
        from lctx.core.models.resolve import with_effective_window

        known = self._resolve(folder)
        served = replace(
            known,
            name=name,
            aliases=(known.name, *known.aliases),
            native_window=window,
            effective_window=min(window, ATTACHED_WINDOW),
            effective_source=UNMEASURED,
            fingerprint=_fingerprint(known, window),
            rope=None,  # the server's rope is what it is: no plan may stretch it
        )
        return with_effective_window(served, self._folders.state)

    def _served_folder(self, name: str) -> Path | None:
        """The folder that the server loaded the model from, where it tells and is this machine."""
        if self._settings.engine != "vllm":
            return None
        from lctx.core.engine.address import parse_address
        from lctx.core.engine.connection import fetch_json

        address = parse_address(str(self._settings.endpoint))
        if not address.is_local:
            return None  # a path that another machine names is not a path here
        listed = fetch_json(address, "GET", address.api + "/models", api_key=api_key())
        models = listed.get("data") if isinstance(listed, dict) else None
        for model in models if isinstance(models, list) else ():
            root = model.get("root") if isinstance(model, dict) and model.get("id") == name else None
            if isinstance(root, str) and Path(root).is_absolute() and (Path(root) / "config.json").is_file():
                return Path(root)
        return None

    def _forget_model_check(self) -> None:
        """Have the next run check and mend the embedded model, which an engine could not load."""
        from lctx.core.models.embedded import EMBEDDED_NAME, forget_check

        if self._local and self._local.name == EMBEDDED_NAME and self._local.path:
            forget_check(self._local.path.parent)


def _fingerprint(profile: ModelProfile, window: int) -> str | None:
    """Names the weights and the rope of a served model, or None where its files do not say.

    Beyond the model's own window it was started with another rope, which no server tells: it is taken to be
    the one that lctx plans for that window.
    """
    from lctx.core.models.resolve import weights_identity
    from lctx.core.planning.rope import choose_rope, rope_fingerprint

    weights = weights_identity(profile.path) if profile.path is not None else None
    if weights is None or profile.rope is None:
        return None
    try:
        rope = choose_rope(profile.rope, window)
    except DoesNotFitError:
        return None
    return rope_fingerprint(weights, rope, profile.quantization or "unknown")


def api_key() -> str | None:
    """The key for an endpoint; from the environment only, never from a file or the command line."""
    return os.environ.get("LCTX_API_KEY") or os.environ.get("OPENAI_API_KEY") or None
