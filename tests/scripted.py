"""Scripted models: stand in for the providers, so that tests say what each model answers and nothing leaves the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from molt_magic.errors import MoltError, StreamInterrupted
from molt_magic.providers.base import Missing, Served
from molt_magic.types import Call, Completion, ModelSpec, Usage

# what a model does with a call: text, an error, or text that breaks off
Answer = str | MoltError | Callable[[Call], "str | MoltError"]


class ScriptedProviders:
    """Answers from a script; a model without one has no key.

    Args:
        script: catalog name -> its answers in order (the last one repeats), or one answer for all calls.
        usage: tokens of every answer.
        delay_s: how long an answer takes.
    """

    def __init__(
        self,
        script: Mapping[str, Answer | Sequence[Answer]],
        *,
        usage: tuple[int, int] = (100, 50),
        delay_s: float = 0.0,
        finish_reason: str = "stop",
    ) -> None:
        self.script = {
            name: [a] if isinstance(a, str) or callable(a) or isinstance(a, MoltError) else list(a)
            for name, a in script.items()
        }
        self.usage = usage
        self.delay_s = delay_s
        self.finish_reason = finish_reason
        self.calls: list[Call] = []
        self.closed = False

    def missing(self, spec: ModelSpec) -> Missing | None:
        return None if spec.name in self.script else Missing("no key", f"set a key for {spec.name}")

    def cooling(self, spec: ModelSpec) -> str | None:
        return None

    def resting(self, spec: ModelSpec) -> tuple[str, ...]:
        return ()

    def can_pull(self, spec: ModelSpec) -> bool:
        return False

    async def perform(self, spec: ModelSpec, call: Call, *, on_delta: Callable[[str], None], **_terms: object) -> Served:
        self.calls.append(call)
        answers = self.script[spec.name]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer):
            answer = answer(call)
        if isinstance(answer, MoltError):
            if isinstance(answer, StreamInterrupted) and answer.partial is not None:
                on_delta(answer.partial.text)
            return Served(None, answer, "scripted", (), None)  # type: ignore[arg-type]
        for word in answer.split(" "):
            await asyncio.sleep(self.delay_s)
            on_delta(word + " ")
        completion = Completion(answer, spec.model, Usage(*self.usage), self.finish_reason)
        return Served(completion, None, "scripted", (), 0.0)

    def close(self) -> None:
        self.closed = True

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the scripted providers have no {name}; add it where a test needs it")
