"""A clock that only waits move, and deployments that answer from a script."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from molt_magic.providers.balancing import Balancer
from molt_magic.providers.base import Served
from molt_magic.types import Completion, Deadline, Deployment, ModelSpec

DONE = Completion("text", "m")
Outcome = Completion | BaseException


class World:
    """A clock that only waits move, and deployments that answer from a script."""

    def __init__(
        self, weights: Sequence[float] = (1.0,), *, retries: int = 2, total_s: float = 600.0, **limits: int | None
    ) -> None:
        self.time = 1000.0
        self.waits: list[float] = []
        self.asked: list[str] = []
        self.script: dict[str, list[Outcome]] = {}
        self.spec = ModelSpec(
            "m", "openai", "m", deployments=tuple(Deployment(f"d{i}", weight=w, **limits) for i, w in enumerate(weights))
        )
        self.balancer = Balancer(
            retries=retries, total_s=total_s, clock=lambda: self.time, sleep=self.sleep, rng=random.Random(7)
        )

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds

    async def ask(self, deployment: Deployment) -> Completion:
        self.asked.append(deployment.name)
        outcomes = self.script.get(deployment.name, [DONE])
        outcome = outcomes.pop(0) if len(outcomes) > 1 else outcomes[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def perform(
        self, started: Callable[[], bool] = lambda: False, *, deadline_s: float | None = None, **terms: Any
    ) -> Served:
        deadline = None if deadline_s is None else Deadline(self.time + deadline_s, deadline_s, "the deadline")
        return await self.balancer.perform(self.spec, self.ask, started, deadline=deadline, **terms)


def in_flight(world: World) -> list[int]:
    """Calls under way, by deployment."""
    return [world.balancer.health(world.balancer.key(world.spec, d)).in_flight for d in world.spec.deployments]
