"""Prompts as a strategy meets them: what training expects of every model, and what really came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from molt_magic.evaluation.costs import ExpectedCost
from molt_magic.evaluation.knn import Predicts
from molt_magic.evaluation.matrix import Floats, Outcomes
from molt_magic.types import Candidate, Check, Message, ModelSpec, Request, Situation

_PRIOR = 5.0  # a prior's outcomes and one more, as in quality.py: keeps the bound of a model with few outcomes wide


@dataclass(frozen=True, slots=True)
class Case:
    """n prompts, what is expected of m models for each, and the recorded outcomes that answer a strategy's calls."""

    outcomes: Outcomes
    predicted: Floats  # (n, m) P(good)
    low: Floats  # (n, m) its lower bound
    expected_usd: Floats  # (n, m)
    evidence: Floats  # (m,) training outcomes of each model

    @classmethod
    def of(cls, outcomes: Outcomes, predicted: Floats, *, costs: ExpectedCost, evidence: Floats) -> Case:
        """The bound is one standard deviation of a Beta posterior below the prediction, as live."""
        p = np.clip(predicted, 0.0, 1.0)
        low = np.maximum(0.0, p - np.sqrt(p * (1.0 - p) / (evidence + _PRIOR)))
        return cls(outcomes, p, low, costs.predict(outcomes.prompts), evidence)

    def __len__(self) -> int:
        return len(self.outcomes)

    def situation(self, row: int, *, quality: float, checks: tuple[Check, ...] = ()) -> Situation:
        """What a strategy is told of one prompt; `quality` is the threshold in force."""
        o = self.outcomes
        candidates = tuple(
            Candidate(
                spec=ModelSpec(name=name, provider="recorded", model=name),
                expected_cost_usd=float(self.expected_usd[row, j]),
                predicted_quality=float(self.predicted[row, j]),
                evidence=f"{self.evidence[j]:.0f} training outcomes",
                n_evidence=float(self.evidence[j]),
                quality_low=float(self.low[row, j]),
            )
            for j, name in enumerate(o.models)
        )
        request = Request(messages=(Message("user", o.texts[row]),), task=o.tasks[row])
        return Situation(request=request, candidates=candidates, quality=quality, checks=checks)


def predict_test(make: Predicts, train: Outcomes, test: Outcomes) -> Case:
    """The test prompts as they look to what was fitted on all training rows."""
    fitted = make.fit(train.texts, train.scores, train.models, _tasks(train))
    return Case.of(test, fitted.predict(test.texts, _tasks(test)), costs=ExpectedCost.fit(train), evidence=_evidence(train))


def predict_left_out(make: Predicts, train: Outcomes, folds: Sequence[np.ndarray]) -> Case:
    """The training prompts, each as it looks to what was fitted without it.

    A fitted predictor that can say so itself (`left_out()`, shape (n, m)) is asked; any other is fitted once a fold.
    """
    own = getattr(make, "left_out", None)
    if callable(own):
        make.fit(train.texts, train.scores, train.models, _tasks(train))
        predicted = np.asarray(own(), dtype=float)
    else:
        predicted = np.empty(train.scores.shape)
        for fold in folds:
            rest = train.take(np.setdiff1d(np.arange(len(train)), fold))
            held = train.take(fold)
            fitted = make.fit(rest.texts, rest.scores, rest.models, _tasks(rest))
            predicted[fold] = fitted.predict(held.texts, _tasks(held))
    return Case.of(train, predicted, costs=ExpectedCost.fit(train), evidence=_evidence(train))


def folds_of(n: int, k: int, seed: int) -> list[np.ndarray]:
    """k random parts of n rows."""
    return np.array_split(np.random.default_rng(seed).permutation(n), k)


def _tasks(outcomes: Outcomes) -> tuple[str | None, ...] | None:
    return outcomes.tasks if outcomes.has_tasks else None


def _evidence(train: Outcomes) -> Floats:
    count: Floats = (~np.isnan(train.scores)).sum(axis=0).astype(float)
    return count
