"""What the models have in common: prompts that are hard for one are hard for most.

The scores of a prompt are turned into components (the principal ones of the table): the first is the difficulty that the models
share, the last are what sets them apart. Each is predicted with a shrinkage of its own (Breiman and Friedman 1997, "Predicting
multivariate responses"), so the faint differences that routing lives on are not drowned by the difficulty, and a model with
few outcomes leans on what the others showed of the same prompts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

COMPONENTS = 12  # at most; what is past them is noise
_SHARED = 1.0  # outcomes of other models that a prompt's own difficulty is shrunk by
_MEAN = 4.0  # outcomes that a model's mean is shrunk by, towards the others on the same prompts


@dataclass(frozen=True, slots=True)
class Latent:
    """Scores to components and back."""

    means: Matrix  # (m,), of the models
    axes: Matrix  # (m, p), orthonormal columns

    @classmethod
    def fit(cls, scores: Matrix) -> Latent:
        """From scores without gaps, shape (n, m)."""
        means = scores.mean(axis=0)
        centred = scores - means
        _, vectors = np.linalg.eigh(centred.T @ centred)
        # laid out as it is when it is read back: a product adds up in the order of that
        return cls(means, np.ascontiguousarray(vectors[:, ::-1][:, :COMPONENTS]))

    def components(self, scores: Matrix) -> Matrix:
        found: Matrix = (scores - self.means) @ self.axes
        return found

    def scores(self, components: Matrix) -> Matrix:
        found: Matrix = self.means + components @ self.axes.T
        return found


def filled(scores: Matrix, predicted: Matrix | None = None) -> Matrix:
    """Scores with their gaps filled in by what is expected of that model there.

    Args:
        scores: shape (n, m), NaN where a model has no outcome.
        predicted: expected scores of the same shape, held out; None: the models' means.
    """
    known = ~np.isnan(scores)
    if known.all():
        return scores
    given = np.where(known, scores, 0.0)
    if predicted is None:
        predicted = np.broadcast_to(_means(given, known), scores.shape)
    residual = np.where(known, given - predicted, 0.0)
    shared = residual.sum(axis=1, keepdims=True) / (known.sum(axis=1, keepdims=True) + _SHARED)
    return np.where(known, given, np.clip(predicted + shared, 0.0, 1.0))


def _means(given: Matrix, known: npt.NDArray[np.bool_]) -> Matrix:
    """The models' means, each compared on the prompts it was asked: with few outcomes it is the others' mean."""
    counts = known.sum(axis=0)
    grand = given.sum() / max(counts.sum(), 1)
    means: Matrix = np.full(given.shape[1], grand)
    for _ in range(10):
        prompt = np.where(known, given - means, 0.0).sum(axis=1) / (known.sum(axis=1) + _SHARED)
        means = (np.where(known, given - prompt[:, None], 0.0).sum(axis=0) + _MEAN * grand) / (counts + _MEAN)
    return means
