"""The way of one question: who could answer, what is remembered, what the strategy decides, and what is kept afterwards."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from molt_magic import errors, telemetry, validators
from molt_magic.context import Memory, Vectors
from molt_magic.orchestrator import journal, record
from molt_magic.orchestrator.asked import Asked
from molt_magic.orchestrator.beforehand import Beforehand, prompt_hash
from molt_magic.orchestrator.budget import quote
from molt_magic.orchestrator.candidates import assess, helper_model
from molt_magic.orchestrator.engine import Engine
from molt_magic.orchestrator.failure import as_molt_error, failure
from molt_magic.orchestrator.parts import Parts
from molt_magic.orchestrator.recall import keep, recall
from molt_magic.orchestrator.threads import Threads
from molt_magic.orchestrator.trace import Trace
from molt_magic.orchestrator.withheld import withheld
from molt_magic.providers.base import until
from molt_magic.providers.cassette import DEPLOYMENT
from molt_magic.quality import Vector
from molt_magic.result import Result
from molt_magic.strategies import Explore
from molt_magic.strategies.explore import EXPLORED
from molt_magic.types import (
    Candidate,
    Check,
    Choice,
    Deadline,
    Message,
    ModelSpec,
    OnEvent,
    Predicted,
    Request,
    Situation,
    Strategy,
)

logger = logging.getLogger("molt_magic")

DEFAULT_LOCAL = "qwen-local"  # what the first use pulls when nothing else can answer


class Routing:
    """Answers the questions of one session, one method per concern.

    Args:
        parts: what the orchestrator is made of.
        threads: its conversations.
        session: its id, as the log has it.
        listeners: told of progress while their question runs.
    """

    def __init__(self, *, parts: Parts, threads: Threads, session: str, listeners: list[OnEvent]) -> None:
        self._parts = parts
        self._threads = threads
        self._session = session
        self._listeners = listeners
        self._vectors: Vectors | None = None  # of the passages of conversations
        self._lots = random.Random()  # noqa: S311  # which questions are explored is no secret
        self._explored_usd = 0.0  # spent by explored questions
        self._exploring_usd = 0.0  # held for those under way

    async def route(self, asked: Asked) -> Result:
        """Decide, perform, log; raise when there is no answer."""
        with telemetry.question(asked.strategy, asked.request) as tell:
            try:
                return await self._route(asked)
            finally:
                if asked.result is not None:
                    tell(asked.result.decision, asked.result.error)
                    journal.write(asked.result.decision, asked.result.attempts)

    async def _route(self, asked: Asked) -> Result:
        started, began = time.perf_counter(), time.monotonic()
        trace = Trace(
            request=asked.request,
            decision_id=asked.decision_id or record.new_id(),
            run=asked.run,
            on_event=asked.on_event,
            reads_cache=asked.cache is True and not asked.recorded,
            writes_cache=asked.cache is not False and not asked.recorded,
        )
        choice: Choice | None = None
        error: BaseException | None = None
        if asked.on_event is not None:
            self._listeners.append(asked.on_event)
        try:
            engine = self._engine(asked)
            trace.candidates = await self._candidates(asked, engine, began)
            trace.deadline = self._deadline(asked, began)
            choice = await self._decide(asked, engine, trace)
            error = failure(choice, trace.attempts, lambda names: self._fixes(names, engine), asked.refused)
        except BaseException as raised:  # noqa: BLE001  # logged below with what there was, then raised again
            error = raised
        finally:
            if asked.on_event is not None:
                self._listeners.remove(asked.on_event)
        choice = choice or Choice(None, "it did not come to a decision", trace.candidates)
        asked.result = self._finish(asked, trace, choice, error, time.perf_counter() - started + trace.recorded_s)
        error = error or asked.result.error
        if error is not None:
            if isinstance(error, errors.MoltError):
                error.result = asked.result
                error.decision_id = asked.result.decision.decision_id if asked.logged else None
            raise error
        return asked.result

    def _engine(self, asked: Asked) -> Engine:
        """Who performs its calls."""
        if asked.recorded:
            return self._parts.engine_over_recorded(prompt_hash(asked.request))
        return self._parts.engine_by(asked.exchanger)

    async def _candidates(self, asked: Asked, engine: Engine, began: float) -> tuple[Candidate, ...]:
        """Who could answer. Where nobody is there, the local model that was asked for, or the default one, is fetched first if
        it can take the question; a plan takes it as fetched. Who is too dear, cannot take it or is cooling down is there."""
        request = asked.request

        def assessed(fetched: ModelSpec | None = None) -> tuple[Candidate, ...]:
            models = self._parts.catalog.models
            unavailable = engine.availability.unavailable(models.values())
            if fetched is not None:
                unavailable = [None if spec is fetched else why for spec, why in zip(models.values(), unavailable, strict=True)]
            return assess(
                models,
                request,
                unavailable=unavailable,
                quality=self._parts.quality,
                predict=lambda specs: self._predicted(request, specs),
                window_cap=self._parts.settings.context.max_tokens,
                fits_whole=self._parts.settings.context.mode == "off",
                too_dear=self._too_dear(asked, engine),
            )

        self._parts.learning.catch_up()
        candidates = assessed()
        asked_for = _asked_for(request, candidates)
        if not any(c.reachable for c in asked_for):
            engine.availability.look_again()  # a key may have been set just now
            candidates = assessed()
            asked_for = _asked_for(request, candidates)
        if any(c.skipped is None for c in asked_for):
            return candidates
        spec = self._parts.catalog.models.get(request.model or DEFAULT_LOCAL)
        if spec is None or not engine.providers.can_pull(spec):
            return candidates
        if any(engine.providers.missing(c.spec) is None for c in asked_for):
            return candidates
        as_fetched = assessed(fetched=spec)
        if asked.dry_run or not any(c.spec is spec and c.skipped is None for c in as_fetched):
            return as_fetched
        with until(None if request.deadline_s is None else self._deadline(asked, began), f"{spec.name} was there"):
            await engine.providers.apull(spec)
        engine.availability.look_again()
        return assessed()

    def _deadline(self, asked: Asked, began: float) -> Deadline | None:
        """When the question must have ended. The configured time begins with its first call: weights are fetched only once."""
        if (own := asked.request.deadline_s) is not None:
            return Deadline(began + own, own, "the deadline")
        configured = self._parts.settings.network.deadline_s
        return None if configured is None else Deadline(time.monotonic() + configured, configured, "network.deadline_s")

    def _too_dear(self, asked: Asked, engine: Engine) -> Callable[[ModelSpec, int, int], str | None] | None:
        """What says why a model is not asked for what it may cost. What is in flight now is no reason: see `Budget`. Nor is
        what a run may cost: its rows are not to be answered by whoever is cheap enough, the run ends."""
        request = asked.request
        if not engine.budget.applies(request.max_cost_usd):
            return None
        standing = engine.budget.standing(request.max_cost_usd)

        def too_dear(spec: ModelSpec, message_tokens: int, answer_tokens: int) -> str | None:
            quoted = quote(spec, message_tokens, request.params, request.schema, answer_tokens)
            refused = standing.refusal(spec, quoted)
            if refused is None:
                return None
            asked.refused[spec.name] = refused
            return refused.reason

        return too_dear

    def _predicted(self, request: Request, specs: Sequence[ModelSpec]) -> Sequence[Predicted]:
        """The quality of some models' answers; where it cannot be predicted the catalog's: an answer may be paid for by now."""
        prompt, quality = request.prompt, self._parts.quality
        try:
            vector: Vector | None = None
            if quality.knows_anything() and prompt:  # there is something to compare it with
                vector = self._parts.embedder.embed([prompt])[0]
            return quality.predict_each(specs, task=request.task, vector=vector, prompt=prompt)
        except Exception as error:  # noqa: BLE001
            logger.warning("quality could not be predicted, the catalog's own is taken: %s", error)
            return [(spec.prior_quality, 0.0, 0.0, "prior only") for spec in specs]

    async def _decide(self, asked: Asked, engine: Engine, trace: Trace) -> Choice:
        """What the cache remembers, else what the strategy decides."""
        candidates = trace.candidates
        request, settings = asked.request, self._parts.settings
        if settings.context.mode == "memory":
            trace.memory = self._memory()
        quality = settings.defaults.quality if request.quality is None else request.quality
        checks = self._checks(asked, quality, candidates) if asked.checks else ()
        situation = asked.situation = Situation(request, candidates, quality, checks)
        trace.beforehand = Beforehand(request, candidates, {c.spec.name for c in situation.eligible})
        trace.wants_logprobs = any(check.name.startswith("confidence") for check in checks)
        if not asked.dry_run:
            remembered = await recall(asked.strategy, situation, engine=engine, trace=trace)
            if remembered is not None:
                return remembered
        flow = self._strategy(asked).flow(situation)
        try:
            choice = await engine.drive(flow, trace, planned=asked.dry_run, off_loop=validators.may_take_long(checks))
            return self._with_what_it_takes(choice, engine) if asked.dry_run else choice
        except errors.OutOfTime:  # in the midst of a check: what was paid for is handed over
            answer = next((a for a in reversed(trace.attempts) if a.ok and a.call.purpose == "answer"), None)
            if answer is None:
                raise
            reason = f"best effort of {answer.call.model}: its checks were not done in time"
            return Choice(answer, reason, candidates, best_effort=True)

    def _with_what_it_takes(self, choice: Choice, engine: Engine) -> Choice:
        """A plan that says what would be fetched first."""
        answer = choice.attempt
        missing = None if answer is None else engine.providers.missing(self._parts.catalog.get(answer.call.model))
        if missing is None:
            return choice
        return replace(choice, reason=f"{choice.reason}; {missing.reason}: they are fetched first")

    def _checks(self, asked: Asked, quality: float, candidates: tuple[Candidate, ...]) -> tuple[Check, ...]:
        """The checks that its answers face."""

        def learned(name: str, threshold: float | None) -> Check:
            return self._parts.learned.check(name, quality if threshold is None else threshold, candidates)

        judge = self._parts.settings.defaults.judge or helper_model(candidates)
        return validators.build(asked.checks, namespace=asked.namespace, judge_model=judge, learned=learned)

    def _strategy(self, asked: Asked) -> Strategy:
        """The strategy that decides. It explores where that is wanted and something is really asked: a model that was named
        is asked, a plan says what is usual, and what is decided over a cassette depends on nothing but the cassette."""
        strategy, wanted = self._parts.strategy(asked.strategy), self._parts.settings.exploration
        as_usual = asked.strategy == "direct" or asked.dry_run or asked.recorded or self._parts.settings.tape is not None
        if not wanted.share or as_usual:
            return strategy
        left = None if wanted.session_usd is None else wanted.session_usd - self._explored_usd - self._exploring_usd
        if asked.run is not None and (of_run := asked.run.left_usd) is not None:  # who is drawn must be one that it can pay
            left = of_run if left is None else min(left, of_run)
        drawn = (self._lots.random(), self._lots.random())
        if left is not None and drawn[0] < wanted.share and asked.situation is not None:
            costs = [c.expected_cost_usd or 0.0 for c in asked.situation.eligible]
            asked.exploring_usd = max((cost for cost in costs if cost <= left), default=0.0)
            self._exploring_usd += asked.exploring_usd
        return Explore(strategy, share=wanted.share, drawn=drawn, left_usd=left)

    def _memory(self) -> Memory:
        """Where the older turns of one question are found again. It begins empty: what its history does not hold any more,
        because the thread was reset or a turn replaced, must not come back."""
        embedder = self._parts.embedder
        if self._vectors is None or self._vectors.embedder is not embedder:
            self._vectors = Vectors(embedder)
        return Memory(self._vectors)

    # after the answer

    def _finish(self, asked: Asked, trace: Trace, choice: Choice, error: BaseException | None, latency_s: float) -> Result:
        """Log the decision, learn from it, store the answer, record the turn. Nothing here waits, so nothing interrupts it."""
        attempts = record.with_verdicts(trace.attempts, choice.verdicts)
        if isinstance(error, asyncio.CancelledError):
            choice = replace(choice, attempt=attempts[-1] if attempts else None, reason="cancelled by the user")
        told = as_molt_error(error)
        answer = choice.attempt
        decision = record.decision(
            decision_id=trace.decision_id,
            session=self._session,
            cell_id=asked.cell_id,
            strategy=asked.strategy,
            request=asked.request,
            choice=choice,
            attempts=attempts,
            latency_s=latency_s,
            error=None if told is None else f"{told.kind}: {told.message}",
            keep_text=self._parts.settings.log.prompts,
            beforehand=trace.beforehand or Beforehand(asked.request, choice.candidates, ()),
            cache=None if asked.cache is not False else "off",
        )
        if not self._parts.settings.log.prompts:
            decision = withheld(decision, asked.request, attempts)
        unlogged: errors.MoltError | None = None
        learning = self._parts.learning
        if asked.log and not asked.dry_run:
            try:
                outcomes = learning.lasting(decision, learning.outcomes(decision, attempts))
                row = self._parts.log.append(decision, outcomes)
                asked.logged = True
                learning.logged(decision, attempts, row, outcomes)
            except errors.MoltError as raised:
                unlogged = raised  # the answer is paid for: it is kept, and handed over with the error
        if not (asked.dry_run or asked.recorded):
            learning.lengths(decision, attempts, logged=asked.logged)
        paid = not (asked.dry_run or asked.recorded or decision.deployment == DEPLOYMENT)
        if paid:
            unknown = decision.cost_usd is None
            self._parts.budget.finished(decision.decision_id, trace.spent_usd, unknown=unknown, logged=asked.logged)
        self._exploring_usd -= asked.exploring_usd
        if choice.reason.startswith(EXPLORED):
            self._explored_usd += decision.cost_usd or 0.0
        if answer is not None and answer.completion is not None and answer.ok and not answer.planned:
            if asked.situation is not None:
                keep(asked.situation, choice, engine=self._parts.engine, trace=trace)
            if asked.turn is not None:
                said = Message("assistant", answer.completion.text, answer.completion.tool_calls)
                self._threads.record(*asked.turn, (*asked.brought, said))
        completion = None if answer is None else answer.completion
        return Result(
            decision=decision,
            attempts=attempts,
            candidates=choice.candidates,
            completion=completion,
            error=told or unlogged or trace.unkept,
        )

    def _fixes(self, names: Iterable[str], engine: Engine) -> str:
        """What makes one of these models answer: the fix of the first that has one, and another way where there is one."""
        missing = (engine.providers.missing(self._parts.catalog.get(name)) for name in names)
        fixes = list(dict.fromkeys([each.fix for each in missing if each is not None and each.fix]))
        more = "; `molt doctor` tells what each model needs" if len(fixes) > 2 else ""
        return f"{', or '.join(fixes[:2])}{more}"


def _asked_for(request: Request, candidates: tuple[Candidate, ...]) -> Sequence[Candidate]:
    """The model that is named, or all of them."""
    return candidates if request.model is None else [c for c in candidates if c.spec.name == request.model]
