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
from molt_magic.cache import Cache, canonical_key
from molt_magic.catalog import Catalog
from molt_magic.config import Settings, load_settings
from molt_magic.context import Memory
from molt_magic.log import DecisionLog
from molt_magic.orchestrator import question, record
from molt_magic.orchestrator.candidates import assess, helper_models
from molt_magic.orchestrator.engine import Trace, completion_from_json, free
from molt_magic.orchestrator.failure import as_molt_error, failure
from molt_magic.orchestrator.loop import BackgroundLoop
from molt_magic.orchestrator.parts import Parts
from molt_magic.orchestrator.readiness import Readiness
from molt_magic.orchestrator.recall import may_be_semantic, semantic_scope, whole_key
from molt_magic.orchestrator.threads import Threads
from molt_magic.providers import Providers
from molt_magic.quality import Vector
from molt_magic.result import Result
from molt_magic.strategies.walk import judged
from molt_magic.types import (
    Attempt,
    Call,
    Candidate,
    Check,
    Choice,
    Decision,
    Event,
    Message,
    OnEvent,
    Outcome,
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
    log: bool
    turn: tuple[str, str] | None  # thread and key of the turn
    cell_id: str | None
    on_event: OnEvent | None
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
        self._listeners: list[OnEvent] = []
        self._outcomes_seen = 0

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
            missing = self.providers.missing(spec)
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

    def compare(self, prompt: question.Prompt, strategies: Iterable[str], **options: Any) -> pd.DataFrame:
        """The same question by several strategies at once; one row a strategy, failures included.

        Columns: strategy, model, text, cost_usd, saved_usd, latency_s, predicted_quality, quality, cache, status, reason,
        error, decision_id. Options are those of `aroute`.
        """
        import pandas as pd

        questions = [self._ask(prompt, **{**options, "strategy": name}) for name in strategies]

        async def all_of_them() -> list[Result | BaseException]:
            return await asyncio.gather(*(self._route(asked) for asked in questions), return_exceptions=True)

        rows = []
        for asked, outcome in zip(questions, self._loop.run(all_of_them()), strict=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, errors.MoltError):
                raise outcome
            result = outcome if isinstance(outcome, Result) else asked.result
            if result is None:
                raise outcome if isinstance(outcome, BaseException) else RuntimeError("a request ended without a result")
            columns = ("model", "cost_usd", "saved_usd", "latency_s", "predicted_quality", "quality", "cache", "status")
            row = {"strategy": asked.strategy, "text": result.text}
            row |= {name: getattr(result.decision, name) for name in (*columns, "reason", "error", "decision_id")}
            rows.append(row)
        return pd.DataFrame(rows)

    def feedback(self, decision_id: str, score: float, source: Literal["user", "judge"] = "user") -> None:
        """Say how good an answer was, in [0, 1]; arbitrage learns from it.

        Raises:
            InputError: the score is out of range.
            UnknownName: no such decision.
        """
        if not 0.0 <= score <= 1.0:
            raise errors.InputError(f"A score must be between 0 and 1, not {score!r}.")
        decision = self.log.get(decision_id)
        if decision is None:
            raise errors.UnknownName("decision", decision_id, [])
        outcomes = []
        if decision.model is not None:
            vector = self._parts.embedder.embed([decision.prompt])[0].tobytes() if decision.prompt else b""
            embedder = self._parts.embedder.id
            outcomes.append(Outcome(decision_id, decision.model, decision.task, score, source, embedder, vector))
        self.log.feedback(decision_id, score, source, outcomes=outcomes)
        self._learn()

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
        log: bool = True,
        schema: object = None,
        on_event: OnEvent | None = None,
        cell_id: str | None = None,
        namespace: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> _Asked:
        """Read and check the arguments, before anything is done."""
        key = cell_id or canonical_key({"prompt": prompt if isinstance(prompt, str) else str(prompt)})
        request = question.read(
            prompt,
            history=self.threads.history(thread, key) if thread else (),
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
        checks: Validators = (validate,) if isinstance(validate, str) or callable(validate) else tuple(validate or ())
        validators.build(checks, namespace=namespace or {}, judge_model=None)  # an unknown validator is refused here
        if cache not in (True, False, "refresh"):
            raise errors.InputError(f'cache must be True, False or "refresh", not {cache!r}.')
        return _Asked(
            request=request,
            strategy=name,
            checks=checks or (DEFAULT_CHECKS if name == "cascade" else ()),
            namespace=namespace or {},
            cache=cache,
            dry_run=dry_run,
            log=log and self.settings.log.enabled,
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
            reads_cache=asked.cache is True,
            writes_cache=asked.cache is not False,
        )
        choice = Choice(None, "it did not come to a decision")
        error: BaseException | None = None
        if asked.on_event is not None:
            self._listeners.append(asked.on_event)
        try:
            self._within_budget()
            candidates = await self._candidates(asked)
            choice = replace(choice, candidates=candidates)
            choice = await self._decide(asked, trace, candidates)
            error = failure(choice, trace.attempts, self._fixes)
        except BaseException as raised:  # noqa: BLE001  # logged below with what there was, then raised again
            error = raised
        finally:
            if asked.on_event is not None:
                self._listeners.remove(asked.on_event)
        asked.result = self._finish(asked, trace, choice, error, time.perf_counter() - started)
        if error is not None:
            if isinstance(error, errors.MoltError):
                error.result = asked.result
                error.decision_id = asked.result.decision.decision_id if asked.log else None
            raise error
        return asked.result

    async def _candidates(self, asked: _Asked) -> tuple[Candidate, ...]:
        """Who could answer. With nobody ready, the local model that was asked for, or the default one, is fetched first."""
        request = asked.request

        def assessed() -> tuple[Candidate, ...]:
            return assess(
                self.catalog.models,
                request,
                unavailable=self._parts.unavailable,
                quality=self._parts.quality,
                vector=self._vector(request),
                window_cap=self.settings.context.max_tokens,
                fits_whole=self.settings.context.mode == "off",
            )

        self._learn()
        candidates = assessed()
        wanted = request.model or (None if any(c.skipped is None for c in candidates) else DEFAULT_LOCAL)
        spec = self.catalog.models.get(wanted) if wanted else None
        if spec is None or asked.dry_run or not self.providers.can_pull(spec):
            return candidates
        await asyncio.to_thread(self.providers.pull, spec)
        return assessed()

    def _vector(self, request: Request) -> Vector | None:
        """The prompt's embedding, where there is anything to compare it with."""
        if not self._parts.quality.knows_anything() or not request.prompt:
            return None
        vector: Vector = self._parts.embedder.embed([request.prompt])[0]
        return vector

    async def _decide(self, asked: _Asked, trace: Trace, candidates: tuple[Candidate, ...]) -> Choice:
        """What the cache remembers, else what the strategy decides."""
        judge, trace.summary_model = helper_models(
            candidates, judge=self.settings.defaults.judge, summary=self.settings.context.summary_model
        )
        if self.settings.context.mode == "memory":
            trace.memory = self._memory(asked.request.thread)
        quality = asked.request.quality
        situation = Situation(
            request=asked.request,
            candidates=candidates,
            quality=self.settings.defaults.quality if quality is None else quality,
            checks=validators.build(asked.checks, namespace=asked.namespace, judge_model=judge),
        )
        engine = self._parts.engine
        if not asked.dry_run and (remembered := await self._remembered(asked, trace, situation)) is not None:
            return remembered
        flow = self._parts.strategy(asked.strategy).flow(situation)
        return await engine.drive(flow, trace, planned=asked.dry_run)

    async def _remembered(self, asked: _Asked, trace: Trace, situation: Situation) -> Choice | None:
        """The choice that answers from the cache, or None. A remembered answer faces the same checks as a new one."""
        cache = self.cache
        if cache is None or not trace.reads_cache:
            return None
        request = situation.request
        entry = cache.get(whole_key(asked.strategy, situation))
        kind: Literal["exact", "semantic"] = "exact"
        if entry is None and may_be_semantic(request):
            entry, kind = cache.nearest(semantic_scope(asked.strategy, situation), request.prompt), "semantic"
        completion = None if entry is None else completion_from_json(entry.value)
        if entry is None or completion is None or entry.value.get("asked") not in self.catalog.models:
            return None
        spec = self.catalog.get(entry.value["asked"])
        attempt = self._parts.engine.record(
            trace,
            Attempt(
                index=0,
                call=Call(spec.name, request.messages, params=request.params, schema=request.schema),
                completion=free(completion),
                cache=kind,
                cache_distance=entry.distance,
                deployment="cache",
                provider=spec.provider,
            ),
        )
        verdict = await self._parts.engine.drive(judged(situation.checks, request, attempt), trace)
        if not verdict.accepted:
            return None
        near = "" if entry.distance is None else f" at distance {entry.distance:.3f}: {_short(entry.prompt or '')!r}"
        return Choice(
            attempt=attempt,
            reason=f"{spec.name} answered {'this' if kind == 'exact' else 'the same question'} before{near}",
            candidates=situation.candidates,
            verdicts={attempt.index: verdict} if situation.checks else {},
            quality_threshold=situation.quality if asked.strategy == "arbitrage" else None,
        )

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
        if asked.log and not asked.dry_run:
            self.log.append(decision, self._outcomes(decision, attempts))
            self._learn()
        if answer is not None and answer.ok and not answer.planned:
            self._keep(asked, trace, choice, decision)
        completion = None if answer is None else answer.completion
        return Result(decision=decision, attempts=attempts, candidates=choice.candidates, completion=completion, error=told)

    def _outcomes(self, decision: Decision, attempts: Sequence[Attempt]) -> list[Outcome]:
        """What the verdicts on this request's own answers teach."""
        judged_ = [a for a in attempts if a.verdict is not None and a.cache in ("miss", "off") and a.call.purpose == "answer"]
        found = []
        for attempt in judged_:
            verdict = attempt.verdict
            assert verdict is not None
            score = 0.0 if not verdict.accepted and verdict.score is None else verdict.score
            if score is None:
                continue  # accepted by a check that says nothing about quality
            embedder = self._parts.embedder
            vector = embedder.embed([decision.prompt])[0].tobytes() if decision.prompt else b""
            model = attempt.call.model
            found.append(Outcome(decision.decision_id, model, decision.task, score, verdict.source, embedder.id, vector))
        return found

    def _learn(self) -> None:
        """Take in outcomes that this or another kernel has logged since."""
        if not self.settings.log.enabled:
            return
        outcomes, self._outcomes_seen = self.log.outcomes_since(self._outcomes_seen)
        self._parts.quality.learn(outcomes)

    def _keep(self, asked: _Asked, trace: Trace, choice: Choice, decision: Decision) -> None:
        """Store the accepted answer, learn its length, record the thread's turn."""
        answer = choice.attempt
        assert answer is not None
        assert answer.completion is not None
        if answer.cache in ("miss", "off"):
            self._parts.quality.learn_length(answer.call.model, decision.task, answer.completion.usage.output_tokens)
        if trace.writes_cache and not choice.best_effort:
            engine = self._parts.engine
            if (key := trace.keys.get(answer.index)) is not None:
                engine.store(key, answer)
            if answer.cache in ("miss", "off") and self.cache is not None:
                situation = Situation(
                    request=asked.request,
                    candidates=choice.candidates,
                    quality=self.settings.defaults.quality if asked.request.quality is None else asked.request.quality,
                    checks=validators.build(asked.checks, namespace=asked.namespace, judge_model=None),
                )
                scope = semantic_scope(asked.strategy, situation) if may_be_semantic(asked.request) else None
                prompt = asked.request.prompt if scope else None
                engine.store(whole_key(asked.strategy, situation), answer, scope=scope, prompt=prompt)
        if asked.turn is not None:
            thread, key = asked.turn
            users = [m for m in asked.request.messages if m.role == "user"]
            self.threads.record(thread, key, users[-1], Message("assistant", answer.completion.text))

    # limits and progress

    def _within_budget(self) -> None:
        limit = self.settings.budget.session_usd
        if limit is None:
            return
        spent = self.log.spent(self.session)
        if spent >= limit:
            raise errors.BudgetExceeded(
                f"The session's budget of ${limit:g} is spent (${spent:.2g}).", fix="Raise it with %route budget USD."
            )

    def _fixes(self, names: Iterable[str]) -> str:
        """The fix of the first of these models that has one."""
        for name in names:
            missing = self.providers.missing(self.catalog.get(name))
            if missing is not None and missing.fix:
                return missing.fix
        return ""

    def _progress(self, what: str, fraction: float | None) -> None:
        for listener in list(self._listeners):
            listener(Event("progress", text=what, fraction=fraction))


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
