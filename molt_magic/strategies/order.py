"""Orders of candidates that several strategies share, and the Choice that a walk along one becomes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

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
    eligible = strongest_first(situation.eligible)
    named = [c for c in eligible if c.name == default]
    return named or eligible[:1]


def named(situation: Situation, names: Iterable[str | None]) -> list[Candidate]:
    """The eligible candidates of these names, in this order."""
    eligible = {c.name: c for c in situation.eligible}
    return [eligible[name] for name in dict.fromkeys(names) if name in eligible]


def absence(situation: Situation, name: str) -> str:
    """Why a model is not eligible, as what is said after its name."""
    skipped = next((c.skipped for c in situation.candidates if c.name == name), None)
    return f"was skipped: {skipped}" if skipped else "is not in the catalog"


def passed_over(situation: Situation, reasons: Mapping[str, str], order: Sequence[Candidate] = ()) -> tuple[Candidate, ...]:
    """All candidates, those outside `order` marked with why they were passed over."""
    kept = {c.name for c in order}
    return tuple(
        c if c.skipped is not None or c.name in kept else replace(c, skipped=reasons.get(c.name, "not asked for"))
        for c in situation.candidates
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
) -> Choice:
    """The Choice of a walk: the strategy's reason first, then how the answer came about."""
    chosen = next((c for c in candidates if walked.attempt is not None and c.name == walked.attempt.call.model), None)
    eventful = walked.escalations or walked.fallbacks or walked.best_effort or walked.attempt is None
    eventful = eventful or (walked.attempt is not None and walked.attempt.error is not None) or bool(walked.verdicts)
    return Choice(
        attempt=walked.attempt,
        reason=f"{reason}; {walked.reason}" if eventful else reason,
        candidates=candidates,
        verdicts=walked.verdicts,
        task=task if task is not None else situation.request.task,
        task_score=task_score,
        predicted_quality=None if chosen is None else chosen.predicted_quality,
        quality_threshold=threshold,
        escalations=walked.escalations,
        fallbacks=walked.fallbacks,
        fallback_reason=walked.fallback_reason,
        best_effort=walked.best_effort,
    )
