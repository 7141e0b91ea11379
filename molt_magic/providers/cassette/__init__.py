"""Cassettes: what models answered, kept beside a notebook, so that it runs again without keys, network or cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from molt_magic.errors import NotRecorded, StoreError
from molt_magic.providers.base import Missing, Served
from molt_magic.providers.cassette.nearest import nearest
from molt_magic.providers.cassette.tape import Recording, Tape, key_of, line_of
from molt_magic.types import Call, Deadline, ModelSpec

if TYPE_CHECKING:
    from molt_magic.providers import Delegated, Providers

__all__ = ["DEPLOYMENT", "NobodyAsked", "Recorder", "Recording", "Replayer", "State", "Tape", "key_of", "replayed"]

DEPLOYMENT = "cassette"  # of every replayed answer: nothing was paid for it


@dataclass(frozen=True, slots=True)
class State:
    """How a cassette stands."""

    mode: Literal["record", "replay"]
    file: Path
    answers: int  # on the tape
    models: tuple[str, ...]  # on the tape
    used: int  # answers recorded or replayed since the cassette was put in


class Recorder:
    """Asks the real providers, and writes down what they answer. Failures are not recorded.

    Args:
        providers: who answers.
        tape: where answers are written.
        ready: names of the models that can answer now.
        clean: takes keys out of a text before it is written.
    """

    def __init__(
        self, providers: Providers | Delegated, tape: Tape, *, ready: Callable[[], Sequence[str]], clean: Callable[[str], str]
    ) -> None:
        self.providers = providers
        self.tape = tape
        self._used: set[str] = set()  # keys recorded since this began
        self._ready = ready
        self._clean = clean
        self._models: list[str] = []

    def over(self, providers: Delegated, *, ready: Callable[[], Sequence[str]]) -> Recorder:
        """The same recorder, over others who answer."""
        other = copy(self)
        other.providers, other._ready = providers, ready
        return other

    def state(self) -> State:
        """How the cassette stands. Raises StoreError."""
        return State("record", self.tape.path, len(self.tape), self.tape.models, len(self._used))

    def missing(self, spec: ModelSpec) -> Missing | None:
        return self.providers.missing(spec)

    def cooling(self, spec: ModelSpec) -> str | None:
        return self.providers.cooling(spec)

    def resting(self, spec: ModelSpec) -> tuple[str, ...]:
        return self.providers.resting(spec)

    def can_pull(self, spec: ModelSpec) -> bool:
        return self.providers.can_pull(spec)

    async def apull(self, spec: ModelSpec) -> None:
        await self.providers.apull(spec)

    async def perform(
        self,
        spec: ModelSpec,
        call: Call,
        *,
        on_delta: Callable[[str], None],
        deadline: Deadline | None = None,
        output_tokens: int | None = None,
    ) -> Served:
        """Ask, and write the answer down before it is handed over; where it cannot be, it is `unkept`.

        Raises:
            StoreError: the cassette cannot be read; then nothing is asked.
        """
        len(self.tape)
        started = time.perf_counter()
        served = await self.providers.perform(spec, call, on_delta=on_delta, deadline=deadline, output_tokens=output_tokens)
        if served.completion is not None and served.error is None:
            latency = time.perf_counter() - started
            line = line_of(call, served.completion, latency_s=latency, ttft_s=served.ttft_s)
            self._models += [name for name in self._ready() if name not in self._models]
            try:
                self.tape.keep(line["key"], self._cleaned(line), self._models)
                self._used.add(line["key"])
            except StoreError as error:  # it is paid for
                served = replace(served, unkept=error)
        return served

    def _cleaned(self, part: Any) -> Any:
        if isinstance(part, str):
            return self._clean(part)
        if isinstance(part, dict):
            return {name: self._cleaned(value) for name, value in part.items()}
        return [self._cleaned(value) for value in part] if isinstance(part, list) else part


class NobodyAsked:
    """Serves from what is recorded: nothing cools down, and nothing is fetched."""

    def cooling(self, _spec: ModelSpec) -> str | None:
        return None

    def resting(self, _spec: ModelSpec) -> tuple[str, ...]:
        return ()

    def can_pull(self, _spec: ModelSpec) -> bool:
        return False

    async def apull(self, spec: ModelSpec) -> None:
        raise NotImplementedError(spec.name)  # can_pull says no


class Replayer(NobodyAsked):
    """Answers from a tape alone. A model that was not ready while it was recorded is not ready now."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self._used: set[str] = set()  # keys replayed since this began

    def state(self) -> State:
        """How the cassette stands. Raises StoreError."""
        return State("replay", self.tape.path, len(self.tape), self.tape.models, len(self._used))

    def missing(self, spec: ModelSpec) -> Missing | None:
        if spec.name in self.tape.models:
            return None
        name = _shown(self.tape.path)
        reason = f"it is not on the cassette {name}" if self.tape.path.exists() else f"there is no cassette {name}"
        return Missing(reason, f"record it where the models are: %route cassette record {name}")

    async def perform(
        self,
        spec: ModelSpec,  # noqa: ARG002  # the call names it
        call: Call,
        *,
        on_delta: Callable[[str], None],
        **_terms: object,
    ) -> Served:
        """The recorded answer. Raises NotRecorded, which names the nearest recorded prompt; StoreError."""
        recording = self.tape.find(key_of(call))
        if recording is None:
            what = "prompt" if call.purpose == "answer" else call.purpose
            name = _shown(self.tape.path)
            raise NotRecorded(
                f"{call.model} was not recorded for this {what} on {name}. {nearest(call, self.tape)}",
                fix=f"Record it where the models are: %route cassette record {name}, or MOLT_CASSETTE=record.",
            )
        self._used.add(recording.key)
        return replayed(recording, on_delta)


def replayed(recording: Recording, on_delta: Callable[[str], None], *, deployment: str = DEPLOYMENT) -> Served:
    """A recorded answer as a provider hands it over, with the time it took when it was recorded."""
    if recording.completion.text:
        on_delta(recording.completion.text)
    return Served(recording.completion, None, deployment, ttft_s=recording.ttft_s, latency_s=recording.latency_s)


def _shown(path: Path) -> str:
    """The path as the notebook would write it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return path.name
