"""Which deployment of a model is asked, and when it is asked again.

Among the deployments that are not cooling down, the least busy for its weight is asked. One that fails cools down, and
another takes over at once; once all were asked, the request waits (exponential backoff with jitter, and at least what the
server asked for) and tries those again whose failure may pass. A model's only deployment never cools down: there is no other.

The waits are those of the OpenAI SDK, which users know: 0.5 to 8 s, and no server is waited for longer than 120 s.
"""

from __future__ import annotations

import asyncio
import math
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import tenacity

from molt_magic.errors import (
    ConnectionFailed,
    ModelNotFound,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    ServerError,
    TimedOut,
    Unauthorized,
)
from molt_magic.providers.base import Served
from molt_magic.providers.faults import LONGEST_WAIT_S
from molt_magic.types import Completion, Deployment, ModelSpec, Retry

FIRST_WAIT_S = 0.5
LARGEST_WAIT_S = 8.0
_COOL_S = 5.0  # after a failure that may pass; doubled with every further one
_COOL_LONG_S = 300.0  # after one that does not pass by itself, and the longest of the others
_PASSING = (RateLimited, ServerError, ConnectionFailed, TimedOut)
_LASTING = (Unauthorized, QuotaExceeded, ModelNotFound)  # another key or endpoint may still do

Ask = Callable[[Deployment], Awaitable[Completion]]


@dataclass(slots=True)
class _State:
    """What is known of one deployment."""

    in_flight: int = 0
    failures: int = 0  # in a row
    cool_until: float = 0.0  # monotonic seconds: others are preferred until then
    not_before: float = 0.0  # monotonic seconds: the server asked to be left alone until then
    reason: str = ""


class Balancer:
    """Chooses deployments for all calls of a session, and remembers which of them fail.

    Args:
        retries: how often a call is tried again once each deployment was asked.
        total_s: seconds after which no further try is started.
        clock: monotonic seconds.
        sleep: waits for seconds.
        rng: source of jitter and of the choice among equals.
    """

    def __init__(
        self,
        *,
        retries: int,
        total_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self.retries = retries
        self.total_s = total_s
        self._clock = clock
        self._sleep = sleep
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._states: dict[tuple[str, str, str, str | None], _State] = {}
        self._lock = threading.Lock()

    def cooling(self, spec: ModelSpec) -> str | None:
        """Why every deployment of a model is cooling down, or None where one is not."""
        deployments = deployments_of(spec)
        if len(deployments) == 1:
            return None
        now = self._clock()
        states = [self._state(spec, deployment) for deployment in deployments]
        if any(state.cool_until <= now for state in states):
            return None
        soonest = min(states, key=lambda state: state.cool_until)
        wait = math.ceil(soonest.cool_until - now)
        return f"all {len(states)} deployments are cooling down, the next for {wait} s more ({soonest.reason})"

    async def perform(self, spec: ModelSpec, ask: Ask, started: Callable[[], bool]) -> Served:
        """Ask until one deployment answers or nothing is left to try.

        Args:
            ask: asks one deployment; raises ProviderError.
            started: whether text has reached the user, after which nothing is tried again.
        """
        trip = _Trip(self, spec, started)
        first_wait = trip.first_wait()
        if first_wait > LONGEST_WAIT_S:
            error = RateLimited(
                f"{spec.name} cannot be asked: {self.cooling(spec)}.",
                provider=spec.provider,
                retry_after_s=first_wait,
                fix="Use another model until then, or add a deployment with another key.",
            )
            return Served(None, error, None)
        if first_wait > 0:
            await self._sleep(first_wait)
        retrying = tenacity.AsyncRetrying(
            sleep=self._sleep,
            retry=tenacity.retry_if_exception(trip.may_go_on),
            wait=trip.wait,
            stop=tenacity.stop_after_attempt(len(trip.deployments) + self.retries) | tenacity.stop_before_delay(self.total_s),
            before_sleep=trip.note,
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    deployment = trip.next()
                    with self._watched(spec, deployment):
                        completion = await ask(deployment)
        except ProviderError as error:
            error.__traceback__ = error.__context__ = error.__cause__ = None  # their frames hold the request, and so the key
            return Served(None, error, trip.last.name, tuple(trip.retries))
        return Served(completion, None, trip.last.name, tuple(trip.retries))

    def pick(self, spec: ModelSpec, among: list[Deployment]) -> Deployment:
        """The least busy of some deployments for its weight, passing over those that cool down; of equals, by weight."""
        now = self._clock()
        with self._lock:
            awake = [d for d in among if self._state(spec, d).cool_until <= now]
            if not awake:
                return min(among, key=lambda d: self._state(spec, d).cool_until)
            load = {d.name: self._state(spec, d).in_flight / d.weight for d in awake}
            least = [d for d in awake if load[d.name] == min(load.values())]
        return self._rng.choices(least, weights=[d.weight for d in least])[0]

    def jitter(self, seconds: float) -> float:
        """Up to a quarter less, so that clients that failed together do not come back together."""
        return seconds * (1 - 0.25 * self._rng.random())

    def now(self) -> float:
        """Monotonic seconds."""
        return self._clock()

    def cooling_until(self, spec: ModelSpec, deployment: Deployment) -> float | None:
        """When a deployment that cools down may be asked at the earliest; None where it does not cool down."""
        state = self._state(spec, deployment)
        return state.not_before if state.cool_until > self._clock() else None

    @contextmanager
    def _watched(self, spec: ModelSpec, deployment: Deployment) -> Iterator[None]:
        """Count a call in flight; cool the deployment down where it fails."""
        state = self._state(spec, deployment)
        with self._lock:
            state.in_flight += 1
        try:
            yield
            state.failures, state.cool_until = 0, 0.0
        except ProviderError as error:
            if len(spec.deployments) > 1 and isinstance(error, _PASSING + _LASTING):
                state.failures += 1
                state.cool_until = self._clock() + _cooldown_s(error, state.failures)
                state.not_before = self._clock() + (error.retry_after_s or 0.0)
                state.reason = error.kind
            raise
        finally:
            with self._lock:
                state.in_flight -= 1

    def _state(self, spec: ModelSpec, deployment: Deployment) -> _State:
        key = (spec.name, spec.model, deployment.name, deployment.base_url)  # a changed configuration starts afresh
        return self._states.setdefault(key, _State())


class _Trip:
    """One call's way through the deployments."""

    def __init__(self, balancer: Balancer, spec: ModelSpec, started: Callable[[], bool]) -> None:
        self.deployments = deployments_of(spec)
        self.retries: list[Retry] = []
        self.last = self.deployments[0]
        self._balancer = balancer
        self._spec = spec
        self._started = started
        cooling = {d.name: balancer.cooling_until(spec, d) for d in self.deployments}
        self._untried = [d for d in self.deployments if cooling[d.name] is None]
        # the others, and those whose failure here may pass -> when they may be asked, monotonic seconds
        self._again = {name: until for name, until in cooling.items() if until is not None}
        self._rounds = 0  # waits so far

    def first_wait(self) -> float:
        """Seconds before the first try: none, unless every deployment asked to be left alone."""
        return 0.0 if self._untried else max(0.0, min(self._again.values()) - self._balancer.now())

    def next(self) -> Deployment:
        """The deployment to ask now."""
        if self._untried:
            self.last = self._balancer.pick(self._spec, self._untried)
            self._untried.remove(self.last)
        else:
            now = self._balancer.now()
            ready = [d for d in self.deployments if self._again.get(d.name, math.inf) <= now]
            soonest = min(self._again, key=lambda name: self._again[name])
            self.last = self._balancer.pick(self._spec, ready or [d for d in self.deployments if d.name == soonest])
        return self.last

    def may_go_on(self, error: BaseException) -> bool:
        """Whether another try may help. Remembers when this deployment may be asked again."""
        if not isinstance(error, ProviderError) or self._started():
            return False
        self._again.pop(self.last.name, None)
        if error.retryable:
            self._again[self.last.name] = self._balancer.now() + (error.retry_after_s or 0.0)
        if self._untried:
            return isinstance(error, _PASSING + _LASTING) or error.retryable
        return bool(self._again) and min(self._again.values()) - self._balancer.now() <= LONGEST_WAIT_S

    def wait(self, state: tenacity.RetryCallState) -> float:  # noqa: ARG002 - the signature is tenacity's
        """Seconds until the next try: none while there is a deployment that was not asked."""
        if self._untried:
            return 0.0
        backoff = self._balancer.jitter(min(FIRST_WAIT_S * 2**self._rounds, LARGEST_WAIT_S))
        self._rounds += 1
        asked = min(self._again.values()) - self._balancer.now()
        return max(backoff, asked + backoff / 10 if asked > 0 else 0.0)  # never before the time, and not all at once

    def note(self, state: tenacity.RetryCallState) -> None:
        """Keep what failed, for the log."""
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, ProviderError):
            waits = state.next_action.sleep if state.next_action is not None else 0.0
            self.retries.append(Retry(self.last.name, f"{error.kind}: {error.message}", float(waits)))


def deployments_of(spec: ModelSpec) -> tuple[Deployment, ...]:
    """The deployments of a model; one at the provider's own address where none is configured."""
    return spec.deployments or (Deployment(spec.name),)


def _cooldown_s(error: ProviderError, failures: int) -> float:
    if error.retry_after_s is not None:
        return min(max(error.retry_after_s, 1.0), 2 * _COOL_LONG_S)
    return _COOL_LONG_S if isinstance(error, _LASTING) else min(_COOL_S * 2 ** (failures - 1), _COOL_LONG_S)
