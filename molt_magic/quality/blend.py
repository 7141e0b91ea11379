"""Several predictions of the same thing into one: weights at least 0 that would have been best on held-out folds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

SPREAD = 0.25  # how far from 0 a weight is expected to be: where outcomes are few, predictions stay near the mean


def blend_weights(predictions: Matrix, target: Matrix) -> Matrix:
    """Weights of shape (b,) for centred held-out predictions of shape (n, b) of a centred target of shape (n,).

    Stacking with non-negative weights (Breiman 1996, "Stacked regressions"), by coordinate descent.
    """
    members = predictions.shape[1]
    weights = np.zeros(members)
    gram = predictions.T @ predictions
    pull = max(float(target.var()), 1e-12) / SPREAD**2  # a normal prior on the weights, outcomes being noise of that size
    right = predictions.T @ target
    gram[np.diag_indices(members)] += pull
    for _ in range(200):
        before = weights.copy()
        for i in range(members):
            weights[i] = max(0.0, weights[i] - (gram[i] @ weights - right[i]) / gram[i, i])
        if np.abs(weights - before).max() < 1e-6:
            break
    return weights
