"""The trace of one question: what it may do, and what it has done so far."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from molt_magic import context, errors
from molt_magic.orchestrator.beforehand import Beforehand
from molt_magic.orchestrator.budget import RunAccount
from molt_magic.types import Attempt, Candidate, Deadline, Event, OnEvent, Request

logger = logging.getLogger("molt_magic")


@dataclass(frozen=True, slots=True)
class QuestionKeys:
    """What a whole question is called in the cache."""

    whole: str  # all that shapes which answer it gets
    # all that shapes the answer but the words of the last user message: a semantic hit must share it. None where a similar
    # question's answer may not stand in: there is more than text, or a form to follow to the letter
    scope: str | None


@dataclass(slots=True)
class Trace:
    """What one request has done so far."""

    request: Request
    decision_id: str = ""  # of the row that it will be
    run: RunAccount | None = None  # of which it is part
    candidates: tuple[Candidate, ...] = ()  # who could answer
    beforehand: Beforehand | None = None  # None: it did not come to a decision
    on_event: OnEvent | None = None
    deadline: Deadline | None = None  # nothing is begun after it, and what runs is cut at it
    reads_cache: bool = True
    writes_cache: bool = True
    memory: context.Memory | None = None
    wants_logprobs: bool = False  # a check reads them: answers are asked for with them where the model gives them
    attempts: list[Attempt] = field(default_factory=list)
    unkept: errors.StoreError | None = None  # why an answer is not on the cassette
    recorded_s: float = 0.0  # seconds that replayed answers took when they were recorded, over what handing them over took
    question: QuestionKeys | None = None  # None: the cache was not asked
    keys: dict[int, str] = field(default_factory=dict)  # Attempt.index -> cache key, for answers not yet stored

    def emit(self, event: Event) -> None:
        """Tell the caller. A callback that raises is the caller's problem, not the request's."""
        if self.on_event is None:
            return
        try:
            self.on_event(event)
        except Exception:
            logger.exception("on_event raised; the request goes on")

    @property
    def spent_usd(self) -> float:
        """What is known to have been spent."""
        return sum(attempt_cost(attempt) or 0.0 for attempt in self.attempts)


def attempt_cost(attempt: Attempt) -> float | None:
    """USD that an attempt cost; a failure of which no usage is known costs nothing that we know of."""
    usage = attempt.usage
    return 0.0 if usage is None else usage.cost_usd
