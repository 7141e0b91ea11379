"""What every provider is, and what comes of asking it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from molt_magic.errors import OutOfTime, ProviderError, StoreError
from molt_magic.frozen import fast_init
from molt_magic.transport import limit
from molt_magic.types import Call, Completion, Deadline, Deployment, ModelSpec, Retry


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a model cannot be asked, and what the user can do about it."""

    reason: str  # one line
    fix: str  # one line: a command or a setting


@fast_init
@dataclass(frozen=True, slots=True)
class Served:
    """What came of asking for one call, retries and other deployments included: a completion or an error."""

    completion: Completion | None
    error: ProviderError | None
    deployment: str | None  # the last that was asked
    retries: tuple[Retry, ...] = ()
    ttft_s: float | None = None  # from the first request to the first text; None: nothing was streamed
    latency_s: float | None = None  # what it took when it was recorded; None: it was asked for just now
    unkept: StoreError | None = None  # why a paid answer could not be written down: told once it is handed over


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


class Heard(Protocol):
    """Told of text as it arrives."""

    def __call__(self, text: str, *, ago_s: float = 0.0) -> None:
        """`ago_s`: how long ago it arrived, where it comes in one piece from another process."""
        ...


class Exchanger(Protocol):
    """Performs single exchanges with models in the stead of this process: the workers of a cluster. See `Delegated`."""

    def missing(self, spec: ModelSpec) -> Missing | None:
        """What stands in the way of asking `spec` there, or None."""
        ...

    async def complete(self, spec: ModelSpec, deployment: Deployment, call: Call, *, on_delta: Heard) -> Completion:
        """Ask once, as `Provider.complete`; what had been streamed is handed over at the end, in one piece."""
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


def out_of_time(deadline: Deadline, what: str, *, provider: str = "") -> OutOfTime:
    """The error for what was cut at the question's deadline, or not begun after it; `what`: "small had answered"."""
    message = f"The {deadline.seconds:g} s for the whole question were over before {what}."
    return OutOfTime(message, provider=provider, fix=f"Raise {deadline.setting}.")


def until(
    deadline: Deadline | None, what: str, *, left_s: float | None = None, provider: str = ""
) -> AbstractContextManager[None]:
    """End what the running task does inside at the deadline.

    Args:
        what: had to happen, for the error.
        left_s: seconds until then; None: by the clock.

    Raises:
        OutOfTime: it was ended.
    """
    if deadline is None:
        return _ENDLESS
    seconds = deadline.at - time.monotonic() if left_s is None else left_s
    return limit(seconds, lambda: out_of_time(deadline, what, provider=provider))


_ENDLESS = nullcontext()
