"""The Orchestrator: what it is made of, and the public ways to ask."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from molt_magic import errors
from molt_magic.cache import Cache
from molt_magic.catalog import Catalog
from molt_magic.config import Settings, load_settings
from molt_magic.embed import Embedder
from molt_magic.log import DecisionLog
from molt_magic.orchestrator import question
from molt_magic.orchestrator.asked import Asked, read
from molt_magic.orchestrator.budget import Account
from molt_magic.orchestrator.comparison import Comparison, Mode, OnNamedEvent
from molt_magic.orchestrator.loop import EventLoop
from molt_magic.orchestrator.marks import marks_of
from molt_magic.orchestrator.parts import Parts
from molt_magic.orchestrator.promises import FILE, Keepable
from molt_magic.orchestrator.readiness import Readiness
from molt_magic.orchestrator.routing import Routing
from molt_magic.orchestrator.threads import Threads
from molt_magic.orchestrator.under_way import CANCEL_S, Asking
from molt_magic.providers import Providers
from molt_magic.providers.cassette import State
from molt_magic.quality import Promise
from molt_magic.result import Result
from molt_magic.strategies.classifier import TaskClassifier
from molt_magic.types import (
    Event,
    OnEvent,
)

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

    from molt_magic.batch import Forecast, Runs
    from molt_magic.evaluation.whatif import WhatIf

    Prompts = pd.Series[Any] | pd.DataFrame | Iterable[question.Prompt | None]


class Orchestrator:
    """Routes prompts to models and logs why.

    Args:
        settings: what is in force; None: `load_settings()` from files and the environment.
        providers: stands in for the real providers (tests, recorded answers).

    Raises:
        ConfigError: a configuration file or variable is wrong.
    """

    def __init__(self, *, settings: Settings | None = None, providers: Providers | None = None) -> None:
        self.session = uuid.uuid4().hex[:8]
        self.threads = Threads()
        self._parts = Parts(
            settings=settings or load_settings(), providers=providers, session=self.session, on_progress=self._progress
        )
        self._loop = EventLoop()
        self._listeners: list[OnEvent] = []
        self._routing = Routing(parts=self._parts, threads=self.threads, session=self.session, listeners=self._listeners)

    @classmethod
    def from_config(cls, path: str | Path) -> Orchestrator:
        """An orchestrator by this configuration file. Raises ConfigError."""
        return cls(settings=load_settings(Path(path)))

    # what it is made of

    @property
    def settings(self) -> Settings:
        return self._parts.settings

    @property
    def catalog(self) -> Catalog:
        return self._parts.catalog

    @property
    def providers(self) -> Providers:
        return self._parts.providers

    @property
    def cache(self) -> Cache | None:
        """The cache of answers; None where it is switched off."""
        return self._parts.cache

    @property
    def log(self) -> DecisionLog:
        return self._parts.log

    @property
    def runs(self) -> Runs:
        """The runs of `map` that have a name: `to_frame` shows them, `forget` throws one away."""
        from molt_magic.batch import Runs  # a layer above, as for `map`

        return Runs(self.settings.data_dir)

    @property
    def embedder(self) -> Embedder:
        """What makes vectors of prompts, by `[embed]`."""
        return self._parts.embedder

    @property
    def promise(self) -> Promise | None:
        """What was kept, by which arbitrage decides; None: there is nothing.

        Raises:
            ConfigError: `arbitrage.promise` names a file that is not there.
            StoreError: the file cannot be used.
        """
        return self._parts.promises.now()

    @property
    def classifier(self) -> TaskClassifier:
        """Which task a prompt is: `add` examples of your own (kept, and shared by all kernels), and `report` how good it is."""
        return self._parts.classifier

    @property
    def cassette(self) -> State | None:
        """How the cassette stands, of which answers are replayed or on which they are recorded; None: there is none."""
        return self._parts.cassette

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of the routing table."""
        return tuple(self.catalog.routes)

    def configure(self, values: Mapping[str, Any]) -> None:
        """Change settings by dotted key, e.g. `{"cache.ttl_seconds": 60}`. Raises UnknownName or ConfigError."""
        self._parts.change(values)

    def keep(self, policy: Keepable | Promise | None, path: str | Path | None = None) -> Path | None:
        """Let arbitrage go by a calibrated policy from now on (`evaluation.calibrate`); None: no more.

        The promise is written to a file, and `arbitrage.promise` names it in this session. Other sessions go by it where
        molt.toml names it as well.

        Args:
            path: the file; None: `promise.npz` beside the log.

        Returns:
            The file, or None.

        Raises:
            InputError: nothing is promised (it says how many outcomes that needs), or arbitrage could not go by it.
            StoreError: the file cannot be written.
        """
        if policy is None:
            self.configure({"arbitrage.promise": None})
            return None
        promise = self._parts.promises.keepable(policy, self.catalog)
        file = (self.settings.data_dir / FILE if path is None else Path(path)).expanduser().absolute()
        promise.save(file)
        self.configure({"arbitrage.promise": str(file)})
        return file

    def readiness(self) -> list[Readiness]:
        """What is ready and what is missing, a row a model in the catalog's order."""
        rows = []
        for spec in self.catalog.models.values():
            missing = self._parts.serving.missing(spec)
            ready = "; ".join(("ready", *self._parts.serving.resting(spec)))
            reason, fix = (ready, "") if missing is None else (missing.reason, missing.fix)
            rows.append(Readiness(spec.name, spec.provider, spec.model, missing is None, reason, fix))
        return rows

    def close(self) -> None:
        """End local models, close the stores, stop the event loop."""
        self._parts.close()
        self._loop.close()

    def __enter__(self) -> Orchestrator:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # the public ways to ask

    def route(self, prompt: question.Prompt, **options: Any) -> Result:
        """Answer one question; the arguments are those of `aroute`.

        On KeyboardInterrupt the request is cancelled and what had arrived is logged; the exception carries it as
        its `result`.
        """
        asked = self._ask(prompt, **options)
        try:
            return self._loop.run(self._routing.route(asked))
        except KeyboardInterrupt as interrupt:
            interrupt.result = asked.result  # type: ignore[attr-defined]  # for the magic, which binds it to a name
            raise

    async def aroute(self, prompt: question.Prompt, **options: Any) -> Result:
        """Answer one question.

        Args:
            prompt: text, or messages as `{"role", "content"}` mappings.
            strategy: rule | semantic | arbitrage | cascade | direct; None: the configured one.
            task: a task of the routing table, where known.
            model: catalog name; implies strategy direct.
            quality: threshold in [0, 1] for arbitrage; None: the configured one.
            validate: validators, by name or callables; see `molt_magic.validators`.
            thread: name of a conversation to continue.
            system: system prompt.
            max_cost: most that the question may cost, USD.
            deadline: seconds that all of it may take, waits, other models and judges included; None: `network.deadline_s`,
                which does not count the fetching of a local model's weights.
            cache: True, False, or "refresh" (do not read, but store).
            dry_run: plan and estimate, call nothing.
            recorded: answer from the cassette and the log alone; nothing is asked, paid or logged.
            log: False keeps the question out of the decision log.
            schema: JSON schema or pydantic model that models are told to follow; `validate=["schema:NAME"]` checks it.
            on_event: told of attempts and text as they come, in the thread that runs the event loop: the one that waits, or one
                of its own. What it asks itself it asks with `submit`.
            cell_id: identity of the asking cell: asking again replaces its turn of the thread.
            namespace: where validators and schemas are looked up by name.
            **params: temperature, max_tokens, tools, ... in OpenAI's names.

        Raises:
            InputError: the question cannot be asked this way (nothing is logged).
            MoltError: no answer. `error.result` holds the failed Result, `error.decision_id` its logged row.
        """
        running = self._loop.submit(self._routing.route(self._ask(prompt, **options)))
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            await asyncio.to_thread(running.wait, CANCEL_S)  # what had arrived is written down before the caller goes on
            raise

    def submit(self, prompt: question.Prompt, **options: Any) -> Asking:
        """Ask without waiting: returns at once a future of the Result. The arguments are those of `aroute`.

        Raises:
            InputError, UnknownName, ConfigError: the question cannot be asked this way; nothing is asked.
        """
        asked = self._ask(prompt, **options)
        return self._loop.ask(self._routing.route(asked), lambda: asked.result)

    def compare(
        self,
        prompt: question.Prompt,
        strategies: str | Iterable[str],
        *,
        mode: Mode = "live",
        on_event: OnNamedEvent | None = None,
        **options: Any,
    ) -> pd.DataFrame:
        """The same question by several strategies or models at once; one row each, failures included.

        Args:
            strategies: strategies, or models of the catalog, which are asked directly.
            mode: "live"; "dry run" (plans and estimates, nothing is called); "recorded" (answers that are known already).
            on_event: told (name, event).
            options: those of `aroute`.

        Columns: strategy (the name as given), model, text, cost_usd, saved_usd, latency_s, predicted_quality, quality, cache,
        status, reason, error, decision_id. On KeyboardInterrupt all are cancelled and the exception carries what there was
        as its `frame`.
        """
        comparison = Comparison(self, prompt, strategies, mode=mode, on_event=on_event, **options)
        comparison.start()
        try:
            comparison.wait()
        except KeyboardInterrupt as interrupt:
            interrupt.frame = comparison.frame  # type: ignore[attr-defined]  # nothing that was paid for is lost
            raise
        return comparison.frame

    @overload
    def map(self, prompts: Prompts, *, dry_run: Literal[False] = False, **options: Any) -> pd.DataFrame: ...

    @overload
    def map(self, prompts: Prompts, *, dry_run: Literal[True], **options: Any) -> Forecast: ...

    @overload
    def map(self, prompts: Prompts, *, dry_run: bool, **options: Any) -> pd.DataFrame | Forecast: ...

    def map(
        self,
        prompts: Prompts,
        *,
        column: str | None = None,
        resume: str | None = None,
        max_cost: float | None = None,
        concurrency: int = 16,
        client: Client | None = None,
        dry_run: bool = False,
        on_event: OnEvent | None = None,
        **options: Any,
    ) -> pd.DataFrame | Forecast:
        """Ask a whole column of prompts, many at a time, each different question once; one row a prompt, in order.

        A row that repeats another's question has its answer, at no cost and with the same decision. A row that fails says why
        in its `error` and does not disturb the others; those that hold nothing are errors, too. What is wrong for all rows
        alike, such as an option, raises before anything is asked. A question that is refused because too much was asked at once
        waits and is asked again, for up to two minutes.

        Args:
            prompts: a Series, a list, or another iterable of prompts, each text or messages; or a frame with its `column`.
            column: of a frame; None: `prompt`.
            resume: a name for the run. What it was answered is kept under that name, on disk before a row counts as done, and
                a call with the same name and options asks only what has no answer yet: after an interruption, a crash or a
                power cut, after failures, or with more prompts. At the most the calls that were in flight when its process
                died are made again; what those had cost is not known, and not counted.
            max_cost: the most that the whole run may cost, USD, all calls under its name together. When a question no longer
                fits in, the run ends: the rows that were not asked say so. Allow more, and resume.
            concurrency: questions in flight at once; with a `client`, on each of its workers.
            client: of a Dask cluster, whose workers make the calls to models. All else stays here: strategy, cache, budgets,
                limits, log and run are the same.
            dry_run: ask nothing, and return a `batch.Forecast`: cost and time as expected, from plans of some of the questions.
            on_event: told what is expected and how far it is, some times a second, by `batch.Progress` events.
            options: those of `aroute`, the same for every row. There is no `thread`: rows are independent.

        Columns: text, model, strategy, status, cost_usd, saved_usd, latency_s, cache, error, decision_id, with the index of
        `prompts`. The status of a row that the run did not come to is `not asked`.

        A budget that is spent (the run's, the session's, the day's) ends the run, and so do failures that concern every row:
        where none was answered yet, and `concurrency` questions have failed for a key that is refused, a model or host that
        is not there, or unknown prices under a budget.

        Raises:
            InputError: the column or an option makes no sense, or the run was begun with other options.
            UnknownName: no such column, strategy, model, task or validator.
            ConfigError: the configuration is wrong.
            StoreError: the file of the run cannot be used, or another process has it.
            ClusterError: the workers cannot be used: there are none, they have another version, the scheduler is not reached.
            KeyboardInterrupt: what was in flight is cancelled and logged. What ends a run in its midst, as this does, carries
                what there is as its `frame`.
        """
        from molt_magic.batch import Asks, ask_column  # a layer above: this is the one door to it from here

        asks = Asks(self._parts, self._ask, self._routing.route, self._loop, self._listeners)
        return ask_column(
            asks,
            prompts,
            column=column,
            resume=resume,
            max_cost=max_cost,
            concurrency=concurrency,
            client=client,
            dry_run=dry_run,
            on_event=on_event,
            options=options,
        )

    def feedback(
        self,
        decision_id: str | Mapping[str, float] | pd.Series[Any] | pd.DataFrame,
        score: float | None = None,
        source: Literal["user", "judge"] = "user",
    ) -> None:
        """Say how good answers were, in [0, 1]; arbitrage learns from it.

        Args:
            decision_id: of one decision, with its `score`; or many at once, all or none of which are noted: a frame with the
                columns `decision_id` and `score`, a Series of scores indexed by decision_id, or a mapping.
            source: who says so.

        Raises:
            InputError: a score is missing or out of range, or some of the decisions are not in the log.
            UnknownName: no such decision.
        """
        self._parts.learning.feedback(marks_of(decision_id, score), source)

    def learn(self, table: str | os.PathLike[str] | pd.DataFrame) -> int:
        """Teach predicted quality from an outcome table, as `evaluation.read_outcomes` describes it; its models have the
        catalog's names. Arbitrage uses it from the next question on, and a fit begins in the background.

        The same table again teaches nothing; of several scores of one model for one `prompt_id` the newest counts. While a
        cassette is in, what a table teaches stays in this session.

        Returns:
            How many outcomes were new.

        Raises:
            InputError: it is no outcome table, or none of its models is in the catalog.
        """
        return self._parts.learning.take_in(table, self.catalog.models)

    def whatif(
        self,
        strategy: str | None = None,
        *,
        quality: float | None = None,
        model: str | None = None,
        within: float | None = None,
        price: float | None = None,
        ladder: Sequence[str] | None = None,
        table: str | os.PathLike[str] | pd.DataFrame | None = None,
        session: str | None = None,
        seed: int = 0,
    ) -> WhatIf:
        """What another policy would have cost and scored on the decisions in the log.

        Every decision is taken again by the strategy's own code, with the candidates that the log kept. As known counts what
        the models it asks are known to answer to that very prompt: in the log, on the cassette, or in a table. The rest is
        predicted, and marked so. Rule and semantic have to guess the task of prompts that they did not decide: some
        milliseconds each.

        Args:
            strategy: rule | semantic | arbitrage | cascade | direct; None: as the other arguments say, else the configured one.
            quality, within, price: how arbitrage trades quality for cost (`price`: a cascade, too).
            model: asked directly.
            ladder: of a cascade.
            table: outcomes as for `evaluation.read_outcomes`: what models answered to some of these prompts.
            session: whose decisions: an id, or "this"; None: those of every session.
            seed: of the resamples that the intervals come from.

        Raises:
            InputError: arguments that contradict each other, or a table that cannot be used.
            UnknownName: no such strategy, model or session.
            StoreError: the log or the cassette cannot be read.
        """
        from molt_magic.evaluation.whatif import whatif  # a layer above: this is the one door to it from here

        return whatif(
            self._parts,
            strategy=strategy,
            quality=quality,
            model=model,
            within=within,
            price=price,
            ladder=ladder,
            table=table,
            session=self.session if session == "this" else session,
            seed=seed,
        )

    def forget(self, decision_id: str) -> int:
        """Take back the cached answers that a decision used or stored, a wrong hit above all; returns how many there were.

        Raises:
            UnknownName: no such decision.
            StoreError: the cache cannot be written.
        """
        decision = self.log.get(decision_id)
        if decision is None:
            raise errors.UnknownName("decision", decision_id, [])
        if self.cache is None:
            return 0
        keys = {key for attempt in decision.attempts for key in attempt["cache_keys"]}
        return sum(self.cache.forget(key) for key in keys)

    def spent_usd(self) -> float:
        """USD spent in this session as far as prices are known, by questions that were kept out of the log too.

        Raises:
            StoreError: the log cannot be read.
        """
        return self._parts.budget.spent_usd()

    def budgets(self) -> tuple[Account, Account]:
        """How this session's and today's budgets stand: limit, spent, reserved for calls in flight, left; in USD.

        Raises:
            StoreError: the log or the file of budgets cannot be read.
        """
        return self._parts.budget.accounts()

    def _ask(self, prompt: question.Prompt, **options: Any) -> Asked:
        return read(self.catalog, self.settings, self.threads, prompt, **options)

    def _progress(self, what: str, fraction: float | None) -> None:
        for listener in list(self._listeners):
            listener(Event("progress", text=what, fraction=fraction))
