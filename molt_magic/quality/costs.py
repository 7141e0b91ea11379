"""What an answer to a prompt is expected to cost, learned from what answers have cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

_LEAST = 0.2  # of a model's mean cost: no prediction goes below


@dataclass(frozen=True, slots=True)
class ExpectedCost:
    """A straight line a model: a part for every call and a part for every character of the prompt (where a question is priced
    live, its tokens are counted and the answer's predicted; here their prices are learned from what was paid)."""

    base: Matrix  # (m,) USD
    per_character: Matrix  # (m,) USD
    mean: Matrix  # (m,) USD

    @classmethod
    def fit(cls, prompts: Sequence[str], costs: Matrix) -> ExpectedCost:
        """Least squares a model; one whose cost falls with length (an artefact of few rows) gets its mean.

        Args:
            prompts: n texts.
            costs: USD, shape (n, m), NaN where unknown; of every model at least one is known.
        """
        lengths = np.array([len(p) for p in prompts], dtype=float)
        m = costs.shape[1]
        base, slope, mean = np.zeros(m), np.zeros(m), np.zeros(m)
        for j in range(m):
            known = ~np.isnan(costs[:, j])
            cost, length = costs[known, j], lengths[known]
            mean[j] = cost.mean()
            spread = float(((length - length.mean()) ** 2).sum())
            found = float(((length - length.mean()) * (cost - mean[j])).sum()) / spread if spread > 0 else 0.0
            slope[j] = max(0.0, found)
            base[j] = mean[j] - slope[j] * length.mean()
        return cls(base, slope, mean)

    def predict(self, prompts: Sequence[str]) -> Matrix:
        """USD, shape (len(prompts), m)."""
        lengths = np.array([len(p) for p in prompts], dtype=float)
        return np.maximum(self.base + lengths[:, None] * self.per_character, _LEAST * self.mean)
