"""The providers: models asked over HTTP, or run on this machine, behind one interface."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from molt_magic.errors import UnknownName
from molt_magic.providers.balancing import Balancer, Shared
from molt_magic.providers.base import Exchanger, Missing, Provider, Pulls, Served
from molt_magic.providers.delegated import Delegated
from molt_magic.providers.remote import DIALECTS, RemoteProvider
from molt_magic.providers.vendors import locate
from molt_magic.tokens import count_messages
from molt_magic.transport import Transport
from molt_magic.types import Call, Completion, Deadline, Deployment, ModelSpec

if TYPE_CHECKING:
    from molt_magic.config import Settings

__all__ = ["Delegated", "Exchanger", "Missing", "Provider", "Providers", "Served"]

OnProgress = Callable[[str, float | None], None]  # what is being done, and how far: in [0, 1] or None

_IDENTITY_S = 1.0  # how long it is known who a deployment is: looking takes 50 us
ANSWER_TOKENS = 512  # what an answer is taken to have where nobody says, for limits on tokens


class Providers:
    """All providers of a session, with balancing, cooldown and retries around them.

    Args:
        settings: keys, time limits, retries and folders.
        on_progress: told what takes time before an answer (a model that is fetched or loaded).
    """

    def __init__(self, settings: Settings, *, on_progress: OnProgress | None = None) -> None:
        network = settings.network
        self.settings = settings
        self.on_progress = on_progress
        self.transport = Transport(connect_s=network.connect_s, first_token_s=network.first_token_s, total_s=network.total_s)
        self._shared = Shared(settings.cache_dir / "deployments.sqlite")
        self._balancer = Balancer(
            retries=network.retries, total_s=network.total_s, shared=self._shared, identify=self._identify
        )
        self._identities: dict[tuple[str, str, str, Deployment], tuple[float, str]] = {}  # -> good until, what it is called
        self._made: dict[str, Provider] = {}

    def missing(self, spec: ModelSpec) -> Missing | None:
        """What stands in the way of asking a model, or None. Raises UnknownName for a provider that does not exist."""
        return self._provider(spec).missing(spec)

    def cooling(self, spec: ModelSpec) -> str | None:
        """Why every deployment of a model is cooling down, or None."""
        return self._balancer.cooling(spec)

    def resting(self, spec: ModelSpec) -> tuple[str, ...]:
        """Which deployments of a model are cooling down, why and for how long, a clause each."""
        return self._balancer.resting(spec)

    async def perform(
        self,
        spec: ModelSpec,
        call: Call,
        *,
        on_delta: Callable[[str], None],
        deadline: Deadline | None = None,
        output_tokens: int | None = None,
        by: Exchanger | None = None,
    ) -> Served:
        """Make a call: choose a deployment, ask, and ask again or another where that may help and no text was shown.

        Args:
            spec: the model.
            call: what to ask it.
            on_delta: handed the text as it arrives; what it raises ends the call.
            deadline: of the whole question: no try or wait begins after it, and what runs is cut at it.
            output_tokens: how long the answer is expected to be; None: as long as it may be.
            by: who asks, once; None: this process. Choice, limits, cooldowns and retries are the same either way.

        Returns:
            The completion, or the last error; never raises a ProviderError.

        Raises:
            UnknownName: a provider that does not exist.
            WeightsError: a local model's file cannot be had.
            asyncio.CancelledError: the request is ended at once.
        """
        asked = self._provider(spec) if by is None else by
        begun = time.perf_counter()
        first: list[float] = []

        def heard(text: str, *, ago_s: float = 0.0) -> None:
            if not first:
                first.append(time.perf_counter() - begun - ago_s)
            on_delta(text)

        def ask(deployment: Deployment) -> Awaitable[Completion]:
            return asked.complete(spec, deployment, call, on_delta=heard)

        def tokens() -> int:
            limit = call.params.get("max_completion_tokens") or call.params.get("max_tokens") or ANSWER_TOKENS
            return count_messages(call.messages, spec.family) + (limit if output_tokens is None else output_tokens)

        served = await self._balancer.perform(spec, ask, lambda: bool(first), deadline=deadline, tokens=tokens)
        return replace(served, ttft_s=first[0]) if first else served

    async def complete(
        self, spec: ModelSpec, deployment: Deployment, call: Call, *, on_delta: Callable[[str], None]
    ) -> Completion:
        """Ask one deployment once, without balancing, limits or retries; see `Provider`. Raises UnknownName as well."""
        return await self._provider(spec).complete(spec, deployment, call, on_delta=on_delta)

    def can_pull(self, spec: ModelSpec) -> bool:
        """Whether a model lacks nothing but its weights, which can be fetched."""
        provider = self._provider(spec)
        return isinstance(provider, Pulls) and provider.can_pull(spec)

    def pull(self, spec: ModelSpec) -> None:
        """Fetch a model's weights, with progress; blocks until they are there. Raises WeightsError."""
        provider = self._provider(spec)
        if isinstance(provider, Pulls):
            provider.pull(spec)

    async def apull(self, spec: ModelSpec) -> None:
        """The same, awaited; cancelling it ends the fetching, and what arrived is kept."""
        provider = self._provider(spec)
        if isinstance(provider, Pulls):
            await provider.apull(spec)

    async def aclose(self) -> None:
        """Close connections and end local engines."""
        for provider in self._made.values():
            await provider.aclose()
        self._made.clear()
        self._shared.close()
        await self.transport.aclose()

    def close(self) -> None:
        """The same from code that is not async, in a running event loop too; its connections are closed by that loop."""
        made, self._made = self._made, {}
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(_close_all(made))
        else:  # a thread runs one loop at a time
            with ThreadPoolExecutor(1) as pool:
                pool.submit(asyncio.run, _close_all(made)).result()
        self._shared.close()
        self.transport.close()

    def _identify(self, spec: ModelSpec, deployment: Deployment) -> str:
        """What all kernels call a deployment: the same model behind the same address with the same key is the same one.

        A digest of all of it, so that nothing leads back to the key. A key that is changed is noticed within a second.
        """
        now = time.monotonic()
        known = self._identities.get((spec.provider, spec.vendor, spec.model, deployment))
        if known is not None and now < known[0]:
            return known[1]
        where = [spec.provider, spec.model, deployment.base_url or "", deployment.api_key_env or ""]
        if spec.provider in DIALECTS:
            found = locate(spec, deployment, self.settings.secret)
            where += [deployment.name] if isinstance(found, Missing) else [found.base_url, found.key or ""]
        identity = hashlib.sha256("\n".join(where).encode("utf-8", "surrogatepass")).hexdigest()[:24]
        self._identities[spec.provider, spec.vendor, spec.model, deployment] = (now + _IDENTITY_S, identity)
        return identity

    def _provider(self, spec: ModelSpec) -> Provider:
        made = self._made.get(spec.provider)
        if made is None:
            made = self._made[spec.provider] = self._make(spec.provider)
        return made

    def _make(self, name: str) -> Provider:
        if name == "local":
            from molt_magic.providers.local import LocalProvider

            return LocalProvider(self.settings, transport=self.transport, on_progress=self.on_progress)
        if name not in DIALECTS:
            raise UnknownName("provider", name, [*DIALECTS, "local"])
        return RemoteProvider(DIALECTS[name], secret=self.settings.secret, transport=self.transport)


async def _close_all(made: dict[str, Provider]) -> None:
    for provider in made.values():
        await provider.aclose()
