"""Ridge regression of several targets at once, its penalties chosen on held-out folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]

PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)  # in squared lengths of an average row
CHOOSING = 2  # folds that the penalty is chosen on: solving is what a fit takes its time for


@dataclass(frozen=True, slots=True)
class Ridge:
    """Weights of a linear model: target = offset + (row - centre) @ weights / scale."""

    centre: Rows  # (d,)
    scale: float
    weights: Matrix  # (d, p)
    offset: Matrix  # (p,)
    penalties: Matrix  # (p,), the chosen ones

    def __call__(self, rows: Rows) -> Matrix:
        """Predicted targets of shape (n, p) for rows of shape (n, d)."""
        predicted: Matrix = self.offset + ((rows - self.centre) / np.float32(self.scale)).astype(np.float32) @ self.weights
        return predicted

    def affine(self, weight: Matrix | float) -> tuple[Matrix, Matrix]:
        """The same as an offset (p,) and what a row is multiplied with, (d, p), each target by its weight."""
        columns = self.weights / self.scale * weight
        return self.offset * weight - self.centre @ columns, columns


def fit_ridge(rows: Rows, targets: Matrix, folds: npt.NDArray[np.int64]) -> tuple[Ridge, Matrix]:
    """Fit, and predict every row from the folds it is not in.

    Args:
        rows: float32 of shape (n, d).
        targets: shape (n, p).
        folds: the fold of every row, 0 .. k - 1, shape (n,).

    Returns:
        The model on all rows, and held-out predictions of shape (n, p). The Gram matrix of all rows but a fold's is the
        whole less the fold's, so every product of rows is computed once.
    """
    centre = rows.mean(axis=0)
    centred = rows - centre
    scale = float(np.sqrt((centred * centred).sum(axis=1).mean())) or 1.0
    centred /= np.float32(scale)
    k = int(folds.max()) + 1
    members = [np.flatnonzero(folds == fold) for fold in range(k)]
    grams = [(part := centred[member]).T @ part for member in members]
    sums = [centred[member].sum(axis=0).astype(np.float64) for member in members]
    products = [centred[member].T.astype(np.float64) @ targets[member] for member in members]
    totals = [targets[member].sum(axis=0) for member in members]
    gram, product, total_sum, total = sum(grams), sum(products), sum(sums), sum(totals)
    n = len(rows)
    p = targets.shape[1]
    candidates: list[tuple[npt.NDArray[np.int64], Matrix]] = []
    held_out = np.zeros((n, p))
    errors = np.zeros((len(PENALTIES), p))
    best = np.zeros(p, dtype=np.int64)
    for fold, member in enumerate(members):
        size = n - len(member)
        offset = (total - totals[fold]) / size
        right = product - products[fold] - np.outer(total_sum - sums[fold], offset)
        left = gram - grams[fold]
        if fold < CHOOSING:
            tried = [offset + centred[member] @ _solved(left, right, penalty) for penalty in PENALTIES]
            errors += np.array([((found - targets[member]) ** 2).sum(axis=0) for found in tried])
            candidates.append((member, np.stack(tried)))
            continue
        best = errors.argmin(axis=0)
        for i in np.unique(best):
            held_out[np.ix_(member, best == i)] = offset[best == i] + centred[member] @ _solved(
                left, right[:, best == i], PENALTIES[i]
            )
    best = errors.argmin(axis=0)
    for member, found in candidates:
        held_out[member] = found[best, :, np.arange(p)].T
    weights = np.zeros((rows.shape[1], p))
    for i in np.unique(best):
        weights[:, best == i] = _solved(gram, (product - np.outer(total_sum, total / n))[:, best == i], PENALTIES[i])
    return Ridge(centre, scale, weights, total / n, np.array(PENALTIES)[best]), held_out


def _solved(gram: Rows, right: Matrix, penalty: float) -> Matrix:
    left = gram.copy()
    left.flat[:: len(left) + 1] += np.float32(penalty)
    # float32 is enough: the penalty bounds the condition number by a few thousand
    return np.linalg.solve(left, right.astype(np.float32)).astype(np.float64)
