"""Explore: now and then another model is asked first, so that what it would have done becomes known."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TypeVar

from molt_magic.strategies.order import passed_over
from molt_magic.strategies.walk import Walk, walk
from molt_magic.types import Attempt, Call, Candidate, Choice, Completion, Flow, Situation, Strategy

EXPLORED = "explored: "  # how the reason of such a choice begins

T = TypeVar("T")


class Explore:
    """Another strategy's decisions, but for a share of the questions, whose first model is drawn by lot.

    It is drawn uniformly among the eligible models whose expected cost is known and within what is left. Where it fails or
    its answer is refused, the wrapped strategy goes on without it. Every choice says the exact chance with which the model
    that was asked first was asked first: (1 - share) if the wrapped strategy asks it first, and share / K if it is one of
    the K that may be drawn. With it a log tells what another policy would have done (see `evaluation.whatif.propensity`).

    Args:
        strategy: what decides otherwise.
        share: of the questions, in [0, 1].
        drawn: two numbers in [0, 1), drawn afresh for every question: whether to explore, and which model.
        left_usd: what an explored model may be expected to cost; None: there is no limit.
    """

    def __init__(self, strategy: Strategy, *, share: float, drawn: tuple[float, float], left_usd: float | None = None) -> None:
        self.strategy = strategy
        self.share = share
        self.drawn = drawn
        self.left_usd = left_usd
        self.name = strategy.name

    def flow(self, situation: Situation) -> Flow:
        flow = self.strategy.flow(situation)
        try:
            call = next(flow)
        except StopIteration as stop:  # nobody can be asked
            nobody: Choice = stop.value
            return nobody
        among = [c for c in situation.eligible if self._affordable(c)]
        whether, which = self.drawn
        pick = among[int(which * len(among))] if among and whether < self.share else None
        asked = call.model if pick is None else pick.name
        chance = self._chance(asked, call.model, [c.name for c in among])
        if pick is None or pick.name == call.model:
            found = yield from _resumed(flow, call)
            return replace(found, propensity=chance)
        usual = _planned(flow, call)
        found = yield from self._explored(situation, pick, usual, call.model)
        return replace(found, propensity=chance, promise=None)  # a promise was made for the policy, not for the lot

    def _affordable(self, candidate: Candidate) -> bool:
        expected = candidate.expected_cost_usd
        return expected is not None and (self.left_usd is None or expected <= self.left_usd)

    def _chance(self, asked: str, usual: str, among: list[str]) -> float:
        if not among:
            return 1.0
        return (1.0 - self.share) * (asked == usual) + self.share / len(among) * (asked in among)

    def _explored(self, situation: Situation, pick: Candidate, usual: Choice, first: str) -> Flow:
        walked = yield from walk(situation, [pick])
        reason = f"{EXPLORED}{pick.name} was drawn by lot, where {first} would be asked first"
        attempt = walked.attempt
        assert attempt is not None
        broke_off = attempt.error is not None and attempt.completion is not None  # the reader has seen that text
        if (attempt.error is None and not walked.best_effort) or broke_off:
            return _by(pick, walked, situation, usual, f"{reason}; {walked.reason}")
        others = tuple(c.passed_over("was asked before, by lot") if c.name == pick.name else c for c in situation.candidates)
        rest = yield from self.strategy.flow(replace(situation, candidates=others))
        if (rest.attempt is None or not rest.attempt.ok) and attempt.ok:
            return _by(pick, walked, situation, usual, f"{reason}; {walked.reason}, and nobody else answered")
        if rest.attempt is None:
            return _by(pick, walked, situation, usual, f"{reason}; {walked.reason}")
        return replace(
            rest,
            reason=f"{reason}; {walked.reason}; then {rest.reason}",
            verdicts={**walked.verdicts, **rest.verdicts},
            escalations=rest.escalations + attempt.ok,
            fallbacks=rest.fallbacks + (not attempt.ok),
            fallback_reason=rest.fallback_reason or (None if attempt.error is None else f"{pick.name}: {attempt.error.kind}"),
        )


def _by(pick: Candidate, walked: Walk, situation: Situation, usual: Choice, reason: str) -> Choice:
    """The choice of an explored model: what the wrapped strategy says of the prompt stays, what it says of the answer not."""
    reasons = {c.name: f"{pick.name} was explored" for c in situation.eligible}
    return replace(
        usual,
        attempt=walked.attempt,
        reason=reason,
        candidates=passed_over(situation, reasons, [pick]),
        verdicts=walked.verdicts,
        predicted_quality=pick.predicted_quality,
        escalations=0,
        fallbacks=0,
        fallback_reason=None,
        best_effort=walked.best_effort,
    )


def _resumed(flow: Generator[Call, Attempt, T], call: Call) -> Generator[Call, Attempt, T]:
    """The rest of a flow whose first call is known already."""
    while True:
        attempt = yield call
        try:
            call = flow.send(attempt)
        except StopIteration as stop:
            value: T = stop.value
            return value


def _planned(flow: Flow, call: Call) -> Choice:
    """What a flow would choose: a dry run of it from its first call on."""
    planning = _resumed(flow, call)
    asked = next(planning)
    try:
        while True:
            asked = planning.send(Attempt(0, asked, Completion("", asked.model), planned=True))
    except StopIteration as stop:
        choice: Choice = stop.value
        return choice
