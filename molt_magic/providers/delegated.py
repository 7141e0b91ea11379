"""These providers, with every exchange performed by somebody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from molt_magic.providers.base import Exchanger, Missing, Served
from molt_magic.types import Call, Deadline, ModelSpec

if TYPE_CHECKING:
    from molt_magic.providers import Providers


class Delegated:
    """Serves calls by the same balancer, limits, cooldowns and retries as `providers`; only who asks is another.

    Nothing of `providers` changes: others may use them at the same time, and what one learns of a deployment the other knows.

    Args:
        providers: who chooses among deployments.
        exchanger: who asks them. Nothing can be fetched to where it does: models are fetched there beforehand.
    """

    def __init__(self, providers: Providers, exchanger: Exchanger) -> None:
        self.providers = providers
        self.exchanger = exchanger

    def missing(self, spec: ModelSpec) -> Missing | None:
        return self.exchanger.missing(spec)

    def cooling(self, spec: ModelSpec) -> str | None:
        return self.providers.cooling(spec)

    def resting(self, spec: ModelSpec) -> tuple[str, ...]:
        return self.providers.resting(spec)

    def can_pull(self, _spec: ModelSpec) -> bool:
        return False

    async def apull(self, spec: ModelSpec) -> None:
        raise NotImplementedError(spec.name)  # can_pull says no

    async def perform(
        self,
        spec: ModelSpec,
        call: Call,
        *,
        on_delta: Callable[[str], None],
        deadline: Deadline | None = None,
        output_tokens: int | None = None,
    ) -> Served:
        return await self.providers.perform(
            spec, call, on_delta=on_delta, deadline=deadline, output_tokens=output_tokens, by=self.exchanger
        )
