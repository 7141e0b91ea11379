"""One call's way through the deployments of a model."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import tenacity

from molt_magic.errors import OutOfTime, ProviderError, RateLimited
from molt_magic.providers.balancing.cooldown import LASTING, PASSING
from molt_magic.providers.balancing.limits import Full, Place
from molt_magic.providers.balancing.line import LOOK_S
from molt_magic.providers.balancing.shared import Busy
from molt_magic.providers.base import out_of_time, until
from molt_magic.providers.faults import LONGEST_WAIT_S
from molt_magic.types import Completion, Deadline, Deployment, ModelSpec, Retry

if TYPE_CHECKING:
    from molt_magic.providers.balancing.balancer import Balancer

FIRST_WAIT_S = 0.5
LARGEST_WAIT_S = 8.0
_BUSY_S = 0.004
_LEASE_S = 60.0  # over the longest that an answer may take: when a place is free again, were its process to die unnoticed

Ask = Callable[[Deployment], Awaitable[Completion]]


class Trip:
    """Asks one deployment after another, and keeps what it did for the log.

    Args: those of `Balancer.perform`.
    """

    def __init__(
        self,
        balancer: Balancer,
        spec: ModelSpec,
        started: Callable[[], bool],
        deadline: Deadline | None,
        tokens: Callable[[], int],
    ) -> None:
        self.deployments = deployments_of(spec)
        self.steps: list[Retry] = []
        self.asked: str | None = None  # the deployment that was asked last
        self._balancer = balancer
        self._spec = spec
        self._wanted = f"{spec.name} had answered"
        self._started = started
        self._deadline = deadline
        self._tokens = tokens
        # a model's only deployment never cools down and is never chosen among others: without limits nothing is kept of it
        self._alone = len(self.deployments) == 1 and not self.deployments[0].limited
        self._keys = {} if self._alone else {d.name: balancer.key(spec, d) for d in self.deployments}
        self._untried = list(self.deployments)
        # those that are not: cooling down, or asked and their failure may pass -> when they may be asked, monotonic seconds
        self._again: dict[str, float] = {}
        self._rounds = 0  # waits so far
        self._first_try = math.inf  # monotonic seconds
        self._over = False  # there is no place before the deadline

    async def begin(self) -> None:
        """Pass over what is cooling down; wait where all of it asked to be left alone. Raises RateLimited, OutOfTime."""
        self._in_time()
        cooldowns = self._balancer.cooldowns(self._spec)
        if not cooldowns:
            return
        now = self._balancer.now()
        self._untried = [d for d in self.deployments if d.name not in cooldowns]
        self._again = {name: cooldown.not_before for name, cooldown in cooldowns.items()}
        if self._untried:
            for name, found in cooldowns.items():
                why = f"cooling down for {math.ceil(found.until - now)} s more ({found.reason})"
                self.steps.append(Retry(name, why, 0.0, "passed over"))
            return
        soonest = min(self._again, key=lambda name: self._again[name])
        wait = self._again[soonest] - now
        if wait > LONGEST_WAIT_S or (wait > 0 and self._is_late(now + wait)):
            raise RateLimited(
                f"{self._spec.name} cannot be asked: {self._balancer.cooling(self._spec)}.",
                provider=self._spec.provider,
                retry_after_s=wait,
                fix="Use another model until then, or add a deployment with another key.",
            )
        if wait > 0:
            await self._balancer.sleep(wait)
            why = f"all cool down, and it asked for this ({cooldowns[soonest].reason})"
            self.steps.append(Retry(soonest, why, wait, "waited"))

    async def attempt(self, ask: Ask) -> Completion:
        """Ask the next deployment, once it has a place. Raises ProviderError."""
        self._in_time()
        deployment, place = (self.deployments[0], None) if self._alone else await self._next()
        if deployment in self._untried:
            self._untried.remove(deployment)
        self.asked = deployment.name
        self._first_try = min(self._first_try, self._balancer.now())
        took: int | None = None
        try:
            with until(self._deadline, self._wanted, left_s=self._left(), provider=self._spec.provider):
                if len(self.deployments) == 1:
                    completion = await ask(deployment)
                else:
                    with self._balancer.watched(self._keys[deployment.name]):
                        completion = await ask(deployment)
            took = (completion.usage.input_tokens + completion.usage.output_tokens) or None
            return completion
        finally:
            if place is not None:
                self._balancer.shared.leave(place, tokens=took)
                self._balancer.line(self._spec).wake()
                self._balancer.catch_up()

    # what comes after a failure, as tenacity asks for it

    def may_go_on(self, error: BaseException) -> bool:
        """Whether another try may help. Remembers when this deployment may be asked again."""
        if not isinstance(error, ProviderError) or isinstance(error, OutOfTime):
            return False
        if self._over or self.asked is None or self._started():
            return False
        self._again.pop(self.asked, None)
        if error.retryable:
            self._again[self.asked] = self._balancer.now() + (error.retry_after_s or 0.0)
        if self._untried:
            return isinstance(error, PASSING + LASTING) or error.retryable
        return bool(self._again) and min(self._again.values()) - self._balancer.now() <= LONGEST_WAIT_S

    def wait(self, state: tenacity.RetryCallState) -> float:  # noqa: ARG002 - the signature is tenacity's
        """Seconds until the next try: none while there is a deployment that was not asked."""
        if self._untried:
            return 0.0
        backoff = self._balancer.jitter(min(FIRST_WAIT_S * 2**self._rounds, LARGEST_WAIT_S))
        self._rounds += 1
        asked = min(self._again.values()) - self._balancer.now()
        return max(backoff, asked + backoff / 10 if asked > 0 else 0.0)  # never before the time, and not all at once

    def must_stop(self, state: tenacity.RetryCallState) -> bool:
        """Whether there were enough tries, or the next would come too late."""
        if state.attempt_number >= len(self.deployments) + self._balancer.retries:
            return True
        next_try = self._balancer.now() + state.upcoming_sleep
        return next_try - self._first_try >= self._balancer.total_s or self._is_late(next_try)

    def note(self, state: tenacity.RetryCallState) -> None:
        """Keep what failed, for the log."""
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, ProviderError) and self.asked is not None:
            waits = state.next_action.sleep if state.next_action is not None else 0.0
            self.steps.append(Retry(self.asked, f"{error.kind}: {error.message}", float(waits)))

    # whose turn it is

    async def _next(self) -> tuple[Deployment, Place | None]:
        """The deployment to ask now, and its place where it has limits."""
        options = self._options()
        if not any(deployment.limited for deployment in options):
            return self._balancer.pick(options, self._keys), None
        begun, full = self._balancer.now(), dict[str, str]()
        while True:
            deployment, place = await self._place(full)
            if place is None or place.at <= self._balancer.now():
                break
            await self._sleep_until(place)
            cooldowns = self._balancer.cooldowns(self._spec)
            others = [d for d in self._untried if d.name not in cooldowns]
            if deployment.name not in cooldowns or not others:
                break
            self._balancer.shared.give_back(place)  # it failed for others meanwhile
            self._untried = others
        waited = self._balancer.now() - begun
        limit = full.pop(deployment.name, "")
        for name, why in full.items():
            self.steps.append(Retry(name, f"at its limit of {why}", 0.0, "passed over"))
        if waited > LOOK_S:
            why = f"at its limit of {limit}" if limit else "others were first"
            self.steps.append(Retry(deployment.name, why, waited, "waited"))
        return deployment, place

    def _options(self) -> list[Deployment]:
        """The deployments that may be asked now: those that were not, else those whose time has come."""
        if self._untried:
            return list(self._untried)
        now = self._balancer.now()
        ready = [d for d in self.deployments if self._again.get(d.name, math.inf) <= now]
        soonest = min(self._again, key=lambda name: self._again[name])
        return ready or [d for d in self.deployments if d.name == soonest]

    async def _place(self, full: dict[str, str]) -> tuple[Deployment, Place | None]:
        """A deployment with a place for this call, now or at a time that was booked; what was full is added to `full`."""
        line = self._balancer.line(self._spec)
        with line.joined() as ticket:
            while True:
                if not line.first(ticket):
                    await ticket.wait(self._left())
                    self._in_time()
                    continue
                found = await self._free_place(full)
                if found is not None:
                    return found
                await ticket.wait(min(LOOK_S, self._left() or LOOK_S))
                self._in_time()

    async def _free_place(self, full: dict[str, str]) -> tuple[Deployment, Place | None] | None:
        """A place now, else the earliest to come, else None: the calls under way have all places there are.

        Raises:
            RateLimited: the earliest comes after the deadline.
        """
        now = self._balancer.now()
        options, times = self._options(), dict[str, float]()
        rest = list(options)
        while rest:
            deployment = self._balancer.pick(rest, self._keys)
            if not deployment.limited:
                return deployment, None
            found = await self._reserve(deployment, latest=now)
            if isinstance(found, Place):
                return deployment, found
            full[deployment.name] = found.why
            if found.until is not None:
                times[deployment.name] = found.until
            rest.remove(deployment)
        latest = math.inf if self._deadline is None else self._deadline.at
        for deployment in sorted((d for d in options if d.name in times), key=lambda d: times[d.name]):
            found = await self._reserve(deployment, latest=latest)
            if isinstance(found, Place):
                return deployment, found
            if found.until is None:
                del times[deployment.name]
        if len(times) < len(options):
            return None
        self._over = True
        soonest = min(times, key=lambda name: times[name])
        wait = times[soonest] - now
        raise RateLimited(
            f"{self._spec.name} is at its limit of {full[soonest]}: the next place is free in {math.ceil(wait)} s, "
            "after the question's deadline.",
            provider=self._spec.provider,
            retry_after_s=wait,
            fix="Raise the limit or the deadline, or add a deployment.",
            retryable=False,
        )

    async def _reserve(self, deployment: Deployment, *, latest: float) -> Place | Full:
        lease_s = self._balancer.total_s + _LEASE_S
        tokens = self._tokens() if deployment.tokens_per_minute is not None else 0
        while True:
            try:
                return self._balancer.shared.reserve(
                    self._keys[deployment.name], deployment, tokens=tokens, latest=latest, lease_s=lease_s
                )
            except Busy:
                await self._balancer.sleep(self._balancer.jitter(_BUSY_S))
                self._in_time()

    async def _sleep_until(self, place: Place) -> None:
        try:
            await self._balancer.sleep(place.at - self._balancer.now())
        except BaseException:  # cancelled: others may have the place
            self._balancer.shared.give_back(place)
            raise

    # the deadline

    def _left(self) -> float | None:
        """Seconds until the deadline."""
        return None if self._deadline is None else max(0.0, self._deadline.at - self._balancer.now())

    def _is_late(self, at: float) -> bool:
        return self._deadline is not None and at >= self._deadline.at

    def _in_time(self) -> None:
        if self._deadline is not None and self._is_late(self._balancer.now()):
            raise out_of_time(self._deadline, self._wanted, provider=self._spec.provider)


def deployments_of(spec: ModelSpec) -> tuple[Deployment, ...]:
    """The deployments of a model; one at the provider's own address where none is configured."""
    return spec.deployments or (Deployment(spec.name),)
