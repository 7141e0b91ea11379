"""What every provider is, and what comes of asking it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from molt_magic.errors import ProviderError
from molt_magic.types import Call, Completion, Deployment, ModelSpec, Retry


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a model cannot be asked, and what the user can do about it."""

    reason: str  # one line
    fix: str  # one line: a command or a setting


@dataclass(frozen=True, slots=True)
class Served:
    """What came of asking for one call, retries and other deployments included: a completion or an error."""

    completion: Completion | None
    error: ProviderError | None
    deployment: str | None  # the last that was asked
    retries: tuple[Retry, ...] = ()
    ttft_s: float | None = None  # from the first request to the first text; None: nothing was streamed
    latency_s: float | None = None  # what it took when it was recorded; None: it was asked for just now


class Provider(Protocol):
    """Something that completes calls. One call is one request: retries and balancing are made around it."""

    name: str

    def missing(self, spec: ModelSpec) -> Missing | None:
        """What stands in the way of asking `spec`, or None. Looks at the environment and at files, never at the network."""
        ...

    async def complete(
        self, spec: ModelSpec, deployment: Deployment, call: Call, *, on_delta: Callable[[str], None]
    ) -> Completion:
        """Ask once. Text is handed to `on_delta` as it arrives, unless `call.params` has `stream=False`.

        The completion's usage has no cost. Usage of zero tokens means that the provider did not say.

        Raises:
            ProviderError: of the kind that fits; StreamInterrupted holds the text that had arrived.
        """
        ...

    async def aclose(self) -> None:
        """Give back what the provider holds."""
        ...


@runtime_checkable
class Pulls(Protocol):
    """A provider whose models can be fetched to this machine."""

    def can_pull(self, spec: ModelSpec) -> bool:
        """Whether `spec` lacks nothing but its weights, which can be fetched."""
        ...

    def pull(self, spec: ModelSpec) -> object:
        """Fetch them; blocks until they are there. Raises WeightsError."""
        ...

    async def apull(self, spec: ModelSpec) -> object:
        """The same, awaited and cancellable."""
        ...
