"""Predicted scores to probabilities that come true: a logistic curve a model (Platt 1999), drawn to the identity."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Real = TypeVar("Real", bound=np.floating[Any])

EDGE = 0.01  # no prediction is nearer to 0 or 1: logits stay finite, and nothing is ever certain
_STRENGTH = 20.0  # how many outcomes the prior "slope 1, offset 0" is worth


def within(values: npt.NDArray[Real], low: float, high: float) -> npt.NDArray[Real]:
    """Values held between two bounds. `np.clip` does the same, and for few values takes four times as long."""
    found: npt.NDArray[Real] = np.minimum(np.maximum(values, low), high)
    return found


def logit(p: Matrix) -> Matrix:
    held = within(p, EDGE, 1 - EDGE)
    return np.log(held / (1 - held))


def log_odds(p: float) -> float:
    """The logit of one number; NumPy takes ten times as long to look at it."""
    held = EDGE if p < EDGE else p if p < 1.0 - EDGE else 1.0 - EDGE
    return math.log(held / (1.0 - held))


def logistic(x: Matrix) -> Matrix:
    found: Matrix = 1 / (1 + np.exp(-x))
    return found


def fit_curve(predicted: Matrix, scores: Matrix) -> tuple[float, float]:
    """(slope, offset) of the curve for held-out predictions and the scores that came, both of shape (n,), by Newton steps."""
    x = logit(predicted)
    parameters = np.array([1.0, 0.0])
    prior, weight = np.array([1.0, 0.0]), _STRENGTH / 4 * np.eye(2)  # a quarter: the most information an outcome can carry
    for _ in range(30):
        p = logistic(parameters[0] * x + parameters[1])
        gradient = np.array([(p - scores) @ x, (p - scores).sum()]) + weight @ (parameters - prior)
        information = p * (1 - p)
        hessian = np.array([[information @ (x * x), information @ x], [information @ x, information.sum()]]) + weight
        step = np.linalg.solve(hessian, gradient)
        parameters = parameters - step
        if np.abs(step).max() < 1e-8:
            break
    return max(float(parameters[0]), 0.05), float(parameters[1])  # a curve that falls would turn evidence around


def apply_curves(predicted: Matrix, curves: Matrix) -> Matrix:
    """Calibrated predictions; `predicted` of shape (n, m), `curves` of shape (m, 2)."""
    found: Matrix = logistic(curves[:, 0] * logit(predicted) + curves[:, 1])
    return found
