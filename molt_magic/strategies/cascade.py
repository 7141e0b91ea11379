"""Cascade: up the ladder from cheap to dear until every validator accepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from molt_magic.errors import InputError
from molt_magic.strategies.order import choice, cost_of, named, passed_over
from molt_magic.strategies.walk import walk
from molt_magic.types import Candidate, Flow, Situation, TaskGuess, Verdict

# A rung is hopeless when at least this many outcomes say that it succeeds less often than this.
HOPELESS_QUALITY = 0.1
HOPELESS_EVIDENCE = 20.0

_NONE: Mapping[str, Sequence[str]] = MappingProxyType({})


class Cascade:
    """Asks the cheap model first and moves up when a check refuses its answer.

    Args:
        ladder: catalog names from cheap to dear. Rungs that cannot take the request, or have no chance by prediction,
            are skipped with the reason in the candidates.
        ladders: those of tasks that have one of their own. On RouterBench what pays is another ladder for every kind of
            question: there code goes to one cheap model, and two cheap models that agree answer for the dear one elsewhere.
        classify: proposes a task for a prompt when the request names none; asked only where tasks have ladders.
        price: at least 0, quality given up for a dollar less, 1/USD; None: every refusal moves up. With it a refusal moves up
            only to rungs that are expected to gain what they cost, by predicted quality and the score of the refused
            answer (none: 0); where there is no such rung, that answer is the best effort. That is cascade routing (arXiv
            2410.10347): the ladder is decided on again after every answer.

    Raises:
        InputError: the price is below 0.
    """

    name = "cascade"

    def __init__(
        self,
        *,
        ladder: Sequence[str],
        ladders: Mapping[str, Sequence[str]] = _NONE,
        classify: Callable[[str], TaskGuess] | None = None,
        price: float | None = None,
    ) -> None:
        if price is not None and not price >= 0.0:
            raise InputError(f"`price` is at least 0, not {price!r}.", fix="Say 0 to ask whatever rung may be better.")
        self.ladder = ladder
        self.ladders = ladders
        self.classify = classify
        self.price = price

    def flow(self, situation: Situation) -> Flow:
        request, score, said = situation.request, None, "ladder"
        if self.ladders and request.task is None and self.classify is not None:
            guess = self.classify(request.prompt)
            # the checks go by it as well
            situation, score = replace(situation, request=replace(request, task=guess.task)), guess.score
        task = situation.request.task
        if task is not None and task in self.ladders:
            said = f"ladder of {task}" if score is None else f"ladder of {task} (proposed, {score:.2f})"
        rungs = named(situation, self.ladder if task is None else self.ladders.get(task, self.ladder))
        if not rungs:
            rungs = sorted(situation.eligible, key=cost_of)
            said = "no rung of the ladder can take this, so every model that can, by cost"
        hopeless = {c.name for c in rungs if _hopeless(c)}
        order = [c for c in rungs if c.name not in hopeless] or rungs[-1:]
        reasons = {c.name: "not on the ladder" for c in situation.eligible}
        reasons |= dict.fromkeys(hopeless, "has no chance by prediction")
        candidates = passed_over(situation, reasons, order)
        walked = yield from walk(situation, order, None if self.price is None else self._onwards)
        reason = f"{said} {' > '.join(c.name for c in order)}" if order else "the ladder is empty"
        return choice(situation, walked, reason=reason, candidates=candidates, task=task, task_score=score)

    def _onwards(self, _refused: Candidate, verdict: Verdict, remaining: Sequence[Candidate]) -> tuple[list[Candidate], str]:
        """The rungs above whose expected gain is worth their expected cost, and what is said of the others."""
        price, held = self.price or 0.0, verdict.score or 0.0
        # 0 times an unknown price is no number
        worth = [c for c in remaining if c.predicted_quality - held >= (price * cost_of(c) if price else 0.0)]
        left_out = [c.name for c in remaining if c not in worth]
        if not left_out:
            return worth, ""
        return worth, f"{' and '.join(left_out)} would not gain what {'it costs' if len(left_out) == 1 else 'they cost'}"


def _hopeless(candidate: Candidate) -> bool:
    return candidate.n_evidence >= HOPELESS_EVIDENCE and candidate.predicted_quality < HOPELESS_QUALITY
