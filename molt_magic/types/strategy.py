"""What a strategy knows, what it yields, and how it ends."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from molt_magic.frozen import fast_init
from molt_magic.types.attempt import Attempt, Call, Verdict
from molt_magic.types.candidate import Candidate
from molt_magic.types.request import Request


@dataclass(frozen=True, slots=True)
class TaskGuess:
    """What the semantic classifier says of a prompt."""

    task: str | None  # None: it abstains
    score: float  # calibrated probability in [0, 1]
    neighbours: tuple[tuple[str, str, float], ...] = ()  # (example, task, similarity), nearest first


@fast_init
@dataclass(frozen=True, slots=True)
class Choice:
    """How a strategy ended: the attempt that answers (or the last failure), and why."""

    attempt: Attempt | None  # None: there was no candidate at all
    reason: str  # one line
    candidates: tuple[Candidate, ...] = ()
    verdicts: Mapping[int, Verdict] = field(default_factory=dict)  # Attempt.index -> the verdict on it
    task: str | None = None
    task_score: float | None = None
    predicted_quality: float | None = None
    quality_threshold: float | None = None
    escalations: int = 0  # moves to another model because a validator refused
    fallbacks: int = 0  # moves to another model because a call failed
    fallback_reason: str | None = None
    best_effort: bool = False  # no validator accepted; the best answer there was
    promise: str | None = None  # what was promised of the policy that decided, a sentence
    propensity: float | None = None  # chance that the model asked first was asked first; None: it was certain


Flow = Generator[Call, Attempt, Choice]
Checking = Generator[Call, Attempt, Verdict]


class Check(Protocol):
    """A validator, ready to be used. It may ask for calls of its own (a judge, more samples)."""

    name: str

    def check(self, request: Request, attempt: Attempt) -> Checking:
        """Yield calls, return a Verdict. Must not raise for a bad answer."""
        ...


@fast_init
@dataclass(frozen=True, slots=True)
class Situation:
    """All that a strategy may know when it decides."""

    request: Request
    candidates: tuple[
        Candidate, ...
    ]  # every model of the catalog, in its order; `skipped` set where it cannot take the request
    quality: float  # the threshold in force
    checks: tuple[Check, ...] = ()

    @property
    def eligible(self) -> tuple[Candidate, ...]:
        return tuple([c for c in self.candidates if c.skipped is None])


class Strategy(Protocol):
    """A pure description of a decision: no network, clock, cache or log."""

    name: str

    def flow(self, situation: Situation) -> Flow:
        """Yield the calls wanted, receive the attempts, return the Choice."""
        ...
