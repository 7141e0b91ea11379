"""Who answers calls, and which models cannot be asked now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from molt_magic.providers.base import Missing, Served
from molt_magic.types import Call, Deadline, ModelSpec

LOOK_S = 1.0  # how long it is known what models lack: looking takes 20 us a model

# until when it is good, of what, what is missing
_Looked = tuple[float, ModelSpec | None, Missing | None]
_NEVER_LOOKED: _Looked = (0.0, None, None)


class Serves(Protocol):
    """Who answers calls: the providers, a cassette, or scripted models in tests."""

    def missing(self, spec: ModelSpec) -> Missing | None: ...

    def cooling(self, spec: ModelSpec) -> str | None: ...

    def resting(self, spec: ModelSpec) -> tuple[str, ...]: ...

    def can_pull(self, spec: ModelSpec) -> bool: ...

    async def apull(self, spec: ModelSpec) -> None: ...

    async def perform(
        self,
        spec: ModelSpec,
        call: Call,
        *,
        on_delta: Callable[[str], None],
        deadline: Deadline | None = None,
        output_tokens: int | None = None,
    ) -> Served: ...


class Availability:
    """Which models cannot be asked, and why.

    Args:
        providers: who would answer.
    """

    def __init__(self, providers: Serves) -> None:
        self._providers = providers
        self._missing: dict[str, _Looked] = {}

    def unavailable(self, specs: Iterable[ModelSpec]) -> list[str | None]:
        """Why each of some models cannot be asked now: something is missing, or all its deployments are cooling down.

        What is missing is looked for once a second: in the environment, in `.env` and among the files of weights.
        """
        now, found = time.monotonic(), []
        for spec in specs:
            until_s, of, missing = self._missing.get(spec.name, _NEVER_LOOKED)
            if now >= until_s or of is not spec:
                missing = self._providers.missing(spec)
                self._missing[spec.name] = (now + LOOK_S, spec, missing)
            found.append(self._providers.cooling(spec) if missing is None else missing.reason)
        return found

    def look_again(self) -> None:
        """Look for what is missing at the next question for it."""
        self._missing.clear()
