"""Orders of candidates that several strategies share, and the Choice that a walk along one becomes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from molt_magic.strategies.walk import Walk
from molt_magic.types import Candidate, Choice, Situation


def cost_of(candidate: Candidate) -> float:
    """Expected cost in USD for sorting; an unknown price counts as the dearest."""
    return math.inf if candidate.expected_cost_usd is None else candidate.expected_cost_usd


def strongest_first(candidates: Iterable[Candidate]) -> list[Candidate]:
    """By predicted quality, the best first; at equal quality the cheaper first."""
    return sorted(candidates, key=lambda c: (-c.predicted_quality, cost_of(c)))


def default_order(situation: Situation, default: str | None) -> list[Candidate]:
    """The configured default model where it is eligible, else the strongest that is."""
    return named(situation, [default]) or strongest_first(situation.eligible)[:1]


def named(situation: Situation, names: Iterable[str | None]) -> list[Candidate]:
    """The eligible candidates of these names, in this order."""
    eligible = {c.spec.name: c for c in situation.candidates if c.skipped is None}
    return [eligible[name] for name in dict.fromkeys(names) if name in eligible]


def absence(situation: Situation, name: str) -> str:
    """Why a model is not eligible, as what is said after its name."""
    skipped = next((c.skipped for c in situation.candidates if c.name == name), None)
    return f"was skipped: {skipped}" if skipped else "is not in the catalog"


def passed_over(situation: Situation, reasons: Mapping[str, str], order: Sequence[Candidate] = ()) -> tuple[Candidate, ...]:
    """All candidates, those outside `order` marked with why they were passed over."""
    kept = {c.spec.name for c in order}
    return tuple(
        [
            c if c.skipped is not None or c.spec.name in kept else c.passed_over(reasons.get(c.spec.name, "not asked for"))
            for c in situation.candidates
        ]
    )


def choice(
    situation: Situation,
    walked: Walk,
    *,
    reason: str,
    candidates: tuple[Candidate, ...],
    task: str | None = None,
    task_score: float | None = None,
    threshold: float | None = None,
    promise: str | None = None,
) -> Choice:
    """The Choice of a walk: the strategy's reason first, then how the answer came about."""
    attempt = walked.attempt
    asked = None if attempt is None else attempt.call.model
    predicted = next((c.predicted_quality for c in candidates if c.spec.name == asked), None)
    eventful = walked.escalations or walked.fallbacks or walked.best_effort or walked.verdicts
    eventful = eventful or attempt is None or attempt.error is not None
    return Choice(
        attempt,
        f"{reason}; {walked.reason}" if eventful else reason,
        candidates,
        walked.verdicts,
        situation.request.task if task is None else task,
        task_score,
        predicted,
        threshold,
        walked.escalations,
        walked.fallbacks,
        walked.fallback_reason,
        walked.best_effort,
        promise,
    )
