"""Which of the tasks known from training a prompt looks like: what is left of the task where nobody says it.

A blend that is linear in meaning, words and looks cannot tell families of prompts apart sharply enough; on a table of fourteen
tasks half of what knowing the task is worth comes back with this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from molt_magic.quality.calibrate import Real
from molt_magic.quality.ridge import Ridge, fit_ridge

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]

SHARPNESS = (3.0, 6.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0)


@dataclass(frozen=True, slots=True)
class Families:
    """Least squares of each task against the others on every block, their mean sharpened into a distribution."""

    ridges: Mapping[str, Ridge]  # by block
    sharpness: float

    @classmethod
    def fit(
        cls, blocks: Mapping[str, Rows], tasks: Sequence[str | None], names: Sequence[str], folds: npt.NDArray[np.int64]
    ) -> tuple[Families, Rows]:
        """Fit on the rows whose task is known; returns also the distribution of every row, from folds it is not in.

        Args:
            blocks: each of shape (n, its columns).
            tasks: of the n rows.
            names: the k different ones.
            folds: of the rows, 0 .. FOLDS - 1, shape (n,).
        """
        places = {name: i for i, name in enumerate(names)}
        known = np.array([task is not None for task in tasks])
        own = np.array([places[task] for task in tasks if task is not None])
        told = np.eye(len(names))[own]
        ridges, outside = {}, np.zeros((int(known.sum()), len(names)))
        for block, rows in blocks.items():
            ridges[block], out = fit_ridge(rows[known], told, folds[known])
            outside += out / len(blocks)
        at = np.arange(len(own))
        sharpness = max(SHARPNESS, key=lambda s: float(np.log(sharpened(outside, s)[at, own] + 1e-9).mean()))
        fitted = cls(ridges, sharpness)
        found = fitted(blocks)
        found[known] = sharpened(outside, sharpness)
        return fitted, found

    def __call__(self, blocks: Mapping[str, Rows]) -> Rows:
        """Distributions over the tasks, float32 of shape (n, k)."""
        mean = sum(ridge(blocks[block]) for block, ridge in self.ridges.items()) / len(self.ridges)
        return sharpened(np.asarray(mean), self.sharpness).astype(np.float32)


def sharpened(scores: npt.NDArray[Real], sharpness: float) -> npt.NDArray[Real]:
    """Scores of shape (..., k) as distributions."""
    likely = np.exp(sharpness * (scores - scores.max(axis=-1, keepdims=True)))
    found: npt.NDArray[Real] = likely / likely.sum(axis=-1, keepdims=True)
    return found
