"""Cascade: up the ladder from cheap to dear until every validator accepts."""

from __future__ import annotations

from collections.abc import Sequence

from molt_magic.strategies.order import choice, cost_of, named, passed_over
from molt_magic.strategies.walk import walk
from molt_magic.types import Candidate, Flow, Situation

# A rung is hopeless when at least this many outcomes say that it succeeds less often than this.
HOPELESS_QUALITY = 0.1
HOPELESS_EVIDENCE = 20.0


class Cascade:
    """Asks the cheap model first and moves up when a check refuses its answer.

    Args:
        ladder: catalog names from cheap to dear. Rungs that cannot take the request, or have no chance by prediction,
            are skipped with the reason in the candidates.
    """

    name = "cascade"

    def __init__(self, *, ladder: Sequence[str]) -> None:
        self.ladder = ladder

    def flow(self, situation: Situation) -> Flow:
        rungs = named(situation, self.ladder)
        said = "ladder"
        if not rungs:
            rungs = sorted(situation.eligible, key=cost_of)
            said = "no rung of the ladder can take this, so every model that can, by cost"
        hopeless = {c.name for c in rungs if _hopeless(c)}
        order = [c for c in rungs if c.name not in hopeless] or rungs[-1:]
        reasons = {c.name: "not on the ladder" for c in situation.eligible}
        reasons |= dict.fromkeys(hopeless, "has no chance by prediction")
        candidates = passed_over(situation, reasons, order)
        walked = yield from walk(situation, order)
        reason = f"{said} {' > '.join(c.name for c in order)}" if order else "the ladder is empty"
        return choice(situation, walked, reason=reason, candidates=candidates)


def _hopeless(candidate: Candidate) -> bool:
    return candidate.n_evidence >= HOPELESS_EVIDENCE and candidate.predicted_quality < HOPELESS_QUALITY
