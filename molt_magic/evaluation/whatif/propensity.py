"""What another policy is worth, from decisions some of which were taken by lot: doubly robust, after Dudik, Langford and Li."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from molt_magic.evaluation.bootstrap import interval
from molt_magic.evaluation.logged import Answer, Logged
from molt_magic.evaluation.matrix import Floats
from molt_magic.evaluation.whatif.beside import Resampled
from molt_magic.evaluation.whatif.rerun import Rerun
from molt_magic.types import Candidate

SOURCE = "doubly robust, Dudik, Langford and Li, arXiv 1103.4601"
ENOUGH = 30.0  # effective decisions, below which a correction is more noise than news


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean of a figure under a policy."""

    value: float
    lo: float  # of the 95 % interval
    hi: float
    n: int  # decisions
    effective_n: float  # of those in which the policy asks the model that was asked, by their weights


def doubly_robust(
    outcome: Floats,
    predicted_of_logged: Floats,
    predicted_of_policy: Floats,
    agrees: npt.NDArray[np.bool_],
    propensity: Floats,
) -> tuple[Floats, Floats]:
    """A value a decision, whose mean is the policy's, and the weights w.

    predicted_of_policy + w (outcome - predicted_of_logged), with w = 1 / propensity where the policy asks the model that was
    asked, else 0: right on average where either the predictions or the propensities are right (Dudik, Langford and Li,
    "Doubly robust policy evaluation and learning", arXiv 1103.4601, equation 2). A weight is clipped at the square root of
    the number of decisions (Ionides, "Truncated importance sampling", 2008): what that loses goes to 0 as they grow.

    Args:
        outcome: (n,) what came of the model that was asked.
        predicted_of_logged: (n,) what was predicted of that model.
        predicted_of_policy: (n,) and of the one that the policy asks.
        agrees: (n,) whether the two are the same.
        propensity: (n,) chance in (0, 1] that the logged model was asked.
    """
    w = np.where(agrees, np.minimum(1.0 / propensity, np.sqrt(len(outcome))), 0.0)
    return predicted_of_policy + w * (outcome - predicted_of_logged), w


def estimate(values: Floats, w: Floats, resampled: Floats) -> Estimate | None:
    """The mean of `doubly_robust` values; None where there are too few decisions to tell.

    Args:
        resampled: (resamples, n), weights of the decisions in each resample.
    """
    effective = float(w.sum() ** 2 / (w**2).sum()) if w.any() else 0.0  # Kish
    if effective < ENOUGH:
        return None
    lo, hi = interval((resampled @ values) / resampled.sum(axis=1))
    return Estimate(float(values.mean()), lo, hi, len(values), effective)


def corrected(
    taken: Sequence[tuple[Logged, Rerun]],
    resampled: Resampled,
    outcome: Callable[[Answer], float],
    predicted: Callable[[Candidate], float | None],
) -> Estimate | None:
    """The mean of a figure of the model that a policy asks first, by the decisions whose chance was logged.

    A decision counts where the model that was asked first answered and its figure is known. Where the policy asks a model
    that no lot could fall on, its value rests on what was predicted of it.

    Args:
        taken: decisions, each with how the policy would have taken it.
        outcome: the figure of an answer; NaN: not known.
        predicted: the same as it was predicted of a candidate.
    """
    rows = np.array([_row(decision, found, outcome, predicted) for decision, found in taken], dtype=float).reshape(-1, 5)
    usable = ~np.isnan(rows).any(axis=1)
    of_first, of_logged, of_policy, agrees, propensity = rows[usable].T
    values, w = doubly_robust(of_first, of_logged, of_policy, agrees == 1.0, propensity)
    return estimate(values, w, resampled.times(usable))


def _row(
    decision: Logged, found: Rerun, outcome: Callable[[Answer], float], predicted: Callable[[Candidate], float | None]
) -> tuple[float | None, ...]:
    """The arguments of `doubly_robust`, None or NaN where they are not known."""
    first = decision.answers[0] if decision.answers else None
    if first is None or first.error is not None or first.cached or decision.cached or found.first_was is None:
        return (None,) * 5
    agrees = float(found.first.name == first.model)
    return outcome(first), predicted(found.first_was), predicted(found.first), agrees, decision.propensity
