"""Performs one Call: makes it fit, looks in the cache, asks the provider, counts the cost. And drives generators of Calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar

from molt_magic import context, errors, telemetry, tokens
from molt_magic.cache import Cache
from molt_magic.catalog import Catalog
from molt_magic.config import Settings
from molt_magic.orchestrator.budget import Account, Budget, Hold, quote
from molt_magic.orchestrator.candidates import answer_limit, answer_share, helper_model, window_of
from molt_magic.orchestrator.counting import counted, free, interrupted, priced
from molt_magic.orchestrator.keys import call_key
from molt_magic.orchestrator.serving import Availability, Serves
from molt_magic.orchestrator.trace import Trace, attempt_cost
from molt_magic.providers.base import out_of_time, until
from molt_magic.providers.cassette import DEPLOYMENT
from molt_magic.providers.vendors import address_of
from molt_magic.quality import QualityModel
from molt_magic.result import usd
from molt_magic.serial import answer_text, answer_to_json, canonical_key, completion_from_json
from molt_magic.types import (
    Attempt,
    CacheState,
    Call,
    Completion,
    ContextAction,
    Event,
    Message,
    ModelSpec,
    Retry,
    Usage,
)

T = TypeVar("T")

USER_CANCELLED = "Cancelled by the user."
LAST_STEP_S = 0.25  # after the deadline, for a strategy to say what it makes of what there is


@dataclass(slots=True)
class _Returned(Generic[T]):
    """What a generator returned."""

    value: T


def _step(flow: Generator[Call, Attempt, T], attempt: Attempt | None) -> Call | _Returned[T]:
    """The next call of a generator, or its end; StopIteration cannot cross from one thread to another."""
    try:
        return next(flow) if attempt is None else flow.send(attempt)
    except StopIteration as stop:
        return _Returned(stop.value)


class _Begun(NamedTuple):
    """An attempt before anything has come of it."""

    number: int  # its index: a tuple has a method of that name
    call: Call
    provider: str
    context: ContextAction
    cache: CacheState = "off"
    cache_keys: tuple[str, ...] = ()

    def ended(
        self,
        completion: Completion | None = None,
        error: errors.MoltError | None = None,
        latency_s: float = 0.0,
        ttft_s: float | None = None,
        deployment: str | None = None,
        retries: tuple[Retry, ...] = (),
    ) -> Attempt:
        """The attempt with what came of it."""
        number, call, provider, context, cache, keys = self
        # in the order of its fields: by their names it takes twice as long
        return Attempt(
            number, call, completion, error, latency_s, ttft_s, cache, None, keys, deployment, provider, retries, context
        )


class Engine:
    """Performs calls for one orchestrator, all on its event loop.

    Args:
        budget: what calls may cost.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        providers: Serves,
        cache: Cache | None,
        settings: Settings,
        quality: QualityModel,
        budget: Budget,
    ) -> None:
        self.catalog = catalog
        self.providers = providers
        self.cache = cache
        self.settings = settings
        self.quality = quality
        self.budget = budget
        self.availability = Availability(providers)
        self._in_flight: dict[str, asyncio.Future[Completion | None]] = {}

    @cached_property
    def configured(self) -> str:
        """Names what decides who is asked, and what stands behind each model's name: elsewhere a question has other answers."""
        models = [
            [spec.name, spec.provider, spec.model, sorted([d.base_url or "" for d in spec.deployments]), spec.system]
            for spec in self.catalog.models.values()
        ]
        routes = [[route.task, route.primary, route.fallback] for route in self.catalog.routes.values()]
        defaults, ladders = self.settings.defaults, [self.catalog.ladder, self.catalog.ladders, self.settings.cascade.price]
        return canonical_key(
            {"models": models, "routes": routes, "ladders": ladders, "default": [defaults.model, defaults.judge]}
        )

    def key_of(self, call: Call) -> str:
        """The cache key of a call as a strategy asks for it."""
        spec = self.catalog.get(call.model)
        return call_key(with_system(call, spec), spec)

    async def drive(
        self, flow: Generator[Call, Attempt, T], trace: Trace, *, planned: bool = False, off_loop: bool = False
    ) -> T:
        """Run a generator of Calls to its end and return what it returns.

        Args:
            planned: a dry run.
            off_loop: step the generator in a worker thread, because it runs checks: a user's function or a subprocess
                may take seconds, and other streams must go on meanwhile.
        """
        attempt: Attempt | None = None
        while True:
            step = await self._stepped(flow, attempt, trace) if off_loop else _step(flow, attempt)
            if isinstance(step, _Returned):
                return step.value
            attempt = self.plan(step, trace) if planned else await self.perform(step, trace)

    async def _stepped(self, flow: Generator[Call, Attempt, T], attempt: Attempt | None, trace: Trace) -> Call | _Returned[T]:
        """The next step, in a worker thread. Raises OutOfTime: a check that runs beyond the deadline is left to itself."""
        left = None if trace.deadline is None else max(LAST_STEP_S, trace.deadline.at - time.monotonic())
        with until(trace.deadline, "its checks were done", left_s=left):
            return await asyncio.to_thread(_step, flow, attempt)

    def plan(self, call: Call, trace: Trace) -> Attempt:
        """The attempt of a dry run: nothing is called, usage and cost are estimates."""
        spec = self.catalog.get(call.model)
        usage = Usage(
            input_tokens=tokens.count_messages(call.messages, spec.family),
            output_tokens=self._expected_tokens(call, trace),
            estimated=True,
        )
        completion = Completion(text="", model=spec.model, usage=priced(spec, usage), finish_reason="planned")
        attempt = Attempt(len(trace.attempts), call, completion, provider=spec.provider, planned=True)
        trace.attempts.append(attempt)
        return attempt

    def _expected_tokens(self, call: Call, trace: Trace) -> int:
        request = trace.request
        return self.quality.expected_tokens(call.model, request.task, request.prompt, answer_limit(call.params))

    async def perform(self, call: Call, trace: Trace) -> Attempt:
        """Make one call; the attempt is appended to the trace, whatever became of it, cancellation included."""
        spec = self.catalog.get(call.model)
        call = with_system(call, spec)
        if trace.deadline is not None and time.monotonic() >= trace.deadline.at:
            late = out_of_time(trace.deadline, f"{spec.name} was asked", provider=spec.provider)
            return self.record(trace, Attempt(len(trace.attempts), call, error=late, provider=spec.provider))
        if trace.wants_logprobs and call.purpose == "answer" and "logprobs" in spec.can:
            call = replace(call, params={"logprobs": True, **call.params})
        try:
            call, action = await self._fit(call, spec, trace)
        except errors.PromptTooLong as error:
            return self.record(trace, Attempt(len(trace.attempts), call, error=error, provider=spec.provider))
        if call.purpose == "answer" and trace.on_event is not None:
            trace.emit(Event("attempt", model=spec.name))
        return self.record(trace, await self._answer(call, spec, trace, action))

    def record(self, trace: Trace, attempt: Attempt) -> Attempt:
        """Append an attempt to the trace, numbered, and tell the caller."""
        if attempt.index != len(trace.attempts):
            attempt = replace(attempt, index=len(trace.attempts))
        trace.attempts.append(attempt)
        if trace.on_event is not None:
            trace.emit(Event("attempt_end", model=attempt.call.model, attempt=attempt))
        return attempt

    async def _fit(self, call: Call, spec: ModelSpec, trace: Trace) -> tuple[Call, ContextAction]:
        """Make the messages fit the model's window; summaries that needs are performed as calls of their own."""
        settings = self.settings.context
        window = window_of(spec, settings.max_tokens)
        if window is None or call.purpose == "summary":
            return call, ContextAction()
        share, mode, trigger = answer_share(call.params, window), settings.mode, settings.trigger
        as_it_is = context.fits(
            call.messages, window=window, answer_tokens=share, family=spec.family, mode=mode, trigger=trigger
        )
        if as_it_is is not None:
            return call, as_it_is
        summariser = self.catalog.get(settings.summary_model or helper_model(trace.candidates) or spec.name)
        fitting = context.fit(
            call.messages,
            window=window,
            answer_tokens=share,
            family=spec.family,
            mode=mode,
            trigger=trigger,
            keep_turns=settings.keep_turns,
            summary_model=summariser.name,
            summary_window=summariser.context_window,  # its own: the cap is on what the answering model is sent
            memory=trace.memory,
        )
        messages, action = await self.drive(fitting, trace)
        return call if messages is call.messages else replace(call, messages=messages), action

    async def _reserve(self, call: Call, spec: ModelSpec, trace: Trace) -> Hold | None:
        """Hold what a call may cost. Raises BudgetExceeded, StoreError."""
        allowed = trace.request.max_cost_usd
        count = tokens.count_messages(call.messages, spec.family)
        quoted = quote(spec, count, call.params, call.schema, self._expected_tokens(call, trace))

        def waiting(account: Account) -> None:
            held = f"{usd(account.reserved_usd)} of the budget of {usd(account.limit_usd)} may go to calls in flight"
            trace.emit(Event("progress", text=f"waiting: {held}"))

        return await self.budget.reserve(
            spec,
            quoted,
            decision_id=trace.decision_id,
            allowed_usd=allowed,
            spent_usd=trace.spent_usd,
            waiting=waiting,
            run=trace.run,
        )

    async def _answer(self, call: Call, spec: ModelSpec, trace: Trace, action: ContextAction) -> Attempt:
        """From the cache, from an identical call in flight, or from the provider."""
        index = len(trace.attempts)
        if self.cache is None or not (trace.reads_cache or trace.writes_cache):
            return await self._buy(_Begun(index, call, spec.provider, action), spec, trace)
        key = call_key(call, spec)
        whole = trace.question if call.purpose == "answer" else None  # under which the answer will be kept, too
        keys = (key,) if whole is None else (key, whole.whole)
        begun = _Begun(index, call, spec.provider, action, "miss", keys)
        if not trace.reads_cache:
            return await self._buy(begun, spec, trace, key)
        started = time.perf_counter()
        while True:
            entry = self.cache.get(key)
            completion = None if entry is None else completion_from_json(entry.value)
            if completion is None and (flight := self._in_flight.get(key)) is not None:
                try:
                    with until(trace.deadline, f"{spec.name} had answered", provider=spec.provider):
                        completion = await asyncio.shield(flight)
                except errors.OutOfTime as late:
                    return begun._replace(cache="off").ended(error=late, latency_s=time.perf_counter() - started)
                if completion is None:
                    continue  # whoever flew it failed or was cancelled: try it ourselves
            if completion is None:
                break
            latency = time.perf_counter() - started
            return begun._replace(cache="exact").ended(free(completion), latency_s=latency, deployment="cache")
        flight = asyncio.get_running_loop().create_future()
        self._in_flight[key] = flight
        completion = None
        try:
            attempt = await self._buy(begun, spec, trace, key)
            completion = attempt.completion if attempt.ok else None
            return attempt
        finally:
            del self._in_flight[key]
            flight.set_result(completion)

    async def _buy(self, begun: _Begun, spec: ModelSpec, trace: Trace, key: str | None = None) -> Attempt:
        """Ask the provider, within the budgets; what it cost counts, whatever became of it."""
        started = time.perf_counter()
        hold: Hold | None = None
        try:
            if self.budget.applies(trace.request.max_cost_usd, trace.run):
                with until(trace.deadline, f"{spec.name} was asked", provider=spec.provider):
                    hold = await self._reserve(begun.call, spec, trace)
        except (errors.BudgetExceeded, errors.OutOfTime) as refused:
            return begun.ended(error=refused, latency_s=time.perf_counter() - started)
        recorded, cost = len(trace.attempts), None
        try:
            with telemetry.call(spec, begun.call) as tell:
                attempt = await self._ask(begun, spec, trace, key)
                cost = attempt_cost(attempt)
                tell(
                    attempt,
                    attempt.deployment != DEPLOYMENT,
                    lambda: address_of(spec, attempt.deployment, self.settings.secret),
                )
            return attempt
        finally:
            if cost is None and len(trace.attempts) > recorded:  # it was cancelled, and wrote down what had arrived
                cost = attempt_cost(trace.attempts[recorded])
            self.budget.settle(hold, cost, decision_id=trace.decision_id, run=trace.run)

    async def _ask(self, begun: _Begun, spec: ModelSpec, trace: Trace, key: str | None = None) -> Attempt:
        """Ask the provider. What had arrived when the user cancels is kept in the trace."""
        arrived: list[str] = []
        call = begun.call

        def on_delta(text: str) -> None:
            arrived.append(text)
            if call.purpose == "answer":
                trace.emit(Event("delta", model=spec.name, text=text))

        if trace.beforehand is not None:  # in the turn of the loop that waits for the answer
            asyncio.get_running_loop().call_soon(trace.beforehand.make)
        started = time.perf_counter()
        try:
            by_tokens = any(deployment.tokens_per_minute is not None for deployment in spec.deployments)
            served = await self.providers.perform(
                spec,
                call,
                on_delta=on_delta,
                deadline=trace.deadline,
                output_tokens=self._expected_tokens(call, trace) if by_tokens else None,
            )
        except asyncio.CancelledError:
            partial = interrupted(spec, call, "".join(arrived))
            error = errors.StreamInterrupted(USER_CANCELLED, partial=partial, provider=spec.provider)
            latency = time.perf_counter() - started
            self.record(trace, begun.ended(partial, error, latency_s=latency))
            raise
        trace.unkept = trace.unkept or served.unkept
        completion: Completion | None = served.completion
        if completion is None and isinstance(served.error, errors.StreamInterrupted | errors.TimedOut) and arrived:
            partial = served.error.partial if isinstance(served.error, errors.StreamInterrupted) else None
            completion = partial or interrupted(spec, call, "".join(arrived))
        if completion is not None:
            completion = counted(spec, call, completion)
        elif isinstance(served.error, errors.ContentFiltered) and served.error.withheld is not None:
            served.error.withheld = counted(spec, call, served.error.withheld)
        latency = time.perf_counter() - started
        if served.latency_s is not None:
            trace.recorded_s += served.latency_s - latency
            latency = served.latency_s
        attempt = begun.ended(completion, served.error, latency, served.ttft_s, served.deployment, served.retries)
        if key is not None and trace.writes_cache and attempt.ok:
            if call.purpose == "answer":
                trace.keys[attempt.index] = key  # stored at the end, unless a check refuses it
            else:
                self.store(key, attempt)
        return attempt

    def store(
        self, key: str, attempt: Attempt, *, scope: str | None = None, prompt: str | None = None, also: Sequence[str] = ()
    ) -> None:
        """Put a whole answer into the cache, under other keys `also`; one that was cut off is not stored."""
        completion = attempt.completion
        if self.cache is None or completion is None or not attempt.ok or completion.finish_reason not in ("stop", "tool_calls"):
            return
        asked = attempt.call.model
        value = answer_text(completion, asked=asked) or answer_to_json(completion, asked=asked)
        self.cache.put(key, value, scope=scope, prompt=prompt, also=also)


def with_system(call: Call, spec: ModelSpec) -> Call:
    """The call with the model's own system prompt, where it needs one and the request has none."""
    if not spec.system or any(message.role == "system" for message in call.messages):
        return call
    return replace(call, messages=(Message("system", spec.system), *call.messages))
