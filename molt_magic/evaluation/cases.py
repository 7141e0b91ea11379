"""Prompts as a strategy meets them: what training expects of every model, and what really came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from molt_magic.evaluation.knn import Predicts
from molt_magic.evaluation.matrix import Floats, Outcomes
from molt_magic.quality import Assessment
from molt_magic.quality.costs import ExpectedCost
from molt_magic.types import Candidate, Check, Message, ModelSpec, Request, Situation

_PRIOR = 5.0  # a prior's outcomes and one more, as in quality.py: keeps the bound of a model with few outcomes wide


@dataclass(frozen=True, slots=True)
class Case:
    """n prompts, what is expected of m models for each, and the recorded outcomes that answer a strategy's calls."""

    outcomes: Outcomes
    predicted: Floats  # (n, m) P(good)
    low: Floats  # (n, m) its lower bound
    expected_usd: Floats  # (n, m)
    evidence: Floats  # (n, m) effective training outcomes behind each prediction

    @classmethod
    def of(
        cls, outcomes: Outcomes, predicted: Floats, *, costs: ExpectedCost, evidence: Floats, low: Floats | None = None
    ) -> Case:
        """Where the predictor gives no bound, it is one standard deviation of a Beta posterior below the prediction.

        Args:
            evidence: (n, m), or (m,): the outcomes of each model.
        """
        p = np.clip(predicted, 0.0, 1.0)
        bound = p - np.sqrt(p * (1.0 - p) / (evidence + _PRIOR)) if low is None else low
        n = np.broadcast_to(evidence, p.shape)
        return cls(outcomes, p, np.clip(bound, 0.0, 1.0), costs.predict(outcomes.prompts), n)

    def take(self, rows: npt.NDArray[Any]) -> Case:
        """These prompts only, by position or by a mask of shape (n,)."""
        return Case(
            self.outcomes.take(rows), self.predicted[rows], self.low[rows], self.expected_usd[rows], self.evidence[rows]
        )

    def whole(self) -> Case:
        """The prompts of which every model's outcome is known."""
        return self.take(self.outcomes.complete)

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
                evidence=f"{self.evidence[row, j]:.0f} training outcomes",
                n_evidence=float(self.evidence[row, j]),
                quality_low=float(self.low[row, j]),
            )
            for j, name in enumerate(o.models)
        )
        request = Request(messages=(Message("user", o.texts[row]),), task=o.tasks[row])
        return Situation(request=request, candidates=candidates, quality=quality, checks=checks)


def predict(
    make: Callable[[], Predicts], train: Outcomes, test: Outcomes, folds: Sequence[npt.NDArray[Any]]
) -> tuple[Case, Case]:
    """(the training prompts, each as it looks to what was fitted without it; the test prompts as they look to what was fitted
    on all training rows).

    A fitted predictor that can say the first itself (`left_out()`: an `Assessment`, or predictions of shape (n, m)) is asked,
    so that both kinds of prompts have bounds of one making; any other is fitted once a fold.
    """
    fitted, costs = _fit(make(), train), ExpectedCost.fit(train.prompts, train.costs)
    counts = (~np.isnan(train.scores)).sum(axis=0).astype(float)
    tested = Case.of(test, costs=costs, **_said(fitted, test, counts))
    own = getattr(fitted, "left_out", None)
    if callable(own):
        return Case.of(train, costs=costs, **_figures(own(), counts)), tested
    parts = []
    for fold in folds:
        rest = train.take(np.setdiff1d(np.arange(len(train)), fold))
        parts.append(_said(_fit(make(), rest), train.take(fold), counts))
    order = np.argsort(np.concatenate(list(folds)))
    said: dict[str, Any] = {
        key: None if parts[0][key] is None else np.concatenate([part[key] for part in parts])[order] for key in parts[0]
    }
    return Case.of(train, costs=costs, **said), tested


def _fit(predictor: Predicts, train: Outcomes) -> Predicts:
    return predictor.fit(train.texts, train.scores, train.models, _tasks(train))


def _said(fitted: Predicts, held: Outcomes, counts: Floats) -> dict[str, Any]:
    """What a predictor says of prompts: `predicted`, `low` (None where it gives no bound) and `evidence`, all (n, m)."""
    assess = getattr(fitted, "assess", None)
    if callable(assess):
        return _figures(assess(held.texts, _tasks(held)), counts)
    return _figures(fitted.predict(held.texts, _tasks(held)), counts)


def _figures(said: Assessment | Floats, counts: Floats) -> dict[str, Any]:
    if isinstance(said, Assessment):
        return {"predicted": said.quality, "low": said.low, "evidence": said.n}
    predicted = np.asarray(said, dtype=float)
    return {"predicted": predicted, "low": None, "evidence": np.broadcast_to(counts, predicted.shape)}


def folds_of(outcomes: Outcomes, k: int, seed: int) -> list[np.ndarray]:
    """k random parts of the rows, at most one a text, the repetitions of a prompt in one of them."""
    texts = np.random.default_rng(seed).permutation(outcomes.different)
    return [outcomes.rows(part) for part in np.array_split(texts, min(k, len(texts)))]


def _tasks(outcomes: Outcomes) -> tuple[str | None, ...] | None:
    return outcomes.tasks if outcomes.has_tasks else None
