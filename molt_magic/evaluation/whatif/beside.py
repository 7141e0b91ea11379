"""A policy beside what was: totals, means and paired differences over decisions, with intervals over resampled prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from molt_magic.evaluation.bootstrap import interval, weights
from molt_magic.evaluation.matrix import Floats

if TYPE_CHECKING:
    import pandas as pd

RESAMPLES = 500
AS_IT_WAS = "as it was"

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the comparison, n decisions."""

    name: str
    cost: Floats  # (n,) USD, predicted where it is not known; NaN: not even that
    cost_known: Flags
    score: Floats  # (n,) predicted where it is not known
    score_known: Flags


class Resampled:
    """Resamples of n decisions. Prompts are drawn, not decisions: those of one prompt share their answers.

    Args:
        prompts: (n,) what tells the prompts apart.
        seed: of the draws.
    """

    def __init__(self, prompts: Sequence[str], seed: int) -> None:
        position = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
        self._prompt = np.array([position[prompt] for prompt in prompts], np.intp)
        self._times = weights(len(position), RESAMPLES, seed) * len(position) if position else np.zeros((RESAMPLES, 0))

    def total(self, values: Floats, over: Flags) -> Floats:
        """The sum of `values` over some of the decisions, in every resample: shape (RESAMPLES,)."""
        sums = np.bincount(self._prompt, np.where(over, values, 0.0), minlength=self._times.shape[1])
        found: Floats = self._times @ sums
        return found

    def mean(self, values: Floats, over: Flags) -> Floats:
        """The mean of the same; NaN in a resample without any of them."""
        return _ratio(self.total(values, over), self.total(np.ones(len(values)), over))

    def times(self, over: Flags) -> Floats:
        """How often each of these decisions is in every resample: shape (RESAMPLES, their number)."""
        found: Floats = self._times[:, self._prompt[over]]
        return found


def summary(was: Side, would: Side, resampled: Resampled) -> pd.DataFrame:
    """A row for what was and one for the policy; see `WhatIf.summary`."""
    import pandas as pd

    cost_known = was.cost_known & would.cost_known
    score_known = was.score_known & would.score_known
    rows = [_row(side, cost_known, score_known, resampled, _priced(was, would)) for side in (was, would)]
    rows[1] |= _figure("known_cost_change_usd", _change(_sum, was.cost, would.cost, cost_known, resampled))
    rows[1] |= _figure("known_cost_change", _share(was.cost, would.cost, cost_known, resampled))
    rows[1] |= _figure("known_quality_change", _change(_mean, was.score, would.score, score_known, resampled))
    return pd.DataFrame(rows)


def _priced(was: Side, would: Side) -> Flags:
    """The decisions whose cost is known or predicted on both sides: totals are of the same ones."""
    found: Flags = ~(np.isnan(was.cost) | np.isnan(would.cost))
    return found


def _row(side: Side, cost_known: Flags, score_known: Flags, resampled: Resampled, priced: Flags) -> dict[str, Any]:
    scored = ~np.isnan(side.score)
    return {
        "policy": side.name,
        "n": len(side.cost),
        **_figure("cost_usd", _sum(side.cost, priced, resampled)),
        **_figure("quality", _mean(side.score, scored, resampled)),
        "n_cost_known": int(cost_known.sum()),
        **_figure("known_cost_usd", _sum(side.cost, cost_known, resampled)),
        "n_quality_known": int(score_known.sum()),
        **_figure("known_quality", _mean(side.score, score_known, resampled)),
    }


Figure = tuple[float, Floats]  # of the decisions themselves, and of every resample


def _sum(values: Floats, over: Flags, resampled: Resampled) -> Figure:
    if not over.any():
        return float("nan"), np.full(RESAMPLES, np.nan)
    return float(values[over].sum()), resampled.total(values, over)


def _mean(values: Floats, over: Flags, resampled: Resampled) -> Figure:
    if not over.any():
        return float("nan"), np.full(RESAMPLES, np.nan)
    return float(values[over].mean()), resampled.mean(values, over)


def _change(of: Any, was: Floats, would: Floats, over: Flags, resampled: Resampled) -> Figure:
    """The paired difference: the same prompts in every resample of both."""
    (before, befores), (after, afters) = of(was, over, resampled), of(would, over, resampled)
    return after - before, afters - befores


def _share(was: Floats, would: Floats, over: Flags, resampled: Resampled) -> Figure:
    """The difference of the sums over what was."""
    (before, befores), (after, afters) = _sum(was, over, resampled), _sum(would, over, resampled)
    return (after - before) / before if before else float("nan"), _ratio(afters - befores, befores)


def _ratio(above: Floats, below: Floats) -> Floats:
    found: Floats = np.divide(above, below, out=np.full(len(above), np.nan), where=below != 0)
    return found


def _figure(name: str, figure: Figure) -> dict[str, float]:
    value, resampled = figure
    lo, hi = interval(resampled)
    return {name: value, f"{name}_lo": lo, f"{name}_hi": hi}
