"""Chooses among deployments, remembers which of them fail, and keeps their limits.

The waits between tries are those of the OpenAI SDK, which users know: 0.5 to 8 s, and no server is waited for longer than
120 s. A model's only deployment never cools down: there is no other.
"""

from __future__ import annotations

import asyncio
import math
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

import tenacity

from molt_magic.errors import ProviderError
from molt_magic.providers.balancing.cooldown import Cooldown, Health
from molt_magic.providers.balancing.line import Line
from molt_magic.providers.balancing.shared import Shared
from molt_magic.providers.balancing.trip import Ask, Trip, deployments_of
from molt_magic.providers.base import Served
from molt_magic.types import Completion, Deadline, Deployment, ModelSpec

_CATCH_UP_S = 0.05


class Balancer:
    """Chooses deployments for all calls of a session.

    Args:
        retries: how often a call is tried again once each deployment was asked.
        total_s: seconds after its first try in which a call is tried again.
        shared: what kernels tell each other; None: nothing is shared.
        identify: what all kernels call a deployment: the same endpoint, key and model are the same deployment.
        clock: monotonic seconds.
        sleep: waits for seconds.
        rng: source of jitter and of the choice among equals.
    """

    def __init__(
        self,
        *,
        retries: int,
        total_s: float,
        shared: Shared | None = None,
        identify: Callable[[ModelSpec, Deployment], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self.retries = retries
        self.total_s = total_s
        self.shared = shared or Shared(None, clock=clock)
        self.sleep = sleep
        self._identify = identify or _by_name
        self.now = clock
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._health: dict[str, Health] = {}
        self._lines: dict[str, Line] = {}
        self._news: Mapping[str, Cooldown] = {}
        self._catching_up = False
        self._lock = threading.Lock()

    def cooling(self, spec: ModelSpec) -> str | None:
        """Why every deployment of a model is cooling down, or None where one is not."""
        deployments = deployments_of(spec)
        found = self.cooldowns(spec)
        if len(found) < len(deployments) or not found:
            return None
        soonest = min(found.values(), key=lambda cooldown: cooldown.until)
        said = _said(soonest, self.now())
        return f"all {len(deployments)} deployments are cooling down, the next {said}"

    def resting(self, spec: ModelSpec) -> tuple[str, ...]:
        """Which deployments of a model are cooling down, why and for how long, a clause each."""
        return tuple(f"{name} is cooling down {_said(found, self.now())}" for name, found in self.cooldowns(spec).items())

    def cooldowns(self, spec: ModelSpec) -> dict[str, Cooldown]:
        """The cooldowns in force of a model's deployments, by their names."""
        deployments = deployments_of(spec)
        if len(deployments) == 1:
            return {}
        self._hear()
        now = self.now()
        found = ((d.name, self.health(self.key(spec, d)).cooling(now)) for d in deployments)
        return {name: cooldown for name, cooldown in found if cooldown is not None}

    async def perform(
        self,
        spec: ModelSpec,
        ask: Ask,
        started: Callable[[], bool],
        *,
        deadline: Deadline | None = None,
        tokens: Callable[[], int] = lambda: 0,
    ) -> Served:
        """Ask until one deployment answers or nothing is left to try.

        Args:
            ask: asks one deployment; raises ProviderError.
            started: whether text has reached the user, after which nothing is tried again.
            deadline: nothing is begun after it, nothing is waited for beyond it, and what runs is cut at it.
            tokens: what the call will take, input and output, by estimate; asked where a limit counts them.
        """
        trip = Trip(self, spec, started, deadline, tokens)
        try:
            await trip.begin()
            try:
                completion = await trip.attempt(ask)
            except ProviderError as error:
                completion = await self._again(trip, ask, error)
        except ProviderError as error:
            error.__traceback__ = error.__context__ = error.__cause__ = None  # their frames hold the request, and so the key
            return Served(None, error, trip.asked, tuple(trip.steps))
        return Served(completion, None, trip.asked, tuple(trip.steps))

    async def _again(self, trip: Trip, ask: Ask, failed: ProviderError) -> Completion:
        """The further tries of a call whose first has failed: setting them up takes a tenth of a millisecond, which only such
        a call pays for. Raises the last failure."""
        first: list[ProviderError] = [failed]

        async def attempt() -> Completion:
            if first:
                raise first.pop()
            return await trip.attempt(ask)

        retrying = tenacity.AsyncRetrying(
            sleep=self.sleep,
            retry=tenacity.retry_if_exception(trip.may_go_on),
            wait=trip.wait,
            stop=trip.must_stop,
            before_sleep=trip.note,
            reraise=True,
        )
        return await retrying(attempt)

    # what a trip needs

    def key(self, spec: ModelSpec, deployment: Deployment) -> str:
        """What all kernels call a deployment; one of which there is nothing to tell has a name of our own."""
        alone = len(spec.deployments) < 2 and not deployment.limited
        return _by_name(spec, deployment) if alone else self._identify(spec, deployment)

    def health(self, key: str) -> Health:
        """What is known of a deployment."""
        health = self._health.get(key)
        if health is None:
            health = self._health.setdefault(key, Health())
            health.heard(self._news.get(key))
        return health

    def pick(self, among: list[Deployment], keys: Mapping[str, str]) -> Deployment:
        """The least busy of some deployments for its weight, passing over those that cool down; of equals, by weight."""
        if len(among) == 1:
            return among[0]
        now = self.now()
        with self._lock:
            health = {d.name: self.health(keys[d.name]) for d in among}
            awake = [d for d in among if health[d.name].cooling(now) is None]
            if not awake:
                return min(among, key=lambda d: cooldown.until if (cooldown := health[d.name].cooldown) else 0.0)
            load = {d.name: health[d.name].in_flight / d.weight for d in awake}
            least = [d for d in awake if load[d.name] == min(load.values())]
        return self._rng.choices(least, weights=[d.weight for d in least])[0]

    @contextmanager
    def watched(self, key: str) -> Iterator[None]:
        """Count a call in flight; cool its deployment down where it fails."""
        health, begun = self.health(key), self.now()
        with self._lock:
            health.in_flight += 1
        try:
            yield
            if (ended := health.answered(begun=begun, now=self.now())) is not None:
                self.shared.end(key, ended)
        except ProviderError as error:
            if (cooldown := health.failed(error, begun=begun, now=self.now())) is not None:
                self.shared.cool(key, cooldown)
            raise
        finally:
            with self._lock:
                health.in_flight -= 1
            self.catch_up()

    def line(self, spec: ModelSpec) -> Line:
        """Who waits for a place at a model's deployments."""
        return self._lines.setdefault(spec.name, Line())

    def catch_up(self) -> None:
        """Write a little later what another process was in the way of."""
        if self.shared.behind and not self._catching_up:
            self._catching_up = True
            asyncio.get_running_loop().call_later(_CATCH_UP_S, self._caught_up)

    def _caught_up(self) -> None:
        self._catching_up = False
        self.shared.catch_up()
        self.catch_up()

    def jitter(self, seconds: float) -> float:
        """Up to a quarter less, so that clients that failed together do not come back together."""
        return seconds * (1 - 0.25 * self._rng.random())

    def _hear(self) -> None:
        """Take over what other kernels have learned since the last look."""
        news = self.shared.news()
        if news is None:
            return
        self._news, now = news, self.now()
        for key, health in list(self._health.items()):
            said = news.get(key)
            if said is not None or health.cooling(now) is not None:
                health.heard(said)


def _by_name(spec: ModelSpec, deployment: Deployment) -> str:
    return f"{spec.name}\n{spec.model}\n{deployment.name}\n{deployment.base_url}"  # a changed configuration starts afresh


def _said(cooldown: Cooldown, now: float) -> str:
    return f"for {math.ceil(cooldown.until - now)} s more ({cooldown.reason})"
