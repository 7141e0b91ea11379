"""Arbitrage: the cheapest model that is good enough for this prompt, as far as the evidence goes."""

from __future__ import annotations

from molt_magic.strategies.order import choice, cost_of, passed_over, strongest_first
from molt_magic.strategies.walk import walk
from molt_magic.types import Candidate, Flow, Situation


class Arbitrage:
    """Cheapest eligible model whose predicted quality is surely enough at least the threshold; the best one if none is.

    "Surely enough" is the lower confidence bound of the prediction, so a model with little evidence behind it does not
    win on price: a saving that rests on nothing is not a saving. After a failure or a refused answer the stronger
    models follow, the strongest first.
    """

    name = "arbitrage"

    def flow(self, situation: Situation) -> Flow:
        threshold = situation.quality
        # the sort is stable: at equal cost (local models) the catalog's order, cheap to dear, decides
        by_cost = sorted(situation.eligible, key=cost_of)
        adequate = [c for c in by_cost if c.quality_low >= threshold]
        strongest = strongest_first(situation.eligible)
        if adequate:
            first = adequate[0]
            reason = (
                f"{first.name} is the cheapest of {len(by_cost)} with predicted quality {first.predicted_quality:.2f} "
                f"(at least {first.quality_low:.2f}; {first.evidence}) >= {threshold:.2f}"
            )
        elif strongest:
            first = strongest[0]
            reason = (
                f"no model is surely >= {threshold:.2f}, so the best: {first.name}, predicted {first.predicted_quality:.2f} "
                f"({first.evidence})"
            )
        else:
            return choice(
                situation,
                (yield from walk(situation, [])),
                reason="arbitrage",
                candidates=situation.candidates,
                threshold=threshold,
            )
        order = [first, *(c for c in strongest if c is not first)]
        reasons = {c.name: _why_not(c, first, threshold) for c in by_cost}
        candidates = passed_over(situation, reasons, [first])
        walked = yield from walk(situation, order)
        return choice(situation, walked, reason=reason, candidates=candidates, threshold=threshold)


def _why_not(candidate: Candidate, first: Candidate, threshold: float) -> str:
    if candidate.quality_low < threshold:
        return f"predicted {candidate.predicted_quality:.2f}, surely only {candidate.quality_low:.2f} ({candidate.evidence})"
    return f"good enough, but not cheaper than {first.name}"
