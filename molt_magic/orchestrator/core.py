"""The Orchestrator: the order in which a question is answered, one method per concern."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from molt_magic import errors, validators
from molt_magic.cache import Cache
from molt_magic.catalog import Catalog
from molt_magic.config import Settings, load_settings
from molt_magic.context import Memory
from molt_magic.log import DecisionLog
from molt_magic.orchestrator import question, record
from molt_magic.orchestrator.candidates import assess, helper_models
from molt_magic.orchestrator.comparison import Comparison, Mode, OnNamedEvent
from molt_magic.orchestrator.engine import Engine, Trace
from molt_magic.orchestrator.failure import as_molt_error, failure
from molt_magic.orchestrator.loop import Asking, BackgroundLoop
from molt_magic.orchestrator.parts import Parts
from molt_magic.orchestrator.readiness import Readiness
from molt_magic.orchestrator.recall import keep, recall
from molt_magic.orchestrator.threads import Threads
from molt_magic.providers import Providers
from molt_magic.providers.cassette import DEPLOYMENT, State
from molt_magic.quality import Vector
from molt_magic.result import Result
from molt_magic.types import (
    Candidate,
    Check,
    Choice,
    Event,
    Message,
    OnEvent,
    Request,
    Situation,
)

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_LOCAL = "qwen-local"  # what the first use pulls when nothing else can answer
DEFAULT_CHECKS = ("nonempty", "refusal")  # a cascade without checks would never climb

CacheMode = bool | Literal["refresh"]
Validators = Sequence[str | Callable[[str], object] | Check]


@dataclass(slots=True)
class _Asked:
    """One question on its way, and what is kept of it when it is interrupted."""

    request: Request
    strategy: str
    checks: Validators
    namespace: Mapping[str, Any]
    cache: CacheMode
    dry_run: bool
    recorded: bool
    log: bool
    turn: tuple[str, str] | None  # thread and key of the turn
    cell_id: str | None
    on_event: OnEvent | None
    situation: Situation | None = None  # what the strategy was told
    logged: bool = False  # whether its decision is in the log
    result: Result | None = None


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
        self._parts = Parts(settings=settings or load_settings(), providers=providers, on_progress=self._progress)
        self._loop = BackgroundLoop()
        self._memories: dict[str, Memory] = {}
        self._unlogged_usd = 0.0  # spent by questions that are not in the log: a budget counts them too
        self._listeners: list[OnEvent] = []

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

    def readiness(self) -> list[Readiness]:
        """What is ready and what is missing, a row a model in the catalog's order."""
        rows = []
        for spec in self.catalog.models.values():
            missing = self._parts.serving.missing(spec)
            reason, fix = ("ready", "") if missing is None else (missing.reason, missing.fix)
            rows.append(Readiness(spec.name, spec.provider, spec.model, missing is None, reason, fix))
        return rows

    def close(self) -> None:
        """End local models, close the stores, stop the background loop."""
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
            return self._loop.run(self._route(asked))
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
            cache: True, False, or "refresh" (do not read, but store).
            dry_run: plan and estimate, call nothing.
            recorded: answer from the cassette and the log alone; nothing is asked, paid or logged.
            log: False keeps the question out of the decision log.
            schema: JSON schema or pydantic model the answer must follow.
            on_event: told of attempts and text as they come; called on the background thread.
            cell_id: identity of the asking cell: asking again replaces its turn of the thread.
            namespace: where validators and schemas are looked up by name.
            **params: temperature, max_tokens, tools, ... in OpenAI's names.

        Raises:
            InputError: the question cannot be asked this way (nothing is logged).
            MoltError: no answer. `error.result` holds the failed Result, `error.decision_id` its logged row.
        """
        return await asyncio.wrap_future(self._loop.submit(self._route(self._ask(prompt, **options))))

    def submit(self, prompt: question.Prompt, **options: Any) -> Asking:
        """Ask without waiting: returns at once a future of the Result. The arguments are those of `aroute`.

        Raises:
            InputError, UnknownName, ConfigError: the question cannot be asked this way; nothing is asked.
        """
        asked = self._ask(prompt, **options)
        return self._loop.ask(self._route(asked), lambda: asked.result)

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

    def feedback(self, decision_id: str, score: float, source: Literal["user", "judge"] = "user") -> None:
        """Say how good an answer was, in [0, 1]; arbitrage learns from it.

        Raises:
            InputError: the score is out of range.
            UnknownName: no such decision.
        """
        self._parts.learning.thumb(decision_id, score, source)

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

    # the way of one question

    def _ask(
        self,
        prompt: question.Prompt,
        *,
        strategy: str | None = None,
        task: str | None = None,
        model: str | None = None,
        quality: float | None = None,
        validate: Validators | str | Callable[[str], object] | None = None,
        thread: str | None = None,
        system: str | None = None,
        max_cost: float | None = None,
        cache: CacheMode = True,
        dry_run: bool = False,
        recorded: bool = False,
        log: bool = True,
        schema: object = None,
        on_event: OnEvent | None = None,
        cell_id: str | None = None,
        namespace: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> _Asked:
        """Read and check the arguments, before anything is done."""
        key = cell_id or record.new_id()  # without a cell to replace the turn of, a question is a new turn
        request = question.read(
            prompt,
            history=self.threads.history(thread, key) if isinstance(thread, str) else (),
            system=system,
            strategy=strategy,
            task=task,
            model=model,
            quality=quality,
            max_cost=max_cost,
            schema=schema,
            thread=thread,
            params=params,
            catalog=self.catalog,
            tasks=self.tasks,
        )
        name = request.strategy or self.settings.defaults.strategy
        one = isinstance(validate, str) or callable(validate) or not isinstance(validate, Iterable | None)
        checks: Validators = (validate,) if one else tuple(validate or ())  # type: ignore[arg-type,assignment]  # told apart above
        validators.build(
            checks, namespace=namespace or {}, judge_model=None, models=self.catalog.models
        )  # refuses unknown ones
        if cache not in (True, False, "refresh"):
            raise errors.InputError(f'cache must be True, False or "refresh", not {cache!r}.')
        if on_event is not None and not callable(on_event):
            raise errors.InputError(f"on_event must be a function of one event, not {type(on_event).__name__}.")
        return _Asked(
            request=request,
            strategy=name,
            checks=checks or (DEFAULT_CHECKS if name == "cascade" else ()),
            namespace=namespace or {},
            cache=cache,
            dry_run=dry_run,
            recorded=recorded,
            log=log and not recorded and self.settings.log.enabled,
            turn=(thread, key) if thread else None,
            cell_id=cell_id,
            on_event=on_event,
        )

    async def _route(self, asked: _Asked) -> Result:
        """Decide, perform, log; raise when there is no answer."""
        started = time.perf_counter()
        trace = Trace(
            request=asked.request,
            on_event=asked.on_event,
            reads_cache=asked.cache is True and not asked.recorded,
            writes_cache=asked.cache is not False and not asked.recorded,
        )
        choice = Choice(None, "it did not come to a decision")
        error: BaseException | None = None
        if asked.on_event is not None:
            self._listeners.append(asked.on_event)
        try:
            self._within_budget()
            recorded = self._parts.engine_over_recorded
            engine = recorded(record.prompt_hash(asked.request)) if asked.recorded else self._parts.engine
            candidates = await self._candidates(asked, engine)
            choice = replace(choice, candidates=candidates)
            choice = await self._decide(asked, engine, trace, candidates)
            error = failure(choice, trace.attempts, self._fixes)
        except BaseException as raised:  # noqa: BLE001  # logged below with what there was, then raised again
            error = raised
        finally:
            if asked.on_event is not None:
                self._listeners.remove(asked.on_event)
        asked.result = self._finish(asked, trace, choice, error, time.perf_counter() - started + trace.recorded_s)
        error = error or asked.result.error
        if error is not None:
            if isinstance(error, errors.MoltError):
                error.result = asked.result
                error.decision_id = asked.result.decision.decision_id if asked.logged else None
            raise error
        return asked.result

    async def _candidates(self, asked: _Asked, engine: Engine) -> tuple[Candidate, ...]:
        """Who could answer. With nobody ready, the local model that was asked for, or the default one, is fetched first."""
        request = asked.request

        def assessed() -> tuple[Candidate, ...]:
            return assess(
                self.catalog.models,
                request,
                unavailable=engine.unavailable,
                quality=self._parts.quality,
                vector=self._vector(request),
                window_cap=self.settings.context.max_tokens,
                fits_whole=self.settings.context.mode == "off",
            )

        self._parts.learning.catch_up()
        candidates = assessed()
        wanted = request.model or (None if any(c.skipped is None for c in candidates) else DEFAULT_LOCAL)
        spec = self.catalog.models.get(wanted) if wanted else None
        if spec is None or asked.dry_run or not engine.providers.can_pull(spec):
            return candidates
        await engine.providers.apull(spec)
        return assessed()

    def _vector(self, request: Request) -> Vector | None:
        """The prompt's embedding, where there is anything to compare it with."""
        if not self._parts.quality.knows_anything() or not request.prompt:
            return None
        vector: Vector = self._parts.embedder.embed([request.prompt])[0]
        return vector

    async def _decide(self, asked: _Asked, engine: Engine, trace: Trace, candidates: tuple[Candidate, ...]) -> Choice:
        """What the cache remembers, else what the strategy decides."""
        judge, trace.summary_model = helper_models(
            candidates, judge=self.settings.defaults.judge, summary=self.settings.context.summary_model
        )
        if self.settings.context.mode == "memory":
            trace.memory = self._memory(asked.request.thread)
        quality = asked.request.quality
        situation = asked.situation = Situation(
            request=asked.request,
            candidates=candidates,
            quality=self.settings.defaults.quality if quality is None else quality,
            checks=validators.build(asked.checks, namespace=asked.namespace, judge_model=judge),
        )
        trace.wants_logprobs = any(check.name.startswith("confidence") for check in situation.checks)
        if not asked.dry_run:
            remembered = await recall(asked.strategy, situation, engine=engine, trace=trace)
            if remembered is not None:
                return remembered
        flow = self._parts.strategy(asked.strategy).flow(situation)
        return await engine.drive(flow, trace, planned=asked.dry_run, off_loop=bool(situation.checks))

    def _memory(self, thread: str | None) -> Memory:
        """The offloaded turns of a thread; without a thread nothing outlives the request."""
        if thread is None:
            return Memory(self._parts.embedder)
        return self._memories.setdefault(thread, Memory(self._parts.embedder))

    # after the answer

    def _finish(self, asked: _Asked, trace: Trace, choice: Choice, error: BaseException | None, latency_s: float) -> Result:
        """Log the decision, learn from it, store the answer, record the turn. Nothing here waits, so nothing interrupts it."""
        attempts = record.with_verdicts(trace.attempts, choice.verdicts)
        if isinstance(error, asyncio.CancelledError):
            choice = replace(choice, attempt=attempts[-1] if attempts else None, reason="cancelled by the user")
        told = as_molt_error(error)
        answer = choice.attempt
        decision = record.decision(
            decision_id=record.new_id(),
            session=self.session,
            cell_id=asked.cell_id,
            strategy=asked.strategy,
            request=asked.request,
            choice=choice,
            attempts=attempts,
            latency_s=latency_s,
            error=None if told is None else f"{told.kind}: {told.message}",
            keep_text=self.settings.log.prompts,
            cache=None if asked.cache is not False else "off",
        )
        unlogged: errors.MoltError | None = None
        learning = self._parts.learning
        if asked.log and not asked.dry_run:
            try:
                self.log.append(decision, learning.lasting(decision, learning.outcomes(decision, attempts)))
                asked.logged = True
                learning.catch_up()
            except errors.MoltError as raised:
                unlogged = raised  # the answer is paid for: it is kept, and handed over with the error
        paid = not (asked.dry_run or asked.recorded or decision.deployment == DEPLOYMENT)
        if paid and not asked.logged:
            self._unlogged_usd += decision.cost_usd or 0.0
        if answer is not None and answer.completion is not None and answer.ok and not answer.planned:
            if answer.cache in ("miss", "off") and not asked.recorded:
                self._parts.quality.learn_length(answer.call.model, decision.task, answer.completion.usage.output_tokens)
            if asked.situation is not None:
                keep(asked.strategy, asked.situation, choice, engine=self._parts.engine, trace=trace)
            if asked.turn is not None:
                question_ = next(m for m in reversed(asked.request.messages) if m.role == "user")
                self.threads.record(*asked.turn, question_, Message("assistant", answer.completion.text))
        completion = None if answer is None else answer.completion
        return Result(
            decision=decision,
            attempts=attempts,
            candidates=choice.candidates,
            completion=completion,
            error=told or unlogged,
        )

    # limits and progress

    def spent_usd(self) -> float:
        """USD spent in this session as far as prices are known, by questions that were kept out of the log too.

        Raises:
            StoreError: the log cannot be read.
        """
        logged = self.log.spent(self.session) if self.settings.log.enabled else 0.0
        return logged + self._unlogged_usd

    def _within_budget(self) -> None:
        limit = self.settings.budget.session_usd
        if limit is None:
            return
        spent = self.spent_usd()
        if spent >= limit:
            raise errors.BudgetExceeded(
                f"The session's budget of ${limit:g} is spent (${spent:.2g}).", fix="Raise it with %route budget USD."
            )

    def _fixes(self, names: Iterable[str]) -> str:
        """The fix of the first of these models that has one."""
        for name in names:
            missing = self._parts.serving.missing(self.catalog.get(name))
            if missing is not None and missing.fix:
                return missing.fix
        return ""

    def _progress(self, what: str, fraction: float | None) -> None:
        for listener in list(self._listeners):
            listener(Event("progress", text=what, fraction=fraction))
