"""All policies on the same prompts: fitted and set on training prompts, run on test prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from molt_magic import validators
from molt_magic.embed import Embedder
from molt_magic.errors import InputError
from molt_magic.evaluation import baselines
from molt_magic.evaluation.arbitrages import WAYS, ArbitrageFamily, named
from molt_magic.evaluation.cases import Case
from molt_magic.evaluation.checks import SimulatedCheck
from molt_magic.evaluation.families import Family, Guesser, RuleFamily, SemanticFamily
from molt_magic.evaluation.figures import operating_points
from molt_magic.evaluation.ladders import CascadeFamily
from molt_magic.evaluation.matrix import Outcomes
from molt_magic.evaluation.routes import price_grid
from molt_magic.evaluation.runs import Run, run_of
from molt_magic.evaluation.verified import verified

Make = Callable[[Outcomes], tuple[Any, ...]]  # the checks for a table's prompts


@dataclass(frozen=True, slots=True)
class Entry:
    """A policy: its settings for each level of quality, chosen on training prompts, and what it did on the test prompts."""

    points: Mapping[str, int]
    run: Run
    settings: tuple[str, ...] | None = None  # in words


@dataclass(frozen=True, slots=True)
class Contest:
    """What all policies learn from and are held to.

    Attributes:
        predicted: (training, test) prompts as the predictor of quality sees them.
        neighbours: the same as averaged neighbours see them.
        strong: column of the best single model in training.
        size: settings of each threshold, at most.
    """

    predicted: tuple[Case, Case]
    neighbours: tuple[Case, Case]
    strong: int
    size: int
    adequate: float
    guesser: Guesser
    embedder: Embedder
    seed: int

    def strategy(self, name: str) -> dict[str, Entry]:
        """Rule, semantic, or arbitrage in every way it can trade quality for cost."""
        if name == "arbitrage":
            left_out = self.predicted[0]
            return {named(way): self._routed(ArbitrageFamily(left_out, size=self.size, way=way)) for way in WAYS}
        return {name: self._routed(self._family(name))}

    def _routed(self, family: Family) -> Entry:
        judged, held = family.judged_by(self.predicted[0]), self.predicted[1]
        left, right = (
            run_of(family.name, family.thresholds, family.picks(case), case.outcomes, self.strong) for case in (judged, held)
        )
        return Entry(self._points(left, judged.outcomes), verified(family, right, held, self.strong, self.seed))

    def cascade(self, make: Make) -> Entry:
        """Cascade with the checks that `make` gives."""
        judged, held = self.predicted[0].whole(), self.predicted[1]
        family = CascadeFamily(self.predicted[0], make(judged.outcomes), size=self.size, embedder=self.embedder)
        points = self._points(family.run_learned(judged, self.strong), judged.outcomes)
        family.checks = make(held.outcomes)
        run = verified(family, family.run(held, self.strong), held, self.strong, self.seed)
        return Entry(points, run, family.settings)

    def baselines(self) -> dict[str, Entry]:
        """Averaged neighbours, single models, a random mix, and who knows the outcome."""
        near = self.neighbours[0].whole()
        learn, held = self.neighbours[0].outcomes, self.neighbours[1].outcomes
        prices = price_grid(near.predicted, near.expected_usd, self.size)
        cheap = baselines.cheapest_adequate(learn, self.adequate)

        def entry(make: Callable[[Case], Run]) -> Entry:
            return Entry(self._points(make(near), near.outcomes), make(self.neighbours[1]))

        return {
            "kNN": entry(lambda c: baselines.router("kNN", c.predicted, c.expected_usd, prices, c.outcomes, self.strong)),
            "best single": entry(lambda c: baselines.single("best single", self.strong, c.outcomes, self.strong)),
            "cheapest adequate single": entry(
                lambda c: baselines.single("cheapest adequate single", cheap, c.outcomes, self.strong)
            ),
            "random": entry(lambda c: baselines.random_mix(learn, c.outcomes, self.strong)),
            "oracle": self._oracle(held),
        }

    def by_calls(self) -> Contest:
        """The same, every call of a model costing what it costs on average in training: what APGR and CPT count."""
        mean = np.nanmean(self.predicted[0].outcomes.costs, axis=0)

        def flat(pair: tuple[Case, Case]) -> tuple[Case, Case]:
            return _flat(pair[0], mean), _flat(pair[1], mean)

        return replace(self, predicted=flat(self.predicted), neighbours=flat(self.neighbours))

    def _oracle(self, held: Outcomes) -> Entry:
        run = baselines.oracle(held, self.strong, self.size)
        return Entry(self._points(run, held), run)

    def _points(self, run: Run, outcomes: Outcomes) -> Mapping[str, int]:
        return operating_points(run, outcomes.scores[:, self.strong], outcomes.costs[:, self.strong])

    def _family(self, name: str) -> Family:
        learn = self.predicted[0].outcomes
        if name == "rule":
            return RuleFamily(learn, size=self.size)
        return SemanticFamily(learn, size=self.size, guesser=self.guesser)


def checks_of(
    specs: Sequence[validators.Spec], simulated: float | None, learn: Outcomes, held: Outcomes
) -> tuple[Make, str, list[str]]:
    """(the checks for a table's prompts, the cascade's name with them, what a reader has to know).

    Raises:
        InputError: an accuracy out of range.
    """
    if simulated is not None:
        if not 0.5 < simulated <= 1.0:
            raise InputError(f"simulated_check must be over 0.5 and at most 1, not {simulated!r}.")
        name = f"cascade (simulated check, {simulated:.0%} right)"
        note = f"{name}: its check reads the recorded score; it says what such a check would be worth, not what one is."
        return (lambda outcomes: (SimulatedCheck(outcomes, accuracy=simulated),)), name, [note]
    if learn.responses is None or held.responses is None:
        note = "cascade: no answers are recorded, so nothing could be checked and every ladder ends at its first rung."
        return (lambda _: ()), "cascade", [note]
    built = validators.build(specs, namespace={}, judge_model=None)
    return (lambda _: built), "cascade", []


def _flat(case: Case, mean: np.ndarray) -> Case:
    outcomes = case.outcomes
    costs = np.where(np.isnan(outcomes.costs), np.nan, mean)
    return replace(case, outcomes=replace(outcomes, costs=costs), expected_usd=np.tile(mean, (len(case), 1)))
