"""What a policy did on a set of prompts, for every setting of its threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from molt_magic.evaluation.matrix import Floats, Ints, Outcomes


@dataclass(frozen=True, slots=True)
class Run:
    """T settings of a policy on n prompts."""

    name: str
    thresholds: Floats  # (T,), in the policy's own unit
    quality: Floats  # (T, n)
    cost: Floats  # (T, n), USD, everything the prompt cost
    answered: Floats  # (T, m): share of prompts each model answered
    strong: Floats  # (T, n): whether the best single model was called, in [0, 1]

    def mean_quality(self) -> Floats:
        found: Floats = self.quality.mean(axis=1)
        return found

    def mean_cost(self) -> Floats:
        found: Floats = self.cost.mean(axis=1)
        return found


def run_of(name: str, thresholds: Floats, picks: Ints, outcomes: Outcomes, strong: int) -> Run:
    """A router's run: every prompt is answered by the model picked, picks of shape (T, n)."""
    rows = np.arange(len(outcomes))
    return Run(
        name,
        thresholds,
        quality=outcomes.scores[rows, picks],
        cost=outcomes.costs[rows, picks],
        answered=_shares(picks, len(outcomes.models)),
        strong=(picks == strong).astype(float),
    )


def _shares(picks: Ints, m: int) -> Floats:
    return np.stack([(picks == j).mean(axis=1) for j in range(m)], axis=1)
