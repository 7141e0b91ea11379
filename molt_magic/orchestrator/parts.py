"""The parts an orchestrator is made of: each made at first use, and made anew when a setting it rests on changes."""

from __future__ import annotations

import logging
import os
import tempfile
import weakref
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from molt_magic.cache import Cache
from molt_magic.catalog import Catalog
from molt_magic.config import BudgetSettings, Settings, without_keys
from molt_magic.embed import Embedder, MiniLMEmbedder, make_embedder
from molt_magic.errors import ConfigError, MoltError, UnknownName
from molt_magic.log import DecisionLog
from molt_magic.orchestrator.budget import Budget
from molt_magic.orchestrator.engine import Engine
from molt_magic.orchestrator.examples import KeptExamples
from molt_magic.orchestrator.learned import LearnedAnswers
from molt_magic.orchestrator.learning import Learning
from molt_magic.orchestrator.promises import Promises
from molt_magic.orchestrator.recorded import Recorded
from molt_magic.orchestrator.serving import Serves
from molt_magic.providers import Delegated, Exchanger, Providers
from molt_magic.providers.cassette import Recorder, Replayer, State, Tape
from molt_magic.providers.local import discover
from molt_magic.providers.vendors import key_variables
from molt_magic.quality import QualityModel
from molt_magic.strategies import Arbitrage, Cascade, Direct, Rule, Semantic
from molt_magic.strategies.classifier import TaskClassifier
from molt_magic.types import Strategy, TaskGuess

logger = logging.getLogger("molt_magic")

# section of the settings -> the parts that rest on it
RESTS_ON: Mapping[str, tuple[str, ...]] = {
    "defaults": ("catalog", "engine"),
    "models": ("catalog", "engine"),
    "routes": ("catalog", "engine"),
    "cascade": ("catalog", "engine"),
    "cache": ("cache", "engine"),
    "context": ("engine",),
    "embed": ("embedder", "classifier", "cache", "quality", "learning", "learned", "engine"),
    "local": ("catalog", "providers", "serving", "engine"),
    "network": ("providers", "serving", "engine"),
    "log": ("log", "learned", "cache", "engine"),
    "budget": (),
    "arbitrage": ("engine",),
    "exploration": (),
    "cassette": ("classifier", "serving", "cache", "quality", "learning", "learned", "engine"),
}

# the sections that name models of the catalog, or make it
NAMES_MODELS = frozenset({"defaults", "models", "routes", "cascade", "context", "local"})


def load_catalog(settings: Settings) -> Catalog:
    """The catalog by these settings, those of servers that run on this machine included. Raises ConfigError."""
    shipped = settings.defaults.catalog == "shipped"
    catalog = Catalog.load(
        models=settings.models,
        routes=settings.routes,
        ladder=settings.cascade.ladder,
        ladders=settings.cascade.ladders,
        shipped=shipped,
        local_context_tokens=settings.local.context_tokens,
        found=discover(os.environ) if shipped else (),
    )
    named = {
        "defaults.model": settings.defaults.model,
        "defaults.judge": settings.defaults.judge,
        "context.summary_model": settings.context.summary_model,
    }
    for key, name in named.items():
        if name is not None and name not in catalog.models:
            fix = UnknownName("model", name, catalog.models).fix
            where = settings.origins.get(key, "the settings")
            raise ConfigError(f"{key} in {where} names an unknown model {name!r}.", fix=f"{fix} Or define it under [models].")
    return catalog


class Parts:
    """Makes and keeps the parts.

    Args:
        settings: what they are made from.
        providers: stands in for the real ones where given.
        session: its id, as the log has it.
        on_progress: told (what, fraction or None) while something long is under way, such as a model's download.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        providers: Providers | None = None,
        session: str,
        on_progress: Callable[[str, float | None], None],
    ) -> None:
        self.settings = settings
        self.on_progress = on_progress
        self._given_providers = providers
        self._own_cache: tempfile.TemporaryDirectory[str] | None = None
        self._delegating: weakref.WeakKeyDictionary[Exchanger, Engine] = weakref.WeakKeyDictionary()
        self.budget = Budget(
            limits=lambda: self.settings.budget,
            session=session,
            log=self._logged_before,
            folder=lambda: self.settings.data_dir,
            patience_s=lambda: self.settings.network.total_s,
        )
        # for answers that nobody is paid for: a question's own limit counts all the same, so that it is answered as it was then
        self.unpaid = Budget(
            limits=lambda: BudgetSettings(allow_unknown_prices=self.settings.budget.allow_unknown_prices), session=session
        )
        self.promises = Promises(settings=lambda: self.settings, embedder=lambda: self.embedder)

    def _logged_before(self) -> DecisionLog | None:
        """The log, also while it is off: what was spent before counts."""
        return self.log if self.settings.log.enabled or self.log.path.exists() else None

    def change(self, values: Mapping[str, Any]) -> None:
        """Change settings and drop the parts that rest on them. Raises UnknownName or ConfigError, then nothing changes."""
        settings = self.settings.with_values(values)
        sections = {key.partition(".")[0] if "." in key else "defaults" for key in values}
        catalog = load_catalog(settings) if sections & NAMES_MODELS else None  # refuses a name that nothing defines
        self.settings = settings
        for section in sections:
            for part in RESTS_ON[section]:
                self.drop(part)
        if catalog is not None:
            self.catalog = catalog

    def drop(self, part: str) -> None:
        """Close a part and forget it; the next use makes it anew."""
        made = self.__dict__.pop(part, None)
        if part == "engine":
            self._delegating.clear()
        if part == "providers" and made is self._given_providers:
            return
        close = getattr(made, "close", None)
        if callable(close):
            close()
        if part == "cache" and self._own_cache is not None:  # once it is closed its folder can go
            self._own_cache.cleanup()
            self._own_cache = None

    def close(self) -> None:
        """Close everything that was made."""
        for part in ("engine", "cache", "log", "providers"):
            self.drop(part)
        self.budget.close()

    @cached_property
    def catalog(self) -> Catalog:
        return load_catalog(self.settings)

    @cached_property
    def providers(self) -> Providers:
        return self._given_providers or Providers(self.settings, on_progress=self.on_progress)

    @cached_property
    def serving(self) -> Serves:
        """Who answers: the providers, or a cassette in front of them."""
        wanted = self.settings.tape
        if wanted is None:
            return self.providers
        mode, path = wanted
        tape = Tape(path, locks=self.settings.cache_dir / "locks")
        if mode == "replay":
            return Replayer(tape)
        return Recorder(self.providers, tape, ready=lambda: self._ready(self.providers), clean=self._without_keys)

    @property
    def cassette(self) -> State | None:
        """How the cassette stands; None: there is none. Raises StoreError."""
        return self.serving.state() if isinstance(self.serving, Recorder | Replayer) else None

    def _ready(self, by: Providers | Delegated) -> list[str]:
        """Names of the models that can answer now."""
        return [name for name, spec in self.catalog.models.items() if by.missing(spec) is None]

    def _without_keys(self, text: str) -> str:
        """`text` without the keys that are in the environment or `.env`."""
        own = {d.api_key_env for spec in self.catalog.models.values() for d in spec.deployments if d.api_key_env}
        return without_keys(text, {key for name in key_variables() | own if (key := self.settings.secret(name))})

    @cached_property
    def embedder(self) -> Embedder:
        embed = self.settings.embed
        return make_embedder(
            provider=embed.provider,
            model=embed.model,
            base_url=embed.base_url,
            api_key_env=embed.api_key_env,
            secret=self.settings.secret,
        )

    @cached_property
    def cache(self) -> Cache | None:
        cache = self.settings.cache
        if not cache.enabled:
            return None
        if self.settings.tape is None:
            folder = self.settings.cache_dir / "answers"
        else:  # what is decided over a cassette depends on nothing but the cassette: its cache begins empty, and ends with it
            self._own_cache = tempfile.TemporaryDirectory(prefix="molt-cassette-")
            folder = Path(self._own_cache.name) / "answers"
        return Cache(
            folder,
            ttl_seconds=cache.ttl_seconds,
            max_bytes=cache.max_bytes,
            semantic=cache.semantic,
            semantic_distance=cache.semantic_distance,
            embedder=lambda: self.embedder,
            verifier=lambda: self.verifier,
            prompts=self.settings.log.prompts,
        )

    @cached_property
    def verifier(self) -> Embedder | None:
        """The second, better embedder that confirms a semantic hit; None where its model is not installed."""
        try:
            return MiniLMEmbedder()
        except MoltError as error:
            logger.warning("semantic hits are confirmed by their words only: %s", error)
            return None

    @cached_property
    def log(self) -> DecisionLog:
        return DecisionLog(self.settings.data_dir / "decisions.sqlite", prompts=self.settings.log.prompts)

    @cached_property
    def quality(self) -> QualityModel:
        if self.settings.tape is not None:  # what is fitted in a thread of its own would make a replay depend on the clock
            return QualityModel(embedder_id=self.embedder.id)
        return QualityModel(
            embedder_id=self.embedder.id,
            embedder=self.embedder,
            path=self.settings.data_dir / "quality.npz",
            older=lambda: self.learning.older(),  # made later than what learns
        )

    @cached_property
    def learning(self) -> Learning:
        return Learning(
            log=lambda: self.log if self.settings.log.enabled else None,
            quality=self.quality,
            embedder=self.embedder,
            afresh=self.settings.tape is not None,
        )

    @cached_property
    def learned(self) -> LearnedAnswers:
        """What marked answers teach of answers; over a cassette nothing, since the log is no part of it."""
        over_tape = self.settings.tape is not None
        return LearnedAnswers(
            log=lambda: self.log if self.settings.log.enabled and not over_tape else None, embedder=lambda: self.embedder
        )

    @cached_property
    def classifier(self) -> TaskClassifier:
        if self.settings.tape is not None:
            keeper = KeptExamples(None, unkept=lambda: "a cassette is in force")
        else:
            keeper = KeptExamples(
                self.settings.data_dir / "examples.jsonl",
                unkept=lambda: None if self.settings.log.prompts else "log.prompts is off",
            )
        return TaskClassifier.load_shipped(self.embedder, keeper=keeper)

    @cached_property
    def engine(self) -> Engine:
        return self._engine_over(self.serving)

    def engine_by(self, exchanger: Exchanger | None) -> Engine:
        """An engine like `engine`, whose exchanges with models `exchanger` performs: the same one for all questions of a run.
        None: `engine` itself.

        All else is shared: cache, budgets, limits and cooldowns of deployments. Over a replayed cassette nobody is asked, so
        that it is the session's own.
        """
        if exchanger is None or isinstance(self.serving, Replayer):
            return self.engine
        engine = self._delegating.get(exchanger)
        if engine is None:
            delegated = Delegated(self.providers, exchanger)
            serving: Serves = delegated
            if isinstance(self.serving, Recorder):
                serving = self.serving.over(delegated, ready=lambda: self._ready(delegated))
            engine = self._delegating[exchanger] = self._engine_over(serving)
        return engine

    def _engine_over(self, serving: Serves) -> Engine:
        return Engine(
            catalog=self.catalog,
            providers=serving,
            cache=self.cache,
            settings=self.settings,
            quality=self.quality,
            budget=self.unpaid if isinstance(serving, Replayer) else self.budget,
        )

    def engine_over_recorded(self, prompt_hash: str) -> Engine:
        """An engine for one question that answers from the cassette and the log alone."""
        file = self.settings.cassette.file
        recorded = Recorded(
            tape=None if file is None else Tape(Path(file).expanduser().absolute(), locks=self.settings.cache_dir / "locks"),
            log=self.log if self.settings.log.enabled else None,
            prompt_hash=prompt_hash,
            otherwise=self.serving,
        )
        return Engine(
            catalog=self.catalog,
            providers=recorded,
            cache=None,
            settings=self.settings,
            quality=self.quality,
            budget=self.unpaid,
        )

    def strategy(self, name: str) -> Strategy:
        """The strategy of this name, over the catalog in force."""
        default = self.settings.defaults.model
        if name == "rule":
            return Rule(routes=self.catalog.routes, classify=self._guess, default=default)
        if name == "semantic":
            return Semantic(routes=self.catalog.routes, classify=self._guess, default=default)
        if name == "arbitrage":
            wanted = self.settings.arbitrage
            return Arbitrage(within=wanted.within, price=wanted.price, promise=self.promises.now())
        if name == "cascade":
            return Cascade(
                ladder=self.catalog.ladder,
                ladders=self.catalog.ladders,
                classify=self._guess,
                price=self.settings.cascade.price,
            )
        return Direct(default=default)

    def _guess(self, prompt: str) -> TaskGuess:
        """The task of a prompt, without the examples it is like: nobody sees them. The classifier is made when it is needed."""
        return self.classifier.guess(prompt, nearest=0)
